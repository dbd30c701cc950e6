/* The blocking client against a server that follows a script. */
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "satchel/satchel.h"
#include "unit/client/fake.h"

TestSuite(blocking, .timeout = 30);

static struct satchel *open_store(struct satchel_options options, const char *server)
{
    struct satchel *store = NULL;
    options.server = server;
    cr_assert_eq(satchel_open(&options, &store), SATCHEL_OK);
    return store;
}

static int64_t now_ms(void)
{
    return clock_mono_ns(&clock_system) / 1000000;
}

static struct satchel_bytes id(void)
{
    return satchel_text("cart:42");
}

static enum satchel_status add_one(struct satchel *store, struct satchel_result *result)
{
    struct satchel_op op = {.op = SATCHEL_FIELD_INCREMENT, .name = satchel_text("n"), .delta = 1};
    return satchel_patch(store, id(), &op, 1, NULL, result);
}

static int64_t field_number(const struct satchel_result *result, const char *name)
{
    struct satchel_bytes value = {0};
    cr_assert(satchel_find_field(result->content, satchel_text(name), &value));
    char text[32];
    (void)snprintf(text, sizeof text, "%.*s", (int)value.len, (const char *)value.ptr);
    return strtoll(text, NULL, 10);
}

static void assert_status(enum satchel_status got, enum satchel_status wanted)
{
    cr_assert_eq(got, wanted, "%s instead of %s: %s", satchel_status_text(got),
                 satchel_status_text(wanted), satchel_last_message());
}

/* ---- Commands ------------------------------------------------------------------------------- */

static void walk_through_the_commands(size_t piece_bytes)
{
    struct fake *fake = fake_start(&(struct fake_options){.piece_bytes = piece_bytes});
    struct satchel *store = open_store((struct satchel_options){0}, fake_address(fake));
    struct satchel_result result = {0};
    assert_status(satchel_ping(store), SATCHEL_OK);
    assert_status(satchel_get(store, id(), NULL, &result), SATCHEL_NOT_FOUND);
    cr_assert_not(result.has_content);

    struct satchel_bytes owner = satchel_text("bob");
    assert_status(
        satchel_set(store, id(), satchel_text("three apples"),
                    &(struct satchel_command_options){.idle_ttl_ms = 60000, .owner = &owner},
                    &result),
        SATCHEL_OK);
    uint64_t version = result.version;
    cr_assert_gt(version, 0);
    assert_status(satchel_get(store, id(), NULL, &result), SATCHEL_OK);
    cr_assert(result.has_content && result.kind == SATCHEL_BLOB && result.content.len == 12);
    cr_assert_eq(memcmp(result.content.ptr, "three apples", 12), 0);
    cr_assert(result.owner.len == 3 && memcmp(result.owner.ptr, "bob", 3) == 0);
    cr_assert(result.idle_ttl_ms == 60000 && result.expires_in_ms <= 60000);
    assert_status(add_one(store, &result), SATCHEL_WRONG_KIND);
    assert_status(satchel_set(store, id(), satchel_text("x"),
                              &(struct satchel_command_options){.condition = SATCHEL_IF_ABSENT},
                              &result),
                  SATCHEL_CONDITION_FAILED);
    cr_assert_eq(result.version, version);
    assert_status(satchel_touch(store, id(), NULL, NULL), SATCHEL_OK);
    assert_status(satchel_delete(store, id(), NULL, NULL), SATCHEL_OK);
    assert_status(satchel_delete(store, id(), NULL, NULL), SATCHEL_NOT_FOUND);

    struct satchel_field fields[] = {{satchel_text("n"), satchel_text("41")},
                                     {satchel_text("pear"), satchel_text("")}};
    assert_status(satchel_set_fields(store, id(), fields, 2, NULL, &result), SATCHEL_OK);
    assert_status(add_one(store, &result), SATCHEL_OK);
    cr_assert_eq(field_number(&result, "n"), 42);
    assert_status(satchel_stats(store, &result), SATCHEL_OK);
    cr_assert_eq(result.content.len, strlen("fake_sessions 3\nfake_seconds_total 1.5\n"));
    cr_assert_str_eq(satchel_last_message(), "");
    cr_assert_eq(fake_connections(fake), 1, "one connection serves all");
    satchel_result_free(&result);
    satchel_close(store);
    fake_stop(fake);
}

