/*
 * Running a transaction: all shards of its sessions are locked, in ascending order, from reading
 * what is there to the journal and the table. Its records are one piece of one frame, which a
 * recovery replays whole or not at all.
 */
#include "store/commit.h"
#include "store/record.h"
#include "store/store_private.h"

enum { RECORDS_BYTES_MAX = 64 * 1024 * 1024 }; /* of one transaction: a frame of its own */

struct transact {
    struct store *store;
    struct transaction *transaction;
    uint64_t named[TABLE_SHARDS / 64]; /* a bit for each shard that has a session in it */
};

static struct shard *shard_of(const struct transact *self, const struct transaction_key *key)
{
    return table_shard(&self->store->table, key->hash);
}

/* The shards of the transaction in ascending order; TABLE_SHARDS: no more from `from` on. */
static size_t next_shard(const struct transact *self, size_t from)
{
    for (size_t word = from / 64; word < TABLE_SHARDS / 64; word++) {
        uint64_t bits = self->named[word];
        bits &= word == from / 64 ? ~UINT64_C(0) << from % 64 : ~UINT64_C(0);
        if (bits != 0) {
            return word * 64 + (size_t)__builtin_ctzll(bits);
        }
    }
    return TABLE_SHARDS;
}

static void lock_all(struct transact *self)
{
    const struct transaction *transaction = self->transaction;
    for (size_t i = 0; i < transaction->count; i++) {
        size_t shard = (size_t)(shard_of(self, &transaction->keys[i]) - self->store->table.shards);
        self->named[shard / 64] |= UINT64_C(1) << shard % 64;
    }
    for (size_t i = next_shard(self, 0); i < TABLE_SHARDS; i = next_shard(self, i + 1)) {
        shard_lock(&self->store->table.shards[i]);
    }
}

static void unlock_all(const struct transact *self)
{
    for (size_t i = next_shard(self, 0); i < TABLE_SHARDS; i = next_shard(self, i + 1)) {
        shard_unlock(&self->store->table.shards[i]);
    }
}

/* Reads what is there. AGAIN: a reader fetches a value; BUSY goes to `*status`. */
static enum status read_key(const struct transact *self, struct transaction_key *key, void *waiter,
                            enum satchel_status *status)
{
    struct shard *shard = shard_of(self, key);
    const struct slot *slot = shard_find(shard, key->hash, key->id);
    struct entry *entry = slot == NULL ? NULL : slot->entry;
    key->kind = CHANGE_NONE;
    key->has_old = false;
    key->is_stale = false;
    key->gate_lsn = entry == NULL ? 0 : entry_gate(shard, entry);
    if (entry == NULL || entry->tombstone) {
        return STATUS_OK;
    }
    key->is_stale = session_is_expired((int64_t)entry->expires_ms, self->transaction->now_ms);
    key->has_old = !key->is_stale;
    if (key->is_stale) {
        return STATUS_OK;
    }
    if (!entry->resident && self->transaction->needs_content) {
        enum status queued = waiter == NULL ? STATUS_OK
                                            : loader_request(self->store->loader, key->hash,
                                                             entry->rowid, waiter);
        if (queued == STATUS_OK) {
            return STATUS_AGAIN;
        }
        *status = store_refusal(self->store);
        return STATUS_OK;
    }
    key->old = entry_session(entry);
    entry->referenced = 1;
    return STATUS_OK;
}

static enum status read_all(const struct transact *self, void *waiter, enum satchel_status *status)
{
    const struct transaction *transaction = self->transaction;
    enum status found = STATUS_OK;
    for (size_t i = 0; i < transaction->count && found == STATUS_OK && *status == SATCHEL_OK; i++) {
        found = read_key(self, &transaction->keys[i], waiter, status);
    }
    return found;
}

static void free_fresh(struct transaction *transaction)
{
    for (size_t i = 0; i < transaction->count; i++) {
        entry_free(transaction->keys[i].fresh);
        transaction->keys[i].fresh = NULL;
    }
}

/* What a commit needs of the journal. */
struct needs {
    size_t bytes;
    uint32_t records;
};

/* Everything that may fail before the journal. OK; BUSY: no memory; TOO_LARGE: for one
 * transaction. */
