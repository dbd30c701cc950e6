/* Matching of patterns; see glob.h. */
#include "redis/glob.h"

#include <stdbool.h>

struct glob {
    struct view pattern;
    bool ignores_case;
};

static uint8_t folded(const struct glob *self, uint8_t c)
{
    return self->ignores_case && c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

/*
 * Matches one character with the class whose first character behind "[" is at `at`; `*end` becomes
 * the place behind the class. As in Redis a class that is not closed ends with the pattern, and the
 * ends of a range come in any order.
 */
static bool class_matches(const struct glob *self, size_t at, uint8_t c, size_t *end)
{
    const uint8_t *pattern = self->pattern.ptr;
    size_t len = self->pattern.len;
    bool is_negated = at < len && pattern[at] == '^';
    bool is_in = false;
    for (at += is_negated; at < len && pattern[at] != ']'; at++) {
        if (pattern[at] == '\\' && at + 1 < len) {
            at++;
            is_in |= pattern[at] == c;
        } else if (at + 2 < len && pattern[at + 1] == '-') {
            uint8_t from = folded(self, pattern[at]);
            uint8_t to = folded(self, pattern[at + 2]);
            uint8_t low = from < to ? from : to;
            uint8_t high = from < to ? to : from;
            is_in |= low <= folded(self, c) && folded(self, c) <= high;
            at += 2;
        } else {
            is_in |= folded(self, pattern[at]) == folded(self, c);
        }
    }
    *end = at < len ? at + 1 : len;
    return is_in != is_negated;
}

/* Matches one character with the element at `at`, which is not a star. */
static bool one_matches(const struct glob *self, size_t at, uint8_t c, size_t *end)
{
    const uint8_t *pattern = self->pattern.ptr;
    *end = at + 1;
    switch (pattern[at]) {
    case '?':
        return true;
    case '[':
        return class_matches(self, at + 1, c, end);
    case '\\':
        if (at + 1 < self->pattern.len) {
            at++;
            *end = at + 1;
        }
        break;
    default:
        break;
    }
    return folded(self, pattern[at]) == folded(self, c);
}

bool redis_glob_matches(struct view pattern, struct view text, enum redis_glob_case glob_case)
{
    const struct glob self = {pattern, glob_case == REDIS_GLOB_ANY_CASE};
    size_t at = 0;
    size_t next = 0;
    /* Where to try again: what is behind the last star, with that star taking one more character.
     * What earlier stars took need not be tried: a shorter match of theirs was enough. */
    size_t retry_at = 0;
    size_t retry_from = 0;
    bool has_star = false;
    for (size_t i = 0; i < text.len;) {
        if (at < pattern.len && pattern.ptr[at] == '*') {
            has_star = true;
            retry_at = ++at;
            retry_from = i;
        } else if (at < pattern.len && one_matches(&self, at, text.ptr[i], &next)) {
            at = next;
            i++;
        } else if (has_star) {
            at = retry_at;
            i = ++retry_from;
        } else {
            return false;
        }
    }
    while (at < pattern.len && pattern.ptr[at] == '*') {
        at++;
    }
    return at == pattern.len;
}
