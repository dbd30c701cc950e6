/*
 * What list and verify have in common: the survey of an archive, and its slots as they are read.
 * One thread.
 */
#pragma once

#include "backup/survey.h"
#include "tools/backup/history.h"
#include "tools/backup/tool.h"

struct reading {
    struct tool *tool; /* borrowed */
    struct gather gather;
    struct survey survey;
    struct history history; /* of the slots that were read */
    uint64_t log_from_seq;  /* the first slot that a snapshot needs; UINT64_MAX: there is none */
    int64_t now_ms;         /* by the storage's clock; 0: it does not say */
    bool is_gone;           /* something was deleted while it was looked at */
};

/** Opens the archive and surveys it: all snapshots, and the whole log. DONE; otherwise it was said
 *  why not. To be closed in any case. */
enum tool_exit reading_open(struct reading *self, struct tool *tool) MUST_CHECK;

void reading_close(struct reading *self);

/* Told of each slot as it is read: how many bytes it had, and what is wrong with it, "": nothing.
 */
typedef void (*reading_slot_fn)(void *arg, uint64_t seq, size_t bytes, const char *problem);

/** Reads slots `begin` to before `end` of the survey, behind those that the history has. OK; IO,
 *  AGAIN, NO_MEMORY: gather.errmsg may have a line. `each` may be NULL. */
enum status reading_slots(struct reading *self, size_t begin, size_t end, reading_slot_fn each,
                          void *arg) MUST_CHECK;

/** Says why reading failed, and returns the exit code. */
enum tool_exit reading_failed(struct reading *self, enum status status);
