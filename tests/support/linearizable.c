/* The search for an order. */
#include "support/linearizable.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "support/require.h"

enum { OPEN_WORDS = LINEARIZABLE_OPEN_MAX / 64 };

/* One run's operations. */
struct run {
    const struct history_op *ops; /* borrowed: of all runs */
    const size_t *answered;       /* borrowed: which of them are this run's, by invocation */
    size_t answered_count;
    size_t durable_count; /* of them: answers that a crash cannot undo */
    const struct history_op *unknown[LINEARIZABLE_UNKNOWN_MAX];
    size_t unknown_count;
    size_t answered_before; /* in the runs before */
};

static const struct history_op *answered_op(const struct run *self, size_t index)
{
    return &self->ops[self->answered[index]];
}

/* A configuration: who has its moment, and what the session is. */
struct place {
    size_t run;
    size_t first; /* answered operations below it have their moment, and it has none yet */
    uint64_t done[OPEN_WORDS]; /* bit i: answered operation first + i has */
    uint64_t unknown_done;     /* likewise, unanswered ones of this run */
    size_t done_count;         /* answered ones of this run */
    size_t durable_left;       /* answered ones of this run that a crash cannot undo, and which have
                                  no moment yet */
    bool is_unseen; /* the last step was an unanswered operation: nobody saw what it made */
    struct session_model now;
    bool is_lost;                /* from here on nothing of this run reached the storage … */
    struct session_model stored; /* … which has this */
};

struct search {
    struct run *runs; /* owned */
    size_t *answered; /* owned: what the runs have of it, one after the other */
    size_t run_count;
    struct place *stack; /* owned: configurations still to be tried */
    size_t depth;
    size_t stack_cap;
    uint64_t *seen; /* owned: hashes of configurations; open addressing, 0 = empty */
    size_t seen_count;
    size_t seen_cap; /* a power of two */
    bool undecided;
    struct linearizable_end *end; /* NULL: nobody asks */
};

/* ---- What was tried before ------------------------------------------------------------------ */

static void remember_hash(uint64_t *seen, size_t cap, uint64_t hash)
{
    size_t at = hash & (cap - 1);
    while (seen[at] != 0) {
        at = (at + 1) & (cap - 1);
    }
    seen[at] = hash;
}

static void grow_seen(struct search *self)
{
    size_t cap = self->seen_cap == 0 ? 1024 : self->seen_cap * 2;
    uint64_t *grown = calloc(cap, sizeof *grown);
    REQUIRE(grown != NULL);
    for (size_t i = 0; i < self->seen_cap; i++) {
        if (self->seen[i] != 0) {
            remember_hash(grown, cap, self->seen[i]);
        }
    }
    free(self->seen);
    self->seen = grown;
    self->seen_cap = cap;
}

/* Two configurations of the same 64 bits would make one of them go untried: of half a million, once
 * in a hundred million histories. */
static uint64_t hash_of(const struct place *place)
{
    struct {
        uint64_t head[5];
        uint64_t done[OPEN_WORDS];
        struct session_model_key now;
        struct session_model_key stored;
    } all = {
        .head = {place->run, place->first, place->unknown_done, place->is_lost, place->is_unseen}};
    memcpy(all.done, place->done, sizeof all.done);
    session_model_key(&place->now, &all.now);
    if (place->is_lost) {
        session_model_key(&place->stored, &all.stored);
    }
    uint64_t hash = hash64(view_of(&all, sizeof all), 0);
    return hash == 0 ? 1 : hash;
}

/* True when this is the first time. */
static bool remember(struct search *self, const struct place *place)
{
    uint64_t hash = hash_of(place);
    if (2 * (self->seen_count + 1) > self->seen_cap) {
        grow_seen(self);
    }
    for (size_t at = hash & (self->seen_cap - 1); self->seen[at] != 0;
         at = (at + 1) & (self->seen_cap - 1)) {
        if (self->seen[at] == hash) {
            return false;
        }
    }
    remember_hash(self->seen, self->seen_cap, hash);
    self->seen_count++;
    return true;
}

static void push(struct search *self, const struct place *place)
{
    if (self->depth == self->stack_cap) {
        self->stack_cap = self->stack_cap == 0 ? 256 : self->stack_cap * 2;
        self->stack = realloc(self->stack, self->stack_cap * sizeof *self->stack);
        REQUIRE(self->stack != NULL);
    }
    self->stack[self->depth++] = *place;
}

/* ---- Places --------------------------------------------------------------------------------- */

static bool is_done(const struct place *self, size_t index)
{
    size_t bit = index - self->first;
    return index < self->first ||
           (bit < LINEARIZABLE_OPEN_MAX && (self->done[bit / 64] >> bit % 64 & 1) != 0);
}

/* Moves `first` to the first operation without a moment. */
static void close_up(struct place *self)
{
    while ((self->done[0] & 1) != 0) {
        for (size_t i = 0; i < OPEN_WORDS; i++) {
            uint64_t carry = i + 1 < OPEN_WORDS ? self->done[i + 1] << 63 : 0;
            self->done[i] = self->done[i] >> 1 | carry;
        }
        self->first++;
    }
}

