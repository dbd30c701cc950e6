/* How threads share cores. */
#include "base/thread.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdint.h>
#include <time.h>

#include "base/clock.h"

enum { WORK_NS = 20 * 1000 * 1000 };

static int64_t used_ns(void)
{
    struct timespec used;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (int64_t)used.tv_sec * 1000000000 + used.tv_nsec;
}

/* Uses the processor for WORK_NS, breathing; returns how long that took. */
static int64_t work_ns(void)
{
    const int64_t begin_ns = clock_mono_ns(&clock_system);
    const int64_t until_ns = used_ns() + WORK_NS;
    while (used_ns() < until_ns) {
        thread_breathe();
    }
    return clock_mono_ns(&clock_system) - begin_ns;
}

Test(thread, one_that_stands_back_uses_an_eighth_of_a_core_at_most)
{
    static const atomic_bool never = false;
    thread_stand_back(&never);
    cr_assert(work_ns() > (int64_t)WORK_NS * 79 / 10, "the last turn has no rest behind it");
}

/* Without rests the processor time is most of the time there is, however busy the machine: at
 * least once in many tries. */
static void expect_no_rest(void)
{
    int64_t best_ns = work_ns();
    for (unsigned tries = 0; tries < 50 && best_ns > 2 * (int64_t)WORK_NS; tries++) {
        const int64_t took_ns = work_ns();
        best_ns = took_ns < best_ns ? took_ns : best_ns;
    }
    cr_assert(best_ns <= 2 * (int64_t)WORK_NS, "%lld ns", (long long)best_ns);
}

Test(thread, one_that_does_not_stand_back_has_no_rest)
{
    expect_no_rest();
}

Test(thread, one_that_hurries_has_no_rest)
{
    static const atomic_bool hurries = true;
    thread_stand_back(&hurries);
    expect_no_rest();
}
