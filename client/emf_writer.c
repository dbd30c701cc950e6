/* The thread that writes lines. */
#include "client/emf_writer.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/thread.h"

enum { STUCK_MS = 1000 /* how much longer than close_ms a thread may take to end */ };

static const int64_t ns_of_ms = 1000000;

struct line {
    struct line *next; /* owned by the queue */
    size_t len;
    uint8_t bytes[];
};

struct emf_writer {
    const struct emf_settings *settings; /* borrowed */
    emf_collect_fn collect;
    void *arg;
    struct emf_target target; /* the thread's */
    pthread_t thread;
    int wake_fd; /* owned; an eventfd that ends the thread's waiting */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t moved; /* a flush is written, or the thread has ended */
    struct line *first;   /* only the thread takes lines off */
    struct line *last;
    size_t queued_bytes;
    uint64_t flushes_wanted;
    uint64_t flushes_done; /* at most flushes_wanted */
    int64_t close_by_ns;   /* 0: not closing */
    bool has_ended;

    atomic_uint_fast64_t lines_written; /* relaxed, as is the next: figures, that order nothing */
    atomic_uint_fast64_t lines_dropped;
};

static int64_t now_ns(void)
{
    return clock_mono_ns(&clock_system);
}

static void wake(struct emf_writer *self)
{
    uint64_t one = 1;
    ssize_t written = write(self->wake_fd, &one, sizeof one);
    (void)written; /* fails only when the thread has not even read the last one */
}

static void count(atomic_uint_fast64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

enum status emf_writer_put(struct emf_writer *self, struct view bytes, bool is_event)
{
    size_t bytes_max = is_event ? SATCHEL_EMF_QUEUE_BYTES_MAX / 2 : SATCHEL_EMF_QUEUE_BYTES_MAX;
    struct line *line = malloc(sizeof *line + bytes.len);
    if (line == NULL) {
        count(&self->lines_dropped);
        return STATUS_NO_MEMORY;
    }
    line->next = NULL;
    line->len = bytes.len;
    memcpy(line->bytes, bytes.ptr, bytes.len);
    (void)pthread_mutex_lock(&self->lock);
    bool has_room = self->queued_bytes + bytes.len <= bytes_max;
    bool was_empty = self->first == NULL;
    if (has_room) {
        *(was_empty ? &self->first : &self->last->next) = line;
        self->last = line;
        self->queued_bytes += bytes.len;
    }
    (void)pthread_mutex_unlock(&self->lock);
    if (!has_room) {
        free(line);
        count(&self->lines_dropped);
        return STATUS_AGAIN;
    }
    if (was_empty) {
        wake(self);
    }
    return STATUS_OK;
}

/* ---- The thread ------------------------------------------------------------------------------ */

static struct line *front(struct emf_writer *self)
{
    (void)pthread_mutex_lock(&self->lock);
    struct line *line = self->first;
    (void)pthread_mutex_unlock(&self->lock);
    return line;
}

static void remove_front(struct emf_writer *self)
{
    (void)pthread_mutex_lock(&self->lock);
    struct line *line = self->first;
    self->first = line->next;
    self->queued_bytes -= line->len;
    (void)pthread_mutex_unlock(&self->lock);
    free(line);
}

/* Writes until the queue is empty (OK) or the target has to be waited for (AGAIN). */
static enum status write_lines(struct emf_writer *self, struct emf_wait *wait)
{
    struct line *line;
    while ((line = front(self)) != NULL) {
        enum status status = emf_target_write(&self->target, view_of(line->bytes, line->len),
                                              now_ns(), wait);
        if (status == STATUS_AGAIN) {
            return status;
        }
        count(status == STATUS_OK ? &self->lines_written : &self->lines_dropped);
        remove_front(self);
    }
    return STATUS_OK;
}

static void drop_lines(struct emf_writer *self)
{
    while (front(self) != NULL) {
        count(&self->lines_dropped);
        remove_front(self);
    }
}

/* What the thread has to do next, as its owners see it. */
struct orders {
    bool has_room;
    uint64_t flushes_wanted;
    int64_t close_by_ns;
};

static struct orders read_orders(struct emf_writer *self)
{
    (void)pthread_mutex_lock(&self->lock);
    struct orders orders = {
        .has_room = self->queued_bytes <= SATCHEL_EMF_QUEUE_BYTES_MAX / 2,
        .flushes_wanted = self->flushes_wanted,
        .close_by_ns = self->close_by_ns,
    };
    (void)pthread_mutex_unlock(&self->lock);
    return orders;
}

static void tell_flushed(struct emf_writer *self, uint64_t flushes)
{
    (void)pthread_mutex_lock(&self->lock);
    self->flushes_done = flushes;
    (void)pthread_cond_broadcast(&self->moved);
    (void)pthread_mutex_unlock(&self->lock);
}

static void sleep_until(struct emf_writer *self, const struct emf_wait *wait, int64_t until_ns)
{
    struct pollfd events[2] = {{.fd = self->wake_fd, .events = POLLIN}, wait->poll};
    int64_t at_ns = wait->until_ns < until_ns ? wait->until_ns : until_ns;
    int64_t left_ms = (at_ns - now_ns() + ns_of_ms - 1) / ns_of_ms;
    int64_t most_ms = EMF_INTERVAL_MS_MOST;
    (void)poll(events, 2, (int)(left_ms < 0 ? 0 : left_ms > most_ms ? most_ms : left_ms));
    uint64_t wakes;
    ssize_t got = read(self->wake_fd, &wakes, sizeof wakes);
    (void)got; /* nothing there: it was the time, or the target */
}

/*
 * Each turn: collect when it is time or somebody asks, write what can be written, wait. A flush is
 * done when everything that its collection put into the queue is out.
 */
static void run_until_closed(struct emf_writer *self)
{
    int64_t interval_ns = (int64_t)self->settings->interval_ms * ns_of_ms;
    int64_t collect_at_ns = now_ns() + interval_ns;
    uint64_t flushes_collected = 0;
    bool is_last = false; /* the collection before the end is made */
    for (;;) {
        struct orders orders = read_orders(self);
        bool is_closing = orders.close_by_ns != 0;
        bool is_due = now_ns() >= collect_at_ns || orders.flushes_wanted != flushes_collected ||
                      (is_closing && !is_last);
        if (is_due && orders.has_room) {
            self->collect(self->arg);
            collect_at_ns = now_ns() + interval_ns;
            flushes_collected = orders.flushes_wanted;
            is_last = is_closing;
        }
        struct emf_wait wait = {.poll = {.fd = -1}, .until_ns = INT64_MAX};
        bool is_empty = write_lines(self, &wait) == STATUS_OK;
        if (is_empty) {
            tell_flushed(self, flushes_collected);
        }
        if (is_closing && ((is_empty && is_last) || now_ns() >= orders.close_by_ns)) {
            break;
        }
        if (is_empty && is_due && !orders.has_room) {
            continue; /* now there is room */
        }
        /* Without room a collection that is due waits for the target, not for its time. */
        int64_t until_ns = is_closing                   ? orders.close_by_ns
                           : is_due && !orders.has_room ? INT64_MAX
                                                        : collect_at_ns;
        sleep_until(self, &wait, until_ns);
    }
    drop_lines(self);
}

static void *run(void *arg)
{
    struct emf_writer *self = arg;
    run_until_closed(self);
    (void)pthread_mutex_lock(&self->lock);
    self->has_ended = true;
    (void)pthread_cond_broadcast(&self->moved);
    (void)pthread_mutex_unlock(&self->lock);
    return NULL;
}

/* ---- Its owners ------------------------------------------------------------------------------ */

static void writer_free(struct emf_writer *self)
{
    drop_lines(self);
    emf_target_close(&self->target);
    (void)close(self->wake_fd);
    (void)pthread_cond_destroy(&self->moved);
    (void)pthread_mutex_destroy(&self->lock);
    free(self);
}

enum status emf_writer_start(const struct emf_settings *settings, emf_collect_fn collect, void *arg,
                             struct emf_writer **out)
{
    struct emf_writer *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return STATUS_NO_MEMORY;
    }
    self->settings = settings;
    self->collect = collect;
    self->arg = arg;
    self->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (self->wake_fd < 0 || emf_target_init(&self->target, settings) != STATUS_OK) {
        if (self->wake_fd >= 0) {
            (void)close(self->wake_fd);
        }
        free(self);
        return STATUS_NO_MEMORY;
    }
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&self->moved, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    (void)pthread_mutex_init(&self->lock, NULL);
    *out = self; /* before there is a thread that may want it */
    if (thread_start(&self->thread, "emf", run, self) != STATUS_OK) {
        *out = NULL;
        writer_free(self);
        return STATUS_NO_MEMORY;
    }
    return STATUS_OK;
}

