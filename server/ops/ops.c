/* The pages of the ops server. */
#include "ops/ops.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/address.h"
#include "files.h"
#include "ops/http.h"
#include "ops/process.h"
#include "ops/prometheus.h"

enum { WHY_BYTES_MAX = 256 };

/* A probe or a scrape is one short request; nobody needs more than this. */
static const struct http_limits limits = {
    .connections_max = 64, .head_bytes_max = 8192, .deadline_ms = 5000};

struct ops {
    const struct metric_registry *registry; /* borrowed */
    struct ops_callbacks callbacks;
    struct http_server *server; /* owned */
    uint16_t port;
    struct view headers; /* of the request that is being answered; borrowed until that is done */
};

const struct option_desc ops_option_descs[] = {
    {.name = "ops",
     .type = OPTION_TEXT,
     .standard = "127.0.0.1:7402",
     .unit = "HOST:PORT",
     .help = "Address of the health checks and metrics (/livez, /readyz, /leader, /backupz, "
             "/metrics), of the page that shows them to people (/) and of POST /snapshot; port 0 "
             "takes a free one, an empty value turns them off.",
     .offset = offsetof(struct ops_options, listen)},
};
const size_t ops_option_count = sizeof ops_option_descs / sizeof ops_option_descs[0];

/* The page for people, which reads all the others; see ops/page/. */
static enum status page_root(struct ops *self, struct http_reply *reply)
{
    (void)self;
    reply->content_type = "text/html; charset=utf-8";
    reply->headers = view_of(file_page_headers, file_page_headers_bytes);
    return buf_append(&reply->body, view_of(file_page_html, file_page_html_bytes));
}

static enum status page_livez(struct ops *self, struct http_reply *reply)
{
    (void)self;
    return buf_append(&reply->body, view_str("alive\n"));
}

/* 200 when `is_so` says so or is NULL, otherwise 503 and its reason. */
static enum status answer(struct ops *self, struct http_reply *reply,
                          bool (*is_so)(void *arg, char *why, size_t why_bytes), const char *what)
{
    char why[WHY_BYTES_MAX] = "";
    if (is_so == NULL || is_so(self->callbacks.arg, why, sizeof why)) {
        return buf_printf(&reply->body, "%s\n", what);
    }
    reply->code = 503;
    return buf_printf(&reply->body, "not %s: %s\n", what, why);
}

static enum status page_readyz(struct ops *self, struct http_reply *reply)
{
    return answer(self, reply, self->callbacks.ready, "ready");
}

static enum status page_leader(struct ops *self, struct http_reply *reply)
{
    return answer(self, reply, self->callbacks.leads, "leader");
}

static enum status page_backupz(struct ops *self, struct http_reply *reply)
{
    const struct ops_callbacks *callbacks = &self->callbacks;
    bool is_well = true;
    if (callbacks->describe_backup == NULL) {
        reply->code = 404;
        return buf_append(&reply->body, view_str("there are no backups\n"));
    }
    reply->content_type = "application/json";
    enum status status = callbacks->describe_backup(callbacks->arg, &reply->body, &is_well);
    reply->code = is_well ? 200 : 503;
    return status;
}

static enum status page_metrics(struct ops *self, struct http_reply *reply)
{
    struct prometheus_writer writer = {
        .out = &reply->body,
        .is_openmetrics = prometheus_wants_openmetrics(self->headers),
        .status = STATUS_OK};
    reply->content_type = writer.is_openmetrics ? OPENMETRICS_CONTENT_TYPE
                                                : PROMETHEUS_CONTENT_TYPE;
    metric_visit(self->registry, prometheus_write_sample, &writer);
    process_visit(prometheus_write_sample, &writer);
    prometheus_end(&writer);
    return writer.status;
}

static enum status page_snapshot(struct ops *self, struct http_reply *reply)
{
    char why[WHY_BYTES_MAX] = "";
    uint64_t number = 0;
    const struct ops_callbacks *callbacks = &self->callbacks;
    enum status status = callbacks->want_snapshot == NULL
                             ? STATUS_NOT_FOUND
                             : callbacks->want_snapshot(callbacks->arg, &number, why, sizeof why);
    switch (status) {
    case STATUS_OK:
        reply->code = 202;
        reply->content_type = "application/json";
        return buf_printf(&reply->body, "{\"snapshot\": %" PRIu64 "}\n", number);
    case STATUS_NOT_FOUND:
        reply->code = 409;
        return buf_append(&reply->body, view_str("no snapshot: there are no backups\n"));
    default:
        reply->code = 503;
        return buf_printf(&reply->body, "no snapshot: %s\n", why);
    }
}

