/* What backup.c and backup_describe.c share. Nobody else includes it. */
#pragma once

#include <stdatomic.h>

#include "backup/backup.h"
#include "backup/feed.h"
#include "backup/shipper.h"
#include "backup/snapshotter.h"

struct backup {
    struct backup_options options; /* immutable, as the next one */
    struct backup_events events;
    struct place place;
    struct store *store; /* borrowed; NULL until it is started */
    struct feed *feed;
    struct feed_metrics feed_metrics;
    struct stop shipper_stop;
    struct stop snapshot_stop;
    struct s3 *shipper_s3; /* owned, as all below */
    struct s3 *snapshot_s3;
    struct shipper *shipper;
    _Atomic(struct snapshotter *) snapshotter;
};
