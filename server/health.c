/* How the server is, for the ops server. */
#include "health.h"

#include <inttypes.h>
#include <stdio.h>

#include "restorer.h"

static enum status describe_backup(void *arg, struct buf *out, bool *is_well)
{
    const struct server *self = arg;
    if (self->backup == NULL) {
        *is_well = true;
        return buf_append(out, view_str("{\"state\": \"off\"}\n"));
    }
    return backup_describe(self->backup, out, is_well);
}

/* Whether this process owns the directory and serves from it. */
static bool leads(void *arg, char *why, size_t why_bytes)
{
    const struct server *self = arg;
    if (self->drain_start_ns != 0) {
        (void)snprintf(why, why_bytes, "stopping");
        return false;
    }
    if (self->restorer != NULL) {
        restorer_describe(self->restorer, why, why_bytes);
        return false;
    }
    if (self->store == NULL) {
        char owner[400];
        lease_describe_owner(self->lease, owner, sizeof owner);
        (void)snprintf(why, why_bytes, "standby: owned by %s", owner);
        return false;
    }
    if (lease_left_ms(self->lease) == 0) {
        (void)snprintf(why, why_bytes, "the lease has run out");
        return false;
    }
    switch (store_state(self->store)) {
    case STORE_SERVING:
        return true;
    case STORE_LOADING:
        (void)snprintf(why, why_bytes, "loading");
        return false;
    case STORE_FAILED:
        (void)snprintf(why, why_bytes, "the storage failed");
        return false;
    }
    return false;
}

/* An owner whose storage hangs is still the owner, but requests had better go elsewhere. */
static bool is_ready(void *arg, char *why, size_t why_bytes)
{
    const struct server *self = arg;
    if (!leads(arg, why, why_bytes)) {
        return false;
    }
    uint64_t stalled_ms = store_stalled_ms(self->store);
    if (stalled_ms > self->settings.watch.slow_ms) {
        (void)snprintf(why, why_bytes, "the storage has not answered for %" PRIu64 " s",
                       stalled_ms / 1000);
        return false;
    }
    return true;
}

/* Only who serves can take one: its backup has started then. */
static enum status want_snapshot(void *arg, uint64_t *number, char *why, size_t why_bytes)
{
    const struct server *self = arg;
    if (self->settings.backup.place.url == NULL) {
        return STATUS_NOT_FOUND;
    }
    (void)snprintf(why, why_bytes, "the backup has not started yet");
    const bool can_be_asked = self->backup != NULL && self->drain_start_ns == 0;
    if (can_be_asked) {
        return backup_want_snapshot(self->backup, number);
    }
    (void)is_ready(arg, why, why_bytes);
    return STATUS_AGAIN;
}

struct ops_callbacks health_callbacks(struct server *server)
{
    return (struct ops_callbacks){.ready = is_ready,
                                  .leads = leads,
                                  .describe_backup = describe_backup,
                                  .want_snapshot = want_snapshot,
                                  .arg = server};
}
