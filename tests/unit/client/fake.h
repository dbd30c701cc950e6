/*
 * A server of the tests: it speaks the native protocol on a port of the loopback that the kernel
 * picked, and does what the test's script says. Without a script it is a small store in memory,
 * made of session_apply() itself.
 *
 * It runs on a thread of its own; scripts are called on that thread.
 */
#pragma once

#include "proto/native.h"

struct fake;
struct fake_peer;

struct fake_request {
    struct native_header header;
    struct view body;
    unsigned number;     /* of all requests but HELLO, from 1 */
    unsigned connection; /* from 1 */
};

typedef void (*fake_script)(struct fake_peer *peer, const struct fake_request *request, void *arg);

struct fake_options {
    fake_script script; /* NULL: the store */
    void *arg;
    fake_script hello;  /* NULL: checks the token and welcomes */
    const char *token;  /* NULL: none is needed */
    size_t piece_bytes; /* answers are sent in pieces of so many bytes; 0 = whole */
    uint64_t in_flight; /* the limit it advertises; 0 = 1024 */
};

struct fake *fake_start(const struct fake_options *options);
void fake_stop(struct fake *self);

/** "127.0.0.1:PORT". */
const char *fake_address(const struct fake *self);

/** How many connections were accepted, and requests but HELLO received, so far. Any thread. */
unsigned fake_connections(const struct fake *self);
unsigned fake_requests(const struct fake *self);

/** Closes all connections and returns when they are closed. Not from a script. */
void fake_close_connections(struct fake *self);

/* ---- For scripts ---- */

void fake_reply(struct fake_peer *peer, const struct native_reply *reply);

/** Answers a request with a status and, if not 0, a pause. */
void fake_status(struct fake_peer *peer, const struct fake_request *request,
                 enum satchel_status status, uint64_t retry_after_ms);

/** Sends bytes as they are. */
void fake_send(struct fake_peer *peer, struct view bytes);

/** Closes the connection when the script returns. */
void fake_drop(struct fake_peer *peer);

/** Reads no more from the connection. */
void fake_stop_reading(struct fake_peer *peer);

/** Sends GOAWAY. */
void fake_goaway(struct fake_peer *peer);

/** Welcomes with the limits of the options, as the server does on HELLO. */
void fake_welcome(struct fake_peer *peer, const struct fake_request *request);

/** Runs the request on the store and answers. */
void fake_store(struct fake_peer *peer, const struct fake_request *request);
