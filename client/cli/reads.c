/* satchel get, satchel scan. */
#include "client/cli/cli.h"

#include <inttypes.h>
#include <unistd.h>

enum cli_exit cli_get(struct cli *cli)
{
    struct satchel_bytes id = satchel_text(cli->operands[0]);
    struct satchel_result result = {0};
    enum satchel_status status = satchel_get(cli->store, id, &cli->options, &result);
    enum cli_exit code = CLI_DONE;
    if (status != SATCHEL_OK) {
        code = cli_fail(cli, status, result.message);
    } else if (cli->json) {
        cli_print_json(cli_json_result(id, &result));
    } else if (result.kind == SATCHEL_FIELDS) {
        cli_print_fields(stdout, result.content);
    } else if (result.kind == SATCHEL_NAMES) {
        cli_print_names(stdout, result.content);
    } else {
        (void)fwrite(result.content.ptr, 1, result.content.len, stdout);
        if (isatty(STDOUT_FILENO) != 0) {
            (void)fputc('\n', stdout); /* so that the prompt starts a line; files get bare bytes */
        }
    }
    satchel_result_free(&result);
    return code;
}

static void print_entry_json(const struct satchel_scan_entry *entry)
{
    json_t *object = json_object();
    cli_json_bytes(object, "id", entry->id);
    (void)json_object_set_new(object, "version", json_integer((json_int_t)entry->version));
    (void)json_object_set_new(object, "kind", json_string(satchel_kind_text(entry->kind)));
    (void)json_object_set_new(object, "bytes", json_integer((json_int_t)entry->content_bytes));
    if (entry->expires_in_ms != 0) {
        (void)json_object_set_new(object, "expires_in_ms",
                                  json_integer((json_int_t)entry->expires_in_ms));
    }
    cli_print_json(object);
}

static bool print_entry(void *arg, const struct satchel_scan_entry *entry)
{
    const struct cli *cli = arg;
    if (cli->json) {
        print_entry_json(entry);
        return ferror(stdout) == 0;
    }
    if (cli->as_long) {
        (void)printf("%10" PRIu64 " %-6s %8" PRIu64 " ", entry->version,
                     satchel_kind_text(entry->kind), entry->content_bytes);
        if (entry->expires_in_ms != 0) {
            (void)printf("%8" PRIu64 "s ", entry->expires_in_ms / 1000);
        } else {
            (void)printf("%9s ", "-");
        }
    }
    cli_print_escaped(stdout, entry->id);
    (void)fputc('\n', stdout);
    return ferror(stdout) == 0;
}

enum cli_exit cli_scan(struct cli *cli)
{
    if (cli->as_long && !cli->json) {
        (void)printf("%10s %-6s %8s %9s %s\n", "VERSION", "KIND", "BYTES", "EXPIRES", "ID");
    }
    struct satchel_bytes prefix = satchel_text(cli->prefix != NULL ? cli->prefix : "");
    enum satchel_status status = satchel_scan(cli->store, prefix, print_entry, cli);
    return status == SATCHEL_OK ? CLI_DONE
                                : cli_fail(cli, status, satchel_text(satchel_last_message()));
}
