/* How an emitter was asked to be: its own copy of struct satchel_emf_options, checked, with the
 * environment and the defaults filled in. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "satchel/emf.h"

enum {
    EMF_INTERVAL_MS = 10000,
    EMF_INTERVAL_MS_LEAST = 100,
    EMF_INTERVAL_MS_MOST = 3600000,
    EMF_CLOSE_MS = 1000,
    EMF_NAMESPACE_BYTES_MAX = 256,
    EMF_DIMENSION_BYTES_MAX = 1024,
    EMF_WHY_BYTES = 160,
};

struct emf_pair {
    char *name;  /* owned */
    char *value; /* owned */
};

enum emf_target_kind { EMF_TARGET_NONE, EMF_TARGET_FD, EMF_TARGET_AGENT };

struct emf_settings {
    char *name_space;      /* owned */
    char *log_group_name;  /* owned; NULL: not for an agent */
    char *log_stream_name; /* owned; NULL: none */
    struct emf_pair dimensions[SATCHEL_EMF_DIMENSIONS_MAX];
    size_t dimension_count;
    struct emf_pair properties[SATCHEL_EMF_PROPERTIES_MAX + 1]; /* and ServiceType */
    size_t property_count;
    enum emf_target_kind target;
    int fd;     /* borrowed; of EMF_TARGET_FD */
    char *host; /* owned; of EMF_TARGET_AGENT, as is `port` */
    char *port; /* decimal digits */
    uint64_t interval_ms;
    uint64_t close_ms;
    bool is_high_resolution;
};

/**
 * OK; BAD_REQUEST or TOO_LARGE with one line in `why`; NO_MEMORY. On failure nothing is held.
 * `environ_get` is getenv or a test's own.
 */
enum satchel_status emf_settings_init(struct emf_settings *self,
                                      const struct satchel_emf_options *options,
                                      char *(*environ_get)(const char *), char why[EMF_WHY_BYTES]);

void emf_settings_free(struct emf_settings *self);

/** Whether a metric, dimension or property may be called that. */
bool emf_is_name(const char *name);

/** CloudWatch's own constant for this unit (NULL: "None"), or NULL when it knows no such unit. */
const char *emf_unit(const char *unit);

/** Whether a dimension or property of the emitter, or "_aws", is called that. */
bool emf_settings_has(const struct emf_settings *self, const char *name);
