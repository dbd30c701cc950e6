/*
 * An emitter of metrics, as its three files share it: emf.c opens it and takes values,
 * emf_collect.c makes lines of what came together, emf_event.c makes lines of events.
 *
 * Who touches what: a counter and a gauge are atomics. A distribution has two sets of buckets;
 * those who observe fill `active` under the metric's lock, and the writer's thread, which alone
 * uses `spare`, swaps the two under it and then reads in peace. Metrics are only ever added:
 * `count` is released after a pointer is written and acquired before they are read.
 */
#pragma once

#include <locale.h>
#include <pthread.h>
#include <stdatomic.h>

#include "client/emf_distribution.h"
#include "client/emf_line.h"
#include "client/emf_settings.h"
#include "client/emf_writer.h"

#define EMF_NUMBER_MAX UINT64_C(9007199254740991) /* 2^53 - 1: what JSON numbers hold exactly */
#define EMF_LINES_DROPPED "EmfLinesDropped"
#define EMF_VALUES_REFUSED "EmfValuesRefused"

enum metric_kind { KIND_COUNTER, KIND_GAUGE, KIND_DISTRIBUTION };

struct satchel_emf_metric {
    struct satchel_emf *owner; /* immutable, as are the next three */
    char name[SATCHEL_EMF_NAME_BYTES_MAX + 1];
    const char *unit;
    enum metric_kind kind;
    atomic_uint_fast64_t amount;     /* counter; relaxed, as is the next: it orders nothing */
    _Atomic double value;            /* gauge; NAN: not set yet */
    pthread_mutex_t lock;            /* guards *active and the two pointers */
    struct emf_distribution *active; /* owned; distribution, as is `spare` */
    struct emf_distribution *spare;
};

struct satchel_emf {
    struct emf_settings settings; /* immutable, as are the next three */
    struct emf_frame frame;
    struct emf_writer *writer; /* owned */
    locale_t c_locale;         /* owned; a comma in a number would be no JSON */
    pthread_mutex_t lock;      /* of those who add metrics */
    struct satchel_emf_metric *metrics[SATCHEL_EMF_METRICS_MAX]; /* owned */
    atomic_size_t count;
    atomic_uint_fast64_t values_refused; /* relaxed */
    struct emf_line line;                /* the writer's thread's, as is what follows */
    struct buf text;
    struct buf value;
    uint64_t told_dropped;
    uint64_t told_refused;
};

/* NaN compares false. */
static inline bool emf_is_number(double value)
{
    return value >= -(double)EMF_NUMBER_MAX && value <= (double)EMF_NUMBER_MAX;
}

/** Puts lines with all that came together into the writer's queue. An emf_collect_fn: `arg` is the
 *  emitter, and it runs on the writer's thread. */
void emf_collect(void *arg);
