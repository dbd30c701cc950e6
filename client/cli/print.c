/* Output: error lines, escaped text, JSON. */
#include "client/cli/cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* ---- Errors --------------------------------------------------------------------------------- */

static enum cli_exit exit_code_of(enum satchel_status status)
{
    switch (status) {
    case SATCHEL_OK:
        return CLI_DONE;
    case SATCHEL_NOT_FOUND:
    case SATCHEL_CONDITION_FAILED:
    case SATCHEL_WRONG_KIND:
    case SATCHEL_NOT_A_NUMBER:
    case SATCHEL_OUT_OF_RANGE:
        return CLI_NOT_DONE;
    case SATCHEL_BAD_REQUEST:
    case SATCHEL_TOO_LARGE:
    case SATCHEL_UNSUPPORTED:
    case SATCHEL_HELLO_REQUIRED:
    case SATCHEL_UNAUTHENTICATED:
        return CLI_USAGE;
    case SATCHEL_BUSY:
    case SATCHEL_LOADING:
    case SATCHEL_STOPPING:
    case SATCHEL_NO_SPACE:
    case SATCHEL_UNKNOWN_OUTCOME:
    case SATCHEL_TIMED_OUT:
    case SATCHEL_UNREACHABLE:
    case SATCHEL_DISCONNECTED:
    case SATCHEL_BAD_REPLY:
    case SATCHEL_NO_MEMORY:
    case SATCHEL_CLOSED:
        return CLI_UNAVAILABLE;
    }
    return CLI_UNAVAILABLE;
}

static const char *hint_of(enum satchel_status status, const struct cli *cli)
{
    switch (status) {
    case SATCHEL_UNREACHABLE:
        return "; is satcheld running?";
    case SATCHEL_UNAUTHENTICATED:
        return cli->token == NULL ? "; give the secret with --token-file or SATCHEL_TOKEN"
                                  : "; is it the right token?";
    case SATCHEL_LOADING:
    case SATCHEL_BUSY:
    case SATCHEL_STOPPING:
        return "; try again in a moment, or with a longer --deadline";
    case SATCHEL_TIMED_OUT:
    case SATCHEL_DISCONNECTED:
    case SATCHEL_UNKNOWN_OUTCOME:
        return strchr(cli->command->letters, 'v') != NULL /* it takes conditions: a change */
                   ? "; the change may have been made: look before you repeat it"
                   : "; try again";
    default:
        return "";
    }
}

enum cli_exit cli_fail(const struct cli *cli, enum satchel_status status,
                       struct satchel_bytes message)
{
    struct satchel_bytes text = satchel_text(satchel_status_text(status));
    const struct satchel_bytes what = message.len != 0 ? message : text;
    (void)fprintf(stderr, "satchel: ");
    cli_print_escaped(stderr, what);
    bool names_server = message.len != 0 &&
                        memmem(what.ptr, what.len, cli->server, strlen(cli->server)) != NULL;
    if (exit_code_of(status) != CLI_NOT_DONE && !names_server) {
        (void)fprintf(stderr, " (%s)", cli->server);
    }
    (void)fprintf(stderr, "%s\n", hint_of(status, cli));
    return exit_code_of(status);
}

enum cli_exit cli_usage(const struct cli_command *command, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)fprintf(stderr, "satchel: ");
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fprintf(stderr, "; see satchel %s%s--help\n", command != NULL ? command->word : "",
                  command != NULL ? " " : "");
    return CLI_USAGE;
}

/* ---- Text ----------------------------------------------------------------------------------- */

static bool is_utf8(struct satchel_bytes bytes)
{
    json_t *text = json_stringn(bytes.len != 0 ? bytes.ptr : "", bytes.len);
    json_decref(text); /* NULL is fine */
    return text != NULL;
}

void cli_print_escaped(FILE *out, struct satchel_bytes bytes)
{
    const unsigned char *at = bytes.ptr;
    bool pass_high = is_utf8(bytes);
    for (size_t i = 0; i < bytes.len; i++) {
        if (at[i] == '\\') {
            (void)fputs("\\\\", out);
        } else if (at[i] == '\n') {
            (void)fputs("\\n", out);
        } else if (at[i] == '\t') {
            (void)fputs("\\t", out);
        } else if (at[i] < 0x20 || at[i] == 0x7f || (at[i] >= 0x80 && !pass_high)) {
            (void)fprintf(out, "\\x%02x", at[i]);
        } else {
            (void)fputc(at[i], out);
        }
    }
}

void cli_print_fields(FILE *out, struct satchel_bytes content)
{
    struct satchel_field field;
    while (satchel_next_field(&content, &field)) {
        cli_print_escaped(out, field.name);
        (void)fputc('\t', out);
        cli_print_escaped(out, field.value);
        (void)fputc('\n', out);
    }
}

