/*
 * The processes that serve a data directory one after the other, how each of them ends, and what
 * they differ in. Both are drawn from the seed. Main thread only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "support/server.h"

#define LIVES_ENDINGS(X)                                                                           \
    X(KILL, "killed")                                                                              \
    X(KILL_STARTS, "killed, and killed while starting")                                            \
    X(TAKE_OVER, "killed, and followed by a standby")                                              \
    X(STOP, "stopped in order")                                                                    \
    X(PAUSE, "paused beyond the lease, and followed by a standby")

enum ending {
#define X(name, text) END_##name,
    LIVES_ENDINGS(X)
#undef X
        ENDINGS
};

enum { LIVES_PATH_BYTES = 160 };

struct lives {
    const char *binary; /* borrowed */
    const char *disk;   /* borrowed: a library to preload; NULL: none */
    uint64_t random;

    char directory[64]; /* everything is in it */
    char data[LIVES_PATH_BYTES];
    char places[2][LIVES_PATH_BYTES];
    struct server servers[2]; /* the one that serves, and its standby; they take turns */
    enum ending endings[2];   /* how each will end */
    unsigned serving;         /* which one serves */
    unsigned started;         /* so many plans were used */

    unsigned fast_in_64;   /* what clients are to do now: see struct stage_run */
    unsigned padding_most; /* likewise */

    bool broke;              /* there is nothing to go on with; why was printed */
    uint64_t gone;           /* a store that did not serve again */
    uint64_t ended[ENDINGS]; /* how many ended so */
};

/** Makes the directories; `binary`, `disk` and `random` are set. Ends the test when it cannot. */
void lives_init(struct lives *self);

/** Kills what is left; with `keep` false the directories go as well. */
void lives_close(struct lives *self, bool keep);

/** A process begins to serve a new directory. Like all below: false when it broke. */
bool lives_begin(struct lives *self);

/** The one that serves. */
const struct server *lives_server(const struct lives *self);

/** True when the one that serves is to be killed at a moment of its clients' choice. */
bool lives_is_to_be_killed(const struct lives *self);

/** Starts a standby if the one that serves is to be followed by one. */
void lives_prepare(struct lives *self);

/** Ends the one that serves, in its way; `was_killed`: it was killed before. */
bool lives_end(struct lives *self, bool was_killed);

/** Has another one serve. */
bool lives_follow(struct lives *self);
