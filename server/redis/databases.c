/* Counting and emptying databases; see databases.h. */
#include "redis/databases.h"

#include "redis/call.h"
#include "redis/names.h"

enum {
    COUNT_BATCH = 4096,               /* sessions a look at a shard's lock */
    FLUSH_BATCH = 512,                /* sessions a transaction */
    FLUSH_SLICE_NS = 4 * 1000 * 1000, /* for so long other clients of the worker wait */
};

void redis_client_select(struct redis_client *client, unsigned db)
{
    if (db != 0) {
        atomic_store_explicit(&client->worker->redis->databases, REDIS_DATABASES_MANY,
                              memory_order_relaxed);
    }
    client->db = (uint8_t)db;
}

/* ---- Counting ------------------------------------------------------------------------------- */

static void count_session(void *arg, const struct store_scan_entry *entry)
{
    struct redis_database_counts *counts = arg;
    unsigned db = 0;
    (void)redis_key_of(entry->id, &db);
    counts->sessions[db]++;
}

static struct redis_database_counts count_by_walking(struct redis *redis, int64_t now_ms)
{
    struct redis_database_counts counts = {0};
    uint64_t cursor = 0;
    do {
        uint64_t gate_lsn = 0;
        cursor = store_scan(redis->store, cursor, COUNT_BATCH, (struct view){0}, now_ms,
                            count_session, &counts, &gate_lsn);
        counts.gate_lsn = gate_lsn > counts.gate_lsn ? gate_lsn : counts.gate_lsn;
    } while (cursor != 0);
    return counts;
}

bool redis_counting_walks(const struct redis *redis)
{
    return atomic_load_explicit(&redis->databases, memory_order_relaxed) != REDIS_DATABASES_ONE;
}

struct redis_database_counts redis_count_sessions(struct redis *redis, int64_t now_ms)
{
    struct redis_database_counts counts = {0};
    if (!redis_counting_walks(redis)) {
        counts.sessions[0] = store_session_count(redis->store);
        return counts;
    }
    counts = count_by_walking(redis, now_ms);
    bool is_only_one = true;
    for (size_t db = 1; db < REDIS_DATABASES; db++) {
        is_only_one = is_only_one && counts.sessions[db] == 0;
    }
    int unknown = REDIS_DATABASES_UNKNOWN; /* a SELECT meanwhile has the last word */
    if (is_only_one) {
        atomic_compare_exchange_strong(&redis->databases, &unknown, REDIS_DATABASES_ONE);
    }
    return counts;
}

void redis_dbsize(struct redis_call *call)
{
    const struct redis_client *client = call->client;
    struct redis_database_counts counts = redis_count_sessions(client->worker->redis, call->now_ms);
    redis_wait_for(call, counts.gate_lsn);
    resp_integer(call->out, (int64_t)counts.sessions[client->db]);
}

/* ---- Emptying ------------------------------------------------------------------------------- */

/* The sessions that the next transaction deletes. */
struct flush_batch {
    int db;          /* -1: all */
    struct buf *ids; /* length u16 and bytes of each */
    bool has_failed;
};

static void note_id(void *arg, const struct store_scan_entry *entry)
{
    struct flush_batch *self = arg;
    unsigned db = 0;
    (void)redis_key_of(entry->id, &db);
    if (self->db >= 0 && db != (unsigned)self->db) {
        return;
    }
    uint8_t len[sizeof(uint16_t)];
    store_u16(len, (uint16_t)entry->id.len);
    self->has_failed |= buf_append(self->ids, view_of(len, sizeof len)) != STATUS_OK ||
                        buf_append(self->ids, entry->id) != STATUS_OK;
}

static void delete_all(void *arg, struct transaction *transaction)
{
    (void)arg;
    for (size_t i = 0; i < transaction->count; i++) {
        transaction_delete(transaction, i);
    }
}

