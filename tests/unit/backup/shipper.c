/* The shipper's thread: what it ships when, what it tells, and how it ends. */
#include "backup/shipper.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <string.h>

#include "unit/backup/log_kit.h"

enum { STOP_MS = 20000, DEADLINE_MS = 20000, INTERVAL_MS = 2 };

static const uint8_t uuid[SLOT_UUID_BYTES] = {1, 2, 3};

/* A process with a feed and a shipper, and what it was told. */
struct process {
    struct bucket_client client;
    struct feed_metrics feed_metrics;
    struct feed *feed;
    struct shipper *shipper;
    struct metric_registry registry;
    uint64_t next_lsn;
    atomic_uint owed;
    atomic_uint ended;
    _Atomic enum shipper_state end_state;
    char why[CHAIN_ERRMSG_BYTES];
};

static struct process a;
static struct process b;

static void note_ended(void *arg, enum shipper_state state, const char *why)
{
    struct process *process = arg;
    (void)snprintf(process->why, sizeof process->why, "%s", why);
    atomic_store(&process->end_state, state);
    atomic_fetch_add(&process->ended, 1);
}

static void note_owed(void *arg)
{
    struct process *process = arg;
    atomic_fetch_add(&process->owed, 1);
}

static void open_feed_and_client(struct process *process, uint64_t store_lsn)
{
    *process = (struct process){.next_lsn = store_lsn + 1};
    bucket_client_open(&process->client, 2);
    process->feed = log_feed_open(&process->feed_metrics);
}

static void start(struct process *process, uint64_t epoch, struct shipper_options options)
{
    options.epoch = epoch;
    options.recovered_ms = 1800000000000;
    options.interval_ms = options.interval_ms != 0 ? options.interval_ms : INTERVAL_MS;
    options.pause_ms_max = INTERVAL_MS;
    memcpy(options.uuid, uuid, sizeof options.uuid);
    const struct shipper_deps deps = {
        .s3 = process->client.s3,
        .feed = process->feed,
        .stop = &process->client.stop,
        .clock = &bucket_clock,
        .events = {.ended = note_ended, .snapshot_owed = note_owed, .arg = process}};
    cr_assert(eq(int, shipper_open(&options, &deps, &process->shipper), STATUS_OK));
    cr_assert(eq(int, shipper_register_metrics(process->shipper, &process->registry), STATUS_OK));
}

static void open_process(struct process *process, uint64_t epoch, uint64_t store_lsn)
{
    open_feed_and_client(process, store_lsn);
    start(process, epoch, (struct shipper_options){.store_lsn = store_lsn});
}

static void give(struct process *process, uint32_t count)
{
    log_give(process->feed, process->next_lsn, count);
    process->next_lsn += count;
}

static void close_process(struct process *process)
{
    shipper_close(process->shipper);
    feed_close(process->feed);
    bucket_client_close(&process->client);
}

static void stop_and_close(struct process *process, enum status expected)
{
    cr_assert(eq(int, shipper_stop(process->shipper, STOP_MS), expected));
    close_process(process);
}

static struct shipper_status status_of(struct process *process)
{
    struct shipper_status status;
    shipper_status(process->shipper, &status);
    return status;
}

/* Waits until `holds` is true. */
static void wait_for(bool (*holds)(struct process *process, uint64_t arg), struct process *process,
                     uint64_t arg, const char *what)
{
    const int64_t end_ms = clock_wall_ms(&clock_system) + DEADLINE_MS;
    while (!holds(process, arg)) {
        cr_assert(lt(i64, clock_wall_ms(&clock_system), end_ms), "not in time: %s; %s", what,
                  status_of(process).error);
        (void)stop_wait(&process->client.stop, 1);
    }
}

static bool has_shipped(struct process *process, uint64_t lsn)
{
    return status_of(process).position.shipped_lsn >= lsn;
}

static bool is_in_state(struct process *process, uint64_t state)
{
    return status_of(process).state == state;
}

static bool has_ended(struct process *process, uint64_t count)
{
    return atomic_load(&process->ended) >= count;
}

static bool was_asked(struct process *process, uint64_t requests)
{
    (void)process;
    return bucket_requests() >= requests;
}

static bool was_owed(struct process *process, uint64_t count)
{
    return atomic_load(&process->owed) >= count;
}

static void wait_shipped(struct process *process)
{
    wait_for(has_shipped, process, process->next_lsn - 1, "all is shipped");
}

/* The value of a metric, by the text that exporters print. */
struct wanted {
    const char *name;
    const char *labels;
    double value;
};

static void find_metric(void *arg, const struct metric_sample *sample)
{
    struct wanted *wanted = arg;
    if (strcmp(sample->desc->name, wanted->name) == 0 &&
        strcmp(sample->desc->labels, wanted->labels) == 0) {
        wanted->value = sample->value;
    }
}

