/* Hashes, in the words of Redis 7.0. */
#include <criterion/criterion.h>

#include "kit.h"
#include "redis/elements.h"
#include "redis/hashes.h"
#include "redis/keys.h"
#include "redis/sets.h"
#include "redis/strings.h"

#define WRONGTYPE "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
#define ARITY(name) "-ERR wrong number of arguments for '" name "' command\r\n"
#define NAME "-ERR the name of a field or member has 1 to 256 bytes here\r\n"
#define TOO_LARGE "-ERR this is larger than a session, or a transaction, can be\r\n"

static const struct redis_command commands[] = {REDIS_HASH_COMMANDS(KIT_COMMAND) REDIS_SET_COMMANDS(
    KIT_COMMAND) REDIS_STRING_COMMANDS(KIT_COMMAND) REDIS_KEY_COMMANDS(KIT_COMMAND)};

static struct kit kit; /* of the test, which is a process of its own */

static void open_kit(void)
{
    kit_open(&kit, commands, sizeof commands / sizeof *commands);
}

Test(hashes, are_set_read_and_deleted_as_by_redis)
{
    static const struct kit_case cases[] = {
        {"DEL h", ":1\r\n"},
        {"HSET h a 1 b", ARITY("hset")},
        {"HSET h a 1 b 2", ":2\r\n"},
        {"HSET h a 1 c 3 c 4", ":1\r\n"},
        {"HMSET h a 1 b", ARITY("hmset")},
        {"HMSET h a 1", "+OK\r\n"},
        {"HSETNX h a 9", ":0\r\n"},
        {"HSETNX h n 9", ":1\r\n"},
        {"HGET h a", "$1\r\n1\r\n"},
        {"HGET h zz", "$-1\r\n"},
        {"HGET nokey a", "$-1\r\n"},
        {"HMGET h a zz", "*2\r\n$1\r\n1\r\n$-1\r\n"},
        {"HMGET nokey a b", "*2\r\n$-1\r\n$-1\r\n"},
        {"HGETALL h", "*8\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$1\r\n2\r\n$1\r\nc\r\n$1\r\n4\r\n"
                      "$1\r\nn\r\n$1\r\n9\r\n"},
        {"HGETALL nokey", "*0\r\n"},
        {"HDEL h a a zz", ":1\r\n"},
        {"HDEL nokey a", ":0\r\n"},
        {"HEXISTS h b", ":1\r\n"},
        {"HEXISTS h zz", ":0\r\n"},
        {"HEXISTS nokey b", ":0\r\n"},
        {"HLEN h", ":3\r\n"},
        {"HLEN nokey", ":0\r\n"},
        {"HKEYS h", "*3\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\nn\r\n"},
        {"HKEYS nokey", "*0\r\n"},
        {"HVALS h", "*3\r\n$1\r\n2\r\n$1\r\n4\r\n$1\r\n9\r\n"},
        {"HVALS nokey", "*0\r\n"},
        {"HSET h text \"a longer one\"", ":1\r\n"},
        {"HSTRLEN h text", ":12\r\n"},
        {"HSTRLEN h zz", ":0\r\n"},
        {"HSTRLEN nokey c", ":0\r\n"},
        {"HSET h empty \"\"", ":1\r\n"},
        {"HGET h empty", "$0\r\n\r\n"},
        {"HEXISTS h empty", ":1\r\n"},
        {"HSET h \"\\x00\\xff\" \"\\r\\n\"", ":1\r\n"},
        {"HGET h \"\\x00\\xff\"", "$2\r\n\r\n\r\n"},
        /* The last field takes the hash along. */
        {"HDEL h b c n text empty \"\\x00\\xff\"", ":6\r\n"},
        {"EXISTS h", ":0\r\n"},
        {"HSETNX h a 1", ":1\r\n"},
        {"HGETALL h", "*2\r\n$1\r\na\r\n$1\r\n1\r\n"},
    };
    KIT_EXPECT(2, commands, cases);
}

