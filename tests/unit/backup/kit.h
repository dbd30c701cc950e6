/*
 * What the tests of the S3 client share: a transport that plays replies from a script and notes
 * what it was asked, an environment, and time that passes only in pauses.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "backup/s3.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

enum { SCRIPT_REQUESTS_MAX = 40, KIT_PAUSES_MAX = 40 };

/* One exchange: what comes back. */
struct scripted {
    enum s3_status outcome; /* S3_OK: a reply */
    unsigned code;
    const char *body; /* NULL: none */
    const char *etag; /* NULL: none */
    uint64_t bytes;   /* as Content-Length says */
    int64_t date_ms;
    size_t body_len;         /* 0: strlen(body) */
    void (*meanwhile)(void); /* happens during the exchange; NULL: nothing */
};

/* What was asked. */
struct asked {
    char method[8];
    char url[2048];
    char headers[8192]; /* lines with a line feed each */
    struct buf body;    /* owned */
    bool has_body;
    bool has_secrets;
};

struct script {
    const struct scripted *replies; /* borrowed */
    size_t reply_count;
    size_t piece_bytes; /* of bodies given to a sink; 0: all at once */
    atomic_size_t asked_count;
    atomic_bool closed;
    struct asked asked[SCRIPT_REQUESTS_MAX];
};

/** A transport that plays `script` (borrowed until it is closed). An exchange more than the script
 *  has fails the test. */
struct s3_transport script_transport(struct script *script);

/** Frees what was noted. */
void script_free(struct script *script);

/** The value of a header line in `asked`, to be freed by the caller; NULL: there is none. */
char *asked_header(const struct asked *asked, const char *name);

/** A secret that no message may hold, and the environment that has it: two names and values. */
#define KIT_SECRET "s3cr3t-begin-0123456789-" KIT_SECRET_END
#define KIT_SECRET_END "s3cr3t-end-9876543210-!!" /* which free() does not happen to overwrite */

/** getenv() of the tests; `kit_environment` is pairs of name and value, and a NULL. */
extern const char *const *kit_environment;
char *kit_getenv(const char *name);

/** Is the text somewhere in memory that can be written and that a core dump would hold? (A constant
 *  is not.) */
bool kit_is_in_memory(const char *text);

/* The client with a script before it. */
struct kit {
    struct script script;
    struct credentials *credentials;
    struct s3 *s3;
    struct s3_metrics metrics;
    int64_t wall_ms;
    uint64_t chance; /* what random gives */
    uint64_t pauses_ms[KIT_PAUSES_MAX];
    size_t pause_count;
    size_t stop_in_pause; /* the pause in which the process stops, from 1; 0: never */
};

extern const struct clock kit_clock; /* of the one kit that is open; real time without one */

/** Opens a client of s3://bucket-1/some/prefix at http://127.0.0.1:9, path style. `credentials`:
 * taken over; NULL: fixed ones. */
void kit_open(struct kit *kit, const struct scripted *replies, size_t count,
              struct credentials *credentials);

/** Closes it, and checks that the whole script was played and no secret shows. */
void kit_close(struct kit *kit);
