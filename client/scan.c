/* satchel_scan: page after page, each an ordinary request with the client's deadline. */
#include "client/blocking.h"

#include "proto/native.h"

enum { ENTRY_HEAD_BYTES = 8 + 8 + 4 + 1 }; /* version, expires in, content length, kind */

/* A page, copied out of the connection so that the visitor may use the client itself. */
struct page {
    struct buf body; /* owned */
};

static enum satchel_status take_page(void *arg, const struct core_event *event)
{
    struct page *page = arg;
    page->body.len = 0;
    return buf_append(&page->body, event->body) == STATUS_OK ? event->reply.status
                                                             : SATCHEL_NO_MEMORY;
}

static bool read_entry(struct view bytes, struct satchel_scan_entry *entry)
{
    if (bytes.len < ENTRY_HEAD_BYTES) {
        return false;
    }
    *entry = (struct satchel_scan_entry){
        .version = load_u64(bytes.ptr),
        .expires_in_ms = load_u64(bytes.ptr + 8),
        .content_bytes = load_u32(bytes.ptr + 16),
        .kind = (enum satchel_kind)bytes.ptr[20],
        .id = {.ptr = bytes.ptr + ENTRY_HEAD_BYTES, .len = bytes.len - ENTRY_HEAD_BYTES},
    };
    return true;
}

/* Shows a page to the visitor. False when the scan is over: `*status` says how. */
static bool visit_page(struct view body, satchel_scan_fn visit, void *arg, uint64_t *cursor,
                       enum satchel_status *status)
{
    struct native_tag tag;
    *cursor = 0;
    while (native_next_tag(&body, &tag) == STATUS_OK) {
        struct satchel_scan_entry entry;
        if (tag.tag == SATCHEL_TAG_CURSOR && tag.bytes.len == sizeof(uint64_t)) {
            *cursor = load_u64(tag.bytes.ptr);
        } else if (tag.tag == SATCHEL_TAG_ENTRY) {
            if (!read_entry(tag.bytes, &entry)) {
                *status = blocking_refuse(SATCHEL_BAD_REPLY, "an entry of a scan is malformed",
                                          NULL);
                return false;
            }
            if (!visit(arg, &entry)) {
                return false;
            }
        }
    }
    return *cursor != 0;
}

enum satchel_status satchel_scan(struct satchel *self, struct satchel_bytes prefix,
                                 satchel_scan_fn visit, void *arg)
{
    struct page page = {0};
    uint64_t cursor = 0;
    enum satchel_status status;
    bool goes_on;
    do {
        struct request request;
        goes_on = false;
        status = request_init_scan(&request, cursor, prefix);
        if (status != SATCHEL_OK) {
            (void)blocking_refuse(status, "out of memory", NULL);
            break;
        }
        status = blocking_run(self, &request, blocking_deadline_ns(self, 0), take_page, &page);
        request_free(&request);
        if (status == SATCHEL_OK) {
            goes_on = visit_page(buf_view(&page.body), visit, arg, &cursor, &status);
        }
    } while (goes_on);
    buf_free(&page.body);
    return status;
}