Test(blocking, all_commands_work)
{
    walk_through_the_commands(0);
}

Test(blocking, answers_may_come_byte_by_byte)
{
    walk_through_the_commands(1);
}

Test(blocking, a_large_value_goes_there_and_back)
{
    struct fake *fake = fake_start(NULL);
    struct satchel *store = open_store((struct satchel_options){.deadline_ms = 20000},
                                       fake_address(fake));
    size_t len = 8 * 1024 * 1024;
    char *value = malloc(len);
    for (size_t i = 0; i < len; i++) {
        value[i] = (char)(i * 7 + i / 251);
    }
    struct satchel_result result = {0};
    assert_status(satchel_set(store, id(), (struct satchel_bytes){value, len}, NULL, NULL),
                  SATCHEL_OK);
    assert_status(satchel_get(store, id(), NULL, &result), SATCHEL_OK);
    cr_assert(result.content.len == len && memcmp(result.content.ptr, value, len) == 0);
    assert_status(satchel_set(store, id(),
                              (struct satchel_bytes){value, SATCHEL_VALUE_BYTES_MAX + (size_t)1},
                              NULL, &result),
                  SATCHEL_TOO_LARGE);
    cr_assert_gt(result.message.len, 0);
    free(value);
    satchel_result_free(&result);
    satchel_close(store);
    fake_stop(fake);
}

static bool count_entry(void *arg, const struct satchel_scan_entry *entry)
{
    size_t *seen = arg;
    cr_assert(entry->id.len == 6 && memcmp(entry->id.ptr, "cart:", 5) == 0);
    cr_assert(entry->content_bytes == 1 && entry->kind == SATCHEL_BLOB && entry->version > 0);
    (*seen)++;
    return *seen != 5;
}

Test(blocking, a_scan_goes_through_all_pages_and_stops_when_told)
{
    struct fake *fake = fake_start(NULL);
    struct satchel *store = open_store((struct satchel_options){0}, fake_address(fake));
    for (int i = 0; i < 9; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "cart:%d", i);
        assert_status(satchel_set(store, satchel_text(name), satchel_text("x"), NULL, NULL),
                      SATCHEL_OK);
        name[0] = 'p';
        assert_status(satchel_set(store, satchel_text(name), satchel_text("x"), NULL, NULL),
                      SATCHEL_OK);
    }
    size_t seen = 100;
    assert_status(satchel_scan(store, satchel_text("cart:"), count_entry, &seen), SATCHEL_OK);
    cr_assert_eq(seen, 109);
    seen = 0;
    assert_status(satchel_scan(store, satchel_text("cart:"), count_entry, &seen), SATCHEL_OK);
    cr_assert_eq(seen, 5);
    satchel_close(store);
    fake_stop(fake);
}

/* ---- Retries -------------------------------------------------------------------------------- */

struct script {
    unsigned count; /* requests to treat specially */
    enum satchel_status status;
    uint64_t retry_after_ms;
    bool apply_first; /* before dropping */
    bool drop;
    bool goaway;
};

static void play(struct fake_peer *peer, const struct fake_request *request, void *arg)
{
    const struct script *script = arg;
    if (request->number > script->count) {
        fake_store(peer, request);
    } else if (script->goaway) {
        fake_goaway(peer);
        fake_store(peer, request);
    } else if (script->drop) {
        fake_drop(peer);
    } else {
        fake_status(peer, request, script->status, script->retry_after_ms);
    }
}

Test(blocking, what_may_be_retried_is_until_it_works)
{
    static const enum satchel_status statuses[] = {SATCHEL_BUSY, SATCHEL_LOADING, SATCHEL_STOPPING,
                                                   SATCHEL_NO_SPACE};
    for (size_t i = 0; i < 4; i++) {
        struct script script = {.count = 3, .status = statuses[i]};
        struct fake *fake = fake_start(&(struct fake_options){.script = play, .arg = &script});
        struct satchel *store = open_store((struct satchel_options){0}, fake_address(fake));
        struct satchel_result result = {0};
        assert_status(add_one(store, &result), SATCHEL_OK);
        cr_assert_eq(field_number(&result, "n"), 1);
        cr_assert_eq(fake_requests(fake), 4);
        satchel_result_free(&result);
        satchel_close(store);
        fake_stop(fake);
    }
}