Test(hashes, answer_in_maps_and_nulls_to_those_who_speak_version_3)
{
    static const struct kit_case cases[] = {
        {"DEL h", ":1\r\n"},
        {"HSET h x 1 y 2", ":2\r\n"},
        {"HGETALL h", "%2\r\n$1\r\nx\r\n$1\r\n1\r\n$1\r\ny\r\n$1\r\n2\r\n"},
        {"HGETALL nokey", "%0\r\n"},
        {"HKEYS h", "*2\r\n$1\r\nx\r\n$1\r\ny\r\n"},
        {"HVALS nokey", "*0\r\n"},
        {"HMGET nokey a", "*1\r\n_\r\n"},
        {"HGET nokey a", "_\r\n"},
        {"HEXISTS h x", ":1\r\n"},
        {"HRANDFIELD nokey", "_\r\n"},
        {"HRANDFIELD nokey 4 WITHVALUES", "*0\r\n"},
        {"HRANDFIELD h 5", "*2\r\n$1\r\nx\r\n$1\r\ny\r\n"},
        {"HRANDFIELD h 5 withValues",
         "*2\r\n*2\r\n$1\r\nx\r\n$1\r\n1\r\n*2\r\n$1\r\ny\r\n$1\r\n2\r\n"},
        {"HSCAN h 0", "*2\r\n$1\r\n0\r\n*4\r\n$1\r\nx\r\n$1\r\n1\r\n$1\r\ny\r\n$1\r\n2\r\n"},
    };
    KIT_EXPECT(3, commands, cases);
}

Test(hashes, refuse_keys_of_other_kinds_after_what_redis_looks_at_first)
{
    static const struct kit_case cases[] = {
        {"DEL h", ":1\r\n"},
        {"SET s x", "+OK\r\n"},
        {"SADD names x", ":1\r\n"},
        {"HSET s a 1", WRONGTYPE},
        {"HSET names a 1", WRONGTYPE},
        {"HSET s a 1 b", ARITY("hset")},
        {"HMSET s a 1", WRONGTYPE},
        {"HSETNX s a 1", WRONGTYPE},
        {"HGET s a", WRONGTYPE},
        {"HGET names a", WRONGTYPE},
        {"HMGET s a", WRONGTYPE},
        {"HGETALL s", WRONGTYPE},
        {"HDEL s a", WRONGTYPE},
        {"HEXISTS s a", WRONGTYPE},
        {"HLEN s", WRONGTYPE},
        {"HKEYS s", WRONGTYPE},
        {"HVALS s", WRONGTYPE},
        {"HSTRLEN s a", WRONGTYPE},
        {"HINCRBY s a 1", WRONGTYPE},
        {"HINCRBY s a x", "-ERR value is not an integer or out of range\r\n"},
        {"HINCRBYFLOAT s a 1", WRONGTYPE},
        {"HINCRBYFLOAT s a x", "-ERR value is not a valid float\r\n"},
        {"HSCAN s 0", WRONGTYPE},
        {"HSCAN s x", "-ERR invalid cursor\r\n"},
        {"HSCAN s 0 FOO", WRONGTYPE},
        {"HRANDFIELD s", WRONGTYPE},
        {"HRANDFIELD s 1", WRONGTYPE},
        {"HRANDFIELD s x", "-ERR value is not an integer or out of range\r\n"},
        {"GET s", "$1\r\nx\r\n"},
    };
    KIT_EXPECT(2, commands, cases);
}

