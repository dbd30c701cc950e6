/*
 * A server for one test: it takes connections one after the other on a thread of its own and
 * answers each request with the next of the given bytes, whatever the request was.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

enum { PEER_REQUESTS_MAX = 8 };

struct peer_reply {
    const char *bytes; /* sent as they are; NULL: none */
    bool closes;       /* the connection afterwards */
    bool waits;        /* for the client to close first */
    bool half;         /* reads the head of the request only, before it goes on */
};

typedef struct ssl_ctx_st SSL_CTX; /* of OpenSSL */

struct peer {
    const struct peer_reply *replies; /* borrowed */
    size_t reply_count;
    SSL_CTX *tls; /* borrowed; NULL: plain */
    int listener;
    uint16_t port;
    pthread_t thread;
    atomic_size_t requests_seen;
    unsigned connections;                   /* valid after peer_stop(), as below */
    struct buf requests[PEER_REQUESTS_MAX]; /* owned; head and body */
};

/** Starts it on 127.0.0.1. */
void peer_start(struct peer *self, const struct peer_reply *replies, size_t count, SSL_CTX *tls);

/** Ends it, whatever it is doing. */
void peer_stop(struct peer *self);

void peer_free(struct peer *self);

/** The text of a request, up to its first zero; valid until the peer is freed. */
const char *peer_request(const struct peer *self, size_t i);
