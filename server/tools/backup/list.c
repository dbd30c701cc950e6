/*
 * `satchel backup list`: which snapshots there are, whether each is good, what the log has, and
 * which time can be restored. A snapshot is good when its objects are there, and so are, whole, the
 * slots that carry it to where it is a state of the store. Only its rows are not read: their bytes
 * are verify's business.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "backup/hold.h"
#include "tools/backup/reading.h"
#include "tools/backup/text.h"

enum { FIRST_SLOTS = 8 }; /* read behind a snapshot before it is known how many it takes */

struct listed {
    const struct survey_snapshot *found;
    const char *state; /* "good", or what is wrong in a word */
    char why[HISTORY_TEXT_BYTES + 64];
};

struct listing {
    struct reading reading;
    struct tool *tool;
    struct listed *snapshots; /* owned */
    size_t good_count;
    size_t bad_count; /* damaged, or not whole */
    size_t hole_count;
    uint64_t log_bytes;
    uint64_t last_lsn; /* of the last slot; 0: not known */
    int64_t last_ms;
    size_t hold_count;
    json_t *json; /* owned; the result; NULL: for people */
};

static bool is_good(const struct listed *snapshot)
{
    return strcmp(snapshot->state, "good") == 0;
}

/* ---- Snapshots ------------------------------------------------------------------------------ */

/* Reads slots behind the snapshot until it is whole, or they are over. */
static enum status check_whole(struct listing *self, struct listed *snapshot)
{
    struct reading *reading = &self->reading;
    const struct manifest *manifest = &snapshot->found->manifest;
    size_t begin = survey_find_slot(&reading->survey, manifest->next_seq);
    size_t end = begin;
    size_t step = manifest->through_lsn > manifest->id.from_lsn ? FIRST_SLOTS : 0;
    struct history_way way;
    history_clear(&reading->history);
    for (;;) {
        size_t left = reading->survey.slot_count - end;
        size_t more = step < left ? step : left;
        enum status status = reading_slots(reading, end, end + more, NULL, NULL);
        if (status == STATUS_OK) {
            status = history_follow(&reading->history, manifest, &way);
        }
        if (status != STATUS_OK) {
            return status;
        }
        end += more;
        if (way.is_whole || more == left) {
            break;
        }
        step *= 4;
    }
    snapshot->state = way.is_whole ? "good" : "broken";
    (void)snprintf(
        snapshot->why, sizeof snapshot->why, "%s%s",
        way.is_whole ? "" : "the log behind it ends too early: ", way.is_whole ? "" : way.text);
    return STATUS_OK;
}

static enum status check_snapshots(struct listing *self)
{
    struct survey *survey = &self->reading.survey;
    self->snapshots = calloc(survey->snapshot_count + 1, sizeof *self->snapshots);
    enum status status = self->snapshots != NULL ? STATUS_OK : STATUS_NO_MEMORY;
    progress_begin(&self->tool->progress, "checking snapshots", PROGRESS_COUNT);
    for (size_t i = 0; i < survey->snapshot_count && status == STATUS_OK; i++) {
        struct listed *snapshot = &self->snapshots[i];
        snapshot->found = &survey->snapshots[i];
        snapshot->state = survey_state_word(snapshot->found->state);
        (void)snprintf(snapshot->why, sizeof snapshot->why, "%s", snapshot->found->why);
        progress_show(&self->tool->progress, i, survey->snapshot_count);
        if (snapshot->found->state == SURVEY_GOOD) {
            status = check_whole(self, snapshot);
        }
        bool is_harmless = snapshot->found->state == SURVEY_UNFINISHED ||
                           snapshot->found->state == SURVEY_GONE;
        self->good_count += is_good(snapshot);
        self->bad_count += !is_good(snapshot) && !is_harmless;
    }
    progress_end(&self->tool->progress);
    return status;
}

/* The storage tells whole seconds, so what is new may seem to be of the future. */
static int64_t age_of(const struct listing *self, int64_t taken_ms)
{
    int64_t age_ms = self->reading.now_ms - taken_ms;
    return age_ms > 0 ? age_ms : 0;
}

static void print_snapshot(const struct listing *self, const struct listed *snapshot)
{
    char name[SNAPSHOT_NAME_BYTES];
    char time[TEXT_BYTES];
    char age[TEXT_BYTES];
    char size[TEXT_BYTES];
    const struct survey_snapshot *found = snapshot->found;
    const struct manifest *manifest = &found->manifest;
    bool is_read = survey_has_manifest(found);
    int64_t taken_ms = is_read ? manifest->time_ms : found->rows_modified_ms;
    snapshot_name(name, &found->id, found->has_manifest ? SNAPSHOT_MANIFEST : SNAPSHOT_ROWS);
    if (self->json != NULL) {
        (void)json_array_append_new(
            json_object_get(self->json, "snapshots"),
            json_pack("{s:s, s:s, s:b, s:s, s:s, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:s}", "object",
                      name, "state", snapshot->state, "good", is_good(snapshot), "why",
                      snapshot->why, "time", text_timestamp(time, taken_ms), "age_s",
                      (double)age_of(self, taken_ms) / 1000, "sessions",
                      (json_int_t)manifest->sessions, "bytes", (json_int_t)found->rows_bytes,
                      "from_lsn", (json_int_t)found->id.from_lsn, "through_lsn",
                      (json_int_t)manifest->through_lsn, "next_seq", (json_int_t)manifest->next_seq,
                      "epoch", (json_int_t)found->id.epoch, "version", manifest->version));
        return;
    }
    char sessions[TEXT_BYTES] = "?";
    if (is_read) {
        (void)snprintf(sessions, sizeof sessions, "%" PRIu64, manifest->sessions);
    }
    (void)printf("%-23s  %11s  %11s  %8s  %12" PRIu64 "  %s%s%s\n", text_time(time, taken_ms),
                 text_duration(age, age_of(self, taken_ms)), sessions,
                 text_size(size, found->rows_bytes),
                 is_read ? manifest->through_lsn : found->id.from_lsn, snapshot->state,
                 snapshot->why[0] != '\0' ? ": " : "", snapshot->why);
}

