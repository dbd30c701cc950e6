/*
 * `satchel backup verify`: downloads and checks every byte that a restore may need. The log is read
 * once, then the rows of each snapshot; what is said of a snapshot is what a restore from it would
 * come to. A hold keeps retention away meanwhile.
 */
#include <inttypes.h>
#include <stdio.h>

#include "backup/hold.h"
#include "backup/rows_fetch.h"
#include "base/clock.h"
#include "tools/backup/reading.h"
#include "tools/backup/text.h"

struct verify_options {
    bool only_newest;
};

static const struct option_desc verify_descs[] = {
    {.name = "newest",
     .type = OPTION_FLAG,
     .standard = "no",
     .unit = "",
     .help = "Checks only the newest snapshot and the log behind it.",
     .offset = offsetof(struct verify_options, only_newest),
     .variable = "SATCHEL_VERIFY_NEWEST"},
};

struct verifying {
    struct tool *tool;
    struct reading reading;
    struct hold *hold;  /* owned; NULL: none could be put */
    struct s3 *hold_s3; /* owned; its client */
    bool only_newest;
    uint64_t bytes_done; /* that were read … */
    uint64_t bytes_all;  /* … of all that will be */
    uint64_t slots;
    uint64_t snapshots; /* looked at */
    uint64_t sound;     /* of them */
    uint64_t problems;
    bool is_gone; /* something was deleted meanwhile */
    json_t *list; /* owned, as the next one; NULL: for people */
    json_t *problem_list;
};

/* ---- Saying it ------------------------------------------------------------------------------ */

static void problem(struct verifying *self, const char *object, const char *what)
{
    self->problems++;
    if (self->problem_list != NULL) {
        (void)json_array_append_new(self->problem_list,
                                    json_pack("{s:s, s:s}", "object", object, "what", what));
        return;
    }
    progress_end(&self->tool->progress);
    (void)printf("DAMAGED: %s: %s\n", object, what);
}

static void show(struct verifying *self, uint64_t more)
{
    if (self->tool->progress.what == NULL) {
        progress_begin(&self->tool->progress, "checking", PROGRESS_BYTES);
    }
    progress_show(&self->tool->progress, self->bytes_done + more, self->bytes_all);
}

/* ---- What is to be read --------------------------------------------------------------------- */

static bool is_wanted(const struct verifying *self, const struct survey_snapshot *snapshot)
{
    return !self->only_newest || (snapshot->state == SURVEY_GOOD &&
                                  snapshot->manifest.next_seq == self->reading.log_from_seq);
}

/* With --newest the others might as well not be there. */
static void look_only_at_newest(struct verifying *self)
{
    const struct survey *survey = &self->reading.survey;
    uint64_t newest_seq = 0;
    self->reading.log_from_seq = UINT64_MAX;
    for (size_t i = 0; i < survey->snapshot_count; i++) {
        const struct survey_snapshot *snapshot = &survey->snapshots[i];
        if (snapshot->state == SURVEY_GOOD && snapshot->manifest.next_seq >= newest_seq) {
            newest_seq = snapshot->manifest.next_seq;
            self->reading.log_from_seq = newest_seq;
        }
    }
}

static void count_bytes(struct verifying *self)
{
    const struct survey *survey = &self->reading.survey;
    for (size_t i = survey_find_slot(survey, self->reading.log_from_seq); i < survey->slot_count;
         i++) {
        self->bytes_all += survey->slots[i].bytes;
    }
    for (size_t i = 0; i < survey->snapshot_count; i++) {
        const struct survey_snapshot *snapshot = &survey->snapshots[i];
        bool is_read = snapshot->state == SURVEY_GOOD && is_wanted(self, snapshot);
        self->bytes_all += is_read ? snapshot->rows_bytes : 0;
    }
}

/* ---- The log -------------------------------------------------------------------------------- */

static void on_slot(void *arg, uint64_t seq, size_t bytes, const char *what)
{
    struct verifying *self = arg;
    self->slots++;
    self->bytes_done += bytes;
    if (what[0] != '\0' && !self->reading.is_gone) {
        char name[SLOT_NAME_BYTES];
        slot_name(name, seq);
        problem(self, name, what);
    }
    show(self, 0);
}

