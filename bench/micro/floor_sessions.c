/* One flat index, filled to two thirds at most; see floor_sessions.h for the picture. */
#include "micro/floor_sessions.h"

#include <sched.h>
#include <stdlib.h>

#include "base/hash.h"

enum { CACHE_LINE = 64, PREFETCH_BYTES_MAX = 1024 }; /* of one session, as satcheld has it */

enum status floor_sessions_init(struct floor_sessions *self, uint64_t sessions_max, bool is_shared)
{
    *self = (struct floor_sessions){.capacity = sessions_max + sessions_max / 2 + 1,
                                    .sessions_max = sessions_max,
                                    .is_shared = is_shared};
    self->slots = calloc(self->capacity, sizeof *self->slots);
    if (self->slots == NULL) {
        return STATUS_NO_MEMORY;
    }
    (void)pthread_mutex_init(&self->inserting, NULL);
    return STATUS_OK;
}

void floor_sessions_free(struct floor_sessions *self)
{
    for (uint64_t at = 0; at < self->capacity; at++) {
        free(atomic_load_explicit(&self->slots[at].session, memory_order_relaxed));
    }
    free(self->slots);
    (void)pthread_mutex_destroy(&self->inserting);
}

/* ---- Finding -------------------------------------------------------------------------------- */

uint64_t floor_sessions_hash(struct view id)
{
    return hash64(id, 0);
}

static uint64_t home_of(const struct floor_sessions *self, uint64_t hash)
{
    return ((uint64_t)(uint32_t)hash * self->capacity) >> 32;
}

static uint64_t next_of(const struct floor_sessions *self, uint64_t at)
{
    return at + 1 == self->capacity ? 0 : at + 1;
}

/* Acquire, for invariant 1. */
static struct floor_session *session_at(const struct floor_slot *slot)
{
    return atomic_load_explicit(&slot->session, memory_order_acquire);
}

void floor_sessions_prefetch_slot(const struct floor_sessions *self, uint64_t hash)
{
    __builtin_prefetch(&self->slots[home_of(self, hash)]);
}

void floor_sessions_prefetch(const struct floor_sessions *self, uint64_t hash)
{
    struct floor_session *session;
    for (uint64_t at = home_of(self, hash); (session = session_at(&self->slots[at])) != NULL;
         at = next_of(self, at)) {
        if (self->slots[at].hash == (uint32_t)hash) {
            const char *bytes = (const char *)session;
            uint32_t wanted = self->slots[at].bytes;
            wanted = wanted < PREFETCH_BYTES_MAX ? wanted : PREFETCH_BYTES_MAX;
            for (uint32_t done = 0; done < wanted; done += CACHE_LINE) {
                __builtin_prefetch(bytes + done);
            }
            break;
        }
    }
}

/* The slot of an id, or the empty one where it would be; there always is an empty one. */
static struct floor_slot *slot_of(const struct floor_sessions *self, uint64_t hash, struct view id)
{
    struct floor_session *session;
    uint64_t at = home_of(self, hash);
    while ((session = session_at(&self->slots[at])) != NULL) {
        if (self->slots[at].hash == (uint32_t)hash &&
            view_equal(view_of(session->bytes, session->id_bytes), id)) {
            break;
        }
        at = next_of(self, at);
    }
    return &self->slots[at];
}

struct floor_session *floor_sessions_find(const struct floor_sessions *self, uint64_t hash,
                                          struct view id)
{
    return session_at(slot_of(self, hash, id));
}

/* ---- Values --------------------------------------------------------------------------------- */

struct view floor_session_begin(const struct floor_sessions *self, struct floor_session *session)
{
    /* Acquire, and release at the end: who comes next sees what the last one wrote. Two workers
     * rarely meet at one session; then the other one, if it has to wait for its core, gets it. */
    while (self->is_shared &&
           atomic_exchange_explicit(&session->is_busy, true, memory_order_acquire)) {
        (void)sched_yield();
    }
    return view_of(session->bytes + session->id_bytes, session->value_bytes);
}

void floor_session_end(const struct floor_sessions *self, struct floor_session *session)
{
    if (self->is_shared) {
        atomic_store_explicit(&session->is_busy, false, memory_order_release);
    }
}

static struct floor_session *session_new(struct view id, struct view value)
{
    struct floor_session *session = malloc(sizeof *session + id.len + value.len);
    if (session != NULL) {
        atomic_init(&session->is_busy, false);
        session->value_bytes = (uint32_t)value.len;
        session->id_bytes = (uint16_t)id.len;
        (void)put_view(put_view(session->bytes, id), value);
    }
    return session;
}

/* Fills the slot of an id that is not there; under `inserting`. */
static enum status insert(struct floor_sessions *self, struct floor_slot *slot, uint64_t hash,
                          struct view id, struct view value)
{
    if (self->count == self->sessions_max) {
        return STATUS_TOO_LARGE;
    }
    struct floor_session *session = session_new(id, value);
    if (session == NULL) {
        return STATUS_NO_MEMORY;
    }
    slot->hash = (uint32_t)hash;
    slot->bytes = (uint32_t)(sizeof *session + id.len + value.len);
    atomic_store_explicit(&slot->session, session, memory_order_release); /* invariant 1 */
    self->count++;
    return STATUS_OK;
}

static enum status set_in_place(const struct floor_sessions *self, struct floor_session *session,
                                struct view value)
{
    if (value.len != session->value_bytes) {
        return STATUS_INVALID;
    }
    (void)floor_session_begin(self, session);
    (void)put_view(session->bytes + session->id_bytes, value);
    floor_session_end(self, session);
    return STATUS_OK;
}

enum status floor_sessions_set(struct floor_sessions *self, uint64_t hash, struct view id,
                               struct view value)
{
    struct floor_session *session = floor_sessions_find(self, hash, id);
    if (session != NULL) {
        return set_in_place(self, session, value);
    }
    (void)pthread_mutex_lock(&self->inserting);
    /* Another worker may have inserted it meanwhile. */
    struct floor_slot *slot = slot_of(self, hash, id);
    session = session_at(slot);
    enum status status = session == NULL ? insert(self, slot, hash, id, value)
                                         : set_in_place(self, session, value);
    (void)pthread_mutex_unlock(&self->inserting);
    return status;
}
