/* The client on an event loop against a server that follows a script. */
#include <criterion/criterion.h>
#include <event2/event.h>
#include <stdio.h>

#include "base/clock.h"
#include "satchel/satchel.h"
#include "unit/client/fake.h"

TestSuite(async, .timeout = 30);

struct run {
    struct event_base *base;
    struct satchel_async *store;
    unsigned answered;
    unsigned ok;
    enum satchel_status last;
    char message[256];
    int64_t number; /* of field n in the last answer */
    bool inside;    /* a requesting call is running */
};

static void on_answer(void *arg, enum satchel_status status, const struct satchel_result *result)
{
    struct run *run = arg;
    cr_assert_not(run->inside, "answered before the requesting call returned");
    run->answered++;
    run->ok += status == SATCHEL_OK;
    run->last = status;
    (void)snprintf(run->message, sizeof run->message, "%.*s", (int)result->message.len,
                   result->message.len != 0 ? (const char *)result->message.ptr : "");
    struct satchel_bytes value;
    if (result->has_content && result->kind == SATCHEL_FIELDS &&
        satchel_find_field(result->content, satchel_text("n"), &value)) {
        char text[32];
        (void)snprintf(text, sizeof text, "%.*s", (int)value.len, (const char *)value.ptr);
        run->number = strtoll(text, NULL, 10);
    }
}

static struct run start(const char *server, struct satchel_options options)
{
    struct run run = {.base = event_base_new()};
    options.server = server;
    cr_assert_eq(satchel_async_open(run.base, &options, &run.store), SATCHEL_OK);
    return run;
}

static void finish(struct run *run)
{
    satchel_async_close(run->store);
    event_base_free(run->base);
}

static void until_answered(struct run *run, unsigned count)
{
    while (run->answered < count) {
        cr_assert_eq(event_base_loop(run->base, EVLOOP_ONCE), 0, "nothing left to wait for");
    }
}

static void add_one(struct run *run, uint64_t deadline_ms)
{
    struct satchel_op op = {.op = SATCHEL_FIELD_INCREMENT, .name = satchel_text("n"), .delta = 1};
    struct satchel_command_options options = {.deadline_ms = deadline_ms};
    run->inside = true;
    satchel_async_patch(run->store, satchel_text("cart:42"), &op, 1, &options, on_answer, run);
    run->inside = false;
}

static void get(struct run *run, uint64_t deadline_ms)
{
    struct satchel_command_options options = {.deadline_ms = deadline_ms};
    run->inside = true;
    satchel_async_get(run->store, satchel_text("cart:42"), &options, on_answer, run);
    run->inside = false;
}

static int64_t now_ms(void)
{
    return clock_mono_ns(&clock_system) / 1000000;
}

Test(async, all_commands_work)
{
    struct fake *fake = fake_start(&(struct fake_options){.piece_bytes = 1});
    struct run run = start(fake_address(fake), (struct satchel_options){0});
    struct satchel_bytes id = satchel_text("s");
    satchel_async_ping(run.store, on_answer, &run);
    satchel_async_set(run.store, id, satchel_text("v"), NULL, on_answer, &run);
    satchel_async_get(run.store, id, NULL, on_answer, &run);
    satchel_async_touch(run.store, id, NULL, on_answer, &run);
    satchel_async_delete(run.store, id, NULL, on_answer, &run);
    add_one(&run, 0);
    until_answered(&run, 6);
    cr_assert_eq(run.ok, 6);
    cr_assert_eq(run.number, 1);
    satchel_async_get(run.store, id, NULL, on_answer, &run);
    until_answered(&run, 7);
    cr_assert_eq(run.last, SATCHEL_NOT_FOUND);
    cr_assert_eq(fake_connections(fake), 1);
    finish(&run);
    fake_stop(fake);
}

Test(async, a_thousand_in_flight_are_all_answered)
{
    struct fake *fake = fake_start(NULL);
    struct run run = start(fake_address(fake), (struct satchel_options){.deadline_ms = 20000});
    for (int i = 0; i < 1000; i++) {
        add_one(&run, 0);
    }
    until_answered(&run, 1000);
    cr_assert_eq(run.ok, 1000);
    cr_assert_eq(run.number, 1000);
    cr_assert_eq(fake_connections(fake), 1);
    finish(&run);
    fake_stop(fake);
}

Test(async, the_servers_limit_of_unanswered_requests_is_kept)
{
    struct fake *fake = fake_start(&(struct fake_options){.in_flight = 3});
    struct run run = start(fake_address(fake), (struct satchel_options){.deadline_ms = 20000});
    for (int i = 0; i < 100; i++) {
        add_one(&run, 0);
    }
    until_answered(&run, 100);
    cr_assert_eq(run.number, 100);
    finish(&run);
    fake_stop(fake);
}

