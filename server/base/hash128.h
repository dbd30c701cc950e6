/*
 * XXH3-128, for whole objects that leave this machine. It finds damage; it does not keep out
 * somebody who means to forge.
 *
 * The bytes of a hash are in the canonical, big-endian order: in hex they are what `xxhsum -H2`
 * prints.
 */
#pragma once

#include <stdint.h>

#include "base/bytes.h"

enum { HASH128_BYTES = 16 };

/** XXH3-128 of `bytes`. Any thread. */
void hash128(struct view bytes, uint8_t out[static HASH128_BYTES]);

/* One that is fed piece by piece. One thread at a time. */
struct hash128;

/** A hash of nothing yet; NULL: out of memory. The caller owns it. */
struct hash128 *hash128_new(void);

/** NULL is fine. */
void hash128_free(struct hash128 *self);

void hash128_update(struct hash128 *self, struct view bytes);

/** The hash of everything so far; more may follow. */
void hash128_digest(const struct hash128 *self, uint8_t out[static HASH128_BYTES]);