static enum satchel_status prepare(const struct transact *self, struct needs *needs)
{
    uint8_t inserts[TABLE_SHARDS] = {0};
    struct transaction *transaction = self->transaction;
    bool is_over_budget = atomic_load_explicit(&self->store->over_budget, memory_order_relaxed);
    for (size_t i = 0; i < transaction->count; i++) {
        struct transaction_key *key = &transaction->keys[i];
        struct change change = transaction_change(transaction, i);
        if (change.kind == CHANGE_NONE) {
            continue;
        }
        struct shard *shard = shard_of(self, key);
        const struct slot *slot = shard_find(shard, key->hash, key->id);
        uint8_t *new_ones = &inserts[shard - self->store->table.shards];
        if (slot == NULL) {
            ++*new_ones;
        }
        bool grows = change.kind == CHANGE_PUT || change.kind == CHANGE_PATCH;
        bool has_id = key->id.len > 0 && key->id.len <= SATCHEL_ID_BYTES_MAX;
        if (*new_ones > SHARD_INSERTS_MAX || (grows && !has_id)) {
            return SATCHEL_TOO_LARGE;
        }
        /* The list gets room for all of the transaction: more than are in this shard. */
        if ((grows && is_over_budget) ||
            shard_reserve(shard, *new_ones, (uint32_t)transaction->count) != STATUS_OK ||
            !change_prepare(shard_find(shard, key->hash, key->id), &change, &key->fresh)) {
            return store_refusal(self->store);
        }
        if (change_is_journalled(&change)) {
            needs->bytes += record_bytes(record_type_of(change.kind), &change);
            needs->records++;
        }
    }
    return needs->bytes <= RECORDS_BYTES_MAX ? SATCHEL_OK : SATCHEL_TOO_LARGE;
}

/* Writes the records; false when the journal takes no more for now. */
static bool write_records(const struct transact *self, const struct needs *needs, uint64_t *lsn)
{
    uint8_t *to = journal_begin(self->store->journal, needs->bytes, needs->records, lsn);
    if (to == NULL) {
        return false;
    }
    uint64_t next_lsn = *lsn;
    for (size_t i = 0; i < self->transaction->count; i++) {
        struct change change = transaction_change(self->transaction, i);
        if (change_is_journalled(&change)) {
            enum record_type type = record_type_of(change.kind);
            record_encode(to, type, &change, next_lsn++);
            to += record_bytes(type, &change);
        }
    }
    journal_end(self->store->journal);
    return true;
}

static void place_all(const struct transact *self, uint64_t lsn)
{
    for (size_t i = 0; i < self->transaction->count; i++) {
        struct transaction_key *key = &self->transaction->keys[i];
        struct change change = transaction_change(self->transaction, i);
        if (change.kind == CHANGE_NONE) {
            continue;
        }
        struct shard *shard = shard_of(self, key);
        struct slot *slot = shard_find(shard, key->hash, key->id);
        bool is_journalled = change_is_journalled(&change);
        change_place(shard, key->hash, &slot, key->fresh, &change, is_journalled ? lsn : 0);
        key->fresh = NULL;
        lsn += is_journalled ? 1 : 0;
    }
}

/* Commits what the body staged. */
static void commit(const struct transact *self, struct store_outcome *out)
{
    struct needs needs = {0};
    uint64_t lsn = 0;
    out->status = self->transaction->is_out_of_memory ? store_refusal(self->store)
                                                      : prepare(self, &needs);
    if (out->status == SATCHEL_OK && needs.records != 0 && !write_records(self, &needs, &lsn)) {
        out->status = store_refusal(self->store);
    }
    if (out->status != SATCHEL_OK) {
        out->gate_lsn = 0;
        free_fresh(self->transaction);
        return;
    }
    place_all(self, lsn);
    if (needs.records != 0) {
        out->gate_lsn = lsn + needs.records - 1; /* above all that was read */
    }
}

enum status store_transact(struct store *self, struct transaction *transaction, void *waiter,
                           store_body_fn body, void *body_arg, struct store_outcome *out)
{
    *out = (struct store_outcome){.status = SATCHEL_OK};
    enum store_state state = store_state(self);
    if (state != STORE_SERVING) {
        out->status = state == STORE_LOADING ? SATCHEL_LOADING : SATCHEL_STOPPING;
        return STATUS_OK;
    }
    struct transact transact = {.store = self, .transaction = transaction};
    lock_all(&transact);
    enum status status = read_all(&transact, waiter, &out->status);
    if (status == STATUS_OK && out->status == SATCHEL_OK) {
        for (size_t i = 0; i < transaction->count; i++) {
            uint64_t gate_lsn = transaction->keys[i].gate_lsn;
            out->gate_lsn = gate_lsn > out->gate_lsn ? gate_lsn : out->gate_lsn;
        }
        body(body_arg, transaction);
        commit(&transact, out);
    }
    unlock_all(&transact);
    return status;
}
