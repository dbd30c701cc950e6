/* New files after an owner that did not say that it is done: what is in them, what becomes of the
 * old ones, and that an end or a failure at any point leaves all of it. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/data_dir.h"
#include "store/store_private.h"
#include "support/fake_disk.h"
#include "support/random.h"
#include "support/store_stand.h"

TestSuite(renew, .timeout = 120); /* what waits for ever is a failure */

enum { SESSIONS = 120, LARGE_BYTES = 1 << 20 };

static void id_of(char out[32], unsigned number)
{
    (void)snprintf(out, 32, "session-%u", number);
}

static size_t size_of(unsigned number)
{
    static const size_t sizes[] = {0, 1, 500, 1990, 2000, 2010, 4000, 10000, 100000};
    return sizes[number % (sizeof sizes / sizeof sizes[0])];
}

static uint8_t content[LARGE_BYTES];

static struct view content_of(unsigned number, unsigned turn, size_t len)
{
    struct random random = {.state = number * UINT64_C(1000) + turn};
    random_fill(&random, content, len);
    return view_of(content, len);
}

static uint64_t versions[SESSIONS];
static unsigned turns[SESSIONS];

static void change(struct stand *stand, unsigned number)
{
    char id[32];
    id_of(id, number);
    turns[number]++;
    versions[number] = stand_set_lsn(stand, id, content_of(number, turns[number], size_of(number)));
}

/* Every session is as it was last set, with that version. */
static void check_all(struct stand *stand)
{
    struct answer answer = {0};
    for (unsigned i = 0; i < SESSIONS; i++) {
        char id[32];
        id_of(id, i);
        cr_assert(eq(int, stand_get(stand, id, &answer), SATCHEL_OK), "%s", id);
        cr_assert(eq(u64, answer.session.version, versions[i]), "%s", id);
        cr_assert(view_equal(answer.session.content, content_of(i, turns[i], size_of(i))), "%s",
                  id);
    }
    cr_assert(eq(u64, store_session_count(stand->store), SESSIONS));
    answer_free(&answer);
}

/* A directory whose owner was killed: some sessions in the rows, some in the journal, some in both.
 */
static void make_unclean(struct stand *stand)
{
    stand_init(stand);
    stand->options.segment_bytes = 64 * 1024;
    stand_open(stand);
    for (unsigned i = 0; i < SESSIONS; i++) {
        if (i % 3 != 0) {
            change(stand, i);
        }
    }
    stand_checkpoint(stand);
    for (unsigned i = 0; i < SESSIONS; i++) {
        if (i % 3 != 1) {
            change(stand, i);
        }
    }
    (void)stand_set_lsn(stand, "deleted", view_str("?"));
    cr_assert(eq(int, stand_delete(stand, "deleted"), SATCHEL_OK));
    stand_settle(stand);
    stand_kill(stand);
    stand->released_epoch = 0;
}

static bool has_data_file(const struct stand *stand, uint64_t epoch, bool is_whole)
{
    char *path = data_file_path(stand->dir, epoch, is_whole);
    bool has = access(path, F_OK) == 0;
    free(path);
    return has;
}

static unsigned count_data_files(const struct stand *stand)
{
    return temp_dir_count(stand->dir, ".mdb") + temp_dir_count(stand->dir, ".mdb.new");
}

/* Segments of `epoch`, and of all others. */
static void count_segments(const struct stand *stand, uint64_t epoch, unsigned *mine,
                           unsigned *others)
{
    char dir[TEMP_DIR_BYTES + 16];
    (void)snprintf(dir, sizeof dir, "%s/journal", stand->dir);
    *mine = 0;
    for (uint64_t number = 1; number < 1000; number++) {
        char path[TEMP_DIR_BYTES + 64];
        char name[SEGMENT_NAME_BYTES];
        segment_name(name, epoch, number, 0);
        (void)snprintf(path, sizeof path, "%s/%s", dir, name);
        *mine += access(path, F_OK) == 0;
    }
    *others = temp_dir_count(dir, ".jnl") - *mine;
}

