/* Transactions over several sessions: all of it or nothing, for readers, for a crash, for limits.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "session/number.h"
#include "store/store_private.h"
#include "support/random.h"
#include "support/store_stand.h"

enum { ACCOUNTS = 32, START = 1000, WRITERS = 3, TRANSFERS = 2000 };

/* Names sessions "0", "1" … `text` keeps the names while the transaction uses them. */
static size_t name_account(struct stand *stand, struct transaction *transaction, size_t number,
                           char text[16])
{
    size_t index = 0;
    (void)snprintf(text, 16, "%zu", number);
    struct view id = view_str(text);
    cr_assert(eq(int, transaction_name(transaction, id, store_hash(stand->store, id), &index),
                 STATUS_OK));
    return index;
}

/* Runs a transaction, waiting for values that are not in memory; nothing is flushed. */
static struct store_outcome transact(struct stand *stand, struct transaction *transaction,
                                     store_body_fn body, void *arg)
{
    struct store_outcome outcome;
    for (;;) {
        _Atomic bool loaded = false;
        if (store_transact(stand->store, transaction, &loaded, body, arg, &outcome) == STATUS_OK) {
            return outcome;
        }
        int64_t began_ns = clock_mono_ns(&clock_system);
        while (!atomic_load(&loaded)) {
            stand_pause(began_ns);
        }
    }
}

static int64_t balance(const struct transaction *transaction, size_t index)
{
    const struct session *session = transaction_find(transaction, index);
    int64_t number = START;
    cr_assert(session == NULL || number_parse(session->content, &number) == SATCHEL_OK);
    return number;
}

static void put_balance(struct transaction *transaction, size_t index, int64_t number)
{
    uint8_t digits[NUMBER_BYTES_MAX];
    const struct session next = {.kind = SATCHEL_BLOB, .content = number_format(number, digits)};
    transaction_put(transaction, index, &next);
}

/* ---- What readers see ----------------------------------------------------------------------- */

static void transfer(void *arg, struct transaction *transaction)
{
    (void)arg;
    int64_t from = balance(transaction, 0);
    put_balance(transaction, 0, from - 1);
    /* Both may be the same account, and its own changes are seen. */
    put_balance(transaction, transaction->count - 1,
                balance(transaction, transaction->count - 1) + 1);
}

static void add_up(void *arg, struct transaction *transaction)
{
    int64_t *sum = arg;
    *sum = 0;
    for (size_t i = 0; i < transaction->count; i++) {
        *sum += balance(transaction, i);
    }
}

struct writer {
    struct stand *stand;
    uint64_t seed;
    uint64_t committed;
};

static void *write_transfers(void *arg)
{
    struct writer *self = arg;
    struct random random = {self->seed};
    struct transaction transaction = {0};
    for (int i = 0; i < TRANSFERS; i++) {
        char texts[2][16];
        transaction_begin(&transaction, self->stand->now_ms);
        (void)name_account(self->stand, &transaction, random_below(&random, ACCOUNTS), texts[0]);
        (void)name_account(self->stand, &transaction, random_below(&random, ACCOUNTS), texts[1]);
        struct store_outcome outcome = transact(self->stand, &transaction, transfer, NULL);
        self->committed += outcome.status == SATCHEL_OK ? 1 : 0;
        store_flush(self->stand->store, false);
    }
    transaction_free(&transaction);
    return NULL;
}

static int64_t sum_of_all(struct stand *stand, struct transaction *transaction)
{
    char texts[ACCOUNTS][16];
    int64_t sum = 0;
    transaction_begin(transaction, stand->now_ms);
    for (size_t i = 0; i < ACCOUNTS; i++) {
        (void)name_account(stand, transaction, i, texts[i]);
    }
    cr_assert(eq(int, transact(stand, transaction, add_up, &sum).status, SATCHEL_OK));
    return sum;
}

Test(transact, every_reader_sees_all_of_a_transaction_or_nothing)
{
    struct stand stand;
    struct writer writers[WRITERS];
    pthread_t threads[WRITERS];
    struct transaction transaction = {0};
    stand_init(&stand);
    stand_open(&stand);
    for (size_t i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.stand = &stand, .seed = i};
        cr_assert(eq(int, pthread_create(&threads[i], NULL, write_transfers, &writers[i]), 0));
    }
    for (int i = 0; i < 200; i++) {
        cr_assert(eq(i64, sum_of_all(&stand, &transaction), ACCOUNTS * START));
    }
    for (size_t i = 0; i < WRITERS; i++) {
        (void)pthread_join(threads[i], NULL);
        cr_assert(eq(u64, writers[i].committed, TRANSFERS));
    }
    stand_settle(&stand);
    stand_kill(&stand);
    stand_open(&stand);
    cr_assert(eq(i64, sum_of_all(&stand, &transaction), ACCOUNTS * START));
    transaction_free(&transaction);
    stand_end(&stand);
}

/* ---- What a crash leaves -------------------------------------------------------------------- */

enum { FRAMES_MAX = 20000, GROUP = 200, GROUPS = 1000 };

