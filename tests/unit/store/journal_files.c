/* What recovery makes of segments: torn tails, damage, gaps, leftovers, other epochs. */
#include "store/journal_files.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "journal_kit.h"

static struct replayed found; /* too large for the stack */

/* The bytes of segment `number` of epoch 1, to be changed and put back. */
static void read_segment_file(struct kit *kit, uint64_t number, struct buf *out)
{
    char path[256];
    kit_path(path, kit->dir, 1, number);
    temp_file_read(out, path);
}

static void write_segment_file(struct kit *kit, uint64_t epoch, uint64_t number, struct view bytes)
{
    char path[256];
    kit_path(path, kit->dir, epoch, number);
    temp_file_write(path, bytes);
}

/* Where the last frame of a segment begins. */
static size_t last_frame_at(struct view bytes)
{
    struct segment_header header;
    struct frame frame;
    cr_assert(eq(int, segment_decode_header(bytes, &header), STATUS_OK));
    struct view rest = view_of(bytes.ptr + SEGMENT_HEADER_BYTES, bytes.len - SEGMENT_HEADER_BYTES);
    size_t at = 0;
    for (uint64_t expected = header.first_lsn;;) {
        size_t here = (size_t)(rest.ptr - bytes.ptr);
        if (frame_next(&rest, segment_seed(&header), expected, &frame) != STATUS_OK) {
            return at;
        }
        at = here;
        expected += frame.count;
    }
}

Test(journal_files, an_empty_directory_has_nothing_to_replay)
{
    struct kit kit;
    kit_init(&kit);
    kit_replay(kit.dir, 7, &found);
    cr_assert(eq(int, found.status, STATUS_OK));
    cr_assert(eq(u64, found.last_lsn, 7));
    cr_assert(eq(sz, found.count, 0));
    kit_end(&kit);
}

Test(journal_files, what_was_written_is_replayed_above_what_is_applied)
{
    enum { CHANGES = 400 };
    struct kit kit;
    kit_init(&kit);
    kit_open(&kit, 1, 0, 1);
    for (unsigned i = 0; i < CHANGES; i++) { /* many segments, frames of one and of many changes */
        cr_assert(ne(u64, i % 7 == 0 ? kit_put_durable(&kit, 997) : kit_put(&kit, 997), 0));
    }
    kit_close(&kit);
    cr_assert(ge(uint, temp_dir_count(kit.dir, ".jnl"), 5));
    for (uint64_t applied = 0; applied <= CHANGES + 1; applied += applied == CHANGES ? 1 : 25) {
        kit_replay(kit.dir, applied, &found);
        cr_assert(eq(int, found.status, STATUS_OK), "%s", found.errmsg);
        cr_assert(eq(sz, found.count, applied > CHANGES ? 0 : CHANGES - applied));
        cr_assert(eq(u64, found.last_lsn, applied > CHANGES ? applied : CHANGES));
        if (found.count != 0) {
            cr_assert(eq(u64, found.lsns[0], applied + 1));
        }
    }
    kit_end(&kit);
}

/* Each way in which the end of a write can be missing, at every byte of the last frame. Frames that
 * stand behind it prove nothing unless they knew it to be durable. */
Test(journal_files, a_torn_tail_is_cut_at_the_last_whole_frame)
{
    enum { CUT, ZEROED, GARBAGE, GARBAGE_BEHIND, WAYS };
    struct kit kit;
    struct buf whole = {0};
    struct buf torn = {0};
    kit_init(&kit);
    kit_open(&kit, 1, 0, 1);
    for (unsigned i = 0; i < 3; i++) {
        (void)kit_put_durable(&kit, 100);
    }
    kit_close(&kit);
    read_segment_file(&kit, 1, &whole);
    size_t begin = last_frame_at(buf_view(&whole));
    cr_assert(lt(sz, SEGMENT_HEADER_BYTES, begin));
    for (int way = 0; way < WAYS; way++) {
        for (size_t at = begin; at <= whole.len; at++) {
            torn.len = 0;
            cr_assert(eq(int, buf_append(&torn, buf_view(&whole)), STATUS_OK));
            for (size_t i = at; way != CUT && i < torn.len; i++) {
                torn.ptr[i] = way == ZEROED ? 0 : (uint8_t)(0x5a + i);
            }
            if (way == CUT) {
                torn.len = at;
            } else if (way == GARBAGE_BEHIND) { /* whole frames behind it */
                cr_assert(eq(int, buf_append(&torn, buf_view(&whole)), STATUS_OK));
            }
            bool is_whole = torn.len >= whole.len && memcmp(torn.ptr, whole.ptr, whole.len) == 0;
            write_segment_file(&kit, 1, 1, buf_view(&torn));
            kit_replay(kit.dir, 0, &found);
            cr_assert(eq(int, found.status, STATUS_OK), "way %d at %zu: %s", way, at, found.errmsg);
            cr_assert(eq(sz, found.count, is_whole ? 3 : 2), "way %d at %zu", way, at);
            cr_assert(eq(u64, found.last_lsn, is_whole ? 3 : 2));
        }
    }
    buf_free(&whole);
    buf_free(&torn);
    kit_end(&kit);
}

