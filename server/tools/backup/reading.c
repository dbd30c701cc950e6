/* Surveying an archive, and reading its slots. */
#include "tools/backup/reading.h"

#include <stdio.h>
#include <string.h>

/* The lowest next_seq of the snapshots that can be read. */
static uint64_t find_from_seq(const struct survey *survey)
{
    uint64_t from_seq = UINT64_MAX;
    for (size_t i = 0; i < survey->snapshot_count; i++) {
        const struct survey_snapshot *snapshot = &survey->snapshots[i];
        if (survey_has_manifest(snapshot) && snapshot->manifest.next_seq < from_seq) {
            from_seq = snapshot->manifest.next_seq;
        }
    }
    return from_seq;
}

enum tool_exit reading_open(struct reading *self, struct tool *tool)
{
    char errmsg[GATHER_ERRMSG_BYTES];
    *self = (struct reading){.tool = tool};
    enum tool_exit code = tool_open_archive(tool);
    if (code != TOOL_DONE) {
        return code;
    }
    enum status status = gather_open(&self->gather, &tool->place, &tool->stop, 0, 0, errmsg,
                                     sizeof errmsg);
    if (status != STATUS_OK) {
        return tool_fail(tool, tool_exit_of(status), "%s", errmsg);
    }
    progress_begin(&tool->progress, "looking at the archive", PROGRESS_COUNT);
    survey_init(&self->survey, &self->gather);
    status = survey_snapshots(&self->survey);
    if (status == STATUS_OK) {
        status = survey_log(&self->survey, 0);
    }
    progress_end(&tool->progress);
    if (status != STATUS_OK) {
        return tool_fail(tool, TOOL_FAILED, "%s", self->survey.errmsg);
    }
    self->log_from_seq = find_from_seq(&self->survey);
    self->now_ms = self->survey.storage_ms;
    return TOOL_DONE;
}

void reading_close(struct reading *self)
{
    history_free(&self->history);
    survey_close(&self->survey);
    gather_close(&self->gather);
}

struct slots_job {
    struct reading *reading;
    size_t begin;
    reading_slot_fn each;
    void *arg;
};

static void want_slot(void *arg, size_t index, struct gather_want *want)
{
    const struct slots_job *self = arg;
    const struct survey_slot *slot = &self->reading->survey.slots[self->begin + index];
    slot_name(want->key, slot->seq);
    want->bytes_max = slot->bytes < SLOT_BYTES_MAX ? slot->bytes : SLOT_BYTES_MAX;
}

static enum status take_slot(void *arg, size_t index, enum s3_status got, struct view bytes)
{
    struct slots_job *self = arg;
    struct reading *reading = self->reading;
    struct history *history = &reading->history;
    uint64_t seq = reading->survey.slots[self->begin + index].seq;
    reading->is_gone = reading->is_gone || got == S3_NOT_FOUND;
    enum status status = history_add(history, seq, bytes,
                                     got == S3_OK ? NULL : s3_status_text(got));
    if (status == STATUS_OK && self->each != NULL) {
        self->each(self->arg, seq, bytes.len, history->problem);
    }
    return status;
}

enum status reading_slots(struct reading *self, size_t begin, size_t end, reading_slot_fn each,
                          void *arg)
{
    struct slots_job slots = {.reading = self, .begin = begin, .each = each, .arg = arg};
    const struct gather_job job = {
        .count = end - begin, .want = want_slot, .take = take_slot, .arg = &slots};
    return gather_run(&self->gather, &job);
}

enum tool_exit reading_failed(struct reading *self, enum status status)
{
    const char *why = self->gather.errmsg;
    return tool_fail(self->tool, TOOL_FAILED, "%s", why[0] != '\0' ? why : status_text(status));
}
