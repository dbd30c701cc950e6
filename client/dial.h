/* Sockets as both clients want them. */
#pragma once

struct addrinfo;

/**
 * A non-blocking socket on its way to `address`: without Nagle's delay, and with keep-alive probes,
 * because load balancers forget idle connections silently (a Network Load Balancer after 350 s).
 * -1: not even a start was possible. `*error` is 0 when connected, EINPROGRESS while it goes on
 * (then the socket becomes writable at its end: see dial_error()), another errno value with -1.
 */
int dial_start(const struct addrinfo *address, int *error);

/** After the socket became writable: 0, or the errno value of the connection attempt. */
int dial_error(int fd);
