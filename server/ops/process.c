/* What the kernel says about this process: see proc(5). */
#include "ops/process.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static bool read_cpu_seconds(double *out)
{
    struct timespec used;
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) != 0) {
        return false;
    }
    *out = (double)used.tv_sec + (double)used.tv_nsec / 1e9;
    return true;
}

/* Reads the start of a file of /proc as text. */
static bool read_text(const char *path, char *out, size_t out_bytes)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    size_t len = fread(out, 1, out_bytes - 1, file);
    out[len] = '\0';
    (void)fclose(file); /* opened for reading: there is nothing to lose */
    return len > 0;
}

/* The n-th number (from 0) of a text of words that are separated by single spaces. */
static bool number_in(const char *text, unsigned n, double *out)
{
    for (; n > 0; n--) {
        text = strchr(text, ' ');
        if (text == NULL) {
            return false;
        }
        text++;
    }
    char *end;
    errno = 0;
    *out = (double)strtoull(text, &end, 10);
    return end != text && errno == 0;
}

/* The n-th number of /proc/self/statm, which counts in pages. */
static bool read_statm_bytes(unsigned n, double *out)
{
    char text[256];
    double pages;
    if (!read_text("/proc/self/statm", text, sizeof text) || !number_in(text, n, &pages)) {
        return false;
    }
    *out = pages * (double)sysconf(_SC_PAGESIZE);
    return true;
}

static bool read_virtual_bytes(double *out)
{
    return read_statm_bytes(0, out);
}

static bool read_resident_bytes(double *out)
{
    return read_statm_bytes(1, out);
}

static bool read_open_fds(double *out)
{
    DIR *dir = opendir("/proc/self/fd");
    if (dir == NULL) {
        return false;
    }
    double count = -1; /* the descriptor of the directory itself */
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        count += entry->d_name[0] != '.';
    }
    (void)closedir(dir);
    *out = count;
    return true;
}

static bool read_max_fds(double *out)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return false;
    }
    *out = (double)limit.rlim_cur;
    return true;
}

/* When the machine started, in seconds since 1970: the line "btime" of /proc/stat. */
static bool read_boot_seconds(double *out)
{
    char line[256];
    bool found = false;
    FILE *file = fopen("/proc/stat", "re");
    if (file == NULL) {
        return false;
    }
    while (!found && fgets(line, sizeof line, file) != NULL) {
        found = strncmp(line, "btime ", 6) == 0 && number_in(line, 1, out);
    }
    (void)fclose(file);
    return found;
}

/* Seconds since 1970. The start of the process is the 22nd field of its stat, in ticks since the
 * machine started; the second field is the program's name in parentheses and may hold anything, so
 * the count goes on from its end. */
static bool read_start_seconds(double *out)
{
    char text[1024];
    double ticks;
    double boot_seconds;
    if (!read_text("/proc/self/stat", text, sizeof text) || !read_boot_seconds(&boot_seconds)) {
        return false;
    }
    const char *name_end = strrchr(text, ')');
    if (name_end == NULL || !number_in(name_end, 22 - 2, &ticks)) {
        return false;
    }
    *out = boot_seconds + ticks / (double)sysconf(_SC_CLK_TCK);
    return true;
}

static bool read_one(double *out)
{
    *out = 1;
    return true;
}

void process_visit(metric_visit_fn visit, void *arg)
{
    static const struct {
        struct metric_desc desc;
        bool (*read)(double *out);
    } rows[] = {
        {{METRIC_counter, "process_cpu_seconds_total", "",
          "User and system processor time used, in seconds.", 0},
         read_cpu_seconds},
        {{METRIC_gauge, "process_resident_memory_bytes", "", "Resident memory, in bytes.", 0},
         read_resident_bytes},
        {{METRIC_gauge, "process_virtual_memory_bytes", "", "Virtual memory, in bytes.", 0},
         read_virtual_bytes},
        {{METRIC_gauge, "process_open_fds", "", "Open file descriptors.", 0}, read_open_fds},
        {{METRIC_gauge, "process_max_fds", "", "File descriptors that may be open.", 0},
         read_max_fds},
        {{METRIC_gauge, "process_start_time_seconds", "",
          "When the process started, in seconds since 1970.", 0},
         read_start_seconds},
        {{METRIC_gauge, "satchel_build_info", "version=\"" SATCHEL_VERSION_TEXT "\"",
          "The version that runs, as a label; the value is always 1.", 0},
         read_one},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct metric_sample sample = {.desc = &rows[i].desc};
        if (rows[i].read(&sample.value)) {
            visit(arg, &sample);
        }
    }
}
