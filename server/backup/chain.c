/* Writing the log; why there is never a fork stands in chain.h. */
#include "backup/chain.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "backup/chain_private.h"

enum { STALE_MS_STANDARD = 10000 };

void chain_init(struct chain *self, struct s3 *s3, const struct chain_options *options,
                const struct clock *clock)
{
    self->archive = (struct archive){.s3 = s3, .is_conditional = true};
    self->options = *options;
    self->clock = clock;
    self->confirmed_ns = INT64_MIN;
    if (self->options.stale_ms == 0) {
        self->options.stale_ms = STALE_MS_STANDARD;
    }
}

void chain_close(struct chain *self)
{
    slot_writer_free(&self->writer);
    slot_close(&self->slot);
    buf_free(&self->pending);
    buf_free(&self->read);
}

/* ---- Errors --------------------------------------------------------------------------------- */

enum chain_status chain_fail(struct chain *self, enum chain_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(self->errmsg, sizeof self->errmsg, format, arguments);
    va_end(arguments);
    return status;
}

enum chain_status chain_fail_s3(struct chain *self, const char *doing)
{
    char error[CHAIN_ERRMSG_BYTES - 64];
    s3_describe_error(self->archive.s3, error, sizeof error);
    return chain_fail(self, CHAIN_FAILED, "%s: %s", doing, error);
}

enum chain_status chain_fail_fenced(struct chain *self, const struct slot_header *header)
{
    return chain_fail(self, CHAIN_FENCED,
                      "another process, of epoch %" PRIu64 " (ours is %" PRIu64
                      "), has written slot %" PRIu64 " of the log",
                      header->epoch, self->options.epoch, header->seq);
}

/* ---- Preparing ------------------------------------------------------------------------------ */

void chain_begin_slot(struct chain *self, uint32_t flags, int64_t time_ms)
{
    struct slot_header header = {.flags = flags,
                                 .epoch = self->options.epoch,
                                 .seq = self->next_seq,
                                 .base_lsn = self->base_lsn,
                                 .from_ms = time_ms};
    header.flags |= self->owes_snapshot ? SLOT_GAP : 0;
    memcpy(header.uuid, self->options.uuid, sizeof header.uuid);
    memcpy(header.nonce, self->options.nonce, sizeof header.nonce);
    memcpy(header.prev, self->prev, sizeof header.prev);
    slot_begin(&self->writer, &header);
}

enum chain_status chain_finish_slot(struct chain *self)
{
    if (slot_finish(&self->writer, &self->pending, &self->prepared) != STATUS_OK) {
        self->pending.len = 0;
        return chain_fail(self, CHAIN_FAILED, "out of memory");
    }
    return CHAIN_OK;
}

/* A batch without what the archive has, and bound to that; false: it has all of it. */
static bool trim(uint64_t last_lsn, const struct store_changes *batch, struct slot_batch *out)
{
    *out = (struct slot_batch){.follows_lsn = batch->follows_lsn,
                               .first_lsn = batch->first_lsn,
                               .time_ms = (int64_t)batch->time_ms,
                               .count = batch->count,
                               .records = batch->records};
    if (slot_batch_last_lsn(out) <= last_lsn) {
        return false;
    }
    if (out->first_lsn <= last_lsn) {
        uint32_t known;
        size_t bytes = slot_batch_cut(out, last_lsn, &known);
        out->records = view_of(out->records.ptr + bytes, out->records.len - bytes);
        out->first_lsn += known;
        out->count -= known;
        out->follows_lsn = last_lsn;
    }
    return true;
}

/* The first batch that the archive does not have, or not all of; false: it has all of them. */
static bool find_new(const struct chain *self, const struct feed_taken *taken,
                     struct store_changes *out)
{
    struct feed_cursor cursor = {0};
    while (feed_next(taken, &cursor, out)) {
        if (out->first_lsn + out->count - 1 > self->last_lsn) {
            return true;
        }
    }
    return false;
}

