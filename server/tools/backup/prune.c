/* `satchel backup prune`: deletes what the policy gives up, and says of everything why it stays. */
#include "backup/prune.h"

#include <inttypes.h>
#include <stdio.h>

#include "tools/backup/text.h"
#include "tools/backup/tool.h"

struct prune_options {
    uint64_t keep_count;
    uint64_t keep_ms;
    bool is_dry;
};

/* The policy comes from the same variables as the server's. */
static const struct option_desc prune_descs[] = {
    {.name = "keep",
     .type = OPTION_COUNT,
     .standard = RETENTION_COUNT_STANDARD,
     .unit = "COUNT",
     .help = "So many of the newest good snapshots stay.",
     .offset = offsetof(struct prune_options, keep_count),
     .variable = "SATCHEL_KEEP_SNAPSHOTS"},
    {.name = "keep-for",
     .type = OPTION_TIME_MS,
     .standard = RETENTION_AGE_STANDARD,
     .unit = "TIME",
     .help = "… and all that are younger. Everything stays when both are 0.",
     .offset = offsetof(struct prune_options, keep_ms),
     .variable = "SATCHEL_KEEP_SNAPSHOTS_FOR"},
    {.name = "dry-run",
     .type = OPTION_FLAG,
     .standard = "no",
     .unit = "",
     .help = "Says what would go, and deletes nothing.",
     .offset = offsetof(struct prune_options, is_dry),
     .variable = "SATCHEL_PRUNE_DRY_RUN"},
};

struct pruning {
    struct tool *tool;
    bool is_dry;
    enum prune_stage stage;
    json_t *snapshots; /* owned; NULL: for people */
};

static void on_progress(void *arg, enum prune_stage stage, uint64_t done, uint64_t total)
{
    static const char *const texts[] = {
        [PRUNE_LOOKING] = "looking at the archive", [PRUNE_DELETING] = "deleting objects"};
    struct pruning *self = arg;
    struct progress *progress = &self->tool->progress;
    if (progress->what == NULL || stage != self->stage) {
        progress_begin(progress, texts[stage], PROGRESS_COUNT);
        self->stage = stage;
    }
    progress_show(progress, done, total);
}

static void on_snapshot(void *arg, const struct survey_snapshot *snapshot, const char *stays)
{
    struct pruning *self = arg;
    char name[SNAPSHOT_NAME_BYTES];
    char time[TEXT_BYTES];
    char size[TEXT_BYTES];
    int64_t stored_ms = snapshot->manifest_modified_ms > snapshot->rows_modified_ms
                            ? snapshot->manifest_modified_ms
                            : snapshot->rows_modified_ms;
    uint64_t bytes = snapshot->manifest_bytes + snapshot->rows_bytes;
    snapshot_name(name, &snapshot->id, snapshot->has_manifest ? SNAPSHOT_MANIFEST : SNAPSHOT_ROWS);
    if (self->snapshots != NULL) {
        (void)json_array_append_new(
            self->snapshots, json_pack("{s:s, s:s, s:I, s:b, s:s?}", "object", name, "stored",
                                       text_timestamp(time, stored_ms), "bytes", (json_int_t)bytes,
                                       "stays", stays != NULL, "why", stays));
        return;
    }
    progress_end(&self->tool->progress);
    (void)printf("%s  %s  %9s  %s%s\n", name, text_time(time, stored_ms), text_size(size, bytes),
                 stays != NULL  ? "stays: "
                 : self->is_dry ? "would go"
                                : "goes",
                 stays != NULL ? stays : "");
}

