/* COMMAND; see introspection.h. */
#include "redis/introspection.h"

#include "redis/call.h"
#include "redis/glob.h"
#include "redis/help.h"
#include "redis/run.h"

/* ---- Which commands ------------------------------------------------------------------------- */

static bool is_subcommand(const struct redis_command *command)
{
    return strchr(command->name, '|') != NULL;
}

static bool is_subcommand_of(const struct redis_command *command,
                             const struct redis_command *container)
{
    size_t len = strlen(container->name);
    return strncmp(command->name, container->name, len) == 0 && command->name[len] == '|';
}

static size_t count_subcommands(const struct redis_command *container)
{
    size_t count = 0;
    for (size_t i = 0; redis_is_container(container) && i < redis_command_count; i++) {
        count += is_subcommand_of(&redis_commands[i], container);
    }
    return count;
}

/* Commands that are none of another. */
static size_t count_commands(void)
{
    size_t count = 0;
    for (size_t i = 0; i < redis_command_count; i++) {
        count += !is_subcommand(&redis_commands[i]);
    }
    return count;
}

/* By its name, of a subcommand "client|id". */
static const struct redis_command *find_by_name(struct view name)
{
    const uint8_t *bar = name.len == 0 ? NULL : memchr(name.ptr, '|', name.len);
    if (bar == NULL) {
        return redis_find_command(name);
    }
    size_t len = (size_t)(bar - name.ptr);
    const struct redis_command *container = redis_find_command(view_of(name.ptr, len));
    return container == NULL || !redis_is_container(container)
               ? NULL
               : redis_find_subcommand(container, view_of(bar + 1, name.len - len - 1));
}

/* ---- What is told of one -------------------------------------------------------------------- */

/* A word that is told of a command. */
struct word {
    const char *text;
    bool is_told;
};

static void write_words(struct resp_writer *out, const struct word *words, size_t count)
{
    size_t told = 0;
    for (size_t i = 0; i < count; i++) {
        told += words[i].is_told;
    }
    resp_set(out, told);
    for (size_t i = 0; i < count; i++) {
        if (words[i].is_told) {
            resp_simple(out, words[i].text);
        }
    }
}

#define WRITE_WORDS(out, words) write_words(out, words, sizeof(words) / sizeof((words)[0]))

static bool is_of(const struct redis_command *command, const char *group)
{
    return strcmp(command->group, group) == 0;
}

static bool has(const struct redis_command *command, uint32_t flag)
{
    return (command->flags & flag) != 0;
}

static void write_flags(struct resp_writer *out, const struct redis_command *command)
{
    bool is_movable = has(command, REDIS_MOVABLE_KEYS);
    const struct word words[] = {
        {"write", has(command, REDIS_WRITE)},
        {"readonly", has(command, REDIS_READONLY)},
        {"denyoom", has(command, REDIS_DENYOOM)},
        {"admin", has(command, REDIS_ADMIN)},
        {"pubsub", is_of(command, "pubsub") && !redis_is_container(command)},
        {"noscript", has(command, REDIS_NOSCRIPT)},
        {"loading", has(command, REDIS_LOADING)},
        {"stale", has(command, REDIS_STALE)},
        {"fast", has(command, REDIS_FAST)},
        {"no_auth", has(command, REDIS_NO_AUTH)},
        {"no_multi", has(command, REDIS_NO_MULTI | REDIS_WALKS)},
        {"no_mandatory_keys", is_movable},
        {"movablekeys", is_movable},
    };
    WRITE_WORDS(out, words);
}

static void write_categories(struct resp_writer *out, const struct redis_command *command)
{
    const struct word words[] = {
        {"@keyspace", is_of(command, "generic")},
        {"@read", has(command, REDIS_READONLY)},
        {"@write", has(command, REDIS_WRITE)},
        {"@set", is_of(command, "set")},
        {"@hash", is_of(command, "hash")},
        {"@string", is_of(command, "string")},
        {"@pubsub", is_of(command, "pubsub") && !redis_is_container(command)},
        {"@admin", has(command, REDIS_ADMIN)},
        {"@fast", has(command, REDIS_FAST)},
        {"@slow", !has(command, REDIS_FAST)},
        {"@dangerous", has(command, REDIS_ADMIN)},
        {"@connection", is_of(command, "connection") && command->handler != redis_container},
        {"@transaction", is_of(command, "transactions")},
        {"@scripting", is_of(command, "scripting") && command->handler != redis_container},
    };
    WRITE_WORDS(out, words);
}