Test(hashes, count_in_fields)
{
    static const struct kit_case cases[] = {
        {"DEL h", ":1\r\n"},
        {"HINCRBY h n 5", ":5\r\n"},
        {"HINCRBY h n -7", ":-2\r\n"},
        {"HGET h n", "$2\r\n-2\r\n"},
        {"HINCRBY h n abc", "-ERR value is not an integer or out of range\r\n"},
        {"HINCRBY h n 9223372036854775808", "-ERR value is not an integer or out of range\r\n"},
        {"HSET h t text sp \" 1\" e \"\"", ":3\r\n"},
        {"HINCRBY h t 1", "-ERR hash value is not an integer\r\n"},
        {"HINCRBY h sp 1", "-ERR hash value is not an integer\r\n"},
        {"HINCRBY h e 1", "-ERR hash value is not an integer\r\n"},
        {"HSET h big 9223372036854775807", ":1\r\n"},
        {"HINCRBY h big 1", "-ERR increment or decrement would overflow\r\n"},
        {"HSET h big -9223372036854775808", ":0\r\n"},
        {"HINCRBY h big -1", "-ERR increment or decrement would overflow\r\n"},
        {"HSET h big 9223372036854775808", ":0\r\n"},
        {"HINCRBY h big 1", "-ERR hash value is not an integer\r\n"},
        {"HINCRBYFLOAT h f 1.5", "$3\r\n1.5\r\n"},
        {"HINCRBYFLOAT h f 5.0e3", "$6\r\n5001.5\r\n"},
        {"HGET h f", "$6\r\n5001.5\r\n"},
        {"HINCRBYFLOAT h f abc", "-ERR value is not a valid float\r\n"},
        {"HINCRBYFLOAT h f nan", "-ERR value is not a valid float\r\n"},
        {"HINCRBYFLOAT h f \"\"", "-ERR value is not a valid float\r\n"},
        {"HINCRBYFLOAT h f \" 1\"", "-ERR value is not a valid float\r\n"},
        {"HINCRBYFLOAT h f inf", "-ERR value is NaN or Infinity\r\n"},
        {"HINCRBYFLOAT h f -inf", "-ERR value is NaN or Infinity\r\n"},
        {"HINCRBYFLOAT h t 1", "-ERR hash value is not a float\r\n"},
        {"HINCRBYFLOAT h e 1", "-ERR hash value is not a float\r\n"},
        {"HINCRBYFLOAT h x 0x10", "$2\r\n16\r\n"},
        {"HSET h inf inf", ":1\r\n"},
        {"HINCRBYFLOAT h inf 1", "-ERR increment would produce NaN or Infinity\r\n"},
        {"HINCRBYFLOAT h huge 1.7e4932", "-ERR value is not a valid float\r\n"},
        {"HINCRBYFLOAT h tiny 1e-20", "$1\r\n0\r\n"},
        {"HINCRBYFLOAT h n2 1e30", "$31\r\n1000000000000000000024696061952\r\n"},
    };
    KIT_EXPECT(2, commands, cases);
}

Test(hashes, keep_their_times_and_die_when_these_are_over)
{
    open_kit();
    struct buf content = {0};
    cr_assert_eq(fields_append(&content, view_str("a"), view_str("1")), STATUS_OK);
    struct session session = {.id = view_str("h"),
                              .version = 1,
                              .created_ms = KIT_NOW_MS - 1,
                              .expires_ms = KIT_NOW_MS + 1000,
                              .idle_ttl_ms = 1500,
                              .owner = view_str("ann"),
                              .kind = SATCHEL_FIELDS,
                              .content = buf_view(&content)};
    kit_store(&kit, &session);
    kit_expect(&kit, "HSET h b 2", ":1\r\n");
    const struct session *now = kit_find(&kit, "h");
    cr_assert_eq(now->expires_ms, KIT_NOW_MS + 1000);
    cr_assert_eq(now->idle_ttl_ms, 1500);
    cr_assert_eq(now->created_ms, KIT_NOW_MS - 1);
    cr_assert(view_equal(now->owner, view_str("ann")));
    kit.now_ms += 1000;
    kit_expect(&kit, "HGET h a", "$-1\r\n");
    kit_expect(&kit, "HDEL h a", ":0\r\n");
    kit_expect(&kit, "HSET h c 3", ":1\r\n");
    now = kit_find(&kit, "h");
    cr_assert_eq(now->expires_ms, 0);
    cr_assert_eq(redis_element_count(now->content), 1);
    buf_free(&content);
    kit_close(&kit);
}

