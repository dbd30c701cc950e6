/* Listing an archive for a restore. */
#include "backup/restore_find.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"

/* What the walk over keys collects. */
struct walk {
    struct findings *found;
    char (*keys)[SNAPSHOT_NAME_BYTES]; /* owned: of manifests */
    size_t key_count;
    size_t key_cap;
    size_t slot_cap;
    bool is_full; /* out of memory */
};

static enum status storage_failed(const struct archive *archive, const char *what, char *text,
                                  size_t text_bytes)
{
    char why[256];
    s3_describe_error(archive->s3, why, sizeof why);
    (void)snprintf(text, text_bytes, "cannot %s: %s", what, why);
    return s3_last_error(archive->s3)->status == S3_CANCELLED ? STATUS_AGAIN : STATUS_IO;
}

static enum status no_memory(char *text, size_t text_bytes)
{
    (void)snprintf(text, text_bytes, "out of memory");
    return STATUS_NO_MEMORY;
}

static void note_epoch(struct findings *self, uint64_t epoch, uint64_t lsn)
{
    self->epoch_max = epoch > self->epoch_max ? epoch : self->epoch_max;
    self->lsn_max = lsn > self->lsn_max ? lsn : self->lsn_max;
}

/* ---- Manifests ------------------------------------------------------------------------------ */

static bool add_key(void *arg, const char *key, const struct snapshot_id *id)
{
    struct walk *self = arg;
    (void)id;
    if (self->key_count == self->key_cap) {
        size_t cap = self->key_cap == 0 ? 64 : self->key_cap * 2;
        char(*grown)[SNAPSHOT_NAME_BYTES] = realloc(self->keys, cap * sizeof *grown);
        if (grown == NULL) {
            self->is_full = true;
            return false;
        }
        self->keys = grown;
        self->key_cap = cap;
    }
    (void)snprintf(self->keys[self->key_count++], SNAPSHOT_NAME_BYTES, "%s", key);
    return true;
}

static enum status read_manifests(struct walk *self, struct archive *archive, char *text,
                                  size_t text_bytes)
{
    struct findings *found = self->found;
    if (archive_list_manifests(archive, add_key, self) != S3_OK && !self->is_full) {
        return storage_failed(archive, "list the snapshots", text, text_bytes);
    }
    found->manifests = self->is_full ? NULL : calloc(self->key_count + 1, sizeof *found->manifests);
    if (found->manifests == NULL) {
        return no_memory(text, text_bytes);
    }
    struct buf json = {0};
    enum status status = STATUS_OK;
    for (size_t i = 0; i < self->key_count && status == STATUS_OK; i++) {
        struct manifest *manifest = &found->manifests[found->manifest_count];
        char why[MANIFEST_ERRMSG_BYTES];
        enum s3_status got = archive_get_manifest(archive, self->keys[i], &json);
        if (got == S3_OK && manifest_decode(buf_view(&json), manifest, why) == STATUS_OK) {
            note_epoch(found, manifest->id.epoch, manifest->through_lsn);
            found->manifest_count++;
        } else if (got == S3_OK || got == S3_TOO_LARGE) {
            log_warn("a manifest is damaged", "key=%s why=\"%s\"", self->keys[i],
                     got == S3_OK ? why : "too large");
            found->damaged++;
        } else if (got != S3_NOT_FOUND) { /* that would be retention at work */
            status = storage_failed(archive, "read a manifest", text, text_bytes);
        }
    }
    buf_free(&json);
    return status;
}

/* ---- Slots ---------------------------------------------------------------------------------- */

static bool add_slot(void *arg, const char *key, const struct s3_object *object)
{
    struct walk *self = arg;
    struct findings *found = self->found;
    uint64_t seq = 0;
    (void)object;
    if (!slot_parse_name(key, &seq)) {
        return true; /* none of ours */
    }
    if (found->slot_count == self->slot_cap) {
        size_t cap = self->slot_cap == 0 ? 1024 : self->slot_cap * 2;
        struct plan_slot *grown = realloc(found->slots, cap * sizeof *grown);
        if (grown == NULL) {
            self->is_full = true;
            return false;
        }
        found->slots = grown;
        self->slot_cap = cap;
    }
    found->slots[found->slot_count++] = (struct plan_slot){.seq = seq};
    return true;
}

static enum status take_header(void *arg, struct view bytes)
{
    return buf_append(arg, bytes);
}