static void print_snapshots(const struct listing *self)
{
    size_t count = self->reading.survey.snapshot_count;
    if (self->json == NULL) {
        (void)printf("%-23s  %11s  %11s  %8s  %12s  %s\n", "SNAPSHOT", "AGE", "SESSIONS", "SIZE",
                     "LAST CHANGE", "STATE");
    }
    for (size_t i = 0; i < count; i++) {
        print_snapshot(self, &self->snapshots[i]);
    }
    if (count == 0 && self->json == NULL) {
        (void)printf("none\n");
    }
}

/* ---- The log -------------------------------------------------------------------------------- */

static enum status note_last(void *arg, const struct survey_header *found)
{
    struct listing *self = arg;
    if (!found->is_gone && !found->is_damaged) {
        self->last_lsn = found->header.last_lsn;
        self->last_ms = found->header.to_ms;
    }
    return STATUS_OK;
}

static int64_t slot_ms(const struct survey_slot *slot)
{
    return (int64_t)slot->modified_s * 1000;
}

static enum status look_at_log(struct listing *self)
{
    struct survey *survey = &self->reading.survey;
    for (size_t i = 0; i < survey->slot_count; i++) {
        self->log_bytes += survey->slots[i].bytes;
    }
    if (survey->slot_count == 0) {
        return STATUS_OK;
    }
    self->last_ms = slot_ms(&survey->slots[survey->slot_count - 1]);
    return survey_headers(survey, survey->slot_count - 1, survey->slot_count, note_last, self);
}

static void print_holes(struct listing *self)
{
    uint64_t seq = self->reading.log_from_seq;
    uint64_t first_seq = 0;
    uint64_t end_seq = 0;
    while (seq != UINT64_MAX &&
           survey_next_hole(&self->reading.survey, &seq, &first_seq, &end_seq)) {
        self->hole_count++;
        if (self->json != NULL) {
            (void)json_array_append_new(
                json_object_get(json_object_get(self->json, "log"), "holes"),
                json_pack("{s:I, s:I}", "first_seq", (json_int_t)first_seq, "slots",
                          (json_int_t)(end_seq - first_seq)));
        } else {
            (void)printf("      MISSING: %" PRIu64 " slots from %" PRIu64 " on\n",
                         end_seq - first_seq, first_seq);
        }
    }
}

static void print_log(struct listing *self)
{
    const struct survey *survey = &self->reading.survey;
    const struct survey_slot *first = survey->slot_count != 0 ? survey->slots : NULL;
    const struct survey_slot *last = first != NULL ? first + survey->slot_count - 1 : NULL;
    char from[TEXT_BYTES];
    char size[TEXT_BYTES];
    char time[TEXT_BYTES];
    if (self->json != NULL) {
        (void)json_object_set_new(
            self->json, "log",
            json_pack("{s:I, s:I, s:I, s:I, s:I, s:s?, s:[]}", "slots",
                      (json_int_t)survey->slot_count, "bytes", (json_int_t)self->log_bytes,
                      "first_seq", (json_int_t)(first != NULL ? first->seq : 0), "last_seq",
                      (json_int_t)(last != NULL ? last->seq : 0), "last_lsn",
                      (json_int_t)self->last_lsn, "last_time",
                      last != NULL ? text_timestamp(time, self->last_ms) : NULL, "holes"));
    } else if (first == NULL) {
        (void)printf("\nlog:  empty\n");
    } else {
        (void)printf("\nlog:  %zu slots, %" PRIu64 " to %" PRIu64 ", %s, stored from %s on; the "
                     "last change is %" PRIu64 " of %s\n",
                     survey->slot_count, first->seq, last->seq, text_size(size, self->log_bytes),
                     text_time(from, slot_ms(first)), self->last_lsn,
                     text_time(time, self->last_ms));
    }
    print_holes(self);
}

/* ---- What can be restored ------------------------------------------------------------------- */

