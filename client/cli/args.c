/* Options and operands: getopt_long with one table, and a check of which command takes what. */
#include "client/cli/cli.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN_BYTES_MAX 4096

/* letter (internal: there are only long options), name, argument, meaning */
#define CLI_OPTIONS(X)                                                                             \
    X('s', "server", "HOST:PORT", "where satcheld listens [$SATCHEL_SERVER, else 127.0.0.1:7401]") \
    X('t', "token-file", "FILE",                                                                   \
      "the shared secret [$SATCHEL_TOKEN_FILE, else what $SATCHEL_TOKEN is]")                      \
    X('d', "deadline", "TIME",                                                                     \
      "for the whole command, retries included [$SATCHEL_DEADLINE, else 2s]")                      \
    X('j', "json", NULL, "print JSON; bytes that are not UTF-8 as base64 in ..._base64")           \
    X('h', "help", NULL, "this help")                                                              \
    X('v', "if-version", "N", "only if the session has this version")                              \
    X('a', "if-absent", NULL, "only if there is no such session")                                  \
    X('p', "if-present", NULL, "only if there is such a session")                                  \
    X('u', "durable", NULL, "answer when it is on stable storage")                                 \
    X('f', "fast", NULL, "answer from memory: may be lost if the server dies right now")           \
    X('l', "ttl", "TIME", "expires this long from now")                                            \
    X('i', "idle-ttl", "TIME", "expires after this long without touch or change")                  \
    X('k', "keep-ttl", NULL, "keep the times the session has")                                     \
    X('o', "owner", "TEXT", "whose session it is")                                                 \
    X('F', "fields", NULL, "the content is named fields, not one value")                           \
    X('T', "touch", NULL, "also start the idle time again")                                        \
    X('c', "content", NULL, "print the whole content afterwards")                                  \
    X('P', "prefix", "TEXT", "only ids that begin so")                                             \
    X('L', "long", NULL, "also version, kind, bytes and time left")                                \
    X('A', "live", NULL, "ask whether the process lives: /livez of --ops")                         \
    X('R', "ready", NULL, "ask whether it serves requests: /readyz of --ops")                      \
    X('D', "leader", NULL, "ask whether it owns the store: /leader of --ops")                      \
    X('O', "ops", "HOST:PORT", "its ops address [$SATCHEL_OPS, else 127.0.0.1:7402]")

enum { LETTER_VERSION = 'V' };

static const struct option long_options[] = {
#define X(letter, name, argument, meaning)                                                         \
    {name, (argument) != NULL ? required_argument : no_argument, NULL, letter},
    CLI_OPTIONS(X)
#undef X
        {"version", no_argument, NULL, LETTER_VERSION},
    {NULL, 0, NULL, 0},
};

void cli_help_option(FILE *out, char letter)
{
    static const struct {
        char letter;
        const char *name;
        const char *argument;
        const char *meaning;
    } options[] = {
#define X(letter, name, argument, meaning) {letter, name, argument, meaning},
        CLI_OPTIONS(X)
#undef X
    };
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        if (options[i].letter == letter) {
            char left[32];
            (void)snprintf(left, sizeof left, "--%s %s", options[i].name,
                           options[i].argument != NULL ? options[i].argument : "");
            (void)fprintf(out, "  %-22s %s\n", left, options[i].meaning);
        }
    }
}

static const char *name_of(int letter)
{
    for (const struct option *at = long_options; at->name != NULL; at++) {
        if (at->val == letter) {
            return at->name;
        }
    }
    return "?";
}

static bool parse_u64(const char *text, uint64_t *out, const char **rest)
{
    if (text[0] < '0' || text[0] > '9') {
        return false; /* strtoull would take spaces and a minus */
    }
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    *out = value;
    *rest = end;
    return errno == 0;
}

bool cli_parse_ms(const char *text, uint64_t *ms)
{
    static const struct {
        const char *unit;
        uint64_t ms;
    } units[] = {{"", 1}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    uint64_t count;
    const char *unit;
    if (!parse_u64(text, &count, &unit)) {
        return false;
    }
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(unit, units[i].unit) == 0 && count <= SATCHEL_TTL_MS_MAX / units[i].ms) {
            *ms = count * units[i].ms;
            return true;
        }
    }
    return false;
}

