/* The system's clocks. */
#include "base/clock.h"

#include <stddef.h>
#include <time.h>

static int64_t system_wall_ms(void *arg)
{
    (void)arg;
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t system_mono_ns(void *arg)
{
    (void)arg;
    struct timespec now;
    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

const struct clock clock_system = {
    .wall_ms = system_wall_ms, .mono_ns = system_mono_ns, .arg = NULL};
