/* A client for servers that run on an event base: client and loop take turns on one thread, so a
 * test sees the same order every time and nothing has to be waited for by sleeping. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct event_base;

/** A socket that is connected to the port on 127.0.0.1. Fails the test when it cannot. */
int client_connect(uint16_t port);

/** Sends text as far as the peer still listens, and turns the loop once. */
void client_send(struct event_base *base, int fd, const char *text, size_t len);

/**
 * Turns the loop and reads until the peer has ended or reset the connection; closes `fd`. Returns
 * what came as a string (the caller frees it). Fails the test after 10 seconds.
 */
char *client_read_all(struct event_base *base, int fd);

/** connect, send and read_all. */
char *client_request(struct event_base *base, uint16_t port, const char *text);

/** The part behind the empty line of an answer; fails the test when there is none. */
const char *body_of(const char *answer);

/** The value of `name: value` among the headers, as a fresh string, or NULL. */
char *header_of(const char *answer, const char *name);

/** Turns the loop once without waiting. */
void loop_turn(struct event_base *base);