static void find_holes(struct verifying *self)
{
    uint64_t seq = self->reading.log_from_seq;
    uint64_t first_seq = 0;
    uint64_t end_seq = 0;
    while (survey_next_hole(&self->reading.survey, &seq, &first_seq, &end_seq)) {
        char name[SLOT_NAME_BYTES];
        char what[100];
        slot_name(name, first_seq);
        (void)snprintf(what, sizeof what, "%" PRIu64 " slots from here on are missing",
                       end_seq - first_seq);
        problem(self, name, what);
    }
}

static enum status verify_log(struct verifying *self)
{
    struct survey *survey = &self->reading.survey;
    size_t begin = survey_find_slot(survey, self->reading.log_from_seq);
    if (self->reading.log_from_seq == UINT64_MAX) {
        return STATUS_OK; /* no snapshot that would need it */
    }
    find_holes(self);
    return reading_slots(&self->reading, begin, survey->slot_count, on_slot, self);
}

/* ---- Snapshots ------------------------------------------------------------------------------ */

static void on_rows(void *arg, uint64_t bytes)
{
    show(arg, bytes);
}

static void report_snapshot(struct verifying *self, const char *name, const char *what,
                            const struct manifest *manifest, const struct history_way *way)
{
    char time[TEXT_BYTES];
    char until[TEXT_BYTES];
    bool is_sound = what[0] == '\0';
    self->sound += is_sound;
    if (!is_sound) {
        problem(self, name, what);
    }
    if (self->list != NULL) {
        (void)json_array_append_new(
            self->list,
            json_pack("{s:s, s:b, s:s, s:s, s:s?, s:I, s:b, s:b, s:s}", "object", name, "sound",
                      is_sound, "why", what, "time", text_timestamp(time, manifest->time_ms),
                      "until", is_sound ? text_timestamp(until, way->last_ms) : NULL, "last_lsn",
                      (json_int_t)way->last_lsn, "latest", way->is_latest, "gap", way->has_gap,
                      "end", way->text));
    } else if (is_sound) {
        progress_end(&self->tool->progress);
        (void)printf("sound:   %s: %s, %" PRIu64 " sessions; restores every moment until %s, "
                     "change %" PRIu64 "%s%s\n",
                     name, text_time(time, manifest->time_ms), manifest->sessions,
                     text_time(until, way->last_ms), way->last_lsn,
                     way->is_latest ? " (the latest state)" : ", where the way ends: ",
                     way->is_latest ? "" : way->text);
    }
}

static enum status verify_snapshot(struct verifying *self, const struct survey_snapshot *snapshot)
{
    struct history_way way = {0};
    char name[SNAPSHOT_NAME_BYTES];
    char what[HISTORY_TEXT_BYTES + 64] = "";
    char why[ROWS_FETCH_TEXT_BYTES] = "";
    snapshot_name(name, &snapshot->id, snapshot->has_manifest ? SNAPSHOT_MANIFEST : SNAPSHOT_ROWS);
    if (snapshot->state == SURVEY_UNFINISHED || snapshot->state == SURVEY_GONE) {
        return STATUS_OK; /* not to be restored from, and no damage */
    }
    self->snapshots++;
    enum status status = STATUS_OK;
    if (snapshot->state == SURVEY_GOOD) {
        const struct rows_fetch_job job = {.gather = &self->reading.gather,
                                           .manifest = &snapshot->manifest,
                                           .progress = on_rows,
                                           .arg = self};
        status = rows_fetch(&job, why);
        self->bytes_done += snapshot->rows_bytes;
    } else {
        (void)snprintf(why, sizeof why, "%s", snapshot->why);
    }
    if (status == STATUS_NOT_FOUND) {
        self->is_gone = true;
        return STATUS_OK;
    }
    if (status != STATUS_OK && status != STATUS_CORRUPT) {
        return status;
    }
    (void)snprintf(what, sizeof what, "%s", why);
    if (what[0] == '\0') {
        status = history_follow(&self->reading.history, &snapshot->manifest, &way);
        if (status != STATUS_OK) {
            return status;
        }
    }
    if (what[0] == '\0' && !way.is_whole) {
        (void)snprintf(what, sizeof what, "the log behind it ends too early: %s", way.text);
    }
    report_snapshot(self, name, what, &snapshot->manifest, &way);
    return STATUS_OK;
}

