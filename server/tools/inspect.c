/*
 * inspect: what lies in the directory, without judging it. Ids, owners and contents are user data:
 * printed only when they are asked for.
 *
 * Beside a running store it is looked at until the look counts (looks.h), and what a look says is
 * held back until it does: in memory, so about as much of it as there is journal that is shown.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "store/journal_files.h"
#include "store/rows.h"
#include "tools/guard.h"
#include "tools/looks.h"
#include "tools/read_only.h"
#include "tools/report.h"

struct inspect {
    const struct tool_options *options;
    const struct place *place; /* of the present look */
    int held;                  /* a file that standard output goes to; -1: none */
    struct rows_meta meta;
    bool has_meta;
    bool failed;           /* something could not be read */
    uint64_t segments;     /* that were read */
    uint64_t frames_total; /* in all of them */
    uint64_t problems;     /* that verify tells more about */
    int code;              /* what the child ended with */
    char crash[100];       /* of what it died instead; "": it ended */

    /* Of the segment that is being read. */
    uint64_t frames;
    uint64_t frame_bytes;
    uint64_t last_lsn;
};

/* ---- Values --------------------------------------------------------------------------------- */

static void print_escaped(struct view bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        uint8_t byte = bytes.ptr[i];
        if (byte == '\\') {
            (void)printf("\\\\");
        } else if (byte < 0x20 || byte >= 0x7f) {
            (void)printf("\\x%02x", byte);
        } else {
            (void)putchar(byte);
        }
    }
}

