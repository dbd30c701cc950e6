/* Keys of any kind. */
#include "redis/keys.h"

#include <criterion/criterion.h>

#include "kit.h"
#include "redis/client.h"
#include "redis/expire.h"
#include "redis/pubsub.h"
#include "redis/strings.h"

static const struct redis_command commands[] = {REDIS_KEY_COMMANDS(
    KIT_COMMAND) REDIS_EXPIRE_COMMANDS(KIT_COMMAND) REDIS_STRING_COMMANDS(KIT_COMMAND)};

Test(keys, keys_are_counted_told_and_deleted)
{
    static const struct kit_case cases[] = {
        {"MSET a 1 b 2 c 3 d 4", "+OK\r\n"},
        {"EXISTS a none b", ":2\r\n"},
        {"EXISTS a a a", ":3\r\n"},
        {"TOUCH a none a h", ":3\r\n"},
        {"TYPE a", "+string\r\n"},
        {"TYPE h", "+hash\r\n"},
        {"TYPE none", "+none\r\n"},
        {"DEL a none b", ":2\r\n"},
        {"EXISTS a b c", ":1\r\n"},
        {"DEL c c", ":1\r\n"},
        {"UNLINK d d none h", ":2\r\n"},
        {"EXISTS h", ":0\r\n"},
        {"DEL none", ":0\r\n"},
    };
    KIT_EXPECT(2, commands, cases);
}

Test(keys, a_session_is_renamed_as_it_is)
{
    static const struct kit_case cases[] = {
        {"RENAME none n", "-ERR no such key\r\n"},
        {"RENAME none none", "-ERR no such key\r\n"},
        {"RENAMENX none none", "-ERR no such key\r\n"},
        {"SET k v EX 100", "+OK\r\n"},
        {"RENAME k k", "+OK\r\n"},
        {"RENAMENX k k", ":0\r\n"},
        {"RENAME k n", "+OK\r\n"},
        {"EXISTS k", ":0\r\n"},
        {"GET n", "$1\r\nv\r\n"},
        {"TTL n", ":100\r\n"},
        {"SET k w", "+OK\r\n"},
        {"RENAMENX k n", ":0\r\n"},
        {"GET k", "$1\r\nw\r\n"},
        {"GET n", "$1\r\nv\r\n"},
        {"RENAME k n", "+OK\r\n"},
        {"GET n", "$1\r\nw\r\n"},
        {"TTL n", ":-1\r\n"},
        {"RENAMENX n m", ":1\r\n"},
        {"MGET n m", "*2\r\n$-1\r\n$1\r\nw\r\n"},
        {"RENAME h m", "+OK\r\n"},
        {"TYPE m", "+hash\r\n"},
        {"TYPE h", "+none\r\n"},
    };
    KIT_EXPECT(2, commands, cases);
}

Test(keys, a_session_is_copied_as_it_is)
{
    static const struct kit_case cases[] = {
        {"SET k v EX 100", "+OK\r\n"},
        {"COPY none n", ":0\r\n"},
        {"COPY none none", "-ERR source and destination objects are the same\r\n"},
        {"COPY k k", "-ERR source and destination objects are the same\r\n"},
        {"COPY k k REPLACE", "-ERR source and destination objects are the same\r\n"},
        {"COPY k n", ":1\r\n"},
        {"GET n", "$1\r\nv\r\n"},
        {"TTL n", ":100\r\n"},
        {"GET k", "$1\r\nv\r\n"},
        {"COPY h n", ":0\r\n"},
        {"GET n", "$1\r\nv\r\n"},
        {"COPY h n REPLACE", ":1\r\n"},
        {"TYPE n", "+hash\r\n"},
        {"TTL n", ":-1\r\n"},
        {"TYPE h", "+hash\r\n"},
        {"COPY none n REPLACE", ":0\r\n"},
        {"TYPE n", "+hash\r\n"},
        {"COPY k m FOO", "-ERR syntax error\r\n"},
        {"COPY k m REPLACE REPLACE", ":1\r\n"},
        {"COPY k m REPLACE FOO", "-ERR syntax error\r\n"},
    };
    KIT_EXPECT(2, commands, cases);
}