Test(renew, after_an_unclean_end_everything_goes_on_in_new_files)
{
    struct stand stand;
    unsigned mine = 0;
    unsigned others = 0;
    make_unclean(&stand);
    stand_open(&stand);
    check_all(&stand);
    cr_assert(has_data_file(&stand, 1, true)); /* it serves before it copies */
    change(&stand, 5);                         /* in the old rows */
    stand_checkpoint(&stand);
    cr_assert(has_data_file(&stand, 2, true));
    cr_assert(eq(uint, count_data_files(&stand), 1));
    count_segments(&stand, 2, &mine, &others);
    cr_assert(ge(uint, mine, 1));
    cr_assert(eq(uint, others, 0));
    cr_assert(eq(u64, metric_counter_get(&stand.store->metrics.renewals), 1));
    check_all(&stand);
    change(&stand, 6);
    stand_checkpoint(&stand); /* once is enough */
    cr_assert(eq(u64, metric_counter_get(&stand.store->metrics.renewals), 1));
    stand_close(&stand);
    stand.released_epoch = 2; /* it said that it is done */
    stand_open(&stand);
    check_all(&stand);
    stand_end(&stand);
}

/* Who said that it is done leaves its files to be gone on with. */
Test(renew, the_files_of_an_owner_that_released_are_used_again)
{
    for (uint64_t released = 1; released < 3; released++) {
        struct stand stand;
        make_unclean(&stand);
        stand.released_epoch = released; /* of this very epoch, or of a later one */
        stand_open(&stand);
        change(&stand, 7);
        stand_checkpoint(&stand);
        cr_assert(has_data_file(&stand, 1, true));
        cr_assert(eq(uint, count_data_files(&stand), 1));
        check_all(&stand);
        stand_end(&stand);
    }
}

/* A release is worth nothing when somebody has owned the directory since. */
Test(renew, a_release_of_an_earlier_epoch_does_not_count)
{
    struct stand stand;
    make_unclean(&stand);
    stand.released_epoch = 1;
    stand_open(&stand); /* epoch 2, in the file of epoch 1 */
    change(&stand, 8);
    stand_settle(&stand);
    stand_kill(&stand);
    stand_open(&stand);
    stand_checkpoint(&stand);
    cr_assert(has_data_file(&stand, 3, true));
    cr_assert(eq(uint, count_data_files(&stand), 1));
    check_all(&stand);
    stand_end(&stand);
}

Test(renew, of_no_rows_a_new_file_is_made_as_well)
{
    struct stand stand;
    stand_init(&stand);
    stand_open(&stand);
    (void)stand_set_lsn(&stand, "a", view_str("in the journal only"));
    stand_settle(&stand);
    stand_kill(&stand);
    stand.released_epoch = 0;
    stand_open(&stand);
    stand_checkpoint(&stand);
    cr_assert(has_data_file(&stand, 2, true));
    cr_assert(eq(uint, count_data_files(&stand), 1));
    stand_kill(&stand);
    stand_open(&stand);
    struct answer answer = {0};
    cr_assert(eq(int, stand_get(&stand, "a", &answer), SATCHEL_OK));
    answer_free(&answer);
    stand_end(&stand);
}

/* ---- Ends in the middle --------------------------------------------------------------------- */

static bool has_failed(struct stand *stand)
{
    (void)pthread_mutex_lock(&stand->lock);
    bool failed = stand->has_failed;
    (void)pthread_mutex_unlock(&stand->lock);
    return failed;
}

/* A checkpoint that may be the end of the store; false when it was. */
static bool try_checkpoint(struct stand *stand)
{
    int64_t began_ns = clock_mono_ns(&clock_system);
    for (unsigned request = 0; request < 2; request++) { /* as stand_checkpoint() does */
        store_want_checkpoint(stand->store);
        for (bool taken = false; !taken && !has_failed(stand);) {
            (void)pthread_mutex_lock(&stand->store->keeper_lock);
            taken = !stand->store->checkpoint_due;
            (void)pthread_mutex_unlock(&stand->store->keeper_lock);
            stand_pause(began_ns);
        }
    }
    return !has_failed(stand);
}

/* Each call of the renewal and of the checkpoint behind it fails in its turn, and that is the end
 * of this owner. The next one finds everything, and tidies up. */