/* `command` h f<first> … of `count` fields, each followed by the value if there is one. */
static void run_many(const char *command, unsigned first, unsigned count, const char *value,
                     const char *reply)
{
    struct buf line = {0};
    cr_assert_eq(buf_printf(&line, "%s h", command), STATUS_OK);
    for (unsigned i = first; i < first + count; i++) {
        cr_assert_eq(buf_printf(&line, value == NULL ? " f%u" : " f%u %s", i, value), STATUS_OK);
    }
    cr_assert_eq(buf_append(&line, view_of("", 1)), STATUS_OK);
    kit_expect(&kit, (const char *)line.ptr, reply);
    buf_free(&line);
}

/* More than a patch can have, up to what a session can hold: all or nothing. */
Test(hashes, take_as_many_fields_at_once_as_a_session_can_hold)
{
    open_kit();
    run_many("HSET", 0, 256, "v", ":256\r\n");
    run_many("HSET", 0, 257, "w", ":1\r\n");
    run_many("HSET", 100, 900, "x", ":743\r\n");
    kit_expect(&kit, "HLEN h", ":1000\r\n");
    kit_expect(&kit, "HMGET h f0 f99 f100 f999 f1000",
               "*5\r\n$1\r\nw\r\n$1\r\nw\r\n$1\r\nx\r\n$1\r\nx\r\n$-1\r\n");
    kit_expect(&kit, "HMGET h f0 no f99 no f100 no f999 no f500",
               "*9\r\n$1\r\nw\r\n$-1\r\n$1\r\nw\r\n$-1\r\n$1\r\nx\r\n$-1\r\n$1\r\nx\r\n$-1\r\n"
               "$1\r\nx\r\n");
    uint64_t version = kit_find(&kit, "h")->version;
    run_many("HSET", 0, 1025, "y", TOO_LARGE);
    run_many("HSET", 1000, 25, "y", TOO_LARGE);
    cr_assert_eq(kit_find(&kit, "h")->version, version, "nothing has changed");
    kit_expect(&kit, "HGET h f0", "$1\r\nw\r\n");
    run_many("HSET", 1000, 24, "y", ":24\r\n");
    run_many("HDEL", 1, 1500, NULL, ":1023\r\n");
    kit_expect(&kit, "HGETALL h", "*2\r\n$2\r\nf0\r\n$1\r\nw\r\n");
    run_many("HDEL", 0, 300, NULL, ":1\r\n");
    cr_assert_null(kit_find(&kit, "h"));
    run_many("HDEL", 0, 300, NULL, ":0\r\n");
    run_many("HSET", 0, 300, "v", ":300\r\n");
    run_many("HMSET", 0, 300, "w", "+OK\r\n");
    kit_close(&kit);
}

Test(hashes, are_as_large_as_a_session_can_be)
{
    open_kit();
    kit.value_bytes_max = 64;
    kit_expect(&kit, "HSET h field 1", ":1\r\n");
    kit_expect(&kit, "HSET h a 1234567890123456789012345678901234567890123456", TOO_LARGE);
    kit_expect(&kit, "HSETNX h a 1234567890123456789012345678901234567890123456789", TOO_LARGE);
    kit_expect(&kit, "HINCRBYFLOAT h a 1e60", TOO_LARGE);
    kit_expect(&kit, "HSET h a 123456789012345678901234567890123456789012345", ":1\r\n");
    kit_expect(&kit, "HINCRBY h field 9", TOO_LARGE);
    kit_expect(&kit, "HGET h field", "$1\r\n1\r\n");
    kit_close(&kit);
}

