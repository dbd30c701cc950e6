/*
 * From bytes to replies, as short as it can be:
 *
 *     received ─▶ decode a batch ─▶ prefetch ─▶ find, copy ─▶ encode
 *
 * Of a request's tags only the id and the value are looked at. A frame that cannot be followed ends
 * the connection; a command that it does not know is refused.
 */
#include "micro/floor.h"

#include <stdio.h>
#include <stdlib.h>

#include "micro/floor_sessions.h"

enum {
    BATCH_MAX = 32,            /* as satcheld has it */
    BODY_BYTES_MAX = 64 << 10, /* a batch of replies stays well below what a connection may hold */
};

/* A request for a command, or any other one, whose id is then empty. */
struct floor_request {
    struct native_header header;
    struct view id;    /* borrowed from what arrived, like the value */
    struct view value; /* ptr NULL: there is none */
    uint64_t hash;
};

struct floor {
    struct floor_sessions sessions;
    const struct null_replies *replies; /* borrowed */
};

/* One worker's; nobody else sees it. */
struct floor_worker {
    struct floor_request batch[BATCH_MAX];
    uint64_t expected[BATCH_MAX]; /* hashes of ids that requests on their way to us ask for */
    unsigned expected_count;
};

/* ---- Decoding ------------------------------------------------------------------------------- */

static enum status decode_body(struct view body, struct floor_request *out)
{
    struct native_tag tag;
    enum status status;
    out->id = out->value = (struct view){0};
    while ((status = native_next_tag(&body, &tag)) == STATUS_OK) {
        if (tag.tag == SATCHEL_TAG_ID) {
            out->id = tag.bytes;
        } else if (tag.tag == SATCHEL_TAG_VALUE) {
            out->value = tag.bytes;
        }
    }
    return status == STATUS_END && out->id.len <= SATCHEL_ID_BYTES_MAX ? STATUS_OK : STATUS_INVALID;
}

/* Decodes the frame at the front of `rest` and starts loading the index slot of its id. AGAIN: it
 * is not whole, `*need` bytes are wanted first; others: it cannot be followed. */
static enum status decode(const struct floor *self, struct view rest, struct floor_request *out,
                          size_t *need)
{
    enum status status = native_decode_header(rest, &out->header);
    if (status != STATUS_OK) {
        *need = SATCHEL_HEADER_BYTES;
        return status;
    }
    if (out->header.body_bytes > BODY_BYTES_MAX) {
        return STATUS_TOO_LARGE;
    }
    *need = SATCHEL_HEADER_BYTES + out->header.body_bytes;
    if (rest.len < *need) {
        return STATUS_AGAIN;
    }
    status = decode_body(view_of(rest.ptr + SATCHEL_HEADER_BYTES, out->header.body_bytes), out);
    if (status == STATUS_OK && out->id.len != 0) {
        out->hash = floor_sessions_hash(out->id);
        floor_sessions_prefetch_slot(&self->sessions, out->hash);
    }
    return status;
}

/* ---- Answering ------------------------------------------------------------------------------ */

static enum status refuse(const struct native_header *header, enum satchel_status verdict,
                          const char *why, struct buf *out)
{
    const struct native_reply reply = {.request_id = header->request_id,
                                       .opcode = (enum satchel_opcode)header->opcode,
                                       .status = verdict,
                                       .message = view_str(why)};
    return native_encode_reply(out, &reply);
}

static enum status answer_get(const struct floor *self, const struct floor_request *request,
                              struct buf *out)
{
    struct floor_session *session = floor_sessions_find(&self->sessions, request->hash,
                                                        request->id);
    if (session == NULL) {
        return refuse(&request->header, SATCHEL_NOT_FOUND, "", out);
    }
    const struct native_reply reply = {.request_id = request->header.request_id,
                                       .opcode = SATCHEL_OP_GET,
                                       .has_version = true,
                                       .version = 1,
                                       .has_content = true,
                                       .kind = SATCHEL_BLOB,
                                       .content = floor_session_begin(&self->sessions, session)};
    enum status status = native_encode_reply(out, &reply);
    floor_session_end(&self->sessions, session);
    return status;
}

static enum status answer_set(struct floor *self, const struct floor_request *request,
                              struct buf *out)
{
    switch (floor_sessions_set(&self->sessions, request->hash, request->id, request->value)) {
    case STATUS_OK:
        return null_replies_append(self->replies, &request->header, out);
    case STATUS_INVALID:
        return refuse(&request->header, SATCHEL_UNSUPPORTED,
                      "the floor server keeps a value's length as it was first", out);
    case STATUS_TOO_LARGE:
        return refuse(&request->header, SATCHEL_NO_SPACE,
                      "the floor server was started for fewer sessions", out);
    default:
        return refuse(&request->header, SATCHEL_BUSY, "out of memory", out);
    }
}

