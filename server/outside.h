/* What tells the outside about this server: ECS, the ops address, CloudWatch, StatsD. */
#pragma once

#include <stddef.h>

#include "base/status.h"

struct server;

/** Starts all of it from the server's base, before it is known whether it owns its directory. OK;
 *  or what failed with one line in `errmsg`; outside_stop() is then owed as well. Main thread. */
enum status outside_start(struct server *self, char *errmsg, size_t errmsg_bytes) MUST_CHECK;

/** Ends all of it but the word with ECS: whoever stops the server withdraws the task's protection
 *  by ecs_stop() at its very end. No worker may be reading metrics any more (STATS), and all that
 *  have some must still be there. What has not been started is fine. Main thread. */
void outside_stop(struct server *self);