/* Where keys are: a map of its kind and its numbers. */
static void write_search(struct resp_writer *out, const char *type)
{
    resp_map(out, 2);
    resp_bulk_text(out, "type");
    resp_bulk_text(out, type);
    resp_bulk_text(out, "spec");
}

static void write_number(struct resp_writer *out, const char *name, int number)
{
    resp_bulk_text(out, name);
    resp_integer(out, number);
}

/* The key specifications: one, or none. */
static void write_key_specs(struct resp_writer *out, const struct redis_command *command)
{
    bool is_movable = has(command, REDIS_MOVABLE_KEYS);
    bool is_write = has(command, REDIS_WRITE) || is_movable;
    const struct word flags[] = {
        {"RW", is_write}, {"RO", !is_write}, {"access", !is_write}, {"update", is_write}};
    if (command->first_key == 0 && !is_movable) {
        resp_set(out, 0);
        return;
    }
    resp_set(out, 1);
    resp_map(out, 3);
    resp_bulk_text(out, "flags");
    WRITE_WORDS(out, flags);
    resp_bulk_text(out, "begin_search");
    write_search(out, "index");
    resp_map(out, 1);
    write_number(out, "index", is_movable ? 2 : command->first_key);
    resp_bulk_text(out, "find_keys");
    write_search(out, is_movable ? "keynum" : "range");
    resp_map(out, 3);
    if (is_movable) {
        write_number(out, "keynumidx", 0);
        write_number(out, "firstkey", 1);
        write_number(out, "keystep", 1);
    } else {
        int last = command->last_key;
        write_number(out, "lastkey", last < 0 ? last : last - command->first_key);
        write_number(out, "keystep", command->key_step);
        write_number(out, "limit", 0);
    }
}

/* All that is told of a command, but its subcommands. */
static void write_info(struct resp_writer *out, const struct redis_command *command)
{
    resp_array(out, 10);
    resp_bulk_text(out, command->name);
    resp_integer(out, command->arity);
    write_flags(out, command);
    resp_integer(out, command->first_key);
    resp_integer(out, command->last_key);
    resp_integer(out, command->key_step);
    write_categories(out, command);
    resp_set(out, 0); /* no tips: there is one node */
    write_key_specs(out, command);
}

static void write_whole_info(struct resp_writer *out, const struct redis_command *command)
{
    write_info(out, command);
    resp_set(out, count_subcommands(command));
    for (size_t i = 0; redis_is_container(command) && i < redis_command_count; i++) {
        if (is_subcommand_of(&redis_commands[i], command)) {
            write_info(out, &redis_commands[i]);
            resp_set(out, 0);
        }
    }
}

static void write_doc(struct resp_writer *out, const struct redis_command *command)
{
    size_t subcommands = count_subcommands(command);
    resp_bulk_text(out, command->name);
    resp_map(out, subcommands == 0 ? 3 : 4);
    resp_bulk_text(out, "summary");
    resp_bulk_text(out, command->summary);
    resp_bulk_text(out, "since");
    resp_bulk_text(out, command->since);
    resp_bulk_text(out, "group");
    resp_bulk_text(out, command->group);
    if (subcommands != 0) {
        resp_bulk_text(out, "subcommands");
        resp_map(out, subcommands);
    }
}

static void write_whole_doc(struct resp_writer *out, const struct redis_command *command)
{
    write_doc(out, command);
    for (size_t i = 0; redis_is_container(command) && i < redis_command_count; i++) {
        if (is_subcommand_of(&redis_commands[i], command)) {
            write_doc(out, &redis_commands[i]);
        }
    }
}

/* ---- COMMAND -------------------------------------------------------------------------------- */

static void answer_all_infos(const struct redis_call *call)
{
    resp_array(call->out, count_commands());
    for (size_t i = 0; i < redis_command_count; i++) {
        if (!is_subcommand(&redis_commands[i])) {
            write_whole_info(call->out, &redis_commands[i]);
        }
    }
}

void redis_introspect(struct redis_call *call)
{
    answer_all_infos(call);
}

void redis_introspect_count(struct redis_call *call)
{
    resp_integer(call->out, (int64_t)count_commands());
}

void redis_introspect_info(struct redis_call *call)
{
    if (call->argc == 2) {
        answer_all_infos(call);
        return;
    }
    resp_array(call->out, call->argc - 2);
    for (size_t i = 2; i < call->argc; i++) {
        const struct redis_command *command = find_by_name(call->argv[i]);
        if (command != NULL) {
            write_whole_info(call->out, command);
        } else {
            resp_null(call->out);
        }
    }
}