/* One bit of each byte: what was durable is refused, never skipped and never replayed wrongly. */
Test(journal_files, damage_in_the_middle_is_never_a_torn_tail, .timeout = 60)
{
    struct kit kit;
    struct buf bytes = {0};
    kit_init(&kit);
    kit_open(&kit, 1, 0, 1);
    for (unsigned i = 0; i < 4; i++) {
        (void)kit_put_durable(&kit, 60);
    }
    kit_close(&kit);
    read_segment_file(&kit, 1, &bytes);
    size_t last = last_frame_at(buf_view(&bytes));
    for (size_t at = 0; at < bytes.len; at++) {
        bytes.ptr[at] ^= (uint8_t)(1U << at % 8);
        write_segment_file(&kit, 1, 1, buf_view(&bytes));
        bytes.ptr[at] ^= (uint8_t)(1U << at % 8);
        kit_replay(kit.dir, 0, &found);
        if (at < last) {
            cr_assert(eq(int, found.status, STATUS_CORRUPT), "byte %zu", at);
            cr_assert(ne(ptr, strstr(found.errmsg, ".jnl"), NULL), "%s", found.errmsg);
        } else { /* the last frame has no witness: as if it had not been written whole */
            cr_assert(eq(int, found.status, STATUS_OK), "byte %zu: %s", at, found.errmsg);
            cr_assert(eq(u64, found.last_lsn, 3));
        }
    }
    buf_free(&bytes);
    kit_end(&kit);
}

/* The rows have changes 1 and 2. Damage there does no harm by itself, but what stands behind it
 * and is not in the rows cannot be reached any more. */
Test(journal_files, damage_before_what_is_applied_does_not_hide_what_is_not)
{
    struct kit kit;
    struct buf bytes = {0};
    kit_init(&kit);
    kit_open(&kit, 1, 0, 1);
    for (unsigned i = 0; i < 3; i++) {
        (void)kit_put_durable(&kit, 60);
    }
    kit_close(&kit);
    read_segment_file(&kit, 1, &bytes);
    bytes.ptr[SEGMENT_HEADER_BYTES + FRAME_HEADER_BYTES + 5] ^= 1;
    write_segment_file(&kit, 1, 1, buf_view(&bytes));
    kit_replay(kit.dir, 2, &found);
    cr_assert(eq(int, found.status, STATUS_CORRUPT));
    kit_replay(kit.dir, 3, &found);
    cr_assert(eq(int, found.status, STATUS_OK), "%s", found.errmsg);
    buf_free(&bytes);
    kit_end(&kit);
}

Test(journal_files, a_missing_segment_is_noticed)
{
    struct kit kit;
    char path[256];
    kit_init(&kit);
    kit.segment_bytes = 4096;
    kit_open(&kit, 1, 0, 1);
    for (unsigned i = 0; i < 30; i++) {
        (void)kit_put_durable(&kit, 900);
    }
    kit_close(&kit);
    kit_path(path, kit.dir, 1, 3);
    cr_assert(eq(int, unlink(path), 0));
    kit_replay(kit.dir, 0, &found);
    cr_assert(eq(int, found.status, STATUS_CORRUPT));
    cr_assert(ne(ptr, strstr(found.errmsg, "missing"), NULL), "%s", found.errmsg);
    kit_replay(kit.dir, 20, &found); /* but not when the rows have what was in it */
    cr_assert(eq(int, found.status, STATUS_OK), "%s", found.errmsg);
    cr_assert(eq(u64, found.last_lsn, 30));
    kit_end(&kit);
}