Test(renew, an_end_at_any_point_leaves_everything)
{
    static const enum fake_call calls[] = {FAKE_OPEN,   FAKE_LOCK,   FAKE_CLOSE,
                                           FAKE_RENAME, FAKE_UNLINK, FAKE_FSYNC};
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        bool failed = true;
        unsigned nth = 1;
        for (; failed; nth++) {
            struct stand stand;
            make_unclean(&stand);
            struct fake_disk *disk = fake_disk_new();
            stand.file = fake_disk_ops(disk);
            stand_open(&stand);
            change(&stand, nth % SESSIONS);
            stand_settle(&stand);
            fake_disk_fail(disk, calls[i], nth, EIO);
            failed = !try_checkpoint(&stand);
            stand_kill(&stand);
            stand.file = &file_ops_system;
            stand_open(&stand);
            check_all(&stand);
            stand_checkpoint(&stand);
            cr_assert(eq(uint, count_data_files(&stand), 1), "call %zu.%u", i, nth);
            cr_assert(has_data_file(&stand, 3, true));
            check_all(&stand);
            stand_end(&stand);
            fake_disk_free(disk);
        }
        cr_assert(lt(uint, 2, nth), "call %zu never failed", i);
    }
}

Test(renew, what_earlier_owners_left_behind_goes)
{
    struct stand stand;
    char *unfinished = NULL;
    char *older = NULL;
    make_unclean(&stand);
    unfinished = data_file_path(stand.dir, 1, false);
    temp_file_write(unfinished, view_str("cut off while it was made"));
    older = data_file_path(stand.dir, 2, false); /* under the name that ours will have */
    temp_file_write(older, view_str("and so was this"));
    stand_open(&stand);
    check_all(&stand);
    stand_checkpoint(&stand);
    cr_assert(eq(uint, count_data_files(&stand), 1));
    cr_assert(has_data_file(&stand, 2, true));
    stand_kill(&stand);
    stand_open(&stand);
    check_all(&stand);
    stand_end(&stand);
    free(unfinished);
    free(older);
}

/* An owner that was replaced while it tidied up must not remove its successor's file. */
Test(renew, files_of_later_epochs_are_left_alone)
{
    char dir[TEMP_DIR_BYTES];
    static const struct {
        uint64_t epoch;
        bool is_whole;
        bool stays;
    } files[] = {{1, true, false},  {2, true, false},  {3, true, true},  {4, true, true},
                 {1, false, false}, {3, false, false}, {4, false, true}, {5, false, true}};
    temp_dir_make(dir);
    for (unsigned pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
            char *path = data_file_path(dir, files[i].epoch, files[i].is_whole);
            if (pass == 0) {
                temp_file_write(path, view_str("sessions"));
            } else {
                cr_assert(eq(int, access(path, F_OK) == 0, files[i].stays), "%s", path);
            }
            free(path);
        }
        char other[TEMP_DIR_BYTES + 32];
        (void)snprintf(other, sizeof other, "%s/data-1.mdb", dir); /* not as we name them */
        if (pass == 0) {
            temp_file_write(other, view_str("somebody's"));
            cr_assert(eq(int, data_files_tidy(dir, 3, &file_ops_system), STATUS_OK));
        } else {
            cr_assert(eq(int, access(other, F_OK), 0));
        }
    }
    temp_dir_remove(dir);
}

Test(renew, a_store_that_closes_before_says_that_the_journal_is_needed)
{
    struct stand stand;
    make_unclean(&stand);
    for (unsigned life = 0; life < 2; life++) {
        stand_open(&stand);
        change(&stand, 9 + life);
        cr_assert(eq(int, store_close(stand.store), STATUS_AGAIN));
        stand.store = NULL;
        cr_assert(has_data_file(&stand, 1, true));
        cr_assert(eq(uint, temp_dir_count(stand.dir, ".mdb"), 1));
    }
    stand_open(&stand);
    check_all(&stand);
    stand_checkpoint(&stand);
    cr_assert(eq(uint, count_data_files(&stand), 1));
    check_all(&stand);
    stand_end(&stand);
}

/* The copy waits when it is about to begin, until the store closes. */
static struct stand *closing;
static _Atomic bool has_begun;
static struct file_ops waiting_ops;

static int unlink_when_closing(void *arg, const char *path)
{
    size_t len = strlen(path);
    if (len > 4 && strcmp(path + len - 4, ".new") == 0) {
        atomic_store(&has_begun, true);
        for (int64_t began_ns = clock_mono_ns(&clock_system); !store_is_stopping(closing->store);) {
            stand_pause(began_ns);
        }
    }
    return file_ops_system.unlink(arg, path);
}