void cli_print_names(FILE *out, struct satchel_bytes content)
{
    struct satchel_field field;
    while (satchel_next_field(&content, &field)) {
        cli_print_escaped(out, field.name);
        (void)fputc('\n', out);
    }
}

/* ---- JSON ----------------------------------------------------------------------------------- */

static json_t *base64(struct satchel_bytes bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *from = bytes.ptr;
    size_t text_len = (bytes.len + 2) / 3 * 4;
    char *text = malloc(text_len + 1);
    if (text == NULL) {
        return NULL;
    }
    char *to = text;
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t have = bytes.len - i;
        unsigned group = (unsigned)from[i] << 16 | (have > 1 ? (unsigned)from[i + 1] << 8 : 0) |
                         (have > 2 ? from[i + 2] : 0U);
        *to++ = digits[group >> 18];
        *to++ = digits[group >> 12 & 63];
        *to++ = have > 1 ? digits[group >> 6 & 63] : '=';
        *to++ = have > 2 ? digits[group & 63] : '=';
    }
    json_t *string = json_stringn(text, text_len);
    free(text);
    return string;
}

/* jansson answers -1 without memory; the line then lacks the member, and the store is not at
 * fault. */
static void set(json_t *object, const char *key, json_t *value)
{
    (void)json_object_set_new(object, key, value);
}

void cli_json_bytes(json_t *object, const char *key, struct satchel_bytes bytes)
{
    if (is_utf8(bytes)) {
        set(object, key, json_stringn(bytes.len != 0 ? bytes.ptr : "", bytes.len));
        return;
    }
    char base64_key[64];
    (void)snprintf(base64_key, sizeof base64_key, "%s_base64", key);
    set(object, base64_key, base64(bytes));
}

/* {"name": "value", …}; a field that is not text stands in the list "fields_base64" instead. */
static void put_fields(json_t *object, struct satchel_bytes content)
{
    json_t *texts = json_object();
    json_t *others = json_array();
    struct satchel_field field;
    while (satchel_next_field(&content, &field)) {
        if (is_utf8(field.name) && is_utf8(field.value)) {
            (void)json_object_setn_new(
                texts, field.name.ptr, field.name.len,
                json_stringn(field.value.len != 0 ? field.value.ptr : "", field.value.len));
        } else {
            json_t *other = json_object();
            cli_json_bytes(other, "name", field.name);
            cli_json_bytes(other, "value", field.value);
            (void)json_array_append_new(others, other);
        }
    }
    set(object, "fields", texts);
    if (json_array_size(others) > 0) {
        set(object, "fields_base64", json_incref(others));
    }
    json_decref(others);
}

/* ["name", …]; a name that is not text stands in the list "names_base64" instead. */
static void put_names(json_t *object, struct satchel_bytes content)
{
    json_t *texts = json_array();
    json_t *others = json_array();
    struct satchel_field field;
    while (satchel_next_field(&content, &field)) {
        if (is_utf8(field.name)) {
            (void)json_array_append_new(texts, json_stringn(field.name.ptr, field.name.len));
        } else {
            (void)json_array_append_new(others, base64(field.name));
        }
    }
    set(object, "names", texts);
    if (json_array_size(others) > 0) {
        set(object, "names_base64", json_incref(others));
    }
    json_decref(others);
}

json_t *cli_json_result(struct satchel_bytes id, const struct satchel_result *result)
{
    json_t *object = json_object();
    cli_json_bytes(object, "id", id);
    set(object, "version", json_integer((json_int_t)result->version));
    if (result->expires_in_ms != 0) {
        set(object, "expires_in_ms", json_integer((json_int_t)result->expires_in_ms));
    }
    if (result->idle_ttl_ms != 0) {
        set(object, "idle_ttl_ms", json_integer((json_int_t)result->idle_ttl_ms));
    }
    if (result->created_ms != 0) {
        set(object, "created_ms", json_integer((json_int_t)result->created_ms));
    }
    if (result->owner.len != 0) {
        cli_json_bytes(object, "owner", result->owner);
    }
    if (result->has_content && result->kind == SATCHEL_FIELDS) {
        put_fields(object, result->content);
    } else if (result->has_content && result->kind == SATCHEL_NAMES) {
        put_names(object, result->content);
    } else if (result->has_content) {
        cli_json_bytes(object, "value", result->content);
    }
    return object;
}

void cli_print_json(json_t *object)
{
    (void)json_dumpf(object, stdout, JSON_COMPACT);
    (void)fputc('\n', stdout);
    json_decref(object);
}
