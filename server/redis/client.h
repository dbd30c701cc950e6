/* The insides of struct redis_client and its worker, for the files of this folder. */
#pragma once

#include <stdatomic.h>

#include "redis/call.h"
#include "redis/redis.h"

enum { REDIS_DATABASES = 16 };

/* What CLIENT REPLY says. */
enum redis_reply_mode { REDIS_REPLY_ON, REDIS_REPLY_OFF, REDIS_REPLY_SKIP_NEXT, REDIS_REPLY_SKIP };

/* A queued command of MULTI; its arguments are in redis_multi.bytes. */
struct redis_queued {
    const struct redis_command *command;
    size_t argc;
};

/* A session as WATCH saw it. */
struct redis_watched {
    size_t id_at; /* in client->watched_ids */
    size_t id_len;
    bool is_there;
    uint64_t version;
    int64_t expires_ms;
};

struct redis_multi {
    bool is_open;                /* between MULTI and EXEC */
    bool is_broken;              /* a command could not be queued: EXEC refuses */
    struct redis_queued *queued; /* owned, as all here */
    size_t queued_count;
    size_t queued_cap;
    size_t queued_args; /* of all of them */
    struct buf bytes;   /* arguments: length u32 and bytes each */
    struct redis_watched *watched;
    size_t watched_count;
    size_t watched_cap;
    struct buf watched_ids;
    size_t held_bytes; /* of the two, as they count in redis->multi_bytes */
};

/* FLUSHDB and FLUSHALL, which are done in pieces: how far it has come. */
struct redis_flush {
    bool is_under_way;
    uint64_t cursor; /* of store_scan() */
    uint64_t gate_lsn;
};

struct redis_client {
    struct redis_worker *worker; /* borrowed */
    /* All connections; guarded by the lock of redis_clients. */
    struct redis_client *next;
    struct redis_client *previous;
    void *conn; /* the glue's */
    uint64_t id;
    char peer[64];
    int64_t opened_ms;
    struct buf name;        /* owned: CLIENT SETNAME */
    struct buf lib_name;    /* owned: CLIENT SETINFO */
    struct buf lib_version; /* owned */
    bool is_greeted;        /* AUTH was right, or none is needed */
    bool ends;              /* QUIT, or CLIENT KILL of itself: behind this reply */
    enum ack ack;
    enum redis_reply_mode reply_mode;
    struct resp_progress progress; /* of the request that is arriving */
    struct redis_multi multi;
    struct redis_flush flush;
    struct redis_subscription *subscriptions; /* owned: the first; pubsub.c */
    struct redis_subscription *last_subscription;
    size_t subscription_bytes; /* what they take */
    /* Changed by the client's worker only, read by CLIENT LIST of other threads. The names are
     * guarded by the lock of redis_clients. */
    _Atomic uint8_t db;
    _Atomic bool is_resp3;
    _Atomic uint32_t channel_count; /* subscribed to */
    _Atomic uint32_t pattern_count;
    _Atomic int64_t last_ms;
    _Atomic(const struct redis_command *) last_command;
};

struct redis_worker {
    struct redis *redis; /* borrowed */
    void *worker_arg;    /* the glue's */
    struct resp_request request;
    struct resp_request peeked; /* of redis_peek() */
    struct transaction sessions;
    struct redis_scratch scratch;
    struct buf events;
    struct buf ids; /* of keys in databases other than 0 */
    uint32_t *keys; /* owned: of the running call */
    size_t key_cap;
    size_t key_count;
    struct redis_inbox *inbox; /* owned; pubsub.c: what others published for our clients */
};

struct redis {
    struct redis_options options;
    struct store *store; /* borrowed */
    int64_t started_ms;
    struct redis_pubsub *pubsub;   /* owned; pubsub.c */
    struct redis_clients *clients; /* owned; clients.c: all of the process */
    struct redis_config *config;   /* owned; config.c: what CONFIG SET may change */
    struct redis_stats *stats;     /* owned; info.c: since when and from where INFO counts */
    _Atomic int databases;         /* enum redis_databases; databases.c */
    _Atomic uint64_t multi_bytes;  /* that all connections have queued and watched; relaxed */
};
