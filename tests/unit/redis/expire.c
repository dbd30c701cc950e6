/* How long keys live. */
#include "redis/expire.h"

#include <criterion/criterion.h>

#include "kit.h"
#include "redis/strings.h"

static const struct redis_command commands[] = {REDIS_EXPIRE_COMMANDS(KIT_COMMAND)
                                                    REDIS_STRING_COMMANDS(KIT_COMMAND)};

Test(expire, times_are_set_told_and_removed)
{
    static const struct kit_case cases[] = {
        {"EXPIRE none 10", ":0\r\n"},
        {"TTL none", ":-2\r\n"},
        {"PTTL none", ":-2\r\n"},
        {"EXPIRETIME none", ":-2\r\n"},
        {"PEXPIRETIME none", ":-2\r\n"},
        {"PERSIST none", ":0\r\n"},
        {"SET k v", "+OK\r\n"},
        {"TTL k", ":-1\r\n"},
        {"PTTL k", ":-1\r\n"},
        {"EXPIRETIME k", ":-1\r\n"},
        {"PEXPIRETIME k", ":-1\r\n"},
        {"PERSIST k", ":0\r\n"},
        {"EXPIRE k 100", ":1\r\n"},
        {"TTL k", ":100\r\n"},
        {"PEXPIRE k 50000", ":1\r\n"},
        {"TTL k", ":50\r\n"},
        {"EXPIREAT k 4102444800", ":1\r\n"},
        {"EXPIRETIME k", ":4102444800\r\n"},
        {"PEXPIRETIME k", ":4102444800000\r\n"},
        {"PEXPIREAT k 4102444800499", ":1\r\n"},
        {"EXPIRETIME k", ":4102444800\r\n"},
        {"PEXPIRETIME k", ":4102444800499\r\n"},
        {"PEXPIREAT k 4102444800500", ":1\r\n"},
        {"EXPIRETIME k", ":4102444801\r\n"},
        {"PERSIST k", ":1\r\n"},
        {"PERSIST k", ":0\r\n"},
        {"TTL k", ":-1\r\n"},
        {"EXPIRE h 100", ":1\r\n"},
        {"TTL h", ":100\r\n"},
        {"PERSIST h", ":1\r\n"},
    };
    KIT_EXPECT(2, commands, cases);
}

Test(expire, a_time_that_is_over_deletes)
{
    static const struct kit_case cases[] = {
        {"SET k v", "+OK\r\n"},      {"EXPIRE k 0", ":1\r\n"},
        {"GET k", "$-1\r\n"},        {"SET k v", "+OK\r\n"},
        {"EXPIRE k -1", ":1\r\n"},   {"GET k", "$-1\r\n"},
        {"SET k v", "+OK\r\n"},      {"PEXPIRE k -9223372036854775808", ":1\r\n"},
        {"GET k", "$-1\r\n"},        {"SET k v", "+OK\r\n"},
        {"EXPIREAT k 1", ":1\r\n"},  {"GET k", "$-1\r\n"},
        {"SET k v", "+OK\r\n"},      {"PEXPIREAT k 0", ":1\r\n"},
        {"GET k", "$-1\r\n"},        {"SET k v EX 100", "+OK\r\n"},
        {"EXPIRE k 0 NX", ":0\r\n"}, {"EXPIRE k 0 GT", ":0\r\n"},
        {"TTL k", ":100\r\n"},       {"EXPIRE k 0 LT", ":1\r\n"},
        {"GET k", "$-1\r\n"},        {"SET k v", "+OK\r\n"},
        {"EXPIRE k 0 LT", ":1\r\n"}, {"GET k", "$-1\r\n"},
    };
    KIT_EXPECT(2, commands, cases);
}

