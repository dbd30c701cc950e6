/* Batch by batch along a plan. */
#include "backup/replay.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void replay_begin(struct replay *self, const struct manifest *snapshot, const struct target *target)
{
    *self = (struct replay){
        .target = *target,
        .from_lsn = snapshot->id.from_lsn,
        .through_lsn = snapshot->through_lsn,
        .last_lsn = snapshot->id.from_lsn,
    };
}

enum status replay_slot(struct replay *self, const struct slot_header *header,
                        const uint8_t hash[static HASH128_BYTES], const struct plan_step *step)
{
    const char *problem = NULL;
    if (self->has_slot && header->seq != self->slot.seq + 1) {
        problem = "is not the one that was planned";
    } else if (self->has_slot && memcmp(header->prev, self->hash, HASH128_BYTES) != 0) {
        problem = "was written behind another slot than the one before it";
    }
    if (problem != NULL) {
        (void)snprintf(self->errmsg, sizeof self->errmsg, "slot %" PRIu64 " %s", header->seq,
                       problem);
        return STATUS_CORRUPT;
    }
    self->has_slot = true;
    self->slot = *header;
    memcpy(self->hash, hash, HASH128_BYTES);
    self->keep_lsn = step->keep_lsn;
    if (slot_is_fence(header) && !step->is_void && header->base_lsn > self->last_lsn) {
        self->has_gap = true;
        self->lost_lsn = header->base_lsn;
        (void)snprintf(self->errmsg, sizeof self->errmsg,
                       "the process of slot %" PRIu64 " took over changes up to %" PRIu64
                       ", and those above %" PRIu64 " are missing",
                       header->seq, header->base_lsn, self->last_lsn);
        return STATUS_END;
    }
    return STATUS_OK;
}

/* Does a batch continue what there is? The rows have whatever came before them, so the first batch
 * may follow something older. One that has the last change itself was shipped once more, with what
 * came behind that. */
static bool continues(const struct replay *self, const struct slot_batch *batch)
{
    return batch->follows_lsn == self->last_lsn || batch->first_lsn <= self->last_lsn ||
           (self->last_lsn == self->from_lsn && batch->follows_lsn < self->from_lsn);
}

static enum replay_verdict gap(struct replay *self, const struct slot_batch *batch)
{
    self->has_gap = true;
    self->lost_lsn = batch->follows_lsn > self->last_lsn ? batch->follows_lsn : 0;
    (void)snprintf(self->errmsg, sizeof self->errmsg,
                   "changes from %" PRIu64 " on follow %" PRIu64 ", which is not %" PRIu64,
                   batch->first_lsn, batch->follows_lsn, self->last_lsn);
    return REPLAY_GAP;
}

enum replay_verdict replay_batch(struct replay *self, const struct slot_batch *batch,
                                 uint32_t *count)
{
    uint64_t end_lsn = slot_batch_last_lsn(batch);
    *count = 0;
    end_lsn = end_lsn < self->keep_lsn ? end_lsn : self->keep_lsn;
    bool is_time_over = self->target.kind == TARGET_TIME && batch->time_ms > self->target.time_ms;
    if (self->target.kind == TARGET_LSN) {
        if (self->last_lsn >= self->target.lsn) {
            return REPLAY_DONE;
        }
        end_lsn = end_lsn < self->target.lsn ? end_lsn : self->target.lsn;
    }
    /* Void, or there already; what that follows does not matter. */
    if (batch->first_lsn > self->keep_lsn || end_lsn <= self->last_lsn) {
        return is_time_over ? REPLAY_DONE : REPLAY_SKIP;
    }
    /* Also what is later than the target tells whether something before it is missing. */
    if (!continues(self, batch)) {
        return gap(self, batch);
    }
    if (is_time_over || batch->first_lsn > end_lsn) {
        return REPLAY_DONE;
    }
    *count = (uint32_t)(end_lsn - batch->first_lsn + 1);
    self->last_lsn = end_lsn;
    return REPLAY_APPLY;
}

bool replay_is_consistent(const struct replay *self)
{
    return self->last_lsn >= self->through_lsn;
}
