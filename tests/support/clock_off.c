/*
 * Loaded into a program with LD_PRELOAD: its wall clock is wrong by CLOCK_OFF_S seconds. Other
 * clocks, and those of other processes, stay as they are.
 */
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long off_s;

__attribute__((constructor)) static void read_offset(void)
{
    const char *text = getenv("CLOCK_OFF_S");
    off_s = text != NULL ? strtol(text, NULL, 10) : 0;
}

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): the C library's are reserved */
__attribute__((visibility("default"))) int clock_gettime(clockid_t id, struct timespec *out)
{
    int rc = (int)syscall(SYS_clock_gettime, id, out);
    if (rc == 0 && id == CLOCK_REALTIME) {
        out->tv_sec += off_s;
    }
    return rc;
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
