/* What the server tells of itself: CONFIG, INFO, TIME, COMMAND; and patterns. */
#include "room.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "redis/command.h"
#include "redis/glob.h"

TestSuite(redis_server, .timeout = 60);

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SET_FAILED(name, why)                                                                      \
    "-ERR CONFIG SET failed (possibly related to argument '" name "') - " why "\r\n"

Test(redis_server, config_answers_as_redis_does)
{
    static const struct room_case cases[] = {
        {"CONFIG GET foo", "*0\r\n"},
        {"CONFIG GET save", "*2\r\n$4\r\nsave\r\n$0\r\n\r\n"},
        {"CONFIG GET SAVE", "*2\r\n$4\r\nSAVE\r\n$0\r\n\r\n"},
        {"CONFIG GET appendonly", "*2\r\n$10\r\nappendonly\r\n$3\r\nyes\r\n"},
        {"CONFIG GET NOTIFY*", "*2\r\n$22\r\nnotify-keyspace-events\r\n$0\r\n\r\n"},
        {"CONFIG GET databases database[rs]", "*2\r\n$9\r\ndatabases\r\n$2\r\n16\r\n"},
        {"CONFIG GET proto-max-bulk-len", "*2\r\n$18\r\nproto-max-bulk-len\r\n$7\r\n1048576\r\n"},
        {"CONFIG SET notify-keyspace-events KEA", "+OK\r\n"},
        {"CONFIG GET notify-keyspace-events",
         "*2\r\n$22\r\nnotify-keyspace-events\r\n$3\r\nAKE\r\n"},
        {"CONFIG SET notify-keyspace-events foo",
         SET_FAILED("notify-keyspace-events",
                    "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")},
        {"CONFIG SET Notify-keyspace-events \"\"", "+OK\r\n"},
        {"CONFIG SET foo bar",
         "-ERR Unknown option or number of arguments for CONFIG SET - 'foo'\r\n"},
        {"CONFIG SET foo", "-ERR wrong number of arguments for 'config|set' command\r\n"},
        {"CONFIG SET a b c", "-ERR syntax error\r\n"},
        {"CONFIG SET databases 3", SET_FAILED("databases", "can't set immutable config")},
        {"CONFIG SET databases 16", "+OK\r\n"},
        {"CONFIG SET save \"\" save \"\"", SET_FAILED("save", "duplicate parameter")},
        {"CONFIG SET notify-keyspace-events K foo b",
         "-ERR Unknown option or number of arguments for CONFIG SET - 'foo'\r\n"},
        {"CONFIG GET notify-keyspace-events", "*2\r\n$22\r\nnotify-keyspace-events\r\n$0\r\n\r\n"},
        {"CONFIG RESETSTAT", "+OK\r\n"},
        {"CONFIG REWRITE", "-ERR The server is running without a config file\r\n"},
        {"CONFIG FOO", "-ERR unknown subcommand 'FOO'. Try CONFIG HELP.\r\n"},
        {"TIME", "*2\r\n$10\r\n1750000000\r\n$6\r\n123000\r\n"},
        {"INFO foo", "$0\r\n\r\n"},
        {"INFO Cluster", "$30\r\n# Cluster\r\ncluster_enabled:0\r\n\r\n"},
        {"HELLO 3 SETNAME x", NULL},
        {"CONFIG GET save", "%1\r\n$4\r\nsave\r\n$0\r\n\r\n"},
        {"INFO cluster", "=34\r\ntxt:# Cluster\r\ncluster_enabled:0\r\n\r\n"},
    };
    struct room room;
    room_open(&room, "");
    room.now_ms += 123;
    struct guest *guest = room_enter(&room, 0);
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (cases[i].reply == NULL) {
            (void)room_say(guest, cases[i].line);
        } else {
            room_expect(guest, cases[i].line, cases[i].reply);
        }
    }
    room_close(&room);
}

static bool has_text(struct view reply, const char *text)
{
    return memmem(reply.ptr, reply.len, text, strlen(text)) != NULL;
}

Test(redis_server, info_tells_what_clients_look_for)
{
    static const char *const lines[] = {
        "# Server\r\nredis_version:7.2.4\r\nsatchel_version:",
        "\r\nredis_mode:standalone\r\n",
        "\r\nconnected_clients:2\r\n",
        "\r\nloading:0\r\n",
        "\r\nrole:master\r\n",
        "\r\nuptime_in_seconds:61\r\n",
        "\r\npubsub_channels:1\r\n",
        "\r\npubsub_patterns:0\r\n",
        "\r\n# Keyspace\r\ndb0:keys=1\r\n",
        "\r\nsatchel_ack:durable\r\n",
    };
    struct room room;
    room_open(&room, "");
    struct guest *guest = room_enter(&room, 0);
    (void)room_say(room_enter(&room, 1), "SUBSCRIBE x");
    (void)room_say(guest, "SET k v");
    room.now_ms += 61 * 1000;
    struct view reply = room_say(guest, "INFO");
    for (size_t i = 0; i < COUNT(lines); i++) {
        cr_expect(has_text(reply, lines[i]), "%s", lines[i]);
    }
    cr_expect(!has_text(room_say(guest, "INFO server"), "loading:"));
    cr_expect(has_text(room_say(guest, "INFO server everything"), "loading:"));
    room_close(&room);
}

