/* Allocation and assignment of entries. */
#include "store/entry.h"

#include <assert.h>
#include <malloc.h>
#include <stdlib.h>

static size_t entry_bytes(const struct session *session, bool resident)
{
    const size_t owner_bytes = session->owner.len == 0 ? 0 : 1 + session->owner.len;
    return sizeof(struct entry) + session->id.len + owner_bytes +
           (resident ? session->content.len : 0);
}

static void entry_fill(struct entry *self, const struct session *session)
{
    assert(session->expires_ms >= 0 && session->created_ms >= 0);
    assert(session->version <= SESSION_VERSION_MAX);
    self->version = session->version & SESSION_VERSION_MAX;
    self->expires_ms = (uint64_t)session->expires_ms & ((UINT64_C(1) << 44) - 1);
    self->created_ms = (uint64_t)session->created_ms & ((UINT64_C(1) << 44) - 1);
    self->idle_ttl_ms = session->idle_ttl_ms & ((UINT64_C(1) << 39) - 1);
    self->has_owner = session->owner.len != 0;
    self->kind = (unsigned)session->kind & 3U;
    self->content_len = session->content.len & ((1U << 25) - 1);
    self->tombstone = 0;
    self->touched = 0;
    uint8_t *at = self->bytes + self->id_len;
    if (self->has_owner) { /* it may stand there already */
        memmove(at + 1, session->owner.ptr, session->owner.len);
        *at = (uint8_t)session->owner.len;
        at += 1 + session->owner.len;
    }
    if (self->resident) {
        (void)put_view(at, session->content);
    }
}

struct entry *entry_new(const struct session *session, bool resident)
{
    struct entry *self = malloc(entry_bytes(session, resident));
    if (self == NULL) {
        return NULL;
    }
    *self = (struct entry){.id_len = session->id.len & 0x3ffU, .resident = resident};
    (void)put_view(self->bytes, session->id);
    entry_fill(self, session);
    return self;
}

void entry_free(struct entry *self)
{
    free(self);
}

size_t entry_footprint(const struct entry *self)
{
    /* malloc_usable_size only reads the chunk's header; 8 bytes of it are glibc's own. */
    return malloc_usable_size((void *)(uintptr_t)self) + 8;
}

bool entry_fits(const struct entry *self, const struct session *session)
{
    size_t needed = entry_bytes(session, true);
    size_t room = malloc_usable_size((void *)(uintptr_t)self);
    /* An allocation that would stay more than half empty is given back instead. */
    return needed <= room && (room <= 256 || needed >= room / 2);
}

void entry_assign(struct entry *self, const struct session *session)
{
    assert(entry_fits(self, session));
    self->resident = 1;
    entry_fill(self, session);
}