Test(journal_files, a_segment_that_was_never_finished_is_nothing)
{
    const uint8_t zeros[SEGMENT_HEADER_BYTES] = {0};
    for (size_t len = 0; len <= sizeof zeros; len += 8) {
        struct kit kit;
        kit_init(&kit);
        kit_open(&kit, 1, 0, 1);
        (void)kit_put_durable(&kit, 10);
        kit_close(&kit);
        write_segment_file(&kit, 1, 2, view_of(zeros, len));
        write_segment_file(&kit, 2, 1, view_of(zeros, len));
        kit_replay(kit.dir, 0, &found);
        cr_assert(eq(int, found.status, STATUS_OK), "%zu bytes: %s", len, found.errmsg);
        cr_assert(eq(sz, found.count, 1));
        cr_assert(eq(u64, found.epoch_max, 2));
        kit_end(&kit);
    }
}

/* The header is durable before the first frame is written, so zeros with frames behind them are
 * a header that was lost. */
Test(journal_files, a_header_of_zeros_before_frames_is_damage)
{
    struct kit kit;
    struct buf bytes = {0};
    kit_init(&kit);
    kit_open(&kit, 1, 0, 1);
    (void)kit_put_durable(&kit, 10);
    kit_close(&kit);
    read_segment_file(&kit, 1, &bytes);
    memset(bytes.ptr, 0, SEGMENT_HEADER_BYTES);
    write_segment_file(&kit, 1, 1, buf_view(&bytes));
    kit_replay(kit.dir, 0, &found);
    cr_assert(eq(int, found.status, STATUS_CORRUPT));
    buf_free(&bytes);
    kit_end(&kit);
}

Test(journal_files, a_segment_of_another_store_is_refused)
{
    struct kit kit;
    uint8_t bytes[SEGMENT_HEADER_BYTES];
    struct segment_header header = {
        .uuid = "another", .epoch = 1, .number = 1, .follows_lsn = 0, .first_lsn = 1};
    kit_init(&kit);
    segment_encode_header(bytes, &header);
    write_segment_file(&kit, 1, 1, view_of(bytes, sizeof bytes));
    kit_replay(kit.dir, 0, &found);
    cr_assert(eq(int, found.status, STATUS_CORRUPT));
    cr_assert(ne(ptr, strstr(found.errmsg, "another store"), NULL), "%s", found.errmsg);
    bytes[8] = 2; /* and so is one of a later format, in its own words */
    kit_replay(kit.dir, 0, &found);
    cr_assert(eq(int, found.status, STATUS_CORRUPT));
    kit_end(&kit);
}

/* When the disk was full, what was not durable is written again, to a new segment. The old one may
 * hold all of it, and the new one a part, when the power fails then: nothing counts twice, and
 * what was found is found again by the next recovery. */
Test(journal_files, changes_that_were_written_again_count_once)
{
    struct kit kit;
    struct buf old = {0};
    kit_init(&kit);
    kit_open(&kit, 1, 0, 1);
    for (unsigned i = 0; i < 5; i++) {
        (void)kit_put_durable(&kit, 100);
    }
    kit_close(&kit);
    read_segment_file(&kit, 1, &old);
    for (unsigned again = 0; again <= 3; again++) {
        struct segment_header header;
        struct frame frame;
        struct buf fresh = {0};
        cr_assert(eq(int, segment_decode_header(buf_view(&old), &header), STATUS_OK));
        uint64_t seed = segment_seed(&header);
        struct view rest = view_of(old.ptr + SEGMENT_HEADER_BYTES, old.len - SEGMENT_HEADER_BYTES);
        header.number = 2;
        header.follows_lsn = 2;
        header.first_lsn = 3;
        cr_assert(eq(int, buf_reserve(&fresh, old.len + 4096), STATUS_OK));
        segment_encode_header(fresh.ptr, &header);
        fresh.len = SEGMENT_HEADER_BYTES;
        for (uint64_t lsn = 1; frame_next(&rest, seed, lsn, &frame) == STATUS_OK; lsn++) {
            if (lsn >= 3 && lsn < 3 + again) {
                uint8_t *to = fresh.ptr + fresh.len;
                (void)put_view(to + FRAME_HEADER_BYTES, frame.records);
                frame.records.ptr = to + FRAME_HEADER_BYTES;
                frame.durable_lsn = 2;
                frame_seal(to, &frame, segment_seed(&header));
                fresh.len += FRAME_HEADER_BYTES + frame.records.len;
            }
        }
        write_segment_file(&kit, 1, 2, buf_view(&fresh));
        for (uint64_t applied = 0; applied <= 5; applied++) {
            kit_replay(kit.dir, applied, &found);
            cr_assert(eq(int, found.status, STATUS_OK), "%s", found.errmsg);
            cr_assert(eq(u64, found.last_lsn, 5), "%u written again", again);
            cr_assert(eq(sz, found.count, 5 - applied));
        }
        buf_free(&fresh);
    }
    buf_free(&old);
    kit_end(&kit);
}

