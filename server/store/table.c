/* The index of the table and the lists of changed entries; see table.h for the picture. */
#include "store/table.h"

#include <assert.h>
#include <stdlib.h>

#include "base/hash.h"

enum {
    CAPACITY_LEAST = 16,
    TAIL_SLOTS = 64, /* room behind the last home slot; when it is full the index grows */
    LIST_LEAST = 16,
    CACHE_LINE = 64,
    PREFETCH_BYTES_MAX = 1024, /* of one entry */
    LIST_KEPT = 512,           /* places a list may keep that nothing needs */
};

/* ---- Table ---------------------------------------------------------------------------------- */

static struct slot *slots_of(const struct shard *self)
{
    /* Relaxed: only the lock's holder changes it, and the lock orders its uses. */
    return atomic_load_explicit(&self->slots, memory_order_relaxed);
}

static uint32_t capacity_of(const struct shard *self)
{
    return atomic_load_explicit(&self->capacity, memory_order_relaxed);
}

enum status table_init(struct table *self, uint64_t seed)
{
    memset(self, 0, sizeof *self);
    self->seed = seed;
    for (size_t i = 0; i < TABLE_SHARDS; i++) {
        struct shard *shard = &self->shards[i];
        uint32_t slot_count = CAPACITY_LEAST + TAIL_SLOTS;
        struct slot *slots = calloc(slot_count, sizeof *slots);
        if (slots == NULL) {
            table_close(self);
            return STATUS_NO_MEMORY;
        }
        atomic_init(&shard->slots, slots);
        atomic_init(&shard->capacity, CAPACITY_LEAST);
        shard->slot_count = slot_count;
        (void)pthread_mutex_init(&shard->lock, NULL);
    }
    return STATUS_OK;
}

void table_close(struct table *self)
{
    for (size_t i = 0; i < TABLE_SHARDS; i++) {
        struct shard *shard = &self->shards[i];
        struct slot *slots = slots_of(shard);
        if (slots == NULL) {
            continue; /* table_init did not get so far */
        }
        for (uint32_t at = 0; at < shard->slot_count; at++) {
            entry_free(slots[at].entry);
        }
        free(slots);
        free(shard->dirty.items);
        free(shard->taken.items);
        (void)pthread_mutex_destroy(&shard->lock);
    }
}

uint64_t table_hash(const struct table *self, struct view id)
{
    return hash64(id, self->seed);
}

static uint32_t home_of(uint32_t capacity, uint32_t hash)
{
    return (uint32_t)(((uint64_t)hash * capacity) >> 32);
}

void table_prefetch_slot(struct table *self, uint64_t hash)
{
    const struct shard *shard = table_shard(self, hash);
    /* Without the lock pointer and capacity may belong to different moments; a prefetch of a wrong
     * address does nothing. */
    __builtin_prefetch(slots_of(shard) + home_of(capacity_of(shard), (uint32_t)hash));
}

void table_prefetch_entry(struct table *self, uint64_t hash)
{
    struct shard *shard = table_shard(self, hash);
    shard_lock(shard);
    const struct slot *slot = slots_of(shard) + home_of(capacity_of(shard), (uint32_t)hash);
    for (; slot->entry != NULL; slot++) {
        if (slot->hash == (uint32_t)hash) {
            const char *bytes = (const char *)slot->entry;
            size_t likely = shard->entry_bytes / shard->used;
            likely = likely < PREFETCH_BYTES_MAX ? likely : PREFETCH_BYTES_MAX;
            for (size_t at = 0; at < likely; at += CACHE_LINE) {
                __builtin_prefetch(bytes + at);
            }
            break;
        }
    }
    shard_unlock(shard);
}

/* ---- Index ---------------------------------------------------------------------------------- */

void shard_lock(struct shard *self)
{
    (void)pthread_mutex_lock(&self->lock);
}

void shard_unlock(struct shard *self)
{
    (void)pthread_mutex_unlock(&self->lock);
}

