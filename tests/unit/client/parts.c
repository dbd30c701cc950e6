/* The small parts: server names, requests, the heap of times, fields. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/async_due.h"
#include "client/cli/cli.h"
#include "client/dial.h"
#include "client/request.h"
#include "client/settings.h"
#include "proto/native.h"

Test(settings, server_names_are_split)
{
    static const struct {
        const char *server;
        const char *host; /* NULL: refused */
        const char *port;
    } rows[] = {
        {"127.0.0.1:7401", "127.0.0.1", "7401"},
        {"store.internal", "store.internal", "7401"},
        {"store:1", "store", "1"},
        {"store:65535", "store", "65535"},
        {"[::1]:80", "::1", "80"},
        {"[::1]", "::1", "7401"},
        {"fe80::1", "fe80::1", "7401"},
        {"", NULL, NULL},
        {":7401", NULL, NULL},
        {"store:", NULL, NULL},
        {"store:0", NULL, NULL},
        {"store:65536", NULL, NULL},
        {"store:123456", NULL, NULL},
        {"store:12x", NULL, NULL},
        {"store:-1", NULL, NULL},
        {"[::1", NULL, NULL},
        {"[::1]x", NULL, NULL},
        {"[]:1", NULL, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *host = NULL;
        char *port = NULL;
        enum satchel_status status = settings_split_server(rows[i].server, &host, &port);
        cr_assert_eq(status, rows[i].host != NULL ? SATCHEL_OK : SATCHEL_BAD_REQUEST, "%s",
                     rows[i].server);
        if (rows[i].host != NULL) {
            cr_assert_str_eq(host, rows[i].host);
            cr_assert_str_eq(port, rows[i].port);
        }
        free(host);
        free(port);
    }
}

Test(settings, the_environment_names_the_server_when_the_options_do_not)
{
    struct settings settings;
    cr_assert_eq(setenv("SATCHEL_SERVER", "elsewhere:9", 1), 0);
    cr_assert_eq(settings_init(&settings, NULL), SATCHEL_OK);
    cr_assert_str_eq(settings.host, "elsewhere");
    settings_free(&settings);
    cr_assert_eq(settings_init(&settings, &(struct satchel_options){.server = "here"}), SATCHEL_OK);
    cr_assert_str_eq(settings.host, "here");
    cr_assert_eq(settings.deadline_ms, 2000);
    cr_assert_eq(settings.connect_ms, 500);
    cr_assert_eq(settings.connections_max, 8);
    settings_free(&settings);
    cr_assert_eq(unsetenv("SATCHEL_SERVER"), 0);
    cr_assert_eq(settings_init(&settings, NULL), SATCHEL_OK);
    cr_assert_str_eq(settings.server, "127.0.0.1:7401");
    settings_free(&settings);
}

