/* When a flush begins, going by what is queued, in the air, and was let go by the last one. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "store/journal_private.h"

enum { MS = 1000000, NOW = 1000 * MS, FEW = 1000, MANY = 5000, MUCH = 2 * 1024 * 1024 };

struct moment {
    const char *what;
    int64_t due_ns; /* from when who leads began to wait; INT64_MAX: never by itself */
    uint64_t queued;
    uint64_t crowd;
    uint64_t waiting; /* changes that are not durable */
    int64_t flush_ns;
    unsigned flying;
    bool is_unwanted; /* nobody waits for it */
    bool is_full;     /* the segment */
};

static int64_t due_ns(const struct moment *moment)
{
    static struct flight flight;
    struct chunk chunk = {.len = moment->queued};
    struct journal self = {.awaited = !moment->is_unwanted,
                           .first = &chunk,
                           .open = &chunk,
                           .next_lsn = moment->waiting + 1,
                           .crowd = moment->crowd,
                           .begun = moment->flying,
                           .since_ns = NOW,
                           .last_start_ns = NOW,
                           .last_flush_ns = moment->flush_ns};
    atomic_init(&self.undurable_bytes, moment->queued);
    self.segments.options.segment_bytes = 64 * 1024 * 1024;
    atomic_init(&self.segments.bytes, moment->is_full ? 64 * 1024 * 1024 : 0);
    for (unsigned lane = 0; lane < moment->flying; lane++) {
        self.flights[lane] = &flight;
    }
    int64_t due = journal_due_ns(&self);
    return due == 0 || due == INT64_MAX ? due : due - NOW;
}

Test(journal_due, a_flush_begins_when_it_should)
{
    const struct moment moments[] = {
        /* Nothing is in the air. */
        {"one alone", 0, FEW, 1, 1, MS / 2, 0, false, false},
        {"three do not wait for each other", 0, FEW, 3, 2, MS / 2, 0, false, false},
        {"half a flush for the others", MS / 4, FEW, 10, 2, MS / 2, 0, false, false},
        {"all are here again", 0, FEW, 10, 10, MS / 2, 0, false, false},
        {"nobody waits", 10 * MS, FEW, 10, 2, MS / 2, 0, true, false},
        {"nobody waits, but it is much", 0, MUCH, 10, 2, MS / 2, 0, true, false},
        /* On slow storage. */
        {"one alone there", 0, FEW, 1, 1, 2 * MS, 0, false, false},
        {"a flush for what would be charged as more", 2 * MS, FEW, 10, 2, 2 * MS, 0, false, false},
        {"not for ever", 4 * MS, FEW, 10, 2, 500 * MS, 0, false, false},
        {"a moment for the rest", MS / 4, MANY, 10, 2, 2 * MS, 0, false, false},
        {"all are here again there", 0, FEW, 10, 10, 2 * MS, 0, false, false},
        /* Beside others in the air. */
        {"fast storage has one", INT64_MAX, MANY, 10, 10, MS / 2, 1, false, false},
        {"a quarter of a flush apart", MS / 2, MANY, 10, 2, 2 * MS, 1, false, false},
        {"a few", INT64_MAX, FEW, 10, 10, 2 * MS, 1, false, false},
        {"nobody waits for many", INT64_MAX, MANY, 10, 2, 2 * MS, 1, true, false},
        {"much", MS / 2, MUCH, 10, 2, 2 * MS, 1, true, false},
        {"the segment is full", INT64_MAX, MANY, 10, 2, 2 * MS, 1, false, true},
        {"all lanes are taken", INT64_MAX, MANY, 10, 2, 2 * MS, SEGMENT_LANES, false, false},
    };
    for (size_t i = 0; i < sizeof moments / sizeof moments[0]; i++) {
        const struct moment *moment = &moments[i];
        cr_assert(eq(i64, due_ns(moment), moment->due_ns), "%s", moment->what);
    }
}
