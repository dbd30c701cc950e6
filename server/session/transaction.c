/* Staging changes of several sessions; see transaction.h. */
#include "session/transaction.h"

#include <assert.h>
#include <stdlib.h>

#include "session/fields.h"

enum {
    KEYS_LEAST = 8,
    KEPT_KEYS = 64,                /* a transaction that was larger gives its memory back */
    KEPT_CONTENT_BYTES = 64 * 1024 /* of one key */
};

/* ---- Keys ----------------------------------------------------------------------------------- */

static void free_keys(struct transaction *self)
{
    for (size_t i = 0; i < self->cap; i++) {
        buf_free(&self->keys[i].content);
        buf_free(&self->keys[i].delta);
    }
    free(self->keys);
    free(self->slots);
    self->keys = NULL;
    self->slots = NULL;
    self->cap = 0;
    self->slot_count = 0;
}

void transaction_begin(struct transaction *self, int64_t now_ms)
{
    if (self->cap > KEPT_KEYS) {
        free_keys(self);
    }
    for (size_t i = 0; i < self->count && i < self->cap; i++) {
        if (self->keys[i].content.cap > KEPT_CONTENT_BYTES) {
            buf_free(&self->keys[i].content);
        }
    }
    if (self->slot_count != 0) {
        memset(self->slots, 0, self->slot_count * sizeof *self->slots);
    }
    self->count = 0;
    self->now_ms = now_ms;
    self->needs_content = true;
    self->is_out_of_memory = false;
}

/* The slot where the key is, or would be. */
static uint32_t *find_slot(const struct transaction *self, struct view id, uint64_t hash)
{
    size_t at = hash & (self->slot_count - 1);
    while (self->slots[at] != 0) {
        const struct transaction_key *key = &self->keys[self->slots[at] - 1];
        if (key->hash == hash && view_equal(key->id, id)) {
            break;
        }
        at = (at + 1) & (self->slot_count - 1);
    }
    return &self->slots[at];
}

static enum status grow(struct transaction *self)
{
    size_t cap = self->cap == 0 ? KEYS_LEAST : self->cap * 2;
    struct transaction_key *keys = realloc(self->keys, cap * sizeof *keys);
    if (keys == NULL) {
        return STATUS_NO_MEMORY;
    }
    memset(keys + self->cap, 0, (cap - self->cap) * sizeof *keys);
    self->keys = keys;
    self->cap = cap;
    uint32_t *slots = calloc(cap * 2, sizeof *slots);
    if (slots == NULL) {
        return STATUS_NO_MEMORY;
    }
    free(self->slots);
    self->slots = slots;
    self->slot_count = cap * 2;
    for (size_t i = 0; i < self->count; i++) {
        *find_slot(self, keys[i].id, keys[i].hash) = (uint32_t)i + 1;
    }
    return STATUS_OK;
}

enum status transaction_name(struct transaction *self, struct view id, uint64_t hash, size_t *index)
{
    uint32_t *slot = self->slot_count == 0 ? NULL : find_slot(self, id, hash);
    if (slot != NULL && *slot != 0) {
        *index = *slot - 1;
        return STATUS_OK;
    }
    if (self->count == TRANSACTION_KEYS_MAX) {
        return STATUS_TOO_LARGE;
    }
    if (slot == NULL || self->count * 2 >= self->slot_count) {
        enum status status = grow(self);
        if (status != STATUS_OK) {
            return status;
        }
        slot = find_slot(self, id, hash);
    }
    struct transaction_key *key = &self->keys[self->count];
    *key = (struct transaction_key){
        .id = id, .hash = hash, .content = key->content, .delta = key->delta};
    *index = self->count++;
    *slot = (uint32_t)self->count;
    return STATUS_OK;
}

void transaction_free(struct transaction *self)
{
    free_keys(self);
    *self = (struct transaction){0};
}

/* ---- The body ------------------------------------------------------------------------------- */

const struct session *transaction_find(const struct transaction *self, size_t index)
{
    const struct transaction_key *key = &self->keys[index];
    switch (key->kind) {
    case CHANGE_NONE:
        return key->has_old ? &key->old : NULL;
    case CHANGE_PUT:
    case CHANGE_PATCH:
    case CHANGE_TOUCH:
        return &key->next;
    case CHANGE_DELETE:
        break;
    }
    return NULL;
}

/* The session becomes `next`, all but id and version. */
static void stage(struct transaction_key *key, const struct session *next, bool *is_out_of_memory)
{
    struct session made = *next;
    made.id = key->id;
    made.version = key->has_old ? key->old.version : 0;
    bool is_staged = made.content.ptr == key->content.ptr && made.content.len == key->content.len;
    if (!is_staged) {
        key->content.len = 0;
        if (buf_append(&key->content, made.content) != STATUS_OK) {
            *is_out_of_memory = true;
            return;
        }
        made.content = buf_view(&key->content);
    }
    key->next = made;
    key->kind = CHANGE_PUT;
}

