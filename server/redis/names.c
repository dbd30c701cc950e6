/* Prefixes of databases. */
#include "redis/names.h"

#include "redis/client.h"
#include "satchel/protocol.h"

static const uint8_t mark[] = {0xFF, 'd', 'b'};

_Static_assert(sizeof mark + 1 == REDIS_ID_PREFIX_BYTES, "the mark and the number");

size_t redis_id_prefix(uint8_t out[static REDIS_ID_PREFIX_BYTES], unsigned db)
{
    if (db == 0) {
        return 0;
    }
    memcpy(out, mark, sizeof mark);
    out[sizeof mark] = (uint8_t)db;
    return REDIS_ID_PREFIX_BYTES;
}

struct view redis_key_of(struct view id, unsigned *db)
{
    *db = 0;
    if (id.len <= REDIS_ID_PREFIX_BYTES || memcmp(id.ptr, mark, sizeof mark) != 0 ||
        id.ptr[sizeof mark] == 0 || id.ptr[sizeof mark] >= REDIS_DATABASES) {
        return id;
    }
    *db = id.ptr[sizeof mark];
    return view_of(id.ptr + REDIS_ID_PREFIX_BYTES, id.len - REDIS_ID_PREFIX_BYTES);
}

bool redis_key_is_possible(struct view key, unsigned db)
{
    unsigned other = 0;
    if (db != 0) {
        return key.len > 0 && key.len <= SATCHEL_ID_BYTES_MAX - REDIS_ID_PREFIX_BYTES;
    }
    (void)redis_key_of(key, &other);
    return key.len > 0 && key.len <= SATCHEL_ID_BYTES_MAX && other == 0;
}
