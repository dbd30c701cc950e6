/* Sets, in the words of Redis 7.0. */
#include <criterion/criterion.h>

#include "kit.h"
#include "redis/elements.h"
#include "redis/hashes.h"
#include "redis/keys.h"
#include "redis/sets.h"
#include "redis/strings.h"

#define WRONGTYPE "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
#define PAGE(elements) "*2\r\n$1\r\n0\r\n" elements

static const struct redis_command commands[] = {REDIS_SET_COMMANDS(KIT_COMMAND) REDIS_HASH_COMMANDS(
    KIT_COMMAND) REDIS_STRING_COMMANDS(KIT_COMMAND) REDIS_KEY_COMMANDS(KIT_COMMAND)};

Test(sets, have_each_member_once)
{
    static const struct kit_case cases[] = {
        {"SADD s a b a", ":2\r\n"},
        {"SADD s a", ":0\r\n"},
        {"SMEMBERS s", "*2\r\n$1\r\na\r\n$1\r\nb\r\n"},
        {"SMEMBERS nokey", "*0\r\n"},
        {"SISMEMBER s a", ":1\r\n"},
        {"SISMEMBER s z", ":0\r\n"},
        {"SISMEMBER nokey z", ":0\r\n"},
        {"SMISMEMBER s a z b", "*3\r\n:1\r\n:0\r\n:1\r\n"},
        {"SMISMEMBER s 1 2 3 4 5 6 7 b", "*8\r\n:0\r\n:0\r\n:0\r\n:0\r\n:0\r\n:0\r\n:0\r\n:1\r\n"},
        {"SMISMEMBER nokey a z", "*2\r\n:0\r\n:0\r\n"},
        {"SCARD s", ":2\r\n"},
        {"SCARD nokey", ":0\r\n"},
        {"SREM s a a zz", ":1\r\n"},
        {"SREM nokey a", ":0\r\n"},
        {"SREM s b", ":1\r\n"},
        {"EXISTS s", ":0\r\n"},
        {"SADD s \"\"", "-ERR the name of a field or member has 1 to 256 bytes here\r\n"},
        {"EXISTS s", ":0\r\n"},
        {"SADD s \"\\xff\\r\\n\"", ":1\r\n"},
        {"SMEMBERS s", "*1\r\n$3\r\n\xff\r\n\r\n"},
    };
    KIT_EXPECT(2, commands, cases);
}

Test(sets, are_sets_to_those_who_speak_version_3)
{
    static const struct kit_case cases[] = {
        {"SADD i 1 3", ":2\r\n"},
        {"SMEMBERS i", "~2\r\n$1\r\n1\r\n$1\r\n3\r\n"},
        {"SMEMBERS nokey", "~0\r\n"},
        {"SISMEMBER i 1", ":1\r\n"},
        {"SMISMEMBER i 1 9", "*2\r\n:1\r\n:0\r\n"},
        {"SSCAN i 0", PAGE("*2\r\n$1\r\n1\r\n$1\r\n3\r\n")},
    };
    KIT_EXPECT(3, commands, cases);
}

Test(sets, refuse_keys_of_other_kinds)
{
    static const struct kit_case cases[] = {
        {"SET str x", "+OK\r\n"},        {"HSET h a 1", ":1\r\n"},   {"SADD str a", WRONGTYPE},
        {"SADD h a", WRONGTYPE},         {"SREM str a", WRONGTYPE},  {"SREM h a", WRONGTYPE},
        {"SMEMBERS str", WRONGTYPE},     {"SMEMBERS h", WRONGTYPE},  {"SISMEMBER str a", WRONGTYPE},
        {"SMISMEMBER str a", WRONGTYPE}, {"SCARD str", WRONGTYPE},   {"SSCAN str 0", WRONGTYPE},
        {"SSCAN h 0", WRONGTYPE},        {"GET str", "$1\r\nx\r\n"}, {"HGET h f", "$1\r\nv\r\n"},
        {"SADD s a", ":1\r\n"},          {"GET s", WRONGTYPE},       {"TYPE s", "+set\r\n"},
        {"SET s now", "+OK\r\n"},
    };
    KIT_EXPECT(2, commands, cases);
}

Test(sets, are_scanned_as_one_page)
{
    static const struct kit_case cases[] = {
        {"SADD i 1 3 5", ":3\r\n"},
        {"SSCAN i 0", PAGE("*3\r\n$1\r\n1\r\n$1\r\n3\r\n$1\r\n5\r\n")},
        {"SSCAN i 7 COUNT 1", PAGE("*3\r\n$1\r\n1\r\n$1\r\n3\r\n$1\r\n5\r\n")},
        {"SSCAN i 0 MATCH [3-9]", PAGE("*2\r\n$1\r\n3\r\n$1\r\n5\r\n")},
        {"SSCAN i 0 COUNT 0", "-ERR syntax error\r\n"},
        {"SSCAN i x", "-ERR invalid cursor\r\n"},
        {"SSCAN nokey 0 FOO", PAGE("*0\r\n")},
    };
    KIT_EXPECT(2, commands, cases);
}

/* What the journal and other clients see: fields without values, of a kind of their own, and a
 * member that is there already changes nothing at all. */
Test(sets, are_sessions_of_names)
{
    struct kit kit;
    kit_open(&kit, commands, sizeof commands / sizeof *commands);
    kit_expect(&kit, "SADD s a b", ":2\r\n");
    const struct session *session = kit_find(&kit, "s");
    cr_assert_eq(session->kind, SATCHEL_NAMES);
    cr_assert_eq(content_check(session->kind, session->content), SATCHEL_OK);
    uint64_t version = session->version;
    kit_expect(&kit, "SADD s b a", ":0\r\n");
    kit_expect(&kit, "SREM s c", ":0\r\n");
    cr_assert_eq(kit_find(&kit, "s")->version, version);
    struct buf line = {0};
    cr_assert_eq(buf_printf(&line, "SADD s"), STATUS_OK);
    for (int i = 0; i < 300; i++) {
        cr_assert_eq(buf_printf(&line, " m%d", i), STATUS_OK);
    }
    cr_assert_eq(buf_append(&line, view_of("", 1)), STATUS_OK);
    kit_expect(&kit, (const char *)line.ptr, ":300\r\n");
    version = kit_find(&kit, "s")->version;
    kit_expect(&kit, (const char *)line.ptr, ":0\r\n");
    cr_assert_eq(kit_find(&kit, "s")->version, version);
    cr_assert_eq(content_check(SATCHEL_NAMES, kit_find(&kit, "s")->content), SATCHEL_OK);
    buf_free(&line);
    kit_close(&kit);
}

Test(sets, tell_what_happens_to_them)
{
    static const struct {
        const char *line;
        const char *events;
    } cases[] = {
        {"SADD s a b", "ssadd s"}, {"SADD s a", ""},          {"SADD s a c", "ssadd s"},
        {"SREM s zz", ""},         {"SREM s a b", "ssrem s"}, {"SREM s c zz", "ssrem s, gdel s"},
    };
    struct kit kit;
    kit_open(&kit, commands, sizeof commands / sizeof *commands);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        (void)kit_run(&kit, cases[i].line);
        kit_expect_events(&kit, cases[i].events);
    }
    kit_close(&kit);
}
