/*
 * cart: a shopping cart web service that keeps its carts in a Satchel store.
 *
 *     browser ──HTTP──▶ http ──▶ api ──▶ keeper ──libsatchel──▶ satcheld
 *
 * One thread, one event loop, no state of its own: any number of tasks can serve the same carts,
 * and each can be replaced at any time.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <event2/event.h>
#include <satchel/satchel.h>

#include "api.h"
#include "options.h"

static void on_stop(evutil_socket_t signal_number, short what, void *arg)
{
    (void)what;
    http_log("info", "stopping", "signal=%d", (int)signal_number);
    http_drain(arg);
}

static int serve(struct event_base *base, const struct options *options, struct metrics *metrics)
{
    int exit_code = EXIT_FAILURE;
    struct site site = {.quantity_max = options->quantity_max,
                        .metrics = metrics,
                        .secure_cookie = options->secure_cookie};
    struct http *http = http_new(base, metrics, api_handle, &site);
    site.keeper = keeper_new(base, options->store, options->token, options->quantity_max, metrics);
    struct event *on_term = http ? evsignal_new(base, SIGTERM, on_stop, http) : NULL;
    struct event *on_int = http ? evsignal_new(base, SIGINT, on_stop, http) : NULL;
    char why[160] = "";
    if (!site.keeper) {
        fprintf(stderr, "cart: cannot use the store address \"%s\"\n", options->store);
    } else if (!on_term || !on_int || event_add(on_term, NULL) != 0 ||
               event_add(on_int, NULL) != 0) {
        fprintf(stderr, "cart: out of memory\n");
    } else if (!http_listen(http, options->listen, why, sizeof(why))) {
        fprintf(stderr, "cart: %s\n", why);
    } else {
        site.served_by = http_address(http);
        http_log("info", "listening", "listen=%s store=%s", site.served_by, options->store);
        (void)event_base_dispatch(base);
        http_log("info", "stopped", "listen=%s", site.served_by);
        exit_code = EXIT_SUCCESS;
    }
    /* First the store's client: it answers what is still in flight, and those answers need http. */
    keeper_free(site.keeper);
    if (on_int) {
        event_free(on_int);
    }
    if (on_term) {
        event_free(on_term);
    }
    http_free(http);
    return exit_code;
}

int main(int argc, char **argv)
{
    struct options options;
    switch (options_parse(argc, argv, &options)) {
    case OPTIONS_EXIT_OK:
        return EXIT_SUCCESS;
    case OPTIONS_EXIT_USAGE:
        return 2;
    case OPTIONS_RUN:
        break;
    }
    /* A browser that went away is found out by the failing write. */
    (void)sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
    struct event_base *base = event_base_new();
    if (!base) {
        fprintf(stderr, "cart: cannot make an event loop\n");
        return EXIT_FAILURE;
    }
    struct metrics *metrics = metrics_new(options.emf, options.service);
    if (!metrics) {
        fprintf(stderr, "cart: cannot write metrics to \"%s\": %s\n", options.emf,
                satchel_last_message());
        event_base_free(base);
        return 2;
    }
    int exit_code = serve(base, &options, metrics);
    metrics_free(metrics);
    event_base_free(base);
    return exit_code;
}