/* The place behind an answered operation that leaves the session in this state. */
static struct place after_answered(const struct place *from, const struct run *run, size_t index,
                                   const struct session_model *state)
{
    struct place to = *from;
    size_t bit = index - from->first;
    to.done[bit / 64] |= UINT64_C(1) << bit % 64;
    to.done_count++;
    to.durable_left -= answered_op(run, index)->fast ? 0 : 1;
    to.now = *state;
    to.is_unseen = false;
    close_up(&to);
    return to;
}

static struct place begin_run(const struct search *self, size_t run,
                              const struct session_model *state)
{
    return (struct place){
        .run = run,
        .now = *state,
        .durable_left = run < self->run_count ? self->runs[run].durable_count : 0,
    };
}

/* The place at the beginning of the next run: the storage has what was not lost, and versions
 * that were lost are not used again. */
static struct place after_crash(const struct search *self, const struct place *from)
{
    struct session_model state = from->is_lost ? from->stored : from->now;
    state.floor = from->now.floor;
    session_model_crash(&state);
    return begin_run(self, from->run + 1, &state);
}

/* Operations before this time may come next: the earliest return of those that wait. */
static int64_t earliest_return(const struct run *run, const struct place *place)
{
    int64_t earliest = HISTORY_NEVER;
    for (size_t i = place->first; i < run->answered_count; i++) {
        if (answered_op(run, i)->invoke_ns > earliest) {
            break;
        }
        if (!is_done(place, i) && answered_op(run, i)->return_ns < earliest) {
            earliest = answered_op(run, i)->return_ns;
        }
    }
    return earliest;
}

/* ---- Steps ---------------------------------------------------------------------------------- */

static bool is_same(const struct session_model *a, const struct session_model *b)
{
    struct session_model_key left;
    struct session_model_key right;
    session_model_key(a, &left);
    session_model_key(b, &right);
    return memcmp(&left, &right, sizeof left) == 0;
}

/* What the search knows when it got further than ever before. */
static struct linearizable_end *note_end(struct search *self, const struct place *place)
{
    size_t placed = place->done_count;
    if (place->run < self->run_count) {
        placed += self->runs[place->run].answered_before;
    }
    if (self->end == NULL || (self->end->tried_count > 0 && placed <= self->end->placed)) {
        return NULL;
    }
    *self->end = (struct linearizable_end){
        .placed = placed, .run = (uint16_t)place->run, .state = place->now, .lost = place->is_lost};
    return self->end;
}

static void note_tried(struct linearizable_end *end, const struct history_op *op, const char *why)
{
    if (end != NULL && end->tried_count < sizeof end->tried / sizeof end->tried[0]) {
        end->tried[end->tried_count].op = op;
        end->tried[end->tried_count].why = why;
        end->tried_count++;
    }
}

/* Tries the answered operations that may come next. True: one of them only looks at the session, so
 * nothing is lost by giving it its moment at once, and nothing else needs to be tried. */
static bool try_answered(struct search *self, const struct place *place, int64_t until_ns)
{
    const struct run *run = &self->runs[place->run];
    struct linearizable_end *end = note_end(self, place);
    size_t before = self->depth;
    for (size_t i = place->first; i < run->answered_count; i++) {
        const struct history_op *op = answered_op(run, i);
        if (op->invoke_ns > until_ns) {
            break;
        }
        if (is_done(place, i)) {
            continue;
        }
        if (i - place->first >= LINEARIZABLE_OPEN_MAX) {
            self->undecided = true;
            break;
        }
        struct session_model next[SESSION_MODEL_NEXT_MAX];
        const char *why = NULL;
        unsigned count = session_model_step(&place->now, op, next, &why);
        bool only_looks = count == 1 && is_same(&next[0], &place->now);
        if (only_looks) {
            self->depth = before;
        }
        for (unsigned n = 0; n < count; n++) {
            struct place to = after_answered(place, run, i, &next[n]);
            push(self, &to);
        }
        if (only_looks) {
            return true;
        }
        if (count == 0) {
            note_tried(end, op, why);
        }
    }
    return false;
}

/* True when the session is then the same, whatever it was before. */
static bool overwrites(const struct history_op *op)
{
    return op->op == SATCHEL_OP_SET && op->condition == CONDITION_NONE && !op->keep_ttl;
}

/* Unanswered operations that may have happened next. Not tried, because fewer of them explain as
 * much: one that changes nothing, and one that overwrites what another made and nobody saw. */
static void try_unknown(struct search *self, const struct place *place, int64_t until_ns)
{
    const struct run *run = &self->runs[place->run];
    for (size_t i = 0; i < run->unknown_count; i++) {
        const struct history_op *op = run->unknown[i];
        if ((place->unknown_done >> i & 1) != 0 || op->invoke_ns > until_ns ||
            (place->is_unseen && overwrites(op))) {
            continue;
        }
        struct session_model next[SESSION_MODEL_NEXT_MAX];
        const char *why = NULL;
        unsigned count = session_model_step(&place->now, op, next, &why);
        for (unsigned n = 0; n < count; n++) {
            struct place to = *place;
            to.unknown_done |= UINT64_C(1) << i;
            to.is_unseen = true;
            to.now = next[n];
            if (!is_same(&to.now, &place->now)) {
                push(self, &to);
            }
        }
    }
}