/* A condition may be given once. */
static bool set_condition(struct cli *cli, enum satchel_condition condition)
{
    bool is_first = cli->options.condition == SATCHEL_ALWAYS;
    cli->options.condition = condition;
    return is_first;
}

static bool set_ack(struct cli *cli, enum satchel_ack ack)
{
    bool is_first = cli->options.ack == SATCHEL_ACK_DEFAULT || cli->options.ack == ack;
    cli->options.ack = ack;
    return is_first;
}

static bool set_time(const char *text, uint64_t *ms)
{
    return cli_parse_ms(text, ms) && *ms > 0;
}

/* One page may be asked for. */
static bool set_page(struct cli *cli, const char *page)
{
    bool is_first = cli->page == NULL;
    cli->page = page;
    return is_first;
}

/* Takes one option; false: its argument is of no use, or it contradicts another one. */
static bool take_option(struct cli *cli, int letter, const char *argument, const char **token_file)
{
    const char *rest = "";
    switch (letter) {
    case 's':
        cli->server = argument;
        return argument[0] != '\0';
    case 't':
        *token_file = argument;
        return true;
    case 'd':
        return set_time(argument, &cli->deadline_ms);
    case 'j':
        cli->json = true;
        return true;
    case 'v':
        return parse_u64(argument, &cli->options.if_version, &rest) && *rest == '\0' &&
               cli->options.if_version > 0 && set_condition(cli, SATCHEL_IF_VERSION);
    case 'a':
        return set_condition(cli, SATCHEL_IF_ABSENT);
    case 'p':
        return set_condition(cli, SATCHEL_IF_PRESENT);
    case 'u':
        return set_ack(cli, SATCHEL_ACK_DURABLE);
    case 'f':
        return set_ack(cli, SATCHEL_ACK_FAST);
    case 'l':
        return set_time(argument, &cli->options.ttl_ms);
    case 'i':
        return set_time(argument, &cli->options.idle_ttl_ms);
    case 'k':
        cli->options.keep_ttl = true;
        return true;
    case 'o':
        cli->owner = satchel_text(argument);
        cli->options.owner = &cli->owner;
        return true;
    case 'F':
        cli->as_fields = true;
        return true;
    case 'T':
        cli->options.touch = true;
        return true;
    case 'c':
        cli->options.return_content = true;
        return true;
    case 'P':
        cli->prefix = argument;
        return true;
    case 'L':
        cli->as_long = true;
        return true;
    case 'A':
        return set_page(cli, "/livez");
    case 'R':
        return set_page(cli, "/readyz");
    case 'D':
        return set_page(cli, "/leader");
    case 'O':
        cli->ops = argument;
        return argument[0] != '\0';
    default:
        return false;
    }
}

/* Takes the secret out of the environment, so that no other place than this process has it: the
 * variable's own memory is what /proc/PID/environ shows. `file` may be NULL. */
static bool take_variable(const char *file, char **token)
{
    char *text = getenv("SATCHEL_TOKEN");
    if (text == NULL || text[0] == '\0') {
        return true;
    }
    if (file != NULL) {
        (void)cli_usage(NULL, "the token is given twice: by SATCHEL_TOKEN, and by --token-file %s",
                        file);
        return false;
    }
    *token = strdup(text);
    explicit_bzero(text, strlen(text));
    (void)unsetenv("SATCHEL_TOKEN");
    if (*token == NULL) {
        (void)fprintf(stderr, "satchel: out of memory\n");
    }
    return *token != NULL;
}

/* Reads the secret; trailing line ends are no part of it. */
static bool read_token(const char *path, char **token)
{
    char text[TOKEN_BYTES_MAX];
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        (void)fprintf(stderr, "satchel: cannot open the token file %s: %s\n", path,
                      strerror(errno));
        return false;
    }
    size_t len = fread(text, 1, sizeof text, file);
    bool is_read = ferror(file) == 0;
    (void)fclose(file); /* only read from */
    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r')) {
        len--;
    }
    bool is_usable = is_read && len > 0 && len < sizeof text && memchr(text, '\0', len) == NULL;
    if (is_usable) {
        *token = strndup(text, len);
        is_usable = *token != NULL;
    } else {
        (void)fprintf(stderr, "satchel: the token file %s is empty, too long or no text\n", path);
    }
    explicit_bzero(text, sizeof text);
    return is_usable;
}

