/* Which objects of an archive may go. */
#include "backup/retention.h"

#include <stdlib.h>

static const int64_t day_ms = INT64_C(24) * 60 * 60 * 1000;
static const int64_t slot_young_ms = INT64_C(60) * 60 * 1000;

static bool is_good(const struct retention_snapshot *snapshot)
{
    return snapshot->kind == RETENTION_GOOD;
}

/* By its place in the log, as plan.c orders them. */
static bool is_newer(const struct retention_snapshot *a, const struct retention_snapshot *b)
{
    return a->next_seq != b->next_seq ? a->next_seq > b->next_seq : a->through_lsn > b->through_lsn;
}

/* The newest good one; NULL: there is none. */
static const struct retention_snapshot *find_newest(const struct retention_input *input)
{
    const struct retention_snapshot *newest = NULL;
    for (size_t i = 0; i < input->snapshot_count; i++) {
        const struct retention_snapshot *snapshot = &input->snapshots[i];
        if (is_good(snapshot) && (newest == NULL || is_newer(snapshot, newest))) {
            newest = snapshot;
        }
    }
    return newest;
}

/* ---- All or nothing ------------------------------------------------------------------------- */

static bool has_unknown(const struct retention_input *input)
{
    for (size_t i = 0; i < input->snapshot_count; i++) {
        if (input->snapshots[i].kind == RETENTION_UNKNOWN) {
            return true;
        }
    }
    return false;
}

/* Why nothing may go; NULL: something may. */
static const char *find_obstacle(const struct retention_input *input)
{
    if (input->policy.count == 0 && input->policy.age_ms == 0) {
        return "the policy keeps everything";
    }
    if (input->now_ms == 0) {
        return "the storage does not tell what time it is";
    }
    if (input->has_many_stores) {
        return "the archive has snapshots of more than one store";
    }
    if (has_unknown(input)) {
        return "the archive has snapshots of a newer format";
    }
    if (find_newest(input) == NULL) {
        return "there is no good snapshot";
    }
    if (input->latest >= input->snapshot_count) {
        return "there is no snapshot from which the latest state can be restored";
    }
    return input->hold_seq == 0 ? "a restore is looking at the archive" : NULL;
}

/* ---- Snapshots ------------------------------------------------------------------------------ */

/* What has no time, or one to come, counts as new. */
static bool is_younger(int64_t stored_ms, int64_t now_ms, int64_t age_ms)
{
    return stored_ms == 0 || now_ms - stored_ms < age_ms;
}

static int64_t policy_age_ms(const struct retention_policy *policy)
{
    return policy->age_ms > INT64_MAX ? INT64_MAX : (int64_t)policy->age_ms;
}

/* How many good ones are newer. Snapshots are few, and this is asked about each of them once. */
static uint64_t count_newer(const struct retention_input *input,
                            const struct retention_snapshot *snapshot)
{
    uint64_t newer = 0;
    for (size_t i = 0; i < input->snapshot_count; i++) {
        const struct retention_snapshot *other = &input->snapshots[i];
        newer += is_good(other) && is_newer(other, snapshot);
    }
    return newer;
}

/* Why a good one stays; NULL: it goes. */
static const char *judge_good(const struct retention_input *input, size_t i)
{
    const struct retention_snapshot *snapshot = &input->snapshots[i];
    if (i == input->latest) {
        return "the latest state is restored from it";
    }
    uint64_t newer = count_newer(input, snapshot);
    if (newer == 0) {
        return "it is the newest";
    }
    if (newer < input->policy.count) {
        return "it is one of the newest";
    }
    if (is_younger(snapshot->stored_ms, input->now_ms, policy_age_ms(&input->policy))) {
        return "it is young";
    }
    return snapshot->next_seq >= input->hold_seq ? "a restore may need it" : NULL;
}

/* Why one that is no use stays. */
static const char *judge_useless(const struct retention_input *input,
                                 const struct retention_snapshot *snapshot,
                                 const struct retention_snapshot *newest)
{
    int64_t age_ms = policy_age_ms(&input->policy);
    age_ms = age_ms > day_ms && snapshot->kind == RETENTION_DAMAGED ? age_ms : day_ms;
    if (is_younger(snapshot->stored_ms, input->now_ms, age_ms)) {
        return snapshot->kind == RETENTION_DAMAGED ? "it is damaged, and young"
                                                   : "it may be in the making";
    }
    /* One that is in the making for days is not thrown away either. */
    return snapshot->stored_ms >= newest->stored_ms ? "no good one is newer" : NULL;
}

/* ---- Slots ---------------------------------------------------------------------------------- */

/* The first slot that a hold or a snapshot that stays needs. */
static uint64_t find_keep_seq(const struct retention_input *input, const char *const *reasons)
{
    uint64_t keep_seq = input->hold_seq;
    for (size_t i = 0; i < input->snapshot_count; i++) {
        uint64_t next_seq = input->snapshots[i].next_seq;
        keep_seq = reasons[i] != NULL && next_seq < keep_seq ? next_seq : keep_seq;
    }
    return keep_seq;
}

static size_t count_slots_gone(const struct retention_input *input, uint64_t keep_seq)
{
    size_t gone = 0;
    while (gone + 1 < input->slot_count && input->slots[gone].seq < keep_seq &&
           !is_younger(input->slots[gone].stored_ms, input->now_ms, slot_young_ms)) {
        gone++;
    }
    return gone;
}

enum status retention_decide(const struct retention_input *input, struct retention *out)
{
    const struct retention_snapshot *newest = find_newest(input);
    *out = (struct retention){.nothing = find_obstacle(input)};
    out->reasons = calloc(input->snapshot_count + 1, sizeof *out->reasons);
    if (out->reasons == NULL) {
        return STATUS_NO_MEMORY;
    }
    for (size_t i = 0; i < input->snapshot_count; i++) {
        const struct retention_snapshot *snapshot = &input->snapshots[i];
        out->reasons[i] = out->nothing != NULL ? out->nothing
                          : is_good(snapshot)  ? judge_good(input, i)
                                               : judge_useless(input, snapshot, newest);
    }
    if (out->nothing == NULL) {
        out->keep_seq = find_keep_seq(input, out->reasons);
        out->slots_gone = count_slots_gone(input, out->keep_seq);
    }
    return STATUS_OK;
}

void retention_free(struct retention *self)
{
    free(self->reasons);
    *self = (struct retention){0};
}
