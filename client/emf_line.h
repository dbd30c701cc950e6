/*
 * Lines of the Embedded Metric Format. What is the same in all lines of an emitter is its frame,
 * made once:
 *
 *     {"_aws":{"Timestamp":1700000000000,"LogGroupName":"…","CloudWatchMetrics":[{"Namespace":"…",
 *              └──────── the line's ────┘└──────────────────── frame.head ──────────────────────
 *      "Dimensions":[["ServiceName"]],"Metrics":[{"Name":"Latency","Unit":"Milliseconds"}]}]}
 *     ────────────────────────────────────────┘└───── line.definitions ─────────────────┘
 *      ,"ServiceName":"shop","Latency":{…}}\n
 *      └─── frame.members ──┘└ line.values ┘
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"
#include "client/emf_settings.h"

struct emf_frame {
    struct buf head;
    struct buf members;
    bool is_high_resolution;
};

/** OK; TOO_LARGE: over SATCHEL_EMF_FRAME_BYTES_MAX; NO_MEMORY. On failure nothing is held. */
enum status emf_frame_init(struct emf_frame *self, const struct emf_settings *settings) MUST_CHECK;

void emf_frame_free(struct emf_frame *self);

/* One line in the making; one thread at a time. */
struct emf_line {
    const struct emf_frame *frame; /* borrowed */
    struct buf definitions;
    struct buf values;
    size_t metric_count;
};

/** How many bytes a value may have that goes into an empty line beside the definition of a metric
 *  with this name and unit. */
size_t emf_line_room(const struct emf_frame *frame, const char *name, const char *unit);

/** Adds a metric whose value is the JSON `value`. OK; TOO_LARGE: it does not fit, and the line is
 *  as it was; NO_MEMORY. */
enum status emf_line_add(struct emf_line *self, const char *name, const char *unit,
                         struct view value) MUST_CHECK;

/** Adds a property; as above. */
enum status emf_line_add_property(struct emf_line *self, const char *name,
                                  const char *value) MUST_CHECK;

/** Appends the whole line with its line feed to `out` and empties it for the next one. OK or
 *  NO_MEMORY. */
enum status emf_line_finish(struct emf_line *self, int64_t wall_ms, struct buf *out) MUST_CHECK;

void emf_line_free(struct emf_line *self);
