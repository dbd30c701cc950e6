/* What the lease's tests share: a directory, a disk that fails as told, a clock that the test
 * moves, and another process that owns the directory. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "lifecycle/lease.h"
#include "support/fake_disk.h"
#include "support/temp_dir.h"

enum { KIT_LEASE_MS = 80 }; /* on the test's clock; beats come ten times as often, in real time */

struct lease_kit {
    char dir[TEMP_DIR_BYTES];
    struct fake_disk *disk; /* owned */
    struct clock clock;
    _Atomic int64_t mono_ns; /* what the clock says; the test moves it */
    _Atomic int64_t wall_ms;
    struct mount_sources mounts;  /* to be changed before opening; files that are not there */
    struct lease_options options; /* likewise; the lease above, no waiting */
    struct lease *lease;          /* NULL while it is closed */
    struct ownership owner;       /* its answers */
    char errmsg[1024];            /* of opening */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    unsigned acquired; /* events so far */
    unsigned lost;
    char why[512]; /* of the loss */
};

void kit_init(struct lease_kit *self);

/** Closes the lease if it is open and removes the directory. */
void kit_end(struct lease_kit *self);

enum status kit_open(struct lease_kit *self);
enum status kit_close(struct lease_kit *self, bool released);

void kit_advance_ms(struct lease_kit *self, int64_t ms);
void kit_wait_acquired(struct lease_kit *self);
void kit_wait_lost(struct lease_kit *self);

/** Waits until `count` whole heartbeats have come and gone. */
void kit_wait_beats(struct lease_kit *self, unsigned count);

/** Reads DIR/lease, which must hold a record. Drops the lock when this process has it, as any close
 *  does; nobody else may want it then. */
struct lease_record kit_record(const struct lease_kit *self);

/** A moment of a wait that began at `began_ns` of the system's clock; fails after 30 s. */
void kit_pause(int64_t began_ns);

/* ---- Another process ------------------------------------------------------------------------ */

struct other_owner {
    pid_t pid;
    int orders; /* written by the test */
};

enum { OTHER_EPOCH = 7 };

/** Starts a process that owns the directory, with OTHER_EPOCH, and waits until it does. Before the
 *  test has threads. */
struct other_owner other_start(const struct lease_kit *kit);

enum other_end { END_RELEASED, END_UNRELEASED, END_KILLED };

/** Ends it after `delay_ms`, without waiting for that. */
void other_end(const struct other_owner *self, enum other_end how, int delay_ms);

/** Waits until it has ended. */
void other_wait(const struct other_owner *self);
