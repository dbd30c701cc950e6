#include "load/values.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "load/splitmix.h"

/* A pool of this many beginnings: values that follow each other share no bytes at one place. */
enum { BEGINNINGS = 64 * 1024 };

static const char JSON_HEAD[] = "{\"key\":\"0000000000000000\",\"gen\":\"0000000000000000\","
                                "\"data\":\"";
static const char JSON_TAIL[] = "\"}";

enum {
    PLAIN_HEAD_BYTES = 16,
    JSON_HEAD_BYTES = sizeof JSON_HEAD - 1,
    JSON_TAIL_BYTES = sizeof JSON_TAIL - 1,
    JSON_KEY_AT = 8,
    JSON_GENERATION_AT = 33,
    HEX_DIGITS = 16,
};

_Static_assert(JSON_HEAD_BYTES + JSON_TAIL_BYTES == VALUE_JSON_BYTES_MIN, "what values.h says");

/* Length and place in the pool of one value. */
struct recipe {
    size_t bytes;
    const uint8_t *filler;
};

static struct recipe recipe_for(const struct values *self, uint64_t key, uint64_t generation)
{
    const struct value_shape *shape = &self->shape;
    uint64_t word = splitmix_mix(splitmix_mix(key + 1) + generation);
    return (struct recipe){
        .bytes = shape->bytes_min +
                 splitmix_scale(word, (uint64_t)shape->bytes_max - shape->bytes_min + 1),
        .filler = self->pool + word % BEGINNINGS,
    };
}

enum status values_init(struct values *self, struct value_shape shape)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    size_t pool_bytes = BEGINNINGS + (size_t)shape.bytes_max;
    struct splitmix random = {.state = 1};
    assert(shape.bytes_min >= (shape.json ? VALUE_JSON_BYTES_MIN : VALUE_PLAIN_BYTES_MIN));
    assert(shape.bytes_min <= shape.bytes_max);
    *self = (struct values){.shape = shape, .pool = malloc(pool_bytes)};
    if (self->pool == NULL) {
        return STATUS_NO_MEMORY;
    }
    for (size_t i = 0; i < pool_bytes; i++) {
        uint64_t word = splitmix_next(&random);
        self->pool[i] = shape.json ? (uint8_t)letters[word % (sizeof letters - 1)] : (uint8_t)word;
    }
    return STATUS_OK;
}

void values_free(struct values *self)
{
    free(self->pool);
    self->pool = NULL;
}

static void put_hex(uint8_t *to, uint64_t number)
{
    for (unsigned at = HEX_DIGITS; at-- > 0; number >>= 4) {
        to[at] = (uint8_t) "0123456789abcdef"[number & 15];
    }
}

static bool take_hex(const uint8_t *from, uint64_t *number)
{
    *number = 0;
    for (unsigned at = 0; at < HEX_DIGITS; at++) {
        uint8_t c = from[at];
        bool is_digit = c >= '0' && c <= '9';
        if (!is_digit && (c < 'a' || c > 'f')) {
            return false;
        }
        *number = *number << 4 | (uint64_t)(is_digit ? c - '0' : c - 'a' + 10);
    }
    return true;
}

/* Writes what stands before the filler; returns its length. */
static size_t put_head(bool json, uint64_t key, uint64_t generation, uint8_t *to)
{
    if (!json) {
        store_u64(to, key);
        store_u64(to + 8, generation);
        return PLAIN_HEAD_BYTES;
    }
    memcpy(to, JSON_HEAD, JSON_HEAD_BYTES);
    put_hex(to + JSON_KEY_AT, key);
    put_hex(to + JSON_GENERATION_AT, generation);
    return JSON_HEAD_BYTES;
}

/* Reads the two numbers; false when they are not there. */
static bool take_head(bool json, struct view value, uint64_t *key, uint64_t *generation)
{
    if (value.len < (json ? (size_t)VALUE_JSON_BYTES_MIN : (size_t)VALUE_PLAIN_BYTES_MIN)) {
        return false;
    }
    if (json) {
        return take_hex(value.ptr + JSON_KEY_AT, key) &&
               take_hex(value.ptr + JSON_GENERATION_AT, generation);
    }
    *key = load_u64(value.ptr);
    *generation = load_u64(value.ptr + 8);
    return true;
}

size_t values_make(const struct values *self, uint64_t key, uint64_t generation, uint8_t *to)
{
    bool json = self->shape.json;
    struct recipe recipe = recipe_for(self, key, generation);
    size_t head = put_head(json, key, generation, to);
    size_t tail = json ? (size_t)JSON_TAIL_BYTES : 0;
    memcpy(to + head, recipe.filler, recipe.bytes - head - tail);
    memcpy(to + recipe.bytes - tail, JSON_TAIL, tail);
    return recipe.bytes;
}

enum value_verdict values_check(const struct values *self, uint64_t key, struct view value,
                                uint64_t *generation)
{
    bool json = self->shape.json;
    uint64_t key_there;
    uint64_t generation_there;
    if (!take_head(json, value, &key_there, &generation_there)) {
        return VALUE_DAMAGED;
    }
    if (key_there != key) {
        return VALUE_OTHER_KEY;
    }
    struct recipe recipe = recipe_for(self, key, generation_there);
    uint8_t expected[JSON_HEAD_BYTES];
    size_t head = put_head(json, key, generation_there, expected);
    size_t tail = json ? (size_t)JSON_TAIL_BYTES : 0;
    if (value.len != recipe.bytes || memcmp(value.ptr, expected, head) != 0 ||
        memcmp(value.ptr + head, recipe.filler, value.len - head - tail) != 0 ||
        memcmp(value.ptr + value.len - tail, JSON_TAIL, tail) != 0) {
        return VALUE_DAMAGED;
    }
    *generation = generation_there;
    return VALUE_GOOD;
}
