/* What the known scripts do. */
#include "redis/script.h"

#include <inttypes.h>
#include <stdio.h>

enum { COMMAND_ARGS_MAX = 6 };

/* The calls of a script, in the order of script->lines. */
enum script_call { FIRST_CALL, SECOND_CALL, THIRD_CALL };

/* ---- Calling commands ----------------------------------------------------------------------- */

/* Answers an error as Redis does when a call of a script fails. */
static void fail(const struct script_run *run, enum script_call at, struct view what)
{
    resp_error(run->call->out, "%.*s script: %s, on @user_script:%d.", (int)what.len,
               (const char *)what.ptr, run->script->sha1, run->script->lines[at]);
}

/* An argument of the script; without address when it was not given, which is nil to Lua. */
static struct view arg(const struct script_run *run, size_t i)
{
    return i < run->arg_count ? run->args[i] : (struct view){0};
}

/* The error in run->reply without "-" and the line's end. */
static struct view error_text(const struct script_run *run)
{
    return view_of(run->reply.ptr + 1, run->reply.len - 3);
}

/* Calls a command with a key of the script and up to four arguments. False: that is an error, which
 * has been answered. */
static bool call_command(struct script_run *run, enum script_call at, const char *name, size_t key,
                         const struct view *args, size_t arg_count)
{
    struct view argv[COMMAND_ARGS_MAX] = {view_str(name)};
    bool is_complete = key < run->call->key_count;
    if (is_complete) {
        argv[1] = run->call->argv[3 + key];
    }
    for (size_t i = 0; i < arg_count; i++) {
        argv[2 + i] = args[i];
        is_complete = is_complete && args[i].ptr != NULL;
    }
    if (!is_complete) {
        fail(run, at, view_str("ERR Lua redis lib command arguments must be strings or integers"));
        return false;
    }
    const struct redis_command *command = redis_find_command(argv[0]);
    if (run->is_read_only && (command->flags & REDIS_WRITE) != 0) {
        fail(run, at, view_str("ERR Write commands are not allowed from read-only scripts."));
        return false;
    }
    run->reply.len = 0;
    struct resp_writer writer = {.to = &run->reply};
    struct redis_call call = *run->call;
    call.command = command;
    call.argv = argv;
    call.argc = 2 + arg_count;
    call.keys = run->call->keys + key;
    call.key_count = 1;
    call.out = &writer;
    command->handler(&call);
    if (writer.has_failed) {
        run->call->out->has_failed = true;
        return false;
    }
    if (run->reply.ptr[0] == '-') {
        fail(run, at, error_text(run));
        return false;
    }
    return true;
}

/* The number that the last command answered. */
static int64_t replied_number(const struct script_run *run)
{
    int64_t number = 0;
    struct view line = view_of(run->reply.ptr + 1, run->reply.len - 3);
    return run->reply.ptr[0] == ':' && resp_parse_integer(line, &number) ? number : 0;
}

static bool has_replied_nothing(const struct script_run *run)
{
    return view_equal(buf_view(&run->reply), view_str("$-1\r\n"));
}

/* True when the last command answered these bytes, as a bulk string. */
static bool has_replied(const struct script_run *run, struct view bytes)
{
    if (bytes.ptr == NULL || run->reply.ptr[0] != '$' || run->reply.len < bytes.len + 2) {
        return false;
    }
    const uint8_t *end = memchr(run->reply.ptr, '\n', run->reply.len);
    size_t head = (size_t)(end + 1 - run->reply.ptr);
    return head + bytes.len + 2 == run->reply.len && view_equal(view_of(end + 1, bytes.len), bytes);
}

/* ---- Locks: a key that holds the token of who has it, the first argument --------------------- */

enum holder { NOBODY, SOMEBODY, CALLER };

/* False: the key is no string, or not given; it has been answered. */
static bool find_holder(struct script_run *run, size_t key, enum holder *out)
{
    if (!call_command(run, FIRST_CALL, "get", key, NULL, 0)) {
        return false;
    }
    *out = has_replied_nothing(run) ? NOBODY : has_replied(run, arg(run, 0)) ? CALLER : SOMEBODY;
    return true;
}

static bool expire(struct script_run *run, enum script_call at, size_t key, struct view ttl_ms)
{
    return call_command(run, at, "pexpire", key, &ttl_ms, 1);
}

/* SET key token PX ttl */
static bool take(struct script_run *run, enum script_call at, size_t key)
{
    const struct view args[] = {arg(run, 0), view_str("PX"), arg(run, 1)};
    return call_command(run, at, "set", key, args, 3);
}

/* if get(key) == token then return del(key) else return 0 */
void script_release(struct script_run *run)
{
    enum holder holder = NOBODY;
    if (!find_holder(run, 0, &holder)) {
        return;
    }
    if (holder != CALLER) {
        resp_integer(run->call->out, 0);
    } else if (call_command(run, SECOND_CALL, "del", 0, NULL, 0)) {
        resp_integer(run->call->out, replied_number(run));
    }
}

/* if get(key) == token then return pexpire(key, ttl) else return 0 */
void script_extend(struct script_run *run)
{
    enum holder holder = NOBODY;
    if (!find_holder(run, 0, &holder)) {
        return;
    }
    if (holder != CALLER) {
        resp_integer(run->call->out, 0);
    } else if (expire(run, SECOND_CALL, 0, arg(run, 1))) {
        resp_integer(run->call->out, replied_number(run));
    }
}

