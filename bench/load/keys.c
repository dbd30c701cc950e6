#include "load/keys.h"

#include <stdbool.h>
#include <string.h>

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
    while (b != 0) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static void make_prefix(struct keys *self, uint64_t family)
{
    uint64_t word = splitmix_mix(family + 1);
    self->prefix[0] = 's';
    for (unsigned i = 1; i < sizeof self->prefix - 1; i++, word >>= 4) {
        self->prefix[i] = (uint8_t) "0123456789abcdef"[word & 15];
    }
    self->prefix[sizeof self->prefix - 1] = ':';
}

void keys_init(struct keys *self, uint64_t count, struct key_distribution distribution,
               uint64_t family)
{
    *self = (struct keys){.distribution = distribution, .count = count};
    make_prefix(self, family);
    /* Steps of about the golden section leave neighbouring ranks far apart. */
    self->stride = (uint64_t)((double)count * 0.6180339887498949);
    while (common_divisor(count, self->stride) != 1) {
        self->stride++;
    }
    self->hot_count = count * distribution.hot_percent / 100;
    if (self->hot_count == 0) {
        self->hot_count = 1;
    }
    if (distribution.pattern == KEY_ZIPF) {
        zipf_init(&self->zipf, count, distribution.exponent);
    }
}

/* A bijection: every rank has a key of its own. KEYS_MAX squared fits 64 bits. */
static uint64_t scatter(const struct keys *self, uint64_t rank)
{
    return rank * self->stride % self->count;
}

static uint64_t next_hot(const struct keys *self, struct splitmix *random)
{
    uint64_t cold_count = self->count - self->hot_count;
    bool is_hot = cold_count == 0 || splitmix_below(random, 100) < self->distribution.heat_percent;
    return is_hot ? splitmix_below(random, self->hot_count)
                  : self->hot_count + splitmix_below(random, cold_count);
}

uint64_t keys_next(const struct keys *self, struct splitmix *random)
{
    switch (self->distribution.pattern) {
    case KEY_ZIPF:
        return scatter(self, zipf_next(&self->zipf, random));
    case KEY_HOT:
        return scatter(self, next_hot(self, random));
    case KEY_UNIFORM:
        break;
    }
    return splitmix_below(random, self->count);
}

void keys_text(const struct keys *self, uint64_t key, uint8_t out[static KEY_BYTES])
{
    memcpy(out, self->prefix, sizeof self->prefix);
    for (unsigned at = KEY_BYTES; at-- > sizeof self->prefix;) {
        out[at] = (uint8_t)('0' + key % 10);
        key /= 10;
    }
}
