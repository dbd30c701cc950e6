/* The help text: what it holds and how wide it gets. */
#include "base/option.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

static const struct option_desc net_descs[] = {
    {"listen", OPTION_TEXT, "127.0.0.1:7401", "HOST:PORT", "Address that clients connect to.", 0, 0,
     0},
    {"open-to-all", OPTION_FLAG, "no", "", "Serve without a token.", 0, 0, 0, "OPEN_DOOR"},
};
static const struct option_desc store_descs[] = {
    {"memory", OPTION_BYTES, "", "BYTES",
     "Budget for sessions that stay in memory; the values of those used least leave it first and "
     "are read again from the data directory when they are asked for.",
     0, 0, 0},
    {"a-name-that-is-too-long-for-its-column", OPTION_CHOICE, "one", "one|two", "Short.", 0, 0, 0},
};
static const struct option_group groups[] = {{"Network", net_descs, 2, NULL},
                                             {"Store", store_descs, 2, NULL}};

static char *help_text(void)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    cr_assert_not_null(out);
    option_help(groups, 2, out);
    cr_assert(eq(int, fclose(out), 0));
    return text;
}

Test(option_help, names_units_sentences_defaults_and_variables_stand_in_columns)
{
    char *text = help_text();
    cr_assert(eq(str, text,
                 "Network\n"
                 "  --listen HOST:PORT  Address that clients connect to.\n"
                 "                      default 127.0.0.1:7401          SATCHEL_LISTEN\n"
                 "  --open-to-all       Serve without a token.\n"
                 "                      default no                      OPEN_DOOR\n"
                 "\n"
                 "Store\n"
                 "  --memory BYTES      Budget for sessions that stay in memory; the values of "
                 "those used least leave\n"
                 "                      it first and are read again from the data directory when "
                 "they are asked for.\n"
                 "                      no default                      SATCHEL_MEMORY\n"
                 "  --a-name-that-is-too-long-for-its-column one|two\n"
                 "                      Short.\n"
                 "                      default one                     "
                 "SATCHEL_A_NAME_THAT_IS_TOO_LONG_FOR_ITS_COLUMN\n"));
    free(text);
}

Test(option_help, sentences_are_wrapped_at_100_columns)
{
    char *text = help_text();
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        cr_assert(le(sz, strlen(line), 100), "%s", line);
    }
    free(text);
}
