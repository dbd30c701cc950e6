/* What verify found, for people. */
#include <inttypes.h>
#include <stdio.h>

#include "tools/report.h"

static void print_data_file(const struct report *self)
{
    (void)printf("data file  %s/%s, %" PRIu64 " bytes\n", self->dir, self->data_file,
                 self->data_bytes);
    (void)printf("  pages    %" PRIu64 " in the tree (%" PRIu64 " levels), %" PRIu64
                 " free, %" PRIu64 " lost; of %" PRIu64 " bytes; transaction %" PRIu64 "\n",
                 self->pages.tree, self->pages.depth, self->pages.free, self->pages.lost,
                 self->pages.page_bytes, self->pages.txnid);
    if (self->has_meta) {
        const struct rows_meta *meta = &self->meta;
        (void)printf("  meta     epoch %" PRIu64 ", applied lsn %" PRIu64 ", last lsn %" PRIu64
                     ", next row %" PRIu64 "\n",
                     meta->epoch, meta->applied_lsn, meta->last_lsn, meta->next_rowid);
    }
    (void)printf("  rows     %" PRIu64 " whole, %" PRIu64 " bytes of sessions", self->rows,
                 self->row_bytes);
    if (self->rows_after_meta != 0) {
        (void)printf(", %" PRIu64 " of a checkpoint that did not come to its end",
                     self->rows_after_meta);
    }
    (void)printf("\n");
}

static void print_journal(const struct report *self)
{
    uint64_t records = 0;
    for (unsigned type = RECORD_PUT; type < RECORD_TYPES; type++) {
        records += self->records[type];
    }
    (void)printf("journal    %" PRIu64 " segments, %" PRIu64 " bytes", self->segments,
                 self->journal_bytes);
    if (self->segments_unused != 0) {
        (void)printf(" (%" PRIu64 " hold nothing)", self->segments_unused);
    }
    if (self->epochs != 0) {
        (void)printf("; %" PRIu64 " epochs, %" PRIu64 " to %" PRIu64, self->epochs,
                     self->epoch_first, self->epoch_last);
    }
    (void)printf("\n  frames   %" PRIu64 " whole, %" PRIu64 " bytes; torn tail of %" PRIu64
                 " bytes\n  records  %" PRIu64,
                 self->frames, self->frame_bytes, self->torn_bytes, records);
    for (unsigned type = RECORD_PUT; type < RECORD_TYPES; type++) {
        (void)printf("%s %" PRIu64 " %s", type == RECORD_PUT ? ":" : ",", self->records[type],
                     report_record_name((enum record_type)type));
    }
    (void)printf("; last lsn %" PRIu64 "\n", self->last_lsn);
}

static void print_problems(const struct report *self)
{
    for (uint64_t i = 0; i < self->problem_count; i++) {
        const struct problem *problem = &self->problems[i];
        (void)printf("%s %s",
                     problem->harmless ? "damaged, nothing lost:" : "DAMAGED:", problem->what);
        if (problem->file[0] != '\0' && problem->offset >= 0) {
            (void)printf(" [%s at %" PRId64 "]", problem->file, problem->offset);
        } else if (problem->file[0] != '\0') {
            (void)printf(" [%s]", problem->file);
        }
        (void)printf("\n");
    }
    uint64_t all = self->damages + self->harmless;
    if (all > self->problem_count) {
        (void)printf("… and %" PRIu64 " more\n", all - self->problem_count);
    }
}

void report_print(const struct report *self)
{
    if (self->is_beside && self->dir[0] != '\0') {
        (void)printf("beside     a running store (%s), as of change %" PRIu64 "\n",
                     self->owner[0] != '\0' ? self->owner : "its lease does not say whose",
                     self->last_lsn);
    }
    if (self->data_file[0] != '\0') {
        print_data_file(self);
    }
    if (self->dir[0] != '\0') {
        print_journal(self);
    }
    if (self->would_start) {
        (void)printf("recovery   works: %" PRIu64 " live sessions, %" PRIu64 " expired; %" PRIu64
                     " changes from the journal\n",
                     self->rehearsed.live, self->rehearsed.expired, self->rehearsed.replayed);
    }
    print_problems(self);
    switch (report_exit(self)) {
    case TOOL_SOUND:
        (void)printf("sound%s\n", self->is_new ? ": a new store, nothing in it yet" : "");
        break;
    case TOOL_DAMAGED:
        (void)printf("damaged: %" PRIu64 " problems, and %" PRIu64 " where nothing is lost; a "
                     "store %s start\n",
                     self->damages, self->harmless, self->would_start ? "would" : "would not");
        break;
    default:
        break;
    }
    if (self->unchecked[0] != '\0') {
        (void)fflush(stdout);
        (void)fprintf(stderr, "satchel-store: %s\n", self->unchecked);
    }
}
