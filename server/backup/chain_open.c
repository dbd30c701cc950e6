/* Taking the log over: what it ends with, whether that is ours to go on with, and the fence. */
#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "backup/chain_private.h"

enum {
    READS_MAX = 3,   /* of a slot that seems damaged: the damage may be of the transfer */
    DAMAGED_MAX = 8, /* slots at the end that are looked behind for one that is sound */
};

/* ---- The storage ---------------------------------------------------------------------------- */

static enum chain_status probe(struct chain *self)
{
    enum s3_conditions conditions;
    enum s3_status removed;
    if (s3_probe_conditions(self->archive.s3, &conditions, &removed) != S3_OK) {
        return chain_fail_s3(self, "cannot try the storage out");
    }
    self->archive.is_conditional = conditions == S3_CONDITIONS_SUPPORTED;
    if (!self->archive.is_conditional && !self->options.is_single_writer) {
        return chain_fail(
            self, CHAIN_UNSAFE,
            "the storage %s conditional writes, so two processes could overwrite each "
            "other's log; --backup-single-writer accepts that",
            conditions == S3_CONDITIONS_IGNORED ? "ignores" : "refuses");
    }
    self->is_deletable = removed == S3_OK;
    self->is_probed = true;
    return CHAIN_OK;
}

/* ---- What the log ends with ----------------------------------------------------------------- */

/* How a slot could be read. */
enum reading { READING_OK, READING_DAMAGED, READING_ABSENT, READING_FAILED };

