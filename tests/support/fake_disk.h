/*
 * A disk that fails, hangs, cuts writes short and loses power when a test says so.
 *
 * Its struct file_ops passes every call on to the operating system. Of the files whose names end in
 * ".jnl" it also remembers what is on stable storage, as a careful disk would have it: the bytes
 * that a fdatasync covered, and the names that a fsync of the directory covered. What a crashed
 * machine leaves is written out by fake_disk_survivors(). LMDB does not go through file_ops, so
 * the data file has no place here.
 *
 * All functions may be called from any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/file.h"

enum fake_call {
    FAKE_OPEN,
    FAKE_PREAD,
    FAKE_PWRITE,
    FAKE_FDATASYNC,
    FAKE_FSYNC,
    FAKE_FTRUNCATE,
    FAKE_RENAME,
    FAKE_UNLINK,
    FAKE_LOCK,
    FAKE_CLOSE,
    FAKE_CALLS,
};

struct fake_disk; /* opaque */

/** A new disk without faults; ends the process when memory runs out. */
struct fake_disk *fake_disk_new(void);
void fake_disk_free(struct fake_disk *self);

/** The calls of this disk; borrowed, valid as long as the disk. */
const struct file_ops *fake_disk_ops(struct fake_disk *self);

/** The `nth` (1 = next) call of this kind from now on fails with errno `error` and does nothing. */
void fake_disk_fail(struct fake_disk *self, enum fake_call call, unsigned nth, int error);

/** While full, calls of this kind answer ENOSPC; fdatasync is where NFS says so. */
void fake_disk_fill(struct fake_disk *self, enum fake_call call, bool full);

/** The `nth` pwrite from now on writes half of its bytes and says so. */
void fake_disk_cut_write(struct fake_disk *self, unsigned nth);

/** Makes the disk know the segments that are in a directory already: they are durable. */
void fake_disk_adopt(struct fake_disk *self, const char *dir);

/** How many calls of this kind there were. */
unsigned fake_disk_count(struct fake_disk *self, enum fake_call call);

/** While held, a fdatasync does not return. */
void fake_disk_hold_syncs(struct fake_disk *self, bool held);

/** Each fdatasync that begins from now on takes so long, below a second. */
void fake_disk_delay_syncs(struct fake_disk *self, long ns);

/** How many threads wait in a held or delayed fdatasync now. */
unsigned fake_disk_waiting_syncs(struct fake_disk *self);

/** The power fails in the middle of the `nth` changing call from now on (open that creates, pwrite,
 *  fdatasync, fsync, rename, unlink): that call and all later ones answer EIO. */
void fake_disk_crash_at(struct fake_disk *self, unsigned nth);

/** The power fails now. */
void fake_disk_crash(struct fake_disk *self);

/** True when the power has failed. */
bool fake_disk_is_crashed(struct fake_disk *self);

/**
 * Writes what the crash left into the directory `into`: everything durable, and of what was written
 * but not synced a random part that `seed` decides, in pieces of 512 bytes. A name that was
 * made, changed or removed without a fsync of the directory is there in its old or its new state.
 */
void fake_disk_survivors(struct fake_disk *self, const char *into, uint64_t seed);