struct slot *shard_find(struct shard *self, uint64_t hash, struct view id)
{
    struct slot *slot = slots_of(self) + home_of(capacity_of(self), (uint32_t)hash);
    /* The last slot of the tail is always empty, so the loop ends. */
    for (; slot->entry != NULL; slot++) {
        if (slot->hash == (uint32_t)hash && view_equal(entry_id(slot->entry), id)) {
            return slot;
        }
    }
    return NULL;
}

/* Places a slot into an index known to have room; false when the tail is full. */
static bool place(struct slot *slots, uint32_t slot_count, uint32_t capacity, struct slot what,
                  struct slot **where)
{
    uint32_t at = home_of(capacity, what.hash);
    while (slots[at].entry != NULL) {
        at++;
    }
    if (at == slot_count - 1) {
        return false; /* the last slot stays empty: it ends every probe */
    }
    slots[at] = what;
    *where = &slots[at];
    return true;
}

/* Moves the index into one of `capacity` home slots. */
static enum status resize(struct shard *self, uint32_t capacity)
{
    struct slot *old = slots_of(self);
    for (;;) {
        uint32_t slot_count = capacity + TAIL_SLOTS;
        struct slot *slots = calloc(slot_count, sizeof *slots);
        if (slots == NULL) {
            return STATUS_NO_MEMORY;
        }
        bool placed = true;
        struct slot *where = NULL;
        for (uint32_t at = 0; placed && at < self->slot_count; at++) {
            placed = old[at].entry == NULL || place(slots, slot_count, capacity, old[at], &where);
        }
        if (placed) {
            atomic_store_explicit(&self->slots, slots, memory_order_relaxed);
            atomic_store_explicit(&self->capacity, capacity, memory_order_relaxed);
            self->slot_count = slot_count;
            self->clock_hand = 0;
            free(old);
            return STATUS_OK;
        }
        free(slots);
        capacity += capacity / 2;
    }
}

static enum status list_reserve(struct entry_list *list, uint32_t count)
{
    if (list->cap - list->count >= count) {
        return STATUS_OK;
    }
    if (ENTRY_LIST_MAX - list->count < count) {
        return STATUS_TOO_LARGE;
    }
    uint32_t cap = list->cap == 0 ? LIST_LEAST : list->cap * 2;
    while (cap - list->count < count) {
        cap *= 2;
    }
    struct entry **items = realloc(list->items, cap * sizeof(struct entry *));
    if (items == NULL) {
        return STATUS_NO_MEMORY;
    }
    list->items = items;
    list->cap = cap;
    return STATUS_OK;
}

/* Slots in use up to the end of the tail follow each other, so one place tells about all behind it.
 */
static bool tail_has_room(const struct shard *self, uint32_t count)
{
    return slots_of(self)[self->slot_count - 1 - count].entry == NULL;
}

enum status shard_reserve(struct shard *self, uint32_t inserts, uint32_t changes)
{
    _Static_assert(SHARD_INSERTS_MAX <= TAIL_SLOTS / 2, "an empty index has room for them");
    enum status status = inserts > SHARD_INSERTS_MAX ? STATUS_TOO_LARGE
                                                     : list_reserve(&self->dirty, changes);
    uint32_t capacity = capacity_of(self);
    /* Grows at 4/5 full by an eighth: between 71 % and 80 % full, 20 to 23 bytes a session. */
    while (status == STATUS_OK && (self->used + inserts) > capacity / 5 * 4) {
        status = resize(self, capacity + capacity / 8);
        capacity = capacity_of(self);
    }
    /* So many displaced entries might not fit. Growing spreads them, unless they share their hash,
     * as an index that is nearly empty says. */
    while (status == STATUS_OK && !tail_has_room(self, inserts)) {
        capacity = capacity_of(self);
        status = self->used < capacity / 8 ? STATUS_TOO_LARGE
                                           : resize(self, capacity + capacity / 2);
    }
    return status;
}

