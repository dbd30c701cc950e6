/* What main.c, stopping.c and health.c share: the one server of this process. Main thread only, but
 * for what the events of other threads need, which is set before these threads start. */
#pragma once

#include <stdint.h>

#include "base/metric.h"
#include "settings.h"

enum { EXIT_FORCED = 4 }; /* and EXIT_START, EXIT_USAGE, EXIT_STORAGE */

struct event;
struct event_base;

struct server {
    struct settings settings;
    struct metric_registry registry;
    struct event_base *base; /* owned, as all below */
    struct event *owned;     /* the lease's thread writes owned_fd */
    struct event *restored;  /* the restorer's thread writes restored_fd */
    struct event *ready;     /* the store's keeper writes ready_fd */
    struct event *sweep;
    struct event *drained;
    struct event *signals[4];
    int owned_fd;
    int restored_fd;
    int ready_fd;
    struct lease *lease;
    struct restorer *restorer; /* NULL: nothing is being restored */
    struct backup *backup;     /* NULL: there are no backups */
    struct store *store;       /* NULL: not the owner, or not yet */
    struct serve *serve;
    struct net *net;
    struct ops *ops;
    struct emf *emf;       /* NULL: nothing is sent to CloudWatch */
    struct statsd *statsd; /* NULL: no metrics are pushed there */
    struct ecs *ecs;       /* NULL: not on ECS */
    int64_t start_ns;
    int64_t drain_start_ns;         /* 0: not stopping */
    int64_t exit_snapshot_start_ns; /* 0: it is not the time for the last snapshot yet */
    uint64_t exit_snapshot;         /* its number; 0: not asked for yet */
    bool could_not_start;           /* after waiting as standby */
};
