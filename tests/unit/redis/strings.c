/* Whole strings: SET and GET with everything that they can do. */
#include "redis/strings.h"

#include <criterion/criterion.h>

#include "kit.h"
#include "redis/expire.h"

static const struct redis_command commands[] = {REDIS_STRING_COMMANDS(KIT_COMMAND)
                                                    REDIS_EXPIRE_COMMANDS(KIT_COMMAND)};

Test(strings, what_was_set_is_got)
{
    static const struct kit_case cases[] = {
        {"GET k", "$-1\r\n"},
        {"SET k v", "+OK\r\n"},
        {"GET k", "$1\r\nv\r\n"},
        {"set k \"a\\x00b\\r\\n\"", "+OK\r\n"},
        {"gEt k", "$5\r\na\\0b\r\n\r\n"},
        {"SET k \"\"", "+OK\r\n"},
        {"GET k", "$0\r\n\r\n"},
        {"GETSET k w", "$0\r\n\r\n"},
        {"GET k", "$1\r\nw\r\n"},
        {"GETSET new x", "$-1\r\n"},
        {"GETDEL new", "$1\r\nx\r\n"},
        {"GETDEL new", "$-1\r\n"},
        {"SETNX k z", ":0\r\n"},
        {"SETNX n z", ":1\r\n"},
        {"MGET k none n", "*3\r\n$1\r\nw\r\n$-1\r\n$1\r\nz\r\n"},
        {"MSET a 1 b 2 a 3", "+OK\r\n"},
        {"MGET a b a", "*3\r\n$1\r\n3\r\n$1\r\n2\r\n$1\r\n3\r\n"},
        {"MSETNX c 1 a 2", ":0\r\n"},
        {"GET c", "$-1\r\n"},
        {"MSETNX c 1 d 2", ":1\r\n"},
        {"MGET c d", "*2\r\n$1\r\n1\r\n$1\r\n2\r\n"},
        {"MSET a 1 b", "-ERR wrong number of arguments for 'mset' command\r\n"},
        {"MSETNX a 1 b", "-ERR wrong number of arguments for 'msetnx' command\r\n"},
    };
    KIT_EXPECT(2, commands, cases);
}

Test(strings, nothing_is_null_in_either_version)
{
    static const struct kit_case cases[] = {
        {"GET k", "_\r\n"},          {"SET k v XX", "_\r\n"},
        {"SET k v NX GET", "_\r\n"}, {"MGET k none", "*2\r\n$1\r\nv\r\n_\r\n"},
        {"GETDEL none", "_\r\n"},    {"GETEX none EX 10", "_\r\n"},
        {"GETSET none v", "_\r\n"},  {"SET none w NX", "_\r\n"},
    };
    KIT_EXPECT(3, commands, cases);
}

Test(strings, set_has_conditions_and_tells_the_old_value)
{
    static const struct kit_case cases[] = {
        {"SET k v XX", "$-1\r\n"},
        {"GET k", "$-1\r\n"},
        {"SET k v NX", "+OK\r\n"},
        {"SET k w NX", "$-1\r\n"},
        {"SET k w nX gEt", "$1\r\nv\r\n"},
        {"SET k x xx", "+OK\r\n"},
        {"SET k y XX GET", "$1\r\nx\r\n"},
        {"SET k z GET", "$1\r\ny\r\n"},
        {"GET k", "$1\r\nz\r\n"},
        {"SET n v XX GET", "$-1\r\n"},
        {"SET n v GET", "$-1\r\n"},
        {"GET n", "$1\r\nv\r\n"},
        {"SET k v NX XX", "-ERR syntax error\r\n"},
        {"SET k v XX NX", "-ERR syntax error\r\n"},
        {"SET k v NX NX", "$-1\r\n"},
        {"SET k v XX XX GET GET", "$1\r\nz\r\n"},
        {"SET k v FOO", "-ERR syntax error\r\n"},
        {"SET k v GETX", "-ERR syntax error\r\n"},
        {"SET k v \"\"", "-ERR syntax error\r\n"},
    };
    KIT_EXPECT(2, commands, cases);
}

