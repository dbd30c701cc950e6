/* Reading XML by its leaves, and the replies about single objects, lists and uploads in parts. */
#include "backup/s3_xml.h"

#include <expat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backup/s3_xml_private.h"
#include "backup/timestamp.h"

enum {
    DEPTH_MAX = 8,
    PATH_BYTES = 256,
    TEXT_BYTES = 8192, /* a key of 1024 bytes, each as "%E2" or "&#xe2;" */
};

struct reader {
    XML_Parser parser;
    s3_xml_leaf_fn leaf;
    void *arg;
    enum status status; /* OK until something ends the reading */
    unsigned depth;
    size_t path_len;
    size_t text_len;
    char path[PATH_BYTES];
    char text[TEXT_BYTES];
};

/* A few calls may still come afterwards, so each handler looks at the status first. */
static void give_up(struct reader *self, enum status status)
{
    self->status = status;
    (void)XML_StopParser(self->parser, XML_FALSE);
}

static void begin_element(void *arg, const XML_Char *name, const XML_Char **attributes)
{
    struct reader *self = arg;
    size_t len = strlen(name);
    (void)attributes;
    if (self->status != STATUS_OK) {
        return;
    }
    if (self->depth == DEPTH_MAX || len + 2 > PATH_BYTES - self->path_len) {
        give_up(self, STATUS_TOO_LARGE);
        return;
    }
    if (self->depth > 0) {
        self->path[self->path_len++] = '/';
    }
    memcpy(self->path + self->path_len, name, len + 1);
    self->path_len += len;
    self->depth++;
    self->text_len = 0;
}

static void add_text(void *arg, const XML_Char *text, int len)
{
    struct reader *self = arg;
    if (self->status != STATUS_OK) {
        return;
    }
    if ((size_t)len >= TEXT_BYTES - self->text_len) {
        give_up(self, STATUS_TOO_LARGE);
        return;
    }
    memcpy(self->text + self->text_len, text, (size_t)len);
    self->text_len += (size_t)len;
}

static void end_element(void *arg, const XML_Char *name)
{
    struct reader *self = arg;
    if (self->status != STATUS_OK) {
        return;
    }
    self->text[self->text_len] = '\0';
    enum status status = self->leaf(self->arg, self->path, self->text);
    if (status != STATUS_OK) {
        give_up(self, status);
        return;
    }
    self->depth--;
    self->path_len -= strlen(name) + (self->depth > 0 ? 1 : 0);
    self->path[self->path_len] = '\0';
    self->text_len = 0;
}

static void refuse_dtd(void *arg, const XML_Char *name, const XML_Char *system_id,
                       const XML_Char *public_id, int has_subset)
{
    (void)name;
    (void)system_id;
    (void)public_id;
    (void)has_subset;
    give_up(arg, STATUS_CORRUPT);
}

enum status s3_xml_leaves(struct view xml, s3_xml_leaf_fn leaf, void *arg)
{
    if (xml.len > INT32_MAX) {
        return STATUS_TOO_LARGE;
    }
    struct reader *self = calloc(1, sizeof *self);
    if (self != NULL) {
        self->parser = XML_ParserCreate(NULL);
    }
    if (self == NULL || self->parser == NULL) {
        free(self);
        return STATUS_NO_MEMORY;
    }
    self->leaf = leaf;
    self->arg = arg;
    XML_SetUserData(self->parser, self);
    XML_SetElementHandler(self->parser, begin_element, end_element);
    XML_SetCharacterDataHandler(self->parser, add_text);
    XML_SetStartDoctypeDeclHandler(self->parser, refuse_dtd);
    enum status status = STATUS_OK;
    if (XML_Parse(self->parser, (const char *)xml.ptr, (int)xml.len, XML_TRUE) != XML_STATUS_OK) {
        status = self->status != STATUS_OK ? self->status : STATUS_CORRUPT;
        if (XML_GetErrorCode(self->parser) == XML_ERROR_NO_MEMORY) {
            status = STATUS_NO_MEMORY;
        }
    }
    XML_ParserFree(self->parser);
    free(self);
    return status;
}

