/*
 * The scripts that there are, and what they run on.
 *
 * A body is a script in C: it calls the same commands in the same order as the text whose SHA1 it
 * has, so replies, events and errors come from the commands themselves. Redis tells with an error
 * in which line of the text it came up, so the table has the lines of the calls.
 */
#pragma once

#include "redis/call.h"

struct script_run;

/* S(SHA1 of the text, body, lines of its calls (0: there is none), whose it is) */
/* clang-format off */
#define REDIS_KNOWN_SCRIPTS(S)                                                                     \
    S("b70c2384248f88e6b75b9f89241a180f856ad852", script_release, 1, 1, 0,                         \
      "phpredis: unlock of a session")                                                             \
    S("ae3671744a5dbb24ea37ef607b8b10ac7856d43e", script_release, 1, 1, 0,                         \
      "the same with 'get' and 'del' in single quotes")                                            \
    S("e9f69f2beb755be68b5e456ee2ce9aadfbc4ebf4", script_release, 1, 1, 0,                         \
      "the same with a blank before KEYS[1], too")                                                 \
    S("c3f8721cbb97f72bc19e972846bd7aaf91901658", script_release, 2, 6, 0,                         \
      "redis-py: Lock.release")                                                                    \
    S("a4e8783852e6b949f9ef3a97212805108459a890", script_extend_by, 2, 6, 18,                      \
      "redis-py: Lock.extend")                                                                     \
    S("1cac51482acf5858da00f6d685d68f886cd6b6b2", script_extend, 2, 6, 0,                          \
      "redis-py: Lock.reacquire")                                                                  \
    S("f4a7da3e5d8ea3b46642af08427151cae0190400", script_increment_existing, 2, 4, 0,              \
      "django-redis: incr")                                                                        \
    S("4d15273b16b10c15e1d9202cbe93c959ab7d250b", script_increment, 2, 0, 0,                       \
      "django-redis: incr, ignoring whether there is the key")                                     \
    S("647c65a442733a1aa440f99908d249d13b4d6c4a", script_release, 1, 2, 0,                         \
      "Laravel: release of a lock, and the text in Redis' documentation")                          \
    S("382a00f43d29409f9e1ebe2cbcfe1ec089f8d154", script_save, 2, 3, 5,                            \
      "Symfony Lock: save")                                                                        \
    S("ae948f48c8da9feb2e215c474a412c605d33ff30", script_extend, 2, 3, 0,                          \
      "Symfony Lock: putOffExpiration")                                                            \
    S("bec85b1c518b7ba0348a49c79b24adbb1ca95d3b", script_release, 2, 3, 0,                         \
      "Symfony Lock: delete")                                                                      \
    S("175897a4e379e99e79a54937be09226f76cdcfe5", script_obtain, 1, 3, 6,                          \
      "Spring Integration: RedisLockRegistry, obtain")                                             \
    S("879e0f7b8d83c3266d4e996627438c05dbda0b89", script_renew, 1, 2, 0,                           \
      "Spring Integration: RedisLockRegistry, renew")                                              \
    S("8e4905cee18e7c3188d10f2b8b170e403baed34f", script_release, 1, 2, 0,                         \
      "redlock-rb: unlock")                                                                        \
    S("cf0e94b2e9ffc7e04395cf88f7583fc309985910", script_release, 1, 1, 0,                         \
      "bsm/redislock (Go): Release")                                                               \
    S("a7aba3bc5d6e99b3003da8b9d80a63b9f4092ecf", script_extend, 1, 1, 0,                          \
      "bsm/redislock (Go): Refresh")                                                               \
    S("00583931c4e4d483f6233879c133c71ed5393f9d", script_release, 2, 3, 0,                         \
      "redsync (Go): Unlock")                                                                      \
    S("d75bb8b5bd13532ddedd17762e772346e39b321e", script_extend, 2, 3, 0,                          \
      "redsync (Go): Extend")                                                                      \
    S("e5a322e2634ef59a516e8ea150cb085afafee684", script_lock_all, 4, 11, 0,                       \
      "node-redlock 4: lock")                                                                      \
    S("0f0f23b9048b36752b5be114f357ba083449f908", script_unlock_all, 5, 6, 0,                      \
      "node-redlock 4: unlock")                                                                    \
    S("ce46f80993d5dac20dd066eb301a4e37994bdbed", script_extend_all, 4, 11, 0,                     \
      "node-redlock 4: extend")                                                                    \
    S("96da70f7716f27d278a5218544df37fd8b0a5e4c", script_lock_all, 4, 11, 0,                       \
      "node-redlock 5: acquire")                                                                   \
    S("e4612211c9f8f51c257e26e056b0a654b3187242", script_unlock_all, 5, 6, 0,                      \
      "node-redlock 5: release")                                                                   \
    S("aed6f382e410db8ba7926d4e5e9aab410bf2a78a", script_extend_all, 4, 11, 0,                     \
      "node-redlock 5: extend")
/* clang-format on */

enum { SCRIPT_CALLS_MAX = 3 };

struct script {
    const char *sha1; /* in hex, lower case */
    void (*body)(struct script_run *run);
    int lines[SCRIPT_CALLS_MAX]; /* of the text, where its first, second and third call stand */
};

/* A script that runs. */
struct script_run {
    const struct redis_call *call; /* borrowed: EVAL; its keys are those of the script */
    const struct script *script;
    const struct view *args; /* ARGV */
    size_t arg_count;
    bool is_read_only;
    struct buf reply; /* owned: of the last command that the script called, in RESP2 */
};

#define REDIS_SCRIPT_DECLARE(sha1, body, ...) void body(struct script_run *run);
REDIS_KNOWN_SCRIPTS(REDIS_SCRIPT_DECLARE)
