/**
 * libsatchel: the client library of the Satchel session store.
 *
 * Two interfaces over one core: blocking calls (this part) and calls on a libevent loop (the second
 * part, `satchel_async_…`, in libsatchel-async). Both speak the native protocol.
 *
 *     struct satchel *store = NULL;
 *     struct satchel_result cart = {0};
 *     if (satchel_open(&(struct satchel_options){.server = "127.0.0.1:7401"}, &store) == SATCHEL_OK
 *         && satchel_get(store, satchel_text("cart:42"), NULL, &cart) == SATCHEL_OK) {
 *         fwrite(cart.content.ptr, 1, cart.content.len, stdout);
 *     }
 *     satchel_result_free(&cart);
 *     satchel_close(store);
 *
 * Statuses are those of <satchel/protocol.h>. A call retries by itself exactly where the status'
 * retry class allows it: RETRY_SAME and RETRY_OTHER until the deadline, with jittered exponential
 * backoff; MAYBE_APPLIED only for requests that may be repeated without harm: GET, PING, STATS,
 * SCAN, and without condition SET, DELETE, TOUCH and a PATCH without INCREMENT. A conditional
 * change, and a PATCH with an INCREMENT, is never repeated once it may have been applied. (So a
 * DELETE that was repeated can answer NOT_FOUND although it removed the session itself.)
 *
 * Requests that were never sent completely are repeated always: a connection that the server has
 * closed meanwhile is not an error. After a fork(2) a client belongs to the parent alone.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <satchel/protocol.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What follows is all that the libraries export. */
#pragma GCC visibility push(default)

/** Bytes that somebody else owns. `ptr` may be NULL when `len` is 0. */
struct satchel_bytes {
    const void *ptr; /* borrowed */
    size_t len;
};

/** The bytes of a C string (not NULL) without its terminating zero; borrowed. */
struct satchel_bytes satchel_text(const char *text);

/** The word of a kind of content ("fields"); "unknown" for a number that is none. A string
 * constant. Any thread. */
const char *satchel_kind_text(enum satchel_kind kind);

/** The text of a status ("no such session"); never NULL, a string constant. Any thread. */
const char *satchel_status_text(enum satchel_status status);

/** The retry class of a status. Any thread. */
enum satchel_retry_class satchel_status_retry(enum satchel_status status);

/** Version of the library, "0.1.0"; a string constant. Any thread. */
const char *satchel_version(void);

/* ---- Blocking client ------------------------------------------------------------------------ */

/** A client: a pool of connections to one server address. Opaque. Any number of threads may use
 *  one client at the same time; each call takes one connection of the pool for its duration. */
struct satchel;

/** How to connect. A zeroed member means the default in brackets. Strings are copied. */
struct satchel_options {
    const char *server;       /* "HOST:PORT", "HOST" or "[IPV6]:PORT"; HOST may resolve to several
                                 addresses, all are tried
                                 [$SATCHEL_SERVER, else "127.0.0.1:7401"] */
    const char *token;        /* shared secret [none] */
    const char *client_name;  /* shown in the server's log ["libsatchel"] */
    uint64_t deadline_ms;     /* for one call with all its retries [2000] */
    uint64_t connect_ms;      /* for connecting to one address, with HELLO [500] */
    unsigned connections_max; /* in the pool; a call waits for a free one [8] */
};

/**
 * Makes a client. Does not connect: the first call does, so an absent server is not an error here.
 * Returns OK; BAD_REQUEST: unusable address; NO_MEMORY. On OK the caller owns `*out`.
 */
enum satchel_status satchel_open(const struct satchel_options *options, struct satchel **out);

/** Closes all connections and frees the client; NULL is fine. No call may be running. */
void satchel_close(struct satchel *self);

/** Which acknowledgement a change waits for. */
enum satchel_ack {
    SATCHEL_ACK_DEFAULT, /* what the server is set to; durable unless configured otherwise */
    SATCHEL_ACK_DURABLE, /* on stable storage: survives the loss of the server */
    SATCHEL_ACK_FAST,    /* in the server's memory: lost if it dies within the next milliseconds */
};

/** A condition on the session as it is when the command runs. */
enum satchel_condition {
    SATCHEL_ALWAYS,
    SATCHEL_IF_VERSION, /* it exists and has `if_version` */
    SATCHEL_IF_ABSENT,
    SATCHEL_IF_PRESENT,
};

/**
 * Options of a command. NULL or zeroed: no condition, server's ack, no change of times. Members
 * that do not apply to a command must be zero (BAD_REQUEST otherwise).
 */
