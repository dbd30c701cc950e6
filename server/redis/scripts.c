/* EVAL and its kin, and SCRIPT. */
#include "redis/scripts.h"

#include <openssl/evp.h>

#include "redis/help.h"
#include "redis/script.h"

enum {
    SHA1_BYTES = 20,
    SHA1_HEX_BYTES = 2 * SHA1_BYTES,
    TEXT_BYTES_MAX = 4096, /* of a text that may be a known one: longer ones are not hashed */
};

static const struct script scripts[] = {
#define X(sha1, body, first_line, second_line, third_line, whose)                                  \
    {sha1, body, {first_line, second_line, third_line}},
    REDIS_KNOWN_SCRIPTS(X)
#undef X
};

static const struct script *find_by_sha1(struct view sha1)
{
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
        if (resp_is_word(sha1, scripts[i].sha1)) {
            return &scripts[i];
        }
    }
    return NULL;
}

static const struct script *find_by_text(struct view text)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    char hex[SHA1_HEX_BYTES + 1];
    if (text.len > TEXT_BYTES_MAX ||
        EVP_Digest(text.ptr, text.len, digest, NULL, EVP_sha1(), NULL) != 1) {
        return NULL;
    }
    for (size_t i = 0; i < SHA1_BYTES; i++) {
        static const char digits[] = "0123456789abcdef";
        hex[2 * i] = digits[digest[i] >> 4];
        hex[2 * i + 1] = digits[digest[i] & 15];
    }
    return find_by_sha1(view_of(hex, SHA1_HEX_BYTES));
}

static void answer_unknown_sha1(const struct redis_call *call)
{
    resp_error(call->out, "NOSCRIPT No matching script. Please use EVAL.");
}

static void answer_unknown_text(const struct redis_call *call)
{
    resp_error(call->out, "ERR this server runs no Lua, only the scripts that "
                          "docs/redis-compatibility.md lists, by the SHA1 of their text");
}

/* ---- EVAL ----------------------------------------------------------------------------------- */

/* Reads how many keys follow. False: it cannot be so many, which has been answered. */
static bool read_key_count(const struct redis_call *call, size_t *out)
{
    int64_t count = 0;
    if (!redis_integer_arg(call, 2, &count)) {
        return false;
    }
    if (count > (int64_t)call->argc - 3) {
        resp_error(call->out, "ERR Number of keys can't be greater than number of args");
        return false;
    }
    if (count < 0) {
        resp_error(call->out, "ERR Number of keys can't be negative");
        return false;
    }
    *out = (size_t)count;
    return true;
}

static void run_script(const struct redis_call *call, const struct script *script, size_t key_count,
                       bool is_read_only)
{
    struct script_run run = {
        .call = call,
        .script = script,
        .args = call->argv + 3 + key_count,
        .arg_count = call->argc - 3 - key_count,
        .is_read_only = is_read_only,
    };
    script->body(&run);
    buf_free(&run.reply);
}

static void eval(const struct redis_call *call, bool is_read_only)
{
    size_t key_count = 0;
    if (!read_key_count(call, &key_count)) {
        return;
    }
    const struct script *script = find_by_text(call->argv[1]);
    if (script == NULL) {
        answer_unknown_text(call);
        return;
    }
    run_script(call, script, key_count, is_read_only);
}

static void evalsha(const struct redis_call *call, bool is_read_only)
{
    size_t key_count = 0;
    if (call->argv[1].len != SHA1_HEX_BYTES) {
        answer_unknown_sha1(call);
        return;
    }
    if (!read_key_count(call, &key_count)) {
        return;
    }
    const struct script *script = find_by_sha1(call->argv[1]);
    if (script == NULL) {
        answer_unknown_sha1(call);
        return;
    }
    run_script(call, script, key_count, is_read_only);
}

void redis_eval(struct redis_call *call)
{
    eval(call, false);
}

void redis_eval_ro(struct redis_call *call)
{
    eval(call, true);
}

void redis_evalsha(struct redis_call *call)
{
    evalsha(call, false);
}

void redis_evalsha_ro(struct redis_call *call)
{
    evalsha(call, true);
}

/* ---- SCRIPT --------------------------------------------------------------------------------- */

void redis_script_load(struct redis_call *call)
{
    const struct script *script = find_by_text(call->argv[2]);
    if (script == NULL) {
        answer_unknown_text(call);
    } else {
        resp_bulk_text(call->out, script->sha1);
    }
}

void redis_script_exists(struct redis_call *call)
{
    resp_array(call->out, call->argc - 2);
    for (size_t i = 2; i < call->argc; i++) {
        resp_integer(call->out, find_by_sha1(call->argv[i]) != NULL);
    }
}

/* Known scripts are never forgotten, so there is nothing to do. */
void redis_script_flush(struct redis_call *call)
{
    bool has_mode = call->argc == 3 &&
                    (redis_arg_is(call, 2, "sync") || redis_arg_is(call, 2, "async"));
    if (call->argc == 2 || has_mode) {
        redis_ok(call);
    } else {
        resp_error(call->out, "ERR SCRIPT FLUSH only support SYNC|ASYNC option");
    }
}

void redis_script_help(struct redis_call *call)
{
    static const char *const lines[] = {
        "EXISTS <sha1> [<sha1> ...]",
        "    Return information about the existence of the scripts in the script cache.",
        "FLUSH [ASYNC|SYNC]",
        "    Does nothing: the scripts that this server runs are always there.",
        "LOAD <script>",
        "    Return the SHA1 of a script that this server runs, without executing it.",
    };
    redis_help(call, "SCRIPT", lines, sizeof lines / sizeof lines[0]);
}
