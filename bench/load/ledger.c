#include "load/ledger.h"

#include <stdlib.h>

enum status ledger_init(struct ledger *self, uint64_t count, uint32_t run)
{
    *self = (struct ledger){.entries = calloc(count, sizeof self->entries[0]), .run = run};
    return self->entries == NULL ? STATUS_NO_MEMORY : STATUS_OK;
}

void ledger_free(struct ledger *self)
{
    free(self->entries);
    self->entries = NULL;
}

/* Acquire and release order what one worker was answered before what another one sends: who sees
 * the count or the floor sends after the answer came. */

uint32_t ledger_send(struct ledger *self, uint64_t value, bool *is_alone)
{
    struct ledger_entry *entry = &self->entries[value];
    uint32_t before = atomic_fetch_add_explicit(&entry->sent, 1, memory_order_relaxed);
    *is_alone = atomic_load_explicit(&entry->answered, memory_order_acquire) == before;
    return before + 1;
}

void ledger_answered(struct ledger *self, uint64_t value, uint32_t number, bool is_alone)
{
    struct ledger_entry *entry = &self->entries[value];
    uint32_t floor = atomic_load_explicit(&entry->floor, memory_order_relaxed);
    while (is_alone && floor < number &&
           !atomic_compare_exchange_weak_explicit(&entry->floor, &floor, number,
                                                  memory_order_release, memory_order_relaxed)) {
    }
    (void)atomic_fetch_add_explicit(&entry->answered, 1, memory_order_release);
}

uint32_t ledger_floor(const struct ledger *self, uint64_t value)
{
    return atomic_load_explicit(&self->entries[value].floor, memory_order_acquire);
}

enum ledger_verdict ledger_check(const struct ledger *self, uint64_t value, uint64_t generation,
                                 uint32_t floor)
{
    uint32_t number = (uint32_t)generation;
    if (generation >> 32 != self->run) {
        return floor > 0 ? LEDGER_OLD : LEDGER_FOREIGN;
    }
    /* Relaxed: the answer came, by way of the server, after the number was handed out. */
    if (number == 0 ||
        number > atomic_load_explicit(&self->entries[value].sent, memory_order_relaxed)) {
        return LEDGER_NEVER;
    }
    return number < floor ? LEDGER_OLD : LEDGER_GOOD;
}
