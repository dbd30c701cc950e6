/*
 * satcheld: puts the modules together, in order, and takes them apart in reverse.
 *
 *     events ─▶ serve ─▶ ops ─▶ lease ─┬─ ours ─────────────▶ (restore) ─▶ store ─▶ net ─▶ serving
 *                                      └─ another's: standby ─▲                          (backup)
 *
 * Exit codes: 0 stopped as asked · 1 could not start · 2 unusable options · 3 the storage failed
 * while serving, or another store has taken the backup over (nothing is acknowledged after that) ·
 * 4 stopping took too long, or was cut short by a second signal; everything acknowledged is in the
 * journal all the same.
 */
#include <event2/event.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/dir.h"
#include "base/log.h"
#include "health.h"
#include "net/worker.h"
#include "restorer.h"
#include "server.h"
#include "stopping.h"
#include "storage_death.h"

/* Each worker has a set in net and one in serve. */
_Static_assert(2 * WORKERS_MAX + 32 <= METRIC_SETS_MAX, "room for all metrics");

enum {
    SHIP_MS_MAX = 3000,    /* for the last changes to be shipped */
    LARGE_BYTES = 1 << 20, /* a block of its own */
    SWEEP_MS = 100,
    LOCK_WAIT_MS = 10000, /* for the other locks of an owner whose lease is free */
};

/* ---- The lease's events, on its thread ------------------------------------------------------ */

static void on_lease_acquired(void *arg)
{
    const struct server *self = arg;
    uint64_t one = 1;
    (void)!write(self->owned_fd, &one, sizeof one);
}

static void on_lease_lost(void *arg, const char *why)
{
    (void)arg;
    storage_death(why);
}

static void on_restore_done(void *arg)
{
    const struct server *self = arg;
    uint64_t one = 1;
    (void)!write(self->restored_fd, &one, sizeof one);
}

static void on_backup_ended(void *arg, const char *why)
{
    (void)arg;
    storage_death(why);
}

/* ---- The store's events, on its threads ----------------------------------------------------- */

static void on_store_durable(void *arg)
{
    const struct server *self = arg;
    serve_on_durable(self->serve);
}

static void on_store_ready(void *arg)
{
    const struct server *self = arg;
    storage_death_serving();
    uint64_t one = 1;
    (void)!write(self->ready_fd, &one, sizeof one);
}

static void on_store_failed(void *arg, const char *why)
{
    (void)arg;
    storage_death(why);
}

static void on_store_changes(void *arg, const struct store_changes *changes)
{
    const struct server *self = arg;
    backup_changes(self->backup, changes);
}

static void on_store_loaded(void *arg, void *waiter)
{
    (void)arg;
    serve_on_loaded(waiter);
}

static void on_store_expired(void *arg, struct view id)
{
    const struct server *self = arg;
    serve_on_expired(self->serve, id);
}

/* ---- The main loop -------------------------------------------------------------------------- */

static void check_start(struct server *self, enum status status, const char *errmsg);

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct server *self = arg;
    uint64_t count = 0;
    (void)!read((int)fd, &count, sizeof count);
    double seconds = (double)(clock_mono_ns(&clock_system) - self->start_ns) / 1e9;
    log_info("serving", "sessions=%" PRIu64 " seconds=%.3f", store_session_count(self->store),
             seconds);
    char errmsg[200];
    enum status status = backup_start(self->backup, self->store, errmsg, sizeof errmsg);
    if (status == STATUS_OK && self->backup != NULL) {
        (void)snprintf(errmsg, sizeof errmsg, "too many metrics");
        status = backup_register_metrics(self->backup, &self->registry);
    }
    check_start(self, status, errmsg);
}

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    const struct server *self = arg;
    if (self->store == NULL) {
        return;
    }
    if (lease_left_ms(self->lease) == 0) {
        storage_death("the lease ran out: the storage was not reached in time");
    }
    store_sweep(self->store, clock_wall_ms(&clock_system));
    uint64_t stalled_ms = store_stalled_ms(self->store);
    if (stalled_ms > self->settings.watch.deadline_ms) {
        char why[64];
        (void)snprintf(why, sizeof why, "the storage does not answer for %" PRIu64 " s",
                       stalled_ms / 1000);
        storage_death(why);
    }
}

static void ignore_signal(int signal_number)
{
    struct sigaction action = {.sa_handler = SIG_IGN};
    (void)sigaction(signal_number, &action, NULL); /* fails for unknown numbers only */
}

static void on_checkpoint_wanted(evutil_socket_t signal_number, short what, void *arg)
{
    (void)signal_number;
    (void)what;
    const struct server *self = arg;
    if (self->store != NULL) {
        store_want_checkpoint(self->store);
    }
}