static const struct {
    const char *path;
    enum http_method method; /* GET: HEAD as well */
    enum status (*write)(struct ops *self, struct http_reply *reply);
} pages[] = {
    {"/", HTTP_GET, page_root},
    {"/livez", HTTP_GET, page_livez},
    {"/readyz", HTTP_GET, page_readyz},
    {"/leader", HTTP_GET, page_leader},
    {"/backupz", HTTP_GET, page_backupz},
    {"/metrics", HTTP_GET, page_metrics},
    {"/snapshot", HTTP_POST, page_snapshot},
};
enum { PAGE_COUNT = sizeof pages / sizeof pages[0] };

static enum status page_not_found(struct http_reply *reply)
{
    reply->code = 404;
    enum status status = buf_append(&reply->body, view_str("not found; there are:\n"));
    for (size_t i = 0; status == STATUS_OK && i < PAGE_COUNT; i++) {
        status = buf_printf(&reply->body, "%s\n", pages[i].path);
    }
    return status;
}

static enum status page_refuse(struct http_reply *reply, enum http_method method)
{
    reply->code = 405;
    reply->allow = method == HTTP_POST ? "POST" : "GET, HEAD";
    return buf_printf(&reply->body, "there is only %s\n", reply->allow);
}

static enum status write_page(struct ops *self, const struct http_request *request,
                              struct http_reply *reply)
{
    size_t page = 0;
    while (page < PAGE_COUNT && !view_equal(request->path, view_str(pages[page].path))) {
        page++;
    }
    if (page == PAGE_COUNT) {
        return page_not_found(reply);
    }
    const enum http_method method = request->method == HTTP_HEAD ? HTTP_GET : request->method;
    return method == pages[page].method ? pages[page].write(self, reply)
                                        : page_refuse(reply, pages[page].method);
}

static void handle(void *arg, const struct http_request *request, struct http_reply *reply)
{
    struct ops *self = arg;
    self->headers = request->headers;
    enum status status = write_page(self, request, reply);
    if (status != STATUS_OK) { /* half a page would read as a whole one */
        reply->code = 500;
        reply->body.len = 0;
    }
    self->headers = view_of(NULL, 0);
}

enum status ops_start(const struct ops_options *options, struct event_base *base,
                      const struct metric_registry *registry, const struct ops_callbacks *callbacks,
                      struct ops **out, char *errmsg, size_t errmsg_bytes)
{
    int fd = -1;
    uint16_t port = 0;
    *out = NULL;
    if (options->listen == NULL || options->listen[0] == '\0') {
        return STATUS_OK;
    }
    char why[400];
    enum status status = address_listen(options->listen, 1, &fd, &port, why, sizeof why);
    if (status != STATUS_OK) {
        (void)snprintf(errmsg, errmsg_bytes, "--ops: %s", why);
        return status;
    }
    struct ops *self = calloc(1, sizeof *self);
    if (self == NULL) {
        (void)snprintf(errmsg, errmsg_bytes, "--ops: %s", status_text(STATUS_NO_MEMORY));
        (void)close(fd);
        return STATUS_NO_MEMORY;
    }
    self->registry = registry;
    self->callbacks = *callbacks;
    self->port = port;
    status = http_server_new(base, fd, &limits, handle, self, &self->server);
    if (status != STATUS_OK) {
        (void)snprintf(errmsg, errmsg_bytes, "--ops: %s", status_text(status));
        free(self);
        return status;
    }
    *out = self;
    return STATUS_OK;
}

uint16_t ops_port(const struct ops *self)
{
    return self != NULL ? self->port : 0;
}

enum status ops_register_metrics(struct ops *self, struct metric_registry *registry)
{
    if (self == NULL) {
        return STATUS_OK;
    }
    return metric_register(registry,
                           (struct metric_set){.table = &http_metrics_table,
                                               .values = http_server_metrics(self->server)});
}

void ops_stop(struct ops *self)
{
    if (self != NULL) {
        http_server_free(self->server);
        free(self);
    }
}
