/* A program that uses the client on a libevent loop: nobody listens on port 1. */
#include <event2/event.h>
#include <satchel/satchel.h>
#include <stdio.h>

static void on_done(void *arg, enum satchel_status status, const struct satchel_result *result)
{
    printf("libsatchel-async: %.*s\n", (int)result->message.len, (const char *)result->message.ptr);
    *(enum satchel_status *)arg = status;
}

int main(void)
{
    struct event_base *base = event_base_new();
    struct satchel_async *store;
    struct satchel_options options = {.server = "127.0.0.1:1", .deadline_ms = 50};
    enum satchel_status status = SATCHEL_OK;
    if (base == NULL || satchel_async_open(base, &options, &store) != SATCHEL_OK) {
        return 1;
    }
    satchel_async_ping(store, on_done, &status);
    while (status == SATCHEL_OK && event_base_loop(base, EVLOOP_ONCE) == 0) {
    }
    satchel_async_close(store);
    event_base_free(base);
    printf("%s\n", satchel_status_text(status));
    return status == SATCHEL_UNREACHABLE ? 0 : 1;
}
