/* The process itself, by the names that Prometheus users know from other programs. */
#pragma once

#include "base/metric.h"

/**
 * Visits processor time, memory, file descriptors and start time of this process, and the version
 * of Satchel. Reads /proc, nothing else; what cannot be read there is left out. Any thread.
 */
void process_visit(metric_visit_fn visit, void *arg);
