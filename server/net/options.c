/* The options of net. */
#include "net/net.h"

#include "net/worker.h"

const struct option_desc net_option_descs[] = {
    {.name = "listen",
     .type = OPTION_TEXT,
     .standard = "127.0.0.1:7401",
     .unit = "HOST:PORT",
     .help = "Where clients connect; 0.0.0.0 or [::] as HOST is every address, port 0 a free one.",
     .offset = offsetof(struct net_options, listen)},
    {.name = "workers",
     .type = OPTION_COUNT,
     .standard = "0",
     .unit = "COUNT",
     .help = "Threads that serve connections; 0 is one for each processor.",
     .most = WORKERS_MAX,
     .offset = offsetof(struct net_options, workers)},
    {.name = "connections-max",
     .type = OPTION_COUNT,
     .standard = "20000",
     .unit = "COUNT",
     .help = "Open connections; more are closed at once.",
     .least = 1,
     .most = 1000000,
     .offset = offsetof(struct net_options, connections_max)},
    {.name = "unsent-max",
     .type = OPTION_BYTES,
     .standard = "8m",
     .unit = "BYTES",
     .help = "A connection with more unread replies than this is not read from.",
     .least = 64 * 1024,
     .most = 1024 * 1024 * 1024,
     .offset = offsetof(struct net_options, unsent_bytes_max)},
    {.name = "held-max",
     .type = OPTION_BYTES,
     .standard = "256m",
     .unit = "BYTES",
     .help = "Memory for half requests and unread replies of all connections; with more in use, a "
             "connection that needs more is closed.",
     .least = 1024 * 1024,
     .offset = offsetof(struct net_options, held_bytes_max)},
    {.name = "stall",
     .type = OPTION_TIME_MS,
     .standard = "30s",
     .unit = "TIME",
     .help = "A connection with half a request or unread replies that makes no progress for this "
             "long is closed; one with nothing pending lives on.",
     .least = 100,
     .most = 60 * 60 * 1000,
     .offset = offsetof(struct net_options, stall_ms)},
};

const size_t net_option_count = sizeof net_option_descs / sizeof net_option_descs[0];