/* A name that cannot be is not set; it is just not there for those who ask or delete. */
Test(hashes, have_names_of_1_to_256_bytes)
{
    open_kit();
    struct buf name = {0};
    cr_assert_eq(buf_printf(&name, "%0256d", 1), STATUS_OK);
    struct view argv[] = {view_str("HSET"), view_str("h"), buf_view(&name), view_str("v")};
    cr_assert(view_equal(kit_call(&kit, argv, 4), view_str(":1\r\n")));
    argv[0] = view_str("HGET");
    cr_assert(view_equal(kit_call(&kit, argv, 3), view_str("$1\r\nv\r\n")));
    cr_assert_eq(buf_printf(&name, "%d", 1), STATUS_OK);
    argv[2] = buf_view(&name);
    cr_assert(view_equal(kit_call(&kit, argv, 3), view_str("$-1\r\n")));
    argv[0] = view_str("HDEL");
    cr_assert(view_equal(kit_call(&kit, argv, 3), view_str(":0\r\n")));
    argv[0] = view_str("HSET");
    cr_assert(view_equal(kit_call(&kit, argv, 4), view_str(NAME)));
    static const struct kit_case cases[] = {
        {"HSET h a 1 \"\" 2", NAME},      {"HSETNX h \"\" 2", NAME},  {"HINCRBY h \"\" 2", NAME},
        {"HINCRBYFLOAT h \"\" 2", NAME},  {"HGET h \"\"", "$-1\r\n"}, {"HDEL h \"\"", ":0\r\n"},
        {"HDEL h \"\" \"\" x", ":0\r\n"}, {"HLEN h", ":1\r\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kit_expect(&kit, cases[i].line, cases[i].reply);
    }
    buf_free(&name);
    kit_close(&kit);
}

Test(hashes, tell_what_happens_to_them)
{
    static const struct {
        const char *line;
        const char *events;
    } cases[] = {
        {"HSET h a 1", "hhset h"},
        {"HMSET h a 1", "hhset h"},
        {"HSETNX h a 1", ""},
        {"HSETNX h b 1", "hhset h"},
        {"HINCRBY h a 1", "hhincrby h"},
        {"HINCRBYFLOAT h a 1", "hhincrbyfloat h"},
        {"HDEL h zz", ""},
        {"HDEL h a", "hhdel h"},
        {"HDEL h b", "hhdel h, gdel h"},
        {"HSET h a 1 b", ""},
    };
    open_kit();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        (void)kit_run(&kit, cases[i].line);
        kit_expect_events(&kit, cases[i].events);
    }
    kit_close(&kit);
}

Test(hashes, are_scanned_as_one_page)
{
#define PAGE(elements) "*2\r\n$1\r\n0\r\n" elements
    static const struct kit_case cases[] = {
        {"DEL h", ":1\r\n"},
        {"HSET h one 1 two 2 three 3", ":3\r\n"},
        {"HSCAN h 0",
         PAGE("*6\r\n$3\r\none\r\n$1\r\n1\r\n$3\r\ntwo\r\n$1\r\n2\r\n$5\r\nthree\r\n$1\r\n3\r\n")},
        {"HSCAN h 0 MATCH t*", PAGE("*4\r\n$3\r\ntwo\r\n$1\r\n2\r\n$5\r\nthree\r\n$1\r\n3\r\n")},
        {"HSCAN h 0 match ?ne COUNT 1", PAGE("*2\r\n$3\r\none\r\n$1\r\n1\r\n")},
        {"HSCAN h 0 COUNT 1 MATCH one match zz", PAGE("*0\r\n")},
        {"HSCAN h 17 MATCH one", PAGE("*2\r\n$3\r\none\r\n$1\r\n1\r\n")},
        {"HSCAN h \"\" MATCH zz", PAGE("*0\r\n")},
        {"HSCAN h +1 MATCH zz", PAGE("*0\r\n")},
        {"HSCAN h -1 MATCH zz", PAGE("*0\r\n")},
        {"HSCAN h 18446744073709551615 MATCH zz", PAGE("*0\r\n")},
        {"HSCAN h 18446744073709551616", "-ERR invalid cursor\r\n"},
        {"HSCAN h 1x", "-ERR invalid cursor\r\n"},
        {"HSCAN h \" 1\"", "-ERR invalid cursor\r\n"},
        {"HSCAN h -", "-ERR invalid cursor\r\n"},
        {"HSCAN h 0 COUNT 0", "-ERR syntax error\r\n"},
        {"HSCAN h 0 COUNT -1", "-ERR syntax error\r\n"},
        {"HSCAN h 0 COUNT abc", "-ERR value is not an integer or out of range\r\n"},
        {"HSCAN h 0 COUNT", "-ERR syntax error\r\n"},
        {"HSCAN h 0 MATCH", "-ERR syntax error\r\n"},
        {"HSCAN h 0 TYPE hash", "-ERR syntax error\r\n"},
        {"HSCAN nokey 0 COUNT abc", PAGE("*0\r\n")},
        {"HSCAN nokey 0 FOO BAR", PAGE("*0\r\n")},
        {"HSCAN nokey abc", "-ERR invalid cursor\r\n"},
    };
    KIT_EXPECT(2, commands, cases);
}

