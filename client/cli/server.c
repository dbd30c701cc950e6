/* satchel ping, stats and health. */
#include "client/cli/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1000.0 + (double)now.tv_nsec / 1e6;
}

enum cli_exit cli_ping(struct cli *cli)
{
    double start_ms = now_ms();
    enum satchel_status status = satchel_ping(cli->store);
    double took_ms = now_ms() - start_ms;
    if (status != SATCHEL_OK) {
        return cli_fail(cli, status, satchel_text(satchel_last_message()));
    }
    if (cli->json) {
        json_t *object = json_object();
        (void)json_object_set_new(object, "server", json_string(cli->server));
        (void)json_object_set_new(object, "ms", json_real(took_ms));
        cli_print_json(object);
    } else {
        (void)printf("ok %s %.1f ms\n", cli->server, took_ms);
    }
    return CLI_DONE;
}

enum cli_exit cli_health(struct cli *cli)
{
    if (cli->page != NULL) {
        return cli_probe(cli);
    }
    /* A health check knows healthy and not healthy. */
    return cli_ping(cli) == CLI_DONE ? CLI_DONE : CLI_UNAVAILABLE;
}

static json_t *json_number(const char *text)
{
    char *end;
    errno = 0;
    long long whole = strtoll(text, &end, 10);
    if (errno == 0 && end != text && *end == '\0') {
        return json_integer(whole);
    }
    double number = strtod(text, &end);
    return end != text && *end == '\0' ? json_real(number) : json_string(text);
}

/* Lines `name value` to one object; `text` is taken apart. */
static void print_stats_json(char *text)
{
    json_t *object = json_object();
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        char *space = strrchr(line, ' ');
        if (space != NULL) {
            *space = '\0';
            (void)json_object_set_new(object, line, json_number(space + 1));
        }
    }
    cli_print_json(object);
}

enum cli_exit cli_stats(struct cli *cli)
{
    struct satchel_result result = {0};
    enum satchel_status status = satchel_stats(cli->store, &result);
    enum cli_exit code = CLI_DONE;
    if (status != SATCHEL_OK) {
        code = cli_fail(cli, status, result.message);
    } else if (cli->json) {
        char *text = strndup(result.content.ptr, result.content.len);
        if (text == NULL) {
            code = cli_fail(cli, SATCHEL_NO_MEMORY, (struct satchel_bytes){0});
        } else {
            print_stats_json(text);
            free(text);
        }
    } else {
        (void)fwrite(result.content.ptr, 1, result.content.len, stdout);
    }
    satchel_result_free(&result);
    return code;
}
