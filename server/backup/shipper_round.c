/* One round of the shipper: taking the log over, then a slot. */
#include <inttypes.h>

#include "backup/chain_private.h"
#include "backup/shipper_private.h"
#include "base/log.h"

enum {
    TAKE_BYTES_MAX = 8 * 1024 * 1024, /* of changes in a slot, when there are many */
    FENCE_TRIES_MAX = 10, /* the process before us writes once a second while it lives */
};

static void set_unshipped(struct shipper *self, uint64_t oldest_ms)
{
    (void)pthread_mutex_lock(&self->lock);
    self->unshipped_ms = oldest_ms;
    (void)pthread_mutex_unlock(&self->lock);
}

/* Not of what the archive has: a large journal was recovered then, and nothing is missing. */
static void tell_dropped(const struct shipper *self)
{
    const struct feed_gap *gap = &self->taken.gap;
    if (gap->changes != 0 && gap->last_lsn > self->chain.last_lsn) {
        log_warn("backup: changes were dropped, because too many waited to be shipped",
                 "changes=%" PRIu64 " first_lsn=%" PRIu64 " last_lsn=%" PRIu64, gap->changes,
                 gap->first_lsn, gap->last_lsn);
    }
}

/* Takes from the feed what the archive does not have; afterwards `taken` has some of that or
 * nothing. Tells the time of the first. */
static void take_new(struct shipper *self, int64_t *time_ms)
{
    while (true) {
        if (self->taken.chunks == NULL) {
            feed_take(self->deps.feed, TAKE_BYTES_MAX, &self->taken);
            tell_dropped(self);
        }
        if (self->taken.chunks == NULL || chain_first_new(&self->chain, &self->taken, time_ms)) {
            break;
        }
        feed_return(self->deps.feed, &self->taken);
    }
    set_unshipped(self, self->taken.oldest_ms);
}

/* ---- Telling -------------------------------------------------------------------------------- */

/* Makes known where the log is now, and that a snapshot is owed. */
static void publish(struct shipper *self)
{
    const struct chain *chain = &self->chain;
    (void)pthread_mutex_lock(&self->lock);
    /* Not before the changes that the store has recovered are told, or known to be missing: a
     * snapshot that counts from an earlier one would wait for them in the log for ever. */
    self->is_known = self->is_known || chain->last_lsn >= self->options.store_lsn;
    self->status.position = (struct shipper_position){.next_seq = chain->next_seq,
                                                      .shipped_lsn = chain->last_lsn};
    self->status.owes_snapshot = chain->owes_snapshot;
    (void)pthread_mutex_unlock(&self->lock);
    metric_set(&self->metrics.snapshot_owed, chain->owes_snapshot ? 1 : 0);
    metric_add(&self->metrics.gaps, chain->gaps - self->gaps);
    self->gaps = chain->gaps;
    if (chain->owes_snapshot && self->told_gap_seq != chain->gap_seq) {
        self->told_gap_seq = chain->gap_seq;
        log_warn("backup: changes are missing in the log, so a snapshot is owed", "slot=%" PRIu64,
                 chain->gap_seq);
        self->deps.events.snapshot_owed(self->deps.events.arg);
    }
}

static void note_snapshots(struct shipper *self)
{
    (void)pthread_mutex_lock(&self->lock);
    uint64_t covered_seq = self->covered_seq;
    (void)pthread_mutex_unlock(&self->lock);
    if (self->chain.owes_snapshot) {
        chain_note_snapshot(&self->chain, covered_seq);
        if (!self->chain.owes_snapshot) {
            publish(self);
        }
    }
}

/* ---- Taking over ---------------------------------------------------------------------------- */

static void tell_taken_over(struct shipper *self)
{
    const struct chain *chain = &self->chain;
    (void)pthread_mutex_lock(&self->lock);
    self->status.is_conditional = chain->archive.is_conditional;
    self->status.is_deletable = chain->is_deletable;
    (void)pthread_mutex_unlock(&self->lock);
    log_info("backup: the log is taken over",
             "slot=%" PRIu64 " epoch=%" PRIu64 " base_lsn=%" PRIu64, chain->next_seq - 1,
             self->options.epoch, chain->base_lsn);
    if (!chain->is_deletable) {
        log_warn("backup: these credentials cannot delete, so old backups stay for ever", NULL);
    }
    publish(self);
}

static enum chain_status take_over(struct shipper *self)
{
    struct chain *chain = &self->chain;
    struct manifest newest;
    struct chain_hint hint = {0};
    bool has_newest;
    if (archive_find_newest(&chain->archive, &newest, &has_newest) != S3_OK) {
        return chain_fail_s3(chain, "cannot look for snapshots");
    }
    if (has_newest) {
        hint = (struct chain_hint){.next_seq = newest.next_seq,
                                   .through_lsn = newest.through_lsn,
                                   .epoch = newest.id.epoch};
        memcpy(hint.uuid, newest.uuid, sizeof hint.uuid);
    }
    enum chain_status status = CHAIN_OK;
    for (unsigned i = 0; status == CHAIN_OK && !chain->is_open && i < FENCE_TRIES_MAX; i++) {
        status = chain_find(chain, &hint);
        if (status == CHAIN_OK && !chain->is_open) {
            int64_t first_ms = self->options.recovered_ms;
            take_new(self, &first_ms);
            chain_meet(chain, &self->taken);
            status = chain_fence(chain, first_ms < self->options.recovered_ms
                                            ? first_ms
                                            : self->options.recovered_ms);
        }
    }
    if (status == CHAIN_OK && !chain->is_open) {
        status = chain_fail(chain, CHAIN_FAILED, "another process keeps writing the log");
    }
    if (status == CHAIN_OK) {
        tell_taken_over(self);
    }
    return status;
}

/* ---- Shipping ------------------------------------------------------------------------------- */

/* Makes the next slot pending, if there is something. */
static enum chain_status prepare(struct shipper *self)
{
    int64_t first_ms;
    take_new(self, &first_ms);
    if (self->taken.chunks == NULL) {
        chain_end_recovered(&self->chain);
        publish(self);
        return CHAIN_OK;
    }
    enum chain_status status = chain_prepare(&self->chain, &self->taken);
    if (status == CHAIN_OK) {
        feed_return(self->deps.feed, &self->taken);
    }
    return status;
}

static enum chain_status ship(struct shipper *self)
{
    struct chain *chain = &self->chain;
    const uint64_t raw_bytes = chain->raw_bytes;
    const uint64_t stored_bytes = chain->stored_bytes;
    enum chain_status status = chain_write(chain);
    if (status == CHAIN_OK) {
        metric_add(&self->metrics.slots, 1);
        metric_add(&self->metrics.changes_bytes, chain->raw_bytes - raw_bytes);
        metric_add(&self->metrics.shipped_bytes, chain->stored_bytes - stored_bytes);
        set_unshipped(self, 0);
        publish(self);
    }
    return status;
}

enum shipper_round shipper_round(struct shipper *self, enum chain_status *why)
{
    enum shipper_round round = ROUND_IDLE;
    *why = self->chain.is_open ? CHAIN_OK : take_over(self);
    if (*why == CHAIN_OK) {
        note_snapshots(self);
        *why = chain_has_pending(&self->chain) ? CHAIN_OK : prepare(self);
    }
    if (*why == CHAIN_OK && chain_has_pending(&self->chain)) {
        round = ROUND_SHIPPED;
        *why = ship(self);
    }
    switch (*why) {
    case CHAIN_OK:
        return round;
    case CHAIN_FAILED:
        return ROUND_FAILED;
    default:
        return ROUND_ENDED;
    }
}
