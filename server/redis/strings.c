/* Reading and writing whole strings. */
#include "redis/strings.h"

#include "redis/call.h"

/* ---- Options of SET and GETEX --------------------------------------------------------------- */

enum options_of { OPTIONS_OF_SET = 1, OPTIONS_OF_GETEX = 2 };

/* An option that says how long the string lives. */
struct lifetime {
    const char *word;
    unsigned known_to; /* enum options_of, joined with | */
    bool has_time;     /* the argument behind it is a time */
    enum redis_time_unit unit;
    enum redis_time_base base;
};

static const struct lifetime lifetimes[] = {
    {"ex", OPTIONS_OF_SET | OPTIONS_OF_GETEX, true, REDIS_SECONDS, REDIS_FROM_NOW},
    {"px", OPTIONS_OF_SET | OPTIONS_OF_GETEX, true, REDIS_MILLISECONDS, REDIS_FROM_NOW},
    {"exat", OPTIONS_OF_SET | OPTIONS_OF_GETEX, true, REDIS_SECONDS, REDIS_SINCE_1970},
    {"pxat", OPTIONS_OF_SET | OPTIONS_OF_GETEX, true, REDIS_MILLISECONDS, REDIS_SINCE_1970},
    {"keepttl", OPTIONS_OF_SET, false, REDIS_SECONDS, REDIS_FROM_NOW},
    {"persist", OPTIONS_OF_GETEX, false, REDIS_SECONDS, REDIS_FROM_NOW},
};

struct options {
    bool if_absent;
    bool if_present;
    bool returns_old;
    const struct lifetime *lifetime; /* NULL: none was named */
    size_t time_arg;                 /* its time, when it has one; of several the last */
};

static const struct lifetime *find_lifetime(const struct redis_call *call, size_t arg)
{
    for (size_t i = 0; i < sizeof lifetimes / sizeof lifetimes[0]; i++) {
        if (redis_arg_is(call, arg, lifetimes[i].word)) {
            return &lifetimes[i];
        }
    }
    return NULL;
}

/* Takes an option for a lifetime, which may be repeated, but not combined with another. */
static bool take_lifetime(const struct redis_call *call, enum options_of command, size_t *arg,
                          struct options *out)
{
    const struct lifetime *lifetime = find_lifetime(call, *arg);
    if (lifetime == NULL || (lifetime->known_to & command) == 0 ||
        (out->lifetime != NULL && out->lifetime != lifetime)) {
        return false;
    }
    out->lifetime = lifetime;
    if (lifetime->has_time) {
        out->time_arg = ++*arg;
    }
    return *arg < call->argc;
}

/* Reads the options from `first` on. False: an error was answered. */
static bool read_options(const struct redis_call *call, enum options_of command, size_t first,
                         struct options *out)
{
    *out = (struct options){0};
    for (size_t i = first; i < call->argc; i++) {
        bool is_set = command == OPTIONS_OF_SET;
        if (is_set && !out->if_present && redis_arg_is(call, i, "nx")) {
            out->if_absent = true;
        } else if (is_set && !out->if_absent && redis_arg_is(call, i, "xx")) {
            out->if_present = true;
        } else if (is_set && redis_arg_is(call, i, "get")) {
            out->returns_old = true;
        } else if (!take_lifetime(call, command, &i, out)) {
            redis_syntax_error(call);
            return false;
        }
    }
    return true;
}

/* The expiry that the options ask for; 0: none. False: an error was answered. */
static bool read_expiry(const struct redis_call *call, const struct options *options,
                        int64_t *expires_ms)
{
    *expires_ms = 0;
    return options->time_arg == 0 ||
           redis_expiry_arg(call, options->time_arg, options->lifetime->unit,
                            options->lifetime->base, true, expires_ms);
}

/* ---- What they have in common --------------------------------------------------------------- */

/* Answers the content of a string, or null. */
static void answer_string(const struct redis_call *call, const struct session *string)
{
    if (string == NULL) {
        resp_null(call->out);
    } else {
        resp_bulk(call->out, string->content);
    }
}

/* Answers the string of the only key; false: that is an error. */
static bool answer_old(const struct redis_call *call)
{
    const struct session *old;
    if (!redis_session_of_kind(call, 0, SATCHEL_BLOB, &old)) {
        return false;
    }
    answer_string(call, old);
    return true;
}

/* Stages a string that lives until `expires_ms`, 0 = for ever. One that is over at once was there,
 * and is gone. */
static void set_until(const struct redis_call *call, size_t i, struct view content,
                      int64_t expires_ms)
{
    redis_put_string(call, i, content, expires_ms);
    redis_notify(call, REDIS_EVENT_STRING, "set", i);
    if (expires_ms != 0) {
        redis_notify(call, REDIS_EVENT_GENERIC, "expire", i);
    }
    if (session_is_expired(expires_ms, call->now_ms)) {
        transaction_delete(call->sessions, call->keys[i]);
        redis_notify(call, REDIS_EVENT_EXPIRED, "expired", i);
    }
}

/* ---- One string ----------------------------------------------------------------------------- */

void redis_get(struct redis_call *call)
{
    (void)answer_old(call);
}

