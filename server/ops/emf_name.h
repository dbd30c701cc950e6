/*
 * What a metric is called in CloudWatch. One rule for all, from its name in /metrics:
 *
 *   1. `satchel_` in front goes, `_total` at the end goes.
 *   2. The end tells the unit: `_seconds` goes and means Seconds; `_bytes` stays and means Bytes;
 *      another counter has Count, another gauge None. Of a histogram `_seconds` becomes `_latency`,
 *      in Microseconds.
 *   3. The value of the label `op` is the dimension Op; the values of other labels follow the name.
 *   4. Every word begins in upper case, and nothing stands between them.
 *   5. A name that a property of the line has gets `Metric` behind it.
 *
 *   satchel_requests_total{op="get"}                      Requests (Op=get)             Count
 *   satchel_durable_wait_seconds (histogram)              DurableWaitLatency Microseconds
 *   satchel_backup_snapshot_age_seconds                   BackupSnapshotAge             Seconds
 *   satchel_memory_bytes                                  MemoryBytes                   Bytes
 *   satchel_net_connections_closed_total{reason="peer"}   NetConnectionsClosedPeer      Count
 */
#pragma once

#include <stdbool.h>

#include "base/metric.h"

enum { EMF_NAME_BYTES = 128, EMF_OP_BYTES = 64 }; /* with the terminating zeros */

struct emf_name {
    char text[EMF_NAME_BYTES]; /* ASCII letters and digits */
    char op[EMF_OP_BYTES];     /* "": no dimension Op; printable ASCII */
    const char *unit;          /* a string constant, one of CloudWatch's */
};

/** Fills `out`. False: the row is none for CloudWatch, because its value says nothing (`_info`) or
 *  its name or its op is longer than the limits above. Any thread. */
bool emf_name_of(const struct metric_desc *desc, struct emf_name *out);
