/*
 * disk_ceiling DIRECTORY BYTES SECONDS append|overwrite: what the storage can do at most.
 *
 * Writes records of BYTES one after the other, each followed by fdatasync(), for SECONDS: either at
 * the end of a file that grows (append), or inside a file that was written before (overwrite),
 * where a sync has no metadata to write. No store that syncs before it acknowledges does more
 * flushes a second, and none that writes what it is told needs less processor time for it than
 * `cpu_us_per_mib`. Prints one JSON object; exit code 1: the storage failed, 2: usage.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SYNCS_MAX = 1 << 20, RECORD_BYTES_MAX = 16 << 20, SECONDS_MAX = 600 };
enum { OVERWRITTEN_BYTES = 64 << 20 }; /* as large as a journal segment */

struct ceiling {
    int fd;
    uint8_t *record; /* owned: record_bytes */
    size_t record_bytes;
    double seconds;
    double cpu_seconds;
    int is_overwriting;
    uint64_t *took_ns; /* owned: SYNCS_MAX */
    size_t count;
};

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int by_size(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

/* Writes the whole record at `offset`; -1 with errno when the storage does not take it. */
static int write_record(const struct ceiling *self, off_t offset)
{
    for (size_t done = 0; done < self->record_bytes;) {
        ssize_t got = pwrite(self->fd, self->record + done, self->record_bytes - done,
                             offset + (off_t)done);
        if (got < 0 && errno != EINTR) {
            return -1;
        }
        done += got > 0 ? (size_t)got : 0;
    }
    return 0;
}

/* Fills the file that is overwritten later. */
static int prepare(const struct ceiling *self)
{
    size_t step = self->record_bytes;
    for (size_t at = 0; self->is_overwriting && at + step <= OVERWRITTEN_BYTES; at += step) {
        if (write_record(self, (off_t)at) != 0) {
            return -1;
        }
    }
    return fsync(self->fd);
}

static int measure(struct ceiling *self)
{
    uint64_t begin_ns = clock_ns(CLOCK_MONOTONIC);
    uint64_t begin_cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    uint64_t end_ns = begin_ns + (uint64_t)(self->seconds * 1e9);
    size_t slots = OVERWRITTEN_BYTES / self->record_bytes;
    for (uint64_t at_ns = begin_ns; at_ns < end_ns && self->count < SYNCS_MAX;) {
        size_t slot = self->is_overwriting ? self->count % slots : self->count;
        if (write_record(self, (off_t)(slot * self->record_bytes)) != 0 ||
            fdatasync(self->fd) != 0) {
            return -1;
        }
        uint64_t done_ns = clock_ns(CLOCK_MONOTONIC);
        self->took_ns[self->count++] = done_ns - at_ns;
        at_ns = done_ns;
    }
    self->seconds = (double)(clock_ns(CLOCK_MONOTONIC) - begin_ns) / 1e9;
    self->cpu_seconds = (double)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - begin_cpu_ns) / 1e9;
    return 0;
}

static double percentile_us(const struct ceiling *self, double fraction)
{
    size_t at = (size_t)((double)(self->count - 1) * fraction);
    return (double)self->took_ns[at] / 1e3;
}

static void print(struct ceiling *self)
{
    qsort(self->took_ns, self->count, sizeof self->took_ns[0], by_size);
    double mib = (double)self->count * (double)self->record_bytes / (1 << 20);
    printf("{\"bytes\": %zu, \"mode\": \"%s\", \"syncs\": %zu, \"seconds\": %.3f, "
           "\"syncs_per_s\": %.1f, \"mib_per_s\": %.2f, \"cpu_us_per_mib\": %.1f, "
           "\"p50_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f}\n",
           self->record_bytes, self->is_overwriting ? "overwrite" : "append", self->count,
           self->seconds, (double)self->count / self->seconds, mib / self->seconds,
           self->cpu_seconds * 1e6 / mib, percentile_us(self, 0.5), percentile_us(self, 0.99),
           percentile_us(self, 1));
}

static int parse(struct ceiling *self, int argc, char *argv[])
{
    if (argc != 5) {
        return -1;
    }
    char *bytes_end = NULL;
    char *seconds_end = NULL;
    self->record_bytes = strtoull(argv[2], &bytes_end, 10);
    self->seconds = strtod(argv[3], &seconds_end);
    self->is_overwriting = strcmp(argv[4], "overwrite") == 0;
    int knows_mode = self->is_overwriting || strcmp(argv[4], "append") == 0;
    return *bytes_end == '\0' && *seconds_end == '\0' && knows_mode && self->record_bytes >= 1 &&
                   self->record_bytes <= RECORD_BYTES_MAX && self->seconds > 0 &&
                   self->seconds <= SECONDS_MAX
               ? 0
               : -1;
}

int main(int argc, char *argv[])
{
    struct ceiling self = {.fd = -1};
    if (parse(&self, argc, argv) != 0) {
        (void)fprintf(stderr, "usage: disk_ceiling DIRECTORY BYTES SECONDS append|overwrite\n");
        return 2;
    }
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/ceiling.XXXXXX", argv[1]) >= (int)sizeof path) {
        (void)fprintf(stderr, "disk_ceiling: the path is too long\n");
        return 2;
    }
    int rc = 1;
    self.record = malloc(self.record_bytes);
    self.took_ns = calloc(SYNCS_MAX, sizeof self.took_ns[0]);
    self.fd = mkstemp(path);
    if (self.record == NULL || self.took_ns == NULL || self.fd < 0) {
        (void)fprintf(stderr, "disk_ceiling: %s: %s\n", path, strerror(errno));
    } else {
        memset(self.record, 'x', self.record_bytes);
        rc = prepare(&self) != 0 || measure(&self) != 0;
        if (rc != 0) {
            (void)fprintf(stderr, "disk_ceiling: %s: %s\n", path, strerror(errno));
        } else {
            print(&self);
        }
    }
    if (self.fd >= 0) {
        (void)close(self.fd);
        (void)unlink(path);
    }
    free(self.took_ns);
    free(self.record);
    return rc;
}
