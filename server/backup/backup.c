/* What backups consist of, put together. */
#include "backup/backup.h"

#include <jansson.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "backup/feed.h"
#include "backup/shipper.h"
#include "backup/snapshotter.h"

const struct option_desc backup_option_descs[] = {
    {.name = "snapshot-interval",
     .type = OPTION_TIME_MS,
     .standard = "1h",
     .unit = "TIME",
     .help = "Time between two snapshots; 0 takes none by the clock.",
     .offset = offsetof(struct backup_options, snapshot_ms)},
    {.name = "backup-lag",
     .type = OPTION_TIME_MS,
     .standard = "30s",
     .unit = "TIME",
     .help = "When the oldest change that is not shipped is older, /backupz answers 503.",
     .least = 1000,
     .offset = offsetof(struct backup_options, lag_ms_max)},
    {.name = "backup-single-writer",
     .type = OPTION_FLAG,
     .standard = "no",
     .unit = "",
     .help = "Ships to a storage without conditional writes, too: only when no two stores can ever "
             "run on this archive.",
     .offset = offsetof(struct backup_options, is_single_writer)},
};
const size_t backup_option_count = sizeof backup_option_descs / sizeof backup_option_descs[0];

struct backup {
    struct backup_options options;
    struct backup_events events;
    struct place place;
    struct feed *feed;
    struct feed_metrics feed_metrics;
    struct stop shipper_stop;
    struct stop snapshot_stop;
    struct s3 *shipper_s3; /* owned, as all below */
    struct s3 *snapshot_s3;
    struct shipper *shipper;
    _Atomic(struct snapshotter *) snapshotter;
};

/* ---- Events of the shipper, on its thread --------------------------------------------------- */

static void on_ended(void *arg, enum shipper_state state, const char *why)
{
    const struct backup *self = arg;
    (void)state;
    self->events.ended(self->events.arg, why);
}

static void on_snapshot_owed(void *arg)
{
    struct backup *self = arg;
    struct snapshotter *snapshotter = atomic_load(&self->snapshotter);
    if (snapshotter != NULL) { /* otherwise backup_start() looks whether one is owed */
        snapshotter_want(snapshotter);
    }
}

/* ---- Life ----------------------------------------------------------------------------------- */

enum status backup_open(const struct backup_options *options, const struct backup_events *events,
                        struct backup **out, char *errmsg, size_t errmsg_bytes)
{
    *out = NULL;
    if (options->place.url == NULL) {
        return STATUS_OK;
    }
    struct backup *self = calloc(1, sizeof *self);
    if (self == NULL) {
        (void)snprintf(errmsg, errmsg_bytes, "out of memory");
        return STATUS_NO_MEMORY;
    }
    self->options = *options;
    self->events = *events;
    char why[300] = "out of memory";
    enum status status = place_open(&self->place, &options->place, why, sizeof why);
    if (status != STATUS_OK) {
        (void)snprintf(errmsg, errmsg_bytes, "--backup: %s", why);
        free(self);
        return status;
    }
    stop_init(&self->shipper_stop);
    stop_init(&self->snapshot_stop);
    status = place_client(&self->place, &self->shipper_stop, &self->shipper_s3, why, sizeof why);
    if (status == STATUS_OK) {
        status = place_client(&self->place, &self->snapshot_stop, &self->snapshot_s3, why,
                              sizeof why);
    }
    if (status == STATUS_OK) {
        (void)snprintf(why, sizeof why, "out of memory");
        status = feed_open(&(struct feed_options){.metrics = &self->feed_metrics}, &self->feed);
    }
    if (status != STATUS_OK) {
        (void)snprintf(errmsg, errmsg_bytes, "--backup: %s", why);
        backup_close(self);
        return status;
    }
    *out = self;
    return STATUS_OK;
}

void backup_changes(struct backup *self, const struct store_changes *changes)
{
    feed_changes(self->feed, changes);
}

static enum status start_shipper(struct backup *self, const struct store *store)
{
    struct store_identity identity;
    store_identify(store, &identity);
    struct shipper_options options = {.epoch = identity.epoch,
                                      .store_lsn = identity.last_lsn,
                                      .recovered_ms = clock_wall_ms(&clock_system),
                                      .is_single_writer = self->options.is_single_writer};
    memcpy(options.uuid, identity.uuid, sizeof options.uuid);
    const struct shipper_deps deps = {
        .s3 = self->shipper_s3,
        .feed = self->feed,
        .stop = &self->shipper_stop,
        .clock = &clock_system,
        .events = {.ended = on_ended, .snapshot_owed = on_snapshot_owed, .arg = self}};
    return shipper_open(&options, &deps, &self->shipper);
}

