/* A server on the loopback that follows a script. */
#include "unit/client/fake.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "session/session.h"

enum { PEERS_MAX = 64, SESSIONS_MAX = 2048 };

struct fake_peer {
    struct fake *fake;
    int fd; /* -1: free */
    unsigned number;
    bool drop;
    bool is_deaf;
    struct buf in;
    struct buf out;
};

struct stored {
    struct buf id;
    struct buf content;
    struct buf owner;
    struct session session;
};

struct fake {
    struct fake_options options;
    char address[32];
    int listener;
    int wake; /* eventfd: stop or close connections */
    pthread_t thread;
    atomic_bool stop;
    atomic_uint connections;
    atomic_uint requests;
    atomic_uint closes_wanted;
    atomic_uint closes_done;
    struct fake_peer peers[PEERS_MAX];
    struct stored *sessions[SESSIONS_MAX];
    uint64_t lsn;
};

/* ---- Sending -------------------------------------------------------------------------------- */

void fake_send(struct fake_peer *peer, struct view bytes)
{
    if (buf_append(&peer->out, bytes) != STATUS_OK) {
        abort();
    }
}

/* What a script sends for one request leaves in one go, so that tests do not depend on timing; or
 * in pieces, when the test wants these. */
static void flush(struct fake_peer *peer)
{
    size_t piece = peer->fake->options.piece_bytes;
    struct view rest = buf_view(&peer->out);
    while (rest.len > 0) {
        size_t len = piece != 0 && piece < rest.len ? piece : rest.len;
        ssize_t sent = send(peer->fd, rest.ptr, len, MSG_NOSIGNAL);
        if (sent < 0) {
            break; /* the client has gone, which is its right */
        }
        rest.ptr += sent;
        rest.len -= (size_t)sent;
    }
    peer->out.len = 0;
}

void fake_reply(struct fake_peer *peer, const struct native_reply *reply)
{
    struct buf frame = {0};
    enum status status = native_encode_reply(&frame, reply);
    assert(status == STATUS_OK);
    (void)status;
    fake_send(peer, buf_view(&frame));
    buf_free(&frame);
}

void fake_status(struct fake_peer *peer, const struct fake_request *request,
                 enum satchel_status status, uint64_t retry_after_ms)
{
    fake_reply(peer, &(struct native_reply){.request_id = request->header.request_id,
                                            .opcode = (enum satchel_opcode)request->header.opcode,
                                            .status = status,
                                            .retry_after_ms = retry_after_ms});
}

void fake_drop(struct fake_peer *peer)
{
    peer->drop = true;
}

void fake_stop_reading(struct fake_peer *peer)
{
    peer->is_deaf = true;
}

void fake_goaway(struct fake_peer *peer)
{
    fake_reply(peer, &(struct native_reply){.opcode = SATCHEL_OP_GOAWAY});
}

static void send_frame(struct fake_peer *peer, const struct fake_request *request,
                       const struct buf *body)
{
    struct buf frame = {0};
    size_t start;
    enum status status = native_frame_begin(&frame, &start);
    status = status == STATUS_OK ? buf_append(&frame, buf_view(body)) : status;
    assert(status == STATUS_OK);
    (void)status;
    native_frame_end(&frame, start,
                     (struct native_header){.version = SATCHEL_WIRE_VERSION,
                                            .opcode = request->header.opcode,
                                            .flags = SATCHEL_FLAG_REPLY,
                                            .request_id = request->header.request_id});
    fake_send(peer, buf_view(&frame));
    buf_free(&frame);
}

void fake_welcome(struct fake_peer *peer, const struct fake_request *request)
{
    struct buf body = {0};
    uint64_t in_flight = peer->fake->options.in_flight;
    enum status status = native_put_u16(&body, SATCHEL_TAG_WIRE_VERSION, SATCHEL_WIRE_VERSION);
    status |= native_put_u64(&body, SATCHEL_TAG_LIMIT_IN_FLIGHT, in_flight != 0 ? in_flight : 1024);
    status |= native_put_u64(&body, SATCHEL_TAG_LIMIT_BODY_BYTES, SATCHEL_BODY_BYTES_MAX);
    status |= native_put_bytes(&body, SATCHEL_TAG_SERVER_NAME, view_str("fake"));
    assert(status == STATUS_OK);
    send_frame(peer, request, &body);
    buf_free(&body);
}