struct satchel_command_options {
    enum satchel_ack ack;             /* SET DELETE TOUCH PATCH */
    enum satchel_condition condition; /* SET DELETE TOUCH PATCH */
    uint64_t if_version;              /* with SATCHEL_IF_VERSION */
    uint64_t ttl_ms;      /* SET TOUCH PATCH: expires this long from now; not with idle_ttl_ms */
    uint64_t idle_ttl_ms; /* SET TOUCH PATCH: expires after this long without touch or change */
    bool keep_ttl;        /* SET: keep the times the session has; not with the two above */
    bool touch;           /* GET: start the idle time again */
    bool return_content;  /* PATCH: the result holds the whole content */
    const struct satchel_bytes
        *owner;           /* SET PATCH: whose session it is; NULL: SET clears, PATCH keeps */
    uint64_t deadline_ms; /* for this call; 0 = the client's */
};

/** What a command answered. Zero it before first use; a call frees what it held before. */
struct satchel_result {
    uint64_t version;       /* the session's version now; 0 = there is none */
    uint64_t expires_in_ms; /* time left when the server answered; 0 = lives on */
    uint64_t idle_ttl_ms;   /* 0 = fixed time */
    uint64_t created_ms;    /* milliseconds since 1970-01-01 UTC */
    bool has_content;
    enum satchel_kind kind;       /* when has_content */
    struct satchel_bytes content; /* BLOB: the bytes; FIELDS and NAMES, where values are empty: walk
                                     it with satchel_next_field. Points into `memory` */
    struct satchel_bytes owner;   /* GET; points into `memory` */
    struct satchel_bytes message; /* what was wrong, for people; points into `memory` */
    void *memory;                 /* owned by the result */
};

/** Frees what the result holds and zeroes it; NULL is fine. */
void satchel_result_free(struct satchel_result *result);

/** One named field. */
struct satchel_field {
    struct satchel_bytes name;
    struct satchel_bytes value;
};

/** Takes the next field off the front of `*rest` (a copy of result.content of kind FIELDS or
 * NAMES). False at the end. Borrows from the result. */
bool satchel_next_field(struct satchel_bytes *rest, struct satchel_field *field);

/** Finds a field by name in content of kind FIELDS or NAMES; false when it is not there. */
bool satchel_find_field(struct satchel_bytes content, struct satchel_bytes name,
                        struct satchel_bytes *value);

/** One operation on a field. */
struct satchel_op {
    enum satchel_field_op op;
    struct satchel_bytes name;
    struct satchel_bytes value; /* SET, SET_IF_ABSENT */
    int64_t delta;              /* INCREMENT */
};

/**
 * What was wrong in this thread's last blocking call, in words ("cannot connect to 127.0.0.1:7401:
 * connection refused"); "" after OK. Never NULL; valid until this thread's next blocking call.
 */
const char *satchel_last_message(void);

/*
 * Each call returns the status of the last attempt, except that "nothing happened" (UNREACHABLE,
 * BUSY, …) never follows an attempt that may have been applied: then that one's status is returned.
 * `result` may be NULL. `options` may be NULL. Ids are 1 to 512 bytes of any kind. Any thread.
 */

/** Reads a session. NOT_FOUND: there is none (it may have expired). */
enum satchel_status satchel_get(struct satchel *self, struct satchel_bytes id,
                                const struct satchel_command_options *options,
                                struct satchel_result *result);

/** Replaces a session by a blob. CONDITION_FAILED: result->version is the version it has. */
enum satchel_status satchel_set(struct satchel *self, struct satchel_bytes id,
                                struct satchel_bytes value,
                                const struct satchel_command_options *options,
                                struct satchel_result *result);

/** Replaces a session by named fields. */
enum satchel_status satchel_set_fields(struct satchel *self, struct satchel_bytes id,
                                       const struct satchel_field *fields, size_t count,
                                       const struct satchel_command_options *options,
                                       struct satchel_result *result);

/** Removes a session. NOT_FOUND: there was none. */
enum satchel_status satchel_delete(struct satchel *self, struct satchel_bytes id,
                                   const struct satchel_command_options *options,
                                   struct satchel_result *result);

/** Starts the idle time again, or sets new times when options give them. NOT_FOUND: there is none.
 */
enum satchel_status satchel_touch(struct satchel *self, struct satchel_bytes id,
                                  const struct satchel_command_options *options,
                                  struct satchel_result *result);

/** Changes single fields, atomically and in order; makes the session when it is absent (unless the
 *  condition forbids). The result's content holds the incremented and set-if-absent fields with
 *  their values now, or everything with return_content. WRONG_KIND: it is a blob. */
enum satchel_status satchel_patch(struct satchel *self, struct satchel_bytes id,
                                  const struct satchel_op *ops, size_t count,
                                  const struct satchel_command_options *options,
                                  struct satchel_result *result);