/* Pushes all places that may follow; those to be tried first are pushed last. */
static void expand(struct search *self, const struct place *place)
{
    const struct run *run = &self->runs[place->run];
    bool is_over = place->done_count == run->answered_count;
    int64_t until_ns = earliest_return(run, place);
    size_t before = self->depth;
    try_unknown(self, place, until_ns);
    if (!is_over && !place->is_lost && place->durable_left == 0) {
        struct place to = *place;
        to.is_lost = true;
        to.is_unseen = false; /* what was made is what is stored */
        to.stored = place->now;
        push(self, &to);
    }
    size_t behind = self->depth;
    if (try_answered(self, place, until_ns)) {
        struct place only = self->stack[self->depth - 1];
        self->depth = before;
        push(self, &only);
        return;
    }
    /* The one that returned first was pushed first, and is the most likely: turn them round. */
    for (size_t low = behind, high = self->depth; low + 1 < high; low++) {
        high--;
        struct place swapped = self->stack[low];
        self->stack[low] = self->stack[high];
        self->stack[high] = swapped;
    }
    if (is_over) {
        struct place to = after_crash(self, place);
        push(self, &to);
    }
}

static enum linearizable_verdict find_order(struct search *self)
{
    struct place place = begin_run(self, 0, &(struct session_model){0});
    push(self, &place);
    while (self->depth > 0) {
        place = self->stack[--self->depth];
        if (place.run == self->run_count) {
            return LINEARIZABLE;
        }
        if (!remember(self, &place)) {
            continue;
        }
        if (self->undecided || self->seen_count > LINEARIZABLE_STATES_MAX) {
            return LINEARIZABLE_UNDECIDED;
        }
        expand(self, &place);
    }
    return self->undecided ? LINEARIZABLE_UNDECIDED : NOT_LINEARIZABLE;
}

/* ---- Runs ----------------------------------------------------------------------------------- */

static void count_runs(struct search *self, const struct history_op *ops, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        self->run_count = ops[i].run >= self->run_count ? ops[i].run + 1U : self->run_count;
    }
    self->runs = calloc(self->run_count + 1, sizeof *self->runs);
    self->answered = calloc(count + 1, sizeof *self->answered);
    REQUIRE(self->runs != NULL && self->answered != NULL);
    for (size_t i = 0; i < count; i++) {
        self->runs[ops[i].run].answered_count += ops[i].outcome == HISTORY_ANSWERED;
    }
}

static void sort_into_runs(struct search *self, const struct history_op *ops, size_t count)
{
    count_runs(self, ops, count);
    size_t answered = 0;
    for (size_t at = 0; at < self->run_count; at++) {
        struct run *run = &self->runs[at];
        run->ops = ops;
        run->answered = self->answered + answered;
        run->answered_before = answered;
        for (size_t i = 0; i < count && !self->undecided; i++) {
            if (ops[i].run != at) {
                continue;
            }
            if (ops[i].outcome == HISTORY_ANSWERED) {
                self->answered[answered++] = i;
                run->durable_count += !ops[i].fast;
            } else if (ops[i].outcome == HISTORY_UNKNOWN &&
                       (ops[i].op != SATCHEL_OP_GET || ops[i].touch)) {
                self->undecided = run->unknown_count == LINEARIZABLE_UNKNOWN_MAX;
                if (!self->undecided) {
                    run->unknown[run->unknown_count++] = &ops[i];
                }
            }
        }
    }
}

/* An answer to what was asked when a successor had answered already; NULL when there is none. */
static const struct history_op *find_zombie(const struct search *self)
{
    int64_t successor_ns = HISTORY_NEVER;
    for (size_t at = self->run_count; at-- > 0;) {
        const struct run *run = &self->runs[at];
        int64_t earliest_ns = successor_ns;
        for (size_t i = 0; i < run->answered_count; i++) {
            if (answered_op(run, i)->invoke_ns > successor_ns) {
                return answered_op(run, i);
            }
            if (answered_op(run, i)->return_ns < earliest_ns) {
                earliest_ns = answered_op(run, i)->return_ns;
            }
        }
        successor_ns = earliest_ns;
    }
    return NULL;
}

enum linearizable_verdict linearizable_check(const struct history_op *ops, size_t count,
                                             struct linearizable_end *end)
{
    struct search search = {.end = end};
    if (end != NULL) {
        *end = (struct linearizable_end){0};
    }
    sort_into_runs(&search, ops, count);
    const struct history_op *zombie = search.undecided ? NULL : find_zombie(&search);
    enum linearizable_verdict verdict = NOT_LINEARIZABLE;
    if (zombie == NULL) {
        verdict = search.undecided ? LINEARIZABLE_UNDECIDED : find_order(&search);
    } else if (end != NULL) {
        end->is_zombie = true;
        end->run = zombie->run;
        end->op = zombie;
    }
    free(search.answered);
    free(search.runs);
    free(search.stack);
    free(search.seen);
    return verdict;
}