Test(keys, a_copy_stays_in_its_database)
{
    static const struct kit_case cases[] = {
        {"SET k v", "+OK\r\n"},
        {"COPY k n DB 0", ":1\r\n"},
        {"COPY k n REPLACE DB 0 REPLACE", ":1\r\n"},
        {"COPY k n DB 0 DB 99", "-ERR DB index is out of range\r\n"},
        {"COPY k n DB 16", "-ERR DB index is out of range\r\n"},
        {"COPY k n DB -1", "-ERR DB index is out of range\r\n"},
        {"COPY k n DB x", "-ERR value is not an integer or out of range\r\n"},
        {"COPY k n DB", "-ERR syntax error\r\n"},
        {"COPY k n REPLACE DB", "-ERR syntax error\r\n"},
        {"COPY k n DB 2147483648",
         "-ERR value is out of range, value must between -2147483648 and 2147483647\r\n"},
        {"COPY k n DB -2147483649",
         "-ERR value is out of range, value must between -2147483648 and 2147483647\r\n"},
        {"COPY k n DB 9223372036854775808", "-ERR value is not an integer or out of range\r\n"},
        {"COPY k k DB 0", "-ERR source and destination objects are the same\r\n"},
    };
    struct redis redis = {.pubsub = redis_pubsub_new()}; /* nobody listens to events */
    struct redis_worker worker = {.redis = &redis};
    struct redis_client client = {.worker = &worker, .db = 0};
    struct kit kit;
    kit_open(&kit, commands, sizeof commands / sizeof commands[0]);
    kit.client = &client;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        kit_expect(&kit, cases[i].line, cases[i].reply);
    }
    client.db = 3;
    kit_expect(&kit, "COPY k m DB 3", ":1\r\n");
    kit_expect(&kit, "COPY k m DB 0 REPLACE", "-ERR DB index is out of range\r\n");
    kit_close(&kit);
    redis_pubsub_free(redis.pubsub);
}

/* ---- What Redis does not tell by its replies ------------------------------------------------ */

Test(keys, the_owner_and_the_times_of_a_session_go_with_it)
{
    static const char *const lines[] = {"RENAME s n", "RENAMENX s n", "COPY s n", "RENAME s o",
                                        "COPY s o REPLACE"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct kit kit;
        kit_open(&kit, commands, sizeof commands / sizeof commands[0]);
        kit_store_native(&kit, "cart");
        const struct session other = {
            .id = view_str("o"), .owner = view_str("bob"), .kind = SATCHEL_BLOB};
        kit_store(&kit, &other);
        (void)kit_run(&kit, lines[i]);
        const struct session *found = kit_find(&kit, strchr(lines[i], 'n') != NULL ? "n" : "o");
        cr_assert_not_null(found, "%s", lines[i]);
        cr_expect(view_equal(found->content, view_str("cart")), "%s", lines[i]);
        cr_expect(view_equal(found->owner, view_str("ann")), "%s", lines[i]);
        cr_expect_eq(found->created_ms, KIT_NOW_MS - 5000, "%s", lines[i]);
        cr_expect_eq(found->expires_ms, KIT_NOW_MS + 60000, "%s", lines[i]);
        cr_expect_eq(found->idle_ttl_ms, 60000, "%s", lines[i]);
        cr_expect_eq(kit_find(&kit, "s") == NULL, lines[i][0] == 'R', "%s", lines[i]);
        kit_close(&kit);
    }
}

Test(keys, what_has_expired_is_neither_counted_nor_left_behind)
{
    struct kit kit;
    kit_open(&kit, commands, sizeof commands / sizeof commands[0]);
    kit_store_native(&kit, "cart");
    kit.now_ms += 60000;
    kit_expect(&kit, "EXISTS s", ":0\r\n");
    kit_expect(&kit, "TYPE s", "+none\r\n");
    kit_expect(&kit, "RENAME s n", "-ERR no such key\r\n");
    kit_expect(&kit, "COPY s n", ":0\r\n");
    cr_expect_not_null(kit_find(&kit, "s"));
    kit_expect(&kit, "DEL s", ":0\r\n");
    kit_expect_events(&kit, "");
    cr_expect_null(kit_find(&kit, "s"));
    kit_close(&kit);
}

Test(keys, events_are_those_of_redis)
{
    static const struct {
        const char *line;
        const char *events;
    } cases[] = {
        {"MSET a 1 b 2 c 3", "$set a, $set b, $set c"},
        {"EXISTS a b", ""},
        {"TOUCH a b", ""},
        {"DEL a none a", "gdel a"},
        {"UNLINK b b", "gdel b"},
        {"RENAME c c", ""},
        {"RENAME c d", "grename_from c, grename_to d"},
        {"RENAMENX d d", ""},
        {"RENAMENX d c", "grename_from d, grename_to c"},
        {"COPY c d", "gcopy_to d"},
        {"COPY c d", ""},
        {"COPY c d REPLACE", "gcopy_to d"},
    };
    struct kit kit;
    kit_open(&kit, commands, sizeof commands / sizeof commands[0]);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        (void)kit_run(&kit, cases[i].line);
        kit_expect_events(&kit, cases[i].events);
    }
    kit_close(&kit);
}