struct slot *shard_insert(struct shard *self, uint64_t hash, struct entry *entry)
{
    struct slot *slot = NULL;
    bool placed = place(slots_of(self), self->slot_count, capacity_of(self),
                        (struct slot){.entry = entry, .hash = (uint32_t)hash}, &slot);
    assert(placed); /* shard_reserve() made room */
    (void)placed;
    self->used++;
    self->live++;
    self->entry_bytes += entry_footprint(entry);
    slot_set_expiry(slot);
    return slot;
}

void slot_set_expiry(struct slot *slot)
{
    uint64_t expires_ms = slot->entry->expires_ms;
    slot->expires_s = (uint32_t)((expires_ms + 999) / 1000);
}

/* ---- Lists of changed entries --------------------------------------------------------------- */

static void list_append(struct entry_list *list, struct entry *entry)
{
    assert(list->count < list->cap);
    entry->list_index = list->count & ENTRY_LIST_MAX;
    list->items[list->count++] = entry;
}

/* The place in a list that points to this entry; NULL for a clean one. */
static struct entry **listed_at(struct shard *self, const struct entry *entry)
{
    switch ((enum entry_state)entry->state) {
    case ENTRY_CLEAN:
        return NULL;
    case ENTRY_DIRTY:
        return &self->dirty.items[entry->list_index];
    case ENTRY_TAKEN:
    case ENTRY_WRITING:
        return &self->taken.items[entry->list_index];
    }
    return NULL;
}

void shard_replace(struct shard *self, struct slot *slot, struct entry *fresh)
{
    struct entry *old = slot->entry;
    struct entry **listed = listed_at(self, old);
    if (listed != NULL) {
        *listed = fresh;
    }
    fresh->state = old->state;
    fresh->list_index = old->list_index;
    fresh->rowid = old->rowid;
    fresh->referenced = old->referenced;
    if (old->tombstone && !fresh->tombstone) {
        self->live++;
    }
    self->entry_bytes += entry_footprint(fresh);
    self->entry_bytes -= entry_footprint(old);
    slot->entry = fresh;
    slot_set_expiry(slot);
    entry_free(old);
}

void shard_remove(struct shard *self, struct slot *slot)
{
    struct entry *entry = slot->entry;
    struct entry **listed = listed_at(self, entry);
    if (listed != NULL) {
        *listed = NULL;
    }
    self->used--;
    self->live -= !entry->tombstone;
    self->entry_bytes -= entry_footprint(entry);
    entry_free(entry);
    /* Close the gap: an entry further on that may stand here moves up, and leaves the next gap. */
    struct slot *slots = slots_of(self);
    uint32_t capacity = capacity_of(self);
    uint32_t gap = (uint32_t)(slot - slots);
    for (uint32_t at = gap + 1; slots[at].entry != NULL; at++) {
        if (home_of(capacity, slots[at].hash) <= gap) {
            slots[gap] = slots[at];
            gap = at;
        }
    }
    slots[gap] = (struct slot){0};
}

void shard_changed(struct shard *self, struct slot *slot)
{
    struct entry *entry = slot->entry;
    if (entry->state == ENTRY_CLEAN || entry->state == ENTRY_WRITING) {
        struct entry **listed = listed_at(self, entry);
        if (listed != NULL) {
            *listed = NULL; /* the checkpoint in progress has the older state; not clean after it */
        }
        entry->state = ENTRY_DIRTY;
        list_append(&self->dirty, entry);
    }
    entry->referenced = 1;
    slot_set_expiry(slot);
}

void shard_bury(struct shard *self, struct slot *slot, uint64_t version)
{
    struct session grave = entry_session(slot->entry);
    grave.version = version;
    grave.expires_ms = 0;
    grave.owner = (struct view){0};
    grave.content = (struct view){0};
    struct entry *small = entry_new(&grave, false);
    self->live -= !slot->entry->tombstone;
    if (small != NULL) {
        small->tombstone = 1;
        /* Both are tombstones to shard_replace: the count of live sessions was corrected above. */
        slot->entry->tombstone = 1;
        shard_replace(self, slot, small);
    } else { /* no memory to make it smaller: keep the bytes until the checkpoint */
        slot->entry->tombstone = 1;
        slot->entry->version = version & SESSION_VERSION_MAX;
        slot->entry->expires_ms = 0;
    }
    shard_changed(self, slot);
}

