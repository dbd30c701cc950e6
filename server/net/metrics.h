/* What net counts, one set a worker. Written by the worker's thread, read by everyone. */
#pragma once

#include "base/metric.h"

#define NET_METRICS(X)                                                                             \
    X(gauge, connections, "satchel_net_connections", "", "Open client connections.")               \
    X(gauge, held, "satchel_net_held_bytes", "", "Memory for half requests and unread replies.")   \
    X(counter, accepted, "satchel_net_connections_accepted_total", "",                             \
      "Client connections accepted.")                                                              \
    X(counter, refused, "satchel_net_connections_refused_total", "",                               \
      "Client connections closed at once because --connections-max was reached.")                  \
    X(counter, closed_peer, "satchel_net_connections_closed_total", "reason=\"peer\"",             \
      "Client connections closed, by reason.")                                                     \
    X(counter, closed_protocol, "satchel_net_connections_closed_total", "reason=\"protocol\"", "") \
    X(counter, closed_stalled, "satchel_net_connections_closed_total", "reason=\"stalled\"", "")   \
    X(counter, closed_limit, "satchel_net_connections_closed_total", "reason=\"limit\"", "")       \
    X(counter, closed_asked, "satchel_net_connections_closed_total", "reason=\"asked\"", "")       \
    X(counter, closed_stopping, "satchel_net_connections_closed_total", "reason=\"stopping\"", "") \
    X(counter, closed_error, "satchel_net_connections_closed_total", "reason=\"error\"", "")       \
    X(counter, received_bytes, "satchel_net_received_bytes_total", "",                             \
      "Bytes received from clients.")                                                              \
    X(counter, sent_bytes, "satchel_net_sent_bytes_total", "", "Bytes sent to clients.")           \
    X(counter, recv_calls, "satchel_net_recv_calls_total", "", "Calls of recv(2) for clients.")    \
    X(counter, send_calls, "satchel_net_send_calls_total", "", "Calls of send(2) to clients.")     \
    X(counter, wakeups, "satchel_net_wakeups_total", "", "Times a worker was woken by others.")    \
    X(counter, choked, "satchel_net_choked_total", "",                                             \
      "Times a connection was not read from because of its unsent replies.")                       \
    X(counter, accept_pauses, "satchel_net_accept_pauses_total", "",                               \
      "Times accepting paused because no file descriptor or memory was left.")

METRIC_STRUCT(net_metrics, NET_METRICS)
METRIC_TABLE_DECLARE(net_metrics)
