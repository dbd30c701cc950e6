/* What --help says. */
#include "client/cli/cli.h"

static void print_exit_codes(FILE *out)
{
    (void)fprintf(out, "\nexit codes:\n"
                       "  0  done\n"
                       "  1  not found, condition failed, or content of another kind\n"
                       "  2  unusable arguments, a refused request, or a wrong token\n"
                       "  3  unavailable: no connection, no answer in time, busy, loading, no "
                       "space\n");
}

void cli_help(FILE *out)
{
    (void)fprintf(out, "usage: satchel COMMAND [OPTION ...] [OPERAND ...]\n"
                       "\n"
                       "Reads and changes the sessions of a Satchel store.\n"
                       "\n"
                       "commands:\n");
    for (size_t i = 0; i < cli_command_count; i++) {
        (void)fprintf(out, "  %-8s %s\n", cli_commands[i].word, cli_commands[i].summary);
    }
    (void)fprintf(out, "\ncommands on data directories and backups:\n");
    for (size_t i = 0; i < cli_offline_count; i++) {
        (void)fprintf(out, "  %-8s %s\n", cli_offline_commands[i].word,
                      cli_offline_commands[i].summary);
    }
    (void)fprintf(out, "\noptions of every command but those:\n");
    for (const char *letter = "stdjh"; *letter != '\0'; letter++) {
        cli_help_option(out, *letter);
    }
    (void)fprintf(out, "  %-22s %s\n", "--version", "print the version");
    print_exit_codes(out);
    (void)fprintf(out, "\nA TIME is 250ms, 30s, 30m, 12h or 7d; without a unit, milliseconds.\n"
                       "`satchel COMMAND --help` shows a command with examples.\n");
}

void cli_help_command(FILE *out, const struct cli_command *command)
{
    (void)fprintf(out, "usage: satchel %s [OPTION ...]%s%s\n\nsatchel %s: %s.\n\n%s\noptions:\n",
                  command->word, command->operands[0] != '\0' ? " " : "", command->operands,
                  command->word, command->summary, command->details);
    for (const char *letter = command->letters; *letter != '\0'; letter++) {
        cli_help_option(out, *letter);
    }
    print_exit_codes(out);
}
