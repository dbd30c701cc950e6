/* Writing and replaying journals for tests. */
#include "journal_kit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "store/image.h"
#include "support/require.h"

const uint8_t kit_uuid[STORE_UUID_BYTES] = "kit's own store";

static void on_flushed(void *arg)
{
    (void)arg;
}

/* Every frame is told once it is durable, in order. */
static void on_written(void *arg, const struct frame *frame)
{
    struct kit *self = arg;
    uint64_t last_lsn = frame->first_lsn + frame->count - 1;
    REQUIRE(frame->count != 0 && frame->records.len != 0);
    REQUIRE(frame->first_lsn == self->told_lsn + 1);
    REQUIRE(last_lsn <= journal_durable_lsn(self->journal));
    self->told_lsn = last_lsn;
}

static void on_failed(void *arg, const char *why)
{
    struct kit *self = arg;
    (void)snprintf(self->why, sizeof self->why, "%s", why);
    atomic_store(&self->has_failed, true);
}

void kit_init(struct kit *self)
{
    *self = (struct kit){.segment_bytes = 64 * 1024,
                         .undurable_bytes_max = 64 << 20,
                         .file = &file_ops_system,
                         .clock = &clock_system};
    log_configure(LOG_ERROR, LOG_TEXT);
    temp_dir_make(self->dir);
}

void kit_end(struct kit *self)
{
    if (self->journal != NULL) {
        (void)journal_close(self->journal);
    }
    temp_dir_remove(self->dir);
}

enum status kit_try_open(struct kit *self, uint64_t epoch, uint64_t follows_lsn, uint64_t next_lsn,
                         char *errmsg, size_t errmsg_bytes)
{
    struct journal_options options = {
        .dir = self->dir,
        .epoch = epoch,
        .follows_lsn = follows_lsn,
        .next_lsn = next_lsn,
        .segment_bytes = self->segment_bytes,
        .spare_bytes = KIT_SPARE_SEGMENTS * self->segment_bytes,
        .undurable_bytes_max = self->undurable_bytes_max,
        .clock = self->clock,
        .file = self->file,
        .owner = &self->owner,
        .metrics = &self->metrics,
        .flushed = on_flushed,
        .written = on_written,
        .failed = on_failed,
        .arg = self,
    };
    memcpy(options.uuid, kit_uuid, sizeof kit_uuid);
    self->told_lsn = next_lsn - 1;
    return journal_open(&options, &self->journal, errmsg, errmsg_bytes);
}

void kit_open(struct kit *self, uint64_t epoch, uint64_t follows_lsn, uint64_t next_lsn)
{
    char errmsg[256];
    REQUIRE(kit_try_open(self, epoch, follows_lsn, next_lsn, errmsg, sizeof errmsg) == STATUS_OK);
}

void kit_close(struct kit *self)
{
    uint64_t last_lsn = journal_last_lsn(self->journal);
    REQUIRE(journal_close(self->journal) == STATUS_OK);
    REQUIRE(self->told_lsn == last_lsn);
    self->journal = NULL;
}

/* The content of change `lsn` is noise that it seeds. */
static void fill_content(uint8_t *to, size_t len, uint64_t lsn)
{
    struct random random = {.state = lsn};
    random_fill(&random, to, len);
}

uint64_t kit_put(struct kit *self, size_t len)
{
    static __thread uint8_t content[1 << 21];
    REQUIRE(len <= sizeof content);
    char id[32] = "00000000000000000000";
    struct session session = {
        .id = view_of(id, 20), .kind = SATCHEL_BLOB, .content = view_of(content, len)};
    size_t bytes = RECORD_HEADER_BYTES + image_bytes(&session);
    uint64_t lsn = 0;
    uint8_t *to = journal_begin(self->journal, bytes, 1, &lsn);
    if (to == NULL) {
        return 0;
    }
    (void)snprintf(id, sizeof id, "%020" PRIu64, lsn);
    fill_content(content, len, lsn);
    const struct change change = {.kind = CHANGE_PUT, .next = session};
    record_encode(to, RECORD_PUT, &change, lsn);
    journal_end(self->journal);
    journal_flush(self->journal, true);
    return lsn;
}

uint64_t kit_put_durable(struct kit *self, size_t len)
{
    uint64_t lsn = kit_put(self, len);
    REQUIRE(lsn != 0);
    REQUIRE(journal_wait_durable(self->journal, lsn) == STATUS_OK);
    return lsn;
}

static enum status visit_change(void *arg, uint64_t lsn, uint64_t time_ms,
                                const struct record *record)
{
    (void)time_ms;
    struct replayed *out = arg;
    char id[32];
    (void)snprintf(id, sizeof id, "%020" PRIu64, lsn);
    REQUIRE(record->type == RECORD_PUT && record->session.version == lsn);
    REQUIRE(view_equal(record->session.id, view_str(id)));
    struct buf expected = {0};
    size_t len = record->session.content.len;
    REQUIRE(buf_reserve(&expected, len + 1) == STATUS_OK);
    fill_content(expected.ptr, len, lsn);
    REQUIRE(view_equal(record->session.content, view_of(expected.ptr, len)));
    buf_free(&expected);
    REQUIRE(out->count == 0 || out->lsns[out->count - 1] < lsn);
    REQUIRE(out->count < KIT_CHANGES_MAX);
    out->lsns[out->count++] = lsn;
    return STATUS_OK;
}

/* Replaying syncs what it reads. Who wrote it is this very process, so that would only take time.
 */
static int sync_nothing(void *arg, int fd)
{
    (void)arg;
    (void)fd;
    return 0;
}

void kit_replay(const char *dir, uint64_t applied_lsn, struct replayed *out)
{
    *out = (struct replayed){0};
    struct journal_files files;
    struct file_ops file = file_ops_system;
    file.fdatasync = sync_nothing;
    const struct journal_place place = {.dir = dir, .uuid = kit_uuid, .file = &file};
    out->status = journal_files_list(&files, &place, out->errmsg, sizeof out->errmsg);
    if (out->status != STATUS_OK) {
        return;
    }
    out->lsn_max = files.lsn_max;
    out->epoch_max = files.epoch_max;
    out->status = journal_files_replay(&files, applied_lsn, visit_change, out, &out->last_lsn,
                                       out->errmsg, sizeof out->errmsg);
    journal_files_free(&files);
}

void kit_path(char out[256], const char *dir, uint64_t epoch, uint64_t number)
{
    char name[SEGMENT_NAME_BYTES];
    segment_name(name, epoch, number, 0);
    (void)snprintf(out, 256, "%s/%s", dir, name);
}

void kit_check_survivors(struct fake_disk *disk, uint64_t seed, uint64_t applied, uint64_t durable)
{
    static struct replayed found; /* too large for the stack */
    for (uint64_t outcome = 0; outcome < 4; outcome++) {
        char dir[TEMP_DIR_BYTES];
        temp_dir_make(dir);
        fake_disk_survivors(disk, dir, seed + outcome);
        kit_replay(dir, applied, &found);
        if (found.status != STATUS_OK || found.last_lsn < durable ||
            found.count != found.last_lsn - applied) {
            (void)fprintf(stderr,
                          "seed %" PRIu64 ", outcome %" PRIu64
                          ": status %d, %zu changes to %" PRIu64 ", applied %" PRIu64
                          ", durable %" PRIu64 ": %s\n",
                          seed, outcome, found.status, found.count, found.last_lsn, applied,
                          durable, found.errmsg);
            abort();
        }
        temp_dir_remove(dir);
    }
}
