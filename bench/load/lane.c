/* What is asked, and whether the answers are right. */
#include <string.h>

#include "load/worker.h"

/* How sessions are written before the load. */
static const struct plan preload_plan = {.weight = 1, .step_count = 1, .steps = {OPERATION_SET}};

/* The number under which a field's value is made and checked. */
static uint64_t item_key(uint64_t key, unsigned item)
{
    return key * ITEM_COUNT + item;
}

/* Makes the values that a write sends: all of a session of fields, or one. */
static void make_values(struct worker *worker, const struct lane *lane, struct request *request)
{
    struct run *run = worker->run;
    uint8_t *to = worker->value;
    bool has_fields = run->dialect.has_fields;
    /* Relaxed: the number alone matters, see run.h. */
    uint64_t generation = 1 + atomic_fetch_add_explicit(&run->generations[lane->key], 1,
                                                        memory_order_relaxed);
    unsigned count = has_fields && request->operation == OPERATION_SET ? ITEM_COUNT : 1;
    for (unsigned i = 0; i < count; i++) {
        uint64_t key = has_fields ? item_key(lane->key, request->item + i) : lane->key;
        size_t bytes = values_make(&run->values, key, generation, to);
        request->values[i] = view_of(to, bytes);
        to += bytes;
    }
}

static bool is_write(enum operation operation)
{
    return operation == OPERATION_SET || operation == OPERATION_PATCH;
}

/* Sends the present step of the lane's plan. */
static void ask(struct worker *worker, struct lane *lane)
{
    struct run *run = worker->run;
    struct connection *connection = lane->connection;
    uint8_t key[KEY_BYTES];
    lane->operation = lane->plan->steps[lane->step];
    lane->is_missing = false;
    lane->answers = 1;
    worker->in_flight++;
    if (lane->operation == OPERATION_CONNECT) {
        connection_close(connection);
        connection_dial(worker, connection);
        return;
    }
    keys_text(&run->keys, lane->key, key);
    lane->serial++;
    struct request request = {
        .operation = lane->operation,
        .id = (uint64_t)lane->serial << 16 | lane->number,
        .key = view_of(key, sizeof key),
    };
    if (request.operation == OPERATION_PATCH) {
        request.item = (unsigned)splitmix_below(&worker->random, ITEM_COUNT);
    }
    if (is_write(request.operation)) {
        make_values(worker, lane, &request);
    }
    lane->answers = (uint8_t)run->protocol->encode(&run->dialect, &request, &connection->out);
    if (lane->answers == 0) {
        run_fail(run, EXIT_SERVER, "out of memory");
    }
    if (run->protocol->answers_in_order) {
        line_push(&connection->due, lane);
    }
}

void lane_start(struct worker *worker, struct lane *lane, uint64_t begin_ns)
{
    const struct run *run = worker->run;
    if (worker->phase == PHASE_PRELOAD) {
        if (worker->preload_next >= run->keys.count) {
            return;
        }
        lane->plan = &preload_plan;
        lane->key = worker->preload_next;
        worker->preload_next += run->options->threads;
    } else {
        lane->plan = mix_next(&run->options->mix, &worker->random);
        lane->key = keys_next(&run->keys, &worker->random);
    }
    lane->step = 0;
    lane->begin_ns = begin_ns;
    ask(worker, lane);
}

/* Goes on behind a finished step. */
static void go_on(struct worker *worker, struct lane *lane, uint64_t at_ns)
{
    bool is_open = worker->arrivals.interval_ns > 0;
    if (worker->phase == PHASE_DRAIN && !is_open) {
        lane->plan = NULL;
    } else if (++lane->step < lane->plan->step_count) {
        lane->begin_ns = at_ns;
        ask(worker, lane);
    } else {
        lane->plan = NULL;
        if (is_open && worker->phase != PHASE_PRELOAD) {
            line_push(&worker->idle, lane);
        } else {
            lane_start(worker, lane, at_ns);
        }
    }
}

/* Counts a step that was answered. A closed loop counts what ended while it was measured; an open
 * one takes the latency of what was due then, however late it ended. */
static void count(struct worker *worker, const struct lane *lane, uint64_t at_ns)
{
    const struct run *run = worker->run;
    bool is_open = worker->arrivals.interval_ns > 0;
    uint64_t decides_ns = is_open ? lane->begin_ns : at_ns;
    if (worker->phase == PHASE_PRELOAD) {
        return;
    }
    worker->tally.operations_total++;
    if (at_ns >= run->begin_ns && at_ns < run->end_ns) {
        worker->tally.operations++;
        worker->tally.misses += lane->is_missing;
    }
    if (decides_ns >= run->begin_ns && decides_ns < run->end_ns) {
        histogram_add(worker->histograms[lane->operation], at_ns - lane->begin_ns);
    }
}

/* Ends a step. */
static void finish(struct worker *worker, struct lane *lane, bool is_good, uint64_t at_ns)
{
    uint64_t progress = atomic_load_explicit(&worker->progress, memory_order_relaxed);
    atomic_store_explicit(&worker->progress, progress + 1, memory_order_relaxed);
    worker->in_flight--;
    if (is_good) {
        count(worker, lane, at_ns);
    }
    go_on(worker, lane, at_ns);
}

