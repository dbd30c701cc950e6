/* Subscriptions, messages and keyspace events. */
#include "room.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "redis/events.h"
#include "redis/pubsub.h"

TestSuite(redis_pubsub, .timeout = 60);

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MESSAGE(payload) "*3\r\n$7\r\nmessage\r\n$1\r\nx\r\n" payload

Test(redis_pubsub, subscribing_answers_as_redis_does)
{
    static const struct room_case cases[] = {
        {"SUBSCRIBE a b a", "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"
                            "*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n"
                            "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:2\r\n"},
        {"GET x", "-ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT "
                  "/ RESET are allowed in this context\r\n"},
        {"PUBLISH a x", "-ERR Can't execute 'publish': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / "
                        "PING / QUIT / RESET are allowed in this context\r\n"},
        {"PING", "*2\r\n$4\r\npong\r\n$0\r\n\r\n"},
        {"PING hello", "*2\r\n$4\r\npong\r\n$5\r\nhello\r\n"},
        {"UNSUBSCRIBE a", "*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:1\r\n"},
        {"PSUBSCRIBE x* y*", "*3\r\n$10\r\npsubscribe\r\n$2\r\nx*\r\n:2\r\n"
                             "*3\r\n$10\r\npsubscribe\r\n$2\r\ny*\r\n:3\r\n"},
        {"PUNSUBSCRIBE", "*3\r\n$12\r\npunsubscribe\r\n$2\r\nx*\r\n:2\r\n"
                         "*3\r\n$12\r\npunsubscribe\r\n$2\r\ny*\r\n:1\r\n"},
        {"UNSUBSCRIBE", "*3\r\n$11\r\nunsubscribe\r\n$1\r\nb\r\n:0\r\n"},
        {"UNSUBSCRIBE", "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n"},
        {"UNSUBSCRIBE zz", "*3\r\n$11\r\nunsubscribe\r\n$2\r\nzz\r\n:0\r\n"},
        {"PING", "+PONG\r\n"},
        {"PUBSUB CHANNELS", "*0\r\n"},
        {"PUBSUB CHANNELS a b", "-ERR unknown subcommand or wrong number of arguments for "
                                "'CHANNELS'. Try PUBSUB HELP.\r\n"},
        {"PUBSUB NUMSUB a", "*2\r\n$1\r\na\r\n:0\r\n"},
        {"PUBSUB NUMPAT", ":0\r\n"},
        {"SUBSCRIBE a", "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"},
        {"RESET", "+RESET\r\n"},
        {"PUBLISH a x", ":0\r\n"},
        {"MULTI", "+OK\r\n"},
        {"SUBSCRIBE q", "+QUEUED\r\n"},
        {"PING", "+QUEUED\r\n"},
        {"EXEC", "*2\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nq\r\n:1\r\n*2\r\n$4\r\npong\r\n$0\r\n\r\n"},
    };
    struct room room;
    room_open(&room, "");
    room_expect_all(room_enter(&room, 0), cases, COUNT(cases));
    room_close(&room);
}

Test(redis_pubsub, a_message_reaches_all_who_listen)
{
    struct room room;
    room_open(&room, "");
    struct guest *near = room_enter(&room, 0);
    struct guest *far = room_enter(&room, 1);
    struct guest *other = room_enter(&room, 1);
    struct guest *speaker = room_enter(&room, 0);
    (void)room_say(far, "HELLO 3");
    (void)room_say(near, "SUBSCRIBE x y");
    (void)room_say(far, "PSUBSCRIBE x*");
    (void)room_say(far, "SUBSCRIBE x");
    (void)room_say(other, "SUBSCRIBE other");
    (void)room_say(other, "PSUBSCRIBE y*");
    room_expect(speaker, "PUBSUB NUMPAT", ":2\r\n");
    room_expect(speaker, "PUBSUB NUMSUB x other none",
                "*6\r\n$1\r\nx\r\n:2\r\n$5\r\nother\r\n:1\r\n$4\r\nnone\r\n:0\r\n");
    room_expect(speaker, "PUBSUB CHANNELS ot*", "*1\r\n$5\r\nother\r\n");
    room_expect(speaker, "PUBLISH x hi", ":3\r\n");
    cr_expect_eq(room.wakes, ROOM_WORKERS, "each worker is woken once");
    room_hears(near, MESSAGE("$2\r\nhi\r\n"));
    room_hears(other, "");
    room_hears(far, ">3\r\n$7\r\nmessage\r\n$1\r\nx\r\n$2\r\nhi\r\n"
                    ">4\r\n$8\r\npmessage\r\n$2\r\nx*\r\n$1\r\nx\r\n$2\r\nhi\r\n");
    (void)room_say(far, "PUNSUBSCRIBE");
    room_expect(speaker, "PUBLISH x bye", ":2\r\n");
    room_hears(far, ">3\r\n$7\r\nmessage\r\n$1\r\nx\r\n$3\r\nbye\r\n");
    room_close(&room);
}

