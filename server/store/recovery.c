/*
 * Recovery: rows into the table, the journal's tail on top, a new epoch.
 *
 * Until it is done the store answers LOADING, never "not found" (invariant 7). Replaying is
 * idempotent: a record is skipped when the session's version is not older than it.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "base/random.h"
#include "session/fields.h"
#include "store/store_private.h"

/* How far the lsn is moved ahead at each start, past everything that a `fast` reply may have shown
 * without it being durable (invariant 3): more than undurable bytes can hold records. */
enum {
    LSN_GAP = 1 << 26,
    UNDURABLE_BYTES_MOST = 512 * 1024 * 1024 + SATCHEL_BODY_BYTES_MAX, /* of the options, and one */
    RECORD_BYTES_LEAST = RECORD_HEADER_BYTES + 1,
};
_Static_assert(UNDURABLE_BYTES_MOST / RECORD_BYTES_LEAST < LSN_GAP, "the gap covers what was lost");

struct recovery {
    struct store *store;
    struct rows_reader *reader; /* owned */
    struct buf row;             /* a row that was read back */
    struct buf patched;
    uint64_t memory_bytes; /* of what is in the table */
    uint64_t replayed;
    int64_t shown_ns; /* when progress was logged */
    char why[128];    /* what add_row() found, for the message */
};

static void show_progress(struct recovery *self, const char *stage, uint64_t count)
{
    int64_t now_ns = clock_mono_ns(self->store->deps.clock);
    if (now_ns - self->shown_ns > INT64_C(1000000000)) {
        self->shown_ns = now_ns;
        log_info("recovering", "stage=%s done=%" PRIu64, stage, count);
    }
}

/* ---- Rows ----------------------------------------------------------------------------------- */

static enum status add_row(void *arg, uint64_t rowid, const struct session *session)
{
    struct recovery *self = arg;
    struct store *store = self->store;
    bool resident = self->memory_bytes < store->options.memory_bytes;
    struct entry *entry = entry_new(session, resident);
    if (entry == NULL) {
        return STATUS_NO_MEMORY;
    }
    entry->rowid = rowid & ((UINT64_C(1) << 44) - 1);
    uint64_t hash = table_hash(&store->table, session->id);
    struct shard *shard = table_shard(&store->table, hash);
    shard_lock(shard);
    const struct slot *same = shard_find(shard, hash, session->id);
    enum status status = same != NULL ? STATUS_CORRUPT : shard_reserve(shard, 1, 1);
    if (same != NULL) {
        (void)snprintf(self->why, sizeof self->why,
                       "rows %" PRIu64 " and %" PRIu64 " are of the same session",
                       (uint64_t)same->entry->rowid, rowid);
    } else if (status == STATUS_OK) {
        (void)shard_insert(shard, hash, entry);
    }
    shard_unlock(shard);
    if (status != STATUS_OK) {
        entry_free(entry);
        return status;
    }
    self->memory_bytes += entry_footprint(entry) + 2 * sizeof(struct slot);
    if (rowid >= store->meta.next_rowid) {
        store->meta.next_rowid = rowid + 1; /* written after the last meta row */
    }
    if ((rowid & 0xfff) == 0) {
        show_progress(self, "rows", rowid);
    }
    return STATUS_OK;
}

/* ---- Journal records ------------------------------------------------------------------------ */

static enum status replay_put(struct shard *shard, uint64_t hash, struct slot *slot,
                              const struct session *session)
{
    struct entry *entry = entry_new(session, true);
    enum status status = entry == NULL ? STATUS_NO_MEMORY : shard_reserve(shard, 1, 1);
    if (status != STATUS_OK) {
        entry_free(entry);
        return status;
    }
    slot = slot == NULL ? NULL : shard_find(shard, hash, session->id); /* reserving moves slots */
    if (slot == NULL) {
        slot = shard_insert(shard, hash, entry);
    } else {
        shard_replace(shard, slot, entry);
    }
    shard_changed(shard, slot);
    return STATUS_OK;
}

