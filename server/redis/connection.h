/* What a client says about its connection, and the commands that only a cluster has. */
#pragma once

#include "redis/client.h"

/* clang-format off */
#define REDIS_CONNECTION_COMMANDS(C)                                                               \
    C("hello", redis_hello, -1,                                                                    \
      REDIS_NOSCRIPT | REDIS_LOADING | REDIS_STALE | REDIS_FAST | REDIS_NO_AUTH,                   \
      0, 0, 0, "6.0.0", "Handshake with Redis")                                                    \
    C("auth", redis_auth, -2,                                                                      \
      REDIS_NOSCRIPT | REDIS_LOADING | REDIS_STALE | REDIS_FAST | REDIS_NO_AUTH,                   \
      0, 0, 0, "1.0.0", "Authenticate to the server")                                              \
    C("select", redis_select, 2, REDIS_LOADING | REDIS_STALE | REDIS_FAST,                         \
      0, 0, 0, "1.0.0", "Change the selected database for the current connection")                 \
    C("ping", redis_ping, -1, REDIS_PUBSUB | REDIS_FAST,                                           \
      0, 0, 0, "1.0.0", "Ping the server")                                                         \
    C("echo", redis_echo, 2, REDIS_LOADING | REDIS_STALE | REDIS_FAST,                             \
      0, 0, 0, "1.0.0", "Echo the given string")                                                   \
    C("quit", redis_quit, -1,                                                                      \
      REDIS_PUBSUB | REDIS_NOSCRIPT | REDIS_LOADING | REDIS_STALE | REDIS_FAST | REDIS_NO_AUTH |   \
          REDIS_NO_QUEUE,                                                                          \
      0, 0, 0, "1.0.0", "Close the connection")                                                    \
    C("reset", redis_reset, 1,                                                                     \
      REDIS_PUBSUB | REDIS_NOSCRIPT | REDIS_LOADING | REDIS_STALE | REDIS_FAST | REDIS_NO_AUTH |   \
          REDIS_NO_QUEUE,                                                                          \
      0, 0, 0, "6.2.0", "Reset the connection")

#define REDIS_CLUSTER_COMMANDS(C)                                                                  \
    C("readonly", redis_cluster_disabled, 1, REDIS_LOADING | REDIS_STALE | REDIS_FAST,             \
      0, 0, 0, "3.0.0", "Enables read queries for a connection to a cluster replica node")         \
    C("readwrite", redis_cluster_disabled, 1, REDIS_LOADING | REDIS_STALE | REDIS_FAST,            \
      0, 0, 0, "3.0.0", "Disables read queries for a connection to a cluster replica node")        \
    C("asking", redis_cluster_disabled, 1, REDIS_FAST,                                             \
      0, 0, 0, "3.0.0", "Sent by cluster clients after an -ASK redirect")                          \
    C("cluster", redis_container, -2, REDIS_CONTAINER,                                             \
      0, 0, 0, "3.0.0", "A container for cluster commands")                                        \
    C("cluster|info", redis_cluster_disabled, 2, REDIS_STALE,                                      \
      0, 0, 0, "3.0.0", "Provides info about Redis Cluster node state")                            \
    C("cluster|nodes", redis_cluster_disabled, 2, REDIS_STALE,                                     \
      0, 0, 0, "3.0.0", "Get Cluster config for the node")                                         \
    C("cluster|slots", redis_cluster_disabled, 2, REDIS_STALE,                                     \
      0, 0, 0, "3.0.0", "Get array of Cluster slot to node mappings")                              \
    C("cluster|shards", redis_cluster_disabled, 2, REDIS_STALE,                                    \
      0, 0, 0, "7.0.0", "Get array of cluster slots to node mappings")                             \
    C("cluster|myid", redis_cluster_disabled, 2, REDIS_STALE,                                      \
      0, 0, 0, "3.0.0", "Return the node id")                                                      \
    C("cluster|links", redis_cluster_disabled, 2, REDIS_STALE,                                     \
      0, 0, 0, "7.0.0",                                                                            \
      "Returns a list of all TCP links to and from peer nodes in cluster")                         \
    C("cluster|keyslot", redis_cluster_disabled, 3, REDIS_STALE,                                   \
      0, 0, 0, "3.0.0", "Returns the hash slot of the specified key")                              \
    C("cluster|countkeysinslot", redis_cluster_disabled, 3, REDIS_STALE,                           \
      0, 0, 0, "3.0.0", "Return the number of local keys in the specified hash slot")              \
    C("cluster|getkeysinslot", redis_cluster_disabled, 4, REDIS_STALE,                             \
      0, 0, 0, "3.0.0", "Return local key names in the specified hash slot")                       \
    C("cluster|help", redis_cluster_disabled, 2, REDIS_LOADING | REDIS_STALE,                      \
      0, 0, 0, "5.0.0", "Show helpful text about the different subcommands")
/* clang-format on */
REDIS_CONNECTION_COMMANDS(REDIS_COMMAND_DECLARE)
void redis_cluster_disabled(struct redis_call *call);

/* The Redis whose commands these are, as clients are told: they choose by it what they use. */
#define REDIS_VERSION "7.2.4"
