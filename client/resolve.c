/* Look-ups of names on a thread of their own. */
#include "client/resolve.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct resolve_job {
    atomic_uint references;
    atomic_bool is_done;    /* released after `error` and `found` are written */
    char *host;             /* owned */
    char *port;             /* owned */
    int done_fd;            /* owned; an eventfd that nobody reads, so every holder sees it */
    int error;              /* of getaddrinfo */
    struct addrinfo *found; /* owned; NULL when error != 0 */
};

static struct resolve_job *job_new(const char *host, const char *port)
{
    struct resolve_job *job = calloc(1, sizeof *job);
    if (job == NULL) {
        return NULL;
    }
    atomic_init(&job->references, 1);
    job->host = strdup(host);
    job->port = strdup(port);
    job->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (job->host == NULL || job->port == NULL || job->done_fd < 0) {
        resolve_release(job);
        return NULL;
    }
    return job;
}

void resolve_release(struct resolve_job *job)
{
    /* acq_rel: whoever frees sees everything the other holders did before they let go. */
    if (job == NULL || atomic_fetch_sub_explicit(&job->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    if (job->found != NULL) {
        freeaddrinfo(job->found);
    }
    if (job->done_fd >= 0) {
        (void)close(job->done_fd);
    }
    free(job->host);
    free(job->port);
    free(job);
}

static void job_look_up(struct resolve_job *job, int flags)
{
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV};
    job->error = getaddrinfo(job->host, job->port, &hints, &job->found);
    if (job->error != 0) {
        job->found = NULL;
    }
}

static void job_finish(struct resolve_job *job)
{
    atomic_store_explicit(&job->is_done, true, memory_order_release);
    uint64_t one = 1;
    /* An eventfd takes 8 bytes whole, and its counter cannot overflow from a single write. */
    ssize_t written = write(job->done_fd, &one, sizeof one);
    (void)written;
}

static void *job_thread(void *arg)
{
    struct resolve_job *job = arg;
    job_look_up(job, 0);
    job_finish(job);
    resolve_release(job);
    return NULL;
}

static bool job_start_thread(struct resolve_job *job)
{
    /* Signals belong to the application's own threads. */
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    atomic_fetch_add_explicit(&job->references, 1, memory_order_relaxed);
    pthread_t thread;
    bool is_started = pthread_create(&thread, NULL, job_thread, job) == 0;
    if (is_started) {
        (void)pthread_detach(thread);
    } else {
        resolve_release(job);
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return is_started;
}

void resolver_init(struct resolver *self)
{
    (void)pthread_mutex_init(&self->lock, NULL);
    self->running = NULL;
}

void resolver_close(struct resolver *self)
{
    resolve_release(self->running);
    self->running = NULL;
    (void)pthread_mutex_destroy(&self->lock);
}

struct resolve_job *resolver_start(struct resolver *self, const char *host, const char *port)
{
    (void)pthread_mutex_lock(&self->lock);
    struct resolve_job *job = self->running;
    if (job != NULL && resolve_is_done(job)) {
        resolve_release(job);
        job = NULL;
        self->running = NULL;
    }
    if (job == NULL) {
        job = job_new(host, port);
        if (job != NULL) {
            job_look_up(job, AI_NUMERICHOST);
            if (job->error == 0) {
                job_finish(job);
            } else if (!job_start_thread(job)) {
                resolve_release(job);
                job = NULL;
            }
        }
        self->running = job;
    }
    if (job != NULL) {
        atomic_fetch_add_explicit(&job->references, 1, memory_order_relaxed);
    }
    (void)pthread_mutex_unlock(&self->lock);
    return job;
}

int resolve_done_fd(const struct resolve_job *job)
{
    return job->done_fd;
}

bool resolve_is_done(const struct resolve_job *job)
{
    /* acquire: pairs with job_finish, so that what the thread found is visible. */
    return atomic_load_explicit(&job->is_done, memory_order_acquire);
}

const struct addrinfo *resolve_addresses(const struct resolve_job *job, const char **why)
{
    if (job->found == NULL) {
        *why = gai_strerror(job->error);
    }
    return job->found;
}