enum status emf_writer_flush(struct emf_writer *self, uint64_t wait_ms)
{
    uint64_t most_ms = EMF_INTERVAL_MS_MOST;
    struct timespec until = clock_moment_in((int64_t)(wait_ms < most_ms ? wait_ms : most_ms) *
                                            ns_of_ms);
    int error = 0;
    (void)pthread_mutex_lock(&self->lock);
    uint64_t wanted = ++self->flushes_wanted;
    wake(self);
    while (self->flushes_done < wanted && error == 0) {
        error = pthread_cond_timedwait(&self->moved, &self->lock, &until);
    }
    bool is_done = self->flushes_done >= wanted;
    (void)pthread_mutex_unlock(&self->lock);
    return is_done ? STATUS_OK : STATUS_AGAIN;
}

uint64_t emf_writer_written(const struct emf_writer *self)
{
    return atomic_load_explicit(&self->lines_written, memory_order_relaxed);
}

uint64_t emf_writer_dropped(const struct emf_writer *self)
{
    return atomic_load_explicit(&self->lines_dropped, memory_order_relaxed);
}

bool emf_writer_stop(struct emf_writer *self)
{
    int64_t close_ns = (int64_t)self->settings->close_ms * ns_of_ms;
    struct timespec until = clock_moment_in(close_ns + STUCK_MS * ns_of_ms);
    int error = 0;
    (void)pthread_mutex_lock(&self->lock);
    self->close_by_ns = now_ns() + close_ns;
    wake(self);
    while (!self->has_ended && error == 0) {
        error = pthread_cond_timedwait(&self->moved, &self->lock, &until);
    }
    bool has_ended = self->has_ended;
    (void)pthread_mutex_unlock(&self->lock);
    if (!has_ended) {
        (void)pthread_detach(self->thread);
        return false;
    }
    (void)pthread_join(self->thread, NULL);
    writer_free(self);
    return true;
}
