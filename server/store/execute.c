/*
 * Running one command: under the lock of its shard, from reading the old state to the journal and
 * the table. That makes the order of records the order of changes (invariant 2).
 */
#include "store/commit.h"
#include "store/record.h"
#include "store/store_private.h"

uint64_t store_hash(const struct store *self, struct view id)
{
    return table_hash(&self->table, id);
}

void store_prefetch_slot(struct store *self, uint64_t hash)
{
    table_prefetch_slot(&self->table, hash);
}

void store_prefetch_session(struct store *self, uint64_t hash)
{
    table_prefetch_entry(&self->table, hash);
}

uint64_t store_durable_lsn(const struct store *self)
{
    return store_state(self) == STORE_SERVING ? journal_durable_lsn(self->journal) : 0;
}

void store_flush(struct store *self, bool awaited)
{
    if (store_state(self) == STORE_SERVING) {
        journal_flush(self->journal, awaited);
    }
}

enum store_pressure store_pressure(const struct store *self)
{
    if (store_state(self) != STORE_SERVING) {
        return PRESSURE_NONE;
    }
    uint64_t undurable = journal_undurable_bytes(self->journal);
    return undurable > self->options.undurable_busy_bytes    ? PRESSURE_BUSY
           : undurable > self->options.undurable_pause_bytes ? PRESSURE_PAUSE
                                                             : PRESSURE_NONE;
}

/* Writes the change's record; 0 when the journal takes no more for now. */
static uint64_t write_record(struct store *self, const struct change *change)
{
    enum record_type type = record_type_of(change->kind);
    uint64_t lsn = 0;
    uint8_t *record = journal_begin(self->journal, record_bytes(type, change), 1, &lsn);
    if (record == NULL) {
        return 0;
    }
    record_encode(record, type, change, lsn);
    journal_end(self->journal);
    return lsn;
}

/* Carries out what session_apply decided; returns the lsn to wait for, 0 for BUSY. */
static uint64_t carry_out(struct store *self, struct shard *shard, uint64_t hash,
                          struct slot **slot, const struct change *change)
{
    bool grows = change->kind == CHANGE_PUT || change->kind == CHANGE_PATCH;
    if (grows && atomic_load_explicit(&self->over_budget, memory_order_relaxed)) {
        return 0;
    }
    struct entry *fresh = NULL;
    uint64_t lsn = 0;
    if (change_is_journalled(change)) {
        lsn = change_prepare(*slot, change, &fresh) ? write_record(self, change) : 0;
        if (lsn == 0) {
            entry_free(fresh);
            return 0;
        }
    }
    change_place(shard, hash, slot, fresh, change, lsn);
    return lsn != 0 ? lsn : entry_gate(shard, (*slot)->entry);
}

enum satchel_status store_refusal(struct store *self)
{
    metric_add_shared(&self->metrics.busy, 1);
    return journal_has_space(self->journal) ? SATCHEL_BUSY : SATCHEL_NO_SPACE;
}

static void answer_busy(struct store *self, struct store_reply *reply)
{
    *reply = (struct store_reply){.status = store_refusal(self), .now_ms = reply->now_ms};
}

enum status store_execute(struct store *self, const struct command *cmd, uint64_t hash,
                          int64_t now_ms, struct session_scratch *scratch, void *waiter,
                          store_reply_fn answer, void *answer_arg)
{
    struct store_reply reply = {.now_ms = now_ms};
    enum store_state state = store_state(self);
    if (state != STORE_SERVING) {
        reply.status = state == STORE_LOADING ? SATCHEL_LOADING : SATCHEL_STOPPING;
        answer(answer_arg, &reply);
        return STATUS_OK;
    }
    struct shard *shard = table_shard(&self->table, hash);
    shard_lock(shard);
    struct slot *slot = shard_find(shard, hash, cmd->id);
    struct entry *entry = slot == NULL ? NULL : slot->entry;
    bool live = entry != NULL && !entry->tombstone &&
                !session_is_expired((int64_t)entry->expires_ms, now_ms);
    bool needs_content = cmd->op == SATCHEL_OP_GET || cmd->op == SATCHEL_OP_PATCH ||
                         cmd->op == SATCHEL_OP_TOUCH;
    if (live && needs_content && !entry->resident) {
        enum status queued = waiter == NULL
                                 ? STATUS_OK
                                 : loader_request(self->loader, hash, entry->rowid, waiter);
        if (queued == STATUS_OK) {
            shard_unlock(shard);
            return STATUS_AGAIN;
        }
        answer_busy(self, &reply);
        goto done;
    }

    struct session old;
    if (live) {
        old = entry_session(entry);
        entry->referenced = 1;
    }
    struct change change;
    session_apply(live ? &old : NULL, cmd, now_ms, scratch, &change);
    if (cmd->op == SATCHEL_OP_DELETE && change.status == SATCHEL_NOT_FOUND && entry != NULL &&
        !entry->tombstone) {
        /* Expired, but what is stored says so a little later: after a crash it must not be back,
         * now that somebody was told that it is gone. */
        change.kind = CHANGE_DELETE;
    }
    reply.status = change.status;
    reply.session = change.next;
    reply.returned = change.returned;
    reply.gate_lsn = entry == NULL ? 0 : entry_gate(shard, entry);
    if (change.kind != CHANGE_NONE) {
        enum status room = shard_reserve(shard, 1, 1);
        slot = slot == NULL ? NULL : shard_find(shard, hash, cmd->id); /* reserving moves slots */
        reply.gate_lsn = room != STATUS_OK ? 0 : carry_out(self, shard, hash, &slot, &change);
        if (reply.gate_lsn == 0) {
            answer_busy(self, &reply);
        } else if (change.kind != CHANGE_DELETE) {
            reply.session = entry_session(slot->entry); /* the old one's memory may be gone */
        }
    }
    if (cmd->ack == ACK_FAST) {
        reply.gate_lsn = 0;
    }
done:
    answer(answer_arg, &reply);
    shard_unlock(shard);
    return STATUS_OK;
}