/* The same, but with an expiry only, and with "0" as the third argument the time is added to what
 * is left. */
void script_extend_by(struct script_run *run)
{
    enum holder holder = NOBODY;
    if (!find_holder(run, 0, &holder)) {
        return;
    }
    if (holder != CALLER) {
        resp_integer(run->call->out, 0);
        return;
    }
    if (!call_command(run, SECOND_CALL, "pttl", 0, NULL, 0)) {
        return;
    }
    int64_t left_ms = replied_number(run);
    if (left_ms < 0) {
        resp_integer(run->call->out, 0);
        return;
    }
    struct view ttl = arg(run, 1);
    int64_t ttl_ms = 0;
    char sum[24];
    if (view_equal(arg(run, 2), view_str("0")) && resp_parse_integer(ttl, &ttl_ms) &&
        !__builtin_add_overflow(ttl_ms, left_ms, &ttl_ms)) {
        ttl = view_of(sum, (size_t)snprintf(sum, sizeof sum, "%" PRId64, ttl_ms));
    }
    if (expire(run, THIRD_CALL, 0, ttl)) {
        resp_integer(run->call->out, 1);
    }
}

/* if get(key) == token then return pexpire(key, ttl) else return set(key, token, NX, PX, ttl) */
void script_save(struct script_run *run)
{
    const struct view args[] = {arg(run, 0), view_str("NX"), view_str("PX"), arg(run, 1)};
    enum holder holder = NOBODY;
    if (!find_holder(run, 0, &holder)) {
        return;
    }
    if (holder == CALLER) {
        if (expire(run, SECOND_CALL, 0, arg(run, 1))) {
            resp_integer(run->call->out, replied_number(run));
        }
        return;
    }
    if (!call_command(run, THIRD_CALL, "set", 0, args, 4)) {
        return;
    }
    if (has_replied_nothing(run)) {
        resp_null(run->call->out);
    } else {
        redis_ok(run->call);
    }
}

/* Answers 1 or, for false, null: after a lock was taken or prolonged. */
static void answer_taken(const struct script_run *run, bool is_done)
{
    if (is_done) {
        resp_integer(run->call->out, 1);
    } else {
        resp_null(run->call->out);
    }
}

/* Prolongs the caller's lock, or takes one that nobody has; true or false. */
void script_obtain(struct script_run *run)
{
    enum holder holder = NOBODY;
    if (find_holder(run, 0, &holder) &&
        (holder != CALLER || expire(run, SECOND_CALL, 0, arg(run, 1))) &&
        (holder != NOBODY || take(run, THIRD_CALL, 0))) {
        answer_taken(run, holder != SOMEBODY);
    }
}

/* Prolongs the caller's lock; true or false. */
void script_renew(struct script_run *run)
{
    enum holder holder = NOBODY;
    if (find_holder(run, 0, &holder) &&
        (holder != CALLER || expire(run, SECOND_CALL, 0, arg(run, 1)))) {
        answer_taken(run, holder == CALLER);
    }
}

/* ---- Locks on several keys ------------------------------------------------------------------ */

/* Takes all keys; answers how many. */
static void take_all(struct script_run *run)
{
    for (size_t key = 0; key < run->call->key_count; key++) {
        if (!take(run, SECOND_CALL, key)) {
            return;
        }
    }
    resp_integer(run->call->out, (int64_t)run->call->key_count);
}

/* Takes all keys if none is there. */
void script_lock_all(struct script_run *run)
{
    for (size_t key = 0; key < run->call->key_count; key++) {
        if (!call_command(run, FIRST_CALL, "exists", key, NULL, 0)) {
            return;
        }
        if (replied_number(run) == 1) {
            resp_integer(run->call->out, 0);
            return;
        }
    }
    take_all(run);
}

/* Takes all keys again if the caller has all of them. */
void script_extend_all(struct script_run *run)
{
    for (size_t key = 0; key < run->call->key_count; key++) {
        enum holder holder = NOBODY;
        if (!find_holder(run, key, &holder)) {
            return;
        }
        if (holder != CALLER) {
            resp_integer(run->call->out, 0);
            return;
        }
    }
    take_all(run);
}

/* Deletes those keys that the caller has; answers how many. */
void script_unlock_all(struct script_run *run)
{
    int64_t count = 0;
    for (size_t key = 0; key < run->call->key_count; key++) {
        enum holder holder = NOBODY;
        if (!find_holder(run, key, &holder)) {
            return;
        }
        if (holder == CALLER) {
            /* The text counts it whatever the DEL says, which a read-only script may not do. */
            if (!run->is_read_only && !call_command(run, SECOND_CALL, "del", key, NULL, 0)) {
                return;
            }
            count++;
        }
    }
    resp_integer(run->call->out, count);
}

/* ---- Counters ------------------------------------------------------------------------------- */

static void increment(struct script_run *run, enum script_call at)
{
    const struct view amount = arg(run, 0);
    if (call_command(run, at, "incrby", 0, &amount, 1)) {
        resp_integer(run->call->out, replied_number(run));
    }
}

/* return incrby(key, amount) */
void script_increment(struct script_run *run)
{
    increment(run, FIRST_CALL);
}

/* The same if there is the key, otherwise false. */
void script_increment_existing(struct script_run *run)
{
    if (!call_command(run, FIRST_CALL, "exists", 0, NULL, 0)) {
        return;
    }
    if (replied_number(run) == 1) {
        increment(run, SECOND_CALL);
    } else {
        resp_null(run->call->out);
    }
}