static void print_time(const char *name, int64_t ms)
{
    if (ms == 0) {
        (void)printf(" %s=never", name);
        return;
    }
    time_t seconds = (time_t)(ms / 1000);
    struct tm parts;
    char text[40] = "?";
    if (gmtime_r(&seconds, &parts) != NULL) {
        (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    }
    (void)printf(" %s=%s.%03dZ", name, text, (int)(ms % 1000));
}

static void print_content(const struct inspect *self, const char *name, struct view content)
{
    if (self->options->content) {
        (void)printf("    %s: ", name);
        print_escaped(content);
        (void)printf("\n");
    }
}

static const char *const kind_words[] = {
#define X(name, number, tag, word) [SATCHEL_##name] = word,
    SATCHEL_KINDS(X)
#undef X
};

static void print_session(const struct session *session)
{
    (void)printf(" version=%" PRIu64 " kind=%s bytes=%zu owner_bytes=%zu", session->version,
                 kind_words[session->kind], session->content.len, session->owner.len);
    print_time("created", session->created_ms);
    print_time("expires", session->expires_ms);
    (void)printf(" idle_ttl_ms=%" PRIu64, session->idle_ttl_ms);
}

/* ---- Rows ----------------------------------------------------------------------------------- */

static bool is_wanted(const struct inspect *self, struct view id)
{
    return self->options->session != NULL && view_equal(id, view_str(self->options->session));
}

static enum status on_row(void *arg, uint64_t rowid, const struct session *session)
{
    const struct inspect *self = arg;
    if (is_wanted(self, session->id)) {
        (void)printf("row %" PRIu64 ":", rowid);
        print_session(session);
        (void)printf("\n");
        print_content(self, "owner", session->owner);
        print_content(self, "content", session->content);
    }
    return STATUS_OK;
}

static void on_row_damage(void *arg, uint64_t rowid, const char *what)
{
    (void)arg;
    (void)rowid;
    (void)printf("not readable: %s\n", what);
}

static void print_meta(struct inspect *self)
{
    const struct rows_meta *meta = &self->meta;
    (void)printf("meta row   store ");
    for (size_t i = 0; i < STORE_UUID_BYTES; i++) {
        (void)printf("%02x", meta->uuid[i]);
    }
    (void)printf(", epoch %" PRIu64 ", applied lsn %" PRIu64 ", last lsn %" PRIu64
                 ", next row %" PRIu64 "\n",
                 meta->epoch, meta->applied_lsn, meta->last_lsn, meta->next_rowid);
}

static void fail(struct inspect *self, const char *why)
{
    (void)printf("not readable: %s\n", why);
    self->failed = true;
}

static void inspect_rows(struct inspect *self)
{
    (void)printf("data file  %s, %lld bytes\n", self->place->data_file,
                 (long long)self->place->data_before.st_size);
    if (self->place->data_before.st_size == 0) {
        return;
    }
    struct rows *rows = NULL;
    char errmsg[600];
    const struct rows_options options = {
        .path = self->place->data_file, .file = &file_ops_read_only, .read_only = true};
    if (rows_open(&options, &rows, errmsg, sizeof errmsg) != STATUS_OK) {
        fail(self, errmsg);
        return;
    }
    enum status status = rows_read_meta(rows, &self->meta);
    self->has_meta = status == STATUS_OK;
    if (self->has_meta) {
        print_meta(self);
    } else if (status == STATUS_NOT_FOUND) {
        (void)printf("meta row   none: a new store\n");
    } else {
        fail(self, rows_error(rows));
    }
    if (self->options->session != NULL &&
        rows_survey(rows, on_row, on_row_damage, self) != STATUS_OK) {
        fail(self, rows_error(rows));
    }
    rows_close(rows);
}

/* ---- Journal -------------------------------------------------------------------------------- */

static void print_record(const struct inspect *self, const struct journal_file *segment,
                         uint64_t lsn, const struct record *record)
{
    (void)printf("  lsn %" PRIu64 " %s (epoch %" PRIu64 "%s):", lsn,
                 report_record_name(record->type), segment->epoch,
                 self->has_meta && lsn <= self->meta.applied_lsn ? ", in the rows" : "");
    if (self->options->ids) {
        (void)printf(" id=");
        print_escaped(record->session.id);
    }
    if (record->type == RECORD_PUT) {
        print_session(&record->session);
    } else if (record->type == RECORD_TOUCH) {
        print_time("expires", record->session.expires_ms);
        (void)printf(" idle_ttl_ms=%" PRIu64, record->session.idle_ttl_ms);
    } else if (record->type == RECORD_PATCH) {
        (void)printf(" bytes=%zu", record->ops.len);
    }
    (void)printf("\n");
    if (record->type == RECORD_PUT) {
        print_content(self, "content", record->session.content);
    } else if (record->type == RECORD_PATCH) {
        print_content(self, "operations", record->ops);
    }
}

static void on_frame(void *arg, const struct journal_file *segment, uint64_t offset,
                     const struct frame *frame)
{
    (void)offset;
    struct inspect *self = arg;
    self->frames++;
    self->frame_bytes += FRAME_HEADER_BYTES + frame->records.len;
    self->last_lsn = frame->first_lsn + frame->count - 1;
    struct view rest = frame->records;
    struct record record;
    for (uint64_t lsn = frame->first_lsn; record_next(&rest, &record) == STATUS_OK; lsn++) {
        if (self->options->records || is_wanted(self, record.session.id)) {
            print_record(self, segment, lsn, &record);
        }
    }
}

static void on_segment_end(void *arg, const struct journal_file *segment,
                           const struct journal_end *end)
{
    struct inspect *self = arg;
    (void)printf(
        "segment    epoch %" PRIu64 " number %" PRIu64 ": follows lsn %" PRIu64 ", first %" PRIu64,
        segment->epoch, segment->number, segment->header.follows_lsn, segment->header.first_lsn);
    if (self->frames != 0) {
        (void)printf(", last %" PRIu64, self->last_lsn);
    }
    (void)printf("; %" PRIu64 " frames of %" PRIu64 " bytes, file of %" PRIu64
                 " bytes, torn %" PRIu64 "\n",
                 self->frames, self->frame_bytes, end->file_bytes, end->torn_bytes);
    self->segments++;
    self->frames_total += self->frames;
    self->frames = 0;
    self->frame_bytes = 0;
}

static void on_problem(void *arg, const struct journal_problem *problem)
{
    struct inspect *self = arg;
    self->problems++;
    (void)printf("not as it should be (verify tells more): %s\n", problem->what);
}

static void inspect_journal(struct inspect *self)
{
    const struct journal_survey survey = {
        .place = {.dir = self->place->journal_dir, .file = &file_ops_read_only},
        .applied_lsn = self->has_meta ? &self->meta.applied_lsn : NULL,
        .observer = {.frame = on_frame, .end = on_segment_end, .problem = on_problem, .arg = self},
    };
    struct journal_files files;
    uint64_t last_lsn = 0;
    char errmsg[600];
    (void)printf("journal    %s\n", self->place->journal_dir);
    if (journal_files_survey(&files, &survey, &last_lsn, errmsg, sizeof errmsg) != STATUS_OK) {
        fail(self, errmsg);
        return;
    }
    for (size_t i = 0; i < files.count; i++) {
        if (files.items[i].unused_why != NULL) {
            (void)printf("segment    epoch %" PRIu64 " number %" PRIu64 ": %s\n",
                         files.items[i].epoch, files.items[i].number, files.items[i].unused_why);
        }
    }
    (void)printf("last lsn   %" PRIu64 "\n", last_lsn);
    journal_files_free(&files);
}

/* ---- All of it ------------------------------------------------------------------------------ */

static int inspect_all(void *arg)
{
    struct inspect *self = arg;
    if (self->held >= 0 && dup2(self->held, STDOUT_FILENO) < 0) {
        return TOOL_UNCHECKED;
    }
    if (self->place->data_file != NULL) {
        inspect_rows(self);
    } else {
        (void)printf("data file  none\n");
    }
    inspect_journal(self);
    if (fflush(stdout) != 0 || ferror(stdout) != 0) {
        return TOOL_UNCHECKED;
    }
    return self->failed ? TOOL_DAMAGED : TOOL_SOUND;
}

/* A look_fn; the number stands for what could not be read, and for how often something was not as
 * it should be. */
static uint64_t look(void *arg, const struct place *place, const char *no_data_file)
{
    (void)no_data_file;
    struct inspect *self = arg;
    *self = (struct inspect){
        .options = self->options, .held = self->held, .place = place, .code = TOOL_UNCHECKED};
    if (self->held >= 0 && (ftruncate(self->held, 0) != 0 || lseek(self->held, 0, SEEK_SET) != 0)) {
        return UINT64_MAX;
    }
    if (guard_run(inspect_all, self, &self->code, self->crash, sizeof self->crash)) {
        self->crash[0] = '\0';
        return self->problems * 4 + (uint64_t)self->code;
    }
    return UINT64_MAX;
}

/* Prints what was held back. */
static bool let_go(const struct inspect *self, const struct looks *looks)
{
    char bytes[16384];
    (void)printf("beside     a running store (%s)\n",
                 looks->owner[0] != '\0' ? looks->owner : "its lease does not say whose");
    ssize_t got = lseek(self->held, 0, SEEK_SET);
    while (got >= 0 && (got = read(self->held, bytes, sizeof bytes)) > 0) {
        (void)fwrite(bytes, 1, (size_t)got, stdout);
    }
    return got == 0;
}

/* Says why there is less than was asked for. */
static enum tool_exit complain(struct summary *summary, enum tool_exit code, const char *why)
{
    (void)fprintf(stderr, "satchel-store: %s\n", why);
    summary_fail(summary, why);
    return code;
}

/* The last look counts. */
static enum tool_exit conclude(const struct inspect *inspect, const struct looks *looks,
                               const char *dir, struct summary *summary)
{
    char why[300];
    if (inspect->crash[0] != '\0') {
        (void)snprintf(why, sizeof why, "LMDB crashed on the data file (%s)", inspect->crash);
        return complain(summary, TOOL_DAMAGED, why);
    }
    if (inspect->code == TOOL_UNCHECKED) {
        return complain(summary, TOOL_UNCHECKED, "cannot write what it says");
    }
    summary_set(summary,
                json_pack("{s:s, s:b, s:s, s:I, s:I, s:I, s:I, s:I}", "dir", dir, "beside",
                          looks->is_beside, "owner", looks->owner, "looks",
                          (json_int_t)looks->count, "segments", (json_int_t)inspect->segments,
                          "frames", (json_int_t)inspect->frames_total, "last_lsn",
                          (json_int_t)inspect->last_lsn, "problems",
                          (json_int_t)inspect->problems));
    return (enum tool_exit)inspect->code;
}

/* Nobody uses it: what is there is printed as it is read. */
static enum tool_exit inspect_at_rest(struct inspect *inspect, const struct place *place,
                                      struct summary *summary)
{
    const struct looks once = {.count = 1};
    (void)look(inspect, place, "");
    if (place_change(place) != PLACE_AT_REST) {
        return complain(summary, TOOL_UNCHECKED,
                        "a store began to use the directory meanwhile; look again");
    }
    return conclude(inspect, &once, place->dir, summary);
}

static enum tool_exit inspect_beside(struct inspect *inspect, const struct place *place,
                                     struct summary *summary)
{
    struct looks looks;
    char errmsg[600] = "no memory to hold what it says";
    inspect->held = memfd_create("inspect", MFD_CLOEXEC);
    enum status status = inspect->held < 0
                             ? STATUS_NO_MEMORY
                             : looks_take(&looks, place->dir, look, inspect, errmsg, sizeof errmsg);
    enum tool_exit code = TOOL_UNCHECKED;
    guard_show(NULL, 0);
    if (status != STATUS_OK || !let_go(inspect, &looks)) {
        code = complain(summary, TOOL_UNCHECKED, errmsg);
    } else {
        code = conclude(inspect, &looks, place->dir, summary);
    }
    if (inspect->held >= 0) {
        (void)close(inspect->held);
    }
    return code;
}

enum tool_exit tool_inspect(const struct tool_options *options, struct summary *summary)
{
    struct place place;
    char errmsg[600] = "";
    enum tool_exit code = TOOL_UNCHECKED;
    struct inspect *inspect = guard_memory(sizeof *inspect); /* what the child has counted */
    enum status status = place_open(&place, options->dir, errmsg, sizeof errmsg);
    if (inspect == NULL) {
        code = complain(summary, TOOL_UNCHECKED, "out of memory");
    } else if (status != STATUS_OK) {
        code = complain(summary, TOOL_UNCHECKED, errmsg);
    } else {
        *inspect = (struct inspect){.options = options, .held = -1};
        code = place.is_used ? inspect_beside(inspect, &place, summary)
                             : inspect_at_rest(inspect, &place, summary);
    }
    place_close(&place);
    return code;
}
