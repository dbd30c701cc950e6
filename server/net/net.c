/* All workers together: starting, stopping, counting. */
#include "net/net.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/address.h"
#include "base/log.h"
#include "net/worker.h"

#define METRIC_OWNER struct net_metrics
METRIC_TABLE(net_metrics, NET_METRICS)

/* Descriptors beside connections: data files, journal, libevent's own, S3, ops. */
enum { DESCRIPTORS_FOR_OTHERS = 256 };

/* Processors this process may use, which a container or taskset can make fewer than there are. */
static unsigned usable_processors(void)
{
    cpu_set_t usable;
    CPU_ZERO(&usable);
    if (sched_getaffinity(0, sizeof usable, &usable) != 0) {
        return 1;
    }
    int count = CPU_COUNT(&usable);
    return count < 1 ? 1 : (unsigned)count;
}

static void raise_descriptor_limit(uint64_t connections_max)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return;
    }
    if (limit.rlim_cur < limit.rlim_max) {
        struct rlimit raised = {.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0) {
            limit = raised;
        }
    }
    if (limit.rlim_cur != RLIM_INFINITY &&
        limit.rlim_cur < connections_max + DESCRIPTORS_FOR_OTHERS) {
        log_warn("connections-max cannot be reached: too few open files are allowed",
                 "open_files_max=%llu connections_max=%llu needed=%llu",
                 (unsigned long long)limit.rlim_cur, (unsigned long long)connections_max,
                 (unsigned long long)(connections_max + DESCRIPTORS_FOR_OTHERS));
    }
}

static struct net *net_new(const struct net_options *options, const struct net_handler *handler,
                           const struct clock *clock)
{
    struct net *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return NULL;
    }
    self->options = *options;
    self->options.listen = NULL; /* borrowed for the start only */
    self->handler = *handler;
    self->clock = *clock;
    (void)pthread_mutex_init(&self->lock, NULL);
    (void)pthread_cond_init(&self->changed, NULL);
    return self;
}

/* Makes the workers from the listening sockets, all of which belong to them or are closed then. */
static enum status open_workers(struct net *self, const int *listen_fds, unsigned count)
{
    enum status status = STATUS_OK;
    for (unsigned i = 0; i < count; i++) {
        if (status != STATUS_OK) {
            (void)close(listen_fds[i]);
            continue;
        }
        status = worker_open(self, i, listen_fds[i], &self->workers[i]);
        self->worker_count += status == STATUS_OK;
    }
    self->workers_accepting = self->worker_count;
    return status;
}

/* Starts the threads; those that run are counted in workers_running also on failure. */
static enum status run_workers(struct net *self)
{
    for (unsigned i = 0; i < self->worker_count; i++) {
        enum status status = worker_run(self->workers[i]);
        if (status != STATUS_OK) {
            return status;
        }
        self->workers_running++;
    }
    (void)pthread_mutex_lock(&self->lock);
    while (self->workers_started < self->worker_count) {
        (void)pthread_cond_wait(&self->changed, &self->lock);
    }
    (void)pthread_mutex_unlock(&self->lock);
    return STATUS_OK;
}

enum status net_start(const struct net_options *options, const struct net_handler *handler,
                      const struct clock *clock, struct net **out, char *errmsg,
                      size_t errmsg_bytes)
{
    unsigned count = options->workers != 0 ? (unsigned)options->workers : usable_processors();
    count = count > WORKERS_MAX ? WORKERS_MAX : count;
    raise_descriptor_limit(options->connections_max);

    int listen_fds[WORKERS_MAX];
    uint16_t port = 0;
    enum status status = address_listen(options->listen, count, listen_fds, &port, errmsg,
                                        errmsg_bytes);
    if (status != STATUS_OK) {
        return status;
    }
    struct net *self = net_new(options, handler, clock);
    if (self == NULL) {
        for (unsigned i = 0; i < count; i++) {
            (void)close(listen_fds[i]);
        }
        snprintf(errmsg, errmsg_bytes, "no memory for the network workers");
        return STATUS_NO_MEMORY;
    }
    self->port = port;
    status = open_workers(self, listen_fds, count);
    if (status == STATUS_OK) {
        status = run_workers(self);
    }
    if (status != STATUS_OK) {
        snprintf(errmsg, errmsg_bytes, "cannot start the network workers: %s", strerror(errno));
        net_free(self);
        return status;
    }
    *out = self;
    return STATUS_OK;
}

uint16_t net_port(const struct net *self)
{
    return self->port;
}

unsigned net_worker_count(const struct net *self)
{
    return self->worker_count;
}

struct worker *net_worker(const struct net *self, unsigned index)
{
    return self->workers[index];
}

uint64_t net_connection_count(const struct net *self)
{
    return atomic_load_explicit(&self->connections, memory_order_relaxed);
}

void net_stop_accepting(struct net *self)
{
    for (unsigned i = 0; i < self->workers_running; i++) {
        worker_order(self->workers[i], ORDER_STOP_ACCEPTING);
    }
    (void)pthread_mutex_lock(&self->lock);
    while (self->workers_running != 0 && self->workers_accepting != 0) {
        (void)pthread_cond_wait(&self->changed, &self->lock);
    }
    (void)pthread_mutex_unlock(&self->lock);
}

void net_stop(struct net *self)
{
    for (unsigned i = 0; i < self->workers_running; i++) {
        worker_order(self->workers[i], ORDER_STOP);
    }
    for (unsigned i = 0; i < self->workers_running; i++) {
        worker_join(self->workers[i]);
    }
    self->workers_running = 0;
}

void net_free(struct net *self)
{
    if (self == NULL) {
        return;
    }
    net_stop(self);
    for (unsigned i = 0; i < self->worker_count; i++) {
        worker_free(self->workers[i]);
    }
    (void)pthread_cond_destroy(&self->changed);
    (void)pthread_mutex_destroy(&self->lock);
    free(self);
}

enum status net_register_metrics(struct net *self, struct metric_registry *registry)
{
    for (unsigned i = 0; i < self->worker_count; i++) {
        enum status status = metric_register(
            registry,
            (struct metric_set){.table = &net_metrics_table, .values = &self->workers[i]->metrics});
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}