Test(blocking, the_servers_pause_is_respected_and_so_is_the_deadline)
{
    struct script script = {.count = 2, .status = SATCHEL_BUSY, .retry_after_ms = 60};
    struct fake *fake = fake_start(&(struct fake_options){.script = play, .arg = &script});
    struct satchel *store = open_store((struct satchel_options){0}, fake_address(fake));
    int64_t start_ms = now_ms();
    assert_status(add_one(store, NULL), SATCHEL_OK);
    cr_assert_geq(now_ms() - start_ms, 120);
    satchel_close(store);
    fake_stop(fake);

    script = (struct script){.count = 1000, .status = SATCHEL_BUSY};
    fake = fake_start(&(struct fake_options){.script = play, .arg = &script});
    store = open_store((struct satchel_options){.deadline_ms = 200}, fake_address(fake));
    start_ms = now_ms();
    cr_assert_neq(add_one(store, NULL), SATCHEL_OK);
    cr_assert_leq(now_ms() - start_ms, 1000);
    cr_assert(fake_requests(fake) > 1 && fake_requests(fake) < 50, "a busy loop");
    satchel_close(store);
    fake_stop(fake);
}

Test(blocking, a_connection_that_the_server_closed_meanwhile_is_no_error)
{
    struct fake *fake = fake_start(NULL);
    struct satchel *store = open_store((struct satchel_options){0}, fake_address(fake));
    struct satchel_result result = {0};
    for (int64_t round = 1; round <= 3; round++) {
        assert_status(add_one(store, &result), SATCHEL_OK);
        cr_assert_eq(field_number(&result, "n"), round);
        cr_assert_eq(fake_connections(fake), round);
        fake_close_connections(fake);
    }
    satchel_result_free(&result);
    satchel_close(store);
    fake_stop(fake);
}

