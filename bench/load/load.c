/*
 * A closed loop of requests: every connection keeps a number of them in flight for a number of
 * seconds, on keys chosen at random from a set that was written before.
 *
 *     load SERVER CONNECTIONS IN_FLIGHT SECONDS KEYS VALUE_BYTES GET_PERCENT [SERVER_PID]
 *
 * Prints one line: operations a second, median and 99th percentile of the latency in microseconds,
 * and, with a process id, the CPU time in microseconds that the server spent on each operation. A
 * closed loop says what a server can do, not how long users wait under a given arrival rate. Exits
 * with 1 when a request fails.
 */
#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <satchel/satchel.h>

#include "latency.h"

enum { KEY_BYTES = 24 };

struct load {
    struct event_base *base;
    uint64_t key_count;
    uint64_t get_percent;
    struct satchel_bytes value;
    struct latency latency;
    uint64_t random;
    uint64_t preload_next; /* key that is written next; key_count when all are */
    uint64_t in_flight;
    uint64_t failures;
    bool is_measuring;
};

/* One request in flight, again and again. */
struct lane {
    struct load *load;            /* shared by all lanes */
    struct satchel_async *client; /* shared by the lanes of a connection */
    uint64_t begin_ns;
};

static uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* splitmix64: every run asks for the same keys in the same order. */
static uint64_t next_random(struct load *self)
{
    uint64_t x = self->random += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static void on_done(void *arg, enum satchel_status status, const struct satchel_result *result);

static void start(struct lane *lane, uint64_t key_number, bool is_get)
{
    struct load *self = lane->load;
    char key[KEY_BYTES];
    (void)snprintf(key, sizeof key, "session:%012" PRIu64, key_number);
    self->in_flight++;
    lane->begin_ns = now_ns();
    if (is_get) {
        satchel_async_get(lane->client, satchel_text(key), NULL, on_done, lane);
    } else {
        satchel_async_set(lane->client, satchel_text(key), self->value, NULL, on_done, lane);
    }
}

static void start_measured(struct lane *lane)
{
    struct load *self = lane->load;
    uint64_t key_number = next_random(self) % self->key_count;
    start(lane, key_number, next_random(self) % 100 < self->get_percent);
}

/* Starts what comes next on a lane; when nothing does and all are idle, the loop ends. */
static void go_on(struct lane *lane)
{
    struct load *self = lane->load;
    if (self->is_measuring) {
        start_measured(lane);
    } else if (self->preload_next < self->key_count) {
        start(lane, self->preload_next++, false);
    } else if (self->in_flight == 0) {
        (void)event_base_loopbreak(self->base);
    }
}

static void on_done(void *arg, enum satchel_status status, const struct satchel_result *result)
{
    struct lane *lane = arg;
    struct load *self = lane->load;
    self->in_flight--;
    if (status != SATCHEL_OK) {
        if (self->failures++ == 0) {
            fprintf(stderr, "load: %s: %.*s\n", satchel_status_text(status),
                    (int)result->message.len, (const char *)result->message.ptr);
        }
        self->is_measuring = false;
        self->preload_next = self->key_count;
    } else if (self->is_measuring) {
        latency_add(&self->latency, now_ns() - lane->begin_ns);
    }
    go_on(lane);
}

static void on_time_over(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct load *self = arg;
    self->is_measuring = false;
}

/* User and system time of a process in seconds, from /proc/PID/stat; 0 when it cannot be read. */
static double cpu_s(const char *pid)
{
    char path[64];
    char line[1024] = "";
    (void)snprintf(path, sizeof path, "/proc/%s/stat", pid);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return 0;
    }
    size_t got = fread(line, 1, sizeof line - 1, file);
    (void)fclose(file);
    line[got] = '\0';
    /* The name may hold blanks, but ends with the last ')'; utime and stime are the 12th and 13th
     * number behind it. */
    char *rest = strrchr(line, ')');
    for (unsigned i = 0; rest != NULL && i < 12; i++) {
        rest = strchr(rest + 1, ' ');
    }
    if (rest == NULL) {
        return 0;
    }
    unsigned long user = strtoul(rest, &rest, 10);
    unsigned long system = strtoul(rest, NULL, 10);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

/* Runs every lane until nothing is in flight; returns the seconds that took. */
static double run(struct load *self, struct lane *lanes, size_t lane_count)
{
    uint64_t begin_ns = now_ns();
    for (size_t i = 0; i < lane_count; i++) {
        go_on(&lanes[i]);
    }
    (void)event_base_dispatch(self->base);
    return (double)(now_ns() - begin_ns) / 1e9;
}

/* The i-th argument as a number from `least` to `most`, or the end of the program. */
static uint64_t number(char **argv, int i, uint64_t least, uint64_t most)
{
    char *end = NULL;
    unsigned long long value = strtoull(argv[i], &end, 10);
    if (end == argv[i] || *end != '\0' || value < least || value > most) {
        fprintf(stderr, "load: argument %d is to be a number from %" PRIu64 " to %" PRIu64 "\n", i,
                least, most);
        exit(2);
    }
    return value;
}

int main(int argc, char **argv)
{
    if (argc != 8 && argc != 9) {
        fprintf(stderr, "usage: load SERVER CONNECTIONS IN_FLIGHT SECONDS KEYS VALUE_BYTES"
                        " GET_PERCENT [SERVER_PID]\n");
        return 2;
    }
    size_t connection_count = number(argv, 2, 1, 1000);
    size_t depth = number(argv, 3, 1, 1000);
    struct timeval seconds = {.tv_sec = (time_t)number(argv, 4, 1, 3600)};
    struct load self = {.key_count = number(argv, 5, 1, 10000000),
                        .value.len = number(argv, 6, 0, SATCHEL_VALUE_BYTES_MAX),
                        .get_percent = number(argv, 7, 0, 100)};
    size_t lane_count = connection_count * depth;
    uint8_t *value = malloc(self.value.len + 1);
    struct satchel_async **clients = calloc(connection_count, sizeof(struct satchel_async *));
    struct lane *lanes = calloc(lane_count, sizeof *lanes);
    self.base = event_base_new();
    struct event *time_over = self.base == NULL ? NULL
                                                : evtimer_new(self.base, on_time_over, &self);
    if (value == NULL || clients == NULL || lanes == NULL || time_over == NULL) {
        fprintf(stderr, "load: out of memory\n");
        return 1;
    }
    memset(value, 'v', self.value.len);
    self.value.ptr = value;
    struct satchel_options options = {.server = argv[1], .client_name = "load"};
    for (size_t i = 0; i < connection_count; i++) {
        enum satchel_status status = satchel_async_open(self.base, &options, &clients[i]);
        if (status != SATCHEL_OK) {
            fprintf(stderr, "load: %s: %s\n", argv[1], satchel_status_text(status));
            return 1;
        }
    }
    for (size_t i = 0; i < lane_count; i++) {
        lanes[i] = (struct lane){.load = &self, .client = clients[i % connection_count]};
    }

    (void)run(&self, lanes, lane_count); /* writes every key once */
    if (self.failures != 0) {
        return 1;
    }
    self.is_measuring = true;
    (void)evtimer_add(time_over, &seconds);
    double cpu_before_s = argc == 9 ? cpu_s(argv[8]) : 0;
    double elapsed_s = run(&self, lanes, lane_count);
    double cpu_spent_s = argc == 9 ? cpu_s(argv[8]) - cpu_before_s : 0;
    double count = (double)(self.latency.count == 0 ? 1 : self.latency.count);

    printf("%10.0f %10.1f %10.1f", (double)self.latency.count / elapsed_s,
           (double)latency_percentile(&self.latency, 0.5) / 1e3,
           (double)latency_percentile(&self.latency, 0.99) / 1e3);
    printf(argc == 9 ? " %10.2f\n" : "\n", cpu_spent_s * 1e6 / count);

    for (size_t i = 0; i < connection_count; i++) {
        satchel_async_close(clients[i]);
    }
    event_free(time_over);
    event_base_free(self.base);
    free(lanes);
    free(clients);
    free(value);
    return self.failures == 0 ? 0 : 1;
}