static void on_snapshot_wanted(evutil_socket_t signal_number, short what, void *arg)
{
    (void)signal_number;
    (void)what;
    const struct server *self = arg;
    uint64_t number = 0;
    if (backup_want_snapshot(self->backup, &number) != STATUS_OK) {
        log_info("backup: no snapshot can be taken now", NULL);
    }
}

/* Why it could not start: the one line that is no log line. */
static void say_why(const char *errmsg)
{
    (void)fprintf(stderr, "satcheld: %s\n", errmsg);
    (void)fflush(stderr);
}

/* ---- Composition ---------------------------------------------------------------------------- */

static void on_owned(evutil_socket_t fd, short what, void *arg);
static void on_restored(evutil_socket_t fd, short what, void *arg);

static enum status start_events(struct server *self)
{
    self->owned_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    self->restored_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    self->ready_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    self->base = event_base_new();
    if (self->owned_fd < 0 || self->restored_fd < 0 || self->ready_fd < 0 || self->base == NULL) {
        return STATUS_NO_MEMORY;
    }
    self->restored = event_new(self->base, self->restored_fd, EV_READ | EV_PERSIST, on_restored,
                               self);
    self->owned = event_new(self->base, self->owned_fd, EV_READ | EV_PERSIST, on_owned, self);
    self->ready = event_new(self->base, self->ready_fd, EV_READ | EV_PERSIST, on_ready, self);
    self->sweep = event_new(self->base, -1, EV_PERSIST, on_sweep, self);
    self->drained = event_new(self->base, -1, EV_PERSIST, stopping_on_timer, self);
    self->signals[0] = evsignal_new(self->base, SIGTERM, stopping_on_signal, self);
    self->signals[1] = evsignal_new(self->base, SIGINT, stopping_on_signal, self);
    self->signals[2] = evsignal_new(self->base, SIGUSR1, on_checkpoint_wanted, self);
    self->signals[3] = evsignal_new(self->base, SIGUSR2, on_snapshot_wanted, self);
    const struct timeval often = {.tv_usec = SWEEP_MS * 1000};
    bool all = self->owned != NULL && self->restored != NULL && self->ready != NULL &&
               self->sweep != NULL && self->drained != NULL && event_add(self->owned, NULL) == 0 &&
               event_add(self->restored, NULL) == 0 && event_add(self->ready, NULL) == 0 &&
               event_add(self->sweep, &often) == 0;
    for (size_t i = 0; i < sizeof self->signals / sizeof self->signals[0] && all; i++) {
        all = self->signals[i] != NULL && event_add(self->signals[i], NULL) == 0;
    }
    return all ? STATUS_OK : STATUS_NO_MEMORY;
}

static enum status start_lease(struct server *self, char *errmsg, size_t errmsg_bytes)
{
    const char *dir = self->settings.store.data_dir;
    const struct lease_deps deps = {
        .dir = dir,
        .address = self->settings.net.listen,
        .clock = &clock_system,
        .file = &file_ops_system,
        .mounts = &mount_sources_system,
        .events = {.acquired = on_lease_acquired, .lost = on_lease_lost, .arg = self},
    };
    enum status status = dir_make(dir, errmsg, errmsg_bytes);
    if (status == STATUS_OK) {
        status = lease_open(&self->settings.lease, &deps, &self->lease, errmsg, errmsg_bytes);
    }
    return status;
}

static enum status start_store(struct server *self, char *errmsg, size_t errmsg_bytes)
{
    const struct ownership owner = lease_ownership(self->lease);
    struct store_deps deps = {
        .clock = &clock_system,
        .file = &file_ops_system,
        .owner = owner,
        .released_epoch = lease_released_epoch(self->lease),
        .lock_wait_ms = LOCK_WAIT_MS,
        .events = {.durable = on_store_durable,
                   .ready = on_store_ready,
                   .failed = on_store_failed,
                   .loaded = on_store_loaded,
                   .changes = self->backup == NULL ? NULL : on_store_changes,
                   .expired = on_store_expired,
                   .arg = self},
    };
    enum status status = store_open(&self->settings.store, &deps, &self->store, errmsg,
                                    errmsg_bytes);
    if (status == STATUS_OK) {
        serve_set_store(self->serve, self->store, &owner);
    }
    return status;
}

static enum status start_net(struct server *self, char *errmsg, size_t errmsg_bytes)
{
    struct net_handler handler = serve_handler(self->serve);
    enum status status = net_start(&self->settings.net, &handler, &clock_system, &self->net, errmsg,
                                   errmsg_bytes);
    if (status == STATUS_OK) {
        serve_set_net(self->serve, self->net);
    }
    return status;
}

