/* What clients say about their connections, and about each other's. */
#include "room.h"

#include <criterion/criterion.h>

TestSuite(redis_connection, .timeout = 60);

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define HELLO_2                                                                                    \
    "*14\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.2.4\r\n$5\r\nproto\r\n:2\r\n"  \
    "$2\r\nid\r\n:1\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n"          \
    "$7\r\nmodules\r\n*0\r\n"
#define HELLO_3                                                                                    \
    "%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.2.4\r\n$5\r\nproto\r\n:3\r\n"   \
    "$2\r\nid\r\n:1\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n"          \
    "$7\r\nmodules\r\n*0\r\n"
#define WRONGPASS "-WRONGPASS invalid username-password pair or user is disabled.\r\n"
#define NOAUTH "-NOAUTH Authentication required.\r\n"
#define BAD_NAME "-ERR Client names cannot contain spaces, newlines or special characters.\r\n"

Test(redis_connection, hello_and_the_like_answer_as_redis_does)
{
    static const struct room_case cases[] = {
        {"HELLO", HELLO_2},
        {"HELLO 4", "-NOPROTO unsupported protocol version\r\n"},
        {"HELLO 1", "-NOPROTO unsupported protocol version\r\n"},
        {"HELLO x", "-ERR Protocol version is not an integer or out of range\r\n"},
        {"HELLO 2 AUTH default", "-ERR Syntax error in HELLO option 'AUTH'\r\n"},
        {"HELLO 2 foo", "-ERR Syntax error in HELLO option 'foo'\r\n"},
        {"HELLO 2 SETNAME \"a b\"", BAD_NAME},
        {"HELLO 2 AUTH default any SETNAME ab", HELLO_2},
        {"CLIENT GETNAME", "$2\r\nab\r\n"},
        {"HELLO 3 AUTH foo any SETNAME zz", WRONGPASS},
        {"CLIENT GETNAME", "$2\r\nab\r\n"},
        {"AUTH x", "-ERR AUTH <password> called without any password configured for the default "
                   "user. Are you sure your configuration is correct?\r\n"},
        {"AUTH default x", "+OK\r\n"},
        {"AUTH foo x", WRONGPASS},
        {"AUTH a b c", "-ERR syntax error\r\n"},
        {"SELECT 16", "-ERR DB index is out of range\r\n"},
        {"SELECT -1", "-ERR DB index is out of range\r\n"},
        {"SELECT 99999999999",
         "-ERR value is out of range, value must between -2147483648 and 2147483647\r\n"},
        {"SELECT a", "-ERR value is not an integer or out of range\r\n"},
        {"PING", "+PONG\r\n"},
        {"PING a", "$1\r\na\r\n"},
        {"PING a b", "-ERR wrong number of arguments for 'ping' command\r\n"},
        {"ECHO a", "$1\r\na\r\n"},
        {"CLUSTER NODES", "-ERR This instance has cluster support disabled\r\n"},
        {"CLUSTER FOO", "-ERR unknown subcommand 'FOO'. Try CLUSTER HELP.\r\n"},
        {"READONLY", "-ERR This instance has cluster support disabled\r\n"},
        {"HELLO 3", HELLO_3},
        {"SELECT 3", "+OK\r\n"},
        {"MULTI", "+OK\r\n"},
        {"RESET", "+RESET\r\n"},
        {"CLIENT GETNAME", "$-1\r\n"},
        {"EXEC", "-ERR EXEC without MULTI\r\n"},
        {"HELLO", HELLO_2},
    };
    struct room room;
    room_open(&room, "");
    struct guest *guest = room_enter(&room, 0);
    room_expect_all(guest, cases, COUNT(cases));
    cr_expect_eq(guest->client->db, 0);
    room_expect(guest, "QUIT", "+OK\r\n");
    cr_expect(guest->ends);
    room_close(&room);
}

Test(redis_connection, strangers_have_to_know_the_token)
{
    static const struct room_case cases[] = {
        {"PING", NOAUTH},
        {"CLIENT ID", NOAUTH},
        {"HELLO 3", "-NOAUTH HELLO must be called with the client already authenticated, otherwise "
                    "the HELLO AUTH <user> <pass> option can be used to authenticate the client "
                    "and select the RESP protocol version at the same time\r\n"},
        {"AUTH wrong", WRONGPASS},
        {"AUTH secre", WRONGPASS},
        {"AUTH foo secret", WRONGPASS},
        {"HELLO 3 AUTH default wrong", WRONGPASS},
        {"PING", NOAUTH},
        {"HELLO 3 AUTH default secret", HELLO_3},
        {"PING", "+PONG\r\n"},
        {"AUTH default wrong", WRONGPASS},
        {"PING", "+PONG\r\n"},
        {"RESET", "+RESET\r\n"},
        {"PING", NOAUTH},
        {"AUTH secret", "+OK\r\n"},
        {"PING", "+PONG\r\n"},
    };
    struct room room;
    room_open(&room, "secret");
    room_expect_all(room_enter(&room, 0), cases, COUNT(cases));
    room_close(&room);
}

