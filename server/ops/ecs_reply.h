/*
 * What the agent of ECS answers, as JSON: about the task (task metadata, version 4) and about its
 * protection. Pure functions. The forms are those of the Amazon ECS Developer Guide, "Task metadata
 * endpoint version 4" and "Task scale-in protection endpoint".
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "base/status.h"

enum { ECS_TEXT_BYTES = 256 };

/* Who this task is. Each text is "" when it is not known, or has other characters than letters,
 * digits and -_.:/ */
struct ecs_task {
    char task[ECS_TEXT_BYTES]; /* the id: what follows the last "/" of its ARN */
    char arn[ECS_TEXT_BYTES];
    char family[ECS_TEXT_BYTES];
    char revision[ECS_TEXT_BYTES];
    char cluster[ECS_TEXT_BYTES]; /* its name, also when ECS gives its ARN */
    char zone[ECS_TEXT_BYTES];    /* availability zone */
};

/** Reads the answer to GET …/task. OK: there is a task id at least; CORRUPT: it is not such an
 *  answer, and `*out` is empty. */
enum status ecs_reply_task(struct view json, struct ecs_task *out) MUST_CHECK;

/** Whether the answer to PUT …/state says that protection is now as `wanted`; otherwise `why` holds
 *  one line: the agent's own reason where it gives one. */
bool ecs_reply_protects(struct view json, bool wanted, char *why, size_t why_bytes);