void s3_xml_copy_cut(char *out, size_t out_bytes, const char *text)
{
    (void)snprintf(out, out_bytes, "%s", text);
}

enum status s3_xml_copy_whole(char *out, size_t out_bytes, const char *text)
{
    int len = snprintf(out, out_bytes, "%s", text);
    return len >= 0 && (size_t)len < out_bytes ? STATUS_OK : STATUS_TOO_LARGE;
}

/* ---- Errors --------------------------------------------------------------------------------- */

struct error_reader {
    struct s3_xml_error *out;
    bool is_error;
};

static enum status error_leaf(void *arg, const char *path, const char *text)
{
    struct error_reader *self = arg;
    if (strcmp(path, "Error") == 0) {
        self->is_error = true;
    } else if (strcmp(path, "Error/Code") == 0) {
        s3_xml_copy_cut(self->out->code, sizeof self->out->code, text);
    } else if (strcmp(path, "Error/Message") == 0) {
        s3_xml_copy_cut(self->out->message, sizeof self->out->message, text);
    } else if (strcmp(path, "Error/RequestId") == 0) {
        s3_xml_copy_cut(self->out->request_id, sizeof self->out->request_id, text);
    }
    return STATUS_OK;
}

enum status s3_xml_error(struct view xml, struct s3_xml_error *out)
{
    struct error_reader reader = {.out = out};
    *out = (struct s3_xml_error){0};
    enum status status = s3_xml_leaves(xml, error_leaf, &reader);
    return status == STATUS_OK && !reader.is_error ? STATUS_CORRUPT : status;
}

/* ---- Lists ---------------------------------------------------------------------------------- */

struct list_reader {
    struct s3_list_page *page;
    bool is_list;
    bool is_encoded; /* keys are written as in a URL */
    bool has_key;    /* of the entry that is being read */
    struct s3_list_entry entry;
};

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

enum status s3_xml_decode_key(char *key)
{
    char *to = key;
    for (const char *from = key; *from != '\0'; from++) {
        if (*from != '%') {
            *to++ = (char)(*from == '+' ? ' ' : *from);
            continue;
        }
        int high = hex_digit(from[1]);
        int low = high < 0 ? -1 : hex_digit(from[2]);
        if (low < 0 || (high == 0 && low == 0)) {
            return STATUS_CORRUPT;
        }
        *to++ = (char)(high * 16 + low);
        from += 2;
    }
    *to = '\0';
    return STATUS_OK;
}

static enum status parse_bytes(const char *text, uint64_t *out)
{
    *out = 0;
    if (text[0] == '\0' || strlen(text) > 18) {
        return STATUS_CORRUPT;
    }
    for (const char *at = text; *at != '\0'; at++) {
        if (*at < '0' || *at > '9') {
            return STATUS_CORRUPT;
        }
        *out = *out * 10 + (uint64_t)(*at - '0');
    }
    return STATUS_OK;
}

static enum status add_entry(struct list_reader *self)
{
    struct s3_list_page *page = self->page;
    if (!self->has_key) {
        return STATUS_CORRUPT;
    }
    if (page->count == S3_LIST_ENTRIES_MAX) {
        return STATUS_TOO_LARGE;
    }
    if (page->count == page->capacity) {
        size_t capacity = page->capacity == 0 ? 64 : 2 * page->capacity;
        struct s3_list_entry *grown = realloc(page->entries, capacity * sizeof *grown);
        if (grown == NULL) {
            return STATUS_NO_MEMORY;
        }
        page->entries = grown;
        page->capacity = capacity;
    }
    page->entries[page->count++] = self->entry;
    self->entry = (struct s3_list_entry){0};
    self->has_key = false;
    return STATUS_OK;
}

