/* See archive_kit.h. */
#include "unit/backup/archive_kit.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <string.h>

#include "backup/compress.h"
#include "backup/rows_stream.h"
#include "unit/backup/record_kit.h"

enum { CHANGES_MAX = 400, SLOT_MS = 1000 };

const uint8_t archive_uuid[SLOT_UUID_BYTES] = "one of its kind";

struct made {
    uint64_t lsn;
    uint64_t parent_lsn; /* 0: none */
    char id[16];
};

static struct made changes[CHANGES_MAX]; /* all there ever were */
static size_t change_count;
static uint64_t head_lsn; /* the last one on the present line */
static struct slot_header present;
static uint64_t next_seq;
static struct slot_writer writer;
static struct buf bytes;

void archive_begin(void)
{
    change_count = 0;
    head_lsn = 0;
    next_seq = 0;
    present = (struct slot_header){0};
    memcpy(present.uuid, archive_uuid, sizeof present.uuid);
}

uint64_t archive_slots(void)
{
    return next_seq;
}

static void store_slot(void)
{
    char name[SLOT_NAME_BYTES];
    cr_assert(eq(int, slot_finish(&writer, &bytes, NULL), STATUS_OK));
    slot_name(name, next_seq++);
    bucket_put(name, buf_view(&bytes));
    slot_hash(buf_view(&bytes), present.prev);
    slot_writer_free(&writer);
    buf_free(&bytes);
}

void archive_fence(char name, uint64_t base_lsn)
{
    present.nonce[0] = (uint8_t)name;
    present.epoch = (uint64_t)name;
    present.base_lsn = base_lsn;
    present.flags = SLOT_FENCE;
    present.seq = next_seq;
    present.from_ms = (int64_t)next_seq * SLOT_MS;
    head_lsn = base_lsn;
    slot_begin(&writer, &present);
    store_slot();
}

void archive_put(uint64_t lsn, const char *id)
{
    struct buf records = {0};
    char content[64];
    struct made *change = &changes[change_count++];
    cr_assert(le(sz, change_count, CHANGES_MAX));
    *change = (struct made){.lsn = lsn, .parent_lsn = head_lsn};
    (void)snprintf(change->id, sizeof change->id, "%s", id);
    (void)snprintf(content, sizeof content, "%s-%llu", id, (unsigned long long)lsn);
    kit_put(&records, lsn, id, content);
    const struct slot_batch batch = {.follows_lsn = head_lsn,
                                     .first_lsn = lsn,
                                     .time_ms = (int64_t)next_seq * SLOT_MS,
                                     .count = 1,
                                     .records = buf_view(&records)};
    present.flags = 0;
    present.seq = next_seq;
    slot_begin(&writer, &present);
    cr_assert(eq(int, slot_append(&writer, &batch), STATUS_OK));
    store_slot();
    buf_free(&records);
    head_lsn = lsn;
}

static const struct made *find(uint64_t lsn)
{
    for (size_t i = 0; i < change_count; i++) {
        if (changes[i].lsn == lsn) {
            return &changes[i];
        }
    }
    return NULL;
}

/* Is there a later change of the same session on the line? */
static bool is_overwritten(const struct made *change)
{
    const struct made *later = find(head_lsn);
    while (later != change && strcmp(later->id, change->id) != 0) {
        later = find(later->parent_lsn);
    }
    return later != change;
}

static void put_row(struct buf *rows, const struct made *change)
{
    uint8_t image[256];
    char content[64];
    (void)snprintf(content, sizeof content, "%s-%llu", change->id, (unsigned long long)change->lsn);
    const struct session session = {.id = view_str(change->id),
                                    .created_ms = 1800000000000,
                                    .kind = SATCHEL_BLOB,
                                    .content = view_str(content)};
    cr_assert(le(sz, image_bytes(&session), sizeof image));
    image_encode(image, &session, change->lsn);
    cr_assert(eq(int, rows_stream_put_row(rows, view_of(image, image_bytes(&session))), STATUS_OK));
}

void archive_snapshot(uint32_t nonce, char *out)
{
    char name[SNAPSHOT_NAME_BYTES];
    struct buf rows = {0};
    struct buf stored = {0};
    struct manifest manifest = {
        .id = {.from_lsn = head_lsn, .epoch = (uint32_t)present.epoch, .nonce = nonce},
        .version = "1",
        .hash_seed = 7,
        .through_lsn = head_lsn,
        .next_seq = next_seq,
        .time_ms = (int64_t)next_seq * SLOT_MS - 1,
        .parts = 1};
    memcpy(manifest.uuid, archive_uuid, sizeof manifest.uuid);
    cr_assert(eq(int, rows_stream_put_header(&rows, archive_uuid, 7), STATUS_OK));
    for (const struct made *change = find(head_lsn); change != NULL;
         change = find(change->parent_lsn)) {
        if (!is_overwritten(change)) {
            put_row(&rows, change);
            manifest.sessions++;
        }
    }
    cr_assert(eq(int, rows_stream_put_end(&rows, manifest.sessions), STATUS_OK));
    struct compressor *compressor = compressor_new();
    cr_assert(compressor != NULL);
    cr_assert(eq(int, compressor_write(compressor, buf_view(&rows), &stored), STATUS_OK));
    cr_assert(eq(int, compressor_finish(compressor, &stored), STATUS_OK));
    manifest.raw_bytes = compressor_raw_bytes(compressor);
    manifest.stored_bytes = compressor_stored_bytes(compressor);
    compressor_hash(compressor, manifest.hash);
    compressor_free(compressor);
    snapshot_name(name, &manifest.id, SNAPSHOT_ROWS);
    bucket_put(name, buf_view(&stored));
    if (out != NULL) {
        memcpy(out, name, sizeof name);
    }
    snapshot_name(name, &manifest.id, SNAPSHOT_MANIFEST);
    cr_assert(eq(int, manifest_encode(&manifest, &rows), STATUS_OK));
    bucket_put(name, buf_view(&rows));
    buf_free(&rows);
    buf_free(&stored);
}