/* Covered segments become new ones, and what they held before is in them still. */
Test(journal_files, stale_frames_of_a_recycled_segment_do_not_count)
{
    struct kit kit;
    struct journal_metrics *metrics = &kit.metrics;
    uint64_t applied = 0;
    kit_init(&kit);
    kit.segment_bytes = 4096;
    kit_open(&kit, 1, 0, 1);
    for (unsigned i = 1; i <= 100; i++) {
        uint64_t lsn = kit_put_durable(&kit, 700);
        if (i % 10 == 0) {
            applied = lsn - 3;
            cr_assert(eq(int, journal_drop_covered(kit.journal, applied), STATUS_OK));
        }
        kit_replay(kit.dir, applied, &found);
        cr_assert(eq(int, found.status, STATUS_OK), "after %u: %s", i, found.errmsg);
        cr_assert(eq(u64, found.last_lsn, lsn));
        cr_assert(eq(sz, found.count, lsn - applied));
    }
    cr_assert(lt(u64, 20, metric_counter_get(&metrics->segments)));
    cr_assert(le(uint, temp_dir_count(kit.dir, ".jnl"), 8));
    kit_end(&kit);
}

/* No more is kept than is to be, counting what a file had before it was used again for less. */
Test(journal_files, covered_segments_are_kept_up_to_a_limit)
{
    struct kit kit;
    kit_init(&kit);
    kit.segment_bytes = 16 * 1024;
    kit_open(&kit, 1, 0, 1);
    for (unsigned round = 0; round < 4; round++) {
        uint64_t lsn = 0;
        for (unsigned i = 0; i < 10 * 16; i++) {
            lsn = kit_put_durable(&kit, 900);
        }
        cr_assert(eq(int, journal_drop_covered(kit.journal, lsn), STATUS_OK));
        /* With headers a file may be a little larger than a segment: then one fewer fits. */
        unsigned spares = temp_dir_count(kit.dir, ".jnl") - 1;
        cr_assert(le(uint, spares, KIT_SPARE_SEGMENTS));
        cr_assert(ge(uint, spares, KIT_SPARE_SEGMENTS - 1));
        cr_assert(lt(u64, 10 * round + 8, metric_counter_get(&kit.metrics.segments)));
    }
    kit_end(&kit);
}

/* A file is caught between its new header and its new name: it counts as neither. */
Test(journal_files, a_half_recycled_segment_is_nothing)
{
    struct kit kit;
    struct buf bytes = {0};
    uint8_t header_bytes[SEGMENT_HEADER_BYTES];
    struct segment_header header;
    kit_init(&kit);
    kit.segment_bytes = 4096;
    kit_open(&kit, 1, 0, 1);
    while (metric_counter_get(&kit.metrics.segments) < 4) {
        (void)kit_put_durable(&kit, 900);
    }
    kit_close(&kit);
    read_segment_file(&kit, 1, &bytes);
    cr_assert(eq(int, segment_decode_header(buf_view(&bytes), &header), STATUS_OK));
    header.number = 5;
    header.first_lsn = 1000;
    header.follows_lsn = 999;
    segment_encode_header(header_bytes, &header);
    memcpy(bytes.ptr, header_bytes, sizeof header_bytes);
    write_segment_file(&kit, 1, 1, buf_view(&bytes));
    kit_replay(kit.dir, 4, &found);
    cr_assert(eq(int, found.status, STATUS_OK), "%s", found.errmsg);
    cr_assert(eq(u64, found.lsn_max, 1000)); /* that number may have been given out */
    kit_replay(kit.dir, 0, &found);          /* if it was not covered, it is missed */
    cr_assert(eq(int, found.status, STATUS_CORRUPT));
    buf_free(&bytes);
    kit_end(&kit);
}