/* ---- The store ------------------------------------------------------------------------------ */

static struct stored **find(struct fake *self, struct view id)
{
    struct stored **vacant = NULL;
    for (size_t i = 0; i < SESSIONS_MAX; i++) {
        if (self->sessions[i] == NULL) {
            vacant = vacant == NULL ? &self->sessions[i] : vacant;
        } else if (view_equal(buf_view(&self->sessions[i]->id), id)) {
            return &self->sessions[i];
        }
    }
    assert(vacant != NULL);
    return vacant;
}

static void stored_free(struct stored *stored)
{
    if (stored != NULL) {
        buf_free(&stored->id);
        buf_free(&stored->content);
        buf_free(&stored->owner);
        free(stored);
    }
}

static struct stored *stored_new(const struct session *from, uint64_t version)
{
    struct stored *stored = calloc(1, sizeof *stored);
    enum status status = buf_append(&stored->id, from->id);
    status |= buf_append(&stored->content, from->content);
    status |= buf_append(&stored->owner, from->owner);
    assert(status == STATUS_OK);
    stored->session = *from;
    stored->session.version = version;
    stored->session.id = buf_view(&stored->id);
    stored->session.content = buf_view(&stored->content);
    stored->session.owner = buf_view(&stored->owner);
    return stored;
}

static void run_command(struct fake_peer *peer, const struct native_request *request)
{
    struct fake *self = peer->fake;
    const struct command *cmd = &request->command;
    struct stored **place = find(self, cmd->id);
    struct session_scratch scratch = {0};
    struct change change;
    int64_t now_ms = clock_wall_ms(&clock_system);
    session_apply(*place != NULL ? &(*place)->session : NULL, cmd, now_ms, &scratch, &change);
    struct stored *next = NULL;
    if (change.kind == CHANGE_PUT || change.kind == CHANGE_PATCH || change.kind == CHANGE_TOUCH) {
        uint64_t version = change.kind == CHANGE_TOUCH ? change.next.version : ++self->lsn;
        next = stored_new(&change.next, version);
        change.next.version = version;
    }
    bool is_get = cmd->op == SATCHEL_OP_GET;
    bool has_content = change.status == SATCHEL_OK &&
                       (is_get || cmd->return_content || change.returned.len != 0);
    bool whole = is_get || cmd->return_content;
    fake_reply(peer, &(struct native_reply){
                         .request_id = request->header.request_id,
                         .opcode = cmd->op,
                         .status = change.status,
                         .has_version = true,
                         .version = change.next.version,
                         .expires_in_ms = change.next.expires_ms > now_ms
                                              ? (uint64_t)(change.next.expires_ms - now_ms)
                                              : 0,
                         .idle_ttl_ms = change.next.idle_ttl_ms,
                         .owner = is_get ? change.next.owner : (struct view){0},
                         .has_content = has_content,
                         .kind = whole ? change.next.kind : SATCHEL_FIELDS,
                         .content = whole ? change.next.content : change.returned,
                     });
    if (next != NULL || change.kind == CHANGE_DELETE) {
        stored_free(*place);
        *place = next;
    }
    session_scratch_free(&scratch);
}

/* Pages of two: the cursor is the place of the next one in the table. */
static void run_scan(struct fake_peer *peer, const struct fake_request *request,
                     const struct native_scan *scan)
{
    struct buf body = {0};
    uint64_t at = scan->cursor;
    enum status status = STATUS_OK;
    for (unsigned found = 0; at < SESSIONS_MAX && found < 2; at++) {
        const struct stored *stored = peer->fake->sessions[at];
        if (stored == NULL || stored->id.len < scan->prefix.len ||
            !view_equal(view_of(stored->id.ptr, scan->prefix.len), scan->prefix)) {
            continue;
        }
        struct buf entry = {0};
        uint8_t head[21] = {0};
        store_u64(head, stored->session.version);
        store_u32(head + 16, (uint32_t)stored->content.len);
        head[20] = (uint8_t)stored->session.kind;
        status |= buf_append(&entry, view_of(head, sizeof head));
        status |= buf_append(&entry, buf_view(&stored->id));
        status |= native_put_bytes(&body, SATCHEL_TAG_ENTRY, buf_view(&entry));
        buf_free(&entry);
        found++;
    }
    status |= native_put_u64(&body, SATCHEL_TAG_CURSOR, at < SESSIONS_MAX ? at : 0);
    assert(status == STATUS_OK);
    send_frame(peer, request, &body);
    buf_free(&body);
}

