/* From a decoded reply to struct satchel_result. */
#include "client/result.h"

#include <stdlib.h>
#include <string.h>

static struct satchel_bytes bytes_of(struct view view)
{
    return (struct satchel_bytes){.ptr = view.ptr, .len = view.len};
}

struct satchel_result result_borrow(const struct core_event *event)
{
    const struct native_reply *reply = &event->reply;
    return (struct satchel_result){
        .version = reply->version,
        .expires_in_ms = reply->expires_in_ms,
        .idle_ttl_ms = reply->idle_ttl_ms,
        .created_ms = reply->created_ms,
        .has_content = reply->has_content,
        .kind = reply->kind,
        .content = bytes_of(reply->content),
        .owner = bytes_of(reply->owner),
        .message = bytes_of(reply->message),
    };
}

static char *move_to(char *at, struct satchel_bytes *bytes)
{
    if (bytes->len != 0) {
        memcpy(at, bytes->ptr, bytes->len);
    }
    bytes->ptr = at;
    return at + bytes->len;
}

enum satchel_status result_copy(struct satchel_result *into, const struct satchel_result *from)
{
    free(into->memory);
    *into = (struct satchel_result){0};
    struct satchel_result copy = *from;
    /* One byte more than needed, so that the pointers are never NULL. */
    copy.memory = malloc(from->content.len + from->owner.len + from->message.len + 1);
    if (copy.memory == NULL) {
        return SATCHEL_NO_MEMORY;
    }
    char *at = copy.memory;
    at = move_to(at, &copy.content);
    at = move_to(at, &copy.owner);
    (void)move_to(at, &copy.message);
    *into = copy;
    return SATCHEL_OK;
}
