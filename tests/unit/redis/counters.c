/* Numbers in strings. */
#include "redis/counters.h"

#include <criterion/criterion.h>

#include "kit.h"
#include "redis/strings.h"

static const struct redis_command commands[] = {REDIS_COUNTER_COMMANDS(KIT_COMMAND)
                                                    REDIS_STRING_COMMANDS(KIT_COMMAND)};

Test(counters, integers_are_counted_up_and_down)
{
    static const struct kit_case cases[] = {
        {"INCR n", ":1\r\n"},
        {"INCRBY n 41", ":42\r\n"},
        {"GET n", "$2\r\n42\r\n"},
        {"DECR n", ":41\r\n"},
        {"DECRBY n 50", ":-9\r\n"},
        {"INCRBY n -1", ":-10\r\n"},
        {"DECRBY n -20", ":10\r\n"},
        {"DECR new", ":-1\r\n"},
        {"INCRBY zero 0", ":0\r\n"},
        {"GET zero", "$1\r\n0\r\n"},
        {"INCRBY n x", "-ERR value is not an integer or out of range\r\n"},
        {"INCRBY n 1.0", "-ERR value is not an integer or out of range\r\n"},
        {"INCRBY n \"\"", "-ERR value is not an integer or out of range\r\n"},
        {"INCRBY n +1", "-ERR value is not an integer or out of range\r\n"},
        {"INCRBY n 01", "-ERR value is not an integer or out of range\r\n"},
        {"DECRBY n \" 1\"", "-ERR value is not an integer or out of range\r\n"},
        {"DECRBY n -9223372036854775808", "-ERR decrement would overflow\r\n"},
        {"DECRBY n 9223372036854775808", "-ERR value is not an integer or out of range\r\n"},
        {"SET n 9223372036854775806", "+OK\r\n"},
        {"INCR n", ":9223372036854775807\r\n"},
        {"INCR n", "-ERR increment or decrement would overflow\r\n"},
        {"INCRBY n 9223372036854775807", "-ERR increment or decrement would overflow\r\n"},
        {"DECRBY n 9223372036854775807", ":0\r\n"},
        {"DECRBY n 9223372036854775807", ":-9223372036854775807\r\n"},
        {"DECR n", ":-9223372036854775808\r\n"},
        {"DECR n", "-ERR increment or decrement would overflow\r\n"},
        {"GET n", "$20\r\n-9223372036854775808\r\n"},
        {"INCRBY n -9223372036854775808", "-ERR increment or decrement would overflow\r\n"},
        {"INCRBY n 9223372036854775807", ":-1\r\n"},
        {"SET n \"\"", "+OK\r\n"},
        {"INCR n", "-ERR value is not an integer or out of range\r\n"},
        {"SET n \" 1\"", "+OK\r\n"},
        {"INCR n", "-ERR value is not an integer or out of range\r\n"},
        {"SET n 1x", "+OK\r\n"},
        {"DECR n", "-ERR value is not an integer or out of range\r\n"},
        {"SET n 01", "+OK\r\n"},
        {"INCRBY n 1", "-ERR value is not an integer or out of range\r\n"},
        {"SET n -0", "+OK\r\n"},
        {"INCR n", "-ERR value is not an integer or out of range\r\n"},
        {"SET n 9223372036854775808", "+OK\r\n"},
        {"INCR n", "-ERR value is not an integer or out of range\r\n"},
        {"GET n", "$19\r\n9223372036854775808\r\n"},
    };
    KIT_EXPECT(2, commands, cases);
}