void redis_introspect_docs(struct redis_call *call)
{
    size_t count = 0;
    if (call->argc == 2) {
        resp_map(call->out, count_commands());
        for (size_t i = 0; i < redis_command_count; i++) {
            if (!is_subcommand(&redis_commands[i])) {
                write_whole_doc(call->out, &redis_commands[i]);
            }
        }
        return;
    }
    for (size_t i = 2; i < call->argc; i++) {
        count += find_by_name(call->argv[i]) != NULL;
    }
    resp_map(call->out, count);
    for (size_t i = 2; i < call->argc; i++) {
        const struct redis_command *command = find_by_name(call->argv[i]);
        if (command != NULL) {
            write_whole_doc(call->out, command);
        }
    }
}

/* ---- COMMAND LIST --------------------------------------------------------------------------- */

/* True when the command is of that category, as write_categories() tells it. */
static bool is_of_category(const struct redis_call *call, const struct redis_command *command,
                           struct view category)
{
    struct buf *text = &call->scratch->content;
    struct buf wanted = {0};
    struct resp_writer out = {.to = text};
    text->len = 0;
    write_categories(&out, command);
    bool is_found = buf_append(&wanted, view_str("+@")) == STATUS_OK &&
                    buf_append(&wanted, category) == STATUS_OK &&
                    buf_append(&wanted, view_str("\r\n")) == STATUS_OK &&
                    memmem(text->ptr, text->len, wanted.ptr, wanted.len) != NULL;
    buf_free(&wanted);
    return is_found;
}

/* True when the command is to be listed. */
static bool is_listed(const struct redis_call *call, const struct redis_command *command)
{
    if (call->argc == 2) {
        return !is_subcommand(command);
    }
    if (redis_arg_is(call, 3, "pattern")) {
        return redis_glob_matches(call->argv[4], view_str(command->name), REDIS_GLOB_ANY_CASE);
    }
    return redis_arg_is(call, 3, "aclcat") && is_of_category(call, command, call->argv[4]);
}

void redis_introspect_list(struct redis_call *call)
{
    size_t count = 0;
    bool is_valid = call->argc == 2 ||
                    (call->argc == 5 && redis_arg_is(call, 2, "filterby") &&
                     (redis_arg_is(call, 3, "pattern") || redis_arg_is(call, 3, "aclcat") ||
                      redis_arg_is(call, 3, "module")));
    if (!is_valid) {
        redis_syntax_error(call);
        return;
    }
    for (size_t i = 0; i < redis_command_count; i++) {
        count += is_listed(call, &redis_commands[i]);
    }
    resp_array(call->out, count);
    for (size_t i = 0; i < redis_command_count; i++) {
        if (is_listed(call, &redis_commands[i])) {
            resp_bulk_text(call->out, redis_commands[i].name);
        }
    }
}

/* ---- COMMAND GETKEYS ------------------------------------------------------------------------ */

void redis_introspect_getkeys(struct redis_call *call)
{
    const struct view *argv = call->argv + 2;
    size_t argc = call->argc - 2;
    const struct redis_command *command = redis_find_command(argv[0]);
    if (command != NULL && redis_is_container(command) && argc > 1) {
        command = redis_find_subcommand(command, argv[1]);
    }
    if (command == NULL) {
        resp_error(call->out, "ERR Invalid command specified");
    } else if (command->first_key == 0 && !has(command, REDIS_MOVABLE_KEYS)) {
        resp_error(call->out, "ERR The command has no key arguments");
    } else if (!redis_arity_fits(command, argc)) {
        resp_error(call->out, "ERR Invalid number of arguments specified for command");
    } else {
        struct redis_places places = redis_find_places(command, argv, argc);
        size_t count = places.first == 0
                           ? 0
                           : (places.end - places.first + places.step - 1) / places.step;
        resp_array(call->out, count);
        for (size_t i = 0; i < count; i++) {
            resp_bulk(call->out, argv[places.first + i * places.step]);
        }
    }
}

void redis_introspect_help(struct redis_call *call)
{
    static const char *const lines[] = {
        "(no subcommand)",
        "    Return details about all Redis commands.",
        "COUNT",
        "    Return the total number of commands in this Redis server.",
        "LIST",
        "    Return a list of all commands in this Redis server.",
        "INFO [<command-name> ...]",
        "    Return details about multiple Redis commands.",
        "    If no command names are given, documentation details for all",
        "    commands are returned.",
        "DOCS [<command-name> ...]",
        "    Return documentation details about multiple Redis commands.",
        "    If no command names are given, documentation details for all",
        "    commands are returned.",
        "GETKEYS <full-command>",
        "    Return the keys from a full Redis command.",
    };
    redis_help(call, "COMMAND", lines, sizeof lines / sizeof lines[0]);
}
