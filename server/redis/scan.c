/* Walking through a database; see scan.h. */
#include "redis/scan.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/random.h"
#include "redis/call.h"
#include "redis/glob.h"
#include "redis/names.h"

enum {
    SCAN_COUNT = 10,                   /* unless COUNT says otherwise */
    SCAN_COUNT_MAX = 100 * 1000,       /* of one call, whatever COUNT says */
    KEYS_BATCH = 4096,                 /* sessions a look at a shard's lock */
    KEYS_BYTES_MAX = 64 * 1024 * 1024, /* of a reply of KEYS */
    RANDOM_BATCH = 64,
};

/* Which keys are looked for, and those that were found. */
struct search {
    unsigned db;
    bool has_pattern;
    struct view pattern;
    bool has_type;
    struct view type;
    struct buf found; /* owned: length u16 and bytes of each key */
    size_t count;
    bool has_failed; /* no memory, or too many */
};

static void look(void *arg, const struct store_scan_entry *entry)
{
    struct search *self = arg;
    unsigned db = 0;
    struct view key = redis_key_of(entry->id, &db);
    if (db != self->db || self->has_failed ||
        (self->has_pattern && !redis_glob_matches(self->pattern, key, REDIS_GLOB_EXACT)) ||
        (self->has_type && !resp_is_word(self->type, redis_type_name(entry->kind)))) {
        return;
    }
    uint8_t len[sizeof(uint16_t)];
    store_u16(len, (uint16_t)key.len);
    self->has_failed = self->found.len + key.len > KEYS_BYTES_MAX ||
                       buf_append(&self->found, view_of(len, sizeof len)) != STATUS_OK ||
                       buf_append(&self->found, key) != STATUS_OK;
    self->count++;
}

/* Takes the next key off the front of `*found`. */
static struct view take_key(struct view *found)
{
    struct view key = view_of(found->ptr + sizeof(uint16_t), load_u16(found->ptr));
    size_t used = sizeof(uint16_t) + key.len;
    *found = view_of(found->ptr + used, found->len - used);
    return key;
}

static void answer_found(const struct redis_call *call, const struct search *search)
{
    struct view found = buf_view(&search->found);
    resp_array(call->out, search->count);
    while (found.len != 0) {
        resp_bulk(call->out, take_key(&found));
    }
}

/* Goes on from `cursor` for about `count` sessions; returns the cursor to go on with. */
static uint64_t walk(struct redis_call *call, struct search *search, uint64_t cursor,
                     uint64_t count)
{
    uint64_t gate_lsn = 0;
    cursor = store_scan(call->client->worker->redis->store, cursor, count, (struct view){0},
                        call->now_ms, look, search, &gate_lsn);
    redis_wait_for(call, gate_lsn);
    return cursor;
}

/* ---- SCAN ----------------------------------------------------------------------------------- */

/* Reads what follows the cursor; false: an error was answered. */
static bool read_options(const struct redis_call *call, struct search *search, uint64_t *count)
{
    for (size_t arg = 2; arg < call->argc; arg += 2) {
        bool has_value = arg + 1 < call->argc;
        int64_t number = 0;
        if (has_value && redis_arg_is(call, arg, "count")) {
            if (!redis_integer_arg(call, arg + 1, &number)) {
                return false;
            }
            if (number < 1) {
                redis_syntax_error(call);
                return false;
            }
            *count = (uint64_t)(number < SCAN_COUNT_MAX ? number : SCAN_COUNT_MAX);
        } else if (has_value && redis_arg_is(call, arg, "match")) {
            search->has_pattern = true;
            search->pattern = call->argv[arg + 1];
        } else if (has_value && redis_arg_is(call, arg, "type")) {
            search->has_type = true;
            search->type = call->argv[arg + 1];
        } else {
            redis_syntax_error(call);
            return false;
        }
    }
    return true;
}

void redis_scan(struct redis_call *call)
{
    struct search search = {.db = call->client->db};
    uint64_t cursor = 0;
    uint64_t count = SCAN_COUNT;
    if (!redis_cursor_arg(call, 1, &cursor) || !read_options(call, &search, &count)) {
        return;
    }
    cursor = walk(call, &search, cursor, count);
    if (search.has_failed) {
        redis_refuse(call->out, SATCHEL_BUSY);
    } else {
        char text[24];
        (void)snprintf(text, sizeof text, "%" PRIu64, cursor);
        resp_array(call->out, 2);
        resp_bulk_text(call->out, text);
        answer_found(call, &search);
    }
    buf_free(&search.found);
}

/* ---- KEYS and RANDOMKEY --------------------------------------------------------------------- */

void redis_keys(struct redis_call *call)
{
    struct search search = {.db = call->client->db, .has_pattern = true, .pattern = call->argv[1]};
    uint64_t cursor = 0;
    do {
        cursor = walk(call, &search, cursor, KEYS_BATCH);
    } while (cursor != 0 && !search.has_failed);
    if (search.has_failed) {
        resp_error(call->out, "ERR these are too many keys for one reply, use SCAN");
    } else {
        answer_found(call, &search);
    }
    buf_free(&search.found);
}

void redis_randomkey(struct redis_call *call)
{
    struct search search = {.db = call->client->db};
    /* From somewhere to the end, and if nothing was there, once more from the start. */
    uint64_t cursor = store_cursor_anywhere(random_u64());
    bool has_wrapped = false;
    do {
        cursor = walk(call, &search, cursor, RANDOM_BATCH);
        if (cursor == 0 && !has_wrapped && search.count == 0) {
            has_wrapped = true;
            cursor = walk(call, &search, 0, RANDOM_BATCH);
        }
    } while (cursor != 0 && search.count == 0 && !search.has_failed);
    if (search.count == 0 || search.has_failed) {
        resp_null(call->out);
    } else {
        struct view found = buf_view(&search.found);
        for (uint64_t skip = random_u64() % search.count; skip > 0; skip--) {
            (void)take_key(&found);
        }
        resp_bulk(call->out, take_key(&found));
    }
    buf_free(&search.found);
}