/* Epoch 2 recovered up to change 3; what epoch 1 wrote behind its back does not count. */
Test(journal_files, a_zombies_tail_is_ignored)
{
    struct kit zombie;
    struct kit heir;
    kit_init(&zombie);
    zombie.segment_bytes = 1024;
    kit_open(&zombie, 1, 0, 1);
    for (unsigned i = 0; i < 3; i++) {
        (void)kit_put_durable(&zombie, 100);
    }
    kit_init(&heir);
    temp_dir_remove(heir.dir);
    memcpy(heir.dir, zombie.dir, sizeof heir.dir);
    kit_open(&heir, 2, 3, 1001);
    (void)kit_put_durable(&heir, 100);
    for (unsigned i = 0; i < 20; i++) { /* in its own segment and in new ones */
        (void)kit_put_durable(&zombie, 100);
    }
    (void)kit_put_durable(&heir, 100);
    kit_close(&zombie);
    kit_close(&heir);
    kit_replay(heir.dir, 0, &found);
    cr_assert(eq(int, found.status, STATUS_OK), "%s", found.errmsg);
    cr_assert(eq(sz, found.count, 5));
    cr_assert(eq(u64, found.lsns[2], 3));
    cr_assert(eq(u64, found.lsns[3], 1001));
    cr_assert(eq(u64, found.last_lsn, 1002));
    kit_end(&heir);
}

/* The heir saw change 3; when it cannot be had any more, that is damage, although the segment is
 * the last of its epoch and nothing in it proves anything. */
Test(journal_files, an_earlier_epoch_must_reach_what_the_next_one_follows)
{
    struct kit kit;
    struct buf bytes = {0};
    kit_init(&kit);
    kit_open(&kit, 1, 0, 1);
    for (unsigned i = 0; i < 3; i++) {
        (void)kit_put_durable(&kit, 100);
    }
    kit_close(&kit);
    kit_open(&kit, 2, 3, 1001);
    kit_close(&kit);
    kit_replay(kit.dir, 0, &found);
    cr_assert(eq(int, found.status, STATUS_OK), "%s", found.errmsg);
    cr_assert(eq(u64, found.last_lsn, 3));
    cr_assert(eq(u64, found.lsn_max, 1001)); /* given out, perhaps, although nothing is written */
    read_segment_file(&kit, 1, &bytes);
    write_segment_file(&kit, 1, 1, view_of(bytes.ptr, last_frame_at(buf_view(&bytes))));
    kit_replay(kit.dir, 0, &found);
    cr_assert(eq(int, found.status, STATUS_CORRUPT));
    buf_free(&bytes);
    kit_end(&kit);
}

Test(journal_files, a_segment_that_another_process_writes_is_locked)
{
    struct kit kit;
    kit_init(&kit);
    kit_open(&kit, 1, 0, 1);
    (void)kit_put_durable(&kit, 100);
    pid_t child = fork();
    cr_assert(ge(int, child, 0));
    if (child == 0) {
        kit_replay(kit.dir, 0, &found);
        _exit(found.status == STATUS_LOCKED && strstr(found.errmsg, ".jnl") != NULL ? 0 : 1);
    }
    int status = 0;
    cr_assert(eq(int, waitpid(child, &status, 0), child));
    cr_assert(eq(int, status, 0));
    kit_end(&kit);
}

Test(journal_files, removing_leaves_no_segment_and_nothing_else_away)
{
    struct kit kit;
    struct journal_files files;
    char errmsg[256];
    char path[256];
    kit_init(&kit);
    kit_open(&kit, 1, 0, 1);
    (void)kit_put_durable(&kit, 100);
    kit_close(&kit);
    (void)snprintf(path, sizeof path, "%s/notes.txt", kit.dir);
    temp_file_write(path, view_str("not ours"));
    const struct journal_place place = {.dir = kit.dir, .uuid = kit_uuid, .file = &file_ops_system};
    cr_assert(eq(int, journal_files_list(&files, &place, errmsg, sizeof errmsg), STATUS_OK));
    cr_assert(eq(sz, files.count, 1));
    cr_assert(eq(int, journal_files_remove(&files), STATUS_OK));
    cr_assert(eq(uint, temp_dir_count(kit.dir, ".jnl"), 0));
    cr_assert(eq(uint, temp_dir_count(kit.dir, "notes.txt"), 1));
    kit_end(&kit);
}
