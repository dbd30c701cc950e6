/* The scripts that are known, and what is said of others. */
#include <criterion/criterion.h>

#include "kit.h"
#include "redis/expire.h"
#include "redis/hashes.h"
#include "redis/keys.h"
#include "redis/script.h"
#include "redis/scripts.h"
#include "redis/strings.h"

#define WRONGTYPE "-WRONGTYPE Operation against a key holding the wrong kind of value"
#define IN_SCRIPT(sha1, line) " script: " sha1 ", on @user_script:" line ".\r\n"
#define LUA_ARGS "-ERR Lua redis lib command arguments must be strings or integers"
#define READ_ONLY "-ERR Write commands are not allowed from read-only scripts."
#define NO_INTEGER "-ERR value is not an integer or out of range"
#define NOSCRIPT "-NOSCRIPT No matching script. Please use EVAL.\r\n"
#define UNKNOWN                                                                                    \
    "-ERR this server runs no Lua, only the scripts that docs/redis-compatibility.md lists, by "   \
    "the SHA1 of their text\r\n"
/* As Redis' documentation has it; the text of phpredis. */
#define RELEASE_TEXT                                                                               \
    "'if redis.call(\"get\",KEYS[1]) == ARGV[1] then return redis.call(\"del\",KEYS[1]) else "     \
    "return 0 end'"
#define RELEASE "b70c2384248f88e6b75b9f89241a180f856ad852"
#define EXTEND_BY "a4e8783852e6b949f9ef3a97212805108459a890"
#define REACQUIRE "1cac51482acf5858da00f6d685d68f886cd6b6b2"
#define SAVE "382a00f43d29409f9e1ebe2cbcfe1ec089f8d154"
#define OBTAIN "175897a4e379e99e79a54937be09226f76cdcfe5"
#define RENEW "879e0f7b8d83c3266d4e996627438c05dbda0b89"
#define LOCK_ALL "e5a322e2634ef59a516e8ea150cb085afafee684"
#define UNLOCK_ALL "0f0f23b9048b36752b5be114f357ba083449f908"
#define EXTEND_ALL "ce46f80993d5dac20dd066eb301a4e37994bdbed"
#define INCREMENT "4d15273b16b10c15e1d9202cbe93c959ab7d250b"
#define INCREMENT_EXISTING "f4a7da3e5d8ea3b46642af08427151cae0190400"

static const struct redis_command commands[] = {
    REDIS_SCRIPT_COMMANDS(KIT_COMMAND) REDIS_STRING_COMMANDS(KIT_COMMAND)
        REDIS_HASH_COMMANDS(KIT_COMMAND) REDIS_EXPIRE_COMMANDS(KIT_COMMAND)
            REDIS_KEY_COMMANDS(KIT_COMMAND)};

Test(scripts, are_known_by_the_sha1_of_their_text)
{
    static const struct kit_case cases[] = {
        {"SCRIPT LOAD " RELEASE_TEXT, "$40\r\n" RELEASE "\r\n"},
        {"SCRIPT LOAD 'return 1'", UNKNOWN},
        {"SCRIPT EXISTS " RELEASE " abc B70C2384248F88E6B75B9F89241A180F856AD852",
         "*3\r\n:1\r\n:0\r\n:1\r\n"},
        {"SCRIPT FLUSH", "+OK\r\n"},
        {"SCRIPT FLUSH async", "+OK\r\n"},
        {"SCRIPT FLUSH SYNC", "+OK\r\n"},
        {"SCRIPT FLUSH FOO", "-ERR SCRIPT FLUSH only support SYNC|ASYNC option\r\n"},
        {"SCRIPT FLUSH SYNC X", "-ERR SCRIPT FLUSH only support SYNC|ASYNC option\r\n"},
        {"EVALSHA " RELEASE " 1 k v", ":0\r\n"},
        {"EVALSHA B70C2384248F88E6B75B9F89241A180F856AD852 1 k v", ":0\r\n"},
        {"EVAL " RELEASE_TEXT " 1 k v", ":0\r\n"},
        {"EVAL 'return 1' 0", UNKNOWN},
        {"EVAL_RO 'return 1' 0", UNKNOWN},
        {"EVAL 'return 1' x", NO_INTEGER "\r\n"},
        {"EVAL 'return 1' -1", "-ERR Number of keys can't be negative\r\n"},
        {"EVAL 'return 1' 1", "-ERR Number of keys can't be greater than number of args\r\n"},
        {"EVAL 'return 1' 2 a", "-ERR Number of keys can't be greater than number of args\r\n"},
        {"EVALSHA abc 5", NOSCRIPT},
        {"EVALSHA abc x", NOSCRIPT},
        {"EVALSHA aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 0", NOSCRIPT},
        {"EVALSHA aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 1",
         "-ERR Number of keys can't be greater than number of args\r\n"},
        {"EVALSHA_RO aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 0", NOSCRIPT},
        {"SCRIPT HELP",
         "*9\r\n+SCRIPT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:\r\n"
         "+EXISTS <sha1> [<sha1> ...]\r\n"
         "+    Return information about the existence of the scripts in the script cache.\r\n"
         "+FLUSH [ASYNC|SYNC]\r\n"
         "+    Does nothing: the scripts that this server runs are always there.\r\n"
         "+LOAD <script>\r\n"
         "+    Return the SHA1 of a script that this server runs, without executing it.\r\n"
         "+HELP\r\n+    Prints this help.\r\n"},
    };
    KIT_EXPECT(2, commands, cases);
}

