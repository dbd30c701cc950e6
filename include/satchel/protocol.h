/**
 * Satchel's native wire protocol, version 1: the contract, as tables.
 *
 * docs/wire-protocol.md explains it with diagrams and hex vectors; this header is what both sides
 * compile. All numbers are little-endian and unaligned.
 *
 *      0        1        2        3        4                 8
 *     +--------+--------+--------+--------+-----------------+
 *     | magic  |version | opcode | flags  |   body length   |
 *     +--------+--------+--------+--------+-----------------+
 *     |                    request id                       |
 *     +-----------------+-----------------+-----------------+
 *     |     status      |  reserved = 0   | header checksum |   24 bytes, then the body
 *     +-----------------+-----------------+-----------------+
 *
 * The header checksum is the low 32 bits of XXH3-64 (seed 0) over the first 20 bytes. The body is
 * a sequence of tagged fields: tag (u16), length (u32), bytes.
 */
#pragma once

#include <stdint.h>

enum {
    SATCHEL_WIRE_MAGIC = 0xB5, /* no RESP or HTTP request starts with it */
    SATCHEL_WIRE_VERSION = 1,
    SATCHEL_HEADER_BYTES = 24,
    SATCHEL_HEADER_CHECKED_BYTES = 20, /* what the header checksum covers */
    SATCHEL_TAG_BYTES = 6,             /* tag and length before each field's bytes */
    SATCHEL_TAG_CRITICAL = 0x8000,     /* a receiver that does not know such a tag must refuse */
    SATCHEL_PORT = 7401,
    SATCHEL_OPS_PORT = 7402,
};

/* Header flags; all other bits must be zero. */
enum {
    SATCHEL_FLAG_REPLY = 0x01,       /* set on everything a server sends */
    SATCHEL_FLAG_ACK_DURABLE = 0x02, /* answer when the change is on stable storage */
    SATCHEL_FLAG_ACK_FAST = 0x04,    /* answer from memory; neither bit: the server's default */
};

/* Limits of the format itself; what a server allows it says in its HELLO reply. */
enum {
    SATCHEL_ID_BYTES_MAX = 512,
    SATCHEL_OWNER_BYTES_MAX = 255,
    SATCHEL_VALUE_BYTES_MAX = 16 * 1024 * 1024,
    SATCHEL_FIELD_NAME_BYTES_MAX = 256,
    SATCHEL_FIELDS_MAX = 1024,
    SATCHEL_PATCH_OPS_MAX = 256,
    SATCHEL_SCAN_COUNT_MAX = 1000,
    SATCHEL_SCAN_COUNT_DEFAULT = 100,
    SATCHEL_HELLO_BODY_BYTES_MAX = 4096, /* HELLO and PING: what a stranger may send */
    SATCHEL_BODY_BYTES_MAX = SATCHEL_VALUE_BYTES_MAX + 64 * 1024,
};

/** The longest time to live: ten years in milliseconds. */
#define SATCHEL_TTL_MS_MAX UINT64_C(315576000000)

/* NAME, number, word, meaning */
#define SATCHEL_OPCODES(X)                                                                         \
    X(HELLO, 1, "hello", "negotiate version and features, present the token, learn the limits")    \
    X(PING, 2, "ping", "answer at once")                                                           \
    X(GET, 3, "get", "read a session; with TOUCH its idle time starts again")                      \
    X(SET, 4, "set", "replace a session's content, owner and times")                               \
    X(DELETE, 5, "delete", "remove a session")                                                     \
    X(TOUCH, 6, "touch", "start the idle time again, or set new times")                            \
    X(PATCH, 7, "patch", "change single fields of a session, atomically")                          \
    X(STATS, 8, "stats", "read the server's counters")                                             \
    X(SCAN, 9, "scan", "list session ids, page by page")                                           \
    X(GOAWAY, 10, "goaway", "pushed by a server that stops: finish here, connect elsewhere")

enum satchel_opcode {
#define X(name, number, word, meaning) SATCHEL_OP_##name = number,
    SATCHEL_OPCODES(X)
#undef X
};

