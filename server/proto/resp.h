/*
 * The RESP codec, versions 2 and 3: bytes to requests, and replies to bytes. No I/O and no state of
 * a connection; a request borrows the bytes that it was read from.
 *
 *     *3\r\n $3\r\nSET\r\n $1\r\nk\r\n $5\r\nhello\r\n       a request: an array of bulk strings
 *     SET k "he\x6clo"\r\n                                   or inline, as people type it
 *
 * Texts of errors are those of Redis 7.0, byte for byte.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

struct resp_limits {
    size_t args_max;          /* of a request */
    size_t bulk_bytes_max;    /* of an argument */
    size_t request_bytes_max; /* of a whole request: what a connection may make us keep */
    bool is_stranger;         /* AUTH is still due: those of RESP_STRANGER_… hold as well */
};

enum {
    RESP_LINE_BYTES_MAX = 64 * 1024, /* of an inline request, and of a line with a length */
    RESP_STRANGER_ARGS_MAX = 10,
    RESP_STRANGER_BULK_BYTES_MAX = 16 * 1024,
    RESP_ERRMSG_BYTES = 128,
};

/* How much of a request has been looked at that has not arrived as a whole. One a connection,
 * zeroed at first; resp_decode() keeps it. */
struct resp_progress {
    size_t bytes;     /* at the front of the request, which need not be looked at again */
    size_t args_left; /* that follow them; 0 when it is inline */
};

/* A request. Zeroed before first use; used again and again, also for other connections, it keeps
 * its memory, unless that was exceptionally large. */
struct resp_request {
    struct view *argv; /* owned array of borrowed arguments */
    size_t argc;       /* 0: nothing was asked (an empty line, "*0"), which is not answered */
    size_t cap;
    struct buf unquoted;            /* owned: arguments of an inline request */
    char errmsg[RESP_ERRMSG_BYTES]; /* after INVALID: "Protocol error: …", without "-ERR " */
};

/**
 * Reads the request at the front of `bytes`. OK: `*used` says how many bytes it took; AGAIN: there
 * is not all of it, and calling again with fewer than `*need` bytes is useless; INVALID: the
 * connection has to end after errmsg; NO_MEMORY.
 *
 * After AGAIN the same bytes have to come again with more behind them and the same `progress`,
 * which makes the work stay in proportion to the request's length, in however many pieces it
 * arrives. After the other answers `progress` is zeroed, so that the same bytes may also be read
 * once more.
 */
enum status resp_decode(struct resp_request *self, const struct resp_limits *limits,
                        struct resp_progress *progress, struct view bytes, size_t *used,
                        size_t *need) MUST_CHECK;

/** Gives the memory back; the request is zeroed. */
void resp_request_free(struct resp_request *self);

/* Where replies go. A writer without memory notes it and writes nothing more: look once, at the
 * end. */
struct resp_writer {
    struct buf *to;  /* borrowed */
    bool is_resp3;   /* otherwise RESP2 */
    bool has_failed; /* out of memory: what was written is no whole reply */
};

void resp_simple(struct resp_writer *self, const char *text); /* +OK */
/** "-" and the text, whose first word is the error's code. Line breaks in it become spaces. */
void resp_error(struct resp_writer *self, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void resp_integer(struct resp_writer *self, int64_t number);
void resp_bulk(struct resp_writer *self, struct view bytes);
void resp_bulk_text(struct resp_writer *self, const char *text);
void resp_null(struct resp_writer *self);       /* RESP2: a null bulk string */
void resp_null_array(struct resp_writer *self); /* RESP2: a null array */
void resp_array(struct resp_writer *self, size_t count);
void resp_map(struct resp_writer *self, size_t pairs);  /* RESP2: an array of twice as many */
void resp_set(struct resp_writer *self, size_t count);  /* RESP2: an array */
void resp_push(struct resp_writer *self, size_t count); /* RESP2: an array */
/** RESP3: a verbatim string of the format "txt"; RESP2: a bulk string. */
void resp_verbatim(struct resp_writer *self, struct view text);

/* ---- Numbers as Redis reads and writes them ------------------------------------------------- */

enum { RESP_NUMBER_BYTES_MAX = 5 * 1024 }; /* of a long double without exponent */

/** Reads a decimal integer of one spelling, as Redis' string2ll(): no spaces, no plus sign, no
 *  leading zeros. False: it is none, or does not fit. */
bool resp_parse_integer(struct view text, int64_t *out);

/** Reads a number as Redis does for INCRBYFLOAT. False: it is none, or not a number. */
bool resp_parse_float(struct view text, long double *out);

/** Writes it as INCRBYFLOAT does: 17 digits behind the point at most, no trailing zeros, no
 *  exponent. The part of `out` that was used. */
struct view resp_format_float(long double number, char out[static RESP_NUMBER_BYTES_MAX]);

/** True when `name` is `word` in any case; `word` is lower case. */
bool resp_is_word(struct view name, const char *word);
