/*
 * Whether this process still owns the directory, as store and serve ask it. The answers come from
 * the lease (lifecycle/lease.h); this struct stands between, so that the store knows nothing of
 * leases and a test can say what it likes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct ownership {
    /* True while this owner's own clock has not run out. Costs a clock reading; any thread. NULL:
     * always. */
    bool (*holds)(void *arg);
    /* Writes to the storage under the lock that this process has held without a gap since it became
     * the owner: when that works, every other lock taken meanwhile is good as well. Blocks on the
     * storage; any thread but the main one and workers. NULL: nothing to do. */
    enum status (*confirm)(void *arg, uint64_t epoch);
    void *arg; /* borrowed */
};

static inline bool ownership_holds(const struct ownership *self)
{
    return self->holds == NULL || self->holds(self->arg);
}

static inline enum status ownership_confirm(const struct ownership *self, uint64_t epoch)
{
    return self->confirm == NULL ? STATUS_OK : self->confirm(self->arg, epoch);
}