/* Answers in pairs, the second one first. */
static void crosswise(struct fake_peer *peer, const struct fake_request *request, void *arg)
{
    struct fake_request *held = arg;
    if (request->number % 2 == 1) {
        *held = *request;
        return;
    }
    fake_status(peer, request, SATCHEL_OK, 0);
    fake_status(peer, held, SATCHEL_NOT_FOUND, 0);
}

static void on_expected(void *arg, enum satchel_status status, const struct satchel_result *result)
{
    (void)result;
    cr_assert_eq(status, *(enum satchel_status *)arg);
    *(enum satchel_status *)arg = SATCHEL_CLOSED; /* seen */
}

Test(async, answers_in_another_order_find_their_requests)
{
    struct fake_request held;
    struct fake *fake = fake_start(&(struct fake_options){.script = crosswise, .arg = &held});
    struct run run = start(fake_address(fake), (struct satchel_options){0});
    enum satchel_status expected[20];
    for (size_t i = 0; i < 20; i++) {
        expected[i] = i % 2 == 0 ? SATCHEL_NOT_FOUND : SATCHEL_OK;
        satchel_async_get(run.store, satchel_text("x"), NULL, on_expected, &expected[i]);
    }
    for (size_t i = 0; i < 20; i++) {
        while (expected[i] != SATCHEL_CLOSED) {
            cr_assert_eq(event_base_loop(run.base, EVLOOP_ONCE), 0);
        }
    }
    finish(&run);
    fake_stop(fake);
}

static void busy_twice(struct fake_peer *peer, const struct fake_request *request, void *arg)
{
    (void)arg;
    if (request->number <= 2) {
        fake_status(peer, request, SATCHEL_BUSY, 30);
    } else {
        fake_store(peer, request);
    }
}

Test(async, busy_is_asked_again_after_the_servers_pause)
{
    struct fake *fake = fake_start(&(struct fake_options){.script = busy_twice});
    struct run run = start(fake_address(fake), (struct satchel_options){0});
    int64_t start_ms = now_ms();
    add_one(&run, 0);
    until_answered(&run, 1);
    cr_assert_eq(run.number, 1);
    cr_assert_geq(now_ms() - start_ms, 60);
    cr_assert_eq(fake_requests(fake), 3);
    finish(&run);
    fake_stop(fake);
}

static void drop_first(struct fake_peer *peer, const struct fake_request *request, void *arg)
{
    (void)arg;
    if (request->connection == 1) {
        fake_drop(peer);
    } else {
        fake_store(peer, request);
    }
}

Test(async, a_break_in_flight_is_repeated_only_where_it_does_no_harm)
{
    struct fake *fake = fake_start(&(struct fake_options){.script = drop_first});
    struct run run = start(fake_address(fake), (struct satchel_options){0});
    get(&run, 0);
    until_answered(&run, 1);
    cr_assert_eq(run.last, SATCHEL_NOT_FOUND, "%s", run.message);
    cr_assert_eq(fake_connections(fake), 2);
    finish(&run);
    fake_stop(fake);

    fake = fake_start(&(struct fake_options){.script = drop_first});
    run = start(fake_address(fake), (struct satchel_options){0});
    add_one(&run, 0);
    until_answered(&run, 1);
    cr_assert_eq(run.last, SATCHEL_DISCONNECTED);
    add_one(&run, 0);
    until_answered(&run, 2);
    cr_assert_eq(run.number, 1, "the next one goes to a new connection");
    finish(&run);
    fake_stop(fake);
}

Test(async, a_restart_between_requests_is_no_error)
{
    struct fake *fake = fake_start(NULL);
    struct run run = start(fake_address(fake), (struct satchel_options){0});
    for (unsigned round = 1; round <= 3; round++) {
        add_one(&run, 0);
        until_answered(&run, round);
        cr_assert_eq(run.number, round);
        fake_close_connections(fake);
        /* The loop sees the end before the next request, as a loop that runs always does. */
        (void)event_base_loop(run.base, EVLOOP_NONBLOCK);
    }
    cr_assert_eq(fake_connections(fake), 3);
    finish(&run);
    fake_stop(fake);
}

static void leave_at_second(struct fake_peer *peer, const struct fake_request *request, void *arg)
{
    (void)arg;
    if (request->number == 2) {
        fake_goaway(peer);
    }
    fake_store(peer, request);
}

