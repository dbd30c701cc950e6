/* CLIENT; see clients.h. */
#include "redis/call.h"
#include "redis/clients.h"
#include "redis/help.h"

/* ---- Names ---------------------------------------------------------------------------------- */

/* What CLIENT LIST can show: no spaces and nothing that is not printed. */
static bool is_printable(struct view text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '!' || text.ptr[i] > '~') {
            return false;
        }
    }
    return true;
}

/* False: an error was answered. */
static bool set_text(const struct redis_call *call, struct buf *text, struct view value)
{
    if (!redis_client_set_text(call->client, text, value)) {
        redis_refuse(call->out, SATCHEL_BUSY);
        return false;
    }
    return true;
}

bool redis_client_rename(const struct redis_call *call, struct view name)
{
    if (!is_printable(name)) {
        resp_error(call->out,
                   "ERR Client names cannot contain spaces, newlines or special characters.");
        return false;
    }
    return set_text(call, &call->client->name, name);
}

void redis_client_setname(struct redis_call *call)
{
    if (redis_client_rename(call, call->argv[2])) {
        redis_ok(call);
    }
}

void redis_client_getname(struct redis_call *call)
{
    const struct buf *name = &call->client->name;
    if (name->len == 0) {
        resp_null(call->out);
    } else {
        resp_bulk(call->out, buf_view(name));
    }
}

void redis_client_setinfo(struct redis_call *call)
{
    bool is_name = redis_arg_is(call, 2, "lib-name");
    struct view value = call->argv[3];
    if (!is_name && !redis_arg_is(call, 2, "lib-ver")) {
        struct view option = call->argv[2];
        resp_error(call->out, "ERR Unrecognized option '%.*s'",
                   (int)(option.len < 128 ? option.len : 128), (const char *)option.ptr);
    } else if (!is_printable(value)) {
        resp_error(call->out, "ERR %s cannot contain spaces, newlines or special characters.",
                   is_name ? "lib-name" : "lib-ver");
    } else if (set_text(call, is_name ? &call->client->lib_name : &call->client->lib_version,
                        value)) {
        redis_ok(call);
    }
}

/* ---- Looking -------------------------------------------------------------------------------- */

void redis_client_id(struct redis_call *call)
{
    resp_integer(call->out, (int64_t)call->client->id);
}

/* Appends the lines of who is meant to `lines`; false: an error was answered. */
static bool append_lines(const struct redis_call *call, const struct redis_client_filter *filter,
                         struct buf *lines)
{
    struct redis_clients *clients = call->client->worker->redis->clients;
    if (redis_clients_list(clients, filter, call->now_ms, lines) != STATUS_OK) {
        redis_refuse(call->out, SATCHEL_BUSY);
        return false;
    }
    return true;
}

void redis_client_info(struct redis_call *call)
{
    struct buf *lines = &call->scratch->content;
    const struct redis_client_filter me = {.has_id = true, .id = call->client->id};
    lines->len = 0;
    if (append_lines(call, &me, lines)) {
        resp_verbatim(call->out, buf_view(lines));
    }
}

/* Reads the type of clients that is meant; false: an error was answered. */
static bool read_type(const struct redis_call *call, size_t arg, struct redis_client_filter *filter)
{
    bool is_replica = redis_arg_is(call, arg, "replica") || redis_arg_is(call, arg, "slave") ||
                      redis_arg_is(call, arg, "master");
    filter->wants_subscribers = redis_arg_is(call, arg, "pubsub");
    if (!filter->wants_subscribers && !is_replica && !redis_arg_is(call, arg, "normal")) {
        struct view type = call->argv[arg];
        resp_error(call->out, "ERR Unknown client type '%.*s'",
                   (int)(type.len < 128 ? type.len : 128), (const char *)type.ptr);
        return false;
    }
    filter->has_kind = true;
    filter->matches_nothing |= is_replica;
    return true;
}

/* Appends the lines of the clients whose ids are named from argv[3] on; false: an error was
 * answered. */
static bool append_named(const struct redis_call *call, struct buf *lines)
{
    for (size_t arg = 3; arg < call->argc; arg++) {
        int64_t id = 0;
        if (!resp_parse_integer(call->argv[arg], &id)) {
            resp_error(call->out, "ERR Invalid client ID");
            return false;
        }
        const struct redis_client_filter named = {.has_id = true, .id = (uint64_t)id};
        if (!append_lines(call, &named, lines)) {
            return false;
        }
    }
    return true;
}

void redis_client_list(struct redis_call *call)
{
    struct buf *lines = &call->scratch->content;
    struct redis_client_filter filter = {0};
    bool is_listed = false;
    lines->len = 0;
    if (call->argc == 4 && redis_arg_is(call, 2, "type")) {
        is_listed = read_type(call, 3, &filter) && append_lines(call, &filter, lines);
    } else if (call->argc > 3 && redis_arg_is(call, 2, "id")) {
        is_listed = append_named(call, lines);
    } else if (call->argc == 2) {
        is_listed = append_lines(call, &filter, lines);
    } else {
        redis_syntax_error(call);
    }
    if (is_listed) {
        resp_verbatim(call->out, buf_view(lines));
    }
}

/* ---- CLIENT KILL ---------------------------------------------------------------------------- */

