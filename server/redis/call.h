/*
 * One command that is being answered. Its handler reads arguments, looks at the sessions that the
 * command's keys name, stages changes (session/transaction.h) and writes one reply. Sessions are
 * locked meanwhile: no I/O, nothing slow. A handler that stages something and then finds an error
 * would change what it refused: look first, change last.
 *
 *     a string of Redis      is a session of kind BLOB
 *     a hash                 of kind FIELDS
 *     a set                  of kind NAMES: fields without values
 *
 * A hash or set that loses its last element is deleted, as in Redis.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/resp.h"
#include "redis/command.h"
#include "session/transaction.h"

struct redis_client;

/* Memory that handlers may use for what they build; what it holds is gone with the next call. */
struct redis_scratch {
    struct buf content;
    struct buf ops;
    struct buf returned;
};

struct redis_call {
    struct redis_client *client; /* who asks; NULL in tests of handlers that need none */
    const struct redis_command *command;
    const struct view *argv; /* argv[0] is the command's name */
    size_t argc;
    struct transaction *sessions;
    const uint32_t *keys; /* keys[i]: the number in `sessions` of the command's i-th key */
    size_t key_count;
    struct resp_writer *out;
    struct redis_scratch *scratch;
    struct buf *events;       /* keyspace events of what is staged, see redis_notify() */
    uint64_t value_bytes_max; /* of a session's content */
    int64_t now_ms;
    void *waiter; /* of store_transact() */
    uint64_t
        gate_lsn;    /* what the reply depends on; a command that walks sets it, see store_scan() */
    uint32_t ran;    /* flags of the commands that were run: its own, and EXEC's steps' */
    bool is_waiting; /* a value has to be read: nothing has happened, the command runs again */
};

/* ---- Sessions ------------------------------------------------------------------------------- */

/** The session of the i-th key as the command sees it; NULL: there is none. */
static inline const struct session *redis_session(const struct redis_call *call, size_t i)
{
    return transaction_find(call->sessions, call->keys[i]);
}

/** The same, which must be of that kind if it is there: otherwise WRONGTYPE is answered, and false.
 */
bool redis_session_of_kind(const struct redis_call *call, size_t i, enum satchel_kind kind,
                           const struct session **out);

/** Stages a string. `expires_ms` 0: for ever. The content may be scratch or an argument. */
void redis_put_string(const struct redis_call *call, size_t i, struct view content,
                      int64_t expires_ms);

/** The same, but what is there goes on living as long as it did, sliding or not. */
void redis_replace_string(const struct redis_call *call, size_t i, struct view content);

/** True when a string may have so many bytes; otherwise it is answered that it is too large. */
bool redis_string_fits(const struct redis_call *call, uint64_t bytes);

/** The name of a kind as TYPE tells it. */
const char *redis_type_name(enum satchel_kind kind);

/* ---- Answers and arguments ------------------------------------------------------------------ */

/** Answers +OK. */
void redis_ok(const struct redis_call *call);

/** Answers "ERR syntax error". */
void redis_syntax_error(const struct redis_call *call);

/** Answers "WRONGTYPE …". */
void redis_wrong_type(const struct redis_call *call);

/** Answers "ERR string exceeds maximum allowed size (proto-max-bulk-len)". */
void redis_too_large(const struct redis_call *call);

/** The reply tells of changes up to `gate_lsn`: it waits for them, unless the client takes fast
 *  answers. For commands that walk, see store_scan(). */
void redis_wait_for(struct redis_call *call, uint64_t gate_lsn);

/** Answers for a status of transaction_patch() that is not OK, or for a commit that failed. */
void redis_refuse(struct resp_writer *out, enum satchel_status status);

/** Reads an integer; otherwise "ERR value is not an integer or out of range" is answered, and
 *  false. */
bool redis_integer(const struct redis_call *call, struct view text, int64_t *out);

/** The same of an argument. */
static inline bool redis_integer_arg(const struct redis_call *call, size_t arg, int64_t *out)
{
    return redis_integer(call, call->argv[arg], out);
}

/** Reads the cursor of a SCAN, which may be of any spelling that strtoul() takes to the end, or to
 * a zero; otherwise "ERR invalid cursor" is answered, and false. */
bool redis_cursor_arg(const struct redis_call *call, size_t arg, uint64_t *out);

/** True when the argument is that word in any case; `word` is lower case. */
static inline bool redis_arg_is(const struct redis_call *call, size_t arg, const char *word)
{
    return resp_is_word(call->argv[arg], word);
}

enum redis_time_unit { REDIS_SECONDS, REDIS_MILLISECONDS };
enum redis_time_base { REDIS_FROM_NOW, REDIS_SINCE_1970 };

/**
 * Turns a time of an argument into `*expires_ms`; must be above 0 (`positive`) and in range,
 * otherwise "ERR invalid expire time in 'set' command" is answered, and false. The result may lie
 * in the past, then it is at least 1.
 */
bool redis_expiry_arg(const struct redis_call *call, size_t arg, enum redis_time_unit unit,
                      enum redis_time_base base, bool positive, int64_t *expires_ms);

/* ---- Keyspace events ------------------------------------------------------------------------ */

/* Classes of events, as notify-keyspace-events spells them. */
enum redis_event_class {
    REDIS_EVENT_GENERIC = 'g',
    REDIS_EVENT_STRING = '$',
    REDIS_EVENT_SET = 's',
    REDIS_EVENT_HASH = 'h',
    REDIS_EVENT_EXPIRED = 'x',
};

/**
 * Notes an event of the i-th key ("set", "expire", "del" …), told when the call is committed. The
 * name is a string constant. In call->events each is
 *
 *     | class u8 | name length u8 | id length u16 | name | id |
 */
void redis_notify(const struct redis_call *call, enum redis_event_class event_class,
                  const char *event, size_t i);