bool chain_first_new(const struct chain *self, const struct feed_taken *taken, int64_t *time_ms)
{
    struct store_changes batch;
    bool is_found = find_new(self, taken, &batch);
    *time_ms = is_found ? (int64_t)batch.time_ms : *time_ms;
    return is_found;
}

void chain_meet(struct chain *self, const struct feed_taken *taken)
{
    struct store_changes batch;
    assert(!self->is_open);
    if (find_new(self, taken, &batch) && batch.first_lsn > self->last_lsn &&
        batch.follows_lsn < self->last_lsn) {
        self->last_lsn = batch.follows_lsn;
        self->base_lsn = batch.follows_lsn;
        self->owes_snapshot = true; /* the newest one may hold what our fence abandons */
    }
}

/* Are changes missing between the archive and what was taken, or inside that? */
static bool has_gap(const struct chain *self, const struct feed_taken *taken)
{
    struct feed_cursor cursor = {0};
    struct store_changes batch;
    struct slot_batch trimmed;
    uint64_t last_lsn = self->last_lsn;
    bool is_missing = false;
    while (!is_missing && feed_next(taken, &cursor, &batch)) {
        if (trim(last_lsn, &batch, &trimmed)) {
            is_missing = trimmed.follows_lsn != last_lsn;
            last_lsn = slot_batch_last_lsn(&trimmed);
        }
    }
    return is_missing;
}

static enum status append_all(struct chain *self, const struct feed_taken *taken)
{
    struct feed_cursor cursor = {0};
    struct store_changes batch;
    struct slot_batch trimmed;
    uint64_t last_lsn = self->last_lsn;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && feed_next(taken, &cursor, &batch)) {
        if (trim(last_lsn, &batch, &trimmed)) {
            status = slot_append(&self->writer, &trimmed);
            last_lsn = slot_batch_last_lsn(&trimmed);
        }
    }
    return status;
}

enum chain_status chain_prepare(struct chain *self, const struct feed_taken *taken)
{
    assert(self->is_open && !chain_has_pending(self));
    self->has_prepared_gap = has_gap(self, taken);
    chain_begin_slot(self, self->has_prepared_gap ? SLOT_GAP : 0, 0);
    if (append_all(self, taken) != STATUS_OK) {
        return chain_fail(self, CHAIN_FAILED, "no memory for a slot of the log");
    }
    return slot_raw_bytes(&self->writer) > 0 ? chain_finish_slot(self) : CHAIN_OK;
}

/* ---- Writing -------------------------------------------------------------------------------- */

static bool is_stale(const struct chain *self)
{
    return self->confirmed_ns == INT64_MIN || clock_mono_ns(self->clock) - self->confirmed_ns >
                                                  (int64_t)self->options.stale_ms * 1000000;
}

/* Is there nothing behind `seq`? */
static enum chain_status confirm(struct chain *self, uint64_t seq)
{
    struct archive_tail tail;
    int64_t now_ns = clock_mono_ns(self->clock);
    if (archive_find_tail(&self->archive, seq + 1, &tail) != S3_OK) {
        return chain_fail_s3(self, "cannot list the log");
    }
    if (tail.count > 0) {
        return chain_fail(self, CHAIN_FENCED,
                          "another process has written slot %" PRIu64 " of the log", tail.last_seq);
    }
    self->confirmed_ns = now_ns;
    return CHAIN_OK;
}

/* Whose is the damaged object in `read`, under the number that we want to write? It may be ours,
 * and damaged on its way to us: FAILED. */
