/* The one line of JSON that a command ends with. */
#include "tools/summary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

enum { REAL_DIGITS = 15 }; /* as many as a double always keeps: 1.204 stays 1.204 */

static const char word[] = "--json";

void summary_begin(struct summary *self, int argc, char *const argv[])
{
    const char *variable = getenv("SATCHEL_JSON");
    *self = (struct summary){.command = "", .begin_ns = clock_mono_ns(&clock_system)};
    self->is_wanted = variable != NULL && strcmp(variable, "yes") == 0;
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], word, sizeof word - 1) == 0) {
            const char *value = argv[i] + sizeof word - 1;
            self->is_wanted = value[0] == '\0' || strcmp(value, "=yes") == 0;
        }
    }
}

void summary_set(struct summary *self, json_t *result)
{
    if (result == NULL) {
        result = json_pack("{s:s}", "error", "out of memory, or a text that is not UTF-8");
    }
    json_decref(self->result);
    self->result = result;
}

void summary_fail(struct summary *self, const char *why)
{
    /* A path may have bytes that are no text; the line stays, with the rest of what it says. */
    json_t *text = json_string(why);
    summary_set(
        self, json_pack("{s:o}", "error", text != NULL ? text : json_string("see standard error")));
}

void summary_end(struct summary *self, int exit_code)
{
    int64_t took_ms = (clock_mono_ns(&clock_system) - self->begin_ns) / 1000000;
    json_t *line = json_pack("{s:s, s:b, s:i, s:f}", "command", self->command, "ok", exit_code == 0,
                             "exit_code", exit_code, "seconds", (double)took_ms / 1000);
    if (self->result != NULL) {
        (void)json_object_update_missing(line, self->result);
    }
    if (self->is_wanted && line != NULL) {
        (void)json_dumpf(line, stdout, JSON_COMPACT | JSON_REAL_PRECISION(REAL_DIGITS));
        (void)putchar('\n');
    }
    json_decref(line);
    json_decref(self->result);
    self->result = NULL;
}