/* The first missing slot at or behind `seq`, and when the log ends before it. */
static uint64_t find_end(const struct listing *self, uint64_t seq, int64_t *end_ms)
{
    const struct survey *survey = &self->reading.survey;
    uint64_t at = seq;
    uint64_t first_seq = 0;
    uint64_t end_seq = 0;
    if (!survey_next_hole(survey, &at, &first_seq, &end_seq)) {
        *end_ms = self->last_ms;
        return UINT64_MAX;
    }
    size_t index = survey_find_slot(survey, first_seq);
    *end_ms = index != 0 && first_seq > seq ? slot_ms(&survey->slots[index - 1]) : 0;
    return first_seq;
}

static void print_span(struct listing *self, int64_t from_ms, int64_t to_ms)
{
    char from[TEXT_BYTES];
    char to[TEXT_BYTES];
    if (self->json != NULL) {
        (void)json_array_append_new(json_object_get(self->json, "restorable"),
                                    json_pack("{s:s, s:s}", "from", text_timestamp(from, from_ms),
                                              "to", text_timestamp(to, to_ms)));
    } else {
        (void)printf("can be restored: every moment from %s to %s\n", text_time(from, from_ms),
                     text_time(to, to_ms));
    }
}

/* Each good snapshot leads as far as there is no hole; those that follow on the way add nothing. */
static void print_spans(struct listing *self)
{
    uint64_t done_seq = 0; /* spans that were printed reach to before this slot */
    for (;;) {
        const struct listed *next = NULL;
        for (size_t i = 0; i < self->reading.survey.snapshot_count; i++) {
            const struct listed *snapshot = &self->snapshots[i];
            if (is_good(snapshot) && snapshot->found->manifest.next_seq >= done_seq &&
                (next == NULL ||
                 snapshot->found->manifest.next_seq < next->found->manifest.next_seq)) {
                next = snapshot;
            }
        }
        if (next == NULL) {
            return;
        }
        const struct manifest *manifest = &next->found->manifest;
        int64_t end_ms = 0;
        uint64_t end_seq = find_end(self, manifest->next_seq, &end_ms);
        print_span(self, manifest->time_ms,
                   end_ms > manifest->time_ms ? end_ms : manifest->time_ms);
        if (end_seq == UINT64_MAX) {
            return;
        }
        done_seq = end_seq > manifest->next_seq ? end_seq : manifest->next_seq + 1;
    }
}

static bool print_hold(void *arg, const struct hold_found *found)
{
    struct listing *self = arg;
    char age[TEXT_BYTES];
    self->hold_count++;
    if (self->json != NULL) {
        (void)json_array_append_new(json_object_get(self->json, "holds"),
                                    json_pack("{s:s, s:I, s:f, s:b}", "object", found->key,
                                              "first_seq", (json_int_t)found->first_seq, "age_s",
                                              (double)found->age_ms / 1000, "void",
                                              found->is_void));
    } else {
        (void)printf("held: the log from slot %" PRIu64 " on, by a restore that gave a sign of "
                     "life %s ago%s\n",
                     found->first_seq, text_duration(age, found->age_ms),
                     found->is_void ? " (void)" : "");
    }
    return true;
}

/* ---- All of it ------------------------------------------------------------------------------ */

static enum tool_exit print(struct listing *self)
{
    print_snapshots(self);
    print_log(self);
    print_spans(self);
    if (hold_list(self->tool->archive.s3, print_hold, self) != S3_OK) {
        char why[512];
        s3_describe_error(self->tool->archive.s3, why, sizeof why);
        return tool_fail(self->tool, TOOL_FAILED, "cannot list holds: %s", why);
    }
    bool is_sound = self->good_count != 0 && self->bad_count == 0 && self->hole_count == 0;
    if (self->json != NULL) {
        (void)json_object_set_new(self->json, "sound", json_boolean(is_sound));
        (void)json_object_set_new(self->json, "good", json_integer((json_int_t)self->good_count));
        tool_print_json(self->tool, json_incref(self->json));
    } else if (self->good_count == 0) {
        (void)printf("nothing can be restored: there is no good snapshot\n");
    }
    return is_sound ? TOOL_DONE : TOOL_DAMAGED;
}

static enum tool_exit run_list(struct tool *tool, const void *options)
{
    struct listing self = {.tool = tool};
    (void)options;
    enum tool_exit code = reading_open(&self.reading, tool);
    if (code == TOOL_DONE) {
        self.json = tool->json
                        ? json_pack("{s:s, s:[], s:[], s:[]}", "archive", tool->place_options.url,
                                    "snapshots", "restorable", "holds")
                        : NULL;
        enum status status = check_snapshots(&self);
        if (status == STATUS_OK) {
            status = look_at_log(&self);
        }
        code = status == STATUS_OK ? print(&self) : reading_failed(&self.reading, status);
    }
    json_decref(self.json);
    free(self.snapshots);
    reading_close(&self.reading);
    return code;
}

const struct tool_command list_command = {
    .words = "backup list",
    .synopsis = "[s3://BUCKET/PREFIX]",
    .summary = "shows the snapshots, the log, and which time can be restored",
    .details =
        "A snapshot is good when its objects are there, and the log carries it to a state that\n"
        "the store has had. That its rows are undamaged only `satchel backup verify` tells.\n",
    .has_place = true,
    .run = run_list,
};
