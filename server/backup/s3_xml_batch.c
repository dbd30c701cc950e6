/* The replies about many objects at once: what could not be deleted, and which uploads are open. */
#include <stdlib.h>
#include <string.h>

#include "backup/s3_xml_private.h"
#include "backup/timestamp.h"

/* ---- Deleting ------------------------------------------------------------------------------- */

struct deleted_reader {
    size_t undeleted;
    struct s3_undeleted *first;
    bool is_result;
};

static enum status deleted_leaf(void *arg, const char *path, const char *text)
{
    static const char error[] = "DeleteResult/Error";
    struct deleted_reader *self = arg;
    if (strcmp(path, "DeleteResult") == 0) {
        self->is_result = true;
    }
    if (strncmp(path, error, sizeof error - 1) != 0) {
        return STATUS_OK;
    }
    const char *below = path + sizeof error - 1;
    struct s3_undeleted *first = self->first;
    if (below[0] == '\0') {
        self->undeleted++;
    } else if (self->undeleted != 0) {
        return STATUS_OK; /* one is enough to say why */
    } else if (strcmp(below, "/Key") == 0) {
        s3_xml_copy_cut(first->key, sizeof first->key, text);
    } else if (strcmp(below, "/Code") == 0) {
        s3_xml_copy_cut(first->error.code, sizeof first->error.code, text);
    } else if (strcmp(below, "/Message") == 0) {
        s3_xml_copy_cut(first->error.message, sizeof first->error.message, text);
    }
    return STATUS_OK;
}

enum status s3_xml_deleted(struct view xml, size_t *undeleted, struct s3_undeleted *first)
{
    struct deleted_reader reader = {.first = first};
    *first = (struct s3_undeleted){0};
    enum status status = s3_xml_leaves(xml, deleted_leaf, &reader);
    *undeleted = reader.undeleted;
    return status == STATUS_OK && !reader.is_result ? STATUS_CORRUPT : status;
}

/* ---- Uploads -------------------------------------------------------------------------------- */

struct uploads_reader {
    struct s3_upload_page *page;
    bool is_result;
    bool is_encoded; /* keys are written as in a URL */
    struct s3_upload_entry entry;
};

static enum status add_upload(struct uploads_reader *self)
{
    struct s3_upload_page *page = self->page;
    if (self->entry.key[0] == '\0' || self->entry.id[0] == '\0') {
        return STATUS_CORRUPT;
    }
    if (page->count == S3_LIST_ENTRIES_MAX) {
        return STATUS_TOO_LARGE;
    }
    if (page->count == page->capacity) {
        size_t capacity = page->capacity == 0 ? 16 : 2 * page->capacity;
        struct s3_upload_entry *grown = realloc(page->entries, capacity * sizeof *grown);
        if (grown == NULL) {
            return STATUS_NO_MEMORY;
        }
        page->entries = grown;
        page->capacity = capacity;
    }
    page->entries[page->count++] = self->entry;
    self->entry = (struct s3_upload_entry){0};
    return STATUS_OK;
}

static enum status uploads_leaf(void *arg, const char *path, const char *text)
{
    static const char root[] = "ListMultipartUploadsResult";
    struct uploads_reader *self = arg;
    if (strncmp(path, root, sizeof root - 1) != 0) {
        return STATUS_CORRUPT;
    }
    const char *below = path + sizeof root - 1;
    if (below[0] == '\0') {
        self->is_result = true;
    } else if (strcmp(below, "/EncodingType") == 0) {
        self->is_encoded = strcmp(text, "url") == 0;
    } else if (strcmp(below, "/Upload/Key") == 0) {
        return s3_xml_copy_whole(self->entry.key, sizeof self->entry.key, text);
    } else if (strcmp(below, "/Upload/UploadId") == 0) {
        return s3_xml_copy_whole(self->entry.id, sizeof self->entry.id, text);
    } else if (strcmp(below, "/Upload/Initiated") == 0) {
        return timestamp_parse(text, &self->entry.begun_ms) == STATUS_OK ? STATUS_OK
                                                                         : STATUS_CORRUPT;
    } else if (strcmp(below, "/Upload") == 0) {
        return add_upload(self);
    }
    return STATUS_OK;
}

enum status s3_xml_uploads(struct view xml, struct s3_upload_page *out)
{
    struct uploads_reader reader = {.page = out};
    out->count = 0;
    enum status status = s3_xml_leaves(xml, uploads_leaf, &reader);
    if (status == STATUS_OK && !reader.is_result) {
        status = STATUS_CORRUPT;
    }
    for (size_t i = 0; i < out->count && reader.is_encoded && status == STATUS_OK; i++) {
        status = s3_xml_decode_key(out->entries[i].key);
    }
    if (status != STATUS_OK) {
        out->count = 0;
    }
    return status;
}

void s3_upload_page_free(struct s3_upload_page *self)
{
    free(self->entries);
    *self = (struct s3_upload_page){0};
}
