/*
 * The limit of the transport: a server that does nothing.
 *
 * It reads requests with the real network module and the real header decoder and answers each with
 * a constant reply, so what a Satchel server needs beyond this is what commands and storage cost.
 * The first byte tells the protocol: native frames get an OK (GET: with a 512-byte value), anything
 * else is taken for RESP commands in arrays, so that redis-benchmark and memtier_benchmark can be
 * the load ("GET" gets a 512-byte value, everything else +OK).
 *
 * With --floor-sessions it is the floor server instead: the same with the least of a store
 * (floor.h), native protocol only.
 *
 * Prints the port, runs until SIGINT or SIGTERM, then prints its CPU time and system calls.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/option.h"
#include "micro/floor.h"
#include "micro/null_replies.h"
#include "net/net.h"

enum { EXIT_USAGE = 2 };

struct null_options {
    uint64_t floor_sessions; /* 0: the null server */
};

static const struct option_desc option_descs[] = {
    {.name = "floor-sessions",
     .type = OPTION_COUNT,
     .standard = "0",
     .unit = "COUNT",
     .help = "Be the floor server, with room for so many sessions; 0 is the null server.",
     .most = UINT64_C(1) << 31,
     .offset = offsetof(struct null_options, floor_sessions)},
};

/* Replies, made once. */
struct replies {
    struct null_replies native;
    struct buf resp_ok;
    struct buf resp_value;
};

static void must(enum status status)
{
    if (status != STATUS_OK) {
        fprintf(stderr, "null_server: %s\n", status_text(status));
        exit(EXIT_FAILURE);
    }
}

static void make_replies(struct replies *self)
{
    static const uint8_t value[NULL_VALUE_BYTES];
    must(null_replies_init(&self->native));
    must(buf_append(&self->resp_ok, view_str("+OK\r\n")));
    must(buf_printf(&self->resp_value, "$%d\r\n", NULL_VALUE_BYTES));
    must(buf_append(&self->resp_value, view_of(value, sizeof value)));
    must(buf_append(&self->resp_value, view_str("\r\n")));
}

static void free_replies(struct replies *self)
{
    null_replies_free(&self->native);
    buf_free(&self->resp_ok);
    buf_free(&self->resp_value);
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
    *status = null_replies_append(&replies->native, &header, out);
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

/* Reads the command line; ends the process where there is nothing to serve. */
static void read_options(int argc, char **argv, struct net_options *net, struct null_options *own)
{
    const struct option_group groups[] = {
        {"Network", net_option_descs, net_option_count, net},
        {"Floor", option_descs, sizeof option_descs / sizeof option_descs[0], own},
    };
    const size_t group_count = sizeof groups / sizeof groups[0];
    const char *seen = NULL;
    char errmsg[512];
    enum status status = option_parse(groups, group_count, argc, argv, getenv, &seen, errmsg,
                                      sizeof errmsg);
    if (status == STATUS_END && strcmp(seen, "version") == 0) {
        puts("null_server " SATCHEL_VERSION_TEXT);
        exit(EXIT_SUCCESS);
    }
    if (status == STATUS_END) {
        puts("usage: null_server [OPTION…]\n\nA server that answers and does nothing else, or "
             "the least of a store; for measuring.\n");
        option_help(groups, group_count, stdout);
        exit(EXIT_SUCCESS);
    }
    if (status != STATUS_OK) {
        fprintf(stderr, "null_server: %s\n", errmsg);
        exit(EXIT_USAGE);
    }
}

static void print_cpu_time(void)
{
    struct rusage used;
    (void)getrusage(RUSAGE_SELF, &used);
    printf("cpu_seconds_user %ld.%06ld\ncpu_seconds_system %ld.%06ld\n", used.ru_utime.tv_sec,
           used.ru_utime.tv_usec, used.ru_stime.tv_sec, used.ru_stime.tv_usec);
}

/* Serves until it is told to end; the exit status. */
static int serve(const struct net_options *options, const struct net_handler *handler,
                 const sigset_t *endings)
{
    struct net *net;
    char errmsg[256];
    if (net_start(options, handler, &clock_system, &net, errmsg, sizeof errmsg) != STATUS_OK) {
        fprintf(stderr, "null_server: %s\n", errmsg);
        return EXIT_FAILURE;
    }
    static struct metric_registry registry;
    must(net_register_metrics(net, &registry));
    printf("%u\n", (unsigned)net_port(net));
    (void)fflush(stdout);

    int ending;
    (void)sigwait(endings, &ending);
    net_stop(net);
    print_cpu_time();
    metric_visit(&registry, print_sample, NULL);
    net_free(net);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    struct net_options options;
    struct null_options own;
    read_options(argc, argv, &options, &own);
    sigset_t endings;
    (void)sigemptyset(&endings);
    (void)sigaddset(&endings, SIGINT);
    (void)sigaddset(&endings, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &endings, NULL);

    struct replies replies = {0};
    make_replies(&replies);
    struct net_handler handler = {.worker_started = on_worker_started,
                                  .worker_stopped = on_worker,
                                  .opened = on_conn,
                                  .arrived = on_arrived,
                                  .received = on_received,
                                  .closed = on_conn,
                                  .turned = on_worker,
                                  .woken = on_worker,
                                  .arg = &replies};
    struct floor *floor = NULL;
    if (own.floor_sessions != 0) {
        floor = floor_new(own.floor_sessions, options.workers != 1, &replies.native);
        must(floor != NULL ? STATUS_OK : STATUS_NO_MEMORY);
        floor_handle(floor, &handler);
    }
    int exit_status = serve(&options, &handler, &endings);
    floor_free(floor);
    free_replies(&replies);
    return exit_status;
}