static void run_stats(struct fake_peer *peer, const struct fake_request *request)
{
    struct buf body = {0};
    enum status status = native_put_bytes(&body, SATCHEL_TAG_STAT, view_str("fake_sessions 3"));
    status |= native_put_bytes(&body, SATCHEL_TAG_STAT, view_str("fake_seconds_total 1.5"));
    assert(status == STATUS_OK);
    send_frame(peer, request, &body);
    buf_free(&body);
}

void fake_store(struct fake_peer *peer, const struct fake_request *request)
{
    struct native_request decoded = {.header = request->header};
    const char *why = "";
    enum satchel_status status = native_decode_request(&decoded, request->body, ACK_DURABLE,
                                                       SATCHEL_VALUE_BYTES_MAX, &why);
    if (status != SATCHEL_OK || request->header.opcode == SATCHEL_OP_PING) {
        fake_status(peer, request, status, 0);
    } else if (request->header.opcode == SATCHEL_OP_SCAN) {
        run_scan(peer, request, &decoded.scan);
    } else if (request->header.opcode == SATCHEL_OP_STATS) {
        run_stats(peer, request);
    } else {
        run_command(peer, &decoded);
    }
}

/* ---- Serving -------------------------------------------------------------------------------- */

static void greet(struct fake_peer *peer, const struct fake_request *request)
{
    struct fake *self = peer->fake;
    struct native_request decoded = {.header = request->header};
    const char *why = "";
    enum satchel_status status = native_decode_request(&decoded, request->body, ACK_DURABLE, 0,
                                                       &why);
    assert(status == SATCHEL_OK);
    (void)status;
    if (self->options.token != NULL &&
        !view_equal(decoded.hello.token, view_str(self->options.token))) {
        fake_status(peer, request, SATCHEL_UNAUTHENTICATED, 0);
        fake_drop(peer);
    } else {
        fake_welcome(peer, request);
    }
}

static void handle(struct fake_peer *peer, struct fake_request *request)
{
    struct fake *self = peer->fake;
    request->connection = peer->number;
    if (request->header.opcode == SATCHEL_OP_HELLO) {
        if (self->options.hello != NULL) {
            self->options.hello(peer, request, self->options.arg);
        } else {
            greet(peer, request);
        }
        return;
    }
    request->number = atomic_fetch_add(&self->requests, 1) + 1;
    if (self->options.script != NULL) {
        self->options.script(peer, request, self->options.arg);
    } else {
        fake_store(peer, request);
    }
}

static void peer_close(struct fake_peer *peer)
{
    if (peer->fd >= 0) {
        (void)close(peer->fd);
        peer->fd = -1;
        buf_free(&peer->in);
        buf_free(&peer->out);
        peer->drop = false;
    }
}

static void peer_serve(struct fake_peer *peer)
{
    if (buf_reserve(&peer->in, 65536) != STATUS_OK) {
        abort();
    }
    ssize_t got = recv(peer->fd, peer->in.ptr + peer->in.len, peer->in.cap - peer->in.len, 0);
    if (got <= 0) {
        peer_close(peer);
        return;
    }
    peer->in.len += (size_t)got;
    struct fake_request request = {0};
    while (!peer->drop && !peer->is_deaf &&
           native_decode_header(buf_view(&peer->in), &request.header) == STATUS_OK &&
           peer->in.len >= SATCHEL_HEADER_BYTES + (size_t)request.header.body_bytes) {
        request.body = view_of(peer->in.ptr + SATCHEL_HEADER_BYTES, request.header.body_bytes);
        handle(peer, &request);
        flush(peer);
        buf_consume(&peer->in, SATCHEL_HEADER_BYTES + (size_t)request.header.body_bytes);
    }
    if (peer->drop) {
        peer_close(peer);
    }
}

