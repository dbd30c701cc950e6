/* Hashes and checksums: XXH3-64 everywhere (xxHash 0.8, BSD-2; https://xxhash.com). */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

/** XXH3-64 of `bytes` with `seed`. Any thread. */
uint64_t hash64(struct view bytes, uint64_t seed);

/** XXH3-64 of two ranges one after the other, as if they were one. Any thread. */
uint64_t hash64_pair(struct view first, struct view second, uint64_t seed);
