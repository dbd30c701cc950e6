/* The clock, random numbers and the texts of statuses. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/random.h"
#include "base/status.h"
#include "base/thread.h"

Test(clock, the_wall_clock_is_the_systems_and_the_monotonic_one_never_goes_back)
{
    int64_t before_ms = (int64_t)time(NULL) * 1000;
    int64_t wall_ms = clock_wall_ms(&clock_system);
    cr_assert(ge(i64, wall_ms, before_ms - 1000));
    cr_assert(le(i64, wall_ms, before_ms + 60000));
    int64_t last_ns = clock_mono_ns(&clock_system);
    for (int i = 0; i < 1000; i++) {
        int64_t now_ns = clock_mono_ns(&clock_system);
        cr_assert(ge(i64, now_ns, last_ns));
        last_ns = now_ns;
    }
}

Test(random, fills_exactly_what_it_was_given)
{
    uint8_t bytes[300];
    memset(bytes, 0, sizeof bytes);
    random_bytes(bytes + 10, 280);
    unsigned zeros = 0;
    for (size_t i = 0; i < sizeof bytes; i++) {
        cr_assert(bytes[i] == 0 || (i >= 10 && i < 290), "byte %zu", i);
        zeros += bytes[i] == 0;
    }
    cr_assert(lt(uint, zeros, 60)); /* 20 outside; 40 more inside would be a broken source */
    cr_assert(ne(u64, random_u64(), random_u64()));
}

Test(status, every_status_has_its_text)
{
#define X(name, text) cr_assert(eq(str, (char *)status_text(STATUS_##name), text));
    STATUS_TABLE(X)
#undef X
}

static void *tell_mask(void *arg)
{
    (void)pthread_sigmask(SIG_SETMASK, NULL, arg);
    return NULL;
}

Test(thread, takes_no_signals_but_its_own_faults)
{
    static const struct {
        int number;
        bool is_blocked;
    } cases[] = {
        {SIGTERM, true}, {SIGINT, true}, {SIGALRM, true}, {SIGBUS, false}, {SIGSEGV, false}};
    pthread_t thread;
    sigset_t mask;
    sigset_t mine;
    cr_assert(
        eq(int, thread_start(&thread, "a name that is too long", tell_mask, &mask), STATUS_OK));
    cr_assert(eq(int, pthread_join(thread, NULL), 0));
    (void)pthread_sigmask(SIG_SETMASK, NULL, &mine);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cr_assert(eq(int, sigismember(&mask, cases[i].number), cases[i].is_blocked), "%d",
                  cases[i].number);
        cr_assert(eq(int, sigismember(&mine, cases[i].number), 0), "%d", cases[i].number);
    }
}