Test(counters, floats_are_added)
{
    static const struct kit_case cases[] = {
        {"INCRBYFLOAT f 1.5", "$3\r\n1.5\r\n"},
        {"INCRBYFLOAT f -0.5", "$1\r\n1\r\n"},
        {"GET f", "$1\r\n1\r\n"},
        {"INCRBYFLOAT f 0.1", "$3\r\n1.1\r\n"},
        {"INCRBYFLOAT f 0.2", "$3\r\n1.3\r\n"},
        {"INCRBYFLOAT f 5.0e3", "$22\r\n5001.29999999999999982\r\n"},
        {"INCR f", "-ERR value is not an integer or out of range\r\n"},
        {"SET f 10.50", "+OK\r\n"},
        {"INCRBYFLOAT f 0.1", "$4\r\n10.6\r\n"},
        {"INCRBYFLOAT f -10.6", "$1\r\n0\r\n"},
        {"GET f", "$1\r\n0\r\n"},
        {"SET f 3", "+OK\r\n"},
        {"INCRBYFLOAT f 1e20", "$21\r\n100000000000000000000\r\n"},
        {"SET f 1e400", "+OK\r\n"},
        {"INCRBYFLOAT f 0",
         "$401\r\n100000000000000000002818806839475865145864534336290520386259106935396855340086298"
         "62039363994848324160522094053927317616200295822777259255734023828976593340661017797447434"
         "54617391786244811667497172377894382439159333804747067502624668440135923751360383034373548"
         "55052449559649790218250382800910684149474024568986530409510175126580926158275889201834725"
         "11643316591362664138176309734806343732497430221946880\r\n"},
        {"SET f 0x10", "+OK\r\n"},
        {"INCRBYFLOAT f 1", "$2\r\n17\r\n"},
        {"SET f \"\"", "+OK\r\n"},
        {"INCRBYFLOAT f 1", "-ERR value is not a valid float\r\n"},
        {"SET f \" 1\"", "+OK\r\n"},
        {"INCRBYFLOAT f 1", "-ERR value is not a valid float\r\n"},
        {"SET f \"1 \"", "+OK\r\n"},
        {"INCRBYFLOAT f 1", "-ERR value is not a valid float\r\n"},
        {"SET f 1", "+OK\r\n"},
        {"INCRBYFLOAT f \"\"", "-ERR value is not a valid float\r\n"},
        {"INCRBYFLOAT f x", "-ERR value is not a valid float\r\n"},
        {"INCRBYFLOAT f nan", "-ERR value is not a valid float\r\n"},
        {"INCRBYFLOAT f inf", "-ERR increment would produce NaN or Infinity\r\n"},
        {"INCRBYFLOAT f -Infinity", "-ERR increment would produce NaN or Infinity\r\n"},
        {"INCRBYFLOAT f 1e5000", "-ERR value is not a valid float\r\n"},
        {"INCRBYFLOAT f \"1\\x00\"", "-ERR value is not a valid float\r\n"},
        {"SET f inf", "+OK\r\n"},
        {"INCRBYFLOAT f -inf", "-ERR increment would produce NaN or Infinity\r\n"},
        {"INCRBYFLOAT f 1", "-ERR increment would produce NaN or Infinity\r\n"},
        {"GET f", "$3\r\ninf\r\n"},
        {"SET f abc", "+OK\r\n"},
        {"INCRBYFLOAT f 1", "-ERR value is not a valid float\r\n"},
        {"INCRBYFLOAT g 0", "$1\r\n0\r\n"},
        {"INCRBYFLOAT g -0", "$1\r\n0\r\n"},
        {"INCRBYFLOAT g 1e-17", "$19\r\n0.00000000000000001\r\n"},
        {"INCRBYFLOAT g 1e-18", "$19\r\n0.00000000000000001\r\n"},
        {"INCRBYFLOAT big 123456789012345678901234567890",
         "$30\r\n123456789012345678899921813504\r\n"},
    };
    KIT_EXPECT(2, commands, cases);
}

Test(counters, the_sum_is_a_bulk_string_in_resp3)
{
    static const struct kit_case cases[] = {
        {"INCRBYFLOAT f 1.25", "$4\r\n1.25\r\n"},
        {"INCR n", ":1\r\n"},
    };
    KIT_EXPECT(3, commands, cases);
}

Test(counters, a_hash_does_not_count)
{
    static const struct kit_case cases[] = {
        {"INCR h", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"},
        {"DECR h", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"},
        {"INCRBY h 1", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"},
        {"INCRBY h x", "-ERR value is not an integer or out of range\r\n"},
        {"DECRBY h 1", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"},
        {"DECRBY h x", "-ERR value is not an integer or out of range\r\n"},
        {"DECRBY h -9223372036854775808", "-ERR decrement would overflow\r\n"},
        {"INCRBYFLOAT h 1",
         "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"},
        {"INCRBYFLOAT h x",
         "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"},
    };
    KIT_EXPECT(2, commands, cases);
}

Test(counters, a_counter_keeps_its_time_and_tells_of_itself)
{
    static const struct {
        const char *line;
        const char *events;
    } cases[] = {
        {"INCR k", "$incrby k"},     {"DECR k", "$incrby k"},
        {"INCRBY k 5", "$incrby k"}, {"DECRBY k 2", "$incrby k"},
        {"INCRBY k 0", "$incrby k"}, {"INCRBYFLOAT k 1", "$incrbyfloat k"},
        {"INCRBY k x", ""},          {"INCRBYFLOAT k x", ""},
    };
    struct kit kit;
    kit_open(&kit, commands, sizeof commands / sizeof commands[0]);
    const struct session session = {.id = view_str("k"),
                                    .expires_ms = KIT_NOW_MS + 60000,
                                    .idle_ttl_ms = 60000,
                                    .kind = SATCHEL_BLOB,
                                    .content = view_str("5")};
    kit_store(&kit, &session);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        (void)kit_run(&kit, cases[i].line);
        kit_expect_events(&kit, cases[i].events);
    }
    const struct session *found = kit_find(&kit, "k");
    cr_assert_not_null(found);
    cr_expect(view_equal(found->content, view_str("9")));
    cr_expect_eq(found->expires_ms, KIT_NOW_MS + 60000);
    cr_expect_eq(found->idle_ttl_ms, 60000);
    kit_close(&kit);
}