struct frames {
    uint64_t first_lsn[FRAMES_MAX];
    uint64_t last_lsn[FRAMES_MAX];
    _Atomic size_t count;
};

static void note_frame(void *arg, const struct store_changes *changes)
{
    struct frames *self = arg;
    size_t at = atomic_load(&self->count);
    cr_assert(lt(sz, at, FRAMES_MAX));
    self->first_lsn[at] = changes->first_lsn;
    self->last_lsn[at] = changes->first_lsn + changes->count - 1;
    atomic_store(&self->count, at + 1);
}

/* Flushes all the time, so that frames begin and end anywhere. */
struct flusher {
    struct store *store;
    _Atomic bool stops;
};

static void *flush_always(void *arg)
{
    struct flusher *self = arg;
    while (!atomic_load(&self->stops)) {
        store_flush(self->store, true);
    }
    return NULL;
}

static void put_all(void *arg, struct transaction *transaction)
{
    (void)arg;
    for (size_t i = 0; i < transaction->count; i++) {
        put_balance(transaction, i, 1);
    }
}

Test(transact, its_records_are_in_one_frame_whatever_is_written_beside_it)
{
    static struct frames frames;
    struct stand stand;
    struct writer writers[WRITERS];
    struct flusher flusher = {0};
    pthread_t threads[WRITERS];
    pthread_t flushing;
    struct transaction transaction = {0};
    uint64_t last_lsn[GROUPS];
    stand_init(&stand);
    stand.changes = note_frame;
    stand.changes_arg = &frames;
    stand_open(&stand);
    flusher.store = stand.store;
    for (size_t i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.stand = &stand, .seed = i};
        cr_assert(eq(int, pthread_create(&threads[i], NULL, write_transfers, &writers[i]), 0));
    }
    cr_assert(eq(int, pthread_create(&flushing, NULL, flush_always, &flusher), 0));
    for (size_t i = 0; i < GROUPS; i++) {
        char texts[GROUP][16];
        transaction_begin(&transaction, stand.now_ms);
        for (size_t k = 0; k < GROUP; k++) {
            (void)name_account(&stand, &transaction, 100 + k, texts[k]);
        }
        struct store_outcome outcome = transact(&stand, &transaction, put_all, NULL);
        cr_assert(eq(int, outcome.status, SATCHEL_OK));
        last_lsn[i] = outcome.gate_lsn;
        if (i % 8 == 0) {
            stand_wait_durable(&stand, outcome.gate_lsn);
        }
    }
    for (size_t i = 0; i < WRITERS; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    atomic_store(&flusher.stops, true);
    (void)pthread_join(flushing, NULL);
    store_flush(stand.store, true);
    stand_settle(&stand);
    stand_close(&stand);
    size_t count = atomic_load(&frames.count);
    cr_assert(lt(sz, 10, count));
    for (size_t i = 0, at = 0; i < GROUPS; i++) {
        while (at < count && frames.last_lsn[at] < last_lsn[i]) {
            at++;
        }
        cr_assert(lt(sz, at, count));
        cr_assert(le(u64, frames.first_lsn[at], last_lsn[i] - (GROUP - 1)));
    }
    transaction_free(&transaction);
    stand_end(&stand);
}

/* ---- Limits --------------------------------------------------------------------------------- */

struct many {
    char (*texts)[16];
    size_t count;
};

static enum satchel_status put_many(struct stand *stand, struct transaction *transaction,
                                    struct many many)
{
    transaction_begin(transaction, stand->now_ms);
    for (size_t i = 0; i < many.count; i++) {
        (void)name_account(stand, transaction, i, many.texts[i]);
    }
    return transact(stand, transaction, put_all, NULL).status;
}

Test(transact, too_many_new_sessions_in_a_shard_change_nothing)
{
    struct stand stand;
    struct transaction transaction = {0};
    struct many many = {.count = 40000};
    many.texts = calloc(many.count, sizeof *many.texts);
    stand_init(&stand);
    stand_open(&stand);
    cr_assert(eq(int, put_many(&stand, &transaction, many), SATCHEL_TOO_LARGE));
    cr_assert(eq(u64, store_session_count(stand.store), 0));
    many.count = 2000; /* 8 a shard on average */
    cr_assert(eq(int, put_many(&stand, &transaction, many), SATCHEL_OK));
    cr_assert(eq(u64, store_session_count(stand.store), many.count));
    store_flush(stand.store, true);
    stand_settle(&stand);
    stand_kill(&stand);
    stand_open(&stand);
    cr_assert(eq(u64, store_session_count(stand.store), many.count));
    free(many.texts);
    transaction_free(&transaction);
    stand_end(&stand);
}

