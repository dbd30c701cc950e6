/* See log_kit.h. */
#include "unit/backup/log_kit.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "unit/backup/record_kit.h"

static uint64_t change_time_ms = 1700000000000;

struct feed *log_feed_open(struct feed_metrics *metrics)
{
    struct feed *feed = NULL;
    cr_assert(eq(int, feed_open(&(struct feed_options){.metrics = metrics}, &feed), STATUS_OK));
    return feed;
}

void log_set_time(uint64_t time_ms)
{
    change_time_ms = time_ms;
}

void log_give_after(struct feed *feed, uint64_t follows_lsn, uint64_t first_lsn, uint32_t count)
{
    struct buf records = {0};
    const struct slot_batch batch = kit_batch(&records, follows_lsn, first_lsn, count,
                                              (int64_t)change_time_ms);
    feed_changes(feed, &(struct store_changes){.follows_lsn = follows_lsn,
                                               .first_lsn = first_lsn,
                                               .time_ms = change_time_ms,
                                               .count = count,
                                               .records = batch.records});
    buf_free(&records);
}

void log_give(struct feed *feed, uint64_t first_lsn, uint32_t count)
{
    log_give_after(feed, first_lsn - 1, first_lsn, count);
}

struct view log_slot(uint64_t seq)
{
    char name[SLOT_NAME_BYTES];
    slot_name(name, seq);
    return bucket_get(name);
}

/* Counts what a slot brings. */
static void note_slot(struct log_found *found, const struct slot *slot)
{
    struct view rest = slot_batches(slot);
    struct slot_batch batch;
    if (slot_is_fence(&slot->header)) {
        found->fences++;
        found->fenced_ms = slot->header.from_ms;
        if (found->last_lsn > slot->header.base_lsn) {
            found->last_lsn = slot->header.base_lsn;
        }
    }
    while (slot_next_batch(&rest, &batch) == STATUS_OK) {
        cr_assert(lt(u64, found->last_lsn, batch.first_lsn));
        found->gaps += batch.follows_lsn != found->last_lsn ? 1 : 0;
        found->last_lsn = slot_batch_last_lsn(&batch);
        found->changes += batch.count;
    }
}

struct log_found log_read(uint64_t first_seq)
{
    struct log_found found = {0};
    struct slot slot = {0};
    uint8_t prev[HASH128_BYTES] = {0};
    for (uint64_t seq = first_seq;; seq++) {
        struct view bytes = log_slot(seq);
        if (bytes.ptr == NULL) {
            break;
        }
        cr_assert(eq(int, slot_open(&slot, bytes), STATUS_OK), "slot %lu: %s", (unsigned long)seq,
                  slot.errmsg);
        cr_assert(eq(u64, slot.header.seq, seq));
        if (seq > first_seq) {
            cr_assert(eq(int, memcmp(slot.header.prev, prev, sizeof prev), 0), "slot %lu",
                      (unsigned long)seq);
        }
        cr_assert(ge(u64, slot.header.epoch, found.epoch));
        cr_assert(seq == first_seq || slot.header.epoch == found.epoch ||
                  slot_is_fence(&slot.header));
        slot_hash(bytes, prev);
        found.epoch = slot.header.epoch;
        found.flags = slot.header.flags;
        found.slots++;
        note_slot(&found, &slot);
    }
    slot_close(&slot);
    return found;
}

void log_put_fence(uint64_t seq, uint64_t epoch, const uint8_t uuid[static SLOT_UUID_BYTES])
{
    char name[SLOT_NAME_BYTES];
    struct slot_writer writer = {0};
    struct buf bytes = {0};
    struct slot_header header = {
        .flags = SLOT_FENCE, .nonce = {0xff}, .epoch = epoch, .seq = seq, .from_ms = 1};
    memcpy(header.uuid, uuid, sizeof header.uuid);
    if (seq > 0) {
        slot_hash(log_slot(seq - 1), header.prev);
    }
    slot_begin(&writer, &header);
    cr_assert(eq(int, slot_finish(&writer, &bytes, NULL), STATUS_OK));
    slot_name(name, seq);
    bucket_put(name, buf_view(&bytes));
    slot_writer_free(&writer);
    buf_free(&bytes);
}
