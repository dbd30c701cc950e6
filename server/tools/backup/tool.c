/* What commands share: the archive they work on, and how they say what went wrong. */
#include "tools/backup/tool.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { LINE_BYTES = 1024 };

static void say(struct tool *self, const char *line)
{
    progress_end(&self->progress);
    (void)fprintf(stderr, "satchel %s: %s\n", self->command->words, line);
}

void tool_note(struct tool *self, const char *format, ...)
{
    char line[LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    say(self, line);
}

enum tool_exit tool_fail(struct tool *self, enum tool_exit code, const char *format, ...)
{
    char line[LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    say(self, line);
    summary_fail(self->summary, line);
    return code;
}

enum tool_exit tool_exit_of(enum status status)
{
    switch (status) {
    case STATUS_OK:
        return TOOL_DONE;
    case STATUS_CORRUPT:
    case STATUS_UNSUPPORTED:
    case STATUS_NOT_FOUND:
        return TOOL_DAMAGED;
    case STATUS_INVALID:
        return TOOL_USAGE;
    default:
        return TOOL_FAILED;
    }
}

void tool_print_json(struct tool *self, json_t *object)
{
    if (object == NULL) {
        say(self, "out of memory, or a text that is not UTF-8");
    }
    summary_set(self->summary, object);
}

enum tool_exit tool_open_archive(struct tool *self)
{
    char why[LINE_BYTES / 2];
    if (self->is_open) {
        return TOOL_DONE;
    }
    if (self->place_options.url == NULL) {
        return tool_fail(self, TOOL_USAGE,
                         "which archive? Name it, s3://BUCKET[/PREFIX], or set SATCHEL_BACKUP");
    }
    enum status status = place_open(&self->place, &self->place_options, why, sizeof why);
    if (status != STATUS_OK) {
        /* No credentials is nothing that is wrong with the archive. */
        return tool_fail(self, status == STATUS_INVALID ? TOOL_USAGE : TOOL_FAILED, "%s", why);
    }
    status = place_client(&self->place, &self->stop, &self->archive.s3, why, sizeof why);
    if (status != STATUS_OK) {
        place_close(&self->place);
        return tool_fail(self, tool_exit_of(status), "%s", why);
    }
    self->is_open = true;
    return TOOL_DONE;
}