static const struct cli_command *find_command(const char *word)
{
    for (size_t i = 0; i < cli_command_count; i++) {
        if (strcmp(cli_commands[i].word, word) == 0) {
            return &cli_commands[i];
        }
    }
    return NULL;
}

/* The options come before the command is known, since they may stand anywhere. */
static bool take_options(struct cli *cli, int argc, char *argv[], char letters[64], bool *help,
                         bool *version, const char **token_file)
{
    size_t count = 0;
    int letter;
    while ((letter = getopt_long(argc, argv, ":", long_options, NULL)) != -1) {
        if (letter == 'h') {
            *help = true;
        } else if (letter == LETTER_VERSION) {
            *version = true;
        } else if (letter == '?') {
            (void)cli_usage(NULL,
                            "unknown option `%s`; before values that begin with a dash write --",
                            argv[optind - 1]);
            return false;
        } else if (letter == ':') {
            (void)cli_usage(NULL, "`%s` needs a value", argv[optind - 1]);
            return false;
        } else if (!take_option(cli, letter, optarg, token_file)) {
            (void)cli_usage(NULL, "--%s%s%s: unusable, or contradicts another option",
                            name_of(letter), optarg != NULL ? " " : "",
                            optarg != NULL ? optarg : "");
            return false;
        }
        if (letter != 'h' && letter != LETTER_VERSION && count < 63 &&
            strchr(letters, letter) == NULL) {
            letters[count++] = (char)letter;
        }
    }
    return true;
}

static bool check_command(const struct cli *cli, const char *letters)
{
    const struct cli_command *command = cli->command;
    for (const char *at = letters; *at != '\0'; at++) {
        if (strchr(command->letters, *at) == NULL) {
            (void)cli_usage(command, "%s does not take --%s", command->word, name_of(*at));
            return false;
        }
    }
    if (cli->operand_count < command->operands_least ||
        (command->operands_most >= 0 && cli->operand_count > command->operands_most)) {
        (void)cli_usage(command, "usage: satchel %s %s", command->word, command->operands);
        return false;
    }
    return true;
}

bool cli_parse(struct cli *cli, int argc, char *argv[], enum cli_exit *code)
{
    char letters[64] = "";
    bool help = false;
    bool version = false;
    const char *token_file = getenv("SATCHEL_TOKEN_FILE");
    const char *server = getenv("SATCHEL_SERVER");
    const char *ops = getenv("SATCHEL_OPS");
    cli->ops = ops != NULL && ops[0] != '\0' ? ops : "127.0.0.1:7402";
    cli->server = server != NULL && server[0] != '\0' ? server : "127.0.0.1:7401";
    *code = CLI_USAGE;
    const char *deadline = getenv("SATCHEL_DEADLINE");
    if (deadline != NULL && deadline[0] != '\0' && !set_time(deadline, &cli->deadline_ms)) {
        (void)cli_usage(NULL, "SATCHEL_DEADLINE: `%s` is no time", deadline);
        return false;
    }
    opterr = 0;
    if (!take_options(cli, argc, argv, letters, &help, &version, &token_file)) {
        return false;
    }
    if (version) {
        (void)printf("satchel %s\n", satchel_version());
        *code = CLI_DONE;
        return false;
    }
    const char *word = optind < argc ? argv[optind] : NULL;
    if (word != NULL && strcmp(word, "help") == 0) {
        help = true;
        word = optind + 1 < argc ? argv[optind + 1] : NULL;
    }
    cli->command = word != NULL ? find_command(word) : NULL;
    if (word != NULL && cli_is_offline(word)) {
        (void)fprintf(stderr, "satchel: `%s` comes first, before options; see satchel %s --help\n",
                      word, word);
        return false;
    }
    if (word != NULL && cli->command == NULL) {
        (void)cli_usage(NULL, "there is no command `%s`", word);
        return false;
    }
    if (help || word == NULL) {
        FILE *out = help ? stdout : stderr;
        if (cli->command != NULL) {
            cli_help_command(out, cli->command);
        } else {
            cli_help(out);
        }
        *code = help ? CLI_DONE : CLI_USAGE;
        return false;
    }
    cli->operands = argv + optind + 1;
    cli->operand_count = argc - optind - 1;
    if (token_file != NULL && token_file[0] == '\0') {
        token_file = NULL;
    }
    return check_command(cli, letters) && take_variable(token_file, &cli->token) &&
           (token_file == NULL || read_token(token_file, &cli->token));
}