Test(strings, options_name_one_lifetime)
{
    static const struct kit_case cases[] = {
        {"SET k v EX 100", "+OK\r\n"},
        {"TTL k", ":100\r\n"},
        {"SET k v", "+OK\r\n"},
        {"TTL k", ":-1\r\n"},
        {"SET k v PX 100000", "+OK\r\n"},
        {"TTL k", ":100\r\n"},
        {"SET k w KEEPTTL", "+OK\r\n"},
        {"TTL k", ":100\r\n"},
        {"GET k", "$1\r\nw\r\n"},
        {"SET k w KEEPTTL KEEPTTL GET", "$1\r\nw\r\n"},
        {"SET n v KEEPTTL", "+OK\r\n"},
        {"TTL n", ":-1\r\n"},
        {"SET k v EXAT 4102444800", "+OK\r\n"},
        {"PEXPIRETIME k", ":4102444800000\r\n"},
        {"SET k v PXAT 4102444800123", "+OK\r\n"},
        {"PEXPIRETIME k", ":4102444800123\r\n"},
        {"SET k v ex 5 EX 60", "+OK\r\n"},
        {"TTL k", ":60\r\n"},
        {"SET k v XX EX 70 GET", "$1\r\nv\r\n"},
        {"TTL k", ":70\r\n"},
        {"SET k v EX 10 PX 10", "-ERR syntax error\r\n"},
        {"SET k v PX 10 KEEPTTL", "-ERR syntax error\r\n"},
        {"SET k v KEEPTTL EX 10", "-ERR syntax error\r\n"},
        {"SET k v EXAT 10 PXAT 10", "-ERR syntax error\r\n"},
        {"SET k v PERSIST", "-ERR syntax error\r\n"},
        {"SET k v EX", "-ERR syntax error\r\n"},
        {"SET k v EX 10 EX", "-ERR syntax error\r\n"},
        {"SET k v PXAT", "-ERR syntax error\r\n"},
        {"TTL k", ":70\r\n"},
        {"GETEX k", "$1\r\nv\r\n"},
        {"TTL k", ":70\r\n"},
        {"GETEX k EX 200", "$1\r\nv\r\n"},
        {"TTL k", ":200\r\n"},
        {"GETEX k PX 300000", "$1\r\nv\r\n"},
        {"TTL k", ":300\r\n"},
        {"GETEX k EXAT 4102444800", "$1\r\nv\r\n"},
        {"EXPIRETIME k", ":4102444800\r\n"},
        {"GETEX k PXAT 4102444800999", "$1\r\nv\r\n"},
        {"PEXPIRETIME k", ":4102444800999\r\n"},
        {"GETEX k PERSIST PERSIST", "$1\r\nv\r\n"},
        {"TTL k", ":-1\r\n"},
        {"GETEX k PERSIST", "$1\r\nv\r\n"},
        {"GETEX k KEEPTTL", "-ERR syntax error\r\n"},
        {"GETEX k GET", "-ERR syntax error\r\n"},
        {"GETEX k NX", "-ERR syntax error\r\n"},
        {"GETEX k EX 1 PERSIST", "-ERR syntax error\r\n"},
        {"GETEX k EX", "-ERR syntax error\r\n"},
        {"GETEX k EX 9 EX 10", "$1\r\nv\r\n"},
        {"TTL k", ":10\r\n"},
        {"SETEX k 50 v", "+OK\r\n"},
        {"TTL k", ":50\r\n"},
        {"PSETEX k 60000 v", "+OK\r\n"},
        {"TTL k", ":60\r\n"},
        {"SET k v EX 50", "+OK\r\n"},
        {"GETSET k w", "$1\r\nv\r\n"},
        {"TTL k", ":-1\r\n"},
    };
    KIT_EXPECT(2, commands, cases);
}