static enum status answer(struct floor *self, const struct floor_request *request, struct buf *out)
{
    const struct native_header *header = &request->header;
    if (header->opcode == SATCHEL_OP_HELLO || header->opcode == SATCHEL_OP_PING) {
        return null_replies_append(self->replies, header, out);
    }
    if (header->opcode != SATCHEL_OP_GET && header->opcode != SATCHEL_OP_SET) {
        return refuse(header, SATCHEL_UNSUPPORTED, "the floor server knows GET and SET", out);
    }
    if (request->id.len == 0) {
        return refuse(header, SATCHEL_BAD_REQUEST, "a command without an id", out);
    }
    if (header->opcode == SATCHEL_OP_GET) {
        return answer_get(self, request, out);
    }
    if (request->value.ptr == NULL) {
        return refuse(header, SATCHEL_UNSUPPORTED, "the floor server keeps blobs", out);
    }
    return answer_set(self, request, out);
}

/* ---- Callbacks of net ----------------------------------------------------------------------- */

static void *on_worker_started(void *arg, struct worker *worker)
{
    (void)arg;
    (void)worker;
    struct floor_worker *self = calloc(1, sizeof *self);
    if (self == NULL) {
        fputs("null_server: out of memory\n", stderr);
        exit(1);
    }
    return self;
}

static void on_worker_stopped(void *arg, struct worker *worker)
{
    (void)arg;
    free(worker_state(worker));
}

/* The first step towards the session that a connection's first request is about; on_received()
 * makes the second one. */
static void on_arrived(void *arg, struct conn *conn, struct view bytes)
{
    struct floor_worker *worker = worker_state(conn_worker(conn));
    struct floor_request request;
    size_t need;
    if (worker->expected_count < BATCH_MAX && decode(arg, bytes, &request, &need) == STATUS_OK &&
        request.id.len != 0) {
        worker->expected[worker->expected_count++] = request.hash;
    }
}

static void prefetch_expected(const struct floor *self, struct floor_worker *worker)
{
    for (unsigned i = 0; i < worker->expected_count; i++) {
        floor_sessions_prefetch(&self->sessions, worker->expected[i]);
    }
    worker->expected_count = 0;
}

/* Decodes requests up to the end of `bytes`, of a batch, or of what can be followed. Returns how
 * many; `*status` is that of the one behind them. */
static unsigned decode_batch(const struct floor *self, struct floor_worker *worker,
                             struct view bytes, size_t *used, size_t *need, enum status *status)
{
    unsigned count = 0;
    *status = STATUS_OK;
    while (count < BATCH_MAX && *used < bytes.len) {
        struct view rest = view_of(bytes.ptr + *used, bytes.len - *used);
        size_t frame_bytes = 0;
        *status = decode(self, rest, &worker->batch[count], &frame_bytes);
        if (*status != STATUS_OK) {
            *need = frame_bytes;
            break;
        }
        *used += frame_bytes;
        count++;
    }
    return count;
}

static size_t on_received(void *arg, struct conn *conn, struct view bytes, size_t *need)
{
    struct floor *self = arg;
    struct floor_worker *worker = worker_state(conn_worker(conn));
    struct buf *out = conn_out(conn);
    enum status status = STATUS_OK;
    size_t used = 0;
    prefetch_expected(self, worker);
    while (status == STATUS_OK && used < bytes.len && !conn_is_full(conn)) {
        unsigned count = decode_batch(self, worker, bytes, &used, need, &status);
        for (unsigned i = 0; count > 1 && i < count; i++) {
            if (worker->batch[i].id.len != 0) {
                floor_sessions_prefetch(&self->sessions, worker->batch[i].hash);
            }
        }
        for (unsigned i = 0; i < count; i++) {
            enum status answered = answer(self, &worker->batch[i], out);
            status = answered == STATUS_OK ? status : answered;
        }
    }
    if (status != STATUS_OK && status != STATUS_AGAIN) {
        conn_close(conn, CONN_CLOSE_PROTOCOL, status_text(status));
        return bytes.len;
    }
    return used;
}

/* ---- Life ----------------------------------------------------------------------------------- */

struct floor *floor_new(uint64_t sessions_max, bool is_shared, const struct null_replies *replies)
{
    struct floor *self = malloc(sizeof *self);
    if (self != NULL &&
        floor_sessions_init(&self->sessions, sessions_max, is_shared) != STATUS_OK) {
        free(self);
        return NULL;
    }
    if (self != NULL) {
        self->replies = replies;
    }
    return self;
}

void floor_free(struct floor *self)
{
    if (self != NULL) {
        floor_sessions_free(&self->sessions);
        free(self);
    }
}

void floor_handle(struct floor *self, struct net_handler *handler)
{
    handler->worker_started = on_worker_started;
    handler->worker_stopped = on_worker_stopped;
    handler->arrived = on_arrived;
    handler->received = on_received;
    handler->arg = self;
}