static double metric(struct process *process, const char *name, const char *labels)
{
    struct wanted wanted = {.name = name, .labels = labels, .value = -1};
    metric_visit(&process->registry, find_metric, &wanted);
    return wanted.value;
}

/* ---- All is well ---------------------------------------------------------------------------- */

Test(shipper, changes_become_slots_and_the_position_tells_which, .timeout = 60)
{
    struct shipper_position position = {0};
    bucket_open();
    log_set_time(1800000000001);
    open_process(&a, 1, 0);
    for (unsigned i = 0; i < 5; i++) {
        give(&a, 10);
        wait_shipped(&a);
    }
    cr_assert(shipper_position(a.shipper, &position));
    struct log_found found = log_read(0);
    cr_assert(eq(u64, found.last_lsn, 50));
    cr_assert(eq(u64, found.slots, position.next_seq));
    cr_assert(eq(u64, position.shipped_lsn, 50));
    cr_assert(eq(u64, found.gaps, 0));
    cr_assert(eq(i64, found.fenced_ms, 1800000000000));
    cr_assert(is_in_state(&a, SHIPPER_SHIPPING));
    cr_assert(eq(dbl, metric(&a, "satchel_backup_state", "state=\"shipping\""), 1));
    cr_assert(eq(dbl, metric(&a, "satchel_backup_state", "state=\"starting\""), 0));
    cr_assert(eq(dbl, metric(&a, "satchel_backup_slots_total", ""), (double)found.slots - 1));
    cr_assert(lt(dbl, 100, metric(&a, "satchel_backup_shipped_bytes_total", "")));
    cr_assert(eq(dbl, metric(&a, "satchel_backup_failures_total", ""), 0));
    struct shipper_status status = status_of(&a);
    cr_assert(status.is_conditional && status.is_deletable && !status.owes_snapshot);
    cr_assert(eq(u64, status.lag_ms, 0));
    cr_assert(eq(str, status.error, ""));
    stop_and_close(&a, STATUS_OK);
    cr_assert(eq(int, a.owed, 0));
    bucket_close();
}

Test(shipper, nothing_is_written_while_nothing_changes, .timeout = 60)
{
    bucket_open();
    open_process(&a, 1, 0);
    give(&a, 1);
    wait_shipped(&a);
    size_t requests = bucket_requests();
    (void)stop_wait(&a.client.stop, (uint64_t)50 * INTERVAL_MS);
    cr_assert(eq(sz, bucket_requests(), requests));
    stop_and_close(&a, STATUS_OK);
    cr_assert(eq(sz, bucket_requests(), requests));
    bucket_close();
}

Test(shipper, a_mib_is_shipped_before_the_interval_is_over, .timeout = 60)
{
    bucket_open();
    open_feed_and_client(&a, 0);
    start(&a, 1, (struct shipper_options){.interval_ms = (uint64_t)1000 * DEADLINE_MS});
    wait_for(is_in_state, &a, SHIPPER_SHIPPING, "the log is taken over");
    while (a.feed_metrics.bytes.value < 1024 * 1024 && a.next_lsn < 200000) {
        give(&a, 100);
    }
    uint64_t lsn = a.next_lsn - 1000;
    wait_for(has_shipped, &a, lsn, "a MiB is shipped");
    give(&a, 1);
    stop_and_close(&a, STATUS_OK); /* and the rest at the end */
    cr_assert(eq(u64, log_read(0).last_lsn, a.next_lsn - 1));
    bucket_close();
}

Test(shipper, what_was_given_before_the_start_is_shipped_and_dates_the_fence, .timeout = 60)
{
    bucket_open();
    open_process(&a, 1, 0);
    give(&a, 5);
    stop_and_close(&a, STATUS_OK);
    open_feed_and_client(&b, 0);
    log_set_time(1750000000000);
    give(&b, 5); /* which the archive has */
    log_set_time(1760000000000);
    give(&b, 5); /* which its predecessor had not shipped */
    start(&b, 2, (struct shipper_options){.store_lsn = 10});
    wait_shipped(&b);
    stop_and_close(&b, STATUS_OK);
    struct log_found found = log_read(0);
    cr_assert(eq(u64, found.changes, 10));
    cr_assert(eq(u64, found.gaps, 0));
    cr_assert(eq(i64, found.fenced_ms, 1760000000000));
    bucket_close();
}