Test(expire, conditions_compare_with_the_present_time)
{
    static const struct kit_case cases[] = {
        {"SET k v", "+OK\r\n"},
        {"EXPIRE k 100 XX", ":0\r\n"},
        {"EXPIRE k 100 GT", ":0\r\n"},
        {"EXPIRE k 100 XX LT", ":0\r\n"},
        {"TTL k", ":-1\r\n"},
        {"EXPIRE k 100 NX", ":1\r\n"},
        {"EXPIRE k 200 NX", ":0\r\n"},
        {"TTL k", ":100\r\n"},
        {"EXPIRE k 50 GT", ":0\r\n"},
        {"EXPIRE k 150 GT", ":1\r\n"},
        {"TTL k", ":150\r\n"},
        {"EXPIRE k 200 LT", ":0\r\n"},
        {"EXPIRE k 120 LT", ":1\r\n"},
        {"TTL k", ":120\r\n"},
        {"EXPIRE k 130 XX GT", ":1\r\n"},
        {"EXPIRE k 110 XX GT", ":0\r\n"},
        {"EXPIRE k 110 XX LT", ":1\r\n"},
        {"TTL k", ":110\r\n"},
        {"EXPIREAT k 4102444800", ":1\r\n"},
        {"EXPIREAT k 4102444800 GT", ":0\r\n"},
        {"EXPIREAT k 4102444800 LT", ":0\r\n"},
        {"EXPIREAT k 4102444801 gt GT Xx", ":1\r\n"},
        {"EXPIRETIME k", ":4102444801\r\n"},
        {"PERSIST k", ":1\r\n"},
        {"EXPIRE k 100 LT", ":1\r\n"},
        {"TTL k", ":100\r\n"},
    };
    KIT_EXPECT(2, commands, cases);
}

Test(expire, what_makes_no_sense_is_refused)
{
    static const struct kit_case cases[] = {
        {"EXPIRE none x", "-ERR value is not an integer or out of range\r\n"},
        {"SET k v", "+OK\r\n"},
        {"EXPIRE k x", "-ERR value is not an integer or out of range\r\n"},
        {"EXPIRE k 1.5", "-ERR value is not an integer or out of range\r\n"},
        {"EXPIRE k \"\"", "-ERR value is not an integer or out of range\r\n"},
        {"EXPIRE k 9223372036854775808", "-ERR value is not an integer or out of range\r\n"},
        {"EXPIRE k 9223372036854775807", "-ERR invalid expire time in 'expire' command\r\n"},
        {"EXPIRE k 9223372036854776", "-ERR invalid expire time in 'expire' command\r\n"},
        {"EXPIRE k -9223372036854776", "-ERR invalid expire time in 'expire' command\r\n"},
        {"PEXPIRE k 9223372036854775807", "-ERR invalid expire time in 'pexpire' command\r\n"},
        {"EXPIREAT k 9223372036854775807", "-ERR invalid expire time in 'expireat' command\r\n"},
        {"EXPIREAT k -9223372036854775808", "-ERR invalid expire time in 'expireat' command\r\n"},
        {"EXPIRE none 9223372036854775807", "-ERR invalid expire time in 'expire' command\r\n"},
        {"EXPIRE k 100 FOO", "-ERR Unsupported option FOO\r\n"},
        {"EXPIRE k x FOO", "-ERR Unsupported option FOO\r\n"},
        {"EXPIRE k 100 NX FOO", "-ERR Unsupported option FOO\r\n"},
        {"EXPIRE k 100 NX XX",
         "-ERR NX and XX, GT or LT options at the same time are not compatible\r\n"},
        {"EXPIRE k 100 NX GT",
         "-ERR NX and XX, GT or LT options at the same time are not compatible\r\n"},
        {"EXPIRE k 100 LT NX",
         "-ERR NX and XX, GT or LT options at the same time are not compatible\r\n"},
        {"EXPIRE k 100 GT LT", "-ERR GT and LT options at the same time are not compatible\r\n"},
        {"EXPIRE k 100 NX GT LT",
         "-ERR NX and XX, GT or LT options at the same time are not compatible\r\n"},
        {"EXPIRE k 100 XX GT LT", "-ERR GT and LT options at the same time are not compatible\r\n"},
        {"EXPIRE k x NX XX",
         "-ERR NX and XX, GT or LT options at the same time are not compatible\r\n"},
        {"PEXPIREAT k 100 NX XX",
         "-ERR NX and XX, GT or LT options at the same time are not compatible\r\n"},
        {"TTL k", ":-1\r\n"},
    };
    KIT_EXPECT(2, commands, cases);
}