Test(strings, times_are_positive_and_in_range)
{
    static const struct kit_case cases[] = {
        {"SET k v EX 0", "-ERR invalid expire time in 'set' command\r\n"},
        {"SET k v EX -1", "-ERR invalid expire time in 'set' command\r\n"},
        {"SET k v EX 1.5", "-ERR value is not an integer or out of range\r\n"},
        {"SET k v EX \" 1\"", "-ERR value is not an integer or out of range\r\n"},
        {"SET k v EX 01", "-ERR value is not an integer or out of range\r\n"},
        {"SET k v EX \"\"", "-ERR value is not an integer or out of range\r\n"},
        {"SET k v EX 9223372036854775808", "-ERR value is not an integer or out of range\r\n"},
        {"SET k v EX 9223372036854775807", "-ERR invalid expire time in 'set' command\r\n"},
        {"SET k v EX 9223372036854776", "-ERR invalid expire time in 'set' command\r\n"},
        {"SET k v PX 0", "-ERR invalid expire time in 'set' command\r\n"},
        {"SET k v PX 9223372036854775807", "-ERR invalid expire time in 'set' command\r\n"},
        {"SET k v EXAT 0", "-ERR invalid expire time in 'set' command\r\n"},
        {"SET k v EXAT 9223372036854776", "-ERR invalid expire time in 'set' command\r\n"},
        {"SET k v PXAT -5", "-ERR invalid expire time in 'set' command\r\n"},
        {"SETEX k 0 v", "-ERR invalid expire time in 'setex' command\r\n"},
        {"SETEX k x v", "-ERR value is not an integer or out of range\r\n"},
        {"SETEX k 9223372036854775807 v", "-ERR invalid expire time in 'setex' command\r\n"},
        {"PSETEX k -1 v", "-ERR invalid expire time in 'psetex' command\r\n"},
        {"PSETEX k 9223372036854775807 v", "-ERR invalid expire time in 'psetex' command\r\n"},
        {"GET k", "$-1\r\n"},
        {"GETEX k EX 0", "$-1\r\n"},
        {"GETEX k EX abc", "$-1\r\n"},
        {"SET k v", "+OK\r\n"},
        {"GETEX k EX 0", "-ERR invalid expire time in 'getex' command\r\n"},
        {"GETEX k PX -1", "-ERR invalid expire time in 'getex' command\r\n"},
        {"GETEX k EX abc", "-ERR value is not an integer or out of range\r\n"},
        {"GETEX k EXAT 9223372036854775807", "-ERR invalid expire time in 'getex' command\r\n"},
        {"TTL k", ":-1\r\n"},
        {"SET k w EX 0 NX", "-ERR invalid expire time in 'set' command\r\n"},
        {"SET k w EX 0 GET", "-ERR invalid expire time in 'set' command\r\n"},
    };
    KIT_EXPECT(2, commands, cases);
}

Test(strings, a_time_in_the_past_leaves_nothing)
{
    static const struct kit_case cases[] = {
        {"SET k v EXAT 1", "+OK\r\n"},
        {"GET k", "$-1\r\n"},
        {"SET k v", "+OK\r\n"},
        {"SET k w PXAT 1 GET", "$1\r\nv\r\n"},
        {"GET k", "$-1\r\n"},
        {"SET k v", "+OK\r\n"},
        {"SET k w EXAT 1 NX", "$-1\r\n"},
        {"GET k", "$1\r\nv\r\n"},
        {"GETEX k EXAT 1", "$1\r\nv\r\n"},
        {"GET k", "$-1\r\n"},
        {"SET k v", "+OK\r\n"},
        {"GETEX k PXAT 999", "$1\r\nv\r\n"},
        {"GET k", "$-1\r\n"},
        {"GETEX k PXAT 999", "$-1\r\n"},
    };
    KIT_EXPECT(2, commands, cases);
}

