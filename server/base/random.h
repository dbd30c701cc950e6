/* Random bytes from the kernel, for seeds, ids and jitter. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/** Fills `out` from getrandom(2); ends the process if the kernel has none to give. Any thread. */
void random_bytes(void *out, size_t len);

/** One random number. Any thread. */
uint64_t random_u64(void);
