/*
 * verify: is what lies in the directory sound, and would a store start on it?
 *
 *   1  The account of the data file's pages (store/pages.h): our own reading, which cannot crash.
 *   2  Every row, through LMDB: checksum, decoding, order.           in a child, see guard.h
 *   3  The journal: headers, frames, records, continuity, decided as recovery decides.
 *   4  Recovery itself, rehearsed: what would be served.             in a child
 *
 * Beside a running store all of it may have to be repeated until it counts; see looks.h.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "store/image.h"
#include "store/journal_files.h"
#include "tools/guard.h"
#include "tools/looks.h"
#include "tools/read_only.h"
#include "tools/report.h"

enum { ROWS_BETWEEN_CHECKS = 65536 };

struct verify {
    const struct place *place; /* of the present look */
    struct report *report;     /* shared with children */
};

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

/* What is read may be anything by now: the look does not count, and may end. */
static bool is_overtaken(const struct verify *self)
{
    return place_change(self->place) == PLACE_CHANGED;
}

/* ---- 1: pages ------------------------------------------------------------------------------- */

static void add_data_problem(const struct verify *self, int64_t offset, uint64_t rowid,
                             const char *what)
{
    struct problem problem = {.offset = offset, .rowid = rowid};
    (void)snprintf(problem.file, sizeof problem.file, "%s", self->report->data_file);
    (void)snprintf(problem.what, sizeof problem.what, "%s", what);
    report_add(self->report, &problem);
}

static void on_page_problem(void *arg, uint64_t offset, const char *what)
{
    add_data_problem(arg, (int64_t)offset, 0, what);
}

static void check_pages(struct verify *self)
{
    struct report *report = self->report;
    enum status status = pages_check(&file_ops_read_only, self->place->fd, &report->pages,
                                     on_page_problem, self);
    if (status == STATUS_NOT_FOUND) {
        report->is_new = true;
    } else if (status != STATUS_OK) {
        report_unchecked(report, "cannot read the data file");
    }
}

/* ---- 2: rows -------------------------------------------------------------------------------- */

static enum status on_row(void *arg, uint64_t rowid, const struct session *session)
{
    const struct verify *self = arg;
    struct report *report = self->report;
    report->rows++;
    report->row_bytes += image_bytes(session);
    report->rows_after_meta += report->has_meta && rowid >= report->meta.next_rowid;
    report->last_rowid = rowid;
    guard_show("rows", report->rows);
    return report->rows % ROWS_BETWEEN_CHECKS == 0 && is_overtaken(self) ? STATUS_AGAIN : STATUS_OK;
}

static void on_row_damage(void *arg, uint64_t rowid, const char *what)
{
    add_data_problem(arg, -1, rowid, what);
}

static enum status read_rows(struct verify *self, struct rows *rows, char *errmsg,
                             size_t errmsg_bytes)
{
    struct report *report = self->report;
    enum status status = rows_read_meta(rows, &report->meta);
    report->has_meta = status == STATUS_OK;
    report->is_new = status == STATUS_NOT_FOUND;
    if (status != STATUS_OK && status != STATUS_NOT_FOUND) {
        (void)snprintf(errmsg, errmsg_bytes, "%s", rows_error(rows));
        if (status != STATUS_CORRUPT) {
            return status;
        }
        add_data_problem(self, -1, 0, errmsg);
    }
    status = rows_survey(rows, on_row, on_row_damage, self);
    if (status != STATUS_OK) {
        (void)snprintf(errmsg, errmsg_bytes, "cannot read behind row %" PRIu64 ": %s",
                       report->last_rowid, rows_error(rows));
    }
    return status;
}

/* What cannot be opened or read to its end is damage, unless there is another reason for it. */
static void add_failure(struct verify *self, enum status status, const char *errmsg)
{
    if (status == STATUS_CORRUPT || status == STATUS_NOT_FOUND || self->report->damages != 0) {
        add_data_problem(self, -1, 0, errmsg);
    } else {
        report_unchecked(self->report, errmsg);
    }
}

static int check_rows(void *arg)
{
    struct verify *self = arg;
    char errmsg[600] = "";
    struct rows *rows = NULL;
    const struct rows_options options = {
        .path = self->place->data_file, .file = &file_ops_read_only, .read_only = true};
    enum status status = rows_open(&options, &rows, errmsg, sizeof errmsg);
    if (status == STATUS_OK) {
        status = read_rows(self, rows, errmsg, sizeof errmsg);
        rows_close(rows);
    }
    if (status != STATUS_OK) {
        add_failure(self, status, errmsg);
    }
    return 0;
}

/* Runs a step in a child; its death is damage. */
static bool run_guarded(struct verify *self, int (*step)(void *arg), const char *name)
{
    int code = 0;
    char how[100];
    char what[300];
    bool has_ended = guard_run(step, self, &code, how, sizeof how) && code == 0;
    if (!has_ended) {
        (void)snprintf(what, sizeof what,
                       "LMDB crashed while %s, behind row %" PRIu64 " (%s): its tree is damaged",
                       name, self->report->last_rowid, code == 0 ? how : "abort");
        add_data_problem(self, -1, 0, what);
    }
    return has_ended;
}

/* ---- 3: journal ----------------------------------------------------------------------------- */

static void on_frame(void *arg, const struct journal_file *segment, uint64_t offset,
                     const struct frame *frame)
{
    (void)segment;
    (void)offset;
    const struct verify *self = arg;
    struct report *report = self->report;
    report->frames++;
    report->frame_bytes += FRAME_HEADER_BYTES + frame->records.len;
    struct view rest = frame->records;
    for (struct record record; record_next(&rest, &record) == STATUS_OK;) {
        report->records[record.type]++;
    }
    guard_show("frames", report->frames);
}

