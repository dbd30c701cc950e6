/* Parts of strings. */
#include "redis/ranges.h"

#include <criterion/criterion.h>

#include "kit.h"
#include "redis/strings.h"

static const struct redis_command commands[] = {REDIS_RANGE_COMMANDS(KIT_COMMAND)
                                                    REDIS_STRING_COMMANDS(KIT_COMMAND)};

Test(ranges, strings_are_read_and_written_in_parts)
{
    static const struct kit_case cases[] = {
        {"STRLEN none", ":0\r\n"},
        {"GETRANGE none 0 -1", "$0\r\n\r\n"},
        {"APPEND k Hello", ":5\r\n"},
        {"APPEND k \"\\x00World\"", ":11\r\n"},
        {"APPEND k \"\"", ":11\r\n"},
        {"GET k", "$11\r\nHello\\0World\r\n"},
        {"STRLEN k", ":11\r\n"},
        {"APPEND new \"\"", ":0\r\n"},
        {"GET new", "$0\r\n\r\n"},
        {"STRLEN new", ":0\r\n"},
        {"GETRANGE new 0 -1", "$0\r\n\r\n"},
        {"GETRANGE k 0 4", "$5\r\nHello\r\n"},
        {"SUBSTR k 0 4", "$5\r\nHello\r\n"},
        {"GETRANGE k 0 -1", "$11\r\nHello\\0World\r\n"},
        {"GETRANGE k -5 -1", "$5\r\nWorld\r\n"},
        {"GETRANGE k -1 -5", "$0\r\n\r\n"},
        {"GETRANGE k 5 3", "$0\r\n\r\n"},
        {"GETRANGE k 3 -100", "$0\r\n\r\n"},
        {"GETRANGE k -100 -100", "$1\r\nH\r\n"},
        {"GETRANGE k -100 100", "$11\r\nHello\\0World\r\n"},
        {"GETRANGE k -100 2", "$3\r\nHel\r\n"},
        {"GETRANGE k 10 10", "$1\r\nd\r\n"},
        {"GETRANGE k 11 11", "$0\r\n\r\n"},
        {"GETRANGE k 11 20", "$0\r\n\r\n"},
        {"GETRANGE k 0 0", "$1\r\nH\r\n"},
        {"GETRANGE k 0 9223372036854775807", "$11\r\nHello\\0World\r\n"},
        {"GETRANGE k -9223372036854775808 9223372036854775807", "$11\r\nHello\\0World\r\n"},
        {"GETRANGE k -9223372036854775808 -9223372036854775808", "$1\r\nH\r\n"},
        {"GETRANGE k 9223372036854775807 9223372036854775807", "$0\r\n\r\n"},
        {"GETRANGE k 0 9223372036854775808", "-ERR value is not an integer or out of range\r\n"},
        {"GETRANGE k x 0", "-ERR value is not an integer or out of range\r\n"},
        {"GETRANGE k 0 1.0", "-ERR value is not an integer or out of range\r\n"},
        {"GETRANGE none x y", "-ERR value is not an integer or out of range\r\n"},
        {"SETRANGE k 6 Redis", ":11\r\n"},
        {"GET k", "$11\r\nHello\\0Redis\r\n"},
        {"SETRANGE k 0 J", ":11\r\n"},
        {"SETRANGE k 13 !", ":14\r\n"},
        {"GET k", "$14\r\nJello\\0Redis\\0\\0!\r\n"},
        {"SETRANGE k 0 \"\"", ":14\r\n"},
        {"SETRANGE k 1000 \"\"", ":14\r\n"},
        {"SETRANGE none 0 \"\"", ":0\r\n"},
        {"SETRANGE none 5 \"\"", ":0\r\n"},
        {"GET none", "$-1\r\n"},
        {"SETRANGE gap 2 xy", ":4\r\n"},
        {"GET gap", "$4\r\n\\0\\0xy\r\n"},
        {"SETRANGE gap 0 abcdefgh", ":8\r\n"},
        {"GET gap", "$8\r\nabcdefgh\r\n"},
        {"SETRANGE k -1 x", "-ERR offset is out of range\r\n"},
        {"SETRANGE k -1 \"\"", "-ERR offset is out of range\r\n"},
        {"SETRANGE k x x", "-ERR value is not an integer or out of range\r\n"},
        {"SETRANGE k 9223372036854775808 x", "-ERR value is not an integer or out of range\r\n"},
        {"SETRANGE k 9223372036854775807 x",
         "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n"},
        {"SETRANGE none 9223372036854775807 x",
         "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n"},
        {"SETRANGE none 9223372036854775807 \"\"", ":0\r\n"},
        {"GET k", "$14\r\nJello\\0Redis\\0\\0!\r\n"},
    };
    KIT_EXPECT(2, commands, cases);
}

