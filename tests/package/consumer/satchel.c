/* A program that uses the blocking client: nobody listens on port 1, and it has to find out. */
#include <satchel/satchel.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
    struct satchel *store;
    struct satchel_options options = {.server = "127.0.0.1:1", .deadline_ms = 50};
    if (satchel_open(&options, &store) != SATCHEL_OK) {
        return 1;
    }
    enum satchel_status status = satchel_ping(store);
    printf("libsatchel %s: %s\n", satchel_version(), satchel_last_message());
    satchel_close(store);
    return status == SATCHEL_UNREACHABLE && strstr(satchel_last_message(), "127.0.0.1:1") != NULL
               ? 0
               : 1;
}
