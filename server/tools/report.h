/* What verify found. It lies in memory shared with children (guard.h), so it points nowhere. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/pages.h"
#include "store/record.h"
#include "store/rehearsal.h"
#include "store/rows.h"
#include "tools/place.h"
#include "tools/tools.h"

enum { PROBLEMS_MAX = 1000, RECORD_TYPES = RECORD_DELETE + 1 };

struct problem {
    char file[256]; /* name below the directory; "" when it is about all of it */
    int64_t offset; /* in the file; -1: at no place in particular */
    uint64_t lsn;   /* 0: no change in particular */
    uint64_t rowid; /* 0: no row in particular */
    bool harmless;  /* nothing is lost by it */
    char what[400];
};

struct report {
    char dir[4096];
    char data_file[256]; /* its name; "" when there is none */
    uint64_t data_bytes;
    bool is_new; /* the data file is empty or has no meta row: no store ever served from it */
    struct pages_count pages;
    bool has_meta;
    struct rows_meta meta;
    uint64_t rows;
    uint64_t row_bytes;       /* of the images */
    uint64_t rows_after_meta; /* written by a checkpoint that did not come to its end */
    uint64_t last_rowid;      /* looked at; what a child was at when it died */

    uint64_t segments, segments_unused, journal_bytes;
    uint64_t epochs, epoch_first, epoch_last;
    uint64_t frames, frame_bytes;
    uint64_t records[RECORD_TYPES];
    uint64_t torn_bytes;
    uint64_t last_lsn;

    bool would_start; /* recovery succeeds */
    struct rehearsed rehearsed;

    bool is_beside;                /* a store was running meanwhile */
    char owner[PLACE_OWNER_BYTES]; /* which; "" when it is not known */
    unsigned looks;                /* how often all of this was looked at, until it counted */

    char unchecked[600]; /* why something could not be looked at; "" when all was */
    uint64_t damages;    /* problems that are not harmless, also those beyond the list's end */
    uint64_t harmless;
    uint64_t problem_count; /* in the list */
    struct problem problems[PROBLEMS_MAX];
};

/** Copies a problem into the list; beyond PROBLEMS_MAX it is only counted. */
void report_add(struct report *self, const struct problem *problem);

/** Notes why something could not be looked at; the first reason stays. */
void report_unchecked(struct report *self, const char *why);

/** A number that stands for everything that is wrong or could not be looked at, the same for the
 * same findings; 0: nothing. */
uint64_t report_findings(const struct report *self);

/** What the process is to exit with. */
enum tool_exit report_exit(const struct report *self);

/** The name of a record type, as both outputs use it. */
const char *report_record_name(enum record_type type);

/** Prints it on standard output for people. */
void report_print(const struct report *self);

/** The same as an object that the caller owns; without memory it lacks members. */
json_t *report_to_json(const struct report *self);
