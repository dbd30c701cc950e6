/* Counts the visits of one session; build with: cc hello.c $(pkg-config --cflags --libs satchel) */
#include <satchel/satchel.h>
#include <stdio.h>

int main(void)
{
    struct satchel *store;
    if (satchel_open(NULL, &store) != SATCHEL_OK) { /* $SATCHEL_SERVER or 127.0.0.1:7401 */
        return 1;
    }
    struct satchel_op visit = {SATCHEL_FIELD_INCREMENT, satchel_text("visits"), .delta = 1};
    struct satchel_command_options options = {.idle_ttl_ms = 30 * 60 * 1000};
    struct satchel_result result = {0};
    struct satchel_bytes count;
    if (satchel_patch(store, satchel_text("visitor:42"), &visit, 1, &options, &result) ==
            SATCHEL_OK &&
        satchel_find_field(result.content, satchel_text("visits"), &count)) {
        printf("visit number %.*s\n", (int)count.len, (const char *)count.ptr);
    } else {
        fprintf(stderr, "%s\n", satchel_last_message());
    }
    satchel_result_free(&result);
    satchel_close(store);
}
