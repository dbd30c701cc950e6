/* How backups are, as JSON for people and alarms; docs/backup.md says what the members mean. */
#include <jansson.h>
#include <stdlib.h>

#include "backup/backup_private.h"

/* Appends the text of `object`, which it takes; NULL: out of memory. */
static enum status append_json(struct buf *out, json_t *object)
{
    char *text = object == NULL ? NULL : json_dumps(object, JSON_INDENT(2));
    enum status status = text == NULL ? STATUS_NO_MEMORY : buf_append(out, view_str(text));
    free(text);
    json_decref(object);
    return status == STATUS_OK ? buf_append(out, view_str("\n")) : status;
}

/* Age of what happened at that wall clock time; -1: it never did. */
static json_int_t age_ms(int64_t then_ms)
{
    return then_ms == 0 ? -1 : (json_int_t)(clock_wall_ms(&clock_system) - then_ms);
}

static json_t *describe_snapshots(const struct snapshotter_status *status)
{
    const struct snapshot_progress *progress = &status->progress;
    json_t *running = json_pack("{s:I, s:I, s:I}", "sessions", (json_int_t)progress->sessions,
                                "sessions_about", (json_int_t)progress->sessions_about,
                                "sent_bytes", (json_int_t)progress->sent_bytes);
    json_t *newest = json_pack("{s:I, s:I, s:I, s:I}", "confirmed_ms", age_ms(status->confirmed_ms),
                               "through_lsn", (json_int_t)status->through_lsn, "sessions",
                               (json_int_t)status->sessions, "stored_bytes",
                               (json_int_t)status->stored_bytes);
    return json_pack("{s:I, s:b, s:I, s:I, s:I, s:s, s:I, s:I, s:I, s:o, s:o}", "age_ms",
                     age_ms(status->newest_ms), "running", (int)status->is_running, "taken",
                     (json_int_t)status->taken, "failed", (json_int_t)status->failed, "skipped",
                     (json_int_t)status->skipped, "error", status->error, "number",
                     (json_int_t)status->number, "stored_number", (json_int_t)status->stored_number,
                     "failed_number", (json_int_t)status->failed_number, "progress", running,
                     "newest", newest);
}

static json_t *describe_retention(const struct pruner_status *status)
{
    return json_pack("{s:b, s:b, s:I, s:I, s:I, s:I, s:s}", "on", (int)status->is_on, "failing",
                     (int)status->is_failing, "age_ms", age_ms(status->last_ms), "deleted_objects",
                     (json_int_t)status->objects, "deleted_bytes", (json_int_t)status->bytes,
                     "failures", (json_int_t)status->failures, "error", status->error);
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
    *is_well = shipping.state != SHIPPER_FENCED && shipping.state != SHIPPER_REFUSED &&
               shipping.lag_ms <= self->options.lag_ms_max &&
               shipping.failing_ms <= self->options.lag_ms_max && !snapshots.is_failing;
    return append_json(
        out, json_pack("{s:b, s:s, s:I, s:I, s:s, s:I, s:I, s:b, s:b, s:b, s:o, s:o}", "well",
                       (int)*is_well, "state", shipper_state_text(shipping.state), "lag_ms",
                       (json_int_t)shipping.lag_ms, "failing_ms", (json_int_t)shipping.failing_ms,
                       "error", shipping.error, "next_seq", (json_int_t)shipping.position.next_seq,
                       "shipped_lsn", (json_int_t)shipping.position.shipped_lsn, "conditional",
                       (int)shipping.is_conditional, "deletable", (int)shipping.is_deletable,
                       "owes_snapshot", (int)shipping.owes_snapshot, "snapshots",
                       describe_snapshots(&snapshots), "retention",
                       describe_retention(&snapshots.pruning)));
}
