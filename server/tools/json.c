/* What verify found, as one JSON object. */
#include <jansson.h>

#include "tools/report.h"

/* jansson answers -1 without memory; the object then lacks the member. */
static void set(json_t *object, const char *key, json_t *value)
{
    (void)json_object_set_new(object, key, value);
}

static json_t *number(uint64_t value)
{
    return json_integer((json_int_t)value);
}

static json_t *data_file(const struct report *self)
{
    json_t *object = json_object();
    set(object, "name", json_string(self->data_file));
    set(object, "bytes", number(self->data_bytes));
    set(object, "page_bytes", number(self->pages.page_bytes));
    set(object, "transaction", number(self->pages.txnid));
    set(object, "tree_pages", number(self->pages.tree));
    set(object, "free_pages", number(self->pages.free));
    set(object, "lost_pages", number(self->pages.lost));
    if (self->has_meta) {
        set(object, "epoch", number(self->meta.epoch));
        set(object, "applied_lsn", number(self->meta.applied_lsn));
        set(object, "last_lsn", number(self->meta.last_lsn));
        set(object, "next_rowid", number(self->meta.next_rowid));
    }
    set(object, "rows", number(self->rows));
    set(object, "row_bytes", number(self->row_bytes));
    set(object, "rows_after_meta", number(self->rows_after_meta));
    return object;
}

static json_t *journal(const struct report *self)
{
    json_t *object = json_object();
    json_t *records = json_object();
    for (unsigned type = RECORD_PUT; type < RECORD_TYPES; type++) {
        set(records, report_record_name((enum record_type)type), number(self->records[type]));
    }
    set(object, "segments", number(self->segments));
    set(object, "segments_unused", number(self->segments_unused));
    set(object, "bytes", number(self->journal_bytes));
    set(object, "epochs", number(self->epochs));
    set(object, "epoch_first", number(self->epoch_first));
    set(object, "epoch_last", number(self->epoch_last));
    set(object, "frames", number(self->frames));
    set(object, "frame_bytes", number(self->frame_bytes));
    set(object, "records", records);
    set(object, "torn_bytes", number(self->torn_bytes));
    set(object, "last_lsn", number(self->last_lsn));
    return object;
}

static json_t *recovery(const struct report *self)
{
    json_t *object = json_object();
    set(object, "works", json_boolean(self->would_start));
    if (self->would_start) {
        set(object, "sessions_live", number(self->rehearsed.live));
        set(object, "sessions_expired", number(self->rehearsed.expired));
        set(object, "replayed", number(self->rehearsed.replayed));
        set(object, "last_lsn", number(self->rehearsed.last_lsn));
    }
    return object;
}

static json_t *problems(const struct report *self)
{
    json_t *list = json_array();
    for (uint64_t i = 0; i < self->problem_count; i++) {
        const struct problem *problem = &self->problems[i];
        json_t *object = json_object();
        set(object, "what", json_string(problem->what));
        set(object, "harmless", json_boolean(problem->harmless));
        if (problem->file[0] != '\0') {
            set(object, "file", json_string(problem->file));
        }
        if (problem->offset >= 0) {
            set(object, "offset", json_integer(problem->offset));
        }
        if (problem->lsn != 0) {
            set(object, "lsn", number(problem->lsn));
        }
        if (problem->rowid != 0) {
            set(object, "row", number(problem->rowid));
        }
        (void)json_array_append_new(list, object);
    }
    return list;
}

json_t *report_to_json(const struct report *self)
{
    static const char *const results[] = {
        [TOOL_SOUND] = "sound", [TOOL_DAMAGED] = "damaged", [TOOL_UNCHECKED] = "unchecked"};
    json_t *object = json_object();
    set(object, "result", json_string(results[report_exit(self)]));
    set(object, "dir", json_string(self->dir));
    set(object, "is_new", json_boolean(self->is_new));
    set(object, "beside", json_boolean(self->is_beside));
    set(object, "owner", json_string(self->owner));
    set(object, "looks", number(self->looks));
    if (self->data_file[0] != '\0') {
        set(object, "data_file", data_file(self));
    }
    set(object, "journal", journal(self));
    set(object, "recovery", recovery(self));
    set(object, "damages", number(self->damages));
    set(object, "harmless", number(self->harmless));
    set(object, "problems", problems(self));
    if (self->unchecked[0] != '\0') {
        set(object, "unchecked", json_string(self->unchecked));
        set(object, "error", json_string(self->unchecked)); /* where every command has it */
    }
    return object;
}
