/* What can be set from the command line or the environment. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { OPTIONS_TOKEN_BYTES_MAX = 1024 };

struct options {
    const char *listen; /* "ADDRESS:PORT"; borrowed from argv or the environment */
    const char *store;  /* "HOST:PORT" of satcheld; borrowed likewise */
    char token[OPTIONS_TOKEN_BYTES_MAX + 1]; /* the shared secret; empty = none */
    int64_t quantity_max;                    /* of one product in a cart */
    const char *emf;                         /* where metrics go; borrowed likewise */
    const char *service;                     /* whose metrics they are; borrowed likewise */
    bool secure_cookie;                      /* mark the cookie Secure: the site is behind TLS */
};

enum options_action { OPTIONS_RUN, OPTIONS_EXIT_OK, OPTIONS_EXIT_USAGE };

/**
 * Fills `out` from the environment, then from the arguments. Prints the help (OPTIONS_EXIT_OK) or
 * one line that says what cannot be used (OPTIONS_EXIT_USAGE). Main thread.
 */
enum options_action options_parse(int argc, char **argv, struct options *out);
