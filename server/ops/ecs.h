/*
 * What Amazon ECS tells a task, and what it is asked: who am I (task metadata endpoint, version 4),
 * and please do not stop me while I own the store (task protection).
 *
 * ECS puts the agent's address into each container's environment; where it is not there, there is
 * no ECS and nothing happens. Everything here is optional: an agent that is away, hangs, answers
 * nonsense or refuses costs one log line and nothing else, and nobody ever waits for it.
 *
 *     metadata    asked for at the start, a few times if need be; then known for good, or never
 *     protection  ecs_protect() ─▶ PUT, expires after 60 min ─every 30 min─▶ PUT … ─▶ ecs_stop():
 *                 withdrawn. A process that dies cannot withdraw it; then it expires.
 *
 * A protected task is not chosen by scale-in and survives the old side of a rolling deployment
 * until its protection ends. It does not keep anybody from stopping the task by name.
 *
 * Main thread only, on the event base it is given.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/metric.h"
#include "base/option.h"
#include "base/status.h"
#include "ops/ecs_reply.h"

#define ECS_METRICS(X)                                                                             \
    X(gauge, protected, "satchel_ecs_task_protected", "",                                          \
      "1 while ECS has confirmed that this task is protected from scale-in.")                      \
    X(counter, calls_ok, "satchel_ecs_calls_total", "result=\"ok\"",                               \
      "Calls of the ECS agent for metadata and task protection.")                                  \
    X(counter, calls_failed, "satchel_ecs_calls_total", "result=\"failed\"",                       \
      "Calls of the ECS agent for metadata and task protection.")
METRIC_STRUCT(ecs_metrics, ECS_METRICS)
METRIC_TABLE_DECLARE(ecs_metrics)

struct event_base;
struct ecs; /* opaque */

enum ecs_protection { ECS_PROTECTION_AUTO, ECS_PROTECTION_NEVER };

struct ecs_options {
    const char *metadata_url; /* of this container; NULL: there is none */
    const char *agent_url;    /* likewise */
    unsigned protection;      /* enum ecs_protection */
};

extern const struct option_desc ecs_option_descs[];
extern const size_t ecs_option_count;

/* How long things take. */
struct ecs_times {
    int deadline_ms;       /* of one call */
    int stop_ms;           /* of the call that withdraws the protection */
    int metadata_retry_ms; /* doubled after each failure */
    int renew_ms;          /* of a protection that is confirmed */
    int protect_retry_ms;  /* after one that is not */
};

/* What a server uses; tests have shorter ones. */
extern const struct ecs_times ecs_times_standard;

struct ecs_events {
    /* The metadata are there: once, from the base. `task` lives until ecs_stop(). NULL: nobody
     * wants to know. */
    void (*found)(void *arg, const struct ecs_task *task);
    void *arg; /* borrowed */
};

/**
 * Asks for the metadata. Returns at once: OK; or NO_MEMORY. `*out` is NULL, which all functions
 * below take, when the environment names no agent. `base`, `times` and the texts of `options` are
 * borrowed until ecs_stop(), which the caller owes.
 */
enum status ecs_start(const struct ecs_options *options, const struct ecs_times *times,
                      struct event_base *base, const struct ecs_events *events,
                      struct ecs **out) MUST_CHECK;

/** Adds the metrics; the registry must not be read after ecs_stop(). */
enum status ecs_register_metrics(struct ecs *self, struct metric_registry *registry) MUST_CHECK;

/** Who this task is, so far as it is known; never NULL. Valid until ecs_stop(). */
const struct ecs_task *ecs_task(const struct ecs *self);

/** Asks ECS not to stop this task from now on, unless --task-protection never. The second time it
 *  does nothing. */
void ecs_protect(struct ecs *self);

/** Withdraws the protection, if it was asked for, and waits for the answer up to times->stop_ms;
 *  nothing else on the event base runs meanwhile. Frees everything; NULL is fine. */
void ecs_stop(struct ecs *self);