static enum status verify_snapshots(struct verifying *self)
{
    const struct survey *survey = &self->reading.survey;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < survey->snapshot_count && status == STATUS_OK; i++) {
        if (is_wanted(self, &survey->snapshots[i])) {
            status = verify_snapshot(self, &survey->snapshots[i]);
        }
    }
    return status;
}

/* ---- All of it ------------------------------------------------------------------------------ */

/* Keeps retention away while this reads, if these credentials may. */
static enum tool_exit begin_hold(struct verifying *self)
{
    char why[512];
    struct tool *tool = self->tool;
    if (place_client(&tool->place, &tool->stop, &self->hold_s3, why, sizeof why) == STATUS_OK &&
        hold_begin(&(struct hold_options){.s3 = self->hold_s3}, &self->hold, why, sizeof why) ==
            STATUS_OK) {
        return TOOL_DONE;
    }
    if (stop_requested(&tool->stop)) {
        return tool_fail(tool, TOOL_FAILED, "interrupted");
    }
    tool_note(tool, "retention is not kept away while this reads: %s", why);
    return TOOL_DONE;
}

static enum tool_exit conclude(struct verifying *self, double seconds)
{
    char size[TEXT_BYTES];
    bool is_sound = self->problems == 0 && self->sound != 0;
    if (self->is_gone || self->reading.is_gone) {
        return tool_fail(self->tool, TOOL_FAILED,
                         "objects were deleted while they were looked at; verify again");
    }
    if (self->list != NULL) {
        tool_print_json(self->tool,
                        json_pack("{s:s, s:b, s:O, s:O, s:I, s:I, s:f}", "archive",
                                  self->tool->place_options.url, "sound", is_sound, "snapshots",
                                  self->list, "problems", self->problem_list, "slots",
                                  (json_int_t)self->slots, "bytes", (json_int_t)self->bytes_done,
                                  "seconds", seconds));
    } else if (self->sound == 0) {
        (void)printf("nothing can be restored: there is no sound snapshot\n");
    } else {
        (void)printf("%s: %" PRIu64 " of %" PRIu64 " snapshots and %" PRIu64
                     " slots, %s in %.1f s; problems: %" PRIu64 "\n",
                     is_sound ? "sound" : "damaged", self->sound, self->snapshots, self->slots,
                     text_size(size, self->bytes_done), seconds, self->problems);
    }
    return is_sound ? TOOL_DONE : TOOL_DAMAGED;
}

static enum tool_exit verify(struct verifying *self)
{
    int64_t begin_ns = clock_mono_ns(&clock_system);
    enum tool_exit code = tool_open_archive(self->tool);
    if (code == TOOL_DONE) {
        code = begin_hold(self);
    }
    if (code == TOOL_DONE) {
        code = reading_open(&self->reading, self->tool);
    }
    if (code != TOOL_DONE) {
        return code;
    }
    if (self->only_newest) {
        look_only_at_newest(self);
    }
    count_bytes(self);
    enum status status = verify_log(self);
    if (status == STATUS_OK) {
        status = verify_snapshots(self);
    }
    progress_end(&self->tool->progress);
    return status == STATUS_OK
               ? conclude(self, (double)(clock_mono_ns(&clock_system) - begin_ns) / 1e9)
               : reading_failed(&self->reading, status);
}

static enum tool_exit run_verify(struct tool *tool, const void *options)
{
    const struct verify_options *wanted = options;
    struct verifying self = {.tool = tool, .only_newest = wanted->only_newest};
    self.list = tool->json ? json_array() : NULL;
    self.problem_list = tool->json ? json_array() : NULL;
    enum tool_exit code = verify(&self);
    progress_end(&tool->progress);
    hold_end(self.hold);
    s3_close(self.hold_s3);
    json_decref(self.list);
    json_decref(self.problem_list);
    reading_close(&self.reading);
    return code;
}

const struct tool_command verify_command = {
    .words = "backup verify",
    .synopsis = "[s3://BUCKET/PREFIX] [--newest]",
    .summary = "downloads everything and checks every byte",
    .details = "Says of each snapshot whether it can be restored, and until when the log goes on "
               "from it.\nTakes about 250 bytes of memory for each slot of the log, and 100 MiB.\n",
    .has_place = true,
    .descs = verify_descs,
    .desc_count = sizeof verify_descs / sizeof verify_descs[0],
    .options_bytes = sizeof(struct verify_options),
    .run = run_verify,
};
