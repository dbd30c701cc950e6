/*
 * `satchel restore`: makes the data directory of a store from an archive. What decides which state,
 * and from which objects, is in backup/restore.h; here are the words for it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backup/restore.h"
#include "backup/timestamp.h"
#include "base/clock.h"
#include "tools/backup/text.h"
#include "tools/backup/tool.h"

struct restore_options {
    const char *data_dir; /* borrowed, as all texts */
    const char *at;
    uint64_t lsn; /* 0: not given */
    bool is_dry_run;
    bool is_forced;
    const char *run_dir;
    uint64_t map_bytes;
};

static const struct option_desc restore_descs[] = {
    {.name = "data-dir",
     .type = OPTION_TEXT,
     .standard = "",
     .unit = "DIR",
     .help = "Where the store is made: what satcheld is given as --data.",
     .offset = offsetof(struct restore_options, data_dir),
     .variable = "SATCHEL_DATA"},
    {.name = "at",
     .type = OPTION_TEXT,
     .standard = "",
     .unit = "TIME",
     .help = "Restores the state of that moment instead of the latest: "
             "\"2026-03-01T14:05:09.250Z\", with an offset as +01:00 in place of the Z, or \"-5m\" "
             "for five minutes ago (ms, s, m, h, d).",
     .offset = offsetof(struct restore_options, at),
     .variable = "SATCHEL_RESTORE_AT"},
    {.name = "lsn",
     .type = OPTION_COUNT,
     .standard = "",
     .unit = "NUMBER",
     .help = "Restores the state in which the change of this number was the last.",
     .least = 1,
     .offset = offsetof(struct restore_options, lsn),
     .variable = "SATCHEL_RESTORE_LSN"},
    {.name = "dry-run",
     .type = OPTION_FLAG,
     .standard = "no",
     .unit = "",
     .help = "Says what would be restored, and writes nothing.",
     .offset = offsetof(struct restore_options, is_dry_run),
     .variable = "SATCHEL_RESTORE_DRY_RUN"},
    {.name = "force",
     .type = OPTION_FLAG,
     .standard = "no",
     .unit = "",
     .help =
         "Takes the place of a store that is in the directory, which is deleted when the new one "
         "is complete. Other files stay.",
     .offset = offsetof(struct restore_options, is_forced),
     .variable = "SATCHEL_RESTORE_FORCE"},
    {.name = "run-dir",
     .type = OPTION_TEXT,
     .standard = "",
     .unit = "DIR",
     .help = "Local directory for lock files; default: a private one in /tmp.",
     .offset = offsetof(struct restore_options, run_dir)},
    {.name = "map-size",
     .type = OPTION_BYTES,
     .standard = "256g",
     .unit = "BYTES",
     .help = "Largest size of the data file; costs address space only.",
     .least = 16 * 1024 * 1024,
     .offset = offsetof(struct restore_options, map_bytes)},
};

/* ---- Times ---------------------------------------------------------------------------------- */

/* "-5m" */
static bool parse_ago(const char *text, int64_t now_ms, int64_t *out_ms)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    int64_t number = 0;
    size_t digits = strspn(text + 1, "0123456789");
    if (text[0] != '-' || digits == 0 || digits > 9) {
        return false;
    }
    for (size_t i = 1; i <= digits; i++) {
        number = number * 10 + (text[i] - '0');
    }
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(text + 1 + digits, units[i].unit) == 0) {
            *out_ms = now_ms - number * units[i].ms;
            return *out_ms >= 0;
        }
    }
    return false;
}

/* "+01:00" at the end of a time. */
static bool parse_offset(const char *text, int64_t *out_ms)
{
    int hours = 0;
    int minutes = 0;
    int used = 0;
    if (strlen(text) != 6 || (text[0] != '+' && text[0] != '-') ||
        strspn(text + 1, "0123456789:") != 5 ||
        sscanf(text + 1, "%2d:%2d%n", &hours, &minutes, &used) != 2 || used != 5 || hours > 23 ||
        minutes > 59) {
        return false;
    }
    int64_t ms = (hours * INT64_C(60) + minutes) * 60000;
    *out_ms = text[0] == '+' ? ms : -ms;
    return true;
}

static bool parse_at(const char *text, int64_t now_ms, int64_t *out_ms)
{
    char utc[64];
    int64_t offset_ms = 0;
    size_t len = strlen(text);
    if (text[0] == '-') {
        return parse_ago(text, now_ms, out_ms);
    }
    if (len < 7 || len >= sizeof utc) {
        return false;
    }
    (void)snprintf(utc, sizeof utc, "%s", text);
    if (text[len - 1] != 'Z') {
        if (!parse_offset(text + len - 6, &offset_ms)) {
            return false;
        }
        utc[len - 6] = 'Z';
        utc[len - 5] = '\0';
    }
    if (timestamp_parse(utc, out_ms) != STATUS_OK) {
        return false;
    }
    *out_ms -= offset_ms;
    return *out_ms >= 0;
}