/* ---- What Redis does not tell by its replies ------------------------------------------------ */

Test(expire, seconds_are_rounded_and_the_clock_runs)
{
    struct kit kit;
    kit_open(&kit, commands, sizeof commands / sizeof commands[0]);
    kit_expect(&kit, "SET k v PX 1500", "+OK\r\n");
    kit_expect(&kit, "TTL k", ":2\r\n");
    kit_expect(&kit, "PTTL k", ":1500\r\n");
    kit.now_ms += 1;
    kit_expect(&kit, "TTL k", ":1\r\n");
    kit_expect(&kit, "PEXPIRETIME k", ":1750000001500\r\n");
    kit.now_ms += 1498;
    kit_expect(&kit, "TTL k", ":0\r\n");
    kit_expect(&kit, "PTTL k", ":1\r\n");
    kit.now_ms += 1;
    kit_expect(&kit, "TTL k", ":-2\r\n");
    kit_expect(&kit, "EXPIRE k 10", ":0\r\n");
    kit_expect(&kit, "PERSIST k", ":0\r\n");
    kit_close(&kit);
}

Test(expire, a_sliding_session_stops_sliding_and_keeps_the_rest)
{
    static const struct {
        const char *line;
        int64_t expires_ms;
        uint64_t idle_ttl_ms;
    } cases[] = {
        {"TTL s", KIT_NOW_MS + 60000, 60000},
        {"EXPIRE s 10 NX", KIT_NOW_MS + 60000, 60000},
        {"EXPIRE s 10", KIT_NOW_MS + 10000, 0},
        {"PEXPIRE s 60000", KIT_NOW_MS + 60000, 0},
        {"PERSIST s", 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct kit kit;
        kit_open(&kit, commands, sizeof commands / sizeof commands[0]);
        const struct session session = {.id = view_str("s"),
                                        .version = 7,
                                        .expires_ms = KIT_NOW_MS + 60000,
                                        .idle_ttl_ms = 60000,
                                        .owner = view_str("ann"),
                                        .kind = SATCHEL_BLOB,
                                        .content = view_str("cart")};
        kit_store(&kit, &session);
        (void)kit_run(&kit, cases[i].line);
        const struct session *found = kit_find(&kit, "s");
        cr_assert_not_null(found, "%s", cases[i].line);
        cr_expect_eq(found->expires_ms, cases[i].expires_ms, "%s", cases[i].line);
        cr_expect_eq(found->idle_ttl_ms, cases[i].idle_ttl_ms, "%s", cases[i].line);
        cr_expect_eq(found->version, 7, "%s", cases[i].line);
        cr_expect(view_equal(found->owner, view_str("ann")), "%s", cases[i].line);
        cr_expect(view_equal(found->content, view_str("cart")), "%s", cases[i].line);
        kit_close(&kit);
    }
}

Test(expire, events_are_those_of_redis)
{
    static const struct {
        const char *line;
        const char *events;
    } cases[] = {
        {"SET k v", "$set k"},        {"PERSIST k", ""},           {"EXPIRE k 10 XX", ""},
        {"EXPIRE k 10", "gexpire k"}, {"PERSIST k", "gpersist k"}, {"PEXPIREAT k 1", "gdel k"},
        {"PEXPIREAT k 1", ""},
    };
    struct kit kit;
    kit_open(&kit, commands, sizeof commands / sizeof commands[0]);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        (void)kit_run(&kit, cases[i].line);
        kit_expect_events(&kit, cases[i].events);
    }
    kit_close(&kit);
}