Test(redis_server, command_tells_of_the_commands_that_there_are)
{
    static const struct room_case cases[] = {
        {"COMMAND INFO get foo client|id",
         "*3\r\n*10\r\n$3\r\nget\r\n:2\r\n*2\r\n+readonly\r\n+fast\r\n:1\r\n:1\r\n:1\r\n*3\r\n+@"
         "read\r\n"
         "+@string\r\n+@fast\r\n*0\r\n*1\r\n*6\r\n$5\r\nflags\r\n*2\r\n+RO\r\n+access\r\n"
         "$12\r\nbegin_search\r\n*4\r\n$4\r\ntype\r\n$5\r\nindex\r\n$4\r\nspec\r\n*2\r\n$"
         "5\r\nindex\r\n"
         ":1\r\n$9\r\nfind_keys\r\n*4\r\n$4\r\ntype\r\n$5\r\nrange\r\n$4\r\nspec\r\n*6\r\n$"
         "7\r\nlastkey"
         "\r\n:0\r\n$7\r\nkeystep\r\n:1\r\n$5\r\nlimit\r\n:0\r\n*0\r\n"
         "$-1\r\n"
         "*10\r\n$9\r\nclient|id\r\n:2\r\n*3\r\n+noscript\r\n+loading\r\n+stale\r\n:0\r\n:0\r\n:"
         "0\r\n"
         "*2\r\n+@slow\r\n+@connection\r\n*0\r\n*0\r\n*0\r\n"},
        {"COMMAND DOCS get foo",
         "*2\r\n$3\r\nget\r\n*6\r\n$7\r\nsummary\r\n$22\r\nGet the value of a "
         "key\r\n$5\r\nsince\r\n$5\r\n1.0.0\r\n$5\r\ngroup\r\n$6\r\nstring\r\n"},
        {"COMMAND DOCS foo", "*0\r\n"},
        {"COMMAND GETKEYS get a", "*1\r\n$1\r\na\r\n"},
        {"COMMAND GETKEYS mset a b c d", "*2\r\n$1\r\na\r\n$1\r\nc\r\n"},
        {"COMMAND GETKEYS mset a b c", "*2\r\n$1\r\na\r\n$1\r\nc\r\n"},
        {"COMMAND GETKEYS object encoding k", "*1\r\n$1\r\nk\r\n"},
        {"COMMAND GETKEYS ping x", "-ERR The command has no key arguments\r\n"},
        {"COMMAND GETKEYS get a b", "-ERR Invalid number of arguments specified for command\r\n"},
        {"COMMAND GETKEYS foo x", "-ERR Invalid command specified\r\n"},
        {"COMMAND GETKEYS client foo", "-ERR Invalid command specified\r\n"},
        {"COMMAND GETKEYS", "-ERR wrong number of arguments for 'command|getkeys' command\r\n"},
        {"COMMAND LIST FILTERBY PATTERN ge?", "*1\r\n$3\r\nget\r\n"},
        {"COMMAND LIST FILTERBY ACLCAT foo", "*0\r\n"},
        {"COMMAND LIST FILTERBY ACLCAT transaction",
         "*5\r\n$5\r\nmulti\r\n$4\r\nexec\r\n$7\r\ndiscard\r\n$5\r\nwatch\r\n$7\r\nunwatch\r\n"},
        {"COMMAND LIST FILTERBY MODULE foo", "*0\r\n"},
        {"COMMAND LIST FILTERBY foo bar", "-ERR syntax error\r\n"},
        {"COMMAND FOO", "-ERR unknown subcommand 'FOO'. Try COMMAND HELP.\r\n"},
    };
    struct room room;
    room_open(&room, "");
    struct guest *guest = room_enter(&room, 0);
    room_expect_all(guest, cases, COUNT(cases));
    unsigned long count = strtoul((const char *)room_say(guest, "COMMAND COUNT").ptr + 1, NULL, 10);
    cr_expect(count > 60 && count < redis_command_count, "%lu", count);
    cr_expect_eq(strtoul((const char *)room_say(guest, "COMMAND LIST").ptr + 1, NULL, 10), count);
    cr_expect_eq(strtoul((const char *)room_say(guest, "COMMAND").ptr + 1, NULL, 10), count);
    cr_expect_eq(strtoul((const char *)room_say(guest, "COMMAND DOCS").ptr + 1, NULL, 10),
                 2 * count);
    room_close(&room);
}

Test(redis_server, patterns_match_as_redis_lets_them)
{
    static const struct {
        const char *pattern;
        const char *text;
        bool matches;
    } cases[] = {
        {"", "", true},
        {"", "a", false},
        {"*", "", true},
        {"**", "abc", true},
        {"a*c", "abbc", true},
        {"a*c", "abcd", false},
        {"a?c", "abc", true},
        {"a?c", "ac", false},
        {"[ab]c", "bc", true},
        {"[ab]c", "cc", false},
        {"[^ab]c", "cc", true},
        {"[a-c]x", "bx", true},
        {"[c-a]x", "bx", true},
        {"[a-c]x", "dx", false},
        {"\\*a", "*a", true},
        {"\\*a", "ba", false},
        {"[\\]]", "]", true},
        {"a\\", "a\\", true},
        {"[abc", "c", true},
        {"[abc", "d", false},
        {"[]", "a", false},
        {"[^]", "a", true},
        {"a[", "a", false},
        {"*a*b*c", "xaybzc", true},
        {"*a*b*c", "xaybz", false},
        {"h[e-]llo", "hello", false},
        {"h[-e]llo", "h-llo", true},
        {"A", "a", false},
        {"?", "", false},
        {"*?", "", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        cr_expect_eq(redis_glob_matches(view_str(cases[i].pattern), view_str(cases[i].text),
                                        REDIS_GLOB_EXACT),
                     cases[i].matches, "%s, %s", cases[i].pattern, cases[i].text);
    }
    cr_expect(redis_glob_matches(view_str("AbC[D-F]"), view_str("aBce"), REDIS_GLOB_ANY_CASE));
}

Test(redis_server, no_pattern_takes_long)
{
    char text[2001];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    cr_expect(!redis_glob_matches(view_str("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b"),
                                  view_str(text), REDIS_GLOB_EXACT));
}
