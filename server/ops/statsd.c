/* Where StatsD's packets go, and when. */
#include "ops/statsd.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/address.h"
#include "base/clock.h"
#include "base/log.h"
#include "ops/deltas.h"
#include "ops/lookup.h"
#include "ops/process.h"
#include "ops/statsd_lines.h"

#define METRIC_OWNER struct statsd_metrics
METRIC_TABLE(statsd_metrics, STATSD_METRICS)
#undef METRIC_OWNER

/* A name may come to mean another machine, of which no error tells. */
static const int64_t lookup_again_ns = INT64_C(60) * 1000000000;

struct statsd {
    struct event_base *base;                /* borrowed */
    const struct metric_registry *registry; /* borrowed */
    struct event *timer;                    /* owned */
    const char *to;                         /* borrowed; as the user wrote it */
    struct host_port where;
    struct lookup *lookup; /* owned; NULL: none is under way */
    int64_t lookup_ns;     /* when the last one was started */
    bool has_failed;       /* the last one found nothing */
    int fd;                /* owned; connected to the receiver; -1: it has no address yet */
    bool is_refused;       /* something was sent that did not arrive: look the name up again */
    struct statsd_writer writer;
    struct deltas deltas;
    struct statsd_metrics metrics;
};

const struct option_desc statsd_option_descs[] = {
    {.name = "statsd",
     .type = OPTION_TEXT,
     .standard = "",
     .unit = "HOST:PORT",
     .help = "A StatsD receiver that gets all metrics by UDP; the usual port is 8125. Empty: none.",
     .offset = offsetof(struct statsd_options, to)},
    {.name = "statsd-dialect",
     .type = OPTION_CHOICE,
     .standard = "plain",
     .unit = "plain|dogstatsd|graphite",
     .help = "What it understands: labels as parts of the name (any StatsD), as tags of Datadog, "
             "or as tags of Graphite.",
     .offset = offsetof(struct statsd_options, dialect)},
    {.name = "statsd-interval",
     .type = OPTION_TIME_MS,
     .standard = "10s",
     .unit = "TIME",
     .help = "How often it gets them.",
     .least = 100,
     .most = 3600000,
     .offset = offsetof(struct statsd_options, interval_ms)},
    {.name = "statsd-prefix",
     .type = OPTION_TEXT,
     .standard = "satchel",
     .unit = "NAME",
     .help = "What their names begin with there: up to 100 letters, digits, points, _ and -; empty "
             "for nothing.",
     .offset = offsetof(struct statsd_options, prefix)},
};
const size_t statsd_option_count = sizeof statsd_option_descs / sizeof statsd_option_descs[0];

/* ---- The receiver ---------------------------------------------------------------------------- */

/* A socket that is connected to the first of these addresses that can be reached at all, as far as
 * this machine knows; -1 with errno when there is none. */
static int connect_to(const struct addrinfo *found)
{
    for (; found != NULL; found = found->ai_next) {
        int fd = socket(found->ai_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) == 0) {
            return fd;
        }
        int error = errno;
        if (fd >= 0) {
            (void)close(fd);
        }
        errno = error;
    }
    return -1;
}

/* Keeps the socket that there is when the name has no address for the moment. Only what changes is
 * worth a line in the log. */
static void on_found(void *arg, const struct addrinfo *found, const char *why)
{
    struct statsd *self = arg;
    char quoted_to[HOST_BYTES_MAX + 16];
    char quoted_why[128];
    self->lookup = NULL;
    (void)log_quoted(quoted_to, sizeof quoted_to, self->to);
    int fd = connect_to(found);
    if (fd < 0) {
        why = found == NULL ? why : strerror(errno);
        metric_add(&self->metrics.failed_lookups, 1);
        if (!self->has_failed) {
            log_warn("statsd: the receiver has no address", "statsd=%s reason=%s", quoted_to,
                     log_quoted(quoted_why, sizeof quoted_why, why));
        }
        self->has_failed = true;
        return;
    }
    if (self->has_failed) {
        log_info("statsd: the receiver has an address", "statsd=%s", quoted_to);
    }
    self->has_failed = false;
    if (self->fd >= 0) {
        (void)close(self->fd);
    }
    self->fd = fd;
}

static void look_up(struct statsd *self)
{
    self->is_refused = false;
    self->lookup_ns = clock_mono_ns(&clock_system);
    if (lookup_start(self->base, &self->where, on_found, self, &self->lookup) != STATUS_OK) {
        metric_add(&self->metrics.failed_lookups, 1);
    }
}

/* ---- Sending --------------------------------------------------------------------------------- */

static void send_packet(void *arg, struct view packet)
{
    struct statsd *self = arg;
    ssize_t sent = send(self->fd, packet.ptr, packet.len, 0);
    if (sent < 0 && errno == ECONNREFUSED) { /* an earlier one met nobody; this one was not sent */
        self->is_refused = true;
        metric_add(&self->metrics.lost_packets, 1);
        sent = send(self->fd, packet.ptr, packet.len, 0);
    }
    if (sent < 0) {
        self->is_refused = self->is_refused || (errno != EAGAIN && errno != ENOBUFS);
        metric_add(&self->metrics.lost_packets, 1);
    } else {
        metric_add(&self->metrics.packets, 1);
    }
}

