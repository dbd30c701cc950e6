/*
 * The help text of the options. The left column holds names and units, the right one the sentence,
 * wrapped, and below it the default and the environment name:
 *
 *     --listen HOST:PORT    Address that clients connect to.
 *                           default 127.0.0.1:7401          SATCHEL_LISTEN
 */
#include "base/option.h"

#include <string.h>

#include "base/option_private.h"

enum {
    WIDTH = 100,         /* columns a line may take */
    INDENT = 2,          /* before a name */
    GAP = 2,             /* between columns, at least */
    NAME_WIDTH_MAX = 34, /* a longer name stands on a line of its own */
    DEFAULT_WIDTH = 32,  /* from the word "default" to the environment name */
};

/* "--listen HOST:PORT"; a flag is its name alone. */
static int format_name(char *out, size_t out_bytes, const struct option_desc *desc)
{
    bool has_unit = desc->type != OPTION_FLAG && desc->unit[0] != '\0';
    return snprintf(out, out_bytes, "--%s%s%s", desc->name, has_unit ? " " : "",
                    has_unit ? desc->unit : "");
}

/* The width of the left column: the longest name that is not too long. */
static int name_width(const struct option_group *groups, size_t group_count)
{
    int width = 0;
    for (size_t g = 0; g < group_count; g++) {
        for (size_t i = 0; i < groups[g].count; i++) {
            int len = format_name(NULL, 0, &groups[g].descs[i]);
            width = len > width && len <= NAME_WIDTH_MAX ? len : width;
        }
    }
    return width;
}

/* Prints `text` broken at spaces; every line but the first begins at column `column`. */
static void print_wrapped(FILE *out, const char *text, int column)
{
    size_t room = (size_t)(WIDTH - column);
    while (strlen(text) > room) {
        size_t len = room;
        while (len > 0 && text[len] != ' ') {
            len--;
        }
        if (len == 0) { /* a word longer than the line stays whole */
            len = strcspn(text, " ");
        }
        (void)fprintf(out, "%.*s\n", (int)len, text);
        text += len + strspn(text + len, " ");
        if (text[0] == '\0') {
            return;
        }
        (void)fprintf(out, "%*s", column, "");
    }
    (void)fprintf(out, "%s\n", text);
}

static void print_option(FILE *out, const struct option_desc *desc, int width)
{
    char name[256];
    char variable[OPTION_NAME_BYTES_MAX];
    char standard[256];
    int column = INDENT + width + GAP;
    int name_len = format_name(name, sizeof name, desc);
    (void)fprintf(out, "%*s%-*s", INDENT, "", width + GAP, name);
    if (name_len > width) {
        (void)fprintf(out, "\n%*s", column, "");
    }
    print_wrapped(out, desc->help, column);
    if (desc->standard[0] != '\0') {
        (void)snprintf(standard, sizeof standard, "default %s", desc->standard);
    } else {
        (void)snprintf(standard, sizeof standard, "no default");
    }
    option_environment_name(variable, desc);
    (void)fprintf(out, "%*s%-*s%*s%s\n", column, "", DEFAULT_WIDTH - GAP, standard, GAP, "",
                  variable);
}

void option_help(const struct option_group *groups, size_t group_count, FILE *out)
{
    int width = name_width(groups, group_count);
    for (size_t g = 0; g < group_count; g++) {
        (void)fprintf(out, "%s%s\n", g > 0 ? "\n" : "", groups[g].title);
        for (size_t i = 0; i < groups[g].count; i++) {
            print_option(out, &groups[g].descs[i], width);
        }
    }
}