/** Asks whether the server answers. */
enum satchel_status satchel_ping(struct satchel *self);

/** Reads the server's counters: result->content is text, one `name value` a line. */
enum satchel_status satchel_stats(struct satchel *self, struct satchel_result *result);

/** One session of a scan; valid during the callback. */
struct satchel_scan_entry {
    struct satchel_bytes id;
    uint64_t version;
    uint64_t expires_in_ms; /* 0 = lives on */
    uint64_t content_bytes;
    enum satchel_kind kind;
};

/** Called once a session on the calling thread; false ends the scan. */
typedef bool (*satchel_scan_fn)(void *arg, const struct satchel_scan_entry *entry);

/** Visits all sessions whose id begins with `prefix`. Those present all the while are visited at
 *  least once; one that comes, goes or moves meanwhile may be missed or visited twice. */
enum satchel_status satchel_scan(struct satchel *self, struct satchel_bytes prefix,
                                 satchel_scan_fn visit, void *arg);

/** What satchel_update's callback decides. */
enum satchel_update_action { SATCHEL_UPDATE_WRITE, SATCHEL_UPDATE_DELETE, SATCHEL_UPDATE_LEAVE };

/**
 * Makes the new content from the old. `old` has has_content false when there is no session. To
 * write, point `*value` to bytes that stay valid until the next call of the callback or the return
 * of satchel_update. May be called several times: it must depend on `old` alone.
 */
typedef enum satchel_update_action (*satchel_update_fn)(void *arg, const struct satchel_result *old,
                                                        struct satchel_bytes *value);

/**
 * Reads a session, lets `change` make its new content, writes that on condition that nobody else
 * wrote meanwhile, and starts over when somebody did, until the deadline. For blobs; times come
 * from `options` (keep_ttl is implied when options give none), and so does the owner (which stays
 * when options give none); condition must be ALWAYS. OK also when the callback left it alone.
 * CONDITION_FAILED: still conflicting at the deadline.
 */
enum satchel_status satchel_update(struct satchel *self, struct satchel_bytes id,
                                   satchel_update_fn change, void *arg,
                                   const struct satchel_command_options *options,
                                   struct satchel_result *result);

/* ---- On a libevent loop (link libsatchel-async) ---------------------------------------------- */

struct event_base;

/** A client on one event loop: one multiplexed connection. Opaque. Only the loop's thread may use
 * it. */
struct satchel_async;

/** Makes a client on `base` (borrowed; must outlive the client). Options as for satchel_open;
 *  connections_max does not apply. Connects at the first request and again after a loss. */
enum satchel_status satchel_async_open(struct event_base *base,
                                       const struct satchel_options *options,
                                       struct satchel_async **out);

/** Answers every request in flight with CLOSED, then frees the client; NULL is fine. Not to be
 * called from inside a callback of this client. */
void satchel_async_close(struct satchel_async *self);

/** Called exactly once a request on the loop's thread, never before the requesting call returned
 *  (except with NO_MEMORY when there is not even memory to remember the request).
 *  `result` is never NULL and valid during the call; copy what is needed. */
typedef void (*satchel_async_fn)(void *arg, enum satchel_status status,
                                 const struct satchel_result *result);

/*
 * Each starts one request: arguments are copied before it returns, and the answer comes by `done`
 * (also when the request is refused locally). Deadlines and retries as in the blocking calls. While
 * there is no connection, or too many requests are unanswered, requests wait in the client, up to
 * 16,384 of them or 64 MiB; one more is answered BUSY. At its deadline a request that was never
 * sent is answered with what kept it (UNREACHABLE, LOADING, BUSY), one that was with TIMED_OUT.
 */
void satchel_async_get(struct satchel_async *self, struct satchel_bytes id,
                       const struct satchel_command_options *options, satchel_async_fn done,
                       void *arg);
void satchel_async_set(struct satchel_async *self, struct satchel_bytes id,
                       struct satchel_bytes value, const struct satchel_command_options *options,
                       satchel_async_fn done, void *arg);
void satchel_async_delete(struct satchel_async *self, struct satchel_bytes id,
                          const struct satchel_command_options *options, satchel_async_fn done,
                          void *arg);
void satchel_async_touch(struct satchel_async *self, struct satchel_bytes id,
                         const struct satchel_command_options *options, satchel_async_fn done,
                         void *arg);
void satchel_async_patch(struct satchel_async *self, struct satchel_bytes id,
                         const struct satchel_op *ops, size_t count,
                         const struct satchel_command_options *options, satchel_async_fn done,
                         void *arg);
void satchel_async_ping(struct satchel_async *self, satchel_async_fn done, void *arg);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif
