/*
 * s3_shipper ship EPOCH | check
 *
 * The shipper against a real server. `ship` is a process that makes changes all the time and ships
 * them until SIGTERM; it tells how far it is, a line a slot. Its store is a model: in epoch e it
 * makes the changes e * SPAN + 1 and so on, and at its start it tells the feed all changes that the
 * epochs before may have made, as a store does that recovered them. `check` reads the whole log and
 * prints what it holds; it ends with 1 at the first slot that is not what it should be.
 *
 *     ends with 0   everything is shipped             3   fenced
 *               1   something is not, or failed       4   the archive was refused
 *
 * The place comes from S3_URL, S3_ENDPOINT and S3_REGION; credentials from where the product takes
 * them. S3_SINGLE_WRITER=1 accepts a storage without conditions.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backup/shipper.h"
#include "base/random.h"

enum {
    SPAN = 100000,   /* numbers of an epoch */
    MADE_MAX = 4000, /* changes of an epoch, so that it can tell what others may have made */
    STEP = 5,        /* changes that are made at once */
    STEP_MS = 5,
    INTERVAL_MS = 50,
    PAUSE_MS_MAX = 200,
    STOP_MS = 30000,
    EXIT_FENCED = 3,
    EXIT_REFUSED = 4,
};

static const uint8_t uuid[SLOT_UUID_BYTES] = "of the shipper";

static struct stop stopping;
static struct credentials *credentials;
static struct s3 *s3;
static struct feed_metrics feed_metrics;
static struct feed *feed;
static _Atomic int ended_with; /* an exit code; 0: it has not ended */

/* ---- Setting up ----------------------------------------------------------------------------- */

static void demand_opened(enum status status, const char *errmsg)
{
    if (status != STATUS_OK) {
        (void)fprintf(stderr, "s3_shipper: %s: %s\n", status_text(status), errmsg);
        exit(1);
    }
}

static struct s3_transport open_transport(void)
{
    char errmsg[300] = "";
    struct s3_transport transport;
    const struct s3_http_options options = {.idle_ms_max = 2000, .stop = &stopping};
    demand_opened(s3_http_open(&options, &transport, errmsg, sizeof errmsg), errmsg);
    return transport;
}

static void open_client(void)
{
    char errmsg[300] = "";
    const struct credentials_deps for_credentials = {.environ_get = getenv,
                                                     .transport = open_transport(),
                                                     .clock = &clock_system,
                                                     .random = random_u64};
    demand_opened(credentials_open(&for_credentials, &credentials, errmsg, sizeof errmsg), errmsg);
    const struct s3_options options = {.url = getenv("S3_URL"),
                                       .endpoint = getenv("S3_ENDPOINT"),
                                       .region = getenv("S3_REGION"),
                                       .path_style = true,
                                       .attempts_max = 3,
                                       .pause_ms_first = 20};
    const struct s3_deps deps = {.transport = open_transport(),
                                 .credentials = credentials,
                                 .timing = s3_timing_system(&stopping)};
    demand_opened(s3_open(&options, &deps, &s3, errmsg, sizeof errmsg), errmsg);
}

static void close_client(void)
{
    s3_close(s3);
    stop_request(&stopping);
    credentials_close(credentials);
}

/* ---- Changes -------------------------------------------------------------------------------- */

/* Tells that the sessions "0" to "9" were deleted, over and over: the smallest records there are
 * (store/record.h). */
static void make_changes(uint64_t follows_lsn, uint64_t first_lsn, uint32_t count)
{
    enum { RECORD_BYTES = 9, DELETE = 4 };
    static uint8_t records[MADE_MAX * RECORD_BYTES];
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *record = records + (size_t)i * RECORD_BYTES;
        store_u32(record, RECORD_BYTES);
        record[4] = DELETE;
        record[5] = 0;
        store_u16(record + 6, 1);
        record[8] = (uint8_t)('0' + (first_lsn + i) % 10);
    }
    feed_changes(
        feed, &(struct store_changes){.follows_lsn = follows_lsn,
                                      .first_lsn = first_lsn,
                                      .time_ms = (uint64_t)clock_wall_ms(&clock_system),
                                      .count = count,
                                      .records = view_of(records, (size_t)count * RECORD_BYTES)});
}

/* Returns the last change of the epochs before. */
static uint64_t recover(uint64_t epoch)
{
    uint64_t last_lsn = 0;
    for (uint64_t before = 1; before < epoch; before++) {
        make_changes(last_lsn, before * SPAN + 1, MADE_MAX);
        last_lsn = before * SPAN + MADE_MAX;
    }
    return last_lsn;
}

/* ---- Shipping ------------------------------------------------------------------------------- */

static void note_ended(void *arg, enum shipper_state state, const char *why)
{
    (void)arg;
    (void)why; /* is logged */
    atomic_store(&ended_with, state == SHIPPER_FENCED ? EXIT_FENCED : EXIT_REFUSED);
}

static void note_owed(void *arg)
{
    (void)arg;
    (void)printf("a snapshot is owed\n");
}

static struct shipper *open_shipper(uint64_t epoch, uint64_t store_lsn)
{
    struct shipper *shipper = NULL;
    const char *single = getenv("S3_SINGLE_WRITER");
    struct shipper_options options = {.epoch = epoch,
                                      .store_lsn = store_lsn,
                                      .recovered_ms = clock_wall_ms(&clock_system),
                                      .is_single_writer = single != NULL,
                                      .interval_ms = INTERVAL_MS,
                                      .pause_ms_max = PAUSE_MS_MAX};
    memcpy(options.uuid, uuid, sizeof options.uuid);
    const struct shipper_deps deps = {.s3 = s3,
                                      .feed = feed,
                                      .stop = &stopping,
                                      .clock = &clock_system,
                                      .events = {.ended = note_ended, .snapshot_owed = note_owed}};
    demand_opened(shipper_open(&options, &deps, &shipper), "the shipper");
    return shipper;
}

