/* INFO and TIME; see info.h. */
#include "redis/info.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/random.h"
#include "redis/call.h"
#include "redis/clients.h"
#include "redis/connection.h"
#include "redis/databases.h"
#include "redis/pubsub.h"

/* ---- Numbers -------------------------------------------------------------------------------- */

/* What is read from metrics: the number, and the family of which all are added up. */
#define NUMBERS(X)                                                                                 \
    X(CONNECTIONS, "satchel_net_connections_accepted_total")                                       \
    X(REFUSED, "satchel_net_connections_refused_total")                                            \
    X(RECEIVED_BYTES, "satchel_net_received_bytes_total")                                          \
    X(SENT_BYTES, "satchel_net_sent_bytes_total")                                                  \
    X(COMMANDS, "satchel_requests_total")                                                          \
    X(EXPIRED, "satchel_expired_sessions_total")                                                   \
    X(OPEN, "satchel_net_connections")                                                             \
    X(MEMORY, "satchel_memory_bytes")                                                              \
    X(MEMORY_MAX, "satchel_memory_limit_bytes")                                                    \
    X(DURABLE_LSN, "satchel_durable_lsn")

enum number {
#define X(name, family) name,
    NUMBERS(X)
#undef X
        NUMBER_COUNT
};

enum { COUNTER_COUNT = EXPIRED + 1 }; /* the first of them only grow, and RESETSTAT resets them */

static const char *const families[] = {
#define X(name, family) family,
    NUMBERS(X)
#undef X
};

struct numbers {
    double of[NUMBER_COUNT];
};

static void add_sample(void *arg, const struct metric_sample *sample)
{
    struct numbers *self = arg;
    for (size_t i = 0; i < NUMBER_COUNT; i++) {
        if (strcmp(sample->desc->name, families[i]) == 0) {
            self->of[i] += sample->value;
        }
    }
}

static struct numbers read_numbers(const struct redis *redis)
{
    struct numbers numbers = {0};
    if (redis->options.registry != NULL) {
        metric_visit(redis->options.registry, add_sample, &numbers);
    }
    return numbers;
}

enum {
    RUN_ID_DIGITS = 40,
    RATE_MS_LEAST = 1000,  /* a rate is that of at least so long */
    COUNT_MS_LEAST = 1000, /* databases are not counted more often, */
    COUNT_SHARE = 20,      /* nor for more than this part of the time */
};

struct redis_stats {
    char run_id[RUN_ID_DIGITS + 1];
    pthread_mutex_t lock; /* guards the rest */
    double base[COUNTER_COUNT];
    int64_t rate_at_ms;
    double rate_commands; /* counted until then */
    double rate;          /* commands a second before that */
    struct redis_database_counts counts;
    int64_t count_again_ms;
};

struct redis_stats *redis_stats_new(void)
{
    struct redis_stats *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < RUN_ID_DIGITS; i += 8) {
        (void)snprintf(self->run_id + i, 8 + 1, "%08" PRIx32, (uint32_t)random_u64());
    }
    (void)pthread_mutex_init(&self->lock, NULL);
    return self;
}

void redis_stats_free(struct redis_stats *self)
{
    if (self != NULL) {
        (void)pthread_mutex_destroy(&self->lock);
        free(self);
    }
}

void redis_stats_reset(struct redis *redis)
{
    const struct numbers now = read_numbers(redis);
    (void)pthread_mutex_lock(&redis->stats->lock);
    memcpy(redis->stats->base, now.of, sizeof redis->stats->base);
    (void)pthread_mutex_unlock(&redis->stats->lock);
}

/* Commands a second, since the last time that somebody asked. Under the lock. */
static double commands_a_second(struct redis_stats *self, double commands, int64_t now_ms)
{
    int64_t elapsed_ms = now_ms - self->rate_at_ms;
    if (self->rate_at_ms == 0 || elapsed_ms < 0) {
        self->rate_at_ms = now_ms;
        self->rate_commands = commands;
    } else if (elapsed_ms >= RATE_MS_LEAST) {
        self->rate = (commands - self->rate_commands) * 1000 / (double)elapsed_ms;
        self->rate_at_ms = now_ms;
        self->rate_commands = commands;
    }
    return self->rate;
}

/* Counting may mean to walk through all sessions, and INFO is asked often: then numbers of a moment
 * ago will do. */
