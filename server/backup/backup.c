/* What backups consist of, put together. */
#include "backup/backup.h"

#include <stdio.h>
#include <stdlib.h>

#include "backup/backup_private.h"

enum { EXIT_SNAPSHOT_MS_MAX = 24 * 3600 * 1000 };

const struct option_desc backup_option_descs[] = {
    {.name = "snapshot-interval",
     .type = OPTION_TIME_MS,
     .standard = "1h",
     .unit = "TIME",
     .help =
         "Time between two snapshots, of which one is left out when nothing has changed; 0 takes "
         "none by the clock.",
     .offset = offsetof(struct backup_options, snapshot_ms)},
    {.name = "snapshot-at-exit",
     .type = OPTION_TIME_MS,
     .standard = "0",
     .unit = "TIME",
     .help = "When it is stopped, a last snapshot may take so long; 0 takes none. The process then "
             "takes up to this and 10 s to end: set the task's stopTimeout above that.",
     .most = EXIT_SNAPSHOT_MS_MAX,
     .offset = offsetof(struct backup_options, exit_snapshot_ms)},
    {.name = "keep-snapshots",
     .type = OPTION_COUNT,
     .standard = RETENTION_COUNT_STANDARD,
     .unit = "COUNT",
     .help =
         "So many of the newest snapshots stay, with the log behind them. Older ones are deleted "
         "unless --keep-snapshots-for keeps them; both 0 deletes nothing, ever.",
     .offset = offsetof(struct backup_options, keep_count)},
    {.name = "keep-snapshots-for",
     .type = OPTION_TIME_MS,
     .standard = RETENTION_AGE_STANDARD,
     .unit = "TIME",
     .help = "Snapshots that are younger stay, however many they are.",
     .offset = offsetof(struct backup_options, keep_ms)},
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
        snapshotter_owe(snapshotter);
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
    const struct snapshotter_options options = {
        .interval_ms = self->options.snapshot_ms,
        .pruner.policy = {.count = self->options.keep_count, .age_ms = self->options.keep_ms}};
    const struct snapshotter_deps deps = {.s3 = self->snapshot_s3,
                                          .stop = &self->snapshot_stop,
                                          .place = &self->place,
                                          .store = store,
                                          .shipper = self->shipper,
                                          .clock = &clock_system};
    struct snapshotter *snapshotter = NULL;
    enum status status = snapshotter_open(&options, &deps, &snapshotter);
    if (status == STATUS_OK) {
        struct shipper_status shipping;
        atomic_store(&self->snapshotter, snapshotter);
        shipper_status(self->shipper, &shipping);
        if (shipping.owes_snapshot) {
            snapshotter_owe(snapshotter);
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
    self->store = store;
    enum status status = start_shipper(self, store);
    if (status == STATUS_OK) {
        status = start_snapshotter(self, store);
    }
    if (status != STATUS_OK) {
        (void)snprintf(errmsg, errmsg_bytes, "cannot start the threads of the backup");
    }
    return status;
}

/* ---- Snapshots ------------------------------------------------------------------------------ */

enum status backup_want_snapshot(struct backup *self, uint64_t *number)
{
    if (self == NULL) {
        return STATUS_NOT_FOUND;
    }
    struct snapshotter *snapshotter = atomic_load(&self->snapshotter);
    if (snapshotter == NULL || stop_requested(&self->snapshot_stop)) {
        return STATUS_AGAIN;
    }
    *number = snapshotter_want(snapshotter);
    return STATUS_OK;
}

enum backup_outcome backup_snapshot_outcome(struct backup *self, uint64_t number)
{
    struct snapshotter_status status;
    snapshotter_status(atomic_load(&self->snapshotter), &status);
    return status.stored_number >= number   ? BACKUP_STORED
           : status.failed_number >= number ? BACKUP_FAILED
                                            : BACKUP_PENDING;
}

void backup_hurry(struct backup *self)
{
    struct snapshotter *snapshotter = self != NULL ? atomic_load(&self->snapshotter) : NULL;
    if (snapshotter != NULL) {
        snapshotter_hurry(snapshotter);
    }
}

bool backup_is_shipped(struct backup *self)
{
    struct shipper_status shipping = {.is_shipped = true};
    if (self != NULL && self->shipper != NULL) {
        shipper_status(self->shipper, &shipping);
    }
    return shipping.is_shipped;
}

bool backup_is_snapshot_current(struct backup *self)
{
    return self != NULL && atomic_load(&self->snapshotter) != NULL &&
           snapshotter_is_current(atomic_load(&self->snapshotter));
}

/* ---- Stopping ------------------------------------------------------------------------------- */

void backup_stop_snapshots(struct backup *self)
{
    if (self != NULL) {
        /* The shipper may still name it, so it is freed only behind it. */
        stop_request(&self->snapshot_stop);
        if (self->store != NULL) {
            store_end_exports(self->store);
        }
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

/* ---- Metrics -------------------------------------------------------------------------------- */

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