/* What is dirty has to be resident: brings the content back that a patch or touch builds on. */
static enum status make_resident(struct recovery *self, struct shard *shard, struct slot *slot)
{
    if (slot->entry->resident) {
        return STATUS_OK;
    }
    struct session stored;
    enum status status = rows_read(self->reader, slot->entry->rowid, &self->row, &stored);
    if (status != STATUS_OK) {
        return status == STATUS_NOT_FOUND ? STATUS_CORRUPT : status;
    }
    return shard_restore(shard, slot, stored.content);
}

static enum status replay_patch(struct recovery *self, struct shard *shard, uint64_t hash,
                                struct slot *slot, uint64_t lsn, const struct record *record)
{
    struct session session = entry_session(slot->entry);
    if (session.kind == SATCHEL_BLOB ||
        fields_patch(session.content, record->ops, SATCHEL_VALUE_BYTES_MAX, &self->patched, NULL,
                     NULL) != SATCHEL_OK) {
        return STATUS_CORRUPT;
    }
    session.version = lsn;
    session.content = buf_view(&self->patched);
    return replay_put(shard, hash, slot, &session);
}

static enum status replay_locked(struct recovery *self, struct shard *shard, uint64_t hash,
                                 uint64_t lsn, const struct record *record)
{
    struct slot *slot = shard_find(shard, hash, record->session.id);
    if (slot != NULL && slot->entry->version >= lsn) {
        return STATUS_OK; /* the row is newer already */
    }
    if (record->type == RECORD_PUT) {
        return replay_put(shard, hash, slot, &record->session);
    }
    if (slot == NULL || slot->entry->tombstone) {
        return STATUS_OK; /* its row was deleted by a checkpoint that knew a later change */
    }
    enum status status = shard_reserve(shard, 1, 1);
    slot = shard_find(shard, hash, record->session.id);
    if (status == STATUS_OK && record->type == RECORD_DELETE) {
        shard_bury(shard, slot, lsn);
        return STATUS_OK;
    }
    if (status == STATUS_OK) {
        status = make_resident(self, shard, slot);
    }
    if (status == STATUS_OK && record->type == RECORD_TOUCH) {
        slot->entry->expires_ms = (uint64_t)record->session.expires_ms & ((UINT64_C(1) << 44) - 1);
        slot->entry->idle_ttl_ms = record->session.idle_ttl_ms & ((UINT64_C(1) << 39) - 1);
        shard_changed(shard, slot);
    } else if (status == STATUS_OK) {
        status = replay_patch(self, shard, hash, slot, lsn, record);
    }
    return status;
}

static enum status replay_record(void *arg, uint64_t lsn, uint64_t time_ms,
                                 const struct record *record)
{
    struct recovery *self = arg;
    struct store *store = self->store;
    uint64_t hash = table_hash(&store->table, record->session.id);
    struct shard *shard = table_shard(&store->table, hash);
    shard_lock(shard);
    enum status status = replay_locked(self, shard, hash, lsn, record);
    shard_unlock(shard);
    if (status == STATUS_OK) {
        store_tell(store, lsn, time_ms, 1, record->bytes);
    }
    self->replayed++;
    if ((self->replayed & 0xfff) == 0) {
        show_progress(self, "journal", self->replayed);
        store_keep_budget(store); /* what the journal brings cannot leave memory, but rows can */
    }
    return status;
}

/* ---- All of it ------------------------------------------------------------------------------ */

/* A new data file gets its identity before the first journal segment refers to it. */
static enum status make_meta(struct store *self)
{
    random_bytes(self->meta.uuid, sizeof self->meta.uuid);
    self->meta.hash_seed = random_u64();
    self->meta.next_rowid = 1;
    struct rows_write *write = NULL;
    enum status status = rows_write_begin(self->rows, &write);
    if (status != STATUS_OK) {
        return status;
    }
    status = rows_put_meta(write, &self->meta);
    if (status != STATUS_OK) {
        rows_abort(write);
        return status;
    }
    return rows_commit(write);
}

enum status store_read_meta(struct store *self)
{
    enum status status = rows_read_meta(self->rows, &self->meta);
    return status == STATUS_NOT_FOUND ? make_meta(self) : status;
}