static enum status start_snapshotter(struct backup *self, struct store *store)
{
    const struct snapshotter_options options = {.interval_ms = self->options.snapshot_ms};
    const struct snapshotter_deps deps = {
        .s3 = self->snapshot_s3, .store = store, .shipper = self->shipper, .clock = &clock_system};
    struct snapshotter *snapshotter = NULL;
    enum status status = snapshotter_open(&options, &deps, &snapshotter);
    if (status == STATUS_OK) {
        struct shipper_status shipping;
        atomic_store(&self->snapshotter, snapshotter);
        shipper_status(self->shipper, &shipping);
        if (shipping.owes_snapshot) {
            snapshotter_want(snapshotter);
        }
    }
    return status;
}

enum status backup_start(struct backup *self, struct store *store, char *errmsg,
                         size_t errmsg_bytes)
{
    if (self == NULL) {
        return STATUS_OK;
    }
    enum status status = start_shipper(self, store);
    if (status == STATUS_OK) {
        status = start_snapshotter(self, store);
    }
    if (status != STATUS_OK) {
        (void)snprintf(errmsg, errmsg_bytes, "cannot start the threads of the backup");
    }
    return status;
}

void backup_want_snapshot(struct backup *self)
{
    if (self != NULL && atomic_load(&self->snapshotter) != NULL) {
        snapshotter_want(atomic_load(&self->snapshotter));
    }
}

void backup_stop_snapshots(struct backup *self)
{
    if (self != NULL) {
        /* The shipper may still name it, so it is freed only behind it. */
        stop_request(&self->snapshot_stop);
        snapshotter_stop(atomic_load(&self->snapshotter));
    }
}

enum status backup_stop(struct backup *self, uint64_t ms)
{
    return self == NULL || self->shipper == NULL ? STATUS_OK : shipper_stop(self->shipper, ms);
}

void backup_close(struct backup *self)
{
    if (self == NULL) {
        return;
    }
    shipper_close(self->shipper);
    snapshotter_close(atomic_load(&self->snapshotter));
    feed_close(self->feed);
    s3_close(self->shipper_s3);
    s3_close(self->snapshot_s3);
    stop_close(&self->shipper_stop);
    stop_close(&self->snapshot_stop);
    place_close(&self->place);
    free(self);
}

/* ---- How it is ------------------------------------------------------------------------------ */

/* Appends the text of `object`, which it takes; NULL: out of memory. */
static enum status append_json(struct buf *out, json_t *object)
{
    char *text = object == NULL ? NULL : json_dumps(object, JSON_INDENT(2));
    enum status status = text == NULL ? STATUS_NO_MEMORY : buf_append(out, view_str(text));
    free(text);
    json_decref(object);
    return status == STATUS_OK ? buf_append(out, view_str("\n")) : status;
}

enum status backup_describe(struct backup *self, struct buf *out, bool *is_well)
{
    struct shipper_status shipping = {.state = SHIPPER_STARTING};
    struct snapshotter_status snapshots = {0};
    if (self->shipper != NULL) {
        shipper_status(self->shipper, &shipping);
    }
    if (atomic_load(&self->snapshotter) != NULL) {
        snapshotter_status(atomic_load(&self->snapshotter), &snapshots);
    }
    int64_t age_ms = snapshots.newest_ms == 0 ? -1
                                              : clock_wall_ms(&clock_system) - snapshots.newest_ms;
    *is_well = shipping.state != SHIPPER_FENCED && shipping.state != SHIPPER_REFUSED &&
               shipping.lag_ms <= self->options.lag_ms_max &&
               shipping.failing_ms <= self->options.lag_ms_max && !snapshots.is_failing;
    return append_json(
        out,
        json_pack("{s:b, s:s, s:I, s:I, s:s, s:I, s:I, s:b, s:b, s:b, s:{s:I, s:b, s:I, s:I, s:s}}",
                  "well", (int)*is_well, "state", shipper_state_text(shipping.state), "lag_ms",
                  (json_int_t)shipping.lag_ms, "failing_ms", (json_int_t)shipping.failing_ms,
                  "error", shipping.error, "next_seq", (json_int_t)shipping.position.next_seq,
                  "shipped_lsn", (json_int_t)shipping.position.shipped_lsn, "conditional",
                  (int)shipping.is_conditional, "deletable", (int)shipping.is_deletable,
                  "owes_snapshot", (int)shipping.owes_snapshot, "snapshots", "age_ms",
                  (json_int_t)age_ms, "running", (int)snapshots.is_running, "taken",
                  (json_int_t)snapshots.taken, "failed", (json_int_t)snapshots.failed, "error",
                  snapshots.error));
}

enum status backup_register_metrics(struct backup *self, struct metric_registry *registry)
{
    if (self == NULL) {
        return STATUS_OK;
    }
    const struct metric_set sets[] = {
        {.table = &feed_metrics_table, .values = &self->feed_metrics},
        {.table = &s3_metrics_table, .values = &self->place.metrics},
    };
    enum status status = shipper_register_metrics(self->shipper, registry);
    if (status == STATUS_OK) {
        status = snapshotter_register_metrics(atomic_load(&self->snapshotter), registry);
    }
    for (size_t i = 0; i < sizeof sets / sizeof sets[0] && status == STATUS_OK; i++) {
        status = metric_register(registry, sets[i]);
    }
    return status;
}