Test(async, after_goaway_all_are_answered_and_new_ones_go_elsewhere)
{
    struct fake *fake = fake_start(&(struct fake_options){.script = leave_at_second});
    struct run run = start(fake_address(fake), (struct satchel_options){0});
    for (int i = 0; i < 5; i++) {
        add_one(&run, 0);
    }
    until_answered(&run, 5);
    add_one(&run, 0);
    until_answered(&run, 6);
    cr_assert_eq(run.ok, 6);
    cr_assert_eq(run.number, 6);
    cr_assert_eq(fake_connections(fake), 2);
    finish(&run);
    fake_stop(fake);
}

static void say_nothing(struct fake_peer *peer, const struct fake_request *request, void *arg)
{
    (void)peer;
    (void)request;
    (void)arg;
}

Test(async, each_request_has_its_own_deadline)
{
    struct fake *fake = fake_start(&(struct fake_options){.script = say_nothing});
    struct run run = start(fake_address(fake), (struct satchel_options){0});
    int64_t start_ms = now_ms();
    get(&run, 300);
    get(&run, 60);
    until_answered(&run, 1);
    int64_t first_ms = now_ms() - start_ms;
    until_answered(&run, 2);
    int64_t second_ms = now_ms() - start_ms;
    cr_assert_eq(run.last, SATCHEL_TIMED_OUT);
    cr_assert(first_ms >= 59 && first_ms < 290, "%ld", first_ms);
    cr_assert(second_ms >= 299 && second_ms < 2000, "%ld", second_ms);
    finish(&run);
    fake_stop(fake);
}

static void silent_first(struct fake_peer *peer, const struct fake_request *request, void *arg)
{
    (void)arg;
    if (request->connection > 1) {
        fake_store(peer, request);
    }
}

Test(async, a_connection_that_has_gone_silent_is_left)
{
    struct fake *fake = fake_start(&(struct fake_options){.script = silent_first});
    struct run run = start(fake_address(fake), (struct satchel_options){.deadline_ms = 150});
    add_one(&run, 0);
    until_answered(&run, 1);
    cr_assert_eq(run.last, SATCHEL_TIMED_OUT);
    add_one(&run, 2000);
    until_answered(&run, 2);
    cr_assert_eq(run.last, SATCHEL_OK);
    cr_assert_eq(fake_connections(fake), 2);
    finish(&run);
    fake_stop(fake);
}

Test(async, an_absent_server_is_named_at_the_deadline)
{
    struct fake *fake = fake_start(NULL);
    char address[64];
    (void)snprintf(address, sizeof address, "%s", fake_address(fake));
    fake_stop(fake);
    struct run run = start(address, (struct satchel_options){0});
    add_one(&run, 80);
    add_one(&run, 80);
    until_answered(&run, 2);
    cr_assert_eq(run.last, SATCHEL_UNREACHABLE);
    cr_assert_not_null(strstr(run.message, "connection refused"));
    finish(&run);
}

Test(async, names_are_looked_up)
{
    struct fake *fake = fake_start(NULL);
    char address[64];
    (void)snprintf(address, sizeof address, "localhost%s", strchr(fake_address(fake), ':'));
    struct run run = start(address, (struct satchel_options){0});
    add_one(&run, 0);
    until_answered(&run, 1);
    cr_assert_eq(run.last, SATCHEL_OK, "%s", run.message);
    finish(&run);
    fake_stop(fake);
    run = start("no-such-host.invalid:1", (struct satchel_options){0});
    add_one(&run, 100);
    until_answered(&run, 1);
    cr_assert_eq(run.last, SATCHEL_UNREACHABLE);
    cr_assert_not_null(strstr(run.message, "cannot look up"), "%s", run.message);
    finish(&run);
}

Test(async, a_wrong_token_fails_all_that_wait_at_once)
{
    struct fake *fake = fake_start(&(struct fake_options){.token = "open sesame"});
    struct run run = start(fake_address(fake),
                           (struct satchel_options){.token = "x", .deadline_ms = 20000});
    int64_t start_ms = now_ms();
    for (int i = 0; i < 10; i++) {
        add_one(&run, 0);
    }
    until_answered(&run, 10);
    cr_assert_eq(run.last, SATCHEL_UNAUTHENTICATED);
    cr_assert_lt(now_ms() - start_ms, 5000);
    cr_assert_eq(fake_connections(fake), 1);
    finish(&run);
    fake_stop(fake);
}

static void drop_at_once(struct fake_peer *peer, const struct fake_request *request, void *arg)
{
    (void)arg;
    fake_welcome(peer, request);
    fake_drop(peer);
}

static void leave_at_once(struct fake_peer *peer, const struct fake_request *request, void *arg)
{
    (void)arg;
    fake_welcome(peer, request);
    fake_goaway(peer);
}