Test(redis_pubsub, who_stops_listening_hears_nothing_of_before)
{
    struct room room;
    room_open(&room, "");
    struct guest *listener = room_enter(&room, 1);
    struct guest *leaver = room_enter(&room, 1);
    struct guest *speaker = room_enter(&room, 0);
    (void)room_say(listener, "SUBSCRIBE x y");
    (void)room_say(leaver, "SUBSCRIBE x");
    room_expect(speaker, "PUBLISH x 1", ":2\r\n");
    room_expect(speaker, "PUBLISH y 2", ":1\r\n");
    (void)room_say(listener, "UNSUBSCRIBE x");
    room_leave(leaver);
    room_hears(listener, "*3\r\n$7\r\nmessage\r\n$1\r\ny\r\n$1\r\n2\r\n");
    room_expect(speaker, "PUBLISH x 3", ":0\r\n");
    room_close(&room);
}

Test(redis_pubsub, a_transaction_speaks_when_it_has_happened)
{
    struct room room;
    room_open(&room, "");
    struct guest *listener = room_enter(&room, 1);
    struct guest *speaker = room_enter(&room, 0);
    (void)room_say(listener, "SUBSCRIBE x");
    (void)room_say(speaker, "MULTI");
    (void)room_say(speaker, "SET k v");
    (void)room_say(speaker, "PUBLISH x done");
    room_hears(listener, "");
    room_expect(speaker, "EXEC", "*2\r\n+OK\r\n:1\r\n");
    room_hears(listener, MESSAGE("$4\r\ndone\r\n"));
    cr_expect_gt(speaker->gate_lsn, 0);
    cr_expect_eq(listener->heard_gate_lsn, speaker->gate_lsn, "not before the change is durable");
    (void)room_say(speaker, "MULTI");
    (void)room_say(speaker, "PUBLISH x never");
    (void)room_say(speaker, "DISCARD");
    room_hears(listener, "");
    room_close(&room);
}

Test(redis_pubsub, a_worker_that_does_not_look_keeps_a_bounded_number_of_messages)
{
    struct room room;
    room_open(&room, "");
    struct guest *listener = room_enter(&room, 1);
    struct guest *speaker = room_enter(&room, 0);
    (void)room_say(listener, "SUBSCRIBE x");
    struct buf line = {0};
    cr_assert_eq(buf_append(&line, view_str("PUBLISH x ")), STATUS_OK);
    for (int i = 0; i < 60 * 1024; i++) {
        cr_assert_eq(buf_append(&line, view_str("z")), STATUS_OK);
    }
    cr_assert_eq(buf_append(&line, view_of("", 1)), STATUS_OK);
    for (int i = 0; i < 1200; i++) {
        room_expect(speaker, (const char *)line.ptr, ":1\r\n");
    }
    room_hears(speaker, "");
    cr_expect(listener->was_ended, "what does not fit ends the connection");
    cr_expect_lt(listener->heard.len, 66 * 1024 * 1024);
    buf_free(&line);
    room_close(&room);
}

Test(redis_pubsub, a_client_has_a_bounded_number_of_subscriptions)
{
    char line[64];
    struct room room;
    room_open(&room, "");
    struct guest *guest = room_enter(&room, 0);
    unsigned count = 0;
    while (count < 100000) {
        (void)snprintf(line, sizeof line, "SUBSCRIBE channel:%u", count);
        struct view reply = room_say(guest, line);
        if (reply.ptr[0] == '-') {
            break;
        }
        count++;
    }
    cr_expect(count > 10000 && count < 60000, "%u", count);
    (void)room_say(guest, "UNSUBSCRIBE");
    cr_expect_eq(guest->client->subscription_bytes, 0);
    cr_expect_eq(redis_topic_count(room.redis->pubsub, REDIS_CHANNEL), 0);
    room_close(&room);
}

