/* Patterns as Redis knows them: * ? [a-z] [^a] and \ before what stands for itself. */
#pragma once

#include "base/bytes.h"

enum redis_glob_case { REDIS_GLOB_EXACT, REDIS_GLOB_ANY_CASE };

/** True when the whole text matches. The work is at most the product of both lengths. Any thread.
 */
bool redis_glob_matches(struct view pattern, struct view text, enum redis_glob_case glob_case);
