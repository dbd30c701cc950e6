/*
 * satchel_update: read, change, write on condition, and again when somebody else was faster.
 *
 * A conditional write that may have been applied is never repeated, so its MAYBE_APPLIED status
 * goes to the caller, who knows whether a second change would do harm.
 */
#include "client/blocking.h"

#include <time.h>

#include "base/clock.h"
#include "base/random.h"
#include "client/policy.h"

enum { NS_PER_MS = 1000000 };

struct update {
    struct satchel *store;
    struct satchel_bytes id;
    struct satchel_command_options options; /* for the write */
    int64_t deadline_ns;
    satchel_update_fn change;
    void *arg;
};

static uint64_t left_ms(const struct update *self)
{
    int64_t left_ns = self->deadline_ns - clock_mono_ns(&clock_system);
    return left_ns < NS_PER_MS ? 0 : (uint64_t)left_ns / NS_PER_MS;
}

static enum satchel_status write_back(struct update *self, const struct satchel_result *old,
                                      enum satchel_update_action action, struct satchel_bytes value,
                                      struct satchel_result *result)
{
    struct satchel_command_options options = self->options;
    bool exists = old->version != 0;
    options.condition = exists ? SATCHEL_IF_VERSION : SATCHEL_IF_ABSENT;
    options.if_version = old->version;
    options.deadline_ms = left_ms(self);
    if (action == SATCHEL_UPDATE_WRITE) {
        if (exists && options.ttl_ms == 0 && options.idle_ttl_ms == 0) {
            options.keep_ttl = true;
        }
        if (options.owner == NULL && old->owner.len != 0) {
            options.owner = &old->owner; /* a SET without owner would clear it */
        }
        return satchel_set(self->store, self->id, value, &options, result);
    }
    struct satchel_command_options deletion = {.ack = options.ack,
                                               .condition = options.condition,
                                               .if_version = options.if_version,
                                               .deadline_ms = options.deadline_ms};
    return satchel_delete(self->store, self->id, &deletion, result);
}

/* One round. CONDITION_FAILED: somebody else wrote meanwhile. */
static enum satchel_status update_once(struct update *self, struct satchel_result *result)
{
    struct satchel_result old = {0};
    enum satchel_status status = satchel_get(
        self->store, self->id, &(struct satchel_command_options){.deadline_ms = left_ms(self)},
        &old);
    if (status == SATCHEL_OK && old.kind != SATCHEL_BLOB) {
        status = blocking_refuse(SATCHEL_WRONG_KIND, "satchel_update is for blobs", result);
    } else if (status == SATCHEL_OK || status == SATCHEL_NOT_FOUND) {
        struct satchel_bytes value = {0};
        enum satchel_update_action action = self->change(self->arg, &old, &value);
        if (action == SATCHEL_UPDATE_LEAVE ||
            (action == SATCHEL_UPDATE_DELETE && old.version == 0)) {
            status = SATCHEL_OK;
            if (result != NULL) { /* what was read is the answer; its memory changes hands */
                satchel_result_free(result);
                *result = old;
                return status;
            }
        } else if (left_ms(self) == 0) {
            status = blocking_refuse(SATCHEL_CONDITION_FAILED,
                                     "the deadline came before the write was sent", result);
        } else {
            status = write_back(self, &old, action, value, result);
            /* Deleted by somebody else meanwhile: as much a conflict as another version. */
            status = status == SATCHEL_NOT_FOUND ? SATCHEL_CONDITION_FAILED : status;
        }
    } else {
        (void)blocking_refuse(status, satchel_last_message(), result);
    }
    satchel_result_free(&old);
    return status;
}

enum satchel_status satchel_update(struct satchel *self, struct satchel_bytes id,
                                   satchel_update_fn change, void *arg,
                                   const struct satchel_command_options *options,
                                   struct satchel_result *result)
{
    struct update update = {.store = self, .id = id, .change = change, .arg = arg};
    if (options != NULL) {
        update.options = *options;
    }
    if (update.options.condition != SATCHEL_ALWAYS) {
        return blocking_refuse(SATCHEL_BAD_REQUEST, "satchel_update makes its own condition",
                               result);
    }
    update.deadline_ns = blocking_deadline_ns(self, update.options.deadline_ms);
    for (unsigned conflicts = 1;; conflicts++) {
        enum satchel_status status = update_once(&update, result);
        uint64_t left = left_ms(&update);
        if (status != SATCHEL_CONDITION_FAILED || left <= 1) {
            return status;
        }
        /* Conflicts are resolved by whoever wins, so the pauses stay short. */
        uint64_t wait_ms = policy_backoff_ms(conflicts < 4 ? conflicts : 4, random_u64());
        wait_ms = wait_ms < left ? wait_ms : left - 1;
        struct timespec pause = {.tv_sec = (time_t)(wait_ms / 1000),
                                 .tv_nsec = (long)(wait_ms % 1000) * NS_PER_MS};
        (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
    }
}
