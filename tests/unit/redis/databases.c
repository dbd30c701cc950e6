/* Walks through databases: SCAN, KEYS, RANDOMKEY, DBSIZE, FLUSHDB, FLUSHALL. */
#include "room.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

TestSuite(redis_databases, .timeout = 60);

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define EMPTY_SCAN "*2\r\n$1\r\n0\r\n*0\r\n"

Test(redis_databases, walks_refuse_what_redis_refuses)
{
    static const struct room_case cases[] = {
        {"SCAN a", "-ERR invalid cursor\r\n"},
        {"SCAN 0x1", "-ERR invalid cursor\r\n"},
        {"SCAN \"1 \"", "-ERR invalid cursor\r\n"},
        {"SCAN \" 1\"", "-ERR invalid cursor\r\n"},
        {"SCAN 99999999999999999999999", "-ERR invalid cursor\r\n"},
        {"SCAN 99999999999999999999999999999999999999", "-ERR invalid cursor\r\n"},
        {"SCAN \"\"", EMPTY_SCAN},
        {"SCAN +0", EMPTY_SCAN},
        {"SCAN -1", EMPTY_SCAN},
        {"SCAN 18446744073709551615", EMPTY_SCAN},
        {"SCAN 0 MATCH", "-ERR syntax error\r\n"},
        {"SCAN 0 COUNT 10 MATCH", "-ERR syntax error\r\n"},
        {"SCAN 0 FOO bar", "-ERR syntax error\r\n"},
        {"SCAN 0 COUNT a", "-ERR value is not an integer or out of range\r\n"},
        {"SCAN 0 COUNT 0", "-ERR syntax error\r\n"},
        {"SCAN 0 TYPE foo", EMPTY_SCAN},
        {"KEYS *", "*0\r\n"},
        {"RANDOMKEY", "$-1\r\n"},
        {"DBSIZE", ":0\r\n"},
        {"FLUSHDB foo", "-ERR syntax error\r\n"},
        {"FLUSHALL a b", "-ERR syntax error\r\n"},
        {"FLUSHDB", "+OK\r\n"},
        {"FLUSHALL ASYNC", "+OK\r\n"},
        {"MULTI", "+OK\r\n"},
        {"KEYS *", "-ERR Command not allowed inside a transaction\r\n"},
        {"EXEC", "-EXECABORT Transaction discarded because of previous errors.\r\n"},
    };
    struct room room;
    room_open(&room, "");
    room_expect_all(room_enter(&room, 0), cases, COUNT(cases));
    room_close(&room);
}

static void fill(struct guest *guest, const char *format, unsigned count)
{
    char line[128];
    for (unsigned i = 0; i < count; i++) {
        (void)snprintf(line, sizeof line, format, i);
        (void)room_say(guest, line);
    }
}

/* Reads a decimal number behind `*at` and its line's end. */
static unsigned long take_number(const char **at)
{
    char *end = NULL;
    unsigned long number = strtoul(*at + 1, &end, 10);
    *at = end + 2;
    return number;
}

/* Scans to the end; counts how often each key "key:<i>" was seen, and all others. */
static unsigned scan_all(struct guest *guest, const char *options, unsigned *seen, unsigned count)
{
    char line[128];
    char cursor[32] = "0";
    unsigned others = 0;
    do {
        (void)snprintf(line, sizeof line, "SCAN %s %s", cursor, options);
        (void)room_say(guest, line);
        cr_assert_eq(buf_append(&guest->reply, view_of("", 1)), STATUS_OK);
        const char *at = (const char *)guest->reply.ptr + strlen("*2\r\n");
        unsigned long len = take_number(&at);
        (void)snprintf(cursor, sizeof cursor, "%.*s", (int)len, at);
        at += len + 2;
        for (unsigned long left = take_number(&at); left > 0; left--) {
            len = take_number(&at);
            unsigned i = 0;
            if (sscanf(at, "key:%u", &i) == 1 && i < count) {
                seen[i]++;
            } else {
                others++;
            }
            at += len + 2;
        }
    } while (strcmp(cursor, "0") != 0);
    return others;
}

Test(redis_databases, a_scan_finds_every_key_of_its_database_once)
{
    enum { KEYS = 1000 };
    static unsigned seen[KEYS];
    struct room room;
    room_open(&room, "");
    struct guest *guest = room_enter(&room, 0);
    fill(guest, "SET key:%u v", KEYS);
    fill(guest, "HSET hash:%u f v", 20);
    (void)room_say(guest, "SELECT 2");
    fill(guest, "SET key:%u v", 300);
    (void)room_say(guest, "SELECT 0");
    cr_expect_eq(scan_all(guest, "", seen, KEYS), 20);
    for (unsigned i = 0; i < KEYS; i++) {
        cr_assert_eq(seen[i], 1, "key:%u was seen %u times", i, seen[i]);
    }
    cr_expect_eq(scan_all(guest, "COUNT 7 TYPE hash", seen, KEYS), 20);
    cr_expect_eq(scan_all(guest, "COUNT 100000 MATCH h*9", seen, KEYS), 2);
    cr_expect_eq(seen[0], 1, "neither type nor pattern let it through");
    (void)room_say(guest, "SELECT 2");
    cr_expect_eq(scan_all(guest, "", seen, KEYS), 0);
    cr_expect(seen[299] == 2 && seen[300] == 1);
    room_expect(guest, "KEYS key:299", "*1\r\n$7\r\nkey:299\r\n");
    room_expect(guest, "KEYS key:300", "*0\r\n");
    room_close(&room);
}

