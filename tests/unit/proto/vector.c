/* Reading the test vectors from the page, and describing frames as they do. */
#include "vector.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/native.h"
#include "vector_names.h"

char *vector_read_page(void)
{
    FILE *file = fopen(SATCHEL_SOURCE_DIR "/docs/wire-protocol.md", "r");
    cr_assert_not_null(file);
    struct buf page = {0};
    size_t got = 0;
    do {
        cr_assert_eq(buf_reserve(&page, 65536), STATUS_OK);
        got = fread(page.ptr + page.len, 1, 65535, file);
        page.len += got;
    } while (got > 0);
    page.ptr[page.len] = '\0';
    (void)fclose(file);
    return (char *)page.ptr;
}

void vector_unhex(const char *hex, const char *end, struct buf *out)
{
    for (; hex < end; hex++) {
        unsigned byte = 0;
        if (isspace((unsigned char)*hex)) {
            continue;
        }
        cr_assert(hex + 1 < end && sscanf(hex, "%2x", &byte) == 1, "bad hex at %.20s", hex);
        hex++;
        cr_assert_eq(buf_append(out, view_of(&(uint8_t){(uint8_t)byte}, 1)), STATUS_OK);
    }
}

bool vector_next(const char **page, struct vector *out)
{
    static const char begin[] = "\n```vector ";
    const char *at = strstr(*page, begin);
    if (at == NULL) {
        return false;
    }
    at += strlen(begin);
    const char *hex = strchr(at, '\n');
    const char *rule = strstr(at, "\n--\n");
    const char *end = strstr(at, "\n```\n");
    cr_assert(hex != NULL && rule != NULL && end != NULL && hex < rule && rule < end);
    buf_free(&out->frame);
    *out = (struct vector){0};
    (void)snprintf(out->name, sizeof out->name, "%.*s", (int)(hex - at), at);
    vector_unhex(hex, rule, &out->frame);
    (void)snprintf(out->text, sizeof out->text, "%.*s", (int)(end + 1 - (rule + 4)), rule + 4);
    char *refused = strstr(out->text, "refused = ");
    if (refused != NULL) {
        out->is_refused = true;
        out->refused = (enum satchel_status)vector_status_number(refused + strlen("refused = "));
        *refused = '\0';
    }
    *page = end;
    return true;
}

struct text {
    char *out; /* borrowed; VECTOR_TEXT_BYTES */
    size_t len;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *self, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(self->out + self->len, VECTOR_TEXT_BYTES - self->len, format, args);
    va_end(args);
    cr_assert(len >= 0 && self->len + (size_t)len < VECTOR_TEXT_BYTES);
    self->len += (size_t)len;
}

/* Text in quotes when it is printable, otherwise hex. */
static void add_bytes(struct text *self, struct view bytes)
{
    bool printable = true;
    for (size_t i = 0; i < bytes.len; i++) {
        printable = printable && isprint(bytes.ptr[i]) && bytes.ptr[i] != '"';
    }
    if (printable) {
        add(self, "\"%.*s\"", (int)bytes.len, (const char *)bytes.ptr);
        return;
    }
    add(self, "0x");
    for (size_t i = 0; i < bytes.len; i++) {
        add(self, "%02x", bytes.ptr[i]);
    }
}

static void add_fields(struct text *self, struct view fields)
{
    struct field field;
    for (const char *between = " "; fields_next(&fields, &field) == STATUS_OK; between = "; ") {
        add(self, "%s%.*s ", between, (int)field.name.len, (const char *)field.name.ptr);
        add_bytes(self, field.value);
    }
}

static void add_ops(struct text *self, struct view ops)
{
    struct field_op op;
    for (const char *between = " "; ops_next(&ops, &op) == STATUS_OK; between = "; ") {
        add(self, "%s%s %.*s", between, vector_op_name(op.op), (int)op.name.len,
            (const char *)op.name.ptr);
        if (op.op == SATCHEL_FIELD_INCREMENT) {
            add(self, " %lld", (long long)load_u64(op.value.ptr));
        } else if (op.op != SATCHEL_FIELD_DELETE) {
            add(self, " ");
            add_bytes(self, op.value);
        }
    }
}

static void add_tag(struct text *self, const struct native_tag *tag)
{
    const struct vector_tag *known = vector_tag_by_number(tag->tag);
    if (known == NULL) {
        add(self, "0x%04x = ", tag->tag);
        add_bytes(self, tag->bytes);
    } else if (strcmp(known->type, "FLAG") == 0) {
        add(self, "%s", known->name);
    } else if (strcmp(known->type, "U64") == 0) {
        add(self, "%s = %llu", known->name, (unsigned long long)load_u64(tag->bytes.ptr));
    } else if (strcmp(known->type, "U16") == 0) {
        add(self, "%s = %u", known->name, load_u16(tag->bytes.ptr));
    } else if (strcmp(known->type, "FIELDS") == 0) {
        add(self, "%s =", known->name);
        add_fields(self, tag->bytes);
    } else if (strcmp(known->type, "OPS") == 0) {
        add(self, "%s =", known->name);
        add_ops(self, tag->bytes);
    } else {
        add(self, "%s = ", known->name);
        add_bytes(self, tag->bytes);
    }
    add(self, "\n");
}

void vector_describe(struct view frame, char out[VECTOR_TEXT_BYTES])
{
    struct text text = {.out = out};
    struct native_header header;
    enum status status = native_decode_header(frame, &header);
    if ((status != STATUS_OK && status != STATUS_UNSUPPORTED) ||
        frame.len != SATCHEL_HEADER_BYTES + (size_t)header.body_bytes) {
        add(&text, "malformed");
        return;
    }
    if (header.version != SATCHEL_WIRE_VERSION) {
        add(&text, "version = %u\n", header.version);
    }
    const char *opcode = vector_opcode_name(header.opcode);
    opcode != NULL ? add(&text, "opcode = %s\n", opcode)
                   : add(&text, "opcode = %u\n", header.opcode);
    add(&text, "flags =%s%s%s", (header.flags & SATCHEL_FLAG_REPLY) != 0 ? " REPLY" : "",
        (header.flags & SATCHEL_FLAG_ACK_DURABLE) != 0 ? " ACK_DURABLE" : "",
        (header.flags & SATCHEL_FLAG_ACK_FAST) != 0 ? " ACK_FAST" : "");
    if ((header.flags & 0xf8) != 0) {
        add(&text, " 0x%02x", header.flags & 0xf8);
    }
    add(&text, "\nrequest_id = %llu\nstatus = %s\n", (unsigned long long)header.request_id,
        satchel_status_name_of((enum satchel_status)header.status));
    struct view rest = view_of(frame.ptr + SATCHEL_HEADER_BYTES, header.body_bytes);
    struct native_tag tag;
    while (native_next_tag(&rest, &tag) == STATUS_OK) {
        add_tag(&text, &tag);
    }
    cr_assert_eq(rest.len, 0);
}
