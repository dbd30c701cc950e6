/*
 * What the data directory is mounted from, as far as ownership depends on it: the fences need an
 * NFSv4 server that keeps POSIX locks and a client that does not take lost ones again behind our
 * back. Local file systems, where a lock ends with its process, are fine as they are.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* Where the kernel tells about mounts; a test has its own files. */
struct mount_sources {
    const char *mountinfo;          /* proc_pid_mountinfo(5) */
    const char *mountstats;         /* /proc/self/mountstats, of NFS mounts */
    const char *recover_lost_locks; /* the nfs module's parameter: Y or N */
};

/** The kernel's own files. */
extern const struct mount_sources mount_sources_system;

struct mount {
    char type[32];        /* of the file system, "nfs4"; empty when the kernel does not say */
    char point[PATH_MAX]; /* where it is mounted, escaped as the kernel writes it */
    bool is_nfs;
    unsigned nfs_version; /* the major one */
    bool is_soft;         /* calls give up with an error instead of waiting for the server */
    bool has_local_locks; /* the server does not hear of locks */
    bool recovers_locks;  /* the client takes lost locks again and goes on writing */
    uint64_t lease_ms;    /* for which the server keeps our locks; 0: unknown */
};

/** Finds out what `dir`, which exists, is mounted from. What the kernel does not tell stays empty.
 */
void mount_look(const struct mount_sources *sources, const char *dir, struct mount *out);

/** OK, or INVALID: one owner could not be fenced from the next on this mount; `errmsg` says why and
 *  what to mount instead. */
enum status mount_judge(const struct mount *self, const char *dir, char *errmsg,
                        size_t errmsg_bytes) MUST_CHECK;