/* Reads slot `seq` into `slot`, with the bytes in `read`. FAILED: `*status` says why. */
static enum reading read_slot(struct chain *self, uint64_t seq, enum chain_status *status)
{
    for (unsigned i = 0; i < READS_MAX; i++) {
        enum s3_status got = archive_get_slot(&self->archive, seq, &self->read);
        if (got == S3_NOT_FOUND) {
            return READING_ABSENT;
        }
        if (got != S3_OK && got != S3_TOO_LARGE) {
            *status = chain_fail_s3(self, "cannot read the end of the log");
            return READING_FAILED;
        }
        switch (got == S3_OK ? slot_open(&self->slot, buf_view(&self->read)) : STATUS_CORRUPT) {
        case STATUS_OK:
            if (self->slot.header.seq == seq) {
                return READING_OK;
            }
            break; /* one slot under the name of another is as good as damaged */
        case STATUS_UNSUPPORTED:
            *status = chain_fail(self, CHAIN_UNSUPPORTED, "slot %" PRIu64 " of the log: %s", seq,
                                 self->slot.errmsg);
            return READING_FAILED;
        case STATUS_NO_MEMORY:
            *status = chain_fail(self, CHAIN_FAILED, "no memory for a slot of the log");
            return READING_FAILED;
        default:
            break;
        }
    }
    return READING_DAMAGED;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* May we go on behind this slot? */
static enum chain_status judge(struct chain *self, const struct slot_header *last)
{
    const struct chain_options *options = &self->options;
    if (memcmp(last->uuid, options->uuid, sizeof last->uuid) != 0) {
        return chain_fail(self, CHAIN_FOREIGN,
                          "the archive belongs to another store (its log, up to slot %" PRIu64
                          "): give each store a place of its own",
                          last->seq);
    }
    bool is_ours = memcmp(last->nonce, options->nonce, sizeof last->nonce) == 0;
    return !is_ours && last->epoch >= options->epoch ? chain_fail_fenced(self, last) : CHAIN_OK;
}

/* Does the header of the damaged slot in `read` say whose it is? If so, `*status` is whether we may
 * go on behind it. */
static bool judge_damaged(struct chain *self, uint64_t seq, enum chain_status *status)
{
    struct slot_header header;
    char ignored[SLOT_ERRMSG_BYTES];
    if (slot_read_header(buf_view(&self->read), &header, ignored) != STATUS_OK ||
        header.seq != seq) {
        return false;
    }
    *status = judge(self, &header);
    return true;
}

/* Goes on behind slots of which none can be read, from `seq` on. What their changes were is lost to
 * the archive, so it holds what the newest manifest says, and a new snapshot is owed. */
static enum chain_status take_over_damaged(struct chain *self, const struct chain_hint *hint,
                                           uint64_t seq, uint64_t end_seq, bool has_headers)
{
    const struct chain_options *options = &self->options;
    if (!has_headers && hint->epoch == 0) {
        return chain_fail(self, CHAIN_FAILED,
                          "the log is damaged at its end, slots %" PRIu64 " to %" PRIu64
                          ", and nothing else tells whose it is: give the store another place",
                          seq, end_seq - 1);
    }
    if (hint->epoch != 0 && memcmp(hint->uuid, options->uuid, sizeof hint->uuid) != 0) {
        return chain_fail(self, CHAIN_FOREIGN,
                          "the archive belongs to another store (its newest snapshot): give each "
                          "store a place of its own");
    }
    if (hint->epoch >= options->epoch) {
        return chain_fail(self, CHAIN_FENCED,
                          "another process, of epoch %" PRIu64 " (ours is %" PRIu64
                          "), has taken the newest snapshot",
                          hint->epoch, options->epoch);
    }
    self->last_lsn = least(hint->through_lsn, options->store_lsn);
    self->owes_snapshot = true;
    return CHAIN_OK;
}

/* Reads the slots before `end_seq`, the last one or, if that is damaged, one before it, and takes
 * over from there. */
static enum chain_status take_over(struct chain *self, const struct chain_hint *hint,
                                   uint64_t end_seq)
{
    enum chain_status status = CHAIN_OK;
    enum reading reading = READING_DAMAGED;
    uint64_t seq = end_seq;
    bool has_headers = false;
    while (reading == READING_DAMAGED && seq > 0 && end_seq - seq < DAMAGED_MAX) {
        reading = read_slot(self, --seq, &status);
        if (reading == READING_FAILED) {
            return status;
        }
        if (seq + 1 == end_seq && reading != READING_ABSENT) {
            slot_hash(buf_view(&self->read), self->prev);
        }
        if (reading == READING_DAMAGED && judge_damaged(self, seq, &status)) {
            has_headers = true;
            if (status != CHAIN_OK) {
                return status;
            }
        }
    }
    switch (reading) {
    case READING_OK:
        break;
    case READING_ABSENT: /* by retention, or by somebody's hand */
        return CHAIN_OK;
    default:
        return take_over_damaged(self, hint, seq, end_seq, has_headers);
    }
    status = judge(self, &self->slot.header);
    if (status != CHAIN_OK) {
        return status;
    }
    self->owes_snapshot = (self->slot.header.flags & SLOT_GAP) != 0 || seq + 1 != end_seq;
    self->last_lsn = least(self->slot.header.last_lsn, self->options.store_lsn);
    /* An attempt of ours that seemed to fail has put the fence there already. */
    self->is_open = seq + 1 == end_seq && memcmp(self->slot.header.nonce, self->options.nonce,
                                                 sizeof self->options.nonce) == 0;
    return CHAIN_OK;
}

enum chain_status chain_find(struct chain *self, const struct chain_hint *hint)
{
    struct archive_tail tail;
    assert(!self->is_open);
    enum chain_status status = self->is_probed ? CHAIN_OK : probe(self);
    if (status != CHAIN_OK) {
        return status;
    }
    int64_t now_ns = clock_mono_ns(self->clock);
    if (archive_find_tail(&self->archive, hint->next_seq, &tail) != S3_OK) {
        return chain_fail_s3(self, "cannot list the log");
    }
    self->confirmed_ns = now_ns;
    self->next_seq = tail.count > 0 ? tail.last_seq + 1 : hint->next_seq;
    self->last_lsn = 0;
    self->owes_snapshot = false;
    memset(self->prev, 0, sizeof self->prev);
    status = self->next_seq > 0 ? take_over(self, hint, self->next_seq) : CHAIN_OK;
    self->base_lsn = self->last_lsn;
    /* A snapshot that knows more than the log is void behind our fence. */
    self->owes_snapshot = self->owes_snapshot || hint->through_lsn > self->base_lsn;
    self->gap_seq = self->is_open ? self->next_seq - 1 : self->next_seq; /* the fence */
    return status;
}

/* ---- The fence ------------------------------------------------------------------------------ */

enum chain_status chain_fence(struct chain *self, int64_t time_ms)
{
    assert(!self->is_open);
    chain_begin_slot(self, SLOT_FENCE, time_ms);
    enum chain_status status = chain_finish_slot(self);
    if (status == CHAIN_OK) {
        status = chain_write(self);
    }
    self->pending.len = 0; /* if it was stored nevertheless, chain_find() sees that */
    self->is_open = status == CHAIN_OK;
    /* Somebody was there first: what it wrote says whether it may go on, or we. */
    return status == CHAIN_FENCED ? CHAIN_OK : status;
}
