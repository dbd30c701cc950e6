/* One connection without its socket: requests to bytes, bytes to events. */
#include "client/core.h"

#include <assert.h>
#include <stdlib.h>

enum {
    INPUT_BYTES_LEAST = 16 * 1024,
    BUFFER_BYTES_KEPT = 256 * 1024, /* a larger buffer is given back when it has run empty */
    IN_FLIGHT_DEFAULT = 1024,
    IN_FLIGHT_MOST = 65536, /* bounds the slots whatever a server advertises */
};

/* Removes the first `*len` bytes, which are done with, and gives a large empty buffer back. */
static void drop_front(struct buf *buffer, size_t *len)
{
    buf_consume(buffer, *len);
    *len = 0;
    if (buffer->len == 0 && buffer->cap > BUFFER_BYTES_KEPT) {
        buf_free(buffer);
    }
}

static struct view rest_of(const struct buf *buffer, size_t from)
{
    return buffer->ptr == NULL ? (struct view){0} : view_of(buffer->ptr + from, buffer->len - from);
}

/* ---- Slots ---------------------------------------------------------------------------------- */

static bool slots_grow(struct core *self)
{
    uint32_t count = self->slot_count == 0 ? 8 : self->slot_count * 2;
    struct core_slot *slots = realloc(self->slots, count * sizeof *slots);
    if (slots == NULL) {
        return false;
    }
    for (uint32_t i = self->slot_count; i < count; i++) {
        slots[i] = (struct core_slot){.generation = 1,
                                      .next_free = i + 1 < count ? i + 2 : self->slot_free};
    }
    self->slot_free = self->slot_count + 1;
    self->slots = slots;
    self->slot_count = count;
    return true;
}

static bool slot_take(struct core *self, uint8_t opcode, void *owner, uint64_t *id)
{
    if (self->slot_free == 0 && !slots_grow(self)) {
        return false;
    }
    uint32_t index = self->slot_free - 1;
    struct core_slot *slot = &self->slots[index];
    self->slot_free = slot->next_free;
    slot->owner = owner;
    slot->opcode = opcode;
    slot->is_used = true;
    *id = (uint64_t)slot->generation << 32 | index;
    return true;
}

static void slot_give(struct core *self, uint32_t index)
{
    struct core_slot *slot = &self->slots[index];
    slot->owner = NULL;
    slot->is_used = false;
    slot->generation = slot->generation == UINT32_MAX ? 1 : slot->generation + 1;
    slot->next_free = self->slot_free;
    self->slot_free = index + 1;
}

static struct core_slot *slot_find(struct core *self, uint64_t id)
{
    uint32_t index = (uint32_t)id;
    if (index >= self->slot_count) {
        return NULL;
    }
    struct core_slot *slot = &self->slots[index];
    return slot->is_used && slot->generation == id >> 32 ? slot : NULL;
}

void core_abandon(struct core *self, uint64_t id)
{
    struct core_slot *slot = slot_find(self, id);
    if (slot != NULL) {
        /* The slot stays taken until the answer comes: the server still counts the request. */
        slot->owner = NULL;
    }
}

/* ---- Output --------------------------------------------------------------------------------- */

static enum satchel_status put_frame(struct core *self, const struct core_request *request,
                                     uint64_t *id)
{
    size_t before = self->out.len;
    size_t start;
    if (!slot_take(self, (uint8_t)request->opcode, request->owner, id)) {
        return SATCHEL_NO_MEMORY;
    }
    if (native_frame_begin(&self->out, &start) != STATUS_OK ||
        buf_append(&self->out, request->body) != STATUS_OK) {
        self->out.len = before;
        slot_give(self, (uint32_t)*id);
        return SATCHEL_NO_MEMORY;
    }
    native_frame_end(&self->out, start,
                     (struct native_header){.version = SATCHEL_WIRE_VERSION,
                                            .opcode = (uint8_t)request->opcode,
                                            .flags = request->flags,
                                            .request_id = *id});
    self->out_bytes += self->out.len - before;
    self->unanswered++;
    return SATCHEL_OK;
}