Test(redis_connection, what_a_client_says_of_itself_is_kept_as_redis_keeps_it)
{
    static const struct room_case cases[] = {
        {"CLIENT ID", ":1\r\n"},
        {"CLIENT GETNAME", "$-1\r\n"},
        {"CLIENT SETNAME \"a\\nb\"", BAD_NAME},
        {"CLIENT SETNAME abc", "+OK\r\n"},
        {"CLIENT GETNAME", "$3\r\nabc\r\n"},
        {"CLIENT SETNAME \"\"", "+OK\r\n"},
        {"CLIENT GETNAME", "$-1\r\n"},
        {"CLIENT SETNAME me", "+OK\r\n"},
        {"CLIENT SETINFO lib-name node", "+OK\r\n"},
        {"CLIENT SETINFO LIB-VER 1.2", "+OK\r\n"},
        {"CLIENT SETINFO LIB-VER \"1 2\"",
         "-ERR lib-ver cannot contain spaces, newlines or special characters.\r\n"},
        {"CLIENT SETINFO foo 1", "-ERR Unrecognized option 'foo'\r\n"},
        {"CLIENT INFO",
         "$152\r\nid=1 addr=203.0.113.7:4001 name=me age=0 idle=0 flags=N db=0 sub=0 psub=0 ssub=0 "
         "cmd=client|info user=default redir=-1 resp=2 lib-name=node lib-ver=1.2\n\r\n"},
        {"CLIENT LIST TYPE pubsub", "$0\r\n\r\n"},
        {"CLIENT LIST TYPE foo", "-ERR Unknown client type 'foo'\r\n"},
        {"CLIENT LIST ID a", "-ERR Invalid client ID\r\n"},
        {"CLIENT LIST ID 7", "$0\r\n\r\n"},
        {"CLIENT LIST ID", "-ERR syntax error\r\n"},
        {"CLIENT NO-EVICT on", "+OK\r\n"},
        {"CLIENT NO-TOUCH maybe", "-ERR syntax error\r\n"},
        {"CLIENT GETREDIR", ":-1\r\n"},
        {"CLIENT MAINT_NOTIFICATIONS ON",
         "-ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP.\r\n"},
        {"CLIENT", "-ERR wrong number of arguments for 'client' command\r\n"},
    };
    struct room room;
    room_open(&room, "");
    room_expect_all(room_enter(&room, 0), cases, COUNT(cases));
    room_close(&room);
}

Test(redis_connection, replies_are_left_out_as_the_client_wants)
{
    static const struct room_case cases[] = {
        {"CLIENT REPLY foo", "-ERR syntax error\r\n"},
        {"CLIENT REPLY SKIP", ""},
        {"PING a", ""},
        {"PING b", "$1\r\nb\r\n"},
        {"CLIENT REPLY OFF", ""},
        {"PING c", ""},
        {"CLIENT REPLY SKIP", ""},
        {"PING d", ""},
        {"PING e", ""},
        {"CLIENT REPLY ON", "+OK\r\n"},
        {"CLIENT REPLY OFF", ""},
        {"RESET", "+RESET\r\n"},
    };
    struct room room;
    room_open(&room, "");
    room_expect_all(room_enter(&room, 0), cases, COUNT(cases));
    room_close(&room);
}

Test(redis_connection, clients_of_all_workers_are_listed_and_killed)
{
    static const struct room_case refused[] = {
        {"CLIENT KILL 1.2.3.4:5", "-ERR No such client\r\n"},
        {"CLIENT KILL ID 0", "-ERR client-id should be greater than 0\r\n"},
        {"CLIENT KILL ID a", "-ERR client-id should be greater than 0\r\n"},
        {"CLIENT KILL ID 99", ":0\r\n"},
        {"CLIENT KILL TYPE foo", "-ERR Unknown client type 'foo'\r\n"},
        {"CLIENT KILL TYPE master", ":0\r\n"},
        {"CLIENT KILL USER foo", "-ERR No such user 'foo'\r\n"},
        {"CLIENT KILL SKIPME foo", "-ERR syntax error\r\n"},
        {"CLIENT KILL TYPE normal ID", "-ERR syntax error\r\n"},
        {"CLIENT KILL LADDR 1:2 SKIPME no", ":0\r\n"},
    };
    struct room room;
    room_open(&room, "");
    struct guest *me = room_enter(&room, 0);
    struct guest *near = room_enter(&room, 0);
    struct guest *far = room_enter(&room, 1);
    struct guest *listener = room_enter(&room, 1);
    room_expect(listener, "SUBSCRIBE x", "*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n");
    room_expect_all(me, refused, COUNT(refused));
    room_hears(me, "");
    cr_expect(!near->was_ended && !far->was_ended && !listener->was_ended);

    room_expect(me, "CLIENT KILL ID 3", ":1\r\n");
    room_hears(far, "");
    cr_expect(far->was_ended && !near->was_ended);
    room_expect(me, "CLIENT KILL 203.0.113.7:4002", "+OK\r\n");
    room_hears(near, "");
    cr_expect(near->was_ended && !listener->was_ended);
    room_expect(me, "CLIENT KILL TYPE pubsub", ":1\r\n");
    room_hears(listener, "");
    cr_expect(listener->was_ended);
    room_expect(me, "CLIENT KILL USER default", ":0\r\n");
    room_expect(me, "CLIENT KILL USER default SKIPME no", ":1\r\n");
    cr_expect(me->ends);
    room_close(&room);
}

Test(redis_connection, a_client_that_is_gone_before_it_is_ended_is_not_touched)
{
    struct room room;
    room_open(&room, "");
    struct guest *me = room_enter(&room, 0);
    struct guest *other = room_enter(&room, 1);
    room_expect(me, "CLIENT KILL ID 2", ":1\r\n");
    room_leave(other);
    room_hears(me, "");
    cr_expect(!other->was_ended);
    room_close(&room);
}