static enum status read_rows(struct store *self, struct recovery *recovery, char *errmsg,
                             size_t errmsg_bytes)
{
    enum status status = rows_check(self->rows);
    if (status == STATUS_OK) {
        status = rows_reader_new(self->rows, &recovery->reader);
    }
    if (status == STATUS_OK) {
        status = rows_scan(self->rows, add_row, recovery);
    }
    if (status != STATUS_OK) {
        (void)snprintf(errmsg, errmsg_bytes, "cannot read the data file in %s: %s: %s",
                       self->options.data_dir, status_text(status),
                       recovery->why[0] != '\0' ? recovery->why : rows_error(self->rows));
    }
    return status;
}

static enum status open_journal(struct store *self, uint64_t last_lsn, char *errmsg,
                                size_t errmsg_bytes)
{
    uint64_t epoch = self->meta.epoch > self->old.epoch_max ? self->meta.epoch
                                                            : self->old.epoch_max;
    uint64_t highest = last_lsn > self->meta.last_lsn ? last_lsn : self->meta.last_lsn;
    highest = highest > self->old.lsn_max ? highest : self->old.lsn_max;
    self->meta.epoch = epoch + 1;
    self->found_lsn = last_lsn;
    self->first_lsn = highest + LSN_GAP;
    self->must_renew = epoch > self->deps.released_epoch;
    struct journal_options options = {
        .dir = self->journal_dir,
        .epoch = self->meta.epoch,
        .follows_lsn = last_lsn,
        .next_lsn = self->first_lsn,
        .segment_bytes = self->options.segment_bytes,
        .spare_bytes = store_checkpoint_bytes(self),
        .undurable_bytes_max = self->options.undurable_busy_bytes,
        .clock = self->deps.clock,
        .file = self->deps.file,
        .owner = &self->deps.owner,
        .metrics = &self->journal_metrics,
        .flushed = store_on_flushed,
        .written = store_on_written,
        .failed = store_on_journal_failed,
        .arg = self,
    };
    memcpy(options.uuid, self->meta.uuid, STORE_UUID_BYTES);
    if (highest > SESSION_VERSION_MAX / 2) { /* the other half is for this life */
        (void)snprintf(errmsg, errmsg_bytes, "the numbers of changes in %s are used up at %" PRIu64,
                       self->options.data_dir, highest);
        return STATUS_UNSUPPORTED;
    }
    return journal_open(&options, &self->journal, errmsg, errmsg_bytes);
}

enum status store_rebuild(struct store *self, uint64_t *last_lsn, uint64_t *replayed, char *errmsg,
                          size_t errmsg_bytes)
{
    struct recovery recovery = {.store = self, .shown_ns = clock_mono_ns(self->deps.clock)};
    enum status status = read_rows(self, &recovery, errmsg, errmsg_bytes);
    if (status == STATUS_OK) {
        const struct journal_place place = {.dir = self->journal_dir,
                                            .uuid = self->meta.uuid,
                                            .file = self->deps.file,
                                            .lock_wait_ms = self->deps.lock_wait_ms};
        status = journal_files_list(&self->old, &place, errmsg, errmsg_bytes);
    }
    if (status == STATUS_OK) {
        self->told_lsn = self->meta.applied_lsn;
        status = journal_files_replay(&self->old, self->meta.applied_lsn, replay_record, &recovery,
                                      last_lsn, errmsg, errmsg_bytes);
    }
    if (recovery.reader != NULL) {
        rows_reader_free(recovery.reader);
    }
    buf_free(&recovery.row);
    buf_free(&recovery.patched);
    *replayed = recovery.replayed;
    return status;
}

enum status store_recover(struct store *self, char *errmsg, size_t errmsg_bytes)
{
    uint64_t last_lsn = 0;
    uint64_t replayed = 0;
    enum status status = store_rebuild(self, &last_lsn, &replayed, errmsg, errmsg_bytes);
    if (status == STATUS_OK) {
        status = open_journal(self, last_lsn, errmsg, errmsg_bytes);
    }
    if (status == STATUS_OK) {
        status = loader_start(self, &self->loader);
    }
    if (status == STATUS_OK) {
        metric_set(&self->metrics.applied_lsn, (int64_t)self->meta.applied_lsn);
        metric_set(&self->metrics.file_bytes, (int64_t)rows_file_bytes(self->rows));
        log_info("recovered", "replayed=%" PRIu64 " epoch=%" PRIu64, replayed, self->meta.epoch);
    }
    return status;
}