static enum status list_leaf(void *arg, const char *path, const char *text)
{
    static const char root[] = "ListBucketResult";
    struct list_reader *self = arg;
    struct s3_list_page *page = self->page;
    if (strncmp(path, root, sizeof root - 1) != 0) {
        return STATUS_CORRUPT;
    }
    const char *below = path + sizeof root - 1;
    if (below[0] == '\0') {
        self->is_list = true;
    } else if (strcmp(below, "/EncodingType") == 0) {
        self->is_encoded = strcmp(text, "url") == 0;
    } else if (strcmp(below, "/IsTruncated") == 0) {
        page->is_truncated = strcmp(text, "true") == 0;
    } else if (strcmp(below, "/NextContinuationToken") == 0) {
        return s3_xml_copy_whole(page->next_token, sizeof page->next_token, text);
    } else if (strcmp(below, "/Contents/Key") == 0 && !self->has_key) {
        self->entry.key_at = page->keys.len;
        self->has_key = true;
        return buf_append(&page->keys, view_of(text, strlen(text) + 1));
    } else if (strcmp(below, "/Contents/Size") == 0) {
        return parse_bytes(text, &self->entry.bytes);
    } else if (strcmp(below, "/Contents/LastModified") == 0) {
        return timestamp_parse(text, &self->entry.modified_ms) == STATUS_OK ? STATUS_OK
                                                                            : STATUS_CORRUPT;
    } else if (strcmp(below, "/Contents") == 0) {
        return add_entry(self);
    }
    return STATUS_OK;
}

/* At the end only: where the reply says how keys are written is the storage's choice. */
static enum status finish_keys(struct list_reader *self)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < self->page->count && status == STATUS_OK; i++) {
        char *key = (char *)self->page->keys.ptr + self->page->entries[i].key_at;
        if (self->is_encoded) {
            status = s3_xml_decode_key(key);
        }
        if (status == STATUS_OK && strlen(key) > S3_KEY_BYTES_MAX) {
            status = STATUS_TOO_LARGE;
        }
    }
    return status;
}

enum status s3_xml_list(struct view xml, struct s3_list_page *out)
{
    struct list_reader reader = {.page = out};
    out->keys.len = 0;
    out->count = 0;
    out->is_truncated = false;
    out->next_token[0] = '\0';
    enum status status = s3_xml_leaves(xml, list_leaf, &reader);
    if (status == STATUS_OK) {
        status = reader.is_list ? finish_keys(&reader) : STATUS_CORRUPT;
    }
    if (status != STATUS_OK) {
        out->count = 0;
    }
    return status;
}

void s3_list_page_free(struct s3_list_page *self)
{
    buf_free(&self->keys);
    free(self->entries);
    *self = (struct s3_list_page){0};
}

/* ---- Multipart ------------------------------------------------------------------------------ */

static enum status upload_leaf(void *arg, const char *path, const char *text)
{
    return strcmp(path, "InitiateMultipartUploadResult/UploadId") == 0
               ? s3_xml_copy_whole(arg, S3_UPLOAD_ID_BYTES, text)
               : STATUS_OK;
}

enum status s3_xml_upload_id(struct view xml, char out[static S3_UPLOAD_ID_BYTES])
{
    out[0] = '\0';
    enum status status = s3_xml_leaves(xml, upload_leaf, out);
    return status == STATUS_OK && out[0] == '\0' ? STATUS_CORRUPT : status;
}

struct complete_reader {
    char *etag;
    struct error_reader error;
};

static enum status complete_leaf(void *arg, const char *path, const char *text)
{
    struct complete_reader *self = arg;
    if (strcmp(path, "CompleteMultipartUploadResult/ETag") != 0) {
        return error_leaf(&self->error, path, text);
    }
    size_t len = strlen(text);
    bool is_quoted = len >= 2 && text[0] == '"' && text[len - 1] == '"';
    len -= is_quoted ? 2 : 0;
    if (len >= S3_ETAG_BYTES) {
        return STATUS_TOO_LARGE;
    }
    memcpy(self->etag, text + (is_quoted ? 1 : 0), len);
    self->etag[len] = '\0';
    return STATUS_OK;
}

enum status s3_xml_complete(struct view xml, char etag[static S3_ETAG_BYTES],
                            struct s3_xml_error *error)
{
    struct complete_reader reader = {.etag = etag, .error = {.out = error}};
    etag[0] = '\0';
    *error = (struct s3_xml_error){0};
    enum status status = s3_xml_leaves(xml, complete_leaf, &reader);
    return status == STATUS_OK && etag[0] == '\0' && !reader.error.is_error ? STATUS_CORRUPT
                                                                            : status;
}
