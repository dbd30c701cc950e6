/* satchel set, delete, touch and patch. */
#include "client/cli/cli.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Prints how a change ended and frees the result. */
static enum cli_exit finish(struct cli *cli, enum satchel_status status,
                            struct satchel_result *result)
{
    struct satchel_bytes id = satchel_text(cli->operands[0]);
    enum cli_exit code = CLI_DONE;
    if (status == SATCHEL_CONDITION_FAILED) {
        char text[96];
        (void)snprintf(text, sizeof text,
                       result->version != 0 ? "condition failed: the session has version %" PRIu64
                                            : "condition failed: there is no such session",
                       result->version);
        code = cli_fail(cli, status, satchel_text(text));
    } else if (status != SATCHEL_OK) {
        code = cli_fail(cli, status, result->message);
    } else if (cli->json) {
        cli_print_json(cli_json_result(id, result));
    } else if (result->has_content && result->content.len != 0) {
        cli_print_fields(stdout, result->content);
    } else if (result->version != 0) {
        (void)printf("version %" PRIu64 "\n", result->version);
    } else {
        (void)printf("deleted\n");
    }
    satchel_result_free(result);
    return code;
}

/* Reads standard input to its end into memory that the caller frees. False: it cannot be read, or
 * is larger than any value may be. */
static bool read_stdin(char **text, size_t *len)
{
    size_t room = 64 * 1024;
    *len = 0;
    *text = malloc(room);
    while (*text != NULL && *len <= SATCHEL_VALUE_BYTES_MAX) {
        *len += fread(*text + *len, 1, room - *len, stdin);
        if (*len < room) {
            return ferror(stdin) == 0;
        }
        room *= 2;
        char *more = realloc(*text, room);
        if (more == NULL) {
            break;
        }
        *text = more;
    }
    return false;
}

static enum cli_exit set_fields(struct cli *cli)
{
    size_t count = (size_t)cli->operand_count - 1;
    struct satchel_field *fields = calloc(count, sizeof *fields);
    if (fields == NULL) {
        return cli_fail(cli, SATCHEL_NO_MEMORY, (struct satchel_bytes){0});
    }
    for (size_t i = 0; i < count; i++) {
        const char *text = cli->operands[i + 1];
        const char *equals = strchr(text, '=');
        if (equals == NULL || equals == text) {
            free(fields);
            return cli_usage(cli->command, "`%s` is not NAME=VALUE", text);
        }
        fields[i].name = (struct satchel_bytes){.ptr = text, .len = (size_t)(equals - text)};
        fields[i].value = satchel_text(equals + 1);
    }
    struct satchel_result result = {0};
    enum satchel_status status = satchel_set_fields(cli->store, satchel_text(cli->operands[0]),
                                                    fields, count, &cli->options, &result);
    free(fields);
    return finish(cli, status, &result);
}

enum cli_exit cli_set(struct cli *cli)
{
    if (cli->as_fields) {
        return set_fields(cli);
    }
    if (cli->operand_count != 2) {
        return cli_usage(cli->command, "one value, please (or --fields with NAME=VALUE ...)");
    }
    struct satchel_bytes value = satchel_text(cli->operands[1]);
    char *input = NULL;
    if (strcmp(cli->operands[1], "-") == 0) {
        if (!read_stdin(&input, &value.len)) {
            free(input);
            return cli_usage(cli->command, "cannot read standard input, or it is over 16 MiB");
        }
        value.ptr = input;
    }
    struct satchel_result result = {0};
    enum satchel_status status = satchel_set(cli->store, satchel_text(cli->operands[0]), value,
                                             &cli->options, &result);
    free(input);
    return finish(cli, status, &result);
}

enum cli_exit cli_delete(struct cli *cli)
{
    struct satchel_result result = {0};
    enum satchel_status status = satchel_delete(cli->store, satchel_text(cli->operands[0]),
                                                &cli->options, &result);
    return finish(cli, status, &result);
}

enum cli_exit cli_touch(struct cli *cli)
{
    struct satchel_result result = {0};
    enum satchel_status status = satchel_touch(cli->store, satchel_text(cli->operands[0]),
                                               &cli->options, &result);
    return finish(cli, status, &result);
}

enum cli_exit cli_patch(struct cli *cli)
{
    struct satchel_op ops[SATCHEL_PATCH_OPS_MAX];
    size_t count = (size_t)cli->operand_count - 1;
    for (size_t i = 0; i < count; i++) {
        if (!cli_parse_op(cli->operands[i + 1], &ops[i])) {
            return cli_usage(cli->command, "`%s` is not a change", cli->operands[i + 1]);
        }
    }
    struct satchel_result result = {0};
    enum satchel_status status = satchel_patch(cli->store, satchel_text(cli->operands[0]), ops,
                                               count, &cli->options, &result);
    return finish(cli, status, &result);
}