/* Deletes the sessions of a batch in one transaction. */
static enum satchel_status delete_batch(const struct redis_call *call, struct view ids,
                                        uint64_t *gate_lsn)
{
    struct store *store = call->client->worker->redis->store;
    struct transaction *sessions = call->sessions;
    transaction_begin(sessions, call->now_ms);
    sessions->needs_content = false;
    while (ids.len != 0) {
        struct view id = view_of(ids.ptr + sizeof(uint16_t), load_u16(ids.ptr));
        size_t index = 0;
        if (transaction_name(sessions, id, store_hash(store, id), &index) != STATUS_OK) {
            return SATCHEL_BUSY;
        }
        size_t used = sizeof(uint16_t) + id.len;
        ids = view_of(ids.ptr + used, ids.len - used);
    }
    struct store_outcome outcome = {.status = SATCHEL_OK};
    if (sessions->count != 0 &&
        store_transact(store, sessions, NULL, delete_all, NULL, &outcome) != STATUS_OK) {
        return SATCHEL_BUSY; /* not without content, but if it were, this is what it would mean */
    }
    *gate_lsn = outcome.gate_lsn > *gate_lsn ? outcome.gate_lsn : *gate_lsn;
    return outcome.status;
}

/* Finds and deletes one batch; flush->cursor becomes 0 at the end. */
static enum satchel_status flush_batch(const struct redis_call *call, int db,
                                       struct redis_flush *flush)
{
    struct flush_batch batch = {.db = db, .ids = &call->scratch->content};
    uint64_t gate_lsn = 0;
    batch.ids->len = 0;
    flush->cursor = store_scan(call->client->worker->redis->store, flush->cursor, FLUSH_BATCH,
                               (struct view){0}, call->now_ms, note_id, &batch, &gate_lsn);
    flush->gate_lsn = gate_lsn > flush->gate_lsn ? gate_lsn : flush->gate_lsn;
    return batch.has_failed ? SATCHEL_BUSY
                            : delete_batch(call, buf_view(batch.ids), &flush->gate_lsn);
}

/*
 * Deletes batch after batch for a moment. If that was not enough the command is run again when the
 * worker has looked after its other clients. What is set meanwhile may stay or go, and the reply
 * waits until all of it is durable.
 */
static void flush(struct redis_call *call, int db)
{
    struct redis_client *client = call->client;
    const struct redis_options *options = &client->worker->redis->options;
    struct redis_flush *flush = &client->flush;
    if (!flush->is_under_way) {
        *flush = (struct redis_flush){.is_under_way = true};
    }
    int64_t end_ns = clock_mono_ns(options->clock) + FLUSH_SLICE_NS;
    enum satchel_status status = SATCHEL_OK;
    do {
        status = flush_batch(call, db, flush);
    } while (status == SATCHEL_OK && flush->cursor != 0 && clock_mono_ns(options->clock) < end_ns);
    if (status == SATCHEL_OK && flush->cursor != 0) {
        call->is_waiting = true;
        if (call->waiter != NULL) {
            options->loaded(call->waiter);
        }
        return;
    }
    flush->is_under_way = false;
    redis_wait_for(call, flush->gate_lsn);
    if (status == SATCHEL_OK) {
        redis_ok(call);
    } else {
        redis_refuse(call->out, status);
    }
}

/* SYNC and ASYNC are the same here; false: an error was answered. */
static bool check_mode(const struct redis_call *call)
{
    bool is_fine = call->argc == 1 || (call->argc == 2 && (redis_arg_is(call, 1, "sync") ||
                                                           redis_arg_is(call, 1, "async")));
    if (!is_fine) {
        redis_syntax_error(call);
    }
    return is_fine;
}

void redis_flushdb(struct redis_call *call)
{
    if (check_mode(call)) {
        flush(call, call->client->db);
    }
}

void redis_flushall(struct redis_call *call)
{
    if (check_mode(call)) {
        flush(call, -1);
    }
}