Test(request, options_that_mean_nothing_to_a_command_are_refused)
{
    const struct satchel_bytes owner = {.ptr = "me", .len = 2};
    static char long_id[SATCHEL_ID_BYTES_MAX + 1];
    memset(long_id, 'x', sizeof long_id);
    const struct satchel_bytes id = {.ptr = "id", .len = 2};
    const struct satchel_op increment = {.op = SATCHEL_FIELD_INCREMENT, .name = id, .delta = 1};
    const struct satchel_op both = {.op = SATCHEL_FIELD_SET, .name = id, .delta = 1};
    const struct satchel_op nameless = {.op = SATCHEL_FIELD_DELETE};
    const struct {
        enum satchel_opcode opcode;
        struct satchel_command_options options;
        struct satchel_bytes id;
        const struct satchel_op *op;
        enum satchel_status status;
    } rows[] = {
        {SATCHEL_OP_GET, {.touch = true}, id, NULL, SATCHEL_OK},
        {SATCHEL_OP_GET, {.ack = SATCHEL_ACK_FAST}, id, NULL, SATCHEL_BAD_REQUEST},
        {SATCHEL_OP_GET, {.condition = SATCHEL_IF_PRESENT}, id, NULL, SATCHEL_BAD_REQUEST},
        {SATCHEL_OP_GET, {.ttl_ms = 1}, id, NULL, SATCHEL_BAD_REQUEST},
        {SATCHEL_OP_GET, {.owner = &owner}, id, NULL, SATCHEL_BAD_REQUEST},
        {SATCHEL_OP_GET, {0}, {.len = 0}, NULL, SATCHEL_BAD_REQUEST},
        {SATCHEL_OP_GET, {0}, {long_id, sizeof long_id}, NULL, SATCHEL_TOO_LARGE},
        {SATCHEL_OP_SET, {.owner = &owner, .keep_ttl = true}, id, NULL, SATCHEL_OK},
        {SATCHEL_OP_SET, {.ttl_ms = 1, .idle_ttl_ms = 1}, id, NULL, SATCHEL_BAD_REQUEST},
        {SATCHEL_OP_SET, {.ttl_ms = 1, .keep_ttl = true}, id, NULL, SATCHEL_BAD_REQUEST},
        {SATCHEL_OP_SET, {.touch = true}, id, NULL, SATCHEL_BAD_REQUEST},
        {SATCHEL_OP_SET, {.return_content = true}, id, NULL, SATCHEL_BAD_REQUEST},
        {SATCHEL_OP_SET, {.if_version = 7}, id, NULL, SATCHEL_BAD_REQUEST},
        {SATCHEL_OP_SET, {.condition = SATCHEL_IF_VERSION}, id, NULL, SATCHEL_BAD_REQUEST},
        {SATCHEL_OP_SET, {.condition = SATCHEL_IF_VERSION, .if_version = 7}, id, NULL, SATCHEL_OK},
        {SATCHEL_OP_SET, {.ttl_ms = SATCHEL_TTL_MS_MAX + 1}, id, NULL, SATCHEL_TOO_LARGE},
        {SATCHEL_OP_DELETE, {.ttl_ms = 1}, id, NULL, SATCHEL_BAD_REQUEST},
        {SATCHEL_OP_DELETE, {.ack = SATCHEL_ACK_FAST}, id, NULL, SATCHEL_OK},
        {SATCHEL_OP_TOUCH, {.owner = &owner}, id, NULL, SATCHEL_BAD_REQUEST},
        {SATCHEL_OP_PATCH, {.return_content = true}, id, &increment, SATCHEL_OK},
        {SATCHEL_OP_PATCH, {0}, id, NULL, SATCHEL_BAD_REQUEST},
        {SATCHEL_OP_PATCH, {0}, id, &both, SATCHEL_BAD_REQUEST},
        {SATCHEL_OP_PATCH, {0}, id, &nameless, SATCHEL_BAD_REQUEST},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct request request;
        const char *why = NULL;
        enum satchel_status status = request_init(&request,
                                                  &(struct request_call){
                                                      .opcode = rows[i].opcode,
                                                      .id = rows[i].id,
                                                      .kind = SATCHEL_BLOB,
                                                      .ops = rows[i].op,
                                                      .count = rows[i].op != NULL ? 1 : 0,
                                                      .options = &rows[i].options,
                                                  },
                                                  &why);
        cr_assert_eq(status, rows[i].status, "row %zu: %s", i, satchel_status_name_of(status));
        cr_assert_eq(why == NULL, status == SATCHEL_OK, "row %zu", i);
        if (status == SATCHEL_OK) {
            struct native_request decoded = {0};
            cr_assert_eq(native_decode_header(buf_view(&request.frame), &decoded.header),
                         STATUS_OK);
            cr_assert_eq(native_decode_request(&decoded, request_body(&request), ACK_DURABLE,
                                               SATCHEL_VALUE_BYTES_MAX, &why),
                         SATCHEL_OK);
            cr_assert_eq(decoded.command.op, rows[i].opcode);
            request_free(&request);
        }
    }
}

Test(due, entries_come_out_in_the_order_of_their_times)
{
    enum { ENTRIES = 500 };
    static struct due_entry entries[ENTRIES];
    struct due due = {0};
    uint32_t seed = 1;
    for (size_t i = 0; i < ENTRIES; i++) {
        seed = seed * 1664525 + 1013904223;
        cr_assert_eq(due_add(&due, &entries[i], seed >> 8), STATUS_OK);
    }
    for (size_t i = 0; i < ENTRIES; i += 3) {
        due_remove(&due, &entries[i]);
        due_remove(&due, &entries[i]); /* the second time does nothing */
    }
    for (size_t i = 1; i < ENTRIES; i += 3) {
        seed = seed * 1664525 + 1013904223;
        due_move(&due, &entries[i], seed >> 8);
    }
    int64_t before = -1;
    size_t count = 0;
    struct due_entry *first;
    while ((first = due_first(&due)) != NULL) {
        cr_assert_leq(before, first->at_ns);
        before = first->at_ns;
        due_remove(&due, first);
        count++;
    }
    cr_assert_eq(count, ENTRIES - (ENTRIES + 2) / 3);
    due_free(&due);
}