static enum chain_status judge_damaged(struct chain *self)
{
    const uint64_t seq = self->next_seq;
    struct slot_header header;
    char ignored[SLOT_ERRMSG_BYTES];
    if (slot_read_header(buf_view(&self->read), &header, ignored) == STATUS_OK) {
        if (memcmp(header.nonce, self->options.nonce, sizeof header.nonce) != 0) {
            return chain_fail_fenced(self, &header);
        }
    } else {
        /* Its header says nothing. But only who has that slot goes on behind it. */
        enum chain_status status = confirm(self, seq);
        if (status != CHAIN_OK) {
            return status;
        }
    }
    return chain_fail(self, CHAIN_FAILED, "slot %" PRIu64 " of the log cannot be read: %s", seq,
                      self->slot.errmsg);
}

/* Whose is the slot that we want to write? OK: ours. */
static enum chain_status look_whose(struct chain *self)
{
    const uint64_t seq = self->next_seq;
    enum s3_status got = archive_get_slot(&self->archive, seq, &self->read);
    if (got == S3_NOT_FOUND) {
        self->confirmed_ns = INT64_MIN; /* somebody removes slots: find out where the end is */
        return chain_fail(self, CHAIN_FAILED, "slot %" PRIu64 " of the log is there and is not",
                          seq);
    }
    if (got != S3_OK && got != S3_TOO_LARGE) {
        return chain_fail_s3(self, "cannot read a slot of the log");
    }
    if (got == S3_OK && view_equal(buf_view(&self->read), buf_view(&self->pending))) {
        return CHAIN_OK;
    }
    enum status read = got == S3_OK ? slot_open(&self->slot, buf_view(&self->read))
                                    : STATUS_UNSUPPORTED;
    switch (read) {
    case STATUS_OK:
        return chain_fail_fenced(self, &self->slot.header);
    case STATUS_UNSUPPORTED:
        return chain_fail(self, CHAIN_FENCED,
                          "another process has written slot %" PRIu64 " of the log", seq);
    case STATUS_NO_MEMORY:
        return chain_fail(self, CHAIN_FAILED, "out of memory");
    default:
        return judge_damaged(self);
    }
}

/* The pending slot is in the archive. */
static void go_on(struct chain *self)
{
    const struct slot_header *header = &self->prepared;
    slot_hash(buf_view(&self->pending), self->prev);
    if (header->batches > 0) {
        self->last_lsn = header->last_lsn;
    }
    if (self->has_prepared_gap) {
        self->owes_snapshot = true;
        self->gap_seq = header->seq;
        self->gaps++;
    }
    self->raw_bytes += header->raw_bytes;
    self->stored_bytes += self->pending.len;
    self->next_seq = header->seq + 1;
    self->has_prepared_gap = false;
    self->pending.len = 0;
}

enum chain_status chain_write(struct chain *self)
{
    assert(chain_has_pending(self));
    enum chain_status status = is_stale(self) ? confirm(self, self->next_seq) : CHAIN_OK;
    if (status != CHAIN_OK) {
        return status;
    }
    int64_t begin_ns = clock_mono_ns(self->clock);
    enum s3_status put = archive_put_slot(&self->archive, self->next_seq, buf_view(&self->pending));
    if (put == S3_EXISTS) {
        status = look_whose(self);
    } else if (put != S3_OK) {
        status = chain_fail_s3(self, "cannot write the log");
    }
    if (status == CHAIN_OK && is_stale(self)) {
        status = confirm(self, self->next_seq);
    }
    if (status == CHAIN_OK) {
        self->confirmed_ns = begin_ns > self->confirmed_ns ? begin_ns : self->confirmed_ns;
        go_on(self);
    }
    return status;
}

/* ---- Gaps ----------------------------------------------------------------------------------- */

void chain_end_recovered(struct chain *self)
{
    assert(self->is_open && !chain_has_pending(self));
    if (self->last_lsn < self->options.store_lsn) {
        self->last_lsn = self->options.store_lsn;
        self->owes_snapshot = true;
        self->gap_seq = self->next_seq - 1;
        self->gaps++;
    }
}

void chain_note_snapshot(struct chain *self, uint64_t next_seq)
{
    if (self->owes_snapshot && next_seq > self->gap_seq) {
        self->owes_snapshot = false;
    }
}
