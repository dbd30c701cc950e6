/* Records as the store writes them. */
#include "unit/backup/record_kit.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "session/fields.h"
#include "store/record.h"

static void append(struct buf *to, const struct change *change, uint64_t lsn)
{
    enum record_type type = record_type_of(change->kind);
    size_t bytes = record_bytes(type, change);
    cr_assert(buf_reserve(to, bytes) == STATUS_OK);
    record_encode(to->ptr + to->len, type, change, lsn);
    to->len += bytes;
}

void kit_put(struct buf *to, uint64_t lsn, const char *id, const char *content)
{
    const struct change change = {.kind = CHANGE_PUT,
                                  .next = {.id = view_str(id),
                                           .created_ms = 1800000000000,
                                           .kind = SATCHEL_BLOB,
                                           .content = view_str(content)}};
    append(to, &change, lsn);
}

void kit_delete(struct buf *to, const char *id)
{
    const struct change change = {.kind = CHANGE_DELETE, .next = {.id = view_str(id)}};
    append(to, &change, 0);
}

static void kit_touch(struct buf *to, const char *id)
{
    const struct change change = {
        .kind = CHANGE_TOUCH,
        .next = {.id = view_str(id), .expires_ms = 1800000060000, .idle_ttl_ms = 60000}};
    append(to, &change, 0);
}

static void kit_patch(struct buf *to, const char *id)
{
    struct buf ops = {0};
    cr_assert(ops_append(&ops, SATCHEL_FIELD_SET, view_str("tea"), view_str("2")) == STATUS_OK);
    const struct change change = {
        .kind = CHANGE_PATCH, .next = {.id = view_str(id)}, .delta = buf_view(&ops)};
    append(to, &change, 0);
    buf_free(&ops);
}

struct slot_batch kit_batch(struct buf *records, uint64_t follows_lsn, uint64_t first_lsn,
                            uint32_t count, int64_t time_ms)
{
    size_t begin = records->len;
    for (uint32_t i = 0; i < count; i++) {
        char id[32];
        (void)snprintf(id, sizeof id, "session-%u", (unsigned)i);
        switch (i % 4) {
        case 0:
            kit_put(records, first_lsn + i, id, "something that was put there");
            break;
        case 1:
            kit_patch(records, id);
            break;
        case 2:
            kit_touch(records, id);
            break;
        default:
            kit_delete(records, id);
            break;
        }
    }
    return (struct slot_batch){.follows_lsn = follows_lsn,
                               .first_lsn = first_lsn,
                               .time_ms = time_ms,
                               .count = count,
                               .records = view_of(records->ptr + begin, records->len - begin)};
}