Test(cli, changes_of_a_patch_are_parsed)
{
    static const struct {
        const char *text;
        int op; /* 0: refused */
        const char *name;
        const char *value;
        int64_t delta;
    } rows[] = {
        {"a=b", SATCHEL_FIELD_SET, "a", "b", 0},
        {"a=", SATCHEL_FIELD_SET, "a", "", 0},
        {"a=b=c", SATCHEL_FIELD_SET, "a", "b=c", 0},
        {"a?=b", SATCHEL_FIELD_SET_IF_ABSENT, "a", "b", 0},
        {"a+=5", SATCHEL_FIELD_INCREMENT, "a", "", 5},
        {"a-=5", SATCHEL_FIELD_INCREMENT, "a", "", -5},
        {"a+=-5", SATCHEL_FIELD_INCREMENT, "a", "", -5},
        {"a+=9223372036854775807", SATCHEL_FIELD_INCREMENT, "a", "", INT64_MAX},
        {"a+=-9223372036854775808", SATCHEL_FIELD_INCREMENT, "a", "", INT64_MIN},
        {"a!", SATCHEL_FIELD_DELETE, "a", "", 0},
        {"a!=b", SATCHEL_FIELD_SET, "a!", "b", 0},
        {"a-=-9223372036854775808", 0, "", "", 0},
        {"a+=9223372036854775808", 0, "", "", 0},
        {"a+=5x", 0, "", "", 0},
        {"a+=", 0, "", "", 0},
        {"a+= 5", 0, "", "", 0},
        {"a", 0, "", "", 0},
        {"!", 0, "", "", 0},
        {"=b", 0, "", "", 0},
        {"+=5", 0, "", "", 0},
        {"", 0, "", "", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct satchel_op op;
        bool is_parsed = cli_parse_op(rows[i].text, &op);
        cr_assert_eq(is_parsed, rows[i].op != 0, "`%s`", rows[i].text);
        if (is_parsed) {
            cr_assert_eq((int)op.op, rows[i].op, "`%s`", rows[i].text);
            cr_assert(op.name.len == strlen(rows[i].name) &&
                      memcmp(op.name.ptr, rows[i].name, op.name.len) == 0);
            cr_assert(
                op.value.len == strlen(rows[i].value) &&
                (op.value.len == 0 || memcmp(op.value.ptr, rows[i].value, op.value.len) == 0));
            cr_assert_eq(op.delta, rows[i].delta, "`%s`", rows[i].text);
        }
    }
}

Test(dial, sockets_send_at_once_and_ask_silent_peers_before_a_load_balancer_forgets_them)
{
    static const struct {
        int level;
        int name;
        int expected;
    } cases[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},    {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, 60}, /* a Network Load Balancer forgets after 350 s */
        {IPPROTO_TCP, TCP_KEEPINTVL, 15}, {IPPROTO_TCP, TCP_KEEPCNT, 4},
    };
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t any_len = sizeof any;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(bind(listener, (struct sockaddr *)&any, sizeof any), 0);
    cr_assert_eq(listen(listener, 1), 0);
    cr_assert_eq(getsockname(listener, (struct sockaddr *)&any, &any_len), 0);
    const struct addrinfo address = {
        .ai_family = AF_INET, .ai_addr = (struct sockaddr *)&any, .ai_addrlen = sizeof any};
    int error = 0;
    int fd = dial_start(&address, &error);
    cr_assert(fd >= 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int value = 0;
        socklen_t bytes = sizeof value;
        cr_assert_eq(getsockopt(fd, cases[i].level, cases[i].name, &value, &bytes), 0);
        cr_assert_eq(value, cases[i].expected, "case %zu: %d", i, value);
    }
    (void)close(fd);
    (void)close(listener);
}
