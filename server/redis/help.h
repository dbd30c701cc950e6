/* The HELP of containers. */
#pragma once

#include "redis/call.h"

/** Answers with what is said of every container's subcommands, and these lines of them. */
void redis_help(const struct redis_call *call, const char *container, const char *const *lines,
                size_t count);

/** Answers for a subcommand that takes fewer arguments than it got, where Redis does not speak of
 *  their number alone. */
void redis_wrong_subcommand(const struct redis_call *call);
