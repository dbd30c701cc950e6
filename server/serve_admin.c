/* The requests that are not about one session: HELLO, PING, STATS, SCAN; and GOAWAY. */
#include <inttypes.h>

#include "base/log.h"
#include "serve_private.h"

static struct native_header reply_header(const struct native_request *request)
{
    return (struct native_header){
        .version = SATCHEL_WIRE_VERSION,
        .opcode = request->header.opcode,
        .flags = SATCHEL_FLAG_REPLY,
        .request_id = request->header.request_id,
        .status = SATCHEL_OK,
    };
}

/* Ends the frame that began at `start` in self->reply and sends it; `built` is how that went. */
static void finish(struct serve_worker *self, struct client *client,
                   const struct native_request *request, size_t start, uint64_t gate_lsn,
                   enum status built)
{
    if (built != STATUS_OK) {
        serve_refuse(self, client, &request->header, SATCHEL_BUSY, "out of memory");
        return;
    }
    native_frame_end(&self->reply, start, reply_header(request));
    serve_send(self, client, gate_lsn);
}

/* ---- HELLO ---------------------------------------------------------------------------------- */

static enum status put_limits(struct serve_worker *self)
{
    const struct {
        enum satchel_tag tag;
        uint64_t value;
    } limits[] = {
        {SATCHEL_TAG_LIMIT_ID_BYTES, SATCHEL_ID_BYTES_MAX},
        {SATCHEL_TAG_LIMIT_VALUE_BYTES, self->serve->options.value_bytes_max},
        {SATCHEL_TAG_LIMIT_FIELDS, SATCHEL_FIELDS_MAX},
        {SATCHEL_TAG_LIMIT_FIELD_NAME_BYTES, SATCHEL_FIELD_NAME_BYTES_MAX},
        {SATCHEL_TAG_LIMIT_PATCH_OPS, SATCHEL_PATCH_OPS_MAX},
        {SATCHEL_TAG_LIMIT_BODY_BYTES,
         native_body_bytes_max(SATCHEL_OP_SET, self->serve->options.value_bytes_max)},
        {SATCHEL_TAG_LIMIT_IN_FLIGHT, IN_FLIGHT_MAX},
    };
    enum status status = STATUS_OK;
    for (size_t i = 0; i < sizeof limits / sizeof limits[0] && status == STATUS_OK; i++) {
        status = native_put_u64(&self->reply, limits[i].tag, limits[i].value);
    }
    return status;
}

void serve_hello(struct serve_worker *self, struct client *client,
                 const struct native_request *request)
{
    const struct native_hello *hello = &request->hello;
    struct view token = buf_view(&self->serve->token);
    if (token.len != 0 && !view_equal_constant_time(token, hello->token)) {
        metric_add(&self->metrics.denied, 1);
        serve_refuse(self, client, &request->header, SATCHEL_UNAUTHENTICATED, NULL);
        client->dismissed = true;
        conn_close(client->conn, CONN_CLOSE_PROTOCOL, "wrong token");
        return;
    }
    client->greeted = true;
    size_t start = 0;
    self->reply.len = 0;
    enum status status = native_frame_begin(&self->reply, &start);
    if (status == STATUS_OK) {
        status = native_put_u16(&self->reply, SATCHEL_TAG_WIRE_VERSION, SATCHEL_WIRE_VERSION);
    }
    if (status == STATUS_OK) {
        status = native_put_bytes(&self->reply, SATCHEL_TAG_SERVER_NAME,
                                  view_str("satchel " SATCHEL_VERSION_TEXT));
    }
    if (status == STATUS_OK) {
        status = native_put_u64(&self->reply, SATCHEL_TAG_FEATURES, 0);
    }
    if (status == STATUS_OK) {
        status = put_limits(self);
    }
    finish(self, client, request, start, 0, status);
}

void serve_ping(struct serve_worker *self, struct client *client,
                const struct native_request *request)
{
    size_t start = 0;
    self->reply.len = 0;
    finish(self, client, request, start, 0, native_frame_begin(&self->reply, &start));
}