Test(transact, a_full_journal_refuses_all_of_it)
{
    struct stand stand;
    struct transaction transaction = {0};
    char texts[3][16];
    struct many many = {.texts = texts, .count = 3};
    stand_init(&stand);
    stand.options.undurable_busy_bytes = 1;
    stand_open(&stand);
    /* Nothing is flushed before somebody asks, so the second one finds the first one's bytes. */
    cr_assert(eq(int, put_many(&stand, &transaction, many), SATCHEL_OK));
    int64_t sum = 0;
    transaction_begin(&transaction, stand.now_ms);
    (void)name_account(&stand, &transaction, 0, texts[0]);
    (void)name_account(&stand, &transaction, 7, texts[1]);
    struct store_outcome outcome = transact(&stand, &transaction, transfer, NULL);
    cr_assert(eq(int, outcome.status, SATCHEL_BUSY));
    cr_assert(eq(u64, outcome.gate_lsn, 0));
    store_flush(stand.store, true);
    stand_settle(&stand);
    transaction_begin(&transaction, stand.now_ms);
    (void)name_account(&stand, &transaction, 0, texts[0]);
    (void)name_account(&stand, &transaction, 7, texts[1]);
    cr_assert(eq(int, transact(&stand, &transaction, add_up, &sum).status, SATCHEL_OK));
    cr_assert(eq(i64, sum, 1 + START)); /* as if the transfer had never been asked for */
    transaction_free(&transaction);
    stand_end(&stand);
}

/* ---- Expired ones, and what is not in memory ------------------------------------------------ */

static void delete_first(void *arg, struct transaction *transaction)
{
    bool *was_there = arg;
    *was_there = transaction_find(transaction, 0) != NULL;
    transaction_delete(transaction, 0);
}

Test(transact, an_expired_session_is_not_seen_and_its_deletion_is_for_good)
{
    struct stand stand;
    struct transaction transaction = {0};
    struct answer answer = {0};
    char text[16];
    bool was_there = true;
    stand_init(&stand);
    stand_open(&stand);
    const struct command set = {.op = SATCHEL_OP_SET,
                                .kind = SATCHEL_BLOB,
                                .id = view_str("1"),
                                .content = view_str("x"),
                                .idle_ttl_ms = 160000};
    stand_run(&stand, &set, &stand.scratch, &answer);
    stand.now_ms += 160000;
    transaction_begin(&transaction, stand.now_ms);
    (void)name_account(&stand, &transaction, 1, text);
    struct store_outcome outcome = transact(&stand, &transaction, delete_first, &was_there);
    cr_assert(eq(int, outcome.status, SATCHEL_OK));
    cr_assert(not(was_there));
    cr_assert(lt(u64, 0, outcome.gate_lsn)); /* it is in the journal */
    store_flush(stand.store, true);
    stand_settle(&stand);
    stand_kill(&stand);
    stand_open(&stand);
    cr_assert(eq(u64, store_session_count(stand.store), 0)); /* what is stored lives longer */
    answer_free(&answer);
    transaction_free(&transaction);
    stand_end(&stand);
}

static void count_bytes(void *arg, struct transaction *transaction)
{
    size_t *bytes = arg;
    *bytes = 0;
    for (size_t i = 0; i < transaction->count; i++) {
        const struct session *session = transaction_find(transaction, i);
        cr_assert(not(eq(ptr, (void *)session, NULL)));
        *bytes += session->content.len;
    }
}

Test(transact, values_that_left_memory_are_fetched_unless_nobody_looks_at_them)
{
    enum { SESSIONS = 200, BYTES = 4000 };
    static uint8_t content[BYTES];
    struct stand stand;
    struct transaction transaction = {0};
    struct store_outcome outcome;
    char texts[SESSIONS][16];
    size_t bytes = 0;
    stand_init(&stand);
    stand.options.memory_bytes = 500 * 1024; /* the empty index has 320 KiB: values must leave */
    stand_open(&stand);
    for (size_t i = 0; i < SESSIONS; i++) {
        (void)snprintf(texts[i], sizeof texts[i], "%zu", i);
        cr_assert(eq(int, stand_set(&stand, texts[i], view_of(content, BYTES)), SATCHEL_OK));
        stand_settle(&stand);
        if (i % 20 == 19) {
            stand_checkpoint(&stand);
            stand_sweep(&stand);
        }
    }
    transaction_begin(&transaction, stand.now_ms);
    for (size_t i = 0; i < 10; i++) {
        (void)name_account(&stand, &transaction, i, texts[i]);
    }
    cr_assert(eq(int,
                 store_transact(stand.store, &transaction, NULL, count_bytes, &bytes, &outcome),
                 STATUS_AGAIN));
    cr_assert(eq(int, transact(&stand, &transaction, count_bytes, &bytes).status, SATCHEL_OK));
    cr_assert(eq(sz, bytes, 10 * BYTES));
    transaction_begin(&transaction, stand.now_ms);
    transaction.needs_content = false;
    for (size_t i = 0; i < SESSIONS; i++) {
        (void)name_account(&stand, &transaction, i, texts[i]);
    }
    cr_assert(eq(int,
                 store_transact(stand.store, &transaction, NULL, count_bytes, &bytes, &outcome),
                 STATUS_OK));
    transaction_free(&transaction);
    stand_end(&stand);
}
