/*
 * An object storage in memory behind the real client: puts under conditions, gets of objects and of
 * ranges, heads, deletes and lists of one bucket, for several clients and threads at a time. It
 * does what it is told to do wrong.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "backup/s3.h"

enum { BUCKET_OBJECTS_MAX = 2000, BUCKET_KEY_BYTES = 128, BUCKET_FAULTS_MAX = 8 };

/* What goes wrong with a request. */
enum bucket_fault {
    FAULT_LOSE_REQUEST, /* nothing was done, and the connection broke */
    FAULT_LOSE_REPLY,   /* it was done, and the connection broke */
    FAULT_REFUSE,       /* 403 */
    FAULT_BUSY,         /* 503 */
    FAULT_FLIP_BIT,     /* of the body that is given back */
    FAULT_MEANWHILE,    /* something happens before it is done: see bucket_fault_meanwhile() */
};

struct bucket_object {
    char key[BUCKET_KEY_BYTES];
    struct buf body;     /* owned */
    int64_t modified_ms; /* by the bucket's clock */
};

struct bucket_rule {
    const char *method;
    enum bucket_fault fault;
    unsigned skip;  /* requests before it applies */
    unsigned times; /* that it applies; 0: none any more */
    void (*meanwhile)(void *arg);
    void *arg;
};

struct bucket {
    bool ignores_conditions;
    bool refuses_conditions;
    _Atomic int64_t clock_ahead_ms; /* of bucket_clock, against the real one */

    pthread_mutex_t lock;                             /* guards what follows */
    struct bucket_object objects[BUCKET_OBJECTS_MAX]; /* in ascending order */
    size_t count;
    struct bucket_rule rules[BUCKET_FAULTS_MAX];
    size_t rule_count;
    size_t requests;
    size_t puts;
    size_t lists;
};

/** The one bucket of a test, empty, and a clock that the test can put forward. */
extern struct bucket bucket;
extern const struct clock bucket_clock;

void bucket_open(void);

/** Frees the objects; all clients have to be closed. */
void bucket_close(void);

/** The next `times` requests of `method` (NULL: any) fail like this, after `skip` good ones. */
void bucket_add_fault(const char *method, enum bucket_fault fault, unsigned skip, unsigned times);

/** Calls `meanwhile` when the next such request has come and nothing is done yet. */
void bucket_add_meanwhile(const char *method, void (*meanwhile)(void *arg), void *arg);

/** The same for the request after `skip` other ones. */
void bucket_add_meanwhile_after(const char *method, unsigned skip, void (*meanwhile)(void *arg),
                                void *arg);

void bucket_clear_faults(void);

/** The bytes of an object, borrowed while nothing changes; NULL pointer: there is none. */
struct view bucket_get(const char *key);

/** Stores an object past all conditions and faults. */
void bucket_put(const char *key, struct view body);

/** Removes an object. */
void bucket_remove(const char *key);

size_t bucket_requests(void);

/* A client of the bucket. */
struct bucket_client {
    struct credentials *credentials;
    struct s3 *s3;
    struct stop stop;
};

/** Makes at most `attempts_max` attempts a call, without pauses. */
void bucket_client_open(struct bucket_client *client, unsigned attempts_max);
void bucket_client_close(struct bucket_client *client);
