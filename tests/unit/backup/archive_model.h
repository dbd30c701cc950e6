/*
 * A model of what happens to a store and its archive, small enough to know everything about it: the
 * tree of all changes, what every state on it was, which slots and snapshots were written, and what
 * of them is left. Histories are random, but the same for the same seed.
 *
 * Writers crash, with changes that are in memory only, on the disk only or in the archive; start
 * again with what the disk has; or are restored to any state there has been. The hand-over to the
 * archive overflows. Snapshots are taken key by key while changes go on.
 */
#pragma once

#include "backup/plan.h"

enum {
    MODEL_KEYS = 5,
    MODEL_CHANGES_MAX = 1000,
    MODEL_SLOTS_MAX = 200,
    MODEL_BATCHES_MAX = 1000,
    MODEL_SNAPSHOTS_MAX = 60,
    MODEL_EVENTS_MAX = 1400,
};

enum model_op { MODEL_PUT, MODEL_PATCH, MODEL_DELETE };

struct model_change {
    uint64_t lsn;
    uint64_t parent_lsn; /* the change before it; 0: none */
    unsigned key;
    enum model_op op;
};

/* A session as the model has it. */
struct model_row {
    uint64_t version; /* 0: there is none */
    uint64_t content;
};

struct model_state {
    struct model_row rows[MODEL_KEYS];
};

struct model_slot {
    struct slot_header header;
    struct slot_batch batches[24]; /* without their records: the lsns say which */
    bool is_lost;
    bool is_damaged;
};

struct model_snapshot {
    struct manifest manifest;
    struct model_state rows;
    uint64_t owner; /* the number of the process */
};

/* Something that the archive should tell: a process took over, or changes became durable. */
struct model_event {
    int64_t time_ms;
    uint64_t lsn; /* the newest change from then on */
    uint64_t owner;
    bool is_fence;
    bool is_dropped; /* never came into the archive */
};

struct model {
    uint64_t random;
    struct model_change changes[MODEL_CHANGES_MAX]; /* by lsn */
    size_t change_count;
    struct model_slot slots[MODEL_SLOTS_MAX]; /* by seq, from 0 */
    size_t slot_count;
    struct model_snapshot snapshots[MODEL_SNAPSHOTS_MAX];
    size_t snapshot_count;
    struct model_event events[MODEL_EVENTS_MAX];
    size_t event_count;
    int64_t now_ms;
    uint64_t high_lsn; /* the highest that was given out */
    bool has_drops;    /* changes went by the archive */
    bool has_losses;   /* slots or snapshots are gone */
    /* The process that runs. */
    struct {
        uint64_t number; /* and epoch */
        uint64_t base_lsn;
        uint64_t recovered_lsn;
        uint64_t memory_lsn;
        uint64_t durable_lsn;
        uint64_t shipped_lsn;
        bool has_fence;
        struct slot_batch feed[24];
        size_t feed_count;
    } process;
    /* The snapshot that is being taken. */
    struct {
        bool is_open;
        unsigned keys_done;
        struct model_snapshot snapshot;
    } taking;
};

/** A history of so many events. `with_drops`: the feed overflows, and journals are gone at a start.
 */
void model_run(struct model *self, uint64_t seed, unsigned events, bool with_drops);

/** Some of the oldest snapshots go, and the slots that only they need. */
void model_prune(struct model *self);

/** Slots are lost or damaged, and manifests lost. */
void model_lose(struct model *self);

/** A random number below `end`. */
uint64_t model_random(struct model *self, uint64_t end);

/** The change of that lsn; NULL: there is none. */
const struct model_change *model_change(const struct model *self, uint64_t lsn);

/** The state whose newest change is `lsn`; 0: the empty one. */
struct model_state model_state(const struct model *self, uint64_t lsn);

/** Is `older` a state on the way to `newer`, or the same? */
bool model_is_ancestor(const struct model *self, uint64_t older, uint64_t newer);

/** Does one change to a state, unless the row has it already, as recovery does. */
void model_apply(struct model_state *state, const struct model_change *change);

/** True when they are of the same snapshot. */
bool model_is_same(const struct manifest *a, const struct manifest *b);
