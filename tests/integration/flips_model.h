/*
 * What a store holds that bits are flipped in: sessions of all sizes and kinds, written over
 * several epochs and checkpoints, with a journal behind the last checkpoint; and what each of them
 * has to be afterwards.
 */
#pragma once

#include "support/server.h"

struct flips_model; /* opaque */

struct flips_answers {
    unsigned right;  /* sessions that are as they were acknowledged, absent ones included */
    unsigned stale;  /* 1: only the very last change is missing */
    unsigned wrong;  /* anything else, "not found" included */
    unsigned silent; /* sessions the server did not answer about: it refused, or died */
};

/** Fills a store below `server->directory` and leaves it as a SIGKILL does. Ends the test when that
 *  does not work. The caller frees it. */
struct flips_model *flips_model_fill(struct server *server);

/** How many sessions there are, deleted ones left out. */
unsigned flips_model_live(const struct flips_model *self);

/** Reads all sessions from a running server. */
struct flips_answers flips_model_read(const struct flips_model *self, const char *address);

void flips_model_free(struct flips_model *self);