/* Makes changes until SIGTERM or the end of the shipper, and tells each slot. */
static void run(struct shipper *shipper, uint64_t epoch, uint64_t last_lsn, const sigset_t *signals)
{
    const struct timespec step = {.tv_nsec = STEP_MS * 1000000};
    struct shipper_position told = {0};
    uint64_t first_lsn = epoch * SPAN + 1;
    while (atomic_load(&ended_with) == 0 && sigtimedwait(signals, NULL, &step) != SIGTERM) {
        struct shipper_position position;
        if (first_lsn < epoch * SPAN + MADE_MAX) {
            make_changes(last_lsn, first_lsn, STEP);
            first_lsn += STEP;
            last_lsn = first_lsn - 1;
        }
        if (shipper_position(shipper, &position) && position.next_seq != told.next_seq) {
            told = position;
            (void)printf("next slot %" PRIu64 ", shipped %" PRIu64 "\n", told.next_seq,
                         told.shipped_lsn);
        }
    }
    (void)printf("made %" PRIu64 "\n", last_lsn);
}

static int ship(uint64_t epoch)
{
    sigset_t signals;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &signals, NULL);
    open_client();
    demand_opened(feed_open(&(struct feed_options){.metrics = &feed_metrics}, &feed), "the feed");
    const uint64_t store_lsn = recover(epoch);
    struct shipper *shipper = open_shipper(epoch, store_lsn);
    run(shipper, epoch, store_lsn, &signals);
    const bool is_shipped = shipper_stop(shipper, STOP_MS) == STATUS_OK;
    struct shipper_status status;
    shipper_status(shipper, &status);
    (void)printf("%s, shipped %" PRIu64 "\n", shipper_state_text(status.state),
                 status.position.shipped_lsn);
    shipper_close(shipper);
    feed_close(feed);
    close_client();
    const int code = atomic_load(&ended_with);
    return code != 0 ? code : !is_shipped;
}

/* ---- Checking ------------------------------------------------------------------------------- */

/* What was found so far. */
struct found {
    uint64_t slots;
    uint64_t fences;
    uint64_t changes;
    uint64_t gaps;
    uint64_t epoch;
    uint64_t last_lsn;
    uint64_t twice; /* changes that were told before */
    uint8_t prev[HASH128_BYTES];
};

static const char *note_slot(struct found *found, const struct slot *slot, uint64_t seq)
{
    const struct slot_header *header = &slot->header;
    struct view rest = slot_batches(slot);
    struct slot_batch batch;
    if (header->seq != seq || memcmp(header->prev, found->prev, sizeof found->prev) != 0) {
        return "it does not follow the one before";
    }
    if (header->epoch < found->epoch || (header->epoch > found->epoch && !slot_is_fence(header))) {
        return "its writer was not entitled";
    }
    found->slots++;
    found->epoch = header->epoch;
    if (slot_is_fence(header)) {
        found->fences++;
        if (found->last_lsn > header->base_lsn) {
            found->last_lsn = header->base_lsn;
        }
    }
    while (slot_next_batch(&rest, &batch) == STATUS_OK) {
        found->gaps += batch.follows_lsn > found->last_lsn;
        found->twice += batch.first_lsn <= found->last_lsn;
        found->changes += batch.count;
        found->last_lsn = slot_batch_last_lsn(&batch);
    }
    return NULL;
}

static int check(void)
{
    struct archive_tail tail;
    struct buf bytes = {0};
    struct slot slot = {0};
    struct found found = {0};
    open_client();
    struct archive archive = {.s3 = s3};
    const char *problem = archive_find_tail(&archive, 0, &tail) == S3_OK ? NULL : "no list";
    uint64_t seq = 0;
    for (; problem == NULL && seq < tail.count; seq++) {
        if (archive_get_slot(&archive, seq, &bytes) != S3_OK) {
            problem = "it cannot be read";
        } else if (slot_open(&slot, buf_view(&bytes)) != STATUS_OK) {
            problem = slot.errmsg;
        } else {
            problem = note_slot(&found, &slot, seq);
            slot_hash(buf_view(&bytes), found.prev);
        }
    }
    if (problem != NULL) {
        (void)fprintf(stderr, "s3_shipper: slot %" PRIu64 ": %s\n", seq, problem);
    }
    (void)printf("slots=%" PRIu64 " fences=%" PRIu64 " changes=%" PRIu64 " gaps=%" PRIu64
                 " twice=%" PRIu64 " epoch=%" PRIu64 " last_lsn=%" PRIu64 "\n",
                 found.slots, found.fences, found.changes, found.gaps, found.twice, found.epoch,
                 found.last_lsn);
    slot_close(&slot);
    buf_free(&bytes);
    close_client();
    return problem != NULL;
}

int main(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "";
    int result = 2;
    (void)setvbuf(stdout, NULL, _IOLBF, 0); /* somebody waits for the lines */
    stop_init(&stopping);
    if (strcmp(command, "ship") == 0 && argc > 2) {
        result = ship(strtoull(argv[2], NULL, 10));
    } else if (strcmp(command, "check") == 0) {
        result = check();
    } else {
        (void)fprintf(stderr, "usage: s3_shipper ship EPOCH | check\n");
    }
    stop_close(&stopping);
    return result;
}