/*
 * What a client may do after a status that is not OK:
 *   FINAL          the answer is the answer; the same request gets it again
 *   RETRY_SAME     nothing happened; ask again here after a pause
 *   RETRY_OTHER    nothing happened; ask another server (or here after reconnecting)
 *   MAYBE_APPLIED  the change may or may not have happened: read before repeating, unless the
 *                  request is idempotent
 */
enum satchel_retry_class {
    SATCHEL_RETRY_NONE,
    SATCHEL_RETRY_FINAL,
    SATCHEL_RETRY_SAME,
    SATCHEL_RETRY_OTHER,
    SATCHEL_RETRY_MAYBE_APPLIED,
};

/* NAME, number, retry class, text. Numbers from 1000 up never travel: the client library makes
 * them. */
#define SATCHEL_STATUSES(X)                                                                        \
    X(OK, 0, NONE, "ok")                                                                           \
    X(NOT_FOUND, 1, FINAL, "no such session")                                                      \
    X(CONDITION_FAILED, 2, FINAL, "the condition does not hold")                                   \
    X(WRONG_KIND, 3, FINAL, "the session holds another kind of content")                           \
    X(NOT_A_NUMBER, 4, FINAL, "the field does not hold a decimal integer")                         \
    X(OUT_OF_RANGE, 5, FINAL, "the number would leave its range")                                  \
    X(BAD_REQUEST, 16, FINAL, "the request does not follow the protocol")                          \
    X(TOO_LARGE, 17, FINAL, "the request is over a limit")                                         \
    X(UNSUPPORTED, 18, FINAL, "unknown version, opcode or critical tag")                           \
    X(HELLO_REQUIRED, 19, FINAL, "the first request has to be HELLO")                              \
    X(UNAUTHENTICATED, 20, FINAL, "the token is missing or wrong")                                 \
    X(BUSY, 32, SAME, "over capacity for the moment")                                              \
    X(LOADING, 33, SAME, "still reading its data")                                                 \
    X(STOPPING, 34, OTHER, "shutting down")                                                        \
    X(NO_SPACE, 35, SAME, "the storage is full; reads go on")                                      \
    X(UNKNOWN_OUTCOME, 48, MAYBE_APPLIED, "the change may or may not have happened")               \
    X(TIMED_OUT, 1000, MAYBE_APPLIED, "no answer within the deadline")                             \
    X(UNREACHABLE, 1001, OTHER, "cannot connect")                                                  \
    X(DISCONNECTED, 1002, MAYBE_APPLIED, "the connection broke before the answer")                 \
    X(BAD_REPLY, 1003, MAYBE_APPLIED, "the answer does not follow the protocol")                   \
    X(NO_MEMORY, 1004, FINAL, "out of memory")                                                     \
    X(CLOSED, 1005, FINAL, "the client is closed")

enum satchel_status {
#define X(name, number, retry, text) SATCHEL_##name = number,
    SATCHEL_STATUSES(X)
#undef X
};

/*
 * Tags. NAME, number, type, where, meaning. Types: BYTES, U16, U64, I64, FLAG (no bytes), FIELDS,
 * OPS. Where: q = in requests, r = in replies. A tag stands at most once in a body, except STAT and
 * ENTRY.
 *
 * FIELDS is a sequence of {name length u16, value length u32, name, value}; no name stands twice.
 * OPS is a sequence of {op u8, name length u16, value length u32, name, value}, applied in order;
 * see enum satchel_field_op.
 * ENTRY is {version u64, expires in ms u64 (0 = never), content length u32, kind u8, id}.
 */