Test(renew, a_store_closes_in_the_middle_of_it)
{
    struct stand stand;
    make_unclean(&stand);
    waiting_ops = file_ops_system;
    waiting_ops.unlink = unlink_when_closing;
    closing = &stand;
    stand.file = &waiting_ops;
    stand_open(&stand);
    store_want_checkpoint(stand.store);
    for (int64_t began_ns = clock_mono_ns(&clock_system); !atomic_load(&has_begun);) {
        stand_pause(began_ns);
    }
    change(&stand, 11); /* which it is none the worse for */
    cr_assert(eq(int, store_close(stand.store), STATUS_AGAIN));
    stand.store = NULL;
    cr_assert(not(stand.has_failed), "%s", stand.why);
    cr_assert(has_data_file(&stand, 1, true));
    cr_assert(not(has_data_file(&stand, 2, true)));
    stand.file = &file_ops_system;
    stand_open(&stand);
    check_all(&stand);
    stand_checkpoint(&stand);
    cr_assert(eq(uint, count_data_files(&stand), 1));
    stand_end(&stand);
}

/* ---- No space ------------------------------------------------------------------------------- */

static void check_that_it_goes_on_without(struct stand *stand)
{
    stand_checkpoint(stand);
    cr_assert(eq(int, store_state(stand->store), STORE_SERVING), "%s", stand->why);
    cr_assert(has_data_file(stand, 1, true));
    /* What was begun takes no space: it goes and stays away. The second attempt of that checkpoint
     * may be under way. */
    int64_t began_ns = clock_mono_ns(&clock_system);
    for (unsigned absent = 0; absent < 100; absent++) {
        absent = has_data_file(stand, 2, false) ? 0 : absent;
        stand_pause(began_ns);
    }
    cr_assert(eq(u64, metric_counter_get(&stand->store->metrics.renewals), 0));
    change(stand, 12);
    stand_settle(stand);
    check_all(stand);
}

static void check_that_it_works_now(struct stand *stand)
{
    stand_checkpoint(stand);
    cr_assert(eq(u64, metric_counter_get(&stand->store->metrics.renewals), 1));
    cr_assert(eq(uint, count_data_files(stand), 1));
    cr_assert(has_data_file(stand, 2, true));
    check_all(stand);
    stand_kill(stand);
    stand_open(stand);
    check_all(stand);
}

Test(renew, without_space_for_its_name_it_is_tried_again)
{
    static const enum fake_call calls[] = {FAKE_OPEN, FAKE_RENAME};
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        struct stand stand;
        make_unclean(&stand);
        struct fake_disk *disk = fake_disk_new();
        stand.file = fake_disk_ops(disk);
        stand_open(&stand);
        fake_disk_fill(disk, calls[i], true);
        check_that_it_goes_on_without(&stand);
        fake_disk_fill(disk, calls[i], false);
        check_that_it_works_now(&stand);
        stand_end(&stand);
        fake_disk_free(disk);
    }
}

Test(renew, without_space_for_its_rows_it_is_tried_again)
{
    struct stand stand;
    make_unclean(&stand);
    stand_open(&stand);
    /* The keeper reads it when it opens the new file, and now it waits for work. */
    uint64_t map_bytes = stand.store->options.map_bytes;
    stand.store->options.map_bytes = 256 * 1024;
    check_that_it_goes_on_without(&stand);
    check_that_it_goes_on_without(&stand);
    stand.store->options.map_bytes = map_bytes;
    check_that_it_works_now(&stand);
    stand_end(&stand);
}

/* ---- Readers and locks ---------------------------------------------------------------------- */

struct reading {
    struct stand *stand;
    _Atomic bool stop;
    _Atomic unsigned reads;
};

static void *read_all_the_time(void *arg)
{
    struct reading *self = arg;
    struct session_scratch scratch = {0};
    struct answer answer = {0};
    struct random random = {.state = 3};
    while (!atomic_load(&self->stop)) {
        char id[32];
        id_of(id, (unsigned)random_below(&random, SESSIONS));
        const struct command cmd = {.op = SATCHEL_OP_GET, .id = view_str(id)};
        stand_run(self->stand, &cmd, &scratch, &answer);
        cr_assert(eq(int, answer.status, SATCHEL_OK), "%s", id);
        atomic_fetch_add(&self->reads, 1);
    }
    answer_free(&answer);
    session_scratch_free(&scratch);
    return NULL;
}

