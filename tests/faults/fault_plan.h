/*
 * Which call of a satcheld fails, and how: a page of memory that the test and the library preloaded
 * into satcheld (fault_io.c) share, because a file is mapped into both. The file is named by the
 * environment variable FAULT_PLAN.
 *
 * Calls on files below the data directory, and on that directory, are numbered from 1 in the order
 * in which they are made, whatever thread makes them. What the number stands for differs a little
 * from run to run, so the library chooses the fault when it sees the call, and says what it did.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* What a call does; each kind has its own list of faults. */
#define FAULT_KINDS(X)                                                                             \
    X(OPEN, "open")                                                                                \
    X(CREATE, "open O_CREAT")                                                                      \
    X(CLOSE, "close")                                                                              \
    X(READ, "read")                                                                                \
    X(WRITE, "write")                                                                              \
    X(META, "write of meta")                                                                       \
    X(SEEK, "lseek")                                                                               \
    X(SYNC, "fsync")                                                                               \
    X(TRUNCATE, "ftruncate")                                                                       \
    X(LOCK, "fcntl lock")                                                                          \
    X(MAP, "mmap")                                                                                 \
    X(STAT, "stat")                                                                                \
    X(RENAME, "rename")                                                                            \
    X(UNLINK, "unlink")                                                                            \
    X(MKDIR, "mkdir")                                                                              \
    X(OPENDIR, "opendir")                                                                          \
    X(READDIR, "readdir")                                                                          \
    X(RESOLVE, "realpath")

enum fault_kind {
#define X(name, text) FAULT_##name,
    FAULT_KINDS(X)
#undef X
        FAULT_KIND_COUNT
};

enum fault_how {
    FAULT_ONCE,    /* this call fails, and nothing of it happens */
    FAULT_SHORT,   /* half of it happens, and the call says so */
    FAULT_A_WHILE, /* this call, and every other that can give the same error for FAULT_WHILE_MS */
};

enum { FAULT_WHILE_MS = 250, FAULT_PATH_BYTES = 256, FAULT_CALLS_MAX = 8192 };

struct fault_plan {
    /* Set by the test. */
    char below[FAULT_PATH_BYTES]; /* the data directory's path */
    uint32_t at;                  /* the number of the call that fails; 0: none */
    uint32_t choice;              /* which fault of the call's list, modulo its length */

    /* Set by the library; to be read when satcheld has ended. */
    _Atomic uint32_t calls;
    _Atomic uint8_t kinds[FAULT_CALLS_MAX]; /* of calls 1, 2, 3 … */
    _Atomic bool happened;
    uint32_t choices; /* the length of the call's list */
    enum fault_kind kind;
    enum fault_how how;
    int error; /* 0: FAULT_SHORT */
    char path[FAULT_PATH_BYTES];
};
