/*
 * One session in memory: a fixed header and, in the same allocation, its id, owner and content.
 *
 *     | header 36 bytes | id | length of the owner 1, owner | content |
 *
 * The header has no bit to spare because there is one for each session: a million sessions cost
 * 36 MB of headers. Most sessions have no owner, so its length stands behind the id, and only where
 * there is one. The widths follow the protocol's limits, asserted below; times of 44 bits reach the
 * year 2527. All members are guarded by the lock of the shard the entry is in.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "session/session.h"

/* Where an entry stands towards LMDB; the list it is in holds it at `list_index`. */
enum entry_state {
    ENTRY_CLEAN,   /* LMDB has it as it is; in no list */
    ENTRY_DIRTY,   /* changed since a checkpoint took it; in the shard's dirty list */
    ENTRY_TAKEN,   /* a checkpoint is going to copy it as it is then; in the shard's taken list */
    ENTRY_WRITING, /* the checkpoint has copied it and writes it; in the shard's taken list */
};

/* Packed: created_ms lies across the border of two words. */
struct entry {
    uint64_t version : SESSION_VERSION_BITS; /* lsn of its last change; tombstone: the deletion's */
    uint64_t id_len : 10;
    uint64_t has_owner : 1;
    uint64_t rowid : 44; /* 0: has no row in LMDB */
    uint64_t list_index : 20;
    uint64_t idle_ttl_ms : 39;
    uint64_t content_len : 25; /* also when the content is not resident */
    uint64_t expires_ms : 44;
    uint64_t kind : 2;
    uint64_t state : 2;      /* enum entry_state */
    uint64_t tombstone : 1;  /* deleted or expired, but LMDB may still have a row of it */
    uint64_t resident : 1;   /* the content is here; otherwise only in LMDB */
    uint64_t referenced : 1; /* used since the clock hand of eviction passed */
    uint64_t touched : 1;    /* its expiry moved by a touch that may not be durable yet */
    uint64_t created_ms : 44;
    uint8_t bytes[];
} __attribute__((packed, aligned(4)));

enum { ENTRY_LIST_MAX = (1 << 20) - 1 }; /* what list_index can count: dirty sessions a shard */

_Static_assert(sizeof(struct entry) == 36, "the header is as small as its members");
_Static_assert(SATCHEL_ID_BYTES_MAX < 1 << 10, "id_len holds every id");
_Static_assert(SATCHEL_OWNER_BYTES_MAX < 1 << 8, "a byte holds the length of every owner");
_Static_assert(SATCHEL_VALUE_BYTES_MAX < 1 << 25, "content_len holds every content");
_Static_assert(SATCHEL_TTL_MS_MAX < (UINT64_C(1) << 39), "idle_ttl_ms holds every idle time");

/**
 * Allocates an entry for this session (state CLEAN, rowid 0), with its content unless `resident` is
 * false. NULL when memory runs out. The caller owns it until a shard takes it.
 */
struct entry *entry_new(const struct session *session, bool resident);

void entry_free(struct entry *self);

/** Bytes the allocation really takes; what the memory budget counts. */
size_t entry_footprint(const struct entry *self);

/** True when the allocation has room for this session in place of what it holds. */
bool entry_fits(const struct entry *self, const struct session *session);

/**
 * Overwrites times, owner, kind, content and version by those of `session` (same id, and entry_fits
 * holds); rowid and list membership stay. The session's owner may point into the entry itself; its
 * content must not.
 */
void entry_assign(struct entry *self, const struct session *session);

static inline struct view entry_id(const struct entry *self)
{
    return view_of(self->bytes, self->id_len);
}

/** The session's owner; empty when it has none. */
static inline struct view entry_owner(const struct entry *self)
{
    const uint8_t *at = self->bytes + self->id_len;
    return self->has_owner ? view_of(at + 1, *at) : view_of(at, 0);
}

/** The session in this entry; borrowed. The content is empty when it is not resident. */
static inline struct session entry_session(const struct entry *self)
{
    const struct view owner = entry_owner(self);
    return (struct session){
        .id = entry_id(self),
        .version = self->version,
        .created_ms = (int64_t)self->created_ms,
        .expires_ms = (int64_t)self->expires_ms,
        .idle_ttl_ms = self->idle_ttl_ms,
        .owner = owner,
        .kind = (enum satchel_kind)self->kind,
        .content = view_of(owner.ptr + owner.len, self->resident ? self->content_len : 0),
    };
}