Test(renew, values_are_read_while_the_file_changes)
{
    struct stand stand;
    pthread_t threads[2];
    make_unclean(&stand);
    stand.options.memory_bytes = 1 << 20; /* less than the sessions have */
    for (unsigned life = 0; life < 4; life++) {
        stand_open(&stand);
        struct reading reading = {.stand = &stand};
        for (size_t i = 0; i < 2; i++) {
            cr_assert(eq(int, pthread_create(&threads[i], NULL, read_all_the_time, &reading), 0));
        }
        int64_t began_ns = clock_mono_ns(&clock_system);
        while (atomic_load(&reading.reads) < 20) {
            stand_pause(began_ns);
        }
        stand_checkpoint(&stand);
        stand_sweep(&stand); /* what was dirty leaves memory as well */
        unsigned reads = atomic_load(&reading.reads);
        while (atomic_load(&reading.reads) < reads + 200) {
            stand_pause(began_ns);
        }
        atomic_store(&reading.stop, true);
        for (size_t i = 0; i < 2; i++) {
            cr_assert(eq(int, pthread_join(threads[i], NULL), 0));
        }
        cr_assert(lt(u64, 0, metric_counter_get(&stand.store->metrics.loaded)));
        cr_assert(eq(u64, metric_counter_get(&stand.store->metrics.renewals), 1));
        check_all(&stand);
        change(&stand, life);
        stand_settle(&stand);
        stand_kill(&stand);
    }
    stand_end(&stand);
}

/* Counts the files of a directory that end in `suffix` and that another process could lock. */
static unsigned count_unlocked(const char *dir, const char *suffix)
{
    pid_t child = fork();
    cr_assert(ge(int, child, 0));
    if (child == 0) {
        unsigned unlocked = 0;
        DIR *listing = opendir(dir);
        for (const struct dirent *item = NULL;
             listing != NULL && (item = readdir(listing)) != NULL;) {
            char path[512];
            size_t len = strlen(item->d_name);
            if (len < strlen(suffix) || strcmp(item->d_name + len - strlen(suffix), suffix) != 0) {
                continue;
            }
            (void)snprintf(path, sizeof path, "%s/%s", dir, item->d_name);
            int fd = open(path, O_RDWR | O_CLOEXEC);
            struct flock whole_file = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
            unlocked += fd >= 0 && fcntl(fd, F_SETLK, &whole_file) == 0;
        }
        _exit(listing == NULL ? 99 : (int)unlocked);
    }
    int status = 0;
    cr_assert(eq(int, waitpid(child, &status, 0), child));
    bool has_exited = WIFEXITED(status);
    cr_assert(has_exited);
    return (unsigned)WEXITSTATUS(status);
}

/* A predecessor that still writes into one of them is refused as long as they are needed, and so
 * is who would take over while we are still reading them. */
Test(renew, everything_that_is_needed_is_locked)
{
    struct stand stand;
    char journal[TEMP_DIR_BYTES + 16];
    unsigned mine = 0;
    unsigned others = 0;
    make_unclean(&stand);
    stand_open(&stand);
    (void)snprintf(journal, sizeof journal, "%s/journal", stand.dir);
    count_segments(&stand, 2, &mine, &others);
    cr_assert(ge(uint, others, 2));
    cr_assert(eq(uint, count_unlocked(journal, ".jnl"), 0));
    cr_assert(eq(uint, count_unlocked(stand.dir, ".mdb"), 0));
    change(&stand, 1);
    stand_checkpoint(&stand);
    count_segments(&stand, 2, &mine, &others);
    cr_assert(eq(uint, others, 0));
    cr_assert(eq(uint, count_unlocked(journal, ".jnl"), 0));
    cr_assert(eq(uint, count_unlocked(stand.dir, ".mdb"), 0));
    stand_close(&stand);
    cr_assert(ge(uint, count_unlocked(journal, ".jnl"), 1));
    cr_assert(eq(uint, count_unlocked(stand.dir, ".mdb"), 1));
    stand_end(&stand);
}