static void peer_accept(struct fake *self)
{
    int fd = accept4(self->listener, NULL, NULL, SOCK_CLOEXEC);
    for (size_t i = 0; i < PEERS_MAX; i++) {
        if (self->peers[i].fd < 0) {
            self->peers[i] = (struct fake_peer){
                .fake = self, .fd = fd, .number = atomic_fetch_add(&self->connections, 1) + 1};
            return;
        }
    }
    abort();
}

static void *serve(void *arg)
{
    struct fake *self = arg;
    while (!atomic_load(&self->stop)) {
        struct pollfd fds[PEERS_MAX + 2];
        nfds_t count = 0;
        fds[count++] = (struct pollfd){.fd = self->listener, .events = POLLIN};
        fds[count++] = (struct pollfd){.fd = self->wake, .events = POLLIN};
        for (size_t i = 0; i < PEERS_MAX; i++) {
            const struct fake_peer *peer = &self->peers[i];
            fds[count++] = (struct pollfd){.fd = peer->is_deaf ? -1 : peer->fd, .events = POLLIN};
        }
        if (poll(fds, count, -1) < 0) {
            continue;
        }
        for (size_t i = 0; i < PEERS_MAX; i++) {
            if (fds[i + 2].revents != 0) {
                peer_serve(&self->peers[i]);
            }
        }
        if (fds[1].revents != 0) {
            uint64_t woken;
            ssize_t got = read(self->wake, &woken, sizeof woken);
            (void)got;
            for (size_t i = 0; i < PEERS_MAX; i++) {
                peer_close(&self->peers[i]);
            }
            atomic_store(&self->closes_done, atomic_load(&self->closes_wanted));
        }
        if (fds[0].revents != 0) {
            peer_accept(self);
        }
    }
    return NULL;
}

static void wake(struct fake *self)
{
    uint64_t one = 1;
    ssize_t written = write(self->wake, &one, sizeof one);
    assert(written == sizeof one);
    (void)written;
}

struct fake *fake_start(const struct fake_options *options)
{
    struct fake *self = calloc(1, sizeof *self);
    if (options != NULL) {
        self->options = *options;
    }
    for (size_t i = 0; i < PEERS_MAX; i++) {
        self->peers[i].fd = -1;
    }
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t address_bytes = sizeof address;
    self->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    self->wake = eventfd(0, EFD_CLOEXEC);
    if (self->listener < 0 || self->wake < 0 ||
        bind(self->listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(self->listener, 64) != 0 ||
        getsockname(self->listener, (struct sockaddr *)&address, &address_bytes) != 0 ||
        pthread_create(&self->thread, NULL, serve, self) != 0) {
        perror("fake server");
        abort();
    }
    (void)snprintf(self->address, sizeof self->address, "127.0.0.1:%d", ntohs(address.sin_port));
    return self;
}

void fake_close_connections(struct fake *self)
{
    unsigned wanted = atomic_fetch_add(&self->closes_wanted, 1) + 1;
    wake(self);
    while (atomic_load(&self->closes_done) < wanted) {
        (void)usleep(500); /* ends with the fake's thread, or with the test's time limit */
    }
}

void fake_stop(struct fake *self)
{
    atomic_store(&self->stop, true);
    wake(self);
    (void)pthread_join(self->thread, NULL);
    for (size_t i = 0; i < PEERS_MAX; i++) {
        peer_close(&self->peers[i]);
    }
    for (size_t i = 0; i < SESSIONS_MAX; i++) {
        stored_free(self->sessions[i]);
    }
    (void)close(self->listener);
    (void)close(self->wake);
    free(self);
}

const char *fake_address(const struct fake *self)
{
    return self->address;
}

unsigned fake_connections(const struct fake *self)
{
    return atomic_load(&self->connections);
}

unsigned fake_requests(const struct fake *self)
{
    return atomic_load(&self->requests);
}