static enum status read_header(struct archive *archive, struct plan_slot *slot, struct buf *bytes,
                               char *text, size_t text_bytes)
{
    char name[SLOT_NAME_BYTES];
    char why[SLOT_ERRMSG_BYTES];
    const struct s3_range range = {.offset = 0, .bytes = SLOT_HEADER_BYTES};
    slot_name(name, slot->seq);
    bytes->len = 0;
    enum s3_status got = s3_get(archive->s3, name, &range, take_header, bytes, NULL);
    if (got != S3_OK && got != S3_NOT_FOUND && got != S3_REFUSED && got != S3_CHANGED) {
        return storage_failed(archive, "read a slot of the log", text, text_bytes);
    }
    slot->is_damaged = got != S3_OK ||
                       slot_read_header(buf_view(bytes), &slot->header, why) != STATUS_OK ||
                       slot->header.seq != slot->seq;
    return STATUS_OK;
}

static enum status read_slots(struct walk *self, struct archive *archive, uint64_t from_seq,
                              char *text, size_t text_bytes)
{
    struct findings *found = self->found;
    char after[SLOT_NAME_BYTES] = "";
    if (from_seq > 0) {
        slot_name(after, from_seq - 1);
    }
    const struct s3_list_options options = {.prefix = "log/",
                                            .start_after = from_seq > 0 ? after : NULL};
    if (s3_list(archive->s3, &options, add_slot, self) != S3_OK && !self->is_full) {
        return storage_failed(archive, "list the log", text, text_bytes);
    }
    if (self->is_full) {
        return no_memory(text, text_bytes);
    }
    struct buf bytes = {0};
    enum status status = STATUS_OK;
    for (size_t i = 0; i < found->slot_count && status == STATUS_OK; i++) {
        struct plan_slot *slot = &found->slots[i];
        status = read_header(archive, slot, &bytes, text, text_bytes);
        if (status == STATUS_OK && !slot->is_damaged) {
            note_epoch(found, slot->header.epoch, slot->header.last_lsn);
        }
    }
    buf_free(&bytes);
    return status;
}

/* ---- All of it ------------------------------------------------------------------------------ */

static bool is_too_late(const struct manifest *manifest, const struct target *target)
{
    return (target->kind == TARGET_LSN && manifest->through_lsn > target->lsn) ||
           (target->kind == TARGET_TIME && manifest->time_ms > target->time_ms);
}

static bool note_any(void *arg, const char *key, const struct s3_object *object)
{
    bool *any = arg;
    (void)key;
    (void)object;
    *any = true;
    return false;
}

/* Nothing can be restored. Only an archive that has nothing at all says that there never was a
 * store; everything else is damage. */
static enum status find_nothing(const struct findings *self, const struct archive *archive,
                                char *text, size_t text_bytes)
{
    bool has_log = false;
    const struct s3_list_options options = {.prefix = "log/", .page_keys = 1};
    if (self->manifest_count != 0) {
        (void)snprintf(text, text_bytes, "every snapshot is later than that");
        return STATUS_NOT_FOUND;
    }
    if (self->damaged != 0) {
        (void)snprintf(text, text_bytes, "every manifest is damaged");
        return STATUS_CORRUPT;
    }
    if (s3_list(archive->s3, &options, note_any, &has_log) != S3_OK) {
        return storage_failed(archive, "list the log", text, text_bytes);
    }
    (void)snprintf(text, text_bytes,
                   has_log ? "there is a log but no snapshot" : "the archive is empty");
    return has_log ? STATUS_CORRUPT : STATUS_NOT_FOUND;
}

/* Older snapshots serve when newer ones are damaged, so the log is read from the oldest that might.
 * False: there is none. */
static bool find_first_seq(const struct findings *self, const struct target *target, uint64_t *out)
{
    bool is_found = false;
    for (size_t i = 0; self->manifests != NULL && i < self->manifest_count; i++) {
        const struct manifest *manifest = &self->manifests[i];
        if (!is_too_late(manifest, target) && (!is_found || manifest->next_seq < *out)) {
            *out = manifest->next_seq;
            is_found = true;
        }
    }
    return is_found;
}

enum status findings_collect(struct findings *self, struct archive *archive,
                             const struct target *target, char *text, size_t text_bytes)
{
    *self = (struct findings){0};
    struct walk walk = {.found = self};
    uint64_t from_seq = 0;
    enum status status = read_manifests(&walk, archive, text, text_bytes);
    free(walk.keys);
    if (status != STATUS_OK) {
        return status;
    }
    return find_first_seq(self, target, &from_seq)
               ? read_slots(&walk, archive, from_seq, text, text_bytes)
               : find_nothing(self, archive, text, text_bytes);
}

void findings_free(struct findings *self)
{
    free(self->manifests);
    free(self->slots);
    *self = (struct findings){0};
}