Test(blocking, a_break_in_flight_is_repeated_only_where_it_does_no_harm)
{
    struct satchel_command_options conditional = {.condition = SATCHEL_IF_ABSENT};
    struct satchel_op set = {
        .op = SATCHEL_FIELD_SET, .name = satchel_text("a"), .value = satchel_text("1")};
    for (int row = 0; row < 6; row++) {
        struct script script = {.count = 1, .drop = true};
        struct fake *fake = fake_start(&(struct fake_options){.script = play, .arg = &script});
        struct satchel *store = open_store((struct satchel_options){0}, fake_address(fake));
        enum satchel_status status = SATCHEL_OK;
        enum satchel_status wanted = SATCHEL_OK;
        switch (row) {
        case 0:
            status = add_one(store, NULL);
            wanted = SATCHEL_DISCONNECTED;
            break;
        case 1:
            status = satchel_set(store, id(), satchel_text("x"), &conditional, NULL);
            wanted = SATCHEL_DISCONNECTED;
            break;
        case 2:
            status = satchel_set(store, id(), satchel_text("x"), NULL, NULL);
            break;
        case 3:
            status = satchel_patch(store, id(), &set, 1, NULL, NULL);
            break;
        case 4:
            status = satchel_get(store, id(), NULL, NULL);
            wanted = SATCHEL_NOT_FOUND;
            break;
        default:
            status = satchel_ping(store);
            break;
        }
        cr_assert_eq(status, wanted, "row %d: %s", row, satchel_status_text(status));
        cr_assert_eq(fake_requests(fake), wanted == SATCHEL_DISCONNECTED ? 1 : 2, "row %d", row);
        satchel_close(store);
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

Test(blocking, a_set_that_may_have_been_applied_is_not_reported_as_never_sent)
{
    struct script script = {.count = 1, .drop = true};
    struct fake *fake = fake_start(
        &(struct fake_options){.script = play, .arg = &script, .hello = full_after_first});
    struct satchel *store = open_store((struct satchel_options){.deadline_ms = 200},
                                       fake_address(fake));
    assert_status(satchel_set(store, id(), satchel_text("x"), NULL, NULL), SATCHEL_DISCONNECTED);
    cr_assert_gt(fake_connections(fake), 1, "it was tried again");
    enum satchel_status unsent = satchel_set(store, id(), satchel_text("x"), NULL, NULL);
    cr_assert_neq(satchel_status_retry(unsent), SATCHEL_RETRY_MAYBE_APPLIED);
    satchel_close(store);
    fake_stop(fake);
}

static void garbage(struct fake_peer *peer, const struct fake_request *request, void *arg)
{
    (void)arg;
    if (request->number == 1) {
        uint8_t header[SATCHEL_HEADER_BYTES];
        native_encode_header(header,
                             &(struct native_header){.version = SATCHEL_WIRE_VERSION,
                                                     .opcode = request->header.opcode,
                                                     .flags = SATCHEL_FLAG_REPLY,
                                                     .request_id = request->header.request_id});
        header[SATCHEL_HEADER_BYTES - 1] ^= 0x55;
        fake_send(peer, view_of(header, sizeof header));
    } else {
        fake_store(peer, request);
    }
}

Test(blocking, a_wrong_checksum_ends_the_connection)
{
    struct fake *fake = fake_start(&(struct fake_options){.script = garbage});
    struct satchel *store = open_store((struct satchel_options){0}, fake_address(fake));
    assert_status(add_one(store, NULL), SATCHEL_BAD_REPLY);
    assert_status(add_one(store, NULL), SATCHEL_OK);
    cr_assert_eq(fake_connections(fake), 2);
    satchel_close(store);
    fake_stop(fake);
}

Test(blocking, after_goaway_the_answer_is_taken_and_the_connection_left)
{
    struct script script = {.count = 1, .goaway = true};
    struct fake *fake = fake_start(&(struct fake_options){.script = play, .arg = &script});
    struct satchel *store = open_store((struct satchel_options){0}, fake_address(fake));
    assert_status(add_one(store, NULL), SATCHEL_OK);
    assert_status(add_one(store, NULL), SATCHEL_OK);
    cr_assert_eq(fake_connections(fake), 2);
    satchel_close(store);
    fake_stop(fake);
}

/* ---- Connecting ----------------------------------------------------------------------------- */

Test(blocking, the_token_has_to_be_right)
{
    struct fake *fake = fake_start(&(struct fake_options){.token = "open sesame"});
    static const struct {
        const char *token;
        enum satchel_status status;
    } rows[] = {{NULL, SATCHEL_UNAUTHENTICATED},
                {"open barley", SATCHEL_UNAUTHENTICATED},
                {"open sesame", SATCHEL_OK}};
    for (size_t i = 0; i < 3; i++) {
        struct satchel *store = open_store((struct satchel_options){.token = rows[i].token},
                                           fake_address(fake));
        assert_status(satchel_ping(store), rows[i].status);
        satchel_close(store);
    }
    cr_assert_eq(fake_connections(fake), 3, "a wrong token is not tried again");
    fake_stop(fake);
}

static void say_nothing(struct fake_peer *peer, const struct fake_request *request, void *arg)
{
    (void)peer;
    (void)request;
    (void)arg;
}

Test(blocking, a_hanging_server_is_left_at_the_deadline)
{
    struct fake *fake = fake_start(&(struct fake_options){.script = say_nothing});
    struct satchel *store = open_store((struct satchel_options){.deadline_ms = 150},
                                       fake_address(fake));
    int64_t start_ms = now_ms();
    assert_status(satchel_get(store, id(), NULL, NULL), SATCHEL_TIMED_OUT);
    int64_t took_ms = now_ms() - start_ms;
    cr_assert(took_ms >= 149 && took_ms < 1500, "%ld ms", took_ms);
    start_ms = now_ms();
    assert_status(
        satchel_get(store, id(), &(struct satchel_command_options){.deadline_ms = 40}, NULL),
        SATCHEL_TIMED_OUT);
    cr_assert_lt(now_ms() - start_ms, 1000);
    satchel_close(store);
    fake_stop(fake);
}

Test(blocking, a_server_that_does_not_answer_hello_is_unreachable)
{
    struct fake *fake = fake_start(&(struct fake_options){.hello = say_nothing});
    struct satchel *store = open_store(
        (struct satchel_options){.deadline_ms = 200, .connect_ms = 40}, fake_address(fake));
    assert_status(add_one(store, NULL), SATCHEL_UNREACHABLE);
    cr_assert_not_null(strstr(satchel_last_message(), "no answer to HELLO"));
    cr_assert_gt(fake_connections(fake), 1, "each attempt has its own limit");
    satchel_close(store);
    fake_stop(fake);
}

Test(blocking, an_absent_server_is_named_and_found_when_it_comes)
{
    struct fake *fake = fake_start(NULL);
    char address[64];
    (void)snprintf(address, sizeof address, "%s", fake_address(fake));
    fake_stop(fake);
    struct satchel *store = open_store((struct satchel_options){.deadline_ms = 100}, address);
    struct satchel_result result = {0};
    assert_status(satchel_get(store, id(), NULL, &result), SATCHEL_UNREACHABLE);
    char wanted[128];
    (void)snprintf(wanted, sizeof wanted, "cannot connect to %s: connection refused", address);
    cr_assert_str_eq(satchel_last_message(), wanted);
    cr_assert(result.message.len == strlen(wanted) &&
              memcmp(result.message.ptr, wanted, result.message.len) == 0);
    satchel_result_free(&result);
    satchel_close(store);
}

Test(blocking, names_are_looked_up_and_all_addresses_tried)
{
    struct fake *fake = fake_start(NULL); /* on 127.0.0.1; localhost may be ::1 first */
    char address[64];
    (void)snprintf(address, sizeof address, "localhost%s", strchr(fake_address(fake), ':'));
    struct satchel *store = open_store((struct satchel_options){0}, address);
    assert_status(satchel_ping(store), SATCHEL_OK);
    satchel_close(store);
    fake_stop(fake);

    store = open_store((struct satchel_options){.deadline_ms = 100}, "no-such-host.invalid:1");
    assert_status(satchel_ping(store), SATCHEL_UNREACHABLE);
    cr_assert_not_null(strstr(satchel_last_message(), "cannot look up no-such-host.invalid"));
    satchel_close(store);
}

Test(blocking, an_unusable_address_is_refused_at_once)
{
    struct satchel *store = NULL;
    cr_assert_eq(satchel_open(&(struct satchel_options){.server = "host:port"}, &store),
                 SATCHEL_BAD_REQUEST);
    cr_assert_null(store);
    satchel_close(NULL);
    satchel_result_free(NULL);
}

/* ---- Threads -------------------------------------------------------------------------------- */

enum { THREADS = 8, ADDS = 50 };

static void *add_often(void *arg)
{
    for (int i = 0; i < ADDS; i++) {
        struct satchel_result result = {0};
        assert_status(add_one(arg, &result), SATCHEL_OK);
        satchel_result_free(&result);
    }
    return NULL;
}

static void add_from_threads(unsigned connections_max)
{
    struct fake *fake = fake_start(NULL);
    struct satchel *store = open_store(
        (struct satchel_options){.connections_max = connections_max, .deadline_ms = 20000},
        fake_address(fake));
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, add_often, store), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    }
    struct satchel_result result = {0};
    assert_status(satchel_get(store, id(), NULL, &result), SATCHEL_OK);
    cr_assert_eq(field_number(&result, "n"), THREADS * ADDS);
    cr_assert_leq(fake_connections(fake), connections_max);
    satchel_result_free(&result);
    satchel_close(store);
    fake_stop(fake);
}