Test(shipper, of_a_recovered_journal_larger_than_the_feed_the_end_is_enough, .timeout = 60)
{
    enum { BATCH = 1000, SHIPPED = 40, RECOVERED = 62, FEED_BYTES = 2 * 1024 * 1024 };
    bucket_open();
    open_process(&a, 1, 0);
    for (unsigned i = 0; i < SHIPPED; i++) {
        give(&a, BATCH);
    }
    stop_and_close(&a, STATUS_OK);
    for (unsigned lost = 0; lost < 2; lost++) { /* how much of it the archive lacks: some, or all */
        open_feed_and_client(&b, 0);
        feed_close(b.feed);
        const struct feed_options options = {.bytes_max = FEED_BYTES, .metrics = &b.feed_metrics};
        cr_assert(eq(int, feed_open(&options, &b.feed), STATUS_OK));
        for (unsigned i = 0; i < RECOVERED; i++) {
            give(&b, BATCH);
        }
        cr_assert(lt(u64, 0, metric_counter_get(&b.feed_metrics.dropped)));
        start(&b, 2 + lost, (struct shipper_options){.store_lsn = b.next_lsn - 1});
        wait_shipped(&b);
        stop_and_close(&b, STATUS_OK);
        cr_assert(eq(uint, atomic_load(&b.owed), lost));
        cr_assert(eq(u64, log_read(0).gaps, lost));
        cr_assert(eq(u64, log_read(0).last_lsn, RECOVERED * BATCH));
        bucket_close();
        bucket_open(); /* the archive is lost: now what was dropped is missing */
    }
    bucket_close();
}

/* ---- Gaps ----------------------------------------------------------------------------------- */

Test(shipper, each_gap_asks_for_a_snapshot_until_one_is_noted, .timeout = 60)
{
    struct shipper_position position;
    bucket_open();
    open_process(&a, 1, 7); /* and nobody tells 1 to 7 */
    wait_for(was_owed, &a, 1, "a snapshot is owed");
    cr_assert(shipper_position(a.shipper, &position));
    cr_assert(eq(u64, position.next_seq, 1));
    cr_assert(eq(u64, position.shipped_lsn, 7));
    cr_assert(status_of(&a).owes_snapshot);
    cr_assert(eq(dbl, metric(&a, "satchel_backup_snapshot_owed", ""), 1));
    shipper_note_snapshot(a.shipper, position.next_seq);
    give(&a, 3);
    wait_shipped(&a);
    cr_assert_not(status_of(&a).owes_snapshot);
    cr_assert(eq(dbl, metric(&a, "satchel_backup_snapshot_owed", ""), 0));
    cr_assert(eq(u32, log_read(0).flags, 0));
    a.next_lsn += 5;
    give(&a, 3);
    wait_shipped(&a);
    wait_for(was_owed, &a, 2, "another snapshot is owed");
    give(&a, 3);
    wait_shipped(&a);
    cr_assert(eq(dbl, metric(&a, "satchel_backup_gaps_total", ""), 2));
    cr_assert(eq(u32, log_read(0).flags, SLOT_GAP));
    stop_and_close(&a, STATUS_OK);
    cr_assert(eq(int, a.owed, 2));
    bucket_close();
}

/* ---- Failures ------------------------------------------------------------------------------- */

Test(shipper, while_the_storage_is_away_the_lag_grows_and_then_all_is_shipped, .timeout = 60)
{
    static const enum bucket_fault faults[] = {FAULT_LOSE_REQUEST, FAULT_LOSE_REPLY, FAULT_BUSY,
                                               FAULT_REFUSE};
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        bucket_open();
        open_process(&a, 1, 0);
        give(&a, 2);
        wait_shipped(&a);
        bucket_add_fault(NULL, faults[i], 0, UINT32_MAX);
        log_set_time((uint64_t)clock_wall_ms(&bucket_clock));
        give(&a, 2);
        wait_for(is_in_state, &a, SHIPPER_FAILING, "it fails");
        wait_for(was_asked, &a, bucket_requests() + 10, "it is tried again");
        give(&a, 2);
        atomic_fetch_add(&bucket.clock_ahead_ms, 5000);
        struct shipper_status status = status_of(&a);
        cr_assert(ge(u64, status.lag_ms, 5000));
        cr_assert(ge(u64, status.failing_ms, 5000));
        cr_assert(ge(dbl, metric(&a, "satchel_backup_lag_seconds", ""), 5));
        cr_assert(eq(dbl, metric(&a, "satchel_backup_state", "state=\"failing\""), 1));
        cr_assert(ge(dbl, metric(&a, "satchel_backup_failures_total", ""), 2));
        cr_assert(ne(str, status.error, ""));
        bucket_clear_faults();
        wait_shipped(&a);
        wait_for(is_in_state, &a, SHIPPER_SHIPPING, "it is well again");
        cr_assert(eq(u64, status_of(&a).lag_ms, 0));
        cr_assert(eq(u64, status_of(&a).failing_ms, 0));
        stop_and_close(&a, STATUS_OK);
        cr_assert(eq(u64, log_read(0).gaps, 0));
        cr_assert(eq(u64, log_read(0).last_lsn, 6));
        cr_assert(eq(int, a.ended, 0));
        bucket_close();
    }
}