static enum status start_ops(struct server *self, char *errmsg, size_t errmsg_bytes)
{
    const struct ops_callbacks callbacks = health_callbacks(self);
    enum status status = ops_start(&self->settings.ops, self->base, &self->registry, &callbacks,
                                   &self->ops, errmsg, errmsg_bytes);
    if (status == STATUS_OK && self->ops != NULL) {
        status = ops_register_metrics(self->ops, &self->registry);
    }
    return status;
}

static enum status start_statsd(struct server *self, char *errmsg, size_t errmsg_bytes)
{
    enum status status = statsd_start(&self->settings.statsd, self->base, &self->registry,
                                      &self->statsd, errmsg, errmsg_bytes);
    if (status == STATUS_OK) {
        status = statsd_register_metrics(self->statsd, &self->registry);
    }
    return status;
}

static enum status register_metrics(struct server *self)
{
    enum status status = lease_register_metrics(self->lease, &self->registry);
    if (status == STATUS_OK) {
        status = store_register_metrics(self->store, &self->registry);
    }
    if (status == STATUS_OK) {
        status = serve_register_metrics(self->serve, &self->registry);
    }
    return status == STATUS_OK ? net_register_metrics(self->net, &self->registry) : status;
}

/* "127.0.0.1:0" and 40001 give "127.0.0.1:40001". */
static const char *with_port(char *out, size_t out_bytes, const char *listen, uint16_t port)
{
    const char *colon = strrchr(listen, ':');
    int host_len = colon == NULL ? (int)strlen(listen) : (int)(colon - listen);
    (void)snprintf(out, out_bytes, "%.*s:%u", host_len, listen, (unsigned)port);
    return out;
}

static void log_addresses(const struct server *self)
{
    char listen[300] = "off";
    char ops[300] = "off";
    if (self->net != NULL) {
        (void)with_port(listen, sizeof listen, self->settings.net.listen, net_port(self->net));
    }
    if (self->ops != NULL) {
        (void)with_port(ops, sizeof ops, self->settings.ops.listen, ops_port(self->ops));
    }
    if (self->net != NULL) {
        log_info("listening", "listen=%s ops=%s workers=%u version=" SATCHEL_VERSION_TEXT, listen,
                 ops, net_worker_count(self->net));
    } else {
        char owner[400];
        char quoted[500];
        lease_describe_owner(self->lease, owner, sizeof owner);
        log_info("standby", "ops=%s owner=%s", ops, log_quoted(quoted, sizeof quoted, owner));
    }
}

/* The directory is ours, and has what it should have. */
static enum status open_store(struct server *self, char *errmsg, size_t errmsg_bytes)
{
    const struct backup_events events = {.ended = on_backup_ended, .arg = self};
    self->start_ns = clock_mono_ns(&clock_system);
    enum status status = backup_open(&self->settings.backup, &events, &self->backup, errmsg,
                                     errmsg_bytes);
    if (status == STATUS_OK) {
        status = start_store(self, errmsg, errmsg_bytes);
    }
    if (status == STATUS_OK) {
        status = start_net(self, errmsg, errmsg_bytes);
    }
    if (status == STATUS_OK) {
        (void)snprintf(errmsg, errmsg_bytes, "out of memory");
        status = register_metrics(self);
    }
    if (status == STATUS_OK) {
        char address[300];
        lease_set_address(self->lease, with_port(address, sizeof address, self->settings.net.listen,
                                                 net_port(self->net)));
        log_addresses(self);
    }
    return status;
}

/* The directory is ours: what follows from that. */
static enum status become_owner(struct server *self, char *errmsg, size_t errmsg_bytes)
{
    if (restorer_is_needed(&self->settings)) {
        return restorer_start(&self->settings, on_restore_done, self, &self->restorer, errmsg,
                              errmsg_bytes);
    }
    return open_store(self, errmsg, errmsg_bytes);
}

/* A start that comes too late to be the process's exit code ends the loop. */
static void check_start(struct server *self, enum status status, const char *errmsg)
{
    if (status != STATUS_OK) {
        say_why(errmsg);
        self->could_not_start = true;
        (void)event_base_loopbreak(self->base);
    }
}

static void on_restored(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct server *self = arg;
    uint64_t count = 0;
    char errmsg[600];
    (void)!read((int)fd, &count, sizeof count);
    enum status status = restorer_finish(self->restorer, errmsg, sizeof errmsg);
    self->restorer = NULL;
    if (self->drain_start_ns != 0) {
        return;
    }
    if (status == STATUS_OK) {
        status = open_store(self, errmsg, sizeof errmsg);
    }
    check_start(self, status, errmsg);
}

