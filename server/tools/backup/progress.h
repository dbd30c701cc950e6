/*
 * How far a long command is, on standard error: on a terminal one line that is written again and
 * again, otherwise a line every ten seconds, or none at all when a program reads the result.
 *
 *     reading rows: 1.2 GiB of 3.4 GiB, 35 %, 120 MiB/s, 19 s left
 *
 * One thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum progress_unit { PROGRESS_COUNT, PROGRESS_BYTES };

/* Members are private. */
struct progress {
    bool is_terminal;
    bool is_silent;
    bool is_shown;    /* a line stands on the terminal */
    const char *what; /* borrowed; NULL: nothing has begun */
    enum progress_unit unit;
    int64_t begin_ns;
    int64_t shown_ns;
};

/** `for_program`: only a terminal is told anything. */
void progress_init(struct progress *self, bool for_program);

/** Begins something, and ends what was going on. `what` is borrowed until the end. */
void progress_begin(struct progress *self, const char *what, enum progress_unit unit);

/** `done` of `total` (0: not known) is done. Cheap: may be called for every few bytes. */
void progress_show(struct progress *self, uint64_t done, uint64_t total);

/** Takes the line off the terminal; to be called before anything else is written there. */
void progress_end(struct progress *self);
