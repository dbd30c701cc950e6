/*
 * The native codec: bytes to frames, commands and replies, and back. No I/O, no state, no memory of
 * its own; decoders read borrowed bytes, encoders append to a caller's buffer. Used by both sides.
 * The format is include/satchel/protocol.h; docs/wire-protocol.md shows it in hex.
 */
#pragma once

#include "base/bytes.h"
#include "satchel/protocol.h"
#include "session/session.h"

struct native_header {
    uint8_t version;
    uint8_t opcode; /* may be unknown */
    uint8_t flags;
    uint32_t body_bytes;
    uint64_t request_id;
    uint16_t status; /* may be unknown */
};

/**
 * Reads a header. OK; AGAIN: fewer than SATCHEL_HEADER_BYTES bytes; INVALID: magic or checksum
 * wrong, nothing in it can be trusted and the connection has to end; UNSUPPORTED: a version other
 * than 1, or reserved bits set (the header is filled, so that the refusal can name the request).
 */
enum status native_decode_header(struct view bytes, struct native_header *out) MUST_CHECK;

/** Writes the 24 bytes of a header to `out`. */
void native_encode_header(uint8_t out[SATCHEL_HEADER_BYTES], const struct native_header *header);

/**
 * The longest body of a request with this opcode that a server with this value limit reads; checked
 * with the header alone, so that nobody makes it collect more than it will use. HELLO and PING,
 * which a stranger may send, are short.
 */
uint32_t native_body_bytes_max(unsigned opcode, uint64_t value_bytes_max);

struct native_tag {
    uint16_t tag;
    struct view bytes;
};

/** Takes the next tagged field off `*rest`. OK, END, or INVALID when the lengths do not fit. Inline
 *  because every request passes here several times. */
MUST_CHECK static inline enum status native_next_tag(struct view *rest, struct native_tag *out)
{
    if (rest->len == 0) {
        return STATUS_END;
    }
    if (rest->len < SATCHEL_TAG_BYTES) {
        return STATUS_INVALID;
    }
    size_t value_bytes = load_u32(rest->ptr + 2);
    if (value_bytes > rest->len - SATCHEL_TAG_BYTES) {
        return STATUS_INVALID;
    }
    out->tag = load_u16(rest->ptr);
    out->bytes = view_of(rest->ptr + SATCHEL_TAG_BYTES, value_bytes);
    rest->ptr += SATCHEL_TAG_BYTES + value_bytes;
    rest->len -= SATCHEL_TAG_BYTES + value_bytes;
    return STATUS_OK;
}

/* A HELLO as the server sees it. */
struct native_hello {
    uint16_t wire_version; /* highest the client speaks */
    uint64_t features;
    struct view token;       /* empty: none given */
    struct view client_name; /* may be empty */
};

/* A SCAN as the server sees it. */
struct native_scan {
    uint64_t cursor;
    uint64_t count; /* 1..SATCHEL_SCAN_COUNT_MAX */
    struct view prefix;
};

/* What a request body turned out to be; which member holds depends on the header's opcode. */
struct native_request {
    struct native_header header;
    union {
        struct command command; /* GET SET DELETE TOUCH PATCH */
        struct native_hello hello;
        struct native_scan scan;
        /* PING and STATS have none */
    };
};

/**
 * Decodes the body of a request whose header was read (request->header is set). OK fills the member
 * for the opcode; `ack_default` is used when the header names no ack. Otherwise BAD_REQUEST,
 * TOO_LARGE or UNSUPPORTED with a static text in `*why`. Views point into `body`.
 */
enum satchel_status native_decode_request(struct native_request *request, struct view body,
                                          enum ack ack_default, uint64_t value_bytes_max,
                                          const char **why);

/* One reply, both directions. Members that are not set (0, empty) are not sent, except `version`,
 * which goes with every reply to a command on a session. */
struct native_reply {
    uint64_t request_id;
    enum satchel_opcode opcode;
    enum satchel_status status;
    struct view message;
    uint64_t retry_after_ms;
    bool has_version;
    uint64_t version;
    uint64_t expires_in_ms;
    uint64_t idle_ttl_ms;
    uint64_t created_ms;
    struct view owner;
    bool has_content; /* of this kind */
    enum satchel_kind kind;
    struct view content;
};

/** Appends the frame of a reply to a command, PING, or of any error. OK or NO_MEMORY (the buffer is
 *  as before). */
enum status native_encode_reply(struct buf *to, const struct native_reply *reply) MUST_CHECK;

/** How many bytes native_encode_reply will append. */
size_t native_reply_bytes(const struct native_reply *reply);

/** Decodes the body of a reply with this header. OK or INVALID. Unknown tags that are not critical
 *  are skipped; tags of HELLO, SCAN and STATS replies are for native_next_tag(). */
enum status native_decode_reply(const struct native_header *header, struct view body,
                                struct native_reply *out) MUST_CHECK;

/** Appends the frame of a request for a command on a session, with the ack bits `flags`. OK or
 * NO_MEMORY. */
enum status native_encode_command(struct buf *to, uint64_t request_id, uint8_t flags,
                                  const struct command *cmd) MUST_CHECK;

/* Frames with other bodies are built from these: begin, any number of tags, end. */

/** Reserves a header at the end of `to`; `*start` is where. */
enum status native_frame_begin(struct buf *to, size_t *start) MUST_CHECK;
enum status native_put_bytes(struct buf *to, enum satchel_tag tag, struct view bytes) MUST_CHECK;
enum status native_put_u64(struct buf *to, enum satchel_tag tag, uint64_t value) MUST_CHECK;
enum status native_put_u16(struct buf *to, enum satchel_tag tag, uint16_t value) MUST_CHECK;
/** Fills in the reserved header: body_bytes is computed, the rest comes from `header`. */
void native_frame_end(struct buf *to, size_t start, struct native_header header);

/** The word of an opcode ("get"), or NULL for an unknown one. A string constant. */
const char *native_opcode_word(unsigned opcode);

/** Text, retry class and name of a status; an unknown number reads as UNKNOWN_OUTCOME. */
const char *satchel_status_text_of(enum satchel_status status);
enum satchel_retry_class satchel_status_retry_of(enum satchel_status status);
const char *satchel_status_name_of(enum satchel_status status);