/* ---- Keyspace events ------------------------------------------------------------------------ */

Test(redis_pubsub, classes_of_events_are_read_and_written_as_redis_does)
{
    static const struct {
        const char *said;
        const char *told; /* NULL: refused */
    } cases[] = {
        {"", ""},
        {"KEA", "AKE"},
        {"Ex", "xE"},
        {"tmKdg", "gtdKm"},
        {"An", "A"},
        {"Kn", "nK"},
        {"g$lshzxetd", "A"},
        {"g$lshzxetKEm", "g$lshzxetKEm"},
        {"foo", NULL},
        {"a", NULL},
        {"gxE$lshzxeKtdmn", "AKEm"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint32_t flags = 0;
        char told[REDIS_EVENT_FLAGS_BYTES];
        bool is_valid = redis_event_flags_parse(view_str(cases[i].said), &flags);
        cr_expect_eq(is_valid, cases[i].told != NULL, "%s", cases[i].said);
        redis_event_flags_write(flags, told);
        if (is_valid) {
            cr_expect_str_eq(told, cases[i].told);
        }
    }
}

#define PMESSAGE(channel_len, channel, payload)                                                    \
    "*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$" #channel_len "\r\n" channel "\r\n" payload

Test(redis_pubsub, changes_are_told_in_the_classes_that_are_wanted)
{
    struct room room;
    room_open(&room, "");
    struct guest *listener = room_enter(&room, 1);
    struct guest *speaker = room_enter(&room, 0);
    (void)room_say(listener, "PSUBSCRIBE *");
    (void)room_say(speaker, "SET k v");
    room_hears(listener, "");
    room_expect(speaker, "CONFIG SET notify-keyspace-events KE$", "+OK\r\n");
    (void)room_say(speaker, "SET k v");
    room_hears(listener, PMESSAGE(16, "__keyspace@0__:k", "$3\r\nset\r\n")
                             PMESSAGE(18, "__keyevent@0__:set", "$1\r\nk\r\n"));
    cr_expect_eq(listener->heard_gate_lsn, speaker->gate_lsn, "not before the change is durable");
    (void)room_say(speaker, "DEL k");
    room_hears(listener, "");
    room_expect(speaker, "CONFIG SET notify-keyspace-events Egx", "+OK\r\n");
    (void)room_say(speaker, "SELECT 3");
    (void)room_say(speaker, "SET k v PX 1000");
    room_hears(listener, PMESSAGE(21, "__keyevent@3__:expire", "$1\r\nk\r\n"));
    (void)room_say(speaker, "DEL k");
    room_hears(listener, PMESSAGE(18, "__keyevent@3__:del", "$1\r\nk\r\n"));
    room_close(&room);
}

Test(redis_pubsub, the_end_of_a_session_is_told)
{
    struct room room;
    room_open(&room, "");
    struct guest *listener = room_enter(&room, 1);
    struct guest *speaker = room_enter(&room, 0);
    cr_expect(!redis_wants_expired(room.redis));
    (void)room_say(listener, "PSUBSCRIBE *");
    cr_expect(!redis_wants_expired(room.redis));
    (void)room_say(speaker, "CONFIG SET notify-keyspace-events Ex");
    cr_expect(redis_wants_expired(room.redis));
    redis_tell_expired(room.redis, view_str("abc"));
    room_hears(listener, PMESSAGE(22, "__keyevent@0__:expired", "$3\r\nabc\r\n"));
    /* What takes the place of an expired one tells of its end. */
    (void)room_say(speaker, "SET k v PX 10");
    room.now_ms += 20;
    (void)room_say(speaker, "GET k");
    room_hears(listener, "");
    (void)room_say(speaker, "SET k w");
    room_hears(listener, PMESSAGE(22, "__keyevent@0__:expired", "$1\r\nk\r\n"));
    room_close(&room);
}
