/*
 * The limit of the transport: a server that does nothing.
 *
 * It reads requests with the real network module and the real header decoder and answers each with
 * a constant reply, so what a Satchel server needs beyond this is what commands and storage cost.
 * The first byte tells the protocol: native frames get an OK (GET: with a 512-byte value), anything
 * else is taken for RESP commands in arrays, so that redis-benchmark and memtier_benchmark can be
 * the load ("GET" gets a 512-byte value, everything else +OK).
 *
 *     null_server [HOST:PORT [WORKERS]]        default: 127.0.0.1:0, 1 worker
 *
 * Prints the port, runs until SIGINT or SIGTERM, then prints its CPU time and system calls.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "net/net.h"
#include "proto/native.h"

enum { VALUE_BYTES = 512 };

/* Replies, made once. */
struct replies {
    struct buf native_hello;
    struct buf native_ok;
    struct buf native_value;
    struct buf resp_ok;
    struct buf resp_value;
};

static void must(enum status status)
{
    if (status != STATUS_OK) {
        fprintf(stderr, "null_server: %s\n", status_text(status));
        exit(1);
    }
}

static void make_replies(struct replies *self)
{
    static const uint8_t value[VALUE_BYTES];
    struct native_reply ok = {.opcode = SATCHEL_OP_SET, .has_version = true, .version = 1};
    struct native_reply found = {.opcode = SATCHEL_OP_GET,
                                 .has_version = true,
                                 .version = 1,
                                 .has_content = true,
                                 .kind = SATCHEL_BLOB,
                                 .content = view_of(value, sizeof value)};
    size_t start;
    must(native_frame_begin(&self->native_hello, &start));
    must(native_put_u16(&self->native_hello, SATCHEL_TAG_WIRE_VERSION, SATCHEL_WIRE_VERSION));
    native_frame_end(&self->native_hello, start,
                     (struct native_header){.opcode = SATCHEL_OP_HELLO});
    must(native_encode_reply(&self->native_ok, &ok));
    must(native_encode_reply(&self->native_value, &found));
    must(buf_append(&self->resp_ok, view_str("+OK\r\n")));
    must(buf_printf(&self->resp_value, "$%d\r\n", VALUE_BYTES));
    must(buf_append(&self->resp_value, view_of(value, sizeof value)));
    must(buf_append(&self->resp_value, view_str("\r\n")));
}

/* Answers the frame at the start of `rest`; its length, or 0 with *need when it is not whole. */
static size_t answer_native(const struct replies *replies, struct view rest, struct buf *out,
                            size_t *need, enum status *status)
{
    struct native_header header;
    *status = native_decode_header(rest, &header);
    if (*status == STATUS_AGAIN) {
        *status = STATUS_OK;
        *need = SATCHEL_HEADER_BYTES;
        return 0;
    }
    size_t frame_bytes = SATCHEL_HEADER_BYTES + (size_t)header.body_bytes;
    if (*status != STATUS_OK || rest.len < frame_bytes) {
        *need = frame_bytes;
        return 0;
    }
    const struct buf *reply = header.opcode == SATCHEL_OP_HELLO ? &replies->native_hello
                              : header.opcode == SATCHEL_OP_GET ? &replies->native_value
                                                                : &replies->native_ok;
    size_t start = out->len;
    *status = buf_append(out, buf_view(reply));
    if (*status == STATUS_OK) {
        struct native_header answer = {.version = SATCHEL_WIRE_VERSION,
                                       .opcode = header.opcode,
                                       .flags = SATCHEL_FLAG_REPLY,
                                       .body_bytes = (uint32_t)(reply->len - SATCHEL_HEADER_BYTES),
                                       .request_id = header.request_id};
        native_encode_header(out->ptr + start, &answer);
    }
    return frame_bytes;
}

/* A number up to the line's end after `mark`; the bytes of the line, 0 when it is not whole. */
static size_t resp_line(struct view rest, size_t *number)
{
    const uint8_t *end = memchr(rest.ptr, '\n', rest.len);
    if (end == NULL) {
        return 0;
    }
    *number = 0;
    for (const uint8_t *digit = rest.ptr + 1; *digit >= '0' && *digit <= '9'; digit++) {
        *number = *number * 10 + (size_t)(*digit - '0');
    }
    return (size_t)(end - rest.ptr) + 1;
}

