/* What is asked, and what follows an answer. */
#include <string.h>

#include "load/worker.h"

/* How sessions are written before the load. */
static const struct plan preload_plan = {.weight = 1, .step_count = 1, .steps = {OPERATION_SET}};

/* Which values an operation is about: all of a session, or from `*first` one. */
static unsigned values_of(const struct run *run, const struct lane *lane, unsigned *first)
{
    *first = lane->operation == OPERATION_PATCH ? lane->item : 0;
    return run->dialect.has_fields && lane->operation != OPERATION_PATCH ? ITEM_COUNT : 1;
}

/* Makes the values that a write sends. */
static void make_values(struct worker *worker, struct lane *lane, struct request *request)
{
    struct run *run = worker->run;
    uint8_t *to = worker->value;
    unsigned first;
    unsigned count = values_of(run, lane, &first);
    for (unsigned i = 0; i < count; i++) {
        uint64_t value = run_value(run, lane->key, first + i);
        lane->numbers[i] = ledger_send(&run->ledger, value, &lane->is_alone[i]);
        size_t bytes = values_make(&run->values, value,
                                   ledger_generation(&run->ledger, lane->numbers[i]), to);
        request->values[i] = view_of(to, bytes);
        to += bytes;
    }
}

/* Notes that a write was carried out. */
static void note_written(struct worker *worker, const struct lane *lane)
{
    struct run *run = worker->run;
    unsigned first;
    unsigned count = values_of(run, lane, &first);
    for (unsigned i = 0; i < count; i++) {
        ledger_answered(&run->ledger, run_value(run, lane->key, first + i), lane->numbers[i],
                        lane->is_alone[i]);
    }
}

/* Notes what a read has to bring at least. */
static void note_floors(const struct run *run, struct lane *lane)
{
    unsigned first;
    unsigned count = values_of(run, lane, &first);
    for (unsigned i = 0; i < count; i++) {
        lane->numbers[i] = ledger_floor(&run->ledger, run_value(run, lane->key, first + i));
    }
}

/* Sends the present step of the lane's plan. */
static void ask(struct worker *worker, struct lane *lane)
{
    struct run *run = worker->run;
    struct connection *connection = lane->connection;
    uint8_t key[KEY_BYTES];
    lane->operation = lane->plan->steps[lane->step];
    lane->is_missing = false;
    lane->is_bad = false;
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
        request.item = lane->item = (uint8_t)splitmix_below(&worker->random, ITEM_COUNT);
    }
    if (operation_writes(request.operation)) {
        make_values(worker, lane, &request);
    } else {
        note_floors(run, lane);
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

/* Counts a step that was answered while it was measured. Latencies are taken also of what was still
 * in flight at the end, or a server that stands still then would get away with it: in a closed loop
 * of all that ends after the begin, in an open one of all that was due then. */
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
    if (decides_ns >= run->begin_ns && lane->begin_ns < run->end_ns) {
        histogram_add(worker->histograms[lane->operation], at_ns - lane->begin_ns);
    }
}

/* Ends a step. */
static void finish(struct worker *worker, struct lane *lane, uint64_t at_ns)
{
    uint64_t progress = atomic_load_explicit(&worker->progress, memory_order_relaxed);
    atomic_store_explicit(&worker->progress, progress + 1, memory_order_relaxed);
    worker->in_flight--;
    if (!lane->is_bad) {
        count(worker, lane, at_ns);
    }
    go_on(worker, lane, at_ns);
}

void lane_connected(struct worker *worker, struct lane *lane, uint64_t at_ns)
{
    lane->answers = 0;
    finish(worker, lane, at_ns);
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
    if (!answer_check(worker, lane, answer)) {
        lane->is_bad = true;
    }
    if (--lane->answers > 0) {
        return true;
    }
    if (worker->run->protocol->answers_in_order) {
        (void)line_pop(&connection->due);
    }
    if (!lane->is_bad && operation_writes(lane->operation)) {
        note_written(worker, lane);
    }
    finish(worker, lane, at_ns);
    return true;
}