/* ---- Contents that come and go -------------------------------------------------------------- */

void shard_evict(struct shard *self, struct slot *slot)
{
    struct entry *entry = slot->entry;
    assert(entry->state == ENTRY_CLEAN && entry->rowid != 0 && !entry->tombstone);
    struct session session = entry_session(entry);
    struct entry *small = entry_new(&session, false);
    if (small != NULL) {
        small->touched = entry->touched;
        shard_replace(self, slot, small);
    }
}

enum status shard_restore(struct shard *self, struct slot *slot, struct view content)
{
    struct session session = entry_session(slot->entry);
    session.content = content;
    struct entry *full = entry_new(&session, true);
    if (full == NULL) {
        return STATUS_NO_MEMORY;
    }
    full->touched = slot->entry->touched;
    shard_replace(self, slot, full);
    slot->entry->referenced = 1;
    return STATUS_OK;
}

/* ---- A checkpoint --------------------------------------------------------------------------- */

void shard_take(struct shard *self)
{
    assert(self->taken.count == 0);
    struct entry_list taken = self->dirty;
    self->dirty = self->taken;
    self->taken = taken;
    for (uint32_t i = 0; i < taken.count; i++) {
        if (taken.items[i] != NULL) {
            taken.items[i]->state = ENTRY_TAKEN;
        }
    }
}

void shard_written(struct shard *self, const struct table *table, uint32_t place)
{
    struct entry *entry = self->taken.items[place];
    if (entry == NULL) {
        return;
    }
    self->taken.items[place] = NULL;
    entry->state = ENTRY_CLEAN;
    if (entry->tombstone) {
        struct view id = entry_id(entry);
        shard_remove(self, shard_find(self, table_hash(table, id), id));
    }
}

enum status shard_give_back(struct shard *self)
{
    uint64_t count = (uint64_t)self->dirty.count + self->taken.count;
    if (count > ENTRY_LIST_MAX) {
        return STATUS_NO_MEMORY;
    }
    if (count > self->dirty.cap) {
        struct entry **items = realloc(self->dirty.items, count * sizeof(struct entry *));
        if (items == NULL) {
            return STATUS_NO_MEMORY;
        }
        self->dirty.items = items;
        self->dirty.cap = (uint32_t)count;
    }
    for (uint32_t i = 0; i < self->taken.count; i++) {
        if (self->taken.items[i] != NULL) {
            self->taken.items[i]->state = ENTRY_DIRTY;
            list_append(&self->dirty, self->taken.items[i]);
        }
    }
    self->taken.count = 0;
    return STATUS_OK;
}

void shard_end_taken(struct shard *self)
{
    self->taken.count = 0;
    if (self->taken.cap > LIST_KEPT) { /* a burst is over */
        free(self->taken.items);
        self->taken = (struct entry_list){0};
    }
    uint32_t capacity = capacity_of(self);
    if (capacity > 4 * CAPACITY_LEAST && self->used < capacity / 4) {
        (void)resize(self,
                     capacity / 2); /* without memory for a smaller index the larger one stays */
    }
}

uint64_t shard_footprint(const struct shard *self)
{
    return self->entry_bytes + (uint64_t)self->slot_count * sizeof(struct slot) +
           ((uint64_t)self->dirty.cap + self->taken.cap) * sizeof(struct entry *);
}

uint32_t shard_home(const struct shard *self, uint32_t hash)
{
    return home_of(capacity_of(self), hash);
}

uint64_t shard_home_hash(const struct shard *self, uint32_t index)
{
    uint32_t capacity = capacity_of(self);
    return (((uint64_t)index << 32) + capacity - 1) / capacity;
}