/* Answers the command at the start of `rest`; its length, or 0 when it is not whole. */
static size_t answer_resp(const struct replies *replies, struct view rest, struct buf *out,
                          enum status *status)
{
    size_t word_count;
    size_t at = resp_line(rest, &word_count);
    bool is_get = false;
    if (at == 0) {
        return 0;
    }
    for (size_t i = 0; i < word_count; i++) {
        size_t word_bytes;
        size_t line = at < rest.len ? resp_line(view_of(rest.ptr + at, rest.len - at), &word_bytes)
                                    : 0;
        if (line == 0 || rest.len - at - line < word_bytes + 2) {
            return 0;
        }
        is_get = is_get || (i == 0 && word_bytes == 3 && (rest.ptr[at + line] | 0x20) == 'g');
        at += line + word_bytes + 2;
    }
    *status = buf_append(out, buf_view(is_get ? &replies->resp_value : &replies->resp_ok));
    return at;
}

static size_t on_received(void *arg, struct conn *conn, struct view bytes, size_t *need)
{
    const struct replies *replies = arg;
    struct buf *out = conn_out(conn);
    enum status status = STATUS_OK;
    size_t used = 0;
    while (used < bytes.len && !conn_is_full(conn)) {
        struct view rest = view_of(bytes.ptr + used, bytes.len - used);
        size_t taken = rest.ptr[0] == SATCHEL_WIRE_MAGIC
                           ? answer_native(replies, rest, out, need, &status)
                           : answer_resp(replies, rest, out, &status);
        if (status != STATUS_OK) {
            conn_close(conn, CONN_CLOSE_PROTOCOL, status_text(status));
            break;
        }
        if (taken == 0) {
            break;
        }
        used += taken;
    }
    return used;
}

static void *on_worker_started(void *arg, struct worker *worker)
{
    (void)worker;
    return arg;
}

static void on_worker(void *arg, struct worker *worker)
{
    (void)arg;
    (void)worker;
}

static void on_arrived(void *arg, struct conn *conn, struct view bytes)
{
    (void)arg;
    (void)conn;
    (void)bytes;
}

static void on_conn(void *arg, struct conn *conn)
{
    (void)arg;
    (void)conn;
}

static void print_sample(void *arg, const struct metric_sample *sample)
{
    (void)arg;
    struct buf line = {0};
    if (metric_write_plain(&line, sample) == STATUS_OK) {
        (void)fwrite(line.ptr, 1, line.len, stdout);
    }
    buf_free(&line);
}

int main(int argc, char **argv)
{
    sigset_t endings;
    (void)sigemptyset(&endings);
    (void)sigaddset(&endings, SIGINT);
    (void)sigaddset(&endings, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &endings, NULL);

    struct replies replies = {0};
    make_replies(&replies);
    struct net_options options = {.listen = argc > 1 ? argv[1] : "127.0.0.1:0",
                                  .workers = argc > 2 ? strtoul(argv[2], NULL, 10) : 1,
                                  .connections_max = 20000,
                                  .unsent_bytes_max = 8 * 1024 * 1024,
                                  .held_bytes_max = 256 * 1024 * 1024,
                                  .stall_ms = 30000};
    struct net_handler handler = {.worker_started = on_worker_started,
                                  .worker_stopped = on_worker,
                                  .opened = on_conn,
                                  .arrived = on_arrived,
                                  .received = on_received,
                                  .closed = on_conn,
                                  .turned = on_worker,
                                  .woken = on_worker,
                                  .arg = &replies};
    struct net *net;
    char errmsg[256];
    if (net_start(&options, &handler, &clock_system, &net, errmsg, sizeof errmsg) != STATUS_OK) {
        fprintf(stderr, "null_server: %s\n", errmsg);
        return 1;
    }
    static struct metric_registry registry;
    must(net_register_metrics(net, &registry));
    printf("%u\n", (unsigned)net_port(net));
    (void)fflush(stdout);

    int ending;
    (void)sigwait(&endings, &ending);
    net_stop(net);
    struct rusage used;
    (void)getrusage(RUSAGE_SELF, &used);
    printf("cpu_seconds_user %ld.%06ld\ncpu_seconds_system %ld.%06ld\n", used.ru_utime.tv_sec,
           used.ru_utime.tv_usec, used.ru_stime.tv_sec, used.ru_stime.tv_usec);
    metric_visit(&registry, print_sample, NULL);
    net_free(net);
    buf_free(&replies.native_hello);
    buf_free(&replies.native_ok);
    buf_free(&replies.native_value);
    buf_free(&replies.resp_ok);
    buf_free(&replies.resp_value);
    return 0;
}