/* Reads one option and its value; false: an error was answered. */
static bool read_kill_option(const struct redis_call *call, size_t arg,
                             struct redis_client_filter *filter)
{
    struct view value = call->argv[arg + 1];
    int64_t id = 0;
    if (redis_arg_is(call, arg, "id")) {
        if (!resp_parse_integer(value, &id) || id < 1) {
            resp_error(call->out, "ERR client-id should be greater than 0");
            return false;
        }
        filter->has_id = true;
        filter->id = (uint64_t)id;
    } else if (redis_arg_is(call, arg, "type")) {
        return read_type(call, arg + 1, filter);
    } else if (redis_arg_is(call, arg, "addr")) {
        filter->has_peer = true;
        filter->peer = value;
    } else if (redis_arg_is(call, arg, "laddr")) {
        filter->matches_nothing = true; /* to which address a client came is not kept */
    } else if (redis_arg_is(call, arg, "user")) {
        if (!view_equal(value, view_str("default"))) {
            resp_error(call->out, "ERR No such user '%.*s'",
                       (int)(value.len < 128 ? value.len : 128), (const char *)value.ptr);
            return false;
        }
    } else if (redis_arg_is(call, arg, "skipme") && resp_is_word(value, "yes")) {
        filter->but = call->client;
    } else if (redis_arg_is(call, arg, "skipme") && resp_is_word(value, "no")) {
        filter->but = NULL;
    } else {
        redis_syntax_error(call);
        return false;
    }
    return true;
}

void redis_client_kill(struct redis_call *call)
{
    struct redis_clients *clients = call->client->worker->redis->clients;
    struct redis_client_filter filter = {0};
    if (call->argc == 3) {
        filter.has_peer = true;
        filter.peer = call->argv[2];
        if (redis_clients_kill(clients, &filter, call->client) != 0) {
            redis_ok(call);
        } else {
            resp_error(call->out, "ERR No such client");
        }
        return;
    }
    filter.but = call->client;
    for (size_t arg = 2; arg < call->argc; arg += 2) {
        if (arg + 1 == call->argc) {
            redis_syntax_error(call);
            return;
        }
        if (!read_kill_option(call, arg, &filter)) {
            return;
        }
    }
    resp_integer(call->out, (int64_t)redis_clients_kill(clients, &filter, call->client));
}

/* ---- The others ----------------------------------------------------------------------------- */

/* Answers for a switch that changes nothing here. */
static void answer_switch(const struct redis_call *call)
{
    if (redis_arg_is(call, 2, "on") || redis_arg_is(call, 2, "off")) {
        redis_ok(call);
    } else {
        redis_syntax_error(call);
    }
}

void redis_client_no_evict(struct redis_call *call)
{
    answer_switch(call); /* no client is ever closed for want of memory elsewhere */
}

void redis_client_no_touch(struct redis_call *call)
{
    answer_switch(call); /* what is read never moves a time of a session */
}

void redis_client_reply(struct redis_call *call)
{
    struct redis_client *client = call->client;
    if (redis_arg_is(call, 2, "on")) {
        client->reply_mode = REDIS_REPLY_ON;
    } else if (redis_arg_is(call, 2, "off")) {
        client->reply_mode = REDIS_REPLY_OFF;
    } else if (redis_arg_is(call, 2, "skip")) {
        client->reply_mode = client->reply_mode == REDIS_REPLY_OFF ? REDIS_REPLY_OFF
                                                                   : REDIS_REPLY_SKIP_NEXT;
    } else {
        redis_syntax_error(call);
        return;
    }
    redis_ok(call); /* not sent, unless it is ON */
}

void redis_client_getredir(struct redis_call *call)
{
    resp_integer(call->out, -1);
}

void redis_client_help(struct redis_call *call)
{
    static const char *const lines[] = {
        "GETREDIR",
        "    Return the client ID we are redirecting to when tracking is enabled.",
        "GETNAME",
        "    Return the name of the current connection.",
        "ID",
        "    Return the ID of the current connection.",
        "INFO",
        "    Return information about the current client connection.",
        "KILL <ip:port>",
        "    Kill connection made from <ip:port>.",
        "KILL <option> <value> [<option> <value> [...]]",
        "    Kill connections. Options are:",
        "    * ADDR <ip:port>",
        "      Kill connections made from the specified address",
        "    * ID <client-id>",
        "      Kill the connection with that ID.",
        "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
        "      Kill connections by type.",
        "    * USER <username>",
        "      Kill connections authenticated by <username>.",
        "    * SKIPME (YES|NO)",
        "      Skip killing current connection (default: yes).",
        "LIST [options ...]",
        "    Return information about client connections. Options:",
        "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
        "      Return clients of specified type.",
        "    * ID <client-id> [<client-id> ...]",
        "      Return the clients with these IDs.",
        "REPLY (ON|OFF|SKIP)",
        "    Control the replies sent to the current connection.",
        "SETNAME <name>",
        "    Assign the name <name> to the current connection.",
        "SETINFO (LIB-NAME|LIB-VER) <value>",
        "    Tell the client library and its version.",
        "NO-EVICT (ON|OFF)",
        "    Protect current client connection from eviction.",
        "NO-TOUCH (ON|OFF)",
        "    Do not count what the current connection reads as use.",
    };
    redis_help(call, "CLIENT", lines, sizeof lines / sizeof lines[0]);
}