static struct redis_database_counts count_for_info(struct redis *redis, int64_t now_ms)
{
    struct redis_stats *stats = redis->stats;
    const struct clock *clock = redis->options.clock;
    if (!redis_counting_walks(redis)) {
        return redis_count_sessions(redis, now_ms);
    }
    (void)pthread_mutex_lock(&stats->lock);
    bool is_due = now_ms >= stats->count_again_ms ||
                  stats->count_again_ms - now_ms > (int64_t)COUNT_SHARE * 60 * 1000;
    struct redis_database_counts counts = stats->counts;
    (void)pthread_mutex_unlock(&stats->lock);
    if (!is_due) {
        return counts;
    }
    int64_t begin_ns = clock_mono_ns(clock);
    counts = redis_count_sessions(redis, now_ms);
    int64_t took_ms = (clock_mono_ns(clock) - begin_ns) / (1000 * 1000);
    (void)pthread_mutex_lock(&stats->lock);
    stats->counts = counts;
    stats->count_again_ms = now_ms + (took_ms * COUNT_SHARE > COUNT_MS_LEAST ? took_ms * COUNT_SHARE
                                                                             : COUNT_MS_LEAST);
    (void)pthread_mutex_unlock(&stats->lock);
    return counts;
}

/* ---- Sections ------------------------------------------------------------------------------- */

struct page {
    struct buf *out; /* borrowed */
    bool has_failed;
    struct redis *redis; /* borrowed */
    struct numbers numbers;
    double counters[COUNTER_COUNT]; /* since RESETSTAT */
    double rate;
    int64_t now_ms;
    bool is_loading;
};

static void end_line(struct page *self, enum status written)
{
    self->has_failed |= written != STATUS_OK ||
                        buf_append(self->out, view_str("\r\n")) != STATUS_OK;
}

/* Writes a line: a format and its arguments. */
#define LINE(page, ...) end_line(page, buf_printf((page)->out, __VA_ARGS__))

/* As people read bytes: 1.50M. */
static void human_line(struct page *self, const char *name, double bytes)
{
    static const char units[] = "BKMGT";
    size_t unit = 0;
    while (bytes >= 1024 && unit + 2 < sizeof units) {
        bytes /= 1024;
        unit++;
    }
    LINE(self, unit == 0 ? "%s:%.0f%c" : "%s:%.2f%c", name, bytes, units[unit]);
}

static void write_server(struct page *self)
{
    int64_t up_s = (self->now_ms - self->redis->started_ms) / 1000;
    LINE(self, "redis_version:%s", REDIS_VERSION);
    LINE(self, "satchel_version:%s", SATCHEL_VERSION_TEXT);
    LINE(self, "redis_mode:standalone");
    LINE(self, "arch_bits:%zu", sizeof(void *) * 8);
    LINE(self, "process_id:%ld", (long)getpid());
    LINE(self, "run_id:%s", self->redis->stats->run_id);
    LINE(self, "server_time_usec:%" PRId64, self->now_ms * 1000);
    LINE(self, "uptime_in_seconds:%" PRId64, up_s);
    LINE(self, "uptime_in_days:%" PRId64, up_s / (24 * 3600));
}

static void write_clients(struct page *self)
{
    LINE(self, "connected_clients:%zu", redis_clients_count(self->redis->clients));
    LINE(self, "blocked_clients:0");
    LINE(self, "tracking_clients:0");
    LINE(self, "satchel_connections:%.0f", self->numbers.of[OPEN]);
}

static void write_memory(struct page *self)
{
    LINE(self, "used_memory:%.0f", self->numbers.of[MEMORY]);
    human_line(self, "used_memory_human", self->numbers.of[MEMORY]);
    LINE(self, "maxmemory:0");
    human_line(self, "maxmemory_human", 0);
    LINE(self, "maxmemory_policy:noeviction");
    LINE(self, "satchel_memory_limit:%.0f", self->numbers.of[MEMORY_MAX]);
    LINE(self, "mem_allocator:libc");
}

static void write_persistence(struct page *self)
{
    bool is_durable = self->redis->options.ack == ACK_DURABLE;
    LINE(self, "loading:%d", self->is_loading ? 1 : 0);
    LINE(self, "async_loading:0");
    LINE(self, "rdb_bgsave_in_progress:0");
    LINE(self, "rdb_last_bgsave_status:ok");
    LINE(self, "aof_enabled:1");
    LINE(self, "aof_rewrite_in_progress:0");
    LINE(self, "aof_rewrite_scheduled:0");
    LINE(self, "aof_last_bgrewrite_status:ok");
    LINE(self, "aof_last_write_status:%s",
         store_state(self->redis->store) == STORE_FAILED ? "err" : "ok");
    LINE(self, "satchel_ack:%s", is_durable ? "durable" : "fast");
    LINE(self, "satchel_durable_lsn:%.0f", self->numbers.of[DURABLE_LSN]);
}