/* The hash "h" is there from the beginning. */
Test(scripts, release_a_lock_only_for_who_has_it)
{
    static const struct kit_case cases[] = {
        {"SET k v", "+OK\r\n"},
        {"EVALSHA " RELEASE " 1 k other", ":0\r\n"},
        {"EVALSHA " RELEASE " 1 k vv", ":0\r\n"},
        {"EVALSHA " RELEASE " 1 k \"\"", ":0\r\n"},
        {"SET k vv", "+OK\r\n"},
        {"EVALSHA " RELEASE " 1 k v", ":0\r\n"},
        {"SET k v", "+OK\r\n"},
        {"EVALSHA " RELEASE " 1 k", ":0\r\n"},
        {"EVALSHA " RELEASE " 2 k l v", ":1\r\n"},
        {"EXISTS k", ":0\r\n"},
        {"SET k \"\"", "+OK\r\n"},
        {"EVALSHA " RELEASE " 1 k v", ":0\r\n"},
        {"EVALSHA " RELEASE " 1 k", ":0\r\n"},
        {"EVALSHA_RO " RELEASE " 1 k v", ":0\r\n"},
        {"EVALSHA_RO " RELEASE " 1 k \"\"", READ_ONLY IN_SCRIPT(RELEASE, "1")},
        {"EVALSHA " RELEASE " 1 k \"\"", ":1\r\n"},
        {"EVALSHA " RELEASE " 1 h v", WRONGTYPE IN_SCRIPT(RELEASE, "1")},
        {"EVALSHA " RELEASE " 0", LUA_ARGS IN_SCRIPT(RELEASE, "1")},
    };
    KIT_EXPECT(2, commands, cases);
}

Test(scripts, prolong_a_lock_only_for_who_has_it)
{
    static const struct kit_case cases[] = {
        {"EVALSHA " REACQUIRE " 1 k v 1000", ":0\r\n"},
        {"EVALSHA " EXTEND_BY " 1 k v 1000 0", ":0\r\n"},
        {"SET k v", "+OK\r\n"},
        {"EVALSHA " EXTEND_BY " 1 k v 1000 0", ":0\r\n"},
        {"EVALSHA " REACQUIRE " 1 k other 1000", ":0\r\n"},
        {"EVALSHA " REACQUIRE " 1 k v", LUA_ARGS IN_SCRIPT(REACQUIRE, "6")},
        {"EVALSHA " REACQUIRE " 1 k v x", NO_INTEGER IN_SCRIPT(REACQUIRE, "6")},
        {"EVALSHA " REACQUIRE " 1 k v 9223372036854775807",
         "-ERR invalid expire time in 'pexpire' command" IN_SCRIPT(REACQUIRE, "6")},
        {"EVALSHA_RO " REACQUIRE " 1 k v 1000", READ_ONLY IN_SCRIPT(REACQUIRE, "6")},
        {"PTTL k", ":-1\r\n"},
        {"EVALSHA " REACQUIRE " 1 k v 1000", ":1\r\n"},
        {"PTTL k", ":1000\r\n"},
        {"EVALSHA " EXTEND_BY " 1 k v 500 0", ":1\r\n"},
        {"PTTL k", ":1500\r\n"},
        {"EVALSHA " EXTEND_BY " 1 k other 500 0", ":0\r\n"},
        {"EVALSHA " EXTEND_BY " 1 k v 500 1", ":1\r\n"},
        {"PTTL k", ":500\r\n"},
        {"EVALSHA " EXTEND_BY " 1 k v 700", ":1\r\n"},
        {"PTTL k", ":700\r\n"},
        {"EVALSHA " EXTEND_BY " 1 k v", LUA_ARGS IN_SCRIPT(EXTEND_BY, "18")},
        {"EVALSHA " REACQUIRE " 1 k v -5", ":1\r\n"},
        {"EXISTS k", ":0\r\n"},
        {"EVALSHA " RENEW " 1 k v 1000", "$-1\r\n"},
        {"SET k v", "+OK\r\n"},
        {"EVALSHA " RENEW " 1 k v 1000", ":1\r\n"},
        {"PTTL k", ":1000\r\n"},
        {"EVALSHA " RENEW " 1 h v 1000", WRONGTYPE IN_SCRIPT(RENEW, "1")},
    };
    KIT_EXPECT(2, commands, cases);
}

