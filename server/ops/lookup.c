/* A thread that asks getaddrinfo(3), and the main loop that hears of it. */
#include "ops/lookup.h"

#include <netdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/thread.h"

struct lookup {
    /* The thread and the starter; whoever lets go last frees it all. */
    _Atomic unsigned holders;
    /* Immutable once the thread runs. */
    struct host_port where;
    int fd; /* owned; an eventfd that the thread writes once, behind the next two */
    /* The thread's until it wrote `fd`, the starter's after that. */
    int error;              /* of getaddrinfo() */
    struct addrinfo *found; /* owned */
    /* The starter's. */
    struct event *event; /* owned */
    lookup_done_fn done;
    void *arg; /* borrowed */
};

static void let_go(struct lookup *self)
{
    /* Release and acquire: what one holder wrote, the other frees. */
    if (atomic_fetch_sub_explicit(&self->holders, 1, memory_order_acq_rel) > 1) {
        return;
    }
    if (self->found != NULL) {
        freeaddrinfo(self->found);
    }
    if (self->fd >= 0) {
        (void)close(self->fd);
    }
    free(self);
}

static void *run(void *arg)
{
    struct lookup *self = arg;
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICSERV};
    char port[8];
    const uint64_t one = 1;
    (void)snprintf(port, sizeof port, "%u", (unsigned)self->where.port);
    self->error = getaddrinfo(self->where.host, port, &hints, &self->found);
    (void)!write(self->fd, &one, sizeof one);
    let_go(self);
    return NULL;
}

static void on_done(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct lookup *self = arg;
    uint64_t count = 0;
    (void)!read((int)fd, &count, sizeof count);
    event_free(self->event);
    self->done(self->arg, self->error == 0 ? self->found : NULL, gai_strerror(self->error));
    let_go(self);
}

enum status lookup_start(struct event_base *base, const struct host_port *where,
                         lookup_done_fn done, void *arg, struct lookup **out)
{
    pthread_t thread;
    struct lookup *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return STATUS_NO_MEMORY;
    }
    atomic_init(&self->holders, 1);
    self->where = *where;
    self->done = done;
    self->arg = arg;
    self->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    self->event = self->fd >= 0 ? event_new(base, self->fd, EV_READ, on_done, self) : NULL;
    if (self->event == NULL || event_add(self->event, NULL) != 0) {
        goto no_memory;
    }
    atomic_store_explicit(&self->holders, 2,
                          memory_order_relaxed); /* the thread is not there yet */
    if (thread_start(&thread, "lookup", run, self) != STATUS_OK) {
        atomic_store_explicit(&self->holders, 1, memory_order_relaxed);
        goto no_memory;
    }
    (void)pthread_detach(thread); /* fails for threads that are not there only */
    *out = self;
    return STATUS_OK;

no_memory:
    if (self->event != NULL) {
        event_free(self->event);
    }
    let_go(self);
    return STATUS_NO_MEMORY;
}

void lookup_cancel(struct lookup *self)
{
    if (self != NULL) {
        event_free(self->event);
        let_go(self);
    }
}