Test(blocking, eight_threads_share_one_client)
{
    add_from_threads(8);
}

Test(blocking, eight_threads_share_one_connection)
{
    add_from_threads(1);
}

static void *hang(void *arg)
{
    assert_status(
        satchel_get(arg, id(), &(struct satchel_command_options){.deadline_ms = 1000}, NULL),
        SATCHEL_TIMED_OUT);
    return NULL;
}

Test(blocking, waiting_for_a_connection_ends_at_the_deadline)
{
    struct fake *fake = fake_start(&(struct fake_options){.script = say_nothing});
    struct satchel *store = open_store((struct satchel_options){.connections_max = 1},
                                       fake_address(fake));
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, hang, store), 0);
    while (fake_requests(fake) == 0) {
        (void)usleep(500);
    }
    assert_status(
        satchel_get(store, id(), &(struct satchel_command_options){.deadline_ms = 50}, NULL),
        SATCHEL_BUSY);
    cr_assert_not_null(strstr(satchel_last_message(), "connections of the client are in use"));
    cr_assert_eq(pthread_join(thread, NULL), 0);
    satchel_close(store);
    fake_stop(fake);
}

/* ---- satchel_update ------------------------------------------------------------------------- */

struct append {
    struct satchel *store;
    char letter;
    int disturbances; /* writes by somebody else between the read and the write */
    char value[4096];
};

