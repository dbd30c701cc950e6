/* How a client connects: its own copy of struct satchel_options, with the defaults filled in. */
#pragma once

#include <stdint.h>

#include "satchel/satchel.h"

enum {
    SETTINGS_DEADLINE_MS = 2000,
    SETTINGS_CONNECT_MS = 500,
    SETTINGS_CONNECTIONS_MAX = 8,
};

struct settings {
    char *server;      /* owned: as the user wrote it, for messages */
    char *host;        /* owned: without brackets */
    char *port;        /* owned: decimal digits */
    char *token;       /* owned; NULL: none */
    char *client_name; /* owned */
    uint64_t deadline_ms;
    uint64_t connect_ms;
    unsigned connections_max;
};

/** Copies `options` (NULL: all defaults). OK, BAD_REQUEST for an unusable server, or NO_MEMORY; on
 *  failure nothing is held. */
enum satchel_status settings_init(struct settings *self, const struct satchel_options *options);

/** Frees the copies; the token is wiped first. */
void settings_free(struct settings *self);

/**
 * Splits "HOST:PORT", "HOST", "[IPV6]:PORT", "[IPV6]" or a bare IPv6 address; the port is 7401 when
 * not given. OK: the caller owns both texts. BAD_REQUEST: it is none of these; NO_MEMORY.
 */
enum satchel_status settings_split_server(const char *server, char **host, char **port);