#define OUT_OF_RANGE "-ERR value is out of range\r\n"
#define OUT_OF_ALL_RANGE                                                                           \
    "-ERR value is out of range, value must between -9223372036854775807 and "                     \
    "9223372036854775807\r\n"

Test(hashes, give_fields_at_random)
{
    static const struct kit_case cases[] = {
        {"DEL h", ":1\r\n"},
        {"HRANDFIELD nokey", "$-1\r\n"},
        {"HRANDFIELD nokey 3", "*0\r\n"},
        {"HRANDFIELD nokey -3", "*0\r\n"},
        {"HRANDFIELD nokey abc", "-ERR value is not an integer or out of range\r\n"},
        {"HRANDFIELD nokey 1 FOO", "-ERR syntax error\r\n"},
        {"HRANDFIELD nokey 1 WITHVALUES X", "-ERR syntax error\r\n"},
        {"HRANDFIELD nokey 9223372036854775808",
         "-ERR value is not an integer or out of range\r\n"},
        {"HRANDFIELD nokey -9223372036854775808", OUT_OF_ALL_RANGE},
        {"HRANDFIELD nokey -9223372036854775808 WITHVALUES", OUT_OF_ALL_RANGE},
        {"HRANDFIELD nokey 5000000000000000000 WITHVALUES", OUT_OF_RANGE},
        {"HRANDFIELD nokey -5000000000000000000 WITHVALUES", OUT_OF_RANGE},
        {"HSET h a 1", ":1\r\n"},
        {"HRANDFIELD h", "$1\r\na\r\n"},
        {"HRANDFIELD h 0", "*0\r\n"},
        {"HRANDFIELD h 9 WITHVALUES", "*2\r\n$1\r\na\r\n$1\r\n1\r\n"},
        {"HRANDFIELD h -2 WITHVALUES", "*4\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\na\r\n$1\r\n1\r\n"},
        {"HSET h b 2", ":1\r\n"},
        {"HRANDFIELD h 2", "*2\r\n$1\r\na\r\n$1\r\nb\r\n"},
        {"HRANDFIELD h 4611686018427387903 WITHVALUES",
         "*4\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$1\r\n2\r\n"},
        /* Redis would try to build this reply, whatever becomes of it. */
        {"HRANDFIELD h -9223372036854775807", OUT_OF_RANGE},
        {"HRANDFIELD h -1000000", OUT_OF_RANGE},
    };
    KIT_EXPECT(2, commands, cases);
}

/* Each of three fields comes about as often as the others, alone, among several and repeated. */
Test(hashes, give_every_field_its_chance)
{
    static const char *const lines[] = {"HRANDFIELD h", "HRANDFIELD h 1", "HRANDFIELD h 2",
                                        "HRANDFIELD h -4"};
    enum { ROUNDS = 600 };
    open_kit();
    kit_expect(&kit, "HSET h a 1 b 2 c 3", ":3\r\n");
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        unsigned seen[3] = {0};
        unsigned all = 0;
        for (unsigned round = 0; round < ROUNDS; round++) {
            struct view reply = kit_run(&kit, lines[i]);
            for (size_t at = 0; at < reply.len; at++) {
                if (reply.ptr[at] >= 'a' && reply.ptr[at] <= 'c') {
                    seen[reply.ptr[at] - 'a']++;
                    all++;
                }
            }
        }
        for (size_t field = 0; field < 3; field++) {
            cr_assert(seen[field] > all / 4 && seen[field] < all * 5 / 12, "%s: %u of %u", lines[i],
                      seen[field], all);
        }
    }
    kit_close(&kit);
}
