/*
 * Clients of two workers over one real store, as the glue has them: each says lines and hears
 * replies, and messages when they are delivered.
 *
 *     struct room room;
 *     room_open(&room, "");
 *     struct guest *alice = room_enter(&room, 0);
 *     room_expect(alice, "SET k v", "+OK\r\n");
 *     room_hears(alice, "");
 *     room_close(&room);
 *
 * Whatever goes wrong fails the test.
 */
#pragma once

#include "redis/client.h"
#include "support/store_stand.h"

enum { ROOM_WORKERS = 2, ROOM_GUESTS_MAX = 16 };

struct room;

struct guest {
    struct room *room;
    struct redis_client *client; /* NULL: has left */
    struct buf reply;            /* owned: to the last line */
    uint64_t gate_lsn;           /* of that */
    bool ends;                   /* the connection ends behind it */
    struct buf heard;            /* owned: messages since room_hears() */
    uint64_t heard_gate_lsn;     /* the highest of those */
    bool was_ended;              /* by somebody else */
};

struct room {
    struct stand stand;
    struct redis *redis;
    struct redis_worker *workers[ROOM_WORKERS];
    struct guest guests[ROOM_GUESTS_MAX];
    size_t guest_count;
    struct metric_registry registry;
    int64_t now_ms;  /* wall clock; a test may move it */
    int64_t step_ns; /* by which the other clock moves whenever somebody looks at it */
    int64_t mono_ns;
    struct clock clock;
    unsigned wakes;  /* how often a worker was woken */
    unsigned reruns; /* how often a request was to be run again */
};

/** An empty store, two workers, and nobody there. `token` may be "". */
void room_open(struct room *self, const char *token);
void room_close(struct room *self);

/** A client of that worker. */
struct guest *room_enter(struct room *self, unsigned worker);

/** It closes its connection. */
void room_leave(struct guest *self);

/** Says an inline request; the reply's bytes, valid until the next one. */
struct view room_say(struct guest *self, const char *line);

/** The same, and asserts the reply. */
void room_expect(struct guest *self, const char *line, const char *reply);

struct room_case {
    const char *line;
    const char *reply;
};

void room_expect_all(struct guest *self, const struct room_case *cases, size_t count);

/** Delivers everything, and asserts what this one has heard since the last time. */
void room_hears(struct guest *self, const char *messages);