static enum status put_greeting(struct core *self, const struct core_greeting *greeting)
{
    struct buf body = {0};
    enum status status = native_put_u16(&body, SATCHEL_TAG_WIRE_VERSION, SATCHEL_WIRE_VERSION);
    if (status == STATUS_OK && greeting->client_name != NULL) {
        status = native_put_bytes(&body, SATCHEL_TAG_CLIENT_NAME, view_str(greeting->client_name));
    }
    if (status == STATUS_OK && greeting->token != NULL) {
        status = native_put_bytes(&body, SATCHEL_TAG_TOKEN, view_str(greeting->token));
    }
    uint64_t id;
    if (status == STATUS_OK &&
        put_frame(self,
                  &(struct core_request){
                      .opcode = SATCHEL_OP_HELLO, .body = buf_view(&body), .owner = self},
                  &id) != SATCHEL_OK) {
        status = STATUS_NO_MEMORY;
    }
    buf_free(&body);
    return status;
}

enum status core_init(struct core *self, const struct core_greeting *greeting)
{
    *self = (struct core){.state = CORE_GREETING,
                          .limit_in_flight = IN_FLIGHT_DEFAULT,
                          .limit_body_bytes = SATCHEL_BODY_BYTES_MAX};
    enum status status = put_greeting(self, greeting);
    if (status != STATUS_OK) {
        core_free(self);
    }
    return status;
}

void core_free(struct core *self)
{
    buf_free(&self->in);
    buf_free(&self->out);
    free(self->slots);
    *self = (struct core){.state = CORE_BROKEN};
}

bool core_can_send(const struct core *self)
{
    return self->state == CORE_OPEN && self->unanswered < self->limit_in_flight;
}

enum satchel_status core_send(struct core *self, const struct core_request *request, uint64_t *id,
                              uint64_t *end)
{
    assert(core_can_send(self) && request->owner != NULL);
    if (request->body.len > self->limit_body_bytes) {
        return SATCHEL_TOO_LARGE;
    }
    enum satchel_status status = put_frame(self, request, id);
    *end = self->out_bytes;
    return status;
}

struct view core_output(const struct core *self)
{
    return rest_of(&self->out, self->out_read);
}

void core_output_written(struct core *self, size_t len)
{
    assert(len <= self->out.len - self->out_read);
    self->written_bytes += len;
    self->out_read += len;
    /* What is left moves to the front only when it is the smaller part, so that a large buffer
     * which leaves in small pieces is not moved again and again. */
    if (self->out_read >= self->out.len / 2) {
        drop_front(&self->out, &self->out_read);
    }
}

/* ---- Input ---------------------------------------------------------------------------------- */

enum status core_input_space(struct core *self, uint8_t **at, size_t *room)
{
    drop_front(&self->in, &self->in_read);
    size_t least = INPUT_BYTES_LEAST;
    struct native_header header;
    if (native_decode_header(buf_view(&self->in), &header) == STATUS_OK &&
        header.body_bytes <= SATCHEL_BODY_BYTES_MAX) {
        size_t frame_bytes = SATCHEL_HEADER_BYTES + (size_t)header.body_bytes;
        if (frame_bytes > self->in.len && frame_bytes - self->in.len > least) {
            least = frame_bytes - self->in.len;
        }
    }
    enum status status = buf_reserve(&self->in, least);
    if (status != STATUS_OK) {
        return status;
    }
    *at = self->in.ptr + self->in.len;
    *room = self->in.cap - self->in.len;
    return STATUS_OK;
}

void core_input_received(struct core *self, size_t len)
{
    assert(len <= self->in.cap - self->in.len);
    self->in.len += len;
}

static enum status fail(struct core *self, struct core_event *event, enum satchel_status status,
                        struct view message)
{
    self->state = CORE_BROKEN;
    event->kind = CORE_EVENT_FAILED;
    event->reply.status = status;
    event->reply.message = message;
    return STATUS_OK;
}

static enum status fail_text(struct core *self, struct core_event *event, const char *text)
{
    return fail(self, event, SATCHEL_BAD_REPLY, view_str(text));
}

static bool read_limit(struct view bytes, uint64_t *limit)
{
    if (bytes.len != sizeof(uint64_t)) {
        return false;
    }
    uint64_t value = load_u64(bytes.ptr);
    if (value > 0 && value < *limit) {
        *limit = value;
    }
    return value > 0;
}

