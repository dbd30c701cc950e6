/* The system's clocks. */
#include "base/clock.h"

#include <stddef.h>

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

struct timespec clock_moment_in(int64_t ns)
{
    struct timespec moment;
    (void)clock_gettime(CLOCK_MONOTONIC, &moment);
    int64_t at_ns = moment.tv_nsec + ns;
    moment.tv_sec += (time_t)(at_ns / 1000000000);
    moment.tv_nsec = (long)(at_ns % 1000000000);
    return moment;
}
