/* Increments by many. */
#include "crash/counter.h"

#include <stdio.h>
#include <stdlib.h>

#include "session/fields.h"

void counter_init(struct counter *self, unsigned number)
{
    *self = (struct counter){.number = number,
                             .answered = calloc(COUNTER_ANSWERS_MAX, sizeof *self->answered)};
    if (self->answered == NULL) {
        abort();
    }
}

void counter_free(struct counter *self)
{
    free((void *)(uintptr_t)self->answered);
}

struct view counter_id(const struct counter *self, char out[16])
{
    int len = snprintf(out, 16, "c%u", self->number);
    return view_of(out, (size_t)len);
}

/* -1 when there is no number. */
static int64_t read_number(const struct native_reply *reply)
{
    struct view value;
    char text[32] = "";
    char *end = NULL;
    if (reply->status != SATCHEL_OK || !reply->has_content || reply->kind != SATCHEL_FIELDS ||
        !fields_find(reply->content, view_str("n"), &value) || value.len == 0 ||
        value.len >= sizeof text) {
        return -1;
    }
    memcpy(text, value.ptr, value.len);
    long long number = strtoll(text, &end, 10);
    return *end == '\0' ? number : -1;
}

const char *counter_answered(struct counter *self, const struct native_reply *reply, bool durable)
{
    int64_t above = read_number(reply) - self->base;
    /* Relaxed: they are read when the writers have ended. */
    atomic_fetch_add_explicit(durable ? &self->acknowledged : &self->maybe, 1,
                              memory_order_relaxed);
    if (above <= 0) {
        return "an increment was answered with a number that is not above what was verified";
    }
    if (above >= COUNTER_ANSWERS_MAX) {
        return "an increment was answered with far too high a number";
    }
    return atomic_exchange_explicit(&self->answered[above], 1, memory_order_relaxed) == 0
               ? NULL
               : "two increments were answered with the same number";
}

int64_t counter_verify(struct counter *self, const struct native_reply *reply, int64_t *what)
{
    bool was_never = reply->status == SATCHEL_NOT_FOUND && self->base == 0;
    *what = was_never ? 0 : read_number(reply);
    int64_t least = self->base + atomic_load_explicit(&self->acknowledged, memory_order_relaxed);
    int64_t most = least + atomic_load_explicit(&self->maybe, memory_order_relaxed);
    int64_t verdict = *what < least ? least - *what : *what > most ? most - *what : 0;
    self->base = *what < 0 ? 0 : *what;
    atomic_store_explicit(&self->acknowledged, 0, memory_order_relaxed);
    atomic_store_explicit(&self->maybe, 0, memory_order_relaxed);
    for (size_t i = 0; i < COUNTER_ANSWERS_MAX; i++) {
        atomic_store_explicit(&self->answered[i], 0, memory_order_relaxed);
    }
    return verdict;
}
