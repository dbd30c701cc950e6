/*
 * A pipelining connection for tests: as many requests on the way as the caller likes, replies in
 * the order in which they come. Not for several threads at the same time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "proto/native.h"

struct wire {
    int fd;         /* owned; -1 when not connected */
    struct buf in;  /* what was received */
    size_t in_head; /* of which so much was handed out */
    struct buf out; /* what wire_flush() will send */
};

/** Connects to "127.0.0.1:PORT" and says HELLO. False: refused, closed, or HELLO was not accepted.
 */
bool wire_open(struct wire *self, const char *address);

/** Closes and frees; fine for one that is not connected. */
void wire_close(struct wire *self);

/** Collects a request. Memory that is not there ends the test. */
void wire_put(struct wire *self, uint64_t request_id, uint8_t flags, const struct command *cmd);

/** Sends what was collected. False: the connection is broken. */
bool wire_flush(struct wire *self);

/** Takes the next reply, waiting up to `wait_ms`; GOAWAY is skipped. OK: views in `*out` are valid
 *  until the next call. AGAIN: none within the time. IO: the connection ended. INVALID: what came
 *  is not a reply. */
enum status wire_take(struct wire *self, int wait_ms, struct native_reply *out);
