/*
 * The lease: which process owns the data directory, and whether it still does.
 *
 *      lease_open ──lock free──▶ owned ──beat, beat, …──▶ released (lease_close)
 *          │                      │
 *          └─locked──▶ standby ───┘ when the lock is free      │ a beat fails or comes too late
 *                      or refused                              ▼
 *                                                             lost: nothing may be served any more
 *
 * The owner holds a POSIX write lock on DIR/lease for its whole life and rewrites the record in it
 * a few times in each lease time. What fences owners from each other is threefold, because how an
 * NFS server treats the locks of a client that it does not hear from is not ours to choose:
 *
 * 1. The server refuses: every file on the storage is written under this process's lock on that
 *    very file. A client that the server has given up gets EIO for all of them, for good.
 * 2. New files: after an owner that did not release, the next one writes no file of its own
 *    predecessor (store/renew.h).
 * 3. The owner stops itself: a beat that began at t and reached the storage proves that the server
 *    kept our locks at t, so nobody else owns the directory before t + its lease time. After that
 *    this owner acknowledges and serves nothing, whatever it hears.
 *
 * The clock goes on while the machine is suspended (see base/clock.h), and the beats run on a
 * thread of their own: a thread inside a call on a storage that hangs cannot be killed, let alone
 * notice anything.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/metric.h"
#include "base/option.h"
#include "base/ownership.h"
#include "base/status.h"
#include "lifecycle/lease_record.h"
#include "lifecycle/mount.h"

struct lease; /* opaque */

struct lease_options {
    bool wait;         /* as standby, until the owner is gone; otherwise for a short moment only */
    uint64_t lease_ms; /* 0: what the mount's server gives */
};

extern const struct option_desc lease_option_descs[];
extern const size_t lease_option_count;

/* Both on the lease's thread; they must return soon. */
struct lease_events {
    void (*acquired)(void *arg); /* a standby has become the owner */
    /* Nothing may be served or acknowledged any more, and the process has to end. `why` is one
     * line, valid during the call. */
    void (*lost)(void *arg, const char *why);
    void *arg; /* borrowed */
};

struct lease_deps {
    const char *dir;           /* exists; copied */
    const char *address;       /* HOST:PORT for the record; copied; may be NULL */
    const struct clock *clock; /* borrowed for the lease's life, as all below */
    const struct file_ops *file;
    const struct mount_sources *mounts;
    struct lease_events events;
};

/**
 * Takes the lease of a directory. OK: this process owns it. AGAIN: somebody else does, and with
 * options->wait the lease's thread waits until it is free. In both cases the caller owns `*out`
 * until lease_close(). Otherwise `errmsg` holds a line: LOCKED names the owner, INVALID a mount on
 * which owners cannot be fenced; IO, NO_SPACE, NO_MEMORY. Blocks on the storage.
 */
enum status lease_open(const struct lease_options *options, const struct lease_deps *deps,
                       struct lease **out, char *errmsg, size_t errmsg_bytes) MUST_CHECK;

/** The epoch whose owner has released the directory in order: its files may be written by the next
 *  one. 0: there was none, or it never said so. Valid once the lease is owned; any thread. */
uint64_t lease_released_epoch(const struct lease *self);

/** The answers that store and serve ask for; they borrow the lease. */
struct ownership lease_ownership(struct lease *self);

/** Says from now on where the owner can be reached: HOST:PORT. Any thread. */
void lease_set_address(struct lease *self, const char *address);

/** Says from now on which task of ECS the owner runs in; `task` is its id, copied. Any thread. */
void lease_set_task(struct lease *self, const char *task);

/** Time left until the clock runs out unless a beat succeeds, in ms; 0: not owned. Any thread. */
uint64_t lease_left_ms(const struct lease *self);

/** Adds the lease's metrics; the registry must not outlive it. */
enum status lease_register_metrics(struct lease *self, struct metric_registry *registry) MUST_CHECK;

/** One line for people about who owns the directory, as a standby knows it. Any thread. */
void lease_describe_owner(struct lease *self, char *out, size_t out_bytes);

/**
 * Ends the thread and gives the lock up. `released`: everything is in the data file and nothing is
 * under way, which the record then says, durably. Returns what writing that returned; LOCKED: the
 * clock has run out, so nothing was written. The lease is freed in any case. NULL is fine. Blocks
 * on the storage.
 */
enum status lease_close(struct lease *self, bool released);