void transaction_put(struct transaction *self, size_t index, const struct session *next)
{
    const struct session *before = transaction_find(self, index);
    struct session made = *next;
    made.created_ms = before != NULL ? before->created_ms : self->now_ms;
    made.owner = before != NULL ? before->owner : (struct view){0};
    stage(&self->keys[index], &made, &self->is_out_of_memory);
}

void transaction_copy(struct transaction *self, size_t to, size_t from)
{
    const struct session *model = transaction_find(self, from);
    assert(model != NULL);
    /* The owner is that of a stored session, which stays valid until everything is committed. */
    stage(&self->keys[to], model, &self->is_out_of_memory);
}

/* On the session that is stored: what the journal needs to know is the delta. */
static enum satchel_status patch_stored(struct transaction_key *key, struct view ops,
                                        uint64_t content_bytes_max, struct buf *returned)
{
    enum satchel_status status = fields_patch(key->old.content, ops, content_bytes_max,
                                              &key->content, &key->delta, returned);
    if (status == SATCHEL_OK && key->delta.len != 0) {
        key->next = key->old;
        key->next.content = buf_view(&key->content);
        key->kind = CHANGE_PATCH;
    }
    return status;
}

enum satchel_status transaction_patch(struct transaction *self, size_t index,
                                      enum satchel_kind kind, struct view ops,
                                      uint64_t content_bytes_max, struct buf *returned)
{
    struct transaction_key *key = &self->keys[index];
    const struct session *before = transaction_find(self, index);
    if (before != NULL && before->kind != kind) {
        return SATCHEL_WRONG_KIND;
    }
    if (before != NULL && key->kind == CHANGE_NONE) {
        return patch_stored(key, ops, content_bytes_max, returned);
    }
    struct buf content = {0};
    enum satchel_status status = fields_patch(before == NULL ? (struct view){0} : before->content,
                                              ops, content_bytes_max, &content, NULL, returned);
    if (status == SATCHEL_OK) {
        struct session next = before != NULL ? *before : (struct session){.kind = kind};
        next.content = buf_view(&content);
        transaction_put(self, index, &next);
    }
    buf_free(&content);
    return status;
}

void transaction_set_times(struct transaction *self, size_t index, int64_t expires_ms,
                           uint64_t idle_ttl_ms)
{
    struct transaction_key *key = &self->keys[index];
    const struct session *before = transaction_find(self, index);
    assert(before != NULL);
    if (before->expires_ms == expires_ms && before->idle_ttl_ms == idle_ttl_ms) {
        return;
    }
    if (key->kind == CHANGE_NONE) {
        key->next = key->old;
        key->kind = CHANGE_TOUCH;
    } else if (key->kind == CHANGE_PATCH) {
        key->kind = CHANGE_PUT; /* the delta would not tell the journal of the times */
    }
    key->next.expires_ms = expires_ms;
    key->next.idle_ttl_ms = idle_ttl_ms;
}

void transaction_delete(struct transaction *self, size_t index)
{
    struct transaction_key *key = &self->keys[index];
    /* Of an expired one what is stored says so a little later: after a crash it must not be back,
     * now that somebody was told that it is gone. */
    key->kind = key->has_old || key->is_stale ? CHANGE_DELETE : CHANGE_NONE;
}

/* ---- The end -------------------------------------------------------------------------------- */

struct change transaction_change(const struct transaction *self, size_t index)
{
    const struct transaction_key *key = &self->keys[index];
    struct change change = {.status = SATCHEL_OK, .kind = key->kind, .next = key->next};
    switch (key->kind) {
    case CHANGE_PATCH:
        change.delta = buf_view(&key->delta);
        break;
    case CHANGE_TOUCH:
        change.journal_touch = key->old.idle_ttl_ms != key->next.idle_ttl_ms ||
                               session_durable_expiry(key->old.expires_ms, key->old.idle_ttl_ms) !=
                                   session_durable_expiry(key->next.expires_ms,
                                                          key->next.idle_ttl_ms);
        break;
    case CHANGE_DELETE:
        change.next = (struct session){.id = key->id};
        break;
    case CHANGE_NONE:
    case CHANGE_PUT:
        break;
    }
    return change;
}

void transaction_undo(struct transaction *self)
{
    for (size_t i = 0; i < self->count; i++) {
        self->keys[i].kind = CHANGE_NONE;
    }
    self->is_out_of_memory = false;
}
