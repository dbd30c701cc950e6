/* HELLO, AUTH, SELECT and the like; see connection.h. */
#include "redis/connection.h"

#include <limits.h>

#include "redis/call.h"
#include "redis/clients.h"
#include "redis/databases.h"
#include "redis/multi.h"
#include "redis/pubsub.h"

/* ---- Who is there --------------------------------------------------------------------------- */

/* There is one user, and one password: the token, or any if there is none. */
static bool is_right(const struct redis_call *call, struct view user, struct view password)
{
    struct view token = call->client->worker->redis->options.token;
    return view_equal(user, view_str("default")) &&
           (token.len == 0 || view_equal_constant_time(password, token));
}

/* False: an error was answered. */
static bool greet(const struct redis_call *call, struct view user, struct view password)
{
    if (!is_right(call, user, password)) {
        resp_error(call->out, "WRONGPASS invalid username-password pair or user is disabled.");
        return false;
    }
    call->client->is_greeted = true;
    return true;
}

void redis_auth(struct redis_call *call)
{
    if (call->argc > 3) {
        redis_syntax_error(call);
        return;
    }
    if (call->argc == 2 && call->client->worker->redis->options.token.len == 0) {
        resp_error(call->out,
                   "ERR AUTH <password> called without any password configured for the default "
                   "user. Are you sure your configuration is correct?");
        return;
    }
    struct view user = call->argc == 3 ? call->argv[1] : view_str("default");
    if (greet(call, user, call->argv[call->argc - 1])) {
        redis_ok(call);
    }
}

/* Reads the protocol's version; false: an error was answered. */
static bool read_version(const struct redis_call *call, int64_t *version)
{
    if (!resp_parse_integer(call->argv[1], version)) {
        resp_error(call->out, "ERR Protocol version is not an integer or out of range");
        return false;
    }
    if (*version != 2 && *version != 3) {
        resp_error(call->out, "NOPROTO unsupported protocol version");
        return false;
    }
    return true;
}

/* Does what is behind the version, one after the other; false: an error was answered. */
static bool run_options(const struct redis_call *call)
{
    for (size_t i = 2; i < call->argc;) {
        size_t more = call->argc - 1 - i;
        if (more >= 2 && redis_arg_is(call, i, "auth")) {
            if (!greet(call, call->argv[i + 1], call->argv[i + 2])) {
                return false;
            }
            i += 3;
        } else if (more >= 1 && redis_arg_is(call, i, "setname")) {
            if (!redis_client_rename(call, call->argv[i + 1])) {
                return false;
            }
            i += 2;
        } else {
            struct view option = call->argv[i];
            resp_error(call->out, "ERR Syntax error in HELLO option '%.*s'",
                       (int)(option.len < 128 ? option.len : 128), (const char *)option.ptr);
            return false;
        }
    }
    return true;
}

static void answer_hello(const struct redis_call *call)
{
    resp_map(call->out, 7);
    resp_bulk_text(call->out, "server");
    resp_bulk_text(call->out, "redis");
    resp_bulk_text(call->out, "version");
    resp_bulk_text(call->out, REDIS_VERSION);
    resp_bulk_text(call->out, "proto");
    resp_integer(call->out, call->client->is_resp3 ? 3 : 2);
    resp_bulk_text(call->out, "id");
    resp_integer(call->out, (int64_t)call->client->id);
    resp_bulk_text(call->out, "mode");
    resp_bulk_text(call->out, "standalone");
    resp_bulk_text(call->out, "role");
    resp_bulk_text(call->out, "master");
    resp_bulk_text(call->out, "modules");
    resp_array(call->out, 0);
}

void redis_hello(struct redis_call *call)
{
    int64_t version = call->client->is_resp3 ? 3 : 2;
    if (call->argc > 1 && !read_version(call, &version)) {
        return;
    }
    if (!run_options(call)) {
        return;
    }
    if (!call->client->is_greeted) {
        resp_error(call->out,
                   "NOAUTH HELLO must be called with the client already authenticated, otherwise "
                   "the HELLO AUTH <user> <pass> option can be used to authenticate the client "
                   "and select the RESP protocol version at the same time");
        return;
    }
    call->client->is_resp3 = version == 3;
    call->out->is_resp3 = version == 3;
    answer_hello(call);
}

/* ---- The connection ------------------------------------------------------------------------- */

void redis_select(struct redis_call *call)
{
    int64_t db = 0;
    if (!redis_integer_arg(call, 1, &db)) {
        return;
    }
    if (db < INT_MIN || db > INT_MAX) {
        resp_error(call->out, "ERR value is out of range, value must between %d and %d", INT_MIN,
                   INT_MAX);
    } else if (db < 0 || db >= REDIS_DATABASES) {
        resp_error(call->out, "ERR DB index is out of range");
    } else {
        redis_client_select(call->client, (unsigned)db);
        redis_ok(call);
    }
}

void redis_ping(struct redis_call *call)
{
    if (call->argc > 2) {
        resp_error(call->out, "ERR wrong number of arguments for 'ping' command");
    } else if (redis_is_subscribed(call->client) && !call->client->is_resp3) {
        /* A reply that no message can be taken for. */
        resp_array(call->out, 2);
        resp_bulk_text(call->out, "pong");
        resp_bulk(call->out, call->argc == 2 ? call->argv[1] : (struct view){0});
    } else if (call->argc == 2) {
        resp_bulk(call->out, call->argv[1]);
    } else {
        resp_simple(call->out, "PONG");
    }
}

void redis_echo(struct redis_call *call)
{
    resp_bulk(call->out, call->argv[1]);
}

void redis_quit(struct redis_call *call)
{
    call->client->ends = true;
    redis_ok(call);
}

void redis_reset(struct redis_call *call)
{
    struct redis_client *client = call->client;
    const struct redis_options *options = &client->worker->redis->options;
    redis_multi_reset(client);
    redis_unsubscribe_all(client);
    redis_client_forget_name(client);
    client->db = 0;
    client->is_resp3 = false;
    client->is_greeted = options->token.len == 0;
    client->ack = options->ack;
    client->reply_mode = REDIS_REPLY_ON;
    call->out->is_resp3 = false;
    resp_simple(call->out, "RESET");
}

/* ---- What there is not ---------------------------------------------------------------------- */

void redis_cluster_disabled(struct redis_call *call)
{
    resp_error(call->out, "ERR This instance has cluster support disabled");
}