static void write_delta(void *arg, const struct metric_sample *delta,
                        const struct metric_sample *total)
{
    (void)total;
    statsd_write(arg, delta);
}

void statsd_send(struct statsd *self)
{
    if (self == NULL || self->fd < 0) {
        return;
    }
    const uint64_t lost_before = self->writer.lines_lost;
    metric_visit(self->registry, deltas_visit_sample, &self->deltas);
    process_visit(deltas_visit_sample, &self->deltas);
    statsd_flush(&self->writer);
    deltas_keep(&self->deltas);
    metric_add(&self->metrics.lost_lines, self->writer.lines_lost - lost_before);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct statsd *self = arg;
    statsd_send(self);
    const bool is_old = clock_mono_ns(&clock_system) - self->lookup_ns >= lookup_again_ns;
    if (self->lookup == NULL && (self->fd < 0 || self->is_refused || is_old)) {
        look_up(self);
    }
}

/* ---- Starting and stopping ------------------------------------------------------------------- */

static enum status check_prefix(const char *prefix, char *errmsg, size_t errmsg_bytes)
{
    static const char usable[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    if (strspn(prefix, usable) == strlen(prefix) && strlen(prefix) <= STATSD_PREFIX_BYTES_MAX) {
        return STATUS_OK;
    }
    char quoted[STATSD_PREFIX_BYTES_MAX + 8];
    (void)snprintf(errmsg, errmsg_bytes,
                   "--statsd-prefix: %s is not up to %d letters, digits, points, _ and -",
                   log_quoted(quoted, sizeof quoted, prefix), STATSD_PREFIX_BYTES_MAX);
    return STATUS_INVALID;
}

static enum status check_receiver(const char *to, struct host_port *where, char *errmsg,
                                  size_t errmsg_bytes)
{
    char why[400];
    enum status status = host_port_parse(to, where, why, sizeof why);
    if (status == STATUS_OK && where->port == 0) {
        (void)snprintf(why, sizeof why, "nobody can be reached at port 0");
        status = STATUS_INVALID;
    }
    if (status != STATUS_OK) {
        (void)snprintf(errmsg, errmsg_bytes, "--statsd: %s", why);
    }
    return status;
}

/* NULL is no prefix. */
static const char *prefix_of(const struct statsd_options *options)
{
    return options->prefix != NULL ? options->prefix : "";
}

static enum status check(const struct statsd_options *options, struct host_port *where,
                         char *errmsg, size_t errmsg_bytes)
{
    enum status status = check_receiver(options->to, where, errmsg, errmsg_bytes);
    return status == STATUS_OK ? check_prefix(prefix_of(options), errmsg, errmsg_bytes) : status;
}

enum status statsd_options_check(const struct statsd_options *options, char *errmsg,
                                 size_t errmsg_bytes)
{
    struct host_port ignored;
    return options->to == NULL ? STATUS_OK : check(options, &ignored, errmsg, errmsg_bytes);
}

enum status statsd_start(const struct statsd_options *options, struct event_base *base,
                         const struct metric_registry *registry, struct statsd **out, char *errmsg,
                         size_t errmsg_bytes)
{
    struct host_port where;
    *out = NULL;
    if (options->to == NULL) {
        return STATUS_OK;
    }
    enum status status = check(options, &where, errmsg, errmsg_bytes);
    if (status != STATUS_OK) {
        return status;
    }
    struct statsd *self = calloc(1, sizeof *self);
    if (self == NULL) {
        goto no_memory;
    }
    self->base = base;
    self->registry = registry;
    self->to = options->to;
    self->where = where;
    self->fd = -1;
    self->writer.dialect = (enum statsd_dialect)options->dialect;
    self->writer.prefix = prefix_of(options);
    self->writer.send = send_packet;
    self->writer.arg = self;
    self->deltas = (struct deltas){.visit = write_delta, .arg = &self->writer};
    self->timer = event_new(base, -1, EV_PERSIST, on_timer, self);
    const struct timeval often = {.tv_sec = (time_t)(options->interval_ms / 1000),
                                  .tv_usec = (suseconds_t)(options->interval_ms % 1000) * 1000};
    if (self->timer == NULL || event_add(self->timer, &often) != 0) {
        goto no_memory;
    }
    look_up(self);
    *out = self;
    return STATUS_OK;

no_memory:
    (void)snprintf(errmsg, errmsg_bytes, "--statsd: %s", status_text(STATUS_NO_MEMORY));
    statsd_stop(self);
    return STATUS_NO_MEMORY;
}

enum status statsd_register_metrics(struct statsd *self, struct metric_registry *registry)
{
    if (self == NULL) {
        return STATUS_OK;
    }
    return metric_register(
        registry, (struct metric_set){.table = &statsd_metrics_table, .values = &self->metrics});
}

void statsd_stop(struct statsd *self)
{
    if (self == NULL) {
        return;
    }
    lookup_cancel(self->lookup);
    if (self->timer != NULL) {
        event_free(self->timer);
    }
    if (self->fd >= 0) {
        (void)close(self->fd);
    }
    deltas_close(&self->deltas);
    free(self);
}
