/* Stopping in order. */
#include "stopping.h"

#include <event2/event.h>
#include <inttypes.h>
#include <signal.h>
#include <unistd.h>

#include "base/log.h"
#include "restorer.h"
#include "storage_death.h"

enum {
    DRAIN_MS_MAX = 4000, /* for replies that wait for the storage */
    STOP_S_MAX = 10,     /* from the first signal to the end of the process, but for a snapshot */
    NS_PER_MS = 1000000,
};

static const struct timeval look_again = {.tv_usec = 10000};

static void on_forced(int signal_number)
{
    (void)signal_number;
    storage_death_unlogged(EXIT_FORCED);
}

static void force_at(int signal_number)
{
    struct sigaction action = {.sa_handler = on_forced};
    (void)sigaction(signal_number, &action, NULL); /* fails for unknown numbers only */
}

void stopping_forces(void)
{
    force_at(SIGTERM);
    force_at(SIGINT);
}

void stopping_on_signal(int signal_number, short what, void *server)
{
    struct server *self = server;
    (void)what;
    if (self->drain_start_ns != 0) {
        on_forced(signal_number);
    }
    log_info("stopping", "signal=%d", signal_number);
    self->drain_start_ns = clock_mono_ns(&clock_system);
    /* The main loop ends before the storage does: from now on the clock, and a second signal after
     * the loop, end the process at once. */
    force_at(SIGALRM);
    (void)alarm(STOP_S_MAX + (unsigned)((self->settings.backup.exit_snapshot_ms + 999) / 1000));
    if (self->net != NULL) {
        net_stop_accepting(self->net);
    }
    restorer_cancel(self->restorer);
    serve_drain(self->serve);
    (void)event_add(self->drained, &look_again);
}

/* ---- The last snapshot ---------------------------------------------------------------------- */

static bool is_over(int64_t since_ns, uint64_t ms_max)
{
    return clock_mono_ns(&clock_system) - since_ns > (int64_t)ms_max * NS_PER_MS;
}

/* Asks for it once the log has every change, so that the snapshot is whole by itself. True: there
 * is nothing to wait for. */
static bool ask(struct server *self)
{
    if (!backup_is_shipped(self->backup)) {
        return false;
    }
    if (backup_is_snapshot_current(self->backup)) {
        log_info("backup: no last snapshot is needed: nothing has changed since the newest", NULL);
        return true;
    }
    log_info("backup: a last snapshot is taken", "at_most_s=%" PRIu64,
             (self->settings.backup.exit_snapshot_ms + 999) / 1000);
    return backup_want_snapshot(self->backup, &self->exit_snapshot) != STATUS_OK;
}

/* Whether the last snapshot is taken, or will not be. */
static bool is_snapshot_over(struct server *self)
{
    const uint64_t ms_max = self->settings.backup.exit_snapshot_ms;
    if (ms_max == 0 || self->backup == NULL || self->store == NULL ||
        store_state(self->store) != STORE_SERVING) {
        return true;
    }
    if (self->exit_snapshot_start_ns == 0) {
        self->exit_snapshot_start_ns = clock_mono_ns(&clock_system);
        backup_hurry(self->backup);
    }
    if (is_over(self->exit_snapshot_start_ns, ms_max)) {
        log_warn("backup: there was no time for a last snapshot",
                 "at_most_s=%" PRIu64 " shipped=%s", (ms_max + 999) / 1000,
                 backup_is_shipped(self->backup) ? "yes" : "no");
        return true;
    }
    return self->exit_snapshot == 0
               ? ask(self)
               : backup_snapshot_outcome(self->backup, self->exit_snapshot) != BACKUP_PENDING;
}

void stopping_on_timer(int fd, short what, void *server)
{
    struct server *self = server;
    (void)fd, (void)what;
    const bool is_drained = self->exit_snapshot_start_ns != 0 || serve_is_idle(self->serve) ||
                            is_over(self->drain_start_ns, DRAIN_MS_MAX);
    if (is_drained && is_snapshot_over(self)) {
        (void)event_base_loopbreak(self->base);
    }
}
