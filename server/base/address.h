/* HOST:PORT: what it means, and sockets that listen there. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { HOST_BYTES_MAX = 256 }; /* a DNS name has at most 253 characters (RFC 1035) */

struct host_port {
    char host[HOST_BYTES_MAX];
    uint16_t port;
};

/**
 * Splits "HOST:PORT"; an IPv6 address stands in brackets, "[::1]:7401". OK, or INVALID with one
 * line in `errmsg` that says what is wrong. Any thread.
 */
enum status host_port_parse(const char *text, struct host_port *out, char *errmsg,
                            size_t errmsg_bytes) MUST_CHECK;

/**
 * Opens `count` non-blocking sockets that listen on `where` (a name is looked up, which may block)
 * and share the port by SO_REUSEPORT: the kernel spreads connections over them. The caller owns
 * `fds`. Port 0 lets the kernel choose; `*port` is the port in either case. OK, or INVALID (nothing
 * to listen on by that name, or not permitted), EXISTS (in use), IO with one line in `errmsg` and
 * no socket open. Any thread.
 */
enum status address_listen(const char *where, unsigned count, int *fds, uint16_t *port,
                           char *errmsg, size_t errmsg_bytes) MUST_CHECK;

enum { ADDRESS_TEXT_BYTES = 56 }; /* "[" + 45 of IPv6 + "]:65535" and the terminating zero fit */

struct sockaddr_storage;

/** Writes "203.0.113.7:40112" or "[2001:db8::1]:40112" to `out`. An IPv4 address inside IPv6 is
 *  written as IPv4. Any thread. */
void address_text(const struct sockaddr_storage *address, char out[ADDRESS_TEXT_BYTES]);
