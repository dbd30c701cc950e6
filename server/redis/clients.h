/*
 * All connections that speak the Redis protocol, and CLIENT. Guarded by one lock, which also guards
 * the names that clients give themselves: their own worker changes them, all may read them.
 */
#pragma once

#include "redis/client.h"

/* clang-format off */
#define REDIS_CLIENT_COMMANDS(C)                                                                   \
    C("client", redis_container, -2, REDIS_CONTAINER,                                              \
      0, 0, 0, "2.4.0", "A container for client connection commands")                              \
    C("client|setname", redis_client_setname, 3, REDIS_NOSCRIPT | REDIS_LOADING | REDIS_STALE,     \
      0, 0, 0, "2.6.9", "Set the current connection name")                                         \
    C("client|getname", redis_client_getname, 2, REDIS_NOSCRIPT | REDIS_LOADING | REDIS_STALE,     \
      0, 0, 0, "2.6.9", "Get the current connection name")                                         \
    C("client|setinfo", redis_client_setinfo, 4, REDIS_NOSCRIPT | REDIS_LOADING | REDIS_STALE,     \
      0, 0, 0, "7.2.0", "Set client or connection specific info")                                  \
    C("client|id", redis_client_id, 2, REDIS_NOSCRIPT | REDIS_LOADING | REDIS_STALE,               \
      0, 0, 0, "5.0.0", "Returns the client ID for the current connection")                        \
    C("client|info", redis_client_info, 2, REDIS_NOSCRIPT | REDIS_LOADING | REDIS_STALE,           \
      0, 0, 0, "6.2.0", "Returns information about the current client connection.")                \
    C("client|list", redis_client_list, -2,                                                        \
      REDIS_ADMIN | REDIS_NOSCRIPT | REDIS_LOADING | REDIS_STALE,                                  \
      0, 0, 0, "2.4.0", "Get the list of client connections")                                      \
    C("client|kill", redis_client_kill, -3,                                                        \
      REDIS_ADMIN | REDIS_NOSCRIPT | REDIS_LOADING | REDIS_STALE,                                  \
      0, 0, 0, "2.4.0", "Kill the connection of a client")                                         \
    C("client|no-evict", redis_client_no_evict, 3,                                                 \
      REDIS_ADMIN | REDIS_NOSCRIPT | REDIS_LOADING | REDIS_STALE,                                  \
      0, 0, 0, "7.0.0", "Set client eviction mode for the current connection")                     \
    C("client|no-touch", redis_client_no_touch, 3, REDIS_NOSCRIPT | REDIS_LOADING | REDIS_STALE,   \
      0, 0, 0, "7.2.0",                                                                            \
      "Controls whether commands sent by the client affect the LRU/LFU of accessed keys.")         \
    C("client|reply", redis_client_reply, 3, REDIS_NOSCRIPT | REDIS_LOADING | REDIS_STALE,         \
      0, 0, 0, "3.2.0", "Instruct the server whether to reply to commands")                        \
    C("client|getredir", redis_client_getredir, 2, REDIS_NOSCRIPT | REDIS_LOADING | REDIS_STALE,   \
      0, 0, 0, "6.0.0", "Get tracking notifications redirection client ID if any")                 \
    C("client|help", redis_client_help, 2, REDIS_LOADING | REDIS_STALE,                            \
      0, 0, 0, "5.0.0", "Show helpful text about the different subcommands")
/* clang-format on */
REDIS_CLIENT_COMMANDS(REDIS_COMMAND_DECLARE)

struct redis_clients;

/** NULL: no memory. Freeing NULL is fine. */
struct redis_clients *redis_clients_new(void);
void redis_clients_free(struct redis_clients *self);

/** The client's worker's thread. */
void redis_clients_add(struct redis_clients *self, struct redis_client *client);
void redis_clients_remove(struct redis_clients *self, struct redis_client *client);

/** How many there are. Any thread. */
size_t redis_clients_count(struct redis_clients *self);

/** Gives the calling client a name, or none if it is empty. False: an error was answered. */
bool redis_client_rename(const struct redis_call *call, struct view name) MUST_CHECK;

/** Takes its name away. The client's worker's thread. */
void redis_client_forget_name(struct redis_client *client);

/* Which clients are meant; zeroed: all. */
struct redis_client_filter {
    bool has_id;
    uint64_t id;
    bool has_peer;
    struct view peer;
    bool has_kind;
    bool wants_subscribers; /* has_kind: those who have subscribed, otherwise the others */
    bool matches_nothing;
    const struct redis_client *but; /* NULL: nobody is left out */
};

/** Appends a line about each, as CLIENT LIST does. OK or NO_MEMORY. Any thread. */
enum status redis_clients_list(struct redis_clients *self, const struct redis_client_filter *filter,
                               int64_t now_ms, struct buf *out) MUST_CHECK;

/** Ends their connections, and tells how many. A calling client (NULL: none) ends behind its reply.
 *  `caller`'s worker's thread. */
size_t redis_clients_kill(struct redis_clients *self, const struct redis_client_filter *filter,
                          struct redis_client *caller);

/** Replaces a text of a client, like its name. False: no memory. The client's worker's thread. */
bool redis_client_set_text(struct redis_client *client, struct buf *text,
                           struct view value) MUST_CHECK;