Test(redis_databases, expired_keys_are_not_found)
{
    struct room room;
    room_open(&room, "");
    struct guest *guest = room_enter(&room, 0);
    (void)room_say(guest, "SET a v PX 10");
    room_expect(guest, "KEYS *", "*1\r\n$1\r\na\r\n");
    room_expect(guest, "RANDOMKEY", "$1\r\na\r\n");
    room.now_ms += 20;
    room_expect(guest, "KEYS *", "*0\r\n");
    room_expect(guest, "RANDOMKEY", "$-1\r\n");
    room_close(&room);
}

Test(redis_databases, walks_wait_for_what_they_show)
{
    struct room room;
    room_open(&room, "");
    struct guest *guest = room_enter(&room, 0);
    (void)room_say(guest, "SET a v");
    uint64_t set_lsn = guest->gate_lsn;
    cr_assert_gt(set_lsn, 0);
    (void)room_say(guest, "KEYS *");
    cr_expect_eq(guest->gate_lsn, set_lsn);
    (void)room_say(guest, "SCAN 0 COUNT 1000");
    cr_expect_eq(guest->gate_lsn, set_lsn);
    (void)room_say(guest, "FLUSHDB");
    cr_expect_gt(guest->gate_lsn, set_lsn, "the deletion is newer");
    (void)room_say(guest, "SATCHEL.ACK fast");
    (void)room_say(guest, "SET a v");
    (void)room_say(guest, "KEYS *");
    cr_expect_eq(guest->gate_lsn, 0);
    room_close(&room);
}

Test(redis_databases, each_is_counted_and_emptied_alone)
{
    struct room room;
    room_open(&room, "");
    struct guest *guest = room_enter(&room, 0);
    fill(guest, "SET key:%u v", 30);
    room_expect(guest, "DBSIZE", ":30\r\n");
    room_expect(guest, "INFO keyspace", "$25\r\n# Keyspace\r\ndb0:keys=30\r\n\r\n");
    (void)room_say(guest, "SELECT 15");
    room_expect(guest, "DBSIZE", ":0\r\n");
    room_expect(guest, "RANDOMKEY", "$-1\r\n");
    fill(guest, "SET other:%u v", 4);
    room_expect(guest, "DBSIZE", ":4\r\n");
    room_expect(guest, "FLUSHDB", "+OK\r\n");
    room_expect(guest, "DBSIZE", ":0\r\n");
    fill(guest, "SET other:%u v", 4);
    (void)room_say(guest, "SELECT 0");
    room_expect(guest, "DBSIZE", ":30\r\n");
    room_expect(guest, "FLUSHDB SYNC", "+OK\r\n");
    room_expect(guest, "DBSIZE", ":0\r\n");
    (void)room_say(guest, "SELECT 15");
    room_expect(guest, "DBSIZE", ":4\r\n");
    room_expect(guest, "FLUSHALL", "+OK\r\n");
    room_expect(guest, "DBSIZE", ":0\r\n");
    room_close(&room);
}

Test(redis_databases, ids_that_only_look_like_those_of_a_database_are_of_database_0)
{
    struct room room;
    room_open(&room, "");
    struct guest *guest = room_enter(&room, 0);
    room_expect(guest, "SET \"\\xffdb\\x00k\" v", "+OK\r\n");
    room_expect(guest, "SET \"\\xffdb\\x10k\" v", "+OK\r\n");
    room_expect(guest, "DBSIZE", ":2\r\n");
    room_expect(guest, "KEYS k", "*0\r\n");
    room_expect(guest, "DEL \"\\xffdb\\x00k\"", ":1\r\n");
    room_expect(guest, "KEYS *",
                "*1\r\n$5\r\n\xff"
                "db\x10k\r\n");
    room_close(&room);
}

Test(redis_databases, emptying_a_large_one_lets_others_in_between)
{
    struct room room;
    room_open(&room, "");
    struct guest *guest = room_enter(&room, 0);
    fill(guest, "SET key:%u v", 5000);
    room.step_ns = 3 * 1000 * 1000; /* every look at the clock tells of 3 ms */
    room_expect(guest, "FLUSHDB", "+OK\r\n");
    cr_expect_gt(room.reruns, 1);
    room_expect(guest, "DBSIZE", ":0\r\n");
    unsigned reruns = room.reruns;
    room_expect(guest, "FLUSHDB", "+OK\r\n");
    cr_expect_eq(room.reruns, reruns);
    room_close(&room);
}
