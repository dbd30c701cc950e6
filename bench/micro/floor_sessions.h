/*
 * The sessions of the floor server: what no store can leave out, and nothing else.
 *
 *     slot:     | session pointer 8 | hash 4 | bytes 4 |      16 bytes, four to a cache line
 *     session:  | busy 1 | value length 4 | id length 2 | id … | value … |
 *
 * One hash of the id, one lookup with open addressing and linear probing that compares the id, and
 * the value at its place in memory. There is room for as many sessions as it is made for, none goes
 * away, and a value keeps its first length, so nothing is allocated once every session is there.
 * There is no expiry, no version, no list of changes, no journal.
 *
 * 1. A slot is filled once and stays: lookups take no lock. Its hash and bytes are written before
 *    its pointer, which is stored with release and loaded with acquire.
 * 2. New sessions are inserted under `inserting`.
 * 3. A value that two workers can reach is touched by whoever has set its session's busy mark only.
 *    A single worker sets none: it has nobody to tear a value apart.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

struct floor_session {
    atomic_bool is_busy;  /* somebody reads or writes the value */
    uint32_t value_bytes; /* immutable */
    uint16_t id_bytes;    /* immutable; 1 to SATCHEL_ID_BYTES_MAX */
    uint8_t bytes[];      /* the id, immutable, and the value */
};

struct floor_slot {
    _Atomic(struct floor_session *) session; /* owned; NULL: the slot is empty */
    uint32_t hash;                           /* low half of the id's hash */
    uint32_t bytes;                          /* of all of the session, for prefetching it */
};

struct floor_sessions {
    struct floor_slot *slots; /* owned; `capacity` of them, more than sessions_max */
    uint64_t capacity;        /* immutable, like the next two */
    uint64_t sessions_max;
    bool is_shared;            /* between workers */
    uint64_t count;            /* guarded by inserting */
    pthread_mutex_t inserting; /* taken for a session that is new only */
};

/** Room for `sessions_max` sessions, from 1 to 2^31. OK or NO_MEMORY (nothing to free). */
enum status floor_sessions_init(struct floor_sessions *self, uint64_t sessions_max,
                                bool is_shared) MUST_CHECK;

/** No other thread may use it any more. */
void floor_sessions_free(struct floor_sessions *self);

uint64_t floor_sessions_hash(struct view id);

/* Two steps of prefetching for a batch: the index slot, then the session it points to. */
void floor_sessions_prefetch_slot(const struct floor_sessions *self, uint64_t hash);
void floor_sessions_prefetch(const struct floor_sessions *self, uint64_t hash);

/** The session of an id, or NULL. It stays where it is. */
struct floor_session *floor_sessions_find(const struct floor_sessions *self, uint64_t hash,
                                          struct view id);

/** The session's value, to be read between begin and end, which belong together. */
struct view floor_session_begin(const struct floor_sessions *self, struct floor_session *session);
void floor_session_end(const struct floor_sessions *self, struct floor_session *session);

/** Copies `value` to the session's place; makes the session if it is new. OK; INVALID: its first
 *  value had another length; TOO_LARGE: it is one session too many; NO_MEMORY. */
enum status floor_sessions_set(struct floor_sessions *self, uint64_t hash, struct view id,
                               struct view value) MUST_CHECK;
