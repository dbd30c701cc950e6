/* The web service: which request does what. README.md lists the requests. */
#pragma once

#include "http.h"
#include "keeper.h"

/** What the handlers need; immutable while the server runs, all borrowed. */
struct site {
    struct keeper *keeper;
    int64_t quantity_max;
    struct metrics *metrics;
    const char *served_by; /* this task's address, which every cart shows */
    bool secure_cookie;
};

/** Handles one request; an http_fn, `site` is a struct site. */
void api_handle(void *site, struct exchange *exchange);
