/* Commands that Redis does not have. */
#pragma once

#include "redis/call.h"

/* clang-format off */
#define REDIS_EXTRA_COMMANDS(C)                                                                    \
    C("satchel.ack", redis_satchel_ack, -1, REDIS_NOSCRIPT | REDIS_LOADING | REDIS_STALE | REDIS_FAST, \
      0, 0, 0, "7.2.0", "Tell or set when this connection's changes are answered: durable or fast")
/* clang-format on */
REDIS_EXTRA_COMMANDS(REDIS_COMMAND_DECLARE)