/* DONE, or USAGE and it was said why. */
static enum tool_exit take_target(struct tool *tool, const struct restore_options *options,
                                  struct target *out)
{
    *out = (struct target){.kind = TARGET_LATEST};
    if (options->at != NULL && options->lsn != 0) {
        return tool_fail(tool, TOOL_USAGE, "--at and --lsn are two answers to one question");
    }
    if (options->lsn != 0) {
        *out = (struct target){.kind = TARGET_LSN, .lsn = options->lsn};
    }
    if (options->at != NULL) {
        out->kind = TARGET_TIME;
        if (!parse_at(options->at, clock_wall_ms(&clock_system), &out->time_ms)) {
            return tool_fail(tool, TOOL_USAGE,
                             "--at: \"%s\" is no time; it is written as 2026-03-01T14:05:09Z, "
                             "2026-03-01T15:05:09+01:00, or -5m",
                             options->at);
        }
    }
    return TOOL_DONE;
}

/* ---- What is told --------------------------------------------------------------------------- */

static void on_progress(void *arg, enum restore_stage stage, uint64_t done, uint64_t total)
{
    static const struct {
        const char *what;
        enum progress_unit unit;
    } stages[] = {[RESTORE_LOOKING] = {"looking at the archive", PROGRESS_COUNT},
                  [RESTORE_ROWS] = {"restoring sessions", PROGRESS_BYTES},
                  [RESTORE_CHANGES] = {"restoring changes", PROGRESS_COUNT}};
    struct tool *tool = arg;
    if (tool->progress.what != stages[stage].what) {
        progress_begin(&tool->progress, stages[stage].what, stages[stage].unit);
    }
    progress_show(&tool->progress, done, total);
}

static void on_planned(void *arg, const struct restore_report *report)
{
    struct tool *tool = arg;
    char name[SNAPSHOT_NAME_BYTES];
    char taken[TEXT_BYTES];
    char rows_size[TEXT_BYTES];
    char slots_size[TEXT_BYTES];
    if (report->is_unheld) {
        tool_note(tool,
                  "warning: the archive could not be protected from being tidied meanwhile: %s",
                  report->hold_text);
    }
    if (report->passed_over != 0) {
        tool_note(tool, "warning: a newer snapshot is of no use: %s", report->passed_text);
    }
    snapshot_name(name, &report->snapshot.id, SNAPSHOT_ROWS);
    tool_note(tool,
              "snapshot %s of %s, %" PRIu64 " sessions in %s; and %" PRIu64
              " slots of changes in %s",
              name, text_time(taken, report->snapshot.time_ms), report->snapshot.sessions,
              text_size(rows_size, report->snapshot.stored_bytes), report->slots,
              text_size(slots_size, report->slot_bytes));
}

/* For people, on standard output. */
static void print_report(const struct restore_options *options, const struct restore_report *report)
{
    char name[SNAPSHOT_NAME_BYTES];
    char time[TEXT_BYTES];
    char age[TEXT_BYTES];
    const char *at_most = options->is_dry_run ? "at most " : "";
    int64_t age_ms = clock_wall_ms(&clock_system) - report->last_time_ms;
    snapshot_name(name, &report->snapshot.id, SNAPSHOT_ROWS);
    if (options->is_dry_run) {
        (void)printf("would restore into %s: %" PRIu64 " sessions of %s and the changes of %" PRIu64
                     " slots\n",
                     options->data_dir, report->snapshot.sessions, name, report->slots);
    } else {
        (void)printf("restored into %s: %" PRIu64 " sessions of %s and %" PRIu64 " changes\n",
                     options->data_dir, report->snapshot.sessions, name, report->changes);
    }
    (void)printf("the state up to %schange %" PRIu64 ", of %s, %s ago\n", at_most, report->last_lsn,
                 text_time(time, report->last_time_ms), text_duration(age, age_ms));
    (void)printf("it ends there because: %s\n", report->text);
    if (report->lost_lsn != 0) {
        (void)printf("LOST: changes up to %" PRIu64 " were made, and cannot be had\n",
                     report->lost_lsn);
    } else if (report->is_whole) {
        (void)printf("nothing is known to be missing\n");
    } else {
        (void)printf("INCOMPLETE: there may have been more before the target\n");
    }
    if (report->passed_over != 0) {
        (void)printf("newer snapshots that are damaged: %u; the last: %s\n", report->passed_over,
                     report->passed_text);
    }
}

static json_t *json_time(int64_t ms)
{
    char text[TEXT_BYTES];
    return json_string(text_timestamp(text, ms));
}

