/*
 * What a program wrote and has not made durable: after a failed sync, or the end of the machine, it
 * is as if it had never been written. In fault_io.c's process; any thread.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/** To be called before `len` bytes at `offset` of `fd` are written: keeps what is there. */
void unsynced_remember(int fd, off_t offset, size_t len);

/** `fd` is closed: what was written to it stays, which is the kind case. */
void unsynced_close(int fd);

/** A sync of the file succeeded: what was written to it stays, by whichever descriptor. */
void unsynced_forget(int fd);

/** A sync of the file failed: what was there before is there again. The file keeps its length. */
void unsynced_lose(int fd);

/** The same for all files, at the end of the process. */
void unsynced_lose_all(void);
