/* Replies: encoded into what will be sent, or parked until their state is durable (invariant 1). */
#include "serve_private.h"

static bool is_durable(const struct serve_worker *self, uint64_t gate_lsn)
{
    return gate_lsn == 0 || gate_lsn <= store_durable_lsn(self->serve->store);
}

void serve_answered(struct client *client, enum latency_op op, int64_t came_ns)
{
    if (op != LATENCY_NONE) {
        latency_add(&client->latency, op, came_ns);
    }
}

/* Parks the last `len` bytes of self->parked.bytes. */
static void park(struct serve_worker *self, struct client *client, uint64_t gate_lsn, size_t len)
{
    struct parked_reply reply = {
        .client = client,
        .gate_lsn = gate_lsn,
        .since_ns = self->now_ns,
        .came_ns = self->came_ns,
        .len = (uint32_t)len,
        .op = self->op,
    };
    if (parked_push(&self->parked, &reply) != STATUS_OK) {
        self->parked.bytes.len -= len;
        conn_close(client->conn, CONN_CLOSE_LIMIT, "out of memory");
        return;
    }
    client->in_flight++;
    self->is_awaiting = true;
    if (self->parked.count == 1) {
        atomic_store_explicit(&self->gate_lsn, gate_lsn, memory_order_relaxed);
    }
}

void serve_send(struct serve_worker *self, struct client *client, uint64_t gate_lsn)
{
    if (client->conn == NULL) {
        return;
    }
    struct view frame = buf_view(&self->reply);
    /* The replies of Redis are in the order of its requests. */
    bool is_behind = client->redis != NULL && client->in_flight > 0;
    bool now = !is_behind && is_durable(self, gate_lsn);
    if (buf_append(now ? conn_out(client->conn) : &self->parked.bytes, frame) != STATUS_OK) {
        conn_close(client->conn, CONN_CLOSE_LIMIT, "out of memory");
    } else if (now) {
        serve_answered(client, self->op, self->came_ns);
    } else {
        park(self, client, gate_lsn, frame.len);
    }
}

void serve_refuse(struct serve_worker *self, struct client *client,
                  const struct native_header *header, enum satchel_status status, const char *why)
{
    struct native_reply reply = {
        .request_id = header->request_id,
        .opcode = (enum satchel_opcode)header->opcode,
        .status = status,
        .message = why == NULL ? (struct view){0} : view_str(why),
    };
    if (client->conn != NULL && native_encode_reply(conn_out(client->conn), &reply) != STATUS_OK) {
        conn_close(client->conn, CONN_CLOSE_LIMIT, "out of memory");
    } else if (client->conn != NULL) {
        serve_answered(client, self->op, self->came_ns);
    }
    metric_add(&self->metrics.refused, 1);
}

static void count_outcome(struct serve_metrics *metrics, enum satchel_status status)
{
    if (status == SATCHEL_NOT_FOUND) {
        metric_add(&metrics->not_found, 1);
    } else if (satchel_status_retry_of(status) == SATCHEL_RETRY_FINAL) {
        metric_add(&metrics->refused, 1);
    } else {
        metric_add(&metrics->retry, 1);
    }
}

void serve_answer(void *arg, const struct store_reply *from)
{
    const struct serve_answer *self = arg;
    struct serve_worker *worker = self->worker;
    const struct command *cmd = &self->request->command;
    if (self->client->conn == NULL) {
        return;
    }
    struct native_reply reply = {
        .request_id = self->request->header.request_id,
        .opcode = cmd->op,
        .status = from->status,
        .has_version = satchel_status_retry_of(from->status) <= SATCHEL_RETRY_FINAL,
        .version = from->session.version,
    };
    if (from->status == SATCHEL_OK) {
        const struct session *session = &from->session;
        if (session->expires_ms > from->now_ms) {
            reply.expires_in_ms = (uint64_t)(session->expires_ms - from->now_ms);
        }
        reply.idle_ttl_ms = session->idle_ttl_ms;
        if (cmd->op == SATCHEL_OP_GET || cmd->return_content) {
            reply.created_ms = (uint64_t)session->created_ms;
            reply.owner = session->owner;
            reply.has_content = true;
            reply.kind = session->kind;
            reply.content = session->content;
        } else if (from->returned.len != 0) {
            reply.has_content = true;
            reply.kind = SATCHEL_FIELDS;
            reply.content = from->returned;
        }
    } else {
        count_outcome(&worker->metrics, from->status);
    }
    bool now = is_durable(worker, from->gate_lsn);
    struct buf *out = now ? conn_out(self->client->conn) : &worker->parked.bytes;
    size_t before = out->len;
    if (native_encode_reply(out, &reply) != STATUS_OK) {
        conn_close(self->client->conn, CONN_CLOSE_LIMIT, "out of memory");
    } else if (now) {
        serve_answered(self->client, worker->op, worker->came_ns);
    } else {
        park(worker, self->client, from->gate_lsn, out->len - before);
    }
}