Test(async, a_server_that_is_of_no_use_is_not_hammered)
{
    static const fake_script hellos[] = {drop_at_once, leave_at_once};
    for (size_t i = 0; i < 2; i++) {
        struct fake *fake = fake_start(&(struct fake_options){.hello = hellos[i]});
        struct run run = start(fake_address(fake), (struct satchel_options){0});
        get(&run, 400);
        until_answered(&run, 1);
        cr_assert_neq(run.last, SATCHEL_OK);
        cr_assert(fake_connections(fake) > 1 && fake_connections(fake) < 50, "%u",
                  fake_connections(fake));
        finish(&run);
        fake_stop(fake);
    }
}

static void full_after_first(struct fake_peer *peer, const struct fake_request *request, void *arg)
{
    (void)arg;
    if (request->connection == 1) {
        fake_welcome(peer, request);
    } else {
        fake_status(peer, request, SATCHEL_BUSY, 0);
        fake_drop(peer);
    }
}

Test(async, a_set_that_may_have_been_applied_is_not_reported_as_never_sent)
{
    struct fake *fake = fake_start(
        &(struct fake_options){.script = drop_first, .hello = full_after_first});
    struct run run = start(fake_address(fake), (struct satchel_options){.deadline_ms = 200});
    satchel_async_set(run.store, satchel_text("x"), satchel_text("y"), NULL, on_answer, &run);
    until_answered(&run, 1);
    cr_assert_eq(run.last, SATCHEL_DISCONNECTED);
    add_one(&run, 0);
    until_answered(&run, 2);
    cr_assert_neq(satchel_status_retry(run.last), SATCHEL_RETRY_MAYBE_APPLIED);
    finish(&run);
    fake_stop(fake);
}

static void stop_reading_first(struct fake_peer *peer, const struct fake_request *request,
                               void *arg)
{
    (void)arg;
    fake_store(peer, request);
    if (request->connection == 1) {
        fake_stop_reading(peer);
    }
}

Test(async, what_was_not_sent_completely_goes_to_the_next_connection)
{
    struct fake *fake = fake_start(&(struct fake_options){.script = stop_reading_first});
    struct run run = start(fake_address(fake), (struct satchel_options){.deadline_ms = 20000});
    get(&run, 0);
    until_answered(&run, 1);

    /* More than the sockets hold, and neither may be repeated once it was sent. */
    static char value[15 * 1024 * 1024];
    satchel_async_set(run.store, satchel_text("large"), (struct satchel_bytes){value, sizeof value},
                      &(struct satchel_command_options){.condition = SATCHEL_IF_ABSENT}, on_answer,
                      &run);
    add_one(&run, 0);
    for (int turn = 0; turn < 50; turn++) {
        (void)event_base_loop(run.base, EVLOOP_NONBLOCK);
    }
    cr_assert_eq(run.answered, 1);
    fake_close_connections(fake);
    until_answered(&run, 3);
    cr_assert_eq(run.ok, 2, "%s: %s", satchel_status_text(run.last), run.message);
    cr_assert_eq(run.number, 1);
    cr_assert_eq(fake_connections(fake), 2);
    finish(&run);
    fake_stop(fake);
}

Test(async, one_request_too_many_is_refused_after_the_call)
{
    struct fake *fake = fake_start(&(struct fake_options){.script = say_nothing});
    struct run run = start(fake_address(fake), (struct satchel_options){.deadline_ms = 60000});
    for (int i = 0; i < 16384; i++) {
        get(&run, 0);
    }
    cr_assert_eq(run.answered, 0);
    get(&run, 0);
    until_answered(&run, 1);
    cr_assert_eq(run.last, SATCHEL_BUSY);
    satchel_async_get(run.store, satchel_text(""), NULL, on_answer, &run);
    until_answered(&run, 2);
    cr_assert_eq(run.last, SATCHEL_BAD_REQUEST);
    cr_assert_not_null(strstr(run.message, "id"));
    finish(&run);
    cr_assert_eq(run.answered, 16384 + 2, "closing answers the rest");
    cr_assert_eq(run.last, SATCHEL_CLOSED);
    fake_stop(fake);
}

/* Each answer asks again, from inside the callback. */
static void on_again(void *arg, enum satchel_status status, const struct satchel_result *result)
{
    struct run *run = arg;
    on_answer(arg, status, result);
    if (run->answered < 200) {
        run->inside = true;
        satchel_async_ping(run->store, on_again, run);
        run->inside = false;
    }
}

Test(async, callbacks_may_ask_again)
{
    struct fake *fake = fake_start(NULL);
    struct run run = start(fake_address(fake), (struct satchel_options){0});
    satchel_async_ping(run.store, on_again, &run);
    until_answered(&run, 200);
    cr_assert_eq(run.ok, 200);
    finish(&run);
    fake_stop(fake);
}
