/* CPU time of a process, as the kernel accounts it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct cpu_time {
    double user_us;
    double system_us;
};

/** All threads of a process, also those that have ended, from /proc/PID/stat (in steps of a clock
 *  tick, 10 ms). False when there is no such process. */
bool cpu_of_process(uint64_t pid, struct cpu_time *out);

/** This process, from getrusage. */
struct cpu_time cpu_of_self(void);

/** What was spent between two readings. */
static inline struct cpu_time cpu_between(struct cpu_time begin, struct cpu_time end)
{
    return (struct cpu_time){.user_us = end.user_us - begin.user_us,
                             .system_us = end.system_us - begin.system_us};
}