#define SATCHEL_TAGS(X)                                                                            \
    X(MESSAGE, 0x0001, BYTES, "r", "what is wrong, for people")                                    \
    X(RETRY_AFTER_MS, 0x0002, U64, "r", "when to ask again")                                       \
    X(CLIENT_NAME, 0x0003, BYTES, "q", "who connects, for the server's log")                       \
    X(SERVER_NAME, 0x0004, BYTES, "r", "software and version")                                     \
    X(FEATURES, 0x0005, U64, "qr", "feature bits both sides may use; none are defined yet")        \
    X(LIMIT_ID_BYTES, 0x0010, U64, "r", "longest session id")                                      \
    X(LIMIT_VALUE_BYTES, 0x0011, U64, "r", "largest content")                                      \
    X(LIMIT_FIELDS, 0x0012, U64, "r", "most fields a session")                                     \
    X(LIMIT_FIELD_NAME_BYTES, 0x0013, U64, "r", "longest field name")                              \
    X(LIMIT_PATCH_OPS, 0x0014, U64, "r", "most operations in one PATCH")                           \
    X(LIMIT_BODY_BYTES, 0x0015, U64, "r", "largest request body")                                  \
    X(LIMIT_IN_FLIGHT, 0x0016, U64, "r", "most unanswered requests on a connection")               \
    X(VERSION, 0x0020, U64, "r", "the session's version; 0 = there is none")                       \
    X(EXPIRES_IN_MS, 0x0021, U64, "r", "time left to live; absent = lives on")                     \
    X(CREATED_MS, 0x0022, U64, "r", "when the session was created, ms since 1970")                 \
    X(STAT, 0x0030, BYTES, "r", "one line `name value`")                                           \
    X(ENTRY, 0x0031, BYTES, "r", "one session of a SCAN")                                          \
    X(TOKEN, 0x8001, BYTES, "q", "the shared secret")                                              \
    X(WIRE_VERSION, 0x8002, U16, "qr", "HELLO: highest version spoken; reply: version to speak")   \
    X(ID, 0x8010, BYTES, "q", "session id")                                                        \
    X(VALUE, 0x8011, BYTES, "qr", "content of a blob session")                                     \
    X(FIELDS, 0x8012, FIELDS, "qr", "content of a fields session")                                 \
    X(OWNER, 0x8013, BYTES, "qr", "whose session it is")                                           \
    X(TTL_MS, 0x8014, U64, "q", "expires this long from now, whatever happens")                    \
    X(IDLE_TTL_MS, 0x8015, U64, "qr", "expires after this long without a touch")                   \
    X(KEEP_TTL, 0x8016, FLAG, "q", "SET: keep the times the session has")                          \
    X(TOUCH, 0x8017, FLAG, "q", "GET: start the idle time again")                                  \
    X(IF_VERSION, 0x8018, U64, "q", "only if the session has this version")                        \
    X(IF_ABSENT, 0x8019, FLAG, "q", "only if there is no such session")                            \
    X(IF_PRESENT, 0x801a, FLAG, "q", "only if there is such a session")                            \
    X(OPS, 0x801b, OPS, "q", "PATCH: what to do with which field")                                 \
    X(RETURN_CONTENT, 0x801c, FLAG, "q", "PATCH: answer with the whole content")                   \
    X(CURSOR, 0x801d, U64, "qr", "SCAN: where to go on; 0 = start / the end")                      \
    X(COUNT, 0x801e, U64, "q", "SCAN: about how many")                                             \
    X(PREFIX, 0x801f, BYTES, "q", "SCAN: only ids that begin so")                                  \
    X(NAMES, 0x8020, FIELDS, "qr", "content of a names session: fields without values")

enum satchel_tag {
#define X(name, number, type, where, meaning) SATCHEL_TAG_##name = number,
    SATCHEL_TAGS(X)
#undef X
};

/* The operations of a PATCH: NAME, number, meaning. */
#define SATCHEL_FIELD_OPS(X)                                                                       \
    X(SET, 1, "the field becomes the value")                                                       \
    X(DELETE, 2, "the field goes, if it is there; the value is empty")                             \
    X(INCREMENT, 3, "the decimal integer in the field grows by the i64 in the value (8 bytes)")    \
    X(SET_IF_ABSENT, 4, "the field becomes the value if it is not there")

enum satchel_field_op {
#define X(name, number, meaning) SATCHEL_FIELD_##name = number,
    SATCHEL_FIELD_OPS(X)
#undef X
};

/* What a session holds: NAME, number, the tag it travels with, word. */
#define SATCHEL_KINDS(X)                                                                           \
    X(BLOB, 1, VALUE, "blob")      /* bytes */                                                     \
    X(FIELDS, 2, FIELDS, "fields") /* values that have names */                                    \
    X(NAMES, 3, NAMES, "names")    /* a set of names: fields without values */

enum satchel_kind {
#define X(name, number, tag, word) SATCHEL_##name = number,
    SATCHEL_KINDS(X)
#undef X
};
