/* All commands in one table, found by a hash of their names. */
#include "redis/command.h"

#include <assert.h>
#include <pthread.h>

#include "base/hash.h"
#include "redis/clients.h"
#include "redis/config.h"
#include "redis/connection.h"
#include "redis/counters.h"
#include "redis/databases.h"
#include "redis/expire.h"
#include "redis/extra.h"
#include "redis/hashes.h"
#include "redis/info.h"
#include "redis/introspection.h"
#include "redis/keys.h"
#include "redis/multi.h"
#include "redis/object.h"
#include "redis/pubsub.h"
#include "redis/ranges.h"
#include "redis/scan.h"
#include "redis/scripts.h"
#include "redis/sets.h"
#include "redis/strings.h"

#define ENTRY(name, handler, arity, flags, first, last, step, since, summary)                      \
    {name, handler, arity, flags, first, last, step, GROUP, since, summary},

/* clang-format off */
static const struct redis_command table[] = {
#define GROUP "string"
    REDIS_STRING_COMMANDS(ENTRY)
    REDIS_RANGE_COMMANDS(ENTRY)
    REDIS_COUNTER_COMMANDS(ENTRY)
#undef GROUP
#define GROUP "generic"
    REDIS_KEY_COMMANDS(ENTRY)
    REDIS_EXPIRE_COMMANDS(ENTRY)
    REDIS_OBJECT_COMMANDS(ENTRY)
    REDIS_SCAN_COMMANDS(ENTRY)
#undef GROUP
#define GROUP "hash"
    REDIS_HASH_COMMANDS(ENTRY)
#undef GROUP
#define GROUP "set"
    REDIS_SET_COMMANDS(ENTRY)
#undef GROUP
#define GROUP "scripting"
    REDIS_SCRIPT_COMMANDS(ENTRY)
#undef GROUP
#define GROUP "server"
    REDIS_MEMORY_COMMANDS(ENTRY)
    REDIS_INFO_COMMANDS(ENTRY)
    REDIS_INTROSPECTION_COMMANDS(ENTRY)
    REDIS_CONFIG_COMMANDS(ENTRY)
    REDIS_DATABASE_COMMANDS(ENTRY)
#undef GROUP
#define GROUP "transactions"
    REDIS_MULTI_COMMANDS(ENTRY)
#undef GROUP
#define GROUP "connection"
    REDIS_CONNECTION_COMMANDS(ENTRY)
    REDIS_CLIENT_COMMANDS(ENTRY)
    REDIS_EXTRA_COMMANDS(ENTRY)
#undef GROUP
#define GROUP "pubsub"
    REDIS_PUBSUB_COMMANDS(ENTRY)
#undef GROUP
#define GROUP "cluster"
    REDIS_CLUSTER_COMMANDS(ENTRY)
#undef GROUP
};
/* clang-format on */

const struct redis_command *const redis_commands = table;
const size_t redis_command_count = sizeof table / sizeof table[0];

enum {
    NAME_BYTES_MAX = 32,
    SLOTS = 1024, /* a power of two, far above the number of commands */
};

static uint16_t slots[SLOTS]; /* index into the table + 1; 0: none */
static pthread_once_t slots_once = PTHREAD_ONCE_INIT;

static void fill_slots(void)
{
    static_assert(sizeof table / sizeof table[0] < SLOTS / 2, "the slots have room");
    for (size_t i = 0; i < redis_command_count; i++) {
        struct view name = view_str(table[i].name);
        assert(name.len <= NAME_BYTES_MAX);
        size_t at = hash64(name, 0) & (SLOTS - 1);
        while (slots[at] != 0) {
            at = (at + 1) & (SLOTS - 1);
        }
        slots[at] = (uint16_t)(i + 1);
    }
}

static const struct redis_command *find(struct view lower)
{
    (void)pthread_once(&slots_once, fill_slots);
    for (size_t at = hash64(lower, 0) & (SLOTS - 1); slots[at] != 0; at = (at + 1) & (SLOTS - 1)) {
        const struct redis_command *command = &table[slots[at] - 1];
        if (view_equal(view_str(command->name), lower)) {
            return command;
        }
    }
    return NULL;
}

/* Appends a name in lower case; false: it is longer than any. */
static bool append_lower(char *to, size_t *len, struct view name)
{
    if (name.len > NAME_BYTES_MAX - *len) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];
        to[(*len)++] = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
    }
    return true;
}

const struct redis_command *redis_find_command(struct view name)
{
    char lower[NAME_BYTES_MAX];
    size_t len = 0;
    bool has_bar = name.len > 0 && memchr(name.ptr, '|', name.len) != NULL;
    return !has_bar && append_lower(lower, &len, name) ? find(view_of(lower, len)) : NULL;
}

const struct redis_command *redis_find_subcommand(const struct redis_command *container,
                                                  struct view name)
{
    char lower[NAME_BYTES_MAX];
    size_t len = 0;
    bool fits = append_lower(lower, &len, view_str(container->name)) &&
                append_lower(lower, &len, view_str("|")) && append_lower(lower, &len, name);
    return fits ? find(view_of(lower, len)) : NULL;
}

void redis_container(struct redis_call *call)
{
    (void)call;
    assert(false);
}