Test(strings, a_hash_is_replaced_but_never_read)
{
    static const struct kit_case cases[] = {
        {"GET h", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"},
        {"SET h v GET", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"},
        {"SET h v XX GET",
         "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"},
        {"SET h v NX GET",
         "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"},
        {"SET h v NX", "$-1\r\n"},
        {"SETNX h v", ":0\r\n"},
        {"GETSET h v", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"},
        {"GETDEL h", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"},
        {"GETEX h", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"},
        {"GETEX h EX 0", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"},
        {"GETEX h FOO", "-ERR syntax error\r\n"},
        {"MGET h h", "*2\r\n$-1\r\n$-1\r\n"},
        {"MSETNX n v h v", ":0\r\n"},
        {"TTL h", ":-1\r\n"},
        {"SET h v XX", "+OK\r\n"},
        {"GET h", "$1\r\nv\r\n"},
    };
    KIT_EXPECT(2, commands, cases);
}

/* ---- What Redis does not tell by its replies ------------------------------------------------ */

Test(strings, what_has_expired_is_not_there)
{
    struct kit kit;
    kit_open(&kit, commands, sizeof commands / sizeof commands[0]);
    kit_expect(&kit, "SET k v PX 1000", "+OK\r\n");
    kit.now_ms += 999;
    kit_expect(&kit, "GET k", "$1\r\nv\r\n");
    kit.now_ms += 1;
    kit_expect(&kit, "GET k", "$-1\r\n");
    kit_expect(&kit, "SET k w XX", "$-1\r\n");
    kit_expect(&kit, "SET k w GET", "$-1\r\n");
    kit_expect(&kit, "TTL k", ":-1\r\n");
    kit_close(&kit);
}

Test(strings, a_sliding_session_slides_on_only_if_its_time_is_kept)
{
    static const struct {
        const char *line;
        int64_t expires_ms;
        uint64_t idle_ttl_ms;
    } cases[] = {
        {"GETEX s", KIT_NOW_MS + 60000, 60000},
        {"SET s v KEEPTTL", KIT_NOW_MS + 60000, 60000},
        {"SET s v", 0, 0},
        {"SET s v EX 5", KIT_NOW_MS + 5000, 0},
        {"SETEX s 5 v", KIT_NOW_MS + 5000, 0},
        {"GETSET s v", 0, 0},
        {"MSET s v", 0, 0},
        {"GETEX s EX 5", KIT_NOW_MS + 5000, 0},
        {"GETEX s PERSIST", 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct kit kit;
        kit_open(&kit, commands, sizeof commands / sizeof commands[0]);
        kit_store_native(&kit, "old");
        (void)kit_run(&kit, cases[i].line);
        const struct session *found = kit_find(&kit, "s");
        cr_assert_not_null(found, "%s", cases[i].line);
        cr_expect_eq(found->expires_ms, cases[i].expires_ms, "%s", cases[i].line);
        cr_expect_eq(found->idle_ttl_ms, cases[i].idle_ttl_ms, "%s", cases[i].line);
        cr_expect(view_equal(found->owner, view_str("ann")), "%s", cases[i].line);
        cr_expect_eq(found->created_ms, KIT_NOW_MS - 5000, "%s", cases[i].line);
        kit_close(&kit);
    }
}

Test(strings, nothing_is_stored_that_is_over_already)
{
    struct kit kit;
    kit_open(&kit, commands, sizeof commands / sizeof commands[0]);
    kit_expect(&kit, "SET new v EXAT 1", "+OK\r\n");
    cr_expect_null(kit_find(&kit, "new"));
    kit_store_native(&kit, "old");
    kit_expect(&kit, "SET s v PXAT 1749999999999 GET", "$3\r\nold\r\n");
    cr_expect_null(kit_find(&kit, "s"));
    kit_close(&kit);
}

Test(strings, a_value_that_is_too_large_changes_nothing)
{
    static const char *const lines[] = {"SET s abcdef",      "SETEX s 10 abcdef",
                                        "SETNX n abcdef",    "GETSET s abcdef",
                                        "MSET n v s abcdef", "MSETNX n v m abcdef"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct kit kit;
        kit_open(&kit, commands, sizeof commands / sizeof commands[0]);
        kit.value_bytes_max = 5;
        kit_store_native(&kit, "old");
        kit_expect(&kit, lines[i],
                   "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n");
        kit_expect_events(&kit, "");
        kit_expect(&kit, "MGET s n m", "*3\r\n$3\r\nold\r\n$-1\r\n$-1\r\n");
        kit_expect(&kit, "SET s abcde", "+OK\r\n");
        kit_close(&kit);
    }
}

Test(strings, events_are_those_of_redis)
{
    static const struct {
        const char *line;
        const char *events;
    } cases[] = {
        {"SET k v", "$set k"},
        {"SET k v NX", ""},
        {"SET k v EX 10", "$set k, gexpire k"},
        {"SET k v KEEPTTL GET", "$set k"},
        {"GETEX k", ""},
        {"GETEX k EX 20", "gexpire k"},
        {"GETEX k PERSIST", "gpersist k"},
        {"GETEX k PERSIST", ""},
        {"GETEX k EXAT 1", "gdel k"},
        {"GETEX k EX 20", ""},
        {"SET k v PXAT 1", "$set k, gexpire k, xexpired k"},
        {"GETDEL k", ""},
        {"SETEX k 10 v", "$set k, gexpire k"},
        {"SETNX k v", ""},
        {"GETSET k v", "$set k"},
        {"GETDEL k", "gdel k"},
        {"SETNX k v", "$set k"},
        {"MSET a 1 b 2 a 3", "$set a, $set b, $set a"},
        {"MSETNX c 1 a 2", ""},
        {"MSETNX c 1 d 2", "$set c, $set d"},
        {"MGET a b", ""},
        {"GET a", ""},
    };
    struct kit kit;
    kit_open(&kit, commands, sizeof commands / sizeof commands[0]);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        (void)kit_run(&kit, cases[i].line);
        kit_expect_events(&kit, cases[i].events);
    }
    kit_close(&kit);
}