void serve_goaway(struct client *client)
{
    struct native_reply goaway = {.opcode = SATCHEL_OP_GOAWAY, .status = SATCHEL_STOPPING};
    /* Without memory for it the peer notices by the close that follows. */
    (void)!native_encode_reply(conn_out(client->conn), &goaway);
}

/* ---- STATS ---------------------------------------------------------------------------------- */

struct stats {
    struct buf *reply;
    struct buf line;
    enum status status;
};

static void put_stat(struct stats *self, const char *suffix, const struct metric_desc *desc,
                     double value)
{
    self->line.len = 0;
    if (self->status == STATUS_OK) {
        self->status = metric_write_line(&self->line, desc, suffix, "", value);
    }
    if (self->status == STATUS_OK) {
        self->line.len--; /* its line feed */
        self->status = native_put_bytes(self->reply, SATCHEL_TAG_STAT, buf_view(&self->line));
    }
}

static void visit_stat(void *arg, const struct metric_sample *sample)
{
    struct stats *self = arg;
    if (sample->desc->type == METRIC_histogram) {
        put_stat(self, "_count", sample->desc, (double)sample->count);
        put_stat(self, "_sum", sample->desc, sample->sum);
    } else {
        put_stat(self, "", sample->desc, sample->value);
    }
}

void serve_stats(struct serve_worker *self, struct client *client,
                 const struct native_request *request)
{
    size_t start = 0;
    self->reply.len = 0;
    struct stats stats = {.reply = &self->reply,
                          .status = native_frame_begin(&self->reply, &start)};
    metric_visit(self->serve->registry, visit_stat, &stats);
    buf_free(&stats.line);
    finish(self, client, request, start, 0, stats.status);
}

/* ---- SCAN ----------------------------------------------------------------------------------- */

enum { ENTRY_FIXED_BYTES = 21 }; /* of an ENTRY before the id; see SATCHEL_TAGS */

struct scan {
    struct buf *reply;
    int64_t now_ms;
    enum status status;
};

static void visit_session(void *arg, const struct store_scan_entry *entry)
{
    struct scan *self = arg;
    uint8_t bytes[ENTRY_FIXED_BYTES + SATCHEL_ID_BYTES_MAX];
    uint64_t expires_in_ms = entry->expires_ms == 0 ? 0
                                                    : (uint64_t)(entry->expires_ms - self->now_ms);
    store_u64(bytes, entry->version);
    store_u64(bytes + 8, expires_in_ms);
    store_u32(bytes + 16, (uint32_t)entry->content_bytes);
    bytes[20] = (uint8_t)entry->kind;
    (void)put_view(bytes + ENTRY_FIXED_BYTES, entry->id);
    if (self->status == STATUS_OK) {
        self->status = native_put_bytes(self->reply, SATCHEL_TAG_ENTRY,
                                        view_of(bytes, ENTRY_FIXED_BYTES + entry->id.len));
    }
}

void serve_scan(struct serve_worker *self, struct client *client,
                const struct native_request *request)
{
    if (store_state(self->serve->store) != STORE_SERVING) {
        serve_refuse(self, client, &request->header, SATCHEL_LOADING, NULL);
        return;
    }
    size_t start = 0;
    uint64_t gate_lsn = 0;
    self->reply.len = 0;
    struct scan scan = {.reply = &self->reply,
                        .now_ms = self->now_ms,
                        .status = native_frame_begin(&self->reply, &start)};
    uint64_t cursor = store_scan(self->serve->store, request->scan.cursor, request->scan.count,
                                 request->scan.prefix, self->now_ms, visit_session, &scan,
                                 &gate_lsn);
    if (scan.status == STATUS_OK) {
        scan.status = native_put_u64(&self->reply, SATCHEL_TAG_CURSOR, cursor);
    }
    finish(self, client, request, start, gate_lsn, scan.status);
}
