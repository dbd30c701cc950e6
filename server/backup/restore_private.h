/* What the files of the restore share. Nobody else includes it. */
#pragma once

#include "backup/look.h"
#include "backup/restore.h"

struct store_import;
struct apply; /* opaque */

struct apply_job {
    const struct restore_job *job;
    const struct look *look;
    const struct plan *plan;
    struct store_import *import;
    struct restore_report *report;
};

/* How an attempt went. */
struct applied {
    bool is_gone; /* something that was listed is not there any more */
    bool is_off;  /* inside a slot it was otherwise than the headers let expect */
};

/**
 * Puts the plan's snapshot and slots into the import. OK: they make a state that the store has had;
 * CORRUPT: they do not; or what the import, the gather or memory answers. The report's text has a
 * line when it is not OK, or when it ended before the plan did.
 */
enum status apply_plan(const struct apply_job *job, struct applied *out) MUST_CHECK;
