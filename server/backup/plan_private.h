/* One snapshot's way to the target; see plan.h for the words. */
#pragma once

#include "backup/plan.h"

/* What is known of a slot on the way. */
struct plan_mark {
    uint64_t keep_lsn; /* changes of it above are void */
    bool is_void;      /* nothing of its process belongs to the state at the target */
};

struct plan_walk {
    const struct plan_input *input;  /* borrowed */
    const struct manifest *snapshot; /* borrowed */
    struct target target;            /* the input's, or LATEST when that lsn is above everything */
    const uint64_t *high_lsns; /* borrowed; of each slot: the highest lsn in those before it */
    struct plan_mark *marks;   /* borrowed; room for one a slot */
    size_t begin;              /* slots from here … */
    size_t end;                /* … to before here are before the target */
    uint64_t end_seq;          /* the first seq that is not wanted */
    uint64_t archive_end_seq;  /* the first seq of which nothing is known */
    bool has_target;           /* the target is at `end`, not just the end of the archive */
    bool has_lsn;              /* LSN: it is in the last slot before `end` */
    size_t
        peek; /* TIME: the index of a slot that is later, and shows what it follows; or SIZE_MAX */
    size_t beyond;       /* TIME: the index of a fence that is later; or SIZE_MAX */
    uint64_t limit_lsn;  /* of the snapshot: what later processes kept of what came before them */
    size_t step_count;   /* slots from `begin` on that the walk passes */
    enum plan_end ended; /* where the walk ends … */
    uint64_t ended_seq;
    uint64_t last_lsn; /* … and with what */
    uint64_t lost_lsn;
    bool is_doubtful; /* what a later process took over is not in the slots of the input */
};

/** Fills everything from begin on for `snapshot`; input, high_lsns, marks and archive_end_seq are
 * set. NULL: the snapshot is usable, or a string constant that says why it is not. */
const char *plan_walk(struct plan_walk *self, const struct manifest *snapshot);