static enum satchel_update_action append_letter(void *arg, const struct satchel_result *old,
                                                struct satchel_bytes *value)
{
    struct append *append = arg;
    if (append->disturbances > 0) {
        append->disturbances--;
        assert_status(satchel_set(append->store, id(), satchel_text("disturbed"), NULL, NULL),
                      SATCHEL_OK);
    }
    size_t len = old->has_content ? old->content.len : 0;
    memcpy(append->value, len != 0 ? old->content.ptr : "", len);
    append->value[len] = append->letter;
    *value = (struct satchel_bytes){append->value, len + 1};
    return SATCHEL_UPDATE_WRITE;
}

static void *append_often(void *arg)
{
    struct append append = {.store = arg, .letter = 'x'};
    for (int i = 0; i < ADDS; i++) {
        assert_status(satchel_update(arg, id(), append_letter, &append, NULL, NULL), SATCHEL_OK);
    }
    return NULL;
}

Test(blocking, updates_from_eight_threads_lose_nothing)
{
    struct fake *fake = fake_start(NULL);
    struct satchel *store = open_store((struct satchel_options){.deadline_ms = 20000},
                                       fake_address(fake));
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, append_often, store), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    }
    struct satchel_result result = {0};
    assert_status(satchel_get(store, id(), NULL, &result), SATCHEL_OK);
    cr_assert_eq(result.content.len, THREADS * ADDS);
    satchel_result_free(&result);
    satchel_close(store);
    fake_stop(fake);
}

static enum satchel_update_action remove_it(void *arg, const struct satchel_result *old,
                                            struct satchel_bytes *value)
{
    (void)value;
    *(bool *)arg = old->has_content;
    return SATCHEL_UPDATE_DELETE;
}

static enum satchel_update_action leave_it(void *arg, const struct satchel_result *old,
                                           struct satchel_bytes *value)
{
    (void)arg;
    (void)old;
    (void)value;
    return SATCHEL_UPDATE_LEAVE;
}

Test(blocking, an_update_keeps_times_and_owner_and_starts_over_on_conflict)
{
    struct fake *fake = fake_start(NULL);
    struct satchel *store = open_store((struct satchel_options){0}, fake_address(fake));
    struct satchel_bytes owner = satchel_text("bob");
    assert_status(satchel_set(store, id(), satchel_text("a"),
                              &(struct satchel_command_options){.ttl_ms = 50000, .owner = &owner},
                              NULL),
                  SATCHEL_OK);
    struct append append = {.store = store, .letter = 'b'};
    struct satchel_result result = {0};
    assert_status(satchel_update(store, id(), append_letter, &append, NULL, &result), SATCHEL_OK);
    assert_status(satchel_get(store, id(), NULL, &result), SATCHEL_OK);
    cr_assert(result.content.len == 2 && result.owner.len == 3);
    cr_assert(result.expires_in_ms > 0 && result.expires_in_ms <= 50000);

    append.disturbances = 2;
    assert_status(satchel_update(store, id(), append_letter, &append, NULL, &result), SATCHEL_OK);
    assert_status(satchel_get(store, id(), NULL, &result), SATCHEL_OK);
    cr_assert(result.content.len == 10 && memcmp(result.content.ptr, "disturbedb", 10) == 0);

    append.disturbances = 1000000;
    assert_status(satchel_update(store, id(), append_letter, &append,
                                 &(struct satchel_command_options){.deadline_ms = 100}, &result),
                  SATCHEL_CONDITION_FAILED);

    uint64_t requests = fake_requests(fake);
    assert_status(satchel_update(store, id(), leave_it, NULL, NULL, &result), SATCHEL_OK);
    cr_assert(result.has_content && fake_requests(fake) == requests + 1);
    bool existed = false;
    assert_status(satchel_update(store, id(), remove_it, &existed, NULL, &result), SATCHEL_OK);
    cr_assert(existed);
    assert_status(satchel_update(store, id(), remove_it, &existed, NULL, &result), SATCHEL_OK);
    cr_assert_not(existed);
    assert_status(add_one(store, NULL), SATCHEL_OK);
    assert_status(satchel_update(store, id(), remove_it, &existed, NULL, &result),
                  SATCHEL_WRONG_KIND);
    satchel_result_free(&result);
    satchel_close(store);
    fake_stop(fake);
}
