/*
 * One connection of a client, without its socket.
 *
 * The core turns requests into bytes to send and received bytes into events; a shell moves the
 * bytes (blocking: channel.c, on an event loop: async_link.c) and keeps the time. So everything
 * that can go wrong in the protocol is decided, and tested, here.
 *
 *               HELLO accepted            GOAWAY
 *     GREETING ───────────────▶ OPEN ───────────────▶ LEAVING
 *         │                       │                       │
 *         └──── refused, or bytes that break the protocol ┴───▶ BROKEN
 *
 *     GREETING  core_init() has put HELLO into the output; nothing else may be sent
 *     OPEN      requests may be sent, up to the server's limit of unanswered ones
 *     LEAVING   what was sent will still be answered; nothing new may be sent
 *     BROKEN    close the socket; no more events come
 *
 * A request id is {generation u32, slot u32}: the slot finds the request in one step, and the
 * generation tells an answer that comes late, to a request that was given up, from a wrong one.
 *
 * One thread at a time.
 */
#pragma once

#include "base/bytes.h"
#include "proto/native.h"
#include "satchel/protocol.h"

enum core_state { CORE_GREETING, CORE_OPEN, CORE_LEAVING, CORE_BROKEN };

struct core_slot {
    void *owner; /* the shell's request; borrowed, only handed back */
    uint32_t generation;
    uint32_t next_free; /* index + 1; 0 = the end of the list */
    uint8_t opcode;
    bool is_used;
};

struct core {
    enum core_state state;
    struct buf in;
    size_t in_read; /* bytes at the front of `in` that events were made from already */
    struct buf out;
    size_t out_read;         /* bytes at the front of `out` that the shell has written already */
    uint64_t out_bytes;      /* ever put into `out` */
    uint64_t written_bytes;  /* ever written by the shell */
    struct core_slot *slots; /* owned */
    uint32_t slot_count;
    uint32_t slot_free; /* index + 1 of the first free slot; 0 = none */
    uint64_t unanswered;
    uint64_t limit_in_flight;  /* as HELLO's reply said */
    uint64_t limit_body_bytes; /* as HELLO's reply said */
};

enum core_event_kind {
    CORE_EVENT_OPENED,  /* HELLO was accepted */
    CORE_EVENT_REPLIED, /* a request was answered: `owner` and `reply` */
    CORE_EVENT_LEAVING, /* the server sent GOAWAY */
    CORE_EVENT_FAILED,  /* `reply.status`, `reply.message` and `reply.retry_after_ms` say why */
};

/* Views point into the core's input until the next call of core_input_space(). */
struct core_event {
    enum core_event_kind kind;
    void *owner;
    struct native_reply reply;
    struct view body; /* the tags of a reply to STATS and SCAN, for native_next_tag() */
};

struct core_greeting {
    const char *token;       /* borrowed; NULL: none */
    const char *client_name; /* borrowed; NULL: none */
};

/** Starts a connection: HELLO is in the output. NO_MEMORY: nothing is held. */
enum status core_init(struct core *self, const struct core_greeting *greeting) MUST_CHECK;

void core_free(struct core *self);

/** True when a request may be sent now: OPEN, and below the server's limit of unanswered ones. */
bool core_can_send(const struct core *self);

struct core_request {
    enum satchel_opcode opcode;
    uint8_t flags;    /* SATCHEL_FLAG_ACK_… */
    struct view body; /* tagged fields; copied */
    void *owner;      /* comes back with the reply; not NULL */
};

/**
 * Puts a request into the output; core_can_send() holds. `*id` names it, `*end` is its place in the
 * stream of bytes: see core_was_sent(). TOO_LARGE: over the server's limit; NO_MEMORY; on both
 * nothing is sent.
 */
enum satchel_status core_send(struct core *self, const struct core_request *request, uint64_t *id,
                              uint64_t *end);

/** Forgets the owner of a request: its reply, if it still comes, is dropped. */
void core_abandon(struct core *self, uint64_t id);

/** What is to be written to the socket; the shell reports how much of it was. */
struct view core_output(const struct core *self);
void core_output_written(struct core *self, size_t len);

/** True when all bytes up to `end` were written, so that the server may have the request. A request
 *  that was written in part only cannot be applied: the frame is not complete. */
static inline bool core_was_sent(const struct core *self, uint64_t end)
{
    return self->written_bytes >= end;
}

/** Room for received bytes: `*room` bytes at `*at`, enough for the rest of a frame whose header has
 *  come, and at least 16 KiB. NO_MEMORY: the connection cannot go on. */
enum status core_input_space(struct core *self, uint8_t **at, size_t *room) MUST_CHECK;

/** Says that `len` bytes were received into that room. */
void core_input_received(struct core *self, size_t len);

/** The next event from what was received: OK, or AGAIN when more bytes are needed (always when
 *  BROKEN). */
enum status core_next(struct core *self, struct core_event *event) MUST_CHECK;