void lane_connected(struct worker *worker, struct lane *lane, uint64_t at_ns)
{
    lane->answers = 0;
    finish(worker, lane, true, at_ns);
}

static void complain(struct worker *worker, const struct lane *lane, struct view what)
{
    uint8_t key[KEY_BYTES];
    keys_text(&worker->run->keys, lane->key, key);
    run_complain(worker->run, lane->operation, view_of(key, sizeof key), what);
}

static void wrong(struct worker *worker, const struct lane *lane, const char *what)
{
    worker->tally.wrong_values++;
    complain(worker, lane, view_str(what));
}

/* What is wrong with a value that was made under the number `value_key`; NULL: nothing. */
static const char *fault_of(const struct run *run, const struct lane *lane, uint64_t value_key,
                            struct view value)
{
    uint64_t generation;
    switch (values_check(&run->values, value_key, value, &generation)) {
    case VALUE_DAMAGED:
        return "wrong value: nothing like it was ever written";
    case VALUE_OTHER_KEY:
        return "wrong value: it is another session's";
    case VALUE_GOOD:
        break;
    }
    /* Without a preload an earlier run may have written it, and counted further. */
    if (run->options->preload &&
        generation - 1 >=
            atomic_load_explicit(&run->generations[lane->key], memory_order_relaxed)) {
        return "wrong value: this run has not written it";
    }
    return NULL;
}

static bool is_counter(struct view value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] < '0' || value.ptr[i] > '9') {
            return false;
        }
    }
    return value.len > 0;
}

/* The same for all fields of a session. */
static const char *fault_of_fields(const struct run *run, const struct lane *lane,
                                   struct view content)
{
    struct field field;
    unsigned items = 0;
    while (run->protocol->next_field(&content, &field)) {
        unsigned item = 0;
        while (item < ITEM_COUNT && !view_equal(field.name, item_names[item])) {
            item++;
        }
        if (item < ITEM_COUNT) {
            const char *fault = fault_of(run, lane, item_key(lane->key, item), field.value);
            if (fault != NULL) {
                return fault;
            }
            items++;
        } else if (!view_equal(field.name, counter_name) || !is_counter(field.value)) {
            return "wrong value: a field that was never written";
        }
    }
    return run->sessions_stay && items < ITEM_COUNT ? "wrong value: fields are lost" : NULL;
}

/* Checks what a GET brought. False when it is no answer to a GET at all. */
static bool verify_get(struct worker *worker, const struct lane *lane, const struct answer *answer)
{
    const struct run *run = worker->run;
    bool has_fields = run->dialect.has_fields;
    if (answer->kind != (has_fields ? ANSWER_FIELDS : ANSWER_VALUE)) {
        return false;
    }
    const char *fault = has_fields ? fault_of_fields(run, lane, answer->content)
                                   : fault_of(run, lane, lane->key, answer->content);
    worker->tally.verified_gets++;
    if (fault != NULL) {
        wrong(worker, lane, fault);
    }
    return true;
}

/* Looks at one answer. False when it is a refusal or none that this request can get. */
static bool check(struct worker *worker, struct lane *lane, const struct answer *answer)
{
    const struct run *run = worker->run;
    bool verify = run->options->verify;
    bool can_miss = lane->operation == OPERATION_TOUCH || lane->operation == OPERATION_DELETE;
    bool is_good = true;
    if (answer->kind == ANSWER_REFUSED) {
        worker->tally.errors++;
        complain(worker, lane, answer->text);
        return false;
    }
    if (answer->kind == ANSWER_MISSING ||
        (answer->kind == ANSWER_NUMBER && answer->number == 0 && can_miss)) {
        lane->is_missing = true;
        if (verify && run->sessions_stay) {
            wrong(worker, lane, "wrong value: the session is gone, though nothing removed it");
        }
    } else if (lane->operation == OPERATION_GET) {
        is_good = !verify || verify_get(worker, lane, answer);
    } else {
        is_good = answer->kind == ANSWER_DONE || answer->kind == ANSWER_NUMBER;
    }
    if (!is_good) {
        worker->tally.errors++;
        complain(worker, lane, view_str("an answer that does not belong to it"));
    }
    return is_good;
}

/* The lane whose request this answers; NULL when there is none. */
static struct lane *find_lane(const struct worker *worker, const struct connection *connection,
                              const struct answer *answer)
{
    if (worker->run->protocol->answers_in_order) {
        return connection->due.first;
    }
    size_t number = answer->id & UINT16_MAX;
    struct lane *lane = number < worker->lane_count ? &connection->lanes[number] : NULL;
    bool waits = lane != NULL && lane->answers > 0 && lane->serial == answer->id >> 16;
    return waits ? lane : NULL;
}

bool lane_answered(struct worker *worker, struct connection *connection,
                   const struct answer *answer, uint64_t at_ns)
{
    struct lane *lane = find_lane(worker, connection, answer);
    if (lane == NULL) {
        return false;
    }
    bool is_good = check(worker, lane, answer);
    if (--lane->answers > 0) {
        return true;
    }
    if (worker->run->protocol->answers_in_order) {
        (void)line_pop(&connection->due);
    }
    finish(worker, lane, is_good, at_ns);
    return true;
}