Test(scripts, take_a_lock_that_nobody_has)
{
    static const struct kit_case cases[] = {
        {"EVALSHA " SAVE " 1 k v 1000", "+OK\r\n"},
        {"EVALSHA " SAVE " 1 k other 5000", "_\r\n"},
        {"PTTL k", ":1000\r\n"},
        {"EVALSHA " SAVE " 1 k v 2000", ":1\r\n"},
        {"PTTL k", ":2000\r\n"},
        {"EVALSHA " SAVE " 1 new v x", NO_INTEGER IN_SCRIPT(SAVE, "5")},
        {"EVALSHA " SAVE " 1 k v x", NO_INTEGER IN_SCRIPT(SAVE, "3")},
        {"EVALSHA " OBTAIN " 1 k other 9", "_\r\n"},
        {"EVALSHA " OBTAIN " 1 k v 9", ":1\r\n"},
        {"PTTL k", ":9\r\n"},
        {"EVALSHA " OBTAIN " 1 l w 7", ":1\r\n"},
        {"GET l", "$1\r\nw\r\n"},
        {"PTTL l", ":7\r\n"},
        {"EVALSHA " OBTAIN " 1 m w 0",
         "-ERR invalid expire time in 'set' command" IN_SCRIPT(OBTAIN, "6")},
        {"EXISTS m", ":0\r\n"},
        {"EVALSHA " LOCK_ALL " 2 a b v 100", ":2\r\n"},
        {"PTTL b", ":100\r\n"},
        {"EVALSHA " LOCK_ALL " 2 c b v 100", ":0\r\n"},
        {"EXISTS c", ":0\r\n"},
        {"EVALSHA " EXTEND_ALL " 2 a b v 200", ":2\r\n"},
        {"PTTL a", ":200\r\n"},
        {"EVALSHA " EXTEND_ALL " 3 a b k v 300", ":3\r\n"},
        {"EVALSHA " EXTEND_ALL " 3 a b l v 400", ":0\r\n"},
        {"EVALSHA " EXTEND_ALL " 3 a b h v 400", WRONGTYPE IN_SCRIPT(EXTEND_ALL, "4")},
        {"PTTL a", ":300\r\n"},
        {"EVALSHA " UNLOCK_ALL " 4 a b l a v", ":2\r\n"},
        {"EXISTS a b l", ":1\r\n"},
        {"EVALSHA_RO " UNLOCK_ALL " 2 k k v", ":2\r\n"},
        {"EXISTS k", ":1\r\n"},
        {"EVALSHA " LOCK_ALL " 0 v 100", ":0\r\n"},
        {"EVALSHA " LOCK_ALL " 1 c v", LUA_ARGS IN_SCRIPT(LOCK_ALL, "11")},
    };
    KIT_EXPECT(3, commands, cases);
}

Test(scripts, count_as_the_command_does)
{
    static const struct kit_case cases[] = {
        {"EVALSHA " INCREMENT_EXISTING " 1 n 5", "$-1\r\n"},
        {"EVALSHA " INCREMENT " 1 n 5", ":5\r\n"},
        {"EVALSHA " INCREMENT_EXISTING " 1 n -7", ":-2\r\n"},
        {"EVALSHA " INCREMENT_EXISTING " 1 n x", NO_INTEGER IN_SCRIPT(INCREMENT_EXISTING, "4")},
        {"EVALSHA " INCREMENT " 1 h 1", WRONGTYPE IN_SCRIPT(INCREMENT, "2")},
        {"GET n", "$2\r\n-2\r\n"},
    };
    KIT_EXPECT(2, commands, cases);
}

/* A typing error in the table would make a script that nobody can call. */
Test(scripts, stand_in_the_table_once_each)
{
    static const char *const all[] = {
#define X(sha1, ...) sha1,
        REDIS_KNOWN_SCRIPTS(X)
#undef X
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        cr_assert_eq(strlen(all[i]), 40);
        cr_assert_eq(strspn(all[i], "0123456789abcdef"), 40, "%s", all[i]);
        for (size_t k = 0; k < i; k++) {
            cr_assert_str_neq(all[i], all[k]);
        }
    }
}