static void on_segment_end(void *arg, const struct journal_file *segment,
                           const struct journal_end *end)
{
    (void)segment;
    const struct verify *self = arg;
    self->report->torn_bytes += end->torn_bytes;
    self->report->journal_bytes += end->file_bytes;
}

static void on_journal_problem(void *arg, const struct journal_problem *found)
{
    const struct verify *self = arg;
    struct problem problem = {
        .offset = (int64_t)found->offset, .lsn = found->lsn, .harmless = found->harmless};
    (void)snprintf(problem.file, sizeof problem.file, "journal/%s",
                   base_name(found->segment->path));
    (void)snprintf(problem.what, sizeof problem.what, "%s", found->what);
    report_add(self->report, &problem);
}

static void count_segments(struct report *report, const struct journal_files *files)
{
    report->segments = files->count;
    for (size_t i = 0; i < files->count; i++) {
        const struct journal_file *file = &files->items[i];
        report->segments_unused += file->unused_why != NULL;
        report->epochs += i == 0 || file->epoch != files->items[i - 1].epoch;
    }
    if (files->count != 0) {
        report->epoch_first = files->items[0].epoch;
        report->epoch_last = files->items[files->count - 1].epoch;
    }
}

static void check_journal(struct verify *self)
{
    struct report *report = self->report;
    const struct journal_survey survey = {
        .place = {.dir = self->place->journal_dir,
                  .uuid = report->has_meta ? report->meta.uuid : NULL,
                  .file = &file_ops_read_only},
        .applied_lsn = report->has_meta ? &report->meta.applied_lsn : NULL,
        .observer = {.frame = on_frame,
                     .end = on_segment_end,
                     .problem = on_journal_problem,
                     .arg = self},
    };
    struct journal_files files;
    char errmsg[600];
    enum status status = journal_files_survey(&files, &survey, &report->last_lsn, errmsg,
                                              sizeof errmsg);
    if (status != STATUS_OK) {
        report_unchecked(report, errmsg);
        return;
    }
    count_segments(report, &files);
    journal_files_free(&files);
}

/* ---- 4: recovery ---------------------------------------------------------------------------- */

static int rehearse(void *arg)
{
    struct verify *self = arg;
    struct report *report = self->report;
    char errmsg[600];
    const struct rehearsal rehearsal = {
        .data_dir = self->place->dir,
        .journal_dir = self->place->journal_dir,
        .data_file = self->place->data_file,
        .file = &file_ops_read_only,
        .now_ms = clock_wall_ms(&clock_system),
    };
    guard_show("rehearsing recovery, rows", report->rows);
    enum status status = rehearse_recovery(&rehearsal, &report->rehearsed, errmsg, sizeof errmsg);
    report->would_start = status == STATUS_OK;
    if (status != STATUS_OK && report->damages == 0) {
        add_failure(self, status, errmsg);
    }
    return 0;
}

/* ---- All of it ------------------------------------------------------------------------------ */

static void check_data_file(struct verify *self)
{
    struct report *report = self->report;
    (void)snprintf(report->data_file, sizeof report->data_file, "%s",
                   base_name(self->place->data_file));
    report->data_bytes = (uint64_t)self->place->data_before.st_size;
    check_pages(self);
    if (report->data_bytes != 0) {
        (void)run_guarded(self, check_rows, "reading the rows");
    }
}

/* Everything once; ends early when it would not count. */
static void check_all(struct verify *self, const char *no_data_file)
{
    struct report *report = self->report;
    (void)snprintf(report->dir, sizeof report->dir, "%s", self->place->dir);
    if (self->place->data_file != NULL) {
        check_data_file(self);
    } else {
        add_data_problem(self, -1, 0, no_data_file);
    }
    if (is_overtaken(self)) {
        return;
    }
    check_journal(self);
    if (report->is_new && report->segments != report->segments_unused) {
        add_data_problem(self, -1, 0, "the data file is new, but there is a journal of changes");
    } else if (report->data_bytes != 0 && !is_overtaken(self)) {
        (void)run_guarded(self, rehearse, "rehearsing recovery");
    } else {
        report->would_start = report->is_new;
    }
}

static uint64_t look(void *arg, const struct place *place, const char *no_data_file)
{
    struct verify *self = arg;
    self->place = place;
    *self->report = (struct report){0};
    check_all(self, no_data_file);
    return report_findings(self->report);
}

enum tool_exit tool_verify(const struct tool_options *options, struct summary *summary)
{
    struct report *report = guard_memory(sizeof *report);
    if (report == NULL) {
        (void)fprintf(stderr, "satchel-store: out of memory\n");
        summary_fail(summary, "out of memory");
        return TOOL_UNCHECKED;
    }
    struct verify verify = {.report = report};
    struct looks looks;
    char errmsg[600] = "";
    enum status status = looks_take(&looks, options->dir, look, &verify, errmsg, sizeof errmsg);
    guard_show(NULL, 0);
    if (status != STATUS_OK) { /* what the last look has found may be anything */
        *report = (struct report){0};
        report_unchecked(report, errmsg);
    }
    report->is_beside = looks.is_beside;
    (void)snprintf(report->owner, sizeof report->owner, "%s", looks.owner);
    report->looks = looks.count;
    if (options->json) {
        summary_set(summary, report_to_json(report));
    } else {
        report_print(report);
    }
    return report_exit(report);
}