void redis_set(struct redis_call *call)
{
    struct options options;
    int64_t expires_ms = 0;
    if (!read_options(call, OPTIONS_OF_SET, 3, &options) ||
        !read_expiry(call, &options, &expires_ms) || !redis_string_fits(call, call->argv[2].len)) {
        return;
    }
    bool is_there = redis_session(call, 0) != NULL;
    bool is_refused = is_there ? options.if_absent : options.if_present;
    if (options.returns_old) {
        if (!answer_old(call)) {
            return;
        }
    } else if (is_refused) {
        resp_null(call->out);
    } else {
        redis_ok(call);
    }
    if (is_refused) {
        return;
    }
    if (options.lifetime != NULL && !options.lifetime->has_time) {
        redis_replace_string(call, 0, call->argv[2]);
        redis_notify(call, REDIS_EVENT_STRING, "set", 0);
    } else {
        set_until(call, 0, call->argv[2], expires_ms);
    }
}

/* SETEX and PSETEX: key, time, content. */
static void set_for(const struct redis_call *call, enum redis_time_unit unit)
{
    int64_t expires_ms = 0;
    if (redis_expiry_arg(call, 2, unit, REDIS_FROM_NOW, true, &expires_ms) &&
        redis_string_fits(call, call->argv[3].len)) {
        set_until(call, 0, call->argv[3], expires_ms);
        redis_ok(call);
    }
}

void redis_setex(struct redis_call *call)
{
    set_for(call, REDIS_SECONDS);
}

void redis_psetex(struct redis_call *call)
{
    set_for(call, REDIS_MILLISECONDS);
}

void redis_setnx(struct redis_call *call)
{
    if (!redis_string_fits(call, call->argv[2].len)) {
        return;
    }
    bool is_there = redis_session(call, 0) != NULL;
    if (!is_there) {
        set_until(call, 0, call->argv[2], 0);
    }
    resp_integer(call->out, is_there ? 0 : 1);
}

void redis_getset(struct redis_call *call)
{
    if (redis_string_fits(call, call->argv[2].len) && answer_old(call)) {
        set_until(call, 0, call->argv[2], 0);
    }
}

void redis_getdel(struct redis_call *call)
{
    if (answer_old(call) && redis_session(call, 0) != NULL) {
        transaction_delete(call->sessions, call->keys[0]);
        redis_notify(call, REDIS_EVENT_GENERIC, "del", 0);
    }
}

void redis_getex(struct redis_call *call)
{
    struct options options;
    const struct session *old;
    if (!read_options(call, OPTIONS_OF_GETEX, 2, &options) ||
        !redis_session_of_kind(call, 0, SATCHEL_BLOB, &old)) {
        return;
    }
    int64_t expires_ms = 0;
    /* Redis looks at the time only when there is something to expire. */
    if (old != NULL && !read_expiry(call, &options, &expires_ms)) {
        return;
    }
    answer_string(call, old);
    if (old == NULL || options.lifetime == NULL) {
        return;
    }
    if (session_is_expired(expires_ms, call->now_ms)) {
        transaction_delete(call->sessions, call->keys[0]);
        redis_notify(call, REDIS_EVENT_GENERIC, "del", 0);
    } else if (expires_ms != 0 || old->expires_ms != 0) {
        transaction_set_times(call->sessions, call->keys[0], expires_ms, 0);
        redis_notify(call, REDIS_EVENT_GENERIC, expires_ms != 0 ? "expire" : "persist", 0);
    }
}

/* ---- Several strings ------------------------------------------------------------------------ */

void redis_mget(struct redis_call *call)
{
    resp_array(call->out, call->key_count);
    for (size_t i = 0; i < call->key_count; i++) {
        const struct session *found = redis_session(call, i);
        answer_string(call, found != NULL && found->kind == SATCHEL_BLOB ? found : NULL);
    }
}

/* The content behind the i-th key of MSET and MSETNX. */
static struct view content_arg(const struct redis_call *call, size_t i)
{
    return call->argv[2 + 2 * i];
}

/* True when each key has a content and each content fits; otherwise an error was answered. */
static bool are_pairs(const struct redis_call *call)
{
    if (call->argc % 2 == 0) {
        resp_error(call->out, "ERR wrong number of arguments for '%s' command",
                   call->command->name);
        return false;
    }
    for (size_t i = 0; i < call->key_count; i++) {
        if (!redis_string_fits(call, content_arg(call, i).len)) {
            return false;
        }
    }
    return true;
}

static void set_pairs(const struct redis_call *call)
{
    for (size_t i = 0; i < call->key_count; i++) {
        set_until(call, i, content_arg(call, i), 0);
    }
}

void redis_mset(struct redis_call *call)
{
    if (are_pairs(call)) {
        set_pairs(call);
        redis_ok(call);
    }
}

void redis_msetnx(struct redis_call *call)
{
    if (!are_pairs(call)) {
        return;
    }
    bool is_free = true;
    for (size_t i = 0; i < call->key_count && is_free; i++) {
        is_free = redis_session(call, i) == NULL;
    }
    if (is_free) {
        set_pairs(call);
    }
    resp_integer(call->out, is_free ? 1 : 0);
}