static void print_json(struct tool *tool, const struct restore_options *options,
                       const struct restore_report *report, int64_t took_ms)
{
    char name[SNAPSHOT_NAME_BYTES];
    const struct manifest *snapshot = &report->snapshot;
    snapshot_name(name, &snapshot->id, SNAPSHOT_ROWS);
    tool_print_json(
        tool,
        json_pack(
            "{s:b, s:s, s:{s:s, s:o, s:I, s:I, s:I, s:I, s:I}, s:I, s:I, s:I, s:I, s:o, s:I, s:b, "
            "s:I, s:s, s:I, s:s, s:b, s:I, s:I}",
            "restored", !options->is_dry_run, "data_dir", options->data_dir, "snapshot", "name",
            name, "time", json_time(snapshot->time_ms), "epoch", (json_int_t)snapshot->id.epoch,
            "from_lsn", (json_int_t)snapshot->id.from_lsn, "through_lsn",
            (json_int_t)snapshot->through_lsn, "sessions", (json_int_t)snapshot->sessions, "bytes",
            (json_int_t)snapshot->stored_bytes, "slots", (json_int_t)report->slots, "slot_bytes",
            (json_int_t)report->slot_bytes, "changes", (json_int_t)report->changes, "last_lsn",
            (json_int_t)report->last_lsn, "time", json_time(report->last_time_ms), "age_ms",
            (json_int_t)(clock_wall_ms(&clock_system) - report->last_time_ms), "whole",
            report->is_whole, "lost_lsn", (json_int_t)report->lost_lsn, "end", report->text,
            "passed_over", (json_int_t)report->passed_over, "passed_over_why", report->passed_text,
            "held", !report->is_unheld, "epoch", (json_int_t)report->epoch, "took_ms",
            (json_int_t)took_ms));
}

/* ---- Running -------------------------------------------------------------------------------- */

static enum tool_exit restore(struct tool *tool, const struct restore_options *options,
                              struct restore_job *job)
{
    struct restore_report report;
    int64_t begin_ns = clock_mono_ns(&clock_system);
    enum status status = restore_run(job, &report);
    progress_end(&tool->progress);
    if (status == STATUS_AGAIN) {
        return tool_fail(tool, TOOL_FAILED, "interrupted; %s has what it had", options->data_dir);
    }
    if (status == STATUS_EXISTS) {
        return tool_fail(tool, TOOL_FAILED, "%s; --force replaces it", report.text);
    }
    if (status != STATUS_OK) {
        return tool_fail(tool, tool_exit_of(status), "%s", report.text);
    }
    if (tool->json) {
        print_json(tool, options, &report, (clock_mono_ns(&clock_system) - begin_ns) / 1000000);
    } else {
        print_report(options, &report);
    }
    return TOOL_DONE;
}

static enum tool_exit run(struct tool *tool, const void *arg)
{
    const struct restore_options *options = arg;
    struct restore_job job = {.data_dir = options->data_dir,
                              .run_dir = options->run_dir,
                              .map_bytes = options->map_bytes,
                              .file = &file_ops_system,
                              .is_dry_run = options->is_dry_run,
                              .is_forced = options->is_forced,
                              .progress = on_progress,
                              .planned = on_planned,
                              .arg = tool};
    if (options->data_dir == NULL) {
        return tool_fail(tool, TOOL_USAGE, "into which directory? --data-dir DIR");
    }
    enum tool_exit code = take_target(tool, options, &job.target);
    if (code == TOOL_DONE) {
        code = tool_open_archive(tool);
    }
    if (code != TOOL_DONE) {
        return code;
    }
    char why[512];
    struct gather gather = {0};
    struct stop unstopped; /* the hold is to be deleted also after an interrupt */
    stop_init(&unstopped);
    enum status status = gather_open(&gather, &tool->place, &tool->stop, 0, 0, why, sizeof why);
    if (status == STATUS_OK) {
        status = place_client(&tool->place, &unstopped, &job.hold_client, why, sizeof why);
    }
    job.gather = &gather;
    code = status == STATUS_OK ? restore(tool, options, &job)
                               : tool_fail(tool, tool_exit_of(status), "%s", why);
    s3_close(job.hold_client);
    gather_close(&gather);
    stop_close(&unstopped);
    return code;
}

const struct tool_command restore_command = {
    .words = "restore",
    .synopsis = "--from s3://BUCKET[/PREFIX] --data-dir DIR",
    .summary = "makes a data directory from an archive",
    .details =
        "Restores the latest state, or that of a moment, and checks every byte of it. The\n"
        "next satcheld on the directory goes on from there, in a new epoch and with higher\n"
        "numbers of changes. Needs to read the archive only; if it may write, a small object\n"
        "below hold/ keeps old objects from being deleted meanwhile.\n",
    .has_place = true,
    .descs = restore_descs,
    .desc_count = sizeof restore_descs / sizeof restore_descs[0],
    .options_bytes = sizeof(struct restore_options),
    .run = run,
};
