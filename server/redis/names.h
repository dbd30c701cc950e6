/*
 * Keys of Redis and ids of sessions. In database 0 they are the same, so these are the sessions
 * that everybody else sees, too. The keys of database n are ids behind four bytes that no text has:
 *
 *     FF 'd' 'b' n   key
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

enum { REDIS_ID_PREFIX_BYTES = 4 };

/** Writes the prefix of a database's ids; returns how long it is: 0 for database 0. */
size_t redis_id_prefix(uint8_t out[static REDIS_ID_PREFIX_BYTES], unsigned db);

/** Tells the database and the key of an id. */
struct view redis_key_of(struct view id, unsigned *db);

/** True when a session of this database can have that key: the id is neither empty nor too long,
 *  and a key of database 0 does not look like one of another. */
bool redis_key_is_possible(struct view key, unsigned db);