static void on_owned(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct server *self = arg;
    uint64_t count = 0;
    (void)!read((int)fd, &count, sizeof count);
    if (self->drain_start_ns != 0) {
        return;
    }
    char errmsg[600];
    enum status status = become_owner(self, errmsg, sizeof errmsg);
    check_start(self, status, errmsg);
}

static enum status start(struct server *self, char *errmsg, size_t errmsg_bytes)
{
    (void)snprintf(errmsg, errmsg_bytes, "out of memory");
    enum status status = start_events(self);
    if (status == STATUS_OK) {
        status = serve_new(&self->settings.serve, self->settings.net.listen, &clock_system,
                           &self->registry, &self->serve, errmsg, errmsg_bytes);
    }
    if (status == STATUS_OK) {
        status = start_lease(self, errmsg, errmsg_bytes);
    }
    bool is_standby = status == STATUS_AGAIN;
    status = is_standby ? STATUS_OK : status;
    if (status == STATUS_OK) {
        status = start_ops(self, errmsg, errmsg_bytes);
    }
    if (status == STATUS_OK) {
        status = start_statsd(self, errmsg, errmsg_bytes);
    }
    if (status == STATUS_OK && is_standby) {
        log_addresses(self);
    } else if (status == STATUS_OK) {
        status = become_owner(self, errmsg, errmsg_bytes);
    }
    return status;
}

static enum status stop(struct server *self)
{
    if (self->net != NULL) {
        net_stop(self->net);
    }
    /* Each of these takes its own metrics along, so the last look at all of them comes first, and
     * no worker may be reading them for STATS any more. */
    statsd_send(self->statsd);
    statsd_stop(self->statsd);
    ops_stop(self->ops);
    if (self->restorer != NULL) {
        char errmsg[600];
        restorer_cancel(self->restorer);
        enum status restored = restorer_finish(self->restorer, errmsg, sizeof errmsg);
        (void)restored; /* whatever it is, nothing was promised to anybody */
    }
    backup_stop_snapshots(self->backup);
    enum status status = self->store == NULL ? STATUS_AGAIN : store_close(self->store);
    if (backup_stop(self->backup, SHIP_MS_MAX) != STATUS_OK) {
        log_warn("backup: the last changes could not be shipped", NULL);
    }
    backup_close(self->backup);
    enum status released = lease_close(self->lease, status == STATUS_OK);
    if (released != STATUS_OK) {
        /* Everything is durable; only the next owner has to copy the data file. */
        log_warn("the lease could not be released in order", "status=\"%s\"",
                 status_text(released));
    }
    status = status == STATUS_AGAIN ? STATUS_OK : status;
    net_free(self->net);
    serve_free(self->serve);
    struct event *const events[] = {self->owned,      self->restored,   self->ready,
                                    self->sweep,      self->drained,    self->signals[0],
                                    self->signals[1], self->signals[2], self->signals[3]};
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
        if (events[i] != NULL) {
            event_free(events[i]);
        }
    }
    if (self->base != NULL) {
        event_base_free(self->base);
    }
    const int fds[] = {self->owned_fd, self->restored_fd, self->ready_fd};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        if (fds[i] >= 0) {
            (void)close(fds[i]);
        }
    }
    return status;
}

/* Buffers of a checkpoint or a burst go back to the system when they are freed. By itself glibc
 * would take ever larger ones from the heap, between the sessions, where they leave holes. */
static void keep_large_blocks_apart(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
    (void)mallopt(M_TRIM_THRESHOLD, LARGE_BYTES);
}

int main(int argc, char *argv[])
{
    static struct server server; /* static: large, and the store's threads name it until _exit */
    int exit_code = 0;
    server.owned_fd = -1;
    server.restored_fd = -1;
    server.ready_fd = -1;
    if (!settings_parse(&server.settings, argc, argv, &exit_code)) {
        return exit_code;
    }
    ignore_signal(SIGPIPE);
    ignore_signal(SIGXFSZ); /* at a limit of file sizes the write says so, too */
    storage_death_catch_bus_error();
    keep_large_blocks_apart();
    log_configure((enum log_level)server.settings.log.level,
                  (enum log_format)server.settings.log.format);
    char errmsg[600];
    enum status status = start(&server, errmsg, sizeof errmsg);
    if (status != STATUS_OK) {
        say_why(errmsg);
        (void)stop(&server);
        return EXIT_START;
    }
    (void)event_base_dispatch(server.base);
    stopping_forces();
    status = stop(&server);
    log_info("stopped", "status=\"%s\"", status_text(status));
    if (server.could_not_start) {
        return EXIT_START;
    }
    return status == STATUS_OK ? 0 : EXIT_STORAGE;
}
