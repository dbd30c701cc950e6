/* What the clients share. */
#include "histories/stage.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

void stage_init(struct stage *self, uint64_t round, unsigned client_count, unsigned ops_a_session)
{
    *self = (struct stage){
        .round = round, .client_count = client_count, .ops_a_session = ops_a_session};
    (void)pthread_mutex_init(&self->lock, NULL);
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&self->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
}

void stage_close(struct stage *self)
{
    (void)pthread_cond_destroy(&self->changed);
    (void)pthread_mutex_destroy(&self->lock);
}

uint32_t stage_sessions(const struct stage *self)
{
    /* Relaxed: any number that it was lately will do. */
    uint64_t ops = atomic_load_explicit(&self->ops, memory_order_relaxed);
    return (uint32_t)(ops / self->ops_a_session) + STAGE_WINDOW;
}

void stage_begin_run(struct stage *self, const struct stage_run *run, unsigned answers, pid_t pid)
{
    (void)pthread_mutex_lock(&self->lock);
    uint16_t number = self->run.number;
    self->run = *run;
    self->run.number = number;
    /* What the run before worked on, and may have lost. */
    self->run.look_from = self->began_at < STAGE_WINDOW ? 0 : self->began_at - STAGE_WINDOW;
    self->began_at = stage_sessions(self);
    self->serving = true;
    self->due = false;
    self->pid = pid;
    self->was_killed = false;
    atomic_store_explicit(&self->answers_left, answers, memory_order_relaxed);
    (void)pthread_cond_broadcast(&self->changed);
    (void)pthread_mutex_unlock(&self->lock);
}

bool stage_wait_due(struct stage *self, unsigned wait_ms)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += wait_ms / 1000;
    until.tv_nsec += (wait_ms % 1000) * 1000000L;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    (void)pthread_mutex_lock(&self->lock);
    while (!self->due && pthread_cond_timedwait(&self->changed, &self->lock, &until) != ETIMEDOUT) {
    }
    self->pid = 0; /* the process may be waited for now, and its number become another's */
    bool was_killed = self->was_killed;
    (void)pthread_mutex_unlock(&self->lock);
    return was_killed;
}

uint16_t stage_end_run(struct stage *self)
{
    (void)pthread_mutex_lock(&self->lock);
    self->serving = false;
    uint16_t ended = self->run.number++;
    (void)pthread_mutex_unlock(&self->lock);
    return ended;
}

void stage_give_up(struct stage *self)
{
    (void)pthread_mutex_lock(&self->lock);
    self->serving = false;
    self->given_up = true;
    (void)pthread_cond_broadcast(&self->changed);
    (void)pthread_mutex_unlock(&self->lock);
}

void stage_count_answer(struct stage *self)
{
    /* Relaxed: only counted with. */
    if (atomic_fetch_sub_explicit(&self->answers_left, 1, memory_order_relaxed) != 1) {
        return;
    }
    (void)pthread_mutex_lock(&self->lock);
    if (self->pid != 0) {
        (void)kill(self->pid, SIGKILL);
        self->was_killed = true;
    }
    self->due = true;
    (void)pthread_cond_broadcast(&self->changed);
    (void)pthread_mutex_unlock(&self->lock);
}

bool stage_wait_run(struct stage *self, uint16_t least, struct stage_run *out)
{
    (void)pthread_mutex_lock(&self->lock);
    while (!self->given_up && (!self->serving || self->run.number < least)) {
        (void)pthread_cond_wait(&self->changed, &self->lock);
    }
    *out = self->run;
    bool given_up = self->given_up;
    (void)pthread_mutex_unlock(&self->lock);
    return !given_up;
}

bool stage_is_serving(struct stage *self, uint16_t number)
{
    (void)pthread_mutex_lock(&self->lock);
    bool serving = self->serving && self->run.number == number;
    (void)pthread_mutex_unlock(&self->lock);
    return serving;
}