Test(shipper, a_storage_that_is_away_at_the_start_is_waited_for, .timeout = 60)
{
    struct shipper_position position;
    bucket_open();
    bucket_add_fault(NULL, FAULT_REFUSE, 0, UINT32_MAX);
    open_process(&a, 1, 0);
    give(&a, 2);
    wait_for(is_in_state, &a, SHIPPER_FAILING, "it fails");
    cr_assert_not(shipper_position(a.shipper, &position));
    bucket_clear_faults();
    wait_shipped(&a);
    cr_assert(shipper_position(a.shipper, &position));
    stop_and_close(&a, STATUS_OK);
    bucket_close();
}

Test(shipper, stopping_waits_for_the_storage_no_longer_than_told, .timeout = 60)
{
    bucket_open();
    open_process(&a, 1, 0);
    give(&a, 2);
    wait_shipped(&a);
    bucket_add_fault(NULL, FAULT_BUSY, 0, UINT32_MAX);
    give(&a, 2);
    cr_assert(eq(int, shipper_stop(a.shipper, 30), STATUS_AGAIN));
    cr_assert(is_in_state(&a, SHIPPER_STOPPED));
    close_process(&a);
    bucket_clear_faults();
    cr_assert(eq(u64, log_read(0).last_lsn, 2));
    bucket_close();
}

Test(shipper, stopping_ships_what_is_left_also_when_the_storage_fails_at_first, .timeout = 60)
{
    bucket_open();
    open_process(&a, 1, 0);
    give(&a, 2);
    wait_shipped(&a);
    bucket_add_fault("PUT", FAULT_BUSY, 0, UINT32_MAX);
    give(&a, 2);
    wait_for(is_in_state, &a, SHIPPER_FAILING, "a slot waits");
    give(&a, 2); /* for the one behind it */
    bucket_clear_faults();
    bucket_add_fault("PUT", FAULT_BUSY, 0, 5);
    stop_and_close(&a, STATUS_OK);
    cr_assert(eq(u64, log_read(0).last_lsn, 6));
    cr_assert(eq(u64, log_read(0).slots, 4));
    bucket_close();
}

/* ---- Somebody else -------------------------------------------------------------------------- */

Test(shipper, who_is_fenced_says_so_once_and_writes_no_more, .timeout = 60)
{
    for (unsigned round = 0; round < 20; round++) {
        bucket_open();
        open_process(&a, 1, 0);
        give(&a, 2);
        wait_shipped(&a);
        open_process(&b, 2, 2);
        give(&b, round % 3 + 1);
        wait_for(is_in_state, &b, SHIPPER_SHIPPING, "b takes over");
        give(&a, 2);
        wait_for(has_ended, &a, 1, "a is fenced");
        cr_assert(eq(int, atomic_load(&a.end_state), SHIPPER_FENCED));
        cr_assert_not_null(strstr(a.why, "epoch 2"), "%s", a.why);
        give(&a, 2);
        give(&b, 2);
        wait_shipped(&b);
        cr_assert(eq(int, shipper_stop(a.shipper, STOP_MS), STATUS_AGAIN));
        cr_assert(is_in_state(&a, SHIPPER_FENCED));
        cr_assert(eq(int, a.ended, 1));
        close_process(&a);
        stop_and_close(&b, STATUS_OK);
        struct log_found found = log_read(0);
        cr_assert(eq(u64, found.epoch, 2));
        cr_assert(eq(u64, found.gaps, 0));
        cr_assert(eq(u64, found.last_lsn, b.next_lsn - 1));
        bucket_close();
    }
}

Test(shipper, an_archive_that_must_not_be_used_is_refused, .timeout = 60)
{
    static const uint8_t other[SLOT_UUID_BYTES] = {9};
    for (unsigned is_foreign = 0; is_foreign < 2; is_foreign++) {
        bucket_open();
        bucket.refuses_conditions = !is_foreign;
        if (is_foreign) {
            log_put_fence(0, 1, other);
        }
        open_process(&a, 5, 0);
        give(&a, 1);
        wait_for(has_ended, &a, 1, "it is refused");
        cr_assert(eq(int, atomic_load(&a.end_state), SHIPPER_REFUSED));
        cr_assert_not_null(strstr(a.why, is_foreign ? "another store" : "single-writer"), "%s",
                           a.why);
        cr_assert(eq(u64, bucket.count, is_foreign));
        stop_and_close(&a, STATUS_AGAIN);
        bucket_close();
    }
    bucket_open();
    bucket.refuses_conditions = true;
    open_feed_and_client(&a, 0);
    start(&a, 5, (struct shipper_options){.is_single_writer = true});
    give(&a, 1);
    wait_shipped(&a);
    cr_assert_not(status_of(&a).is_conditional);
    stop_and_close(&a, STATUS_OK);
    bucket_close();
}
