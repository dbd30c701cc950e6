/*
 * A server on a free port, clients for it, and a clock that stands still.
 *
 * The server speaks frames: length (u32), then that many bytes. By default it echoes them; a test
 * replaces members of `handler` before fixture_start(), with the fixture as their `arg`.
 */
#pragma once

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "net/net.h"

enum { FRAME_HEADER_BYTES = 4, DEADLINE_MS = 20000 };

struct fixture {
    struct net *net;
    struct net_options options;
    struct net_handler handler;
    struct metric_registry registry;
    _Atomic int64_t mono_ns;
    _Atomic unsigned clock_reads;
    _Atomic unsigned opened;
    _Atomic unsigned closed;
    _Atomic unsigned arrived;        /* calls */
    _Atomic unsigned received;       /* calls */
    _Atomic unsigned turns;          /* calls of `turned` */
    _Atomic unsigned woken;          /* calls */
    _Atomic uint64_t out_bytes_most; /* most that conn_out() ever held after `received` */
    _Atomic unsigned started;
    _Atomic unsigned stopped;
};

/** Options and handler of an echo server with one worker; nothing runs yet. */
void fixture_init(struct fixture *self);

/** Starts it; fails the test when it does not start. */
void fixture_start(struct fixture *self);

/** Stops and frees it, and checks that every connection that was opened was closed. */
void fixture_stop(struct fixture *self);

/** The sum of a metric family over all workers, labels "" or as in the table. */
uint64_t fixture_metric(struct fixture *self, const char *name, const char *labels);

/** Waits until the family has at least this value; fails the test at the deadline. */
void fixture_await_metric(struct fixture *self, const char *name, const char *labels,
                          uint64_t least);

/** Waits until `*value` is at least this. */
void await_count(const _Atomic unsigned *value, unsigned least);

/** Moves the clock. */
void fixture_pass_ms(struct fixture *self, int64_t ms);

/** Waits until the only worker has looked for stalled connections by the present clock. */
void fixture_await_tick(struct fixture *self);

/** What the default `received` does: echoes whole frames while the connection is not full. */
size_t echo_received(void *arg, struct conn *conn, struct view bytes, size_t *need);

/** The frame at the start of `bytes`, header included; 0 with *need set when it is not whole. */
size_t frame_take(struct view bytes, struct view *payload, size_t *need);

/** Appends a frame to `to`. */
void frame_put(struct buf *to, struct view payload);

/* Clients: plain blocking sockets whose calls give up at the deadline. */

int client_connect(struct fixture *self);
void client_send(int fd, struct view bytes);
void client_send_frame(int fd, const char *text);
/** Receives exactly `len` bytes or fails the test. */
void client_recv(int fd, void *out, size_t len);
/** Receives a frame and compares it. */
void client_expect_frame(int fd, const char *text);
/** Waits for the end of the stream, a reset included; anything else received fails the test. */
void client_expect_end(int fd);