static void write_stats(struct page *self)
{
    struct redis_pubsub *pubsub = self->redis->pubsub;
    LINE(self, "total_connections_received:%.0f", self->counters[CONNECTIONS]);
    LINE(self, "total_commands_processed:%.0f", self->counters[COMMANDS]);
    LINE(self, "instantaneous_ops_per_sec:%.0f", self->rate);
    LINE(self, "total_net_input_bytes:%.0f", self->counters[RECEIVED_BYTES]);
    LINE(self, "total_net_output_bytes:%.0f", self->counters[SENT_BYTES]);
    LINE(self, "rejected_connections:%.0f", self->counters[REFUSED]);
    LINE(self, "expired_keys:%.0f", self->counters[EXPIRED]);
    LINE(self, "evicted_keys:0");
    LINE(self, "pubsub_channels:%zu", redis_topic_count(pubsub, REDIS_CHANNEL));
    LINE(self, "pubsub_patterns:%zu", redis_topic_count(pubsub, REDIS_PATTERN));
}

static void write_replication(struct page *self)
{
    LINE(self, "role:master");
    LINE(self, "connected_slaves:0");
    LINE(self, "master_failover_state:no-failover");
}

static double seconds_of(const struct timeval *time)
{
    return (double)time->tv_sec + (double)time->tv_usec / 1e6;
}

static void write_cpu(struct page *self)
{
    struct rusage usage = {0};
    (void)getrusage(RUSAGE_SELF, &usage);
    LINE(self, "used_cpu_sys:%.6f", seconds_of(&usage.ru_stime));
    LINE(self, "used_cpu_user:%.6f", seconds_of(&usage.ru_utime));
}

static void write_nothing(struct page *self)
{
    (void)self;
}

static void write_cluster(struct page *self)
{
    LINE(self, "cluster_enabled:0");
}

static void write_keyspace(struct page *self)
{
    if (self->is_loading) {
        return;
    }
    const struct redis_database_counts counts = count_for_info(self->redis, self->now_ms);
    for (size_t db = 0; db < REDIS_DATABASES; db++) {
        if (counts.sessions[db] != 0) {
            LINE(self, "db%zu:keys=%" PRIu64, db, counts.sessions[db]);
        }
    }
}

static const struct section {
    const char *name;
    const char *title;
    void (*write)(struct page *page);
} sections[] = {
    {"server", "Server", write_server},
    {"clients", "Clients", write_clients},
    {"memory", "Memory", write_memory},
    {"persistence", "Persistence", write_persistence},
    {"stats", "Stats", write_stats},
    {"replication", "Replication", write_replication},
    {"cpu", "CPU", write_cpu},
    {"modules", "Modules", write_nothing},
    {"errorstats", "Errorstats", write_nothing},
    {"cluster", "Cluster", write_cluster},
    {"keyspace", "Keyspace", write_keyspace},
};

/* True when the section is among those that were asked for. */
static bool is_asked_for(const struct redis_call *call, const char *name)
{
    for (size_t i = 1; i < call->argc; i++) {
        if (redis_arg_is(call, i, name) || redis_arg_is(call, i, "default") ||
            redis_arg_is(call, i, "all") || redis_arg_is(call, i, "everything")) {
            return true;
        }
    }
    return call->argc == 1;
}

static void prepare(struct page *self)
{
    struct redis_stats *stats = self->redis->stats;
    self->numbers = read_numbers(self->redis);
    (void)pthread_mutex_lock(&stats->lock);
    for (size_t i = 0; i < COUNTER_COUNT; i++) {
        self->counters[i] = self->numbers.of[i] - stats->base[i];
    }
    self->rate = commands_a_second(stats, self->numbers.of[COMMANDS], self->now_ms);
    (void)pthread_mutex_unlock(&stats->lock);
}

void redis_info(struct redis_call *call)
{
    struct redis *redis = call->client->worker->redis;
    struct page page = {.out = &call->scratch->content,
                        .redis = redis,
                        .now_ms = call->now_ms,
                        .is_loading = store_state(redis->store) == STORE_LOADING};
    page.out->len = 0;
    prepare(&page);
    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++) {
        if (is_asked_for(call, sections[i].name)) {
            if (page.out->len != 0) {
                end_line(&page, STATUS_OK);
            }
            LINE(&page, "# %s", sections[i].title);
            sections[i].write(&page);
        }
    }
    if (page.has_failed) {
        redis_refuse(call->out, SATCHEL_BUSY);
    } else {
        resp_verbatim(call->out, buf_view(page.out));
    }
}

void redis_time(struct redis_call *call)
{
    char text[24];
    int64_t now_ms = clock_wall_ms(call->client->worker->redis->options.clock);
    resp_array(call->out, 2);
    (void)snprintf(text, sizeof text, "%" PRId64, now_ms / 1000);
    resp_bulk_text(call->out, text);
    (void)snprintf(text, sizeof text, "%" PRId64, now_ms % 1000 * 1000);
    resp_bulk_text(call->out, text);
}