static bool read_welcome(struct core *self, struct view body)
{
    struct native_tag tag;
    enum status status;
    bool has_version = false;
    self->limit_in_flight = IN_FLIGHT_MOST;
    while ((status = native_next_tag(&body, &tag)) == STATUS_OK) {
        switch (tag.tag) {
        case SATCHEL_TAG_WIRE_VERSION:
            if (tag.bytes.len != 2 || load_u16(tag.bytes.ptr) != SATCHEL_WIRE_VERSION) {
                return false;
            }
            has_version = true;
            break;
        case SATCHEL_TAG_LIMIT_IN_FLIGHT:
            if (!read_limit(tag.bytes, &self->limit_in_flight)) {
                return false;
            }
            break;
        case SATCHEL_TAG_LIMIT_BODY_BYTES:
            if (!read_limit(tag.bytes, &self->limit_body_bytes)) {
                return false;
            }
            break;
        default: /* the other limits are for the server to enforce, with a clear status */
            break;
        }
    }
    return status == STATUS_END && has_version;
}

static enum status read_reply(struct core *self, const struct native_header *header,
                              struct core_event *event)
{
    if (native_decode_reply(header, event->body, &event->reply) != STATUS_OK) {
        return fail_text(self, event, "the body of an answer is malformed");
    }
    enum satchel_status status = event->reply.status;
    if (header->request_id == 0) {
        /* Not about one request: the server says why it is about to close the connection. */
        return status == SATCHEL_OK ? fail_text(self, event, "an answer names no request")
                                    : fail(self, event, status, event->reply.message);
    }

    struct core_slot *slot = slot_find(self, header->request_id);
    if (slot == NULL || slot->opcode != header->opcode) {
        return fail_text(self, event, "an answer belongs to no request");
    }
    event->owner = slot->owner;
    slot_give(self, (uint32_t)header->request_id);
    self->unanswered--;
    if (event->owner == NULL) {
        return STATUS_AGAIN; /* it was abandoned */
    }
    event->kind = CORE_EVENT_REPLIED;
    if (event->owner == self) { /* HELLO */
        if (status != SATCHEL_OK) {
            return fail(self, event, status, event->reply.message);
        }
        if (!read_welcome(self, event->body)) {
            return fail_text(self, event, "the answer to HELLO is malformed");
        }
        self->state = CORE_OPEN;
        event->kind = CORE_EVENT_OPENED;
    }
    return STATUS_OK;
}

static enum status read_goaway(struct core *self, struct core_event *event)
{
    if (self->state == CORE_GREETING) {
        return fail(self, event, SATCHEL_STOPPING, view_str("the server is stopping"));
    }
    self->state = CORE_LEAVING;
    event->kind = CORE_EVENT_LEAVING;
    return STATUS_OK;
}

enum status core_next(struct core *self, struct core_event *event)
{
    enum status status = STATUS_AGAIN;
    while (status == STATUS_AGAIN && self->state != CORE_BROKEN) {
        *event = (struct core_event){0};
        struct view bytes = rest_of(&self->in, self->in_read);
        struct native_header header;
        enum status decoded = native_decode_header(bytes, &header);
        if (decoded == STATUS_AGAIN) {
            return STATUS_AGAIN;
        }
        if (decoded == STATUS_UNSUPPORTED) {
            return fail_text(self, event, "the peer speaks another version of the protocol");
        }
        if (decoded != STATUS_OK) {
            return fail_text(self, event, "the peer does not speak Satchel's protocol");
        }
        if ((header.flags & SATCHEL_FLAG_REPLY) == 0 ||
            header.body_bytes > SATCHEL_BODY_BYTES_MAX) {
            return fail_text(self, event, "the header of an answer is malformed");
        }
        size_t frame_bytes = SATCHEL_HEADER_BYTES + (size_t)header.body_bytes;
        if (bytes.len < frame_bytes) {
            return STATUS_AGAIN;
        }
        self->in_read += frame_bytes;
        event->body = view_of(bytes.ptr + SATCHEL_HEADER_BYTES, header.body_bytes);
        status = header.opcode == SATCHEL_OP_GOAWAY ? read_goaway(self, event)
                                                    : read_reply(self, &header, event);
    }
    return status;
}
