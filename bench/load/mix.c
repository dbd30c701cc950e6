#include "load/mix.h"

#include <stdio.h>
#include <string.h>

static const char *const words[OPERATION_COUNT] = {
#define X(name, word) [OPERATION_##name] = (word),
    OPERATIONS(X)
#undef X
};

const char *operation_word(enum operation operation)
{
    return words[operation];
}

static const char *skip_blanks(const char *at)
{
    return at + strspn(at, " \t");
}

/* Takes "get+set" off the front of `*at`. */
static bool take_steps(const char **at, struct plan *out, char *why, size_t why_bytes)
{
    for (;;) {
        size_t len = strspn(*at, "abcdefghijklmnopqrstuvwxyz");
        unsigned found = 0;
        while (found < OPERATION_COUNT &&
               (strlen(words[found]) != len || strncmp(words[found], *at, len) != 0)) {
            found++;
        }
        if (found == OPERATION_COUNT) {
            int shown = (int)strcspn(*at, " ,+\t");
            (void)snprintf(why, why_bytes,
                           "no such operation: \"%.*s\" (get set touch patch delete connect incr)",
                           shown, *at);
            return false;
        }
        if (out->step_count == PLAN_STEPS_MAX) {
            (void)snprintf(why, why_bytes, "more than %d operations in one sequence",
                           PLAN_STEPS_MAX);
            return false;
        }
        out->steps[out->step_count++] = (uint8_t)found;
        *at += len;
        if (**at != '+') {
            return true;
        }
        ++*at;
    }
}

/* Takes a weight off the front of `*at`. */
static bool take_weight(const char **at, struct plan *out, char *why, size_t why_bytes)
{
    uint32_t weight = 0;
    size_t digits = strspn(*at, "0123456789");
    for (size_t i = 0; i < digits && weight <= MIX_WEIGHT_MAX; i++) {
        weight = weight * 10 + (uint32_t)((*at)[i] - '0');
    }
    if (weight == 0 || weight > MIX_WEIGHT_MAX) {
        (void)snprintf(why, why_bytes, "behind \"%s\" a weight from 1 to %d is wanted",
                       words[out->steps[out->step_count - 1]], MIX_WEIGHT_MAX);
        return false;
    }
    out->weight = weight;
    *at += digits;
    return true;
}

bool mix_parse(const char *text, struct mix *out, char *why, size_t why_bytes)
{
    *out = (struct mix){0};
    for (const char *at = skip_blanks(text);; at = skip_blanks(at + 1)) {
        if (out->plan_count == MIX_PLANS_MAX) {
            (void)snprintf(why, why_bytes, "more than %d entries", MIX_PLANS_MAX);
            return false;
        }
        struct plan *plan = &out->plans[out->plan_count++];
        if (!take_steps(&at, plan, why, why_bytes)) {
            return false;
        }
        at = skip_blanks(at);
        if (!take_weight(&at, plan, why, why_bytes)) {
            return false;
        }
        out->weight_total += plan->weight;
        at = skip_blanks(at);
        if (*at == '\0') {
            return true;
        }
        if (*at != ',') {
            (void)snprintf(why, why_bytes, "a comma is wanted before \"%s\"", at);
            return false;
        }
    }
}

const struct plan *mix_next(const struct mix *self, struct splitmix *random)
{
    const struct plan *plan = self->plans;
    if (self->plan_count == 1) {
        return plan;
    }
    uint64_t at = splitmix_below(random, self->weight_total);
    while (at >= plan->weight) {
        at -= plan->weight;
        plan++;
    }
    return plan;
}

bool mix_has(const struct mix *self, enum operation operation)
{
    for (size_t i = 0; i < self->plan_count; i++) {
        if (memchr(self->plans[i].steps, (int)operation, self->plans[i].step_count) != NULL) {
            return true;
        }
    }
    return false;
}

bool mix_has_fields(const struct mix *self)
{
    return mix_has(self, OPERATION_PATCH) || mix_has(self, OPERATION_INCR);
}

double mix_steps_mean(const struct mix *self)
{
    double steps = 0;
    for (size_t i = 0; i < self->plan_count; i++) {
        steps += (double)self->plans[i].weight * self->plans[i].step_count;
    }
    return steps / (double)self->weight_total;
}