Test(ranges, a_hash_has_no_parts)
{
    static const struct kit_case cases[] = {
        {"APPEND h x", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"},
        {"STRLEN h", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"},
        {"GETRANGE h 0 1",
         "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"},
        {"GETRANGE h 0 x", "-ERR value is not an integer or out of range\r\n"},
        {"SUBSTR h 0 1", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"},
        {"SETRANGE h 0 x",
         "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"},
        {"SETRANGE h 0 \"\"",
         "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"},
        {"SETRANGE h -1 \"\"", "-ERR offset is out of range\r\n"},
    };
    KIT_EXPECT(2, commands, cases);
}

Test(ranges, a_string_grows_to_the_limit_and_keeps_its_time)
{
    struct kit kit;
    kit_open(&kit, commands, sizeof commands / sizeof commands[0]);
    kit.value_bytes_max = 8;
    const struct session session = {.id = view_str("k"),
                                    .expires_ms = KIT_NOW_MS + 60000,
                                    .idle_ttl_ms = 60000,
                                    .kind = SATCHEL_BLOB,
                                    .content = view_str("12345")};
    kit_store(&kit, &session);
    static const struct kit_case cases[] = {
        {"APPEND k 678", ":8\r\n"},
        {"APPEND k 9", "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n"},
        {"APPEND k \"\"", ":8\r\n"},
        {"SETRANGE k 7 x", ":8\r\n"},
        {"SETRANGE k 8 x", "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n"},
        {"SETRANGE n 8 x", "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n"},
        {"SETRANGE n 7 x", ":8\r\n"},
        {"GET k", "$8\r\n1234567x\r\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        kit_expect(&kit, cases[i].line, cases[i].reply);
    }
    const struct session *found = kit_find(&kit, "k");
    cr_assert_not_null(found);
    cr_expect_eq(found->expires_ms, KIT_NOW_MS + 60000);
    cr_expect_eq(found->idle_ttl_ms, 60000);
    kit_close(&kit);
}

Test(ranges, without_memory_nothing_changes)
{
    struct kit kit;
    kit_open(&kit, commands, sizeof commands / sizeof commands[0]);
    kit.value_bytes_max = UINT64_MAX;
    kit_expect(&kit, "SET k v", "+OK\r\n");
    struct view reply = kit_run(&kit, "SETRANGE k 9223372036854775807 x");
    cr_expect(reply.len > 9 && memcmp(reply.ptr, "-TRYAGAIN", 9) == 0);
    kit_expect_events(&kit, "");
    kit_expect(&kit, "GET k", "$1\r\nv\r\n");
    kit_close(&kit);
}

Test(ranges, events_are_those_of_redis)
{
    static const struct {
        const char *line;
        const char *events;
    } cases[] = {
        {"APPEND k ab", "$append k"},
        {"APPEND k \"\"", "$append k"},
        {"SETRANGE k 0 \"\"", ""},
        {"SETRANGE k 1 x", "$setrange k"},
        {"SETRANGE k -1 x", ""},
        {"GETRANGE k 0 1", ""},
        {"STRLEN k", ""},
    };
    struct kit kit;
    kit_open(&kit, commands, sizeof commands / sizeof commands[0]);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        (void)kit_run(&kit, cases[i].line);
        kit_expect_events(&kit, cases[i].events);
    }
    kit_close(&kit);
}