static void print(const struct pruning *self, const struct prune_report *report)
{
    char size[TEXT_BYTES];
    if (report->nothing[0] != '\0') {
        (void)printf("%s: %s\n", report->objects_gone != 0 ? "not all was deleted" : "nothing goes",
                     report->nothing);
    }
    if (report->objects_gone != 0) {
        (void)printf("%s: %" PRIu64 " objects, %s: %" PRIu64 " snapshots, %" PRIu64
                     " slots of the log, %" PRIu64 " rows without a manifest\n",
                     self->is_dry ? "would be deleted" : "deleted", report->objects_gone,
                     text_size(size, report->bytes_gone), report->snapshots_gone,
                     report->slots_gone, report->orphans_gone);
    }
    if (report->uploads_gone + report->holds_gone != 0) {
        (void)printf("%s: %" PRIu64 " uploads that were never completed, %" PRIu64
                     " holds of restores that have died\n",
                     self->is_dry ? "would be ended" : "ended", report->uploads_gone,
                     report->holds_gone);
    }
    if (report->is_useless) {
        return;
    }
    (void)printf("left: %" PRIu64 " snapshots, %s, and the log from slot %" PRIu64 " on\n",
                 report->snapshots_kept, text_size(size, report->bytes_kept), report->keep_seq);
}

static json_t *to_json(const struct pruning *self, const struct prune_report *report)
{
    return json_pack("{s:b, s:O, s:s, s:{s:I, s:I, s:I, s:I, s:I, s:I, s:I}, s:{s:I, s:I, s:I}}",
                     "dry_run", self->is_dry, "snapshots", self->snapshots, "nothing",
                     report->nothing, "deleted", "objects", (json_int_t)report->objects_gone,
                     "bytes", (json_int_t)report->bytes_gone, "snapshots",
                     (json_int_t)report->snapshots_gone, "slots", (json_int_t)report->slots_gone,
                     "orphans", (json_int_t)report->orphans_gone, "uploads",
                     (json_int_t)report->uploads_gone, "holds", (json_int_t)report->holds_gone,
                     "left", "snapshots", (json_int_t)report->snapshots_kept, "bytes",
                     (json_int_t)report->bytes_kept, "from_seq", (json_int_t)report->keep_seq);
}

static enum tool_exit run_prune(struct tool *tool, const void *options)
{
    const struct prune_options *wanted = options;
    struct pruning self = {.tool = tool, .is_dry = wanted->is_dry};
    struct prune_report report;
    enum tool_exit code = tool_open_archive(tool);
    if (code != TOOL_DONE) {
        return code;
    }
    self.snapshots = tool->json ? json_array() : NULL;
    const struct prune_job job = {
        .archive = &tool->archive,
        .place = &tool->place,
        .stop = &tool->stop,
        .policy = {.count = wanted->keep_count, .age_ms = wanted->keep_ms},
        .is_dry = wanted->is_dry,
        .progress = on_progress,
        .snapshot = on_snapshot,
        .arg = &self};
    enum status status = prune_run(&job, &report);
    progress_end(&tool->progress);
    if (status != STATUS_OK) {
        code = tool_fail(tool, TOOL_FAILED, "%s%s", report.text,
                         report.objects_gone != 0 ? "; what was deleted before that is gone, and "
                                                    "what is left is whole"
                                                  : "");
    } else if (tool->json) {
        tool_print_json(tool, to_json(&self, &report));
    } else {
        print(&self, &report);
    }
    json_decref(self.snapshots);
    return status == STATUS_OK && report.is_useless ? TOOL_DAMAGED : code;
}

const struct tool_command prune_command = {
    .words = "backup prune",
    .synopsis = "[s3://BUCKET/PREFIX] [--keep COUNT] [--keep-for TIME] [--dry-run]",
    .summary = "deletes old snapshots, and what of the log only they need",
    .details =
        "A snapshot stays when it is one of the newest, or young, or the latest state is restored\n"
        "from it; the log stays from the oldest of these on. A restore that is running keeps\n"
        "everything. When no good snapshot would be left, nothing is deleted. A server with\n"
        "--keep-snapshots does the same by itself.\n",
    .has_place = true,
    .descs = prune_descs,
    .desc_count = sizeof prune_descs / sizeof prune_descs[0],
    .options_bytes = sizeof(struct prune_options),
    .run = run_prune,
};
