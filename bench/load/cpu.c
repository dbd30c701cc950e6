#include "load/cpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

bool cpu_of_process(uint64_t pid, struct cpu_time *out)
{
    char path[64];
    char line[1024];
    (void)snprintf(path, sizeof path, "/proc/%llu/stat", (unsigned long long)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    size_t got = fread(line, 1, sizeof line - 1, file);
    (void)fclose(file);
    line[got] = '\0';
    /* The name may hold blanks, but ends with the last ')'; utime and stime are the 12th and 13th
     * field behind it. */
    char *rest = strrchr(line, ')');
    for (unsigned i = 0; rest != NULL && i < 12; i++) {
        rest = strchr(rest + 1, ' ');
    }
    if (rest == NULL) {
        return false;
    }
    double tick_us = 1e6 / (double)sysconf(_SC_CLK_TCK);
    out->user_us = (double)strtoull(rest, &rest, 10) * tick_us;
    out->system_us = (double)strtoull(rest, NULL, 10) * tick_us;
    return true;
}

static double microseconds(struct timeval time)
{
    return (double)time.tv_sec * 1e6 + (double)time.tv_usec;
}

struct cpu_time cpu_of_self(void)
{
    struct rusage used;
    (void)getrusage(RUSAGE_SELF, &used);
    return (struct cpu_time){.user_us = microseconds(used.ru_utime),
                             .system_us = microseconds(used.ru_stime)};
}
