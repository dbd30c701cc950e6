/* The pages, as a load balancer, an operator and Prometheus see them. */
#include "ops/ops.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "unit/ops/exposition.h"
#include "unit/ops/loop_client.h"

#define WORK_METRICS(X)                                                                            \
    X(counter, gets, "satchel_requests_total", "op=\"get\"", "Requests.")                          \
    X(counter, sets, "satchel_requests_total", "op=\"set\"", "Requests.")                          \
    X(gauge, sessions, "satchel_sessions", "", "Sessions that are kept.")                          \
    X(histogram, seconds, "satchel_request_duration_seconds", "", "Time of requests.")
METRIC_STRUCT(work_metrics, WORK_METRICS)
#define METRIC_OWNER struct work_metrics
METRIC_TABLE(work_metrics, WORK_METRICS)
#undef METRIC_OWNER

static struct event_base *base;
static struct metric_registry registry;
static struct work_metrics work[2];
static struct ops *ops;
static const char *why_not_ready; /* NULL: ready */
static const char *why_no_leader; /* NULL: it leads */
static bool has_no_backups;
static bool is_backup_ill;
static enum status backup_status;   /* of describing it */
static enum status snapshot_status; /* of asking for a snapshot */
static uint64_t snapshots_wanted;

static bool ready(void *arg, char *why, size_t why_bytes)
{
    cr_assert(eq(ptr, arg, &work));
    if (why_not_ready != NULL) {
        (void)snprintf(why, why_bytes, "%s", why_not_ready);
    }
    return why_not_ready == NULL;
}

static bool leads(void *arg, char *why, size_t why_bytes)
{
    cr_assert(eq(ptr, arg, &work));
    if (why_no_leader != NULL) {
        (void)snprintf(why, why_bytes, "%s", why_no_leader);
    }
    return why_no_leader == NULL;
}

static enum status describe_backup(void *arg, struct buf *out, bool *is_well)
{
    cr_assert(eq(ptr, arg, &work));
    cr_assert(eq(int, buf_append(out, view_str("{\"lag_ms\": 12}\n")), STATUS_OK));
    *is_well = !is_backup_ill;
    return backup_status;
}

static enum status want_snapshot(void *arg, uint64_t *number, char *why, size_t why_bytes)
{
    cr_assert(eq(ptr, arg, &work));
    *number = ++snapshots_wanted;
    (void)snprintf(why, why_bytes, "stopping");
    return snapshot_status;
}

static void start(void)
{
    const struct ops_callbacks callbacks = {.ready = ready,
                                            .leads = leads,
                                            .describe_backup = has_no_backups ? NULL
                                                                              : describe_backup,
                                            .want_snapshot = has_no_backups ? NULL : want_snapshot,
                                            .arg = &work};
    char errmsg[200] = "";
    base = event_base_new();
    for (int i = 0; i < 2; i++) {
        cr_assert(eq(int,
                     metric_register(&registry, (struct metric_set){&work_metrics_table, &work[i]}),
                     STATUS_OK));
    }
    cr_assert(eq(int,
                 ops_start(&(struct ops_options){.listen = "127.0.0.1:0"}, base, &registry,
                           &callbacks, &ops, errmsg, sizeof errmsg),
                 STATUS_OK),
              "%s", errmsg);
    cr_assert(eq(int, ops_register_metrics(ops, &registry), STATUS_OK));
}

static void stop(void)
{
    ops_stop(ops);
    event_base_free(base);
}

static char *ask(const char *method, const char *path)
{
    char request[200];
    (void)snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: satchel\r\n\r\n", method,
                   path);
    return client_request(base, ops_port(ops), request);
}

static char *get(const char *path)
{
    return ask("GET", path);
}

/* The answer to a request is as expected; frees it. */
static void expect_answer(char *answer, int code, const char *type, const char *body)
{
    char *content_type = header_of(answer, "Content-Type");
    char *cache_control = header_of(answer, "Cache-Control");
    cr_assert(eq(int, atoi(answer + strlen("HTTP/1.1 ")), code), "%s", answer);
    cr_assert(eq(str, (char *)body_of(answer), (char *)body));
    cr_assert(eq(str, content_type, (char *)type));
    cr_assert(eq(str, cache_control, "no-store"));
    free(content_type);
    free(cache_control);
    free(answer);
}

static void expect_typed(const char *path, int code, const char *type, const char *body)
{
    expect_answer(get(path), code, type, body);
}

static void expect(const char *path, int code, const char *body)
{
    expect_typed(path, code, "text/plain; charset=utf-8", body);
}

Test(ops, livez_is_ok_whether_ready_or_not)
{
    start();
    expect("/livez", 200, "alive\n");
    why_not_ready = "loading";
    expect("/livez", 200, "alive\n");
    stop();
}

Test(ops, leader_is_who_owns_the_store_whether_ready_or_not)
{
    start();
    why_not_ready = "the storage has not answered for 11 s";
    expect("/leader", 200, "leader\n");
    why_not_ready = NULL;
    why_no_leader = "standby: owned by task 0f3c";
    expect("/leader", 503, "not leader: standby: owned by task 0f3c\n");
    expect("/readyz", 200, "ready\n");
    stop();
}

Test(ops, readyz_says_why_not)
{
    start();
    expect("/readyz", 200, "ready\n");
    why_not_ready = "still reading its data";
    expect("/readyz", 503, "not ready: still reading its data\n");
    why_not_ready = NULL;
    expect("/readyz?verbose", 200, "ready\n");
    stop();
}

Test(ops, backupz_is_json_whether_all_is_well_or_not)
{
    static const char body[] = "{\"lag_ms\": 12}\n";
    start();
    expect_typed("/backupz", 200, "application/json", body);
    is_backup_ill = true;
    expect_typed("/backupz", 503, "application/json", body);
    is_backup_ill = false;
    expect_typed("/backupz", 200, "application/json", body);
    stop();
}

Test(ops, backupz_is_not_found_when_nobody_can_tell)
{
    has_no_backups = true;
    start();
    expect("/backupz", 404, "there are no backups\n");
    stop();
}

Test(ops, half_a_description_is_no_answer)
{
    backup_status = STATUS_NO_MEMORY;
    start();
    char *answer = get("/backupz");
    cr_assert(eq(int, atoi(answer + strlen("HTTP/1.1 ")), 500), "%s", answer);
    cr_assert(eq(str, (char *)body_of(answer), ""));
    free(answer);
    stop();
}

Test(ops, a_snapshot_is_asked_for_by_post)
{
    static const char text[] = "text/plain; charset=utf-8";
    start();
    expect_answer(ask("POST", "/snapshot"), 202, "application/json", "{\"snapshot\": 1}\n");
    expect_answer(ask("POST", "/snapshot?x"), 202, "application/json", "{\"snapshot\": 2}\n");
    snapshot_status = STATUS_AGAIN;
    expect_answer(ask("POST", "/snapshot"), 503, text, "no snapshot: stopping\n");
    snapshot_status = STATUS_NOT_FOUND;
    expect_answer(ask("POST", "/snapshot"), 409, text, "no snapshot: there are no backups\n");
    stop();
}

Test(ops, a_snapshot_cannot_be_asked_for_without_backups)
{
    has_no_backups = true;
    start();
    expect_answer(ask("POST", "/snapshot"), 409, "text/plain; charset=utf-8",
                  "no snapshot: there are no backups\n");
    stop();
}

Test(ops, every_path_says_which_methods_it_has)
{
    static const struct {
        const char *method;
        const char *path;
        const char *allow;
    } cases[] = {
        {"GET", "/snapshot", "POST"},      {"HEAD", "/snapshot", "POST"},
        {"DELETE", "/snapshot", "POST"},   {"POST", "/livez", "GET, HEAD"},
        {"DELETE", "/livez", "GET, HEAD"}, {"POST", "/backupz", "GET, HEAD"},
        {"PUT", "/metrics", "GET, HEAD"},
    };
    start();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *answer = ask(cases[i].method, cases[i].path);
        char *allow = header_of(answer, "Allow");
        cr_assert(eq(int, atoi(answer + strlen("HTTP/1.1 ")), 405), "%s", answer);
        cr_assert(eq(str, allow, (char *)cases[i].allow));
        free(allow);
        free(answer);
    }
    cr_assert(eq(u64, snapshots_wanted, 0));
    stop();
}

Test(ops, any_other_path_lists_those_that_exist)
{
    static const char *const paths[] = {"/live", "/livezz", "/livez/", "/LIVEZ", "/%6civez"};
    start();
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        expect(
            paths[i], 404,
            "not found; there are:\n/\n/livez\n/readyz\n/leader\n/backupz\n/metrics\n/snapshot\n");
    }
    stop();
}

Test(ops, the_page_lets_nothing_run_but_its_own_style_and_script)
{
    static const char *const rules[] = {"default-src 'none'; script-src 'sha256-",
                                        "; style-src 'sha256-", "; connect-src 'self';",
                                        "; frame-ancestors 'none'"};
    start();
    char *answer = get("/");
    char *content_type = header_of(answer, "Content-Type");
    char *policy = header_of(answer, "Content-Security-Policy");
    cr_assert(eq(str, content_type, "text/html; charset=utf-8"));
    cr_assert_not_null(policy);
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        cr_assert_not_null(strstr(policy, rules[i]), "missing: %s in %s", rules[i], policy);
    }
    cr_assert_null(strstr(policy, "unsafe"), "%s", policy);
    const char *page = body_of(answer);
    cr_assert(eq(int, strncmp(page, "<!doctype html>", 15), 0));
    cr_assert_not_null(strstr(page, "</html>"));
    cr_assert_null(strstr(page, "@S"), "its parts are in it");
    cr_assert_null(strstr(page, "<script src"));
    free(content_type);
    free(policy);
    free(answer);
    stop();
}

Test(ops, metrics_are_complete_and_pass_promtool)
{
    static const char build_info[] = "\nsatchel_build_info{version=\"" SATCHEL_VERSION_TEXT
                                     "\"} 1\n";
    static const char *const samples[] = {
        "\nsatchel_requests_total{op=\"get\"} 5\n",
        "\nsatchel_requests_total{op=\"set\"} 0\n",
        "\nsatchel_sessions 41\n",
        "\nsatchel_request_duration_seconds_count 2\n",
        "\nsatchel_ops_requests_total 1\n",
        "\nsatchel_ops_connections 1\n",
        "\nprocess_cpu_seconds_total ",
        "\nprocess_resident_memory_bytes ",
        "\nprocess_open_fds ",
        "\nprocess_start_time_seconds ",
        build_info,
    };
    start();
    metric_add(&work[0].gets, 2);
    metric_add(&work[1].gets, 3);
    metric_set(&work[0].sessions, 41);
    metric_observe_ns(&work[0].seconds, 1000);
    metric_observe_ns(&work[1].seconds, 1000000);
    free(get("/livez"));
    char *answer = get("/metrics");
    char *content_type = header_of(answer, "Content-Type");
    cr_assert(eq(str, content_type, "text/plain; version=0.0.4; charset=utf-8"));
    const char *text = body_of(answer);
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        cr_assert_not_null(strstr(text, samples[i]), "missing: %s in %s", samples[i], text);
    }
    cr_assert(eq(uint, check_exposition(text), 1));
    check_with_promtool(text);
    free(content_type);
    free(answer);
    stop();
}

Test(ops, metrics_come_in_openmetrics_for_who_asks_for_it)
{
    static const struct {
        const char *accept;
        const char *type;
        const char *end;
    } cases[] = {
        {"application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
         "application/openmetrics-text; version=1.0.0; charset=utf-8", "\n# EOF\n"},
        {"text/plain", "text/plain; version=0.0.4; charset=utf-8", "\"} 1\n"},
    };
    start();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char request[300];
        (void)snprintf(request, sizeof request, "GET /metrics HTTP/1.1\r\nAccept: %s\r\n\r\n",
                       cases[i].accept);
        char *answer = client_request(base, ops_port(ops), request);
        char *content_type = header_of(answer, "Content-Type");
        cr_assert(eq(str, content_type, (char *)cases[i].type));
        cr_assert(eq(str, answer + strlen(answer) - strlen(cases[i].end), (char *)cases[i].end));
        free(content_type);
        free(answer);
    }
    stop();
}

Test(ops, a_port_in_use_is_one_clear_line)
{
    char errmsg[200] = "";
    char listen[40];
    struct ops *second = NULL;
    start();
    (void)snprintf(listen, sizeof listen, "127.0.0.1:%u", ops_port(ops));
    cr_assert(eq(int,
                 ops_start(&(struct ops_options){.listen = listen}, base, &registry,
                           &(struct ops_callbacks){0}, &second, errmsg, sizeof errmsg),
                 STATUS_EXISTS));
    cr_assert_null(second);
    cr_assert_not_null(strstr(errmsg, "is in use by another process"), "%s", errmsg);
    stop();
}

Test(ops, without_an_address_there_is_no_server)
{
    static const char *const off[] = {NULL, ""};
    base = event_base_new();
    for (size_t i = 0; i < sizeof off / sizeof off[0]; i++) {
        char errmsg[200] = "";
        ops = (struct ops *)&errmsg; /* must be overwritten */
        cr_assert(eq(int,
                     ops_start(&(struct ops_options){.listen = off[i]}, base, &registry,
                               &(struct ops_callbacks){0}, &ops, errmsg, sizeof errmsg),
                     STATUS_OK));
        cr_assert_null(ops);
        cr_assert(eq(uint, ops_port(ops), 0));
        cr_assert(eq(int, ops_register_metrics(ops, &registry), STATUS_OK));
        cr_assert(eq(sz, registry.count, 0));
        ops_stop(ops);
    }
    event_base_free(base);
}

Test(ops, its_option_names_the_default_address_and_the_pages)
{
    struct ops_options options;
    struct option_group group = {"Ops", ops_option_descs, ops_option_count, &options};
    char *argv[] = {"satcheld", NULL};
    const char *seen;
    char errmsg[200] = "";
    cr_assert(eq(int, option_parse(&group, 1, 1, argv, secure_getenv, &seen, errmsg, sizeof errmsg),
                 STATUS_OK),
              "%s", errmsg);
    cr_assert(eq(str, (char *)options.listen, "127.0.0.1:7402"));
    cr_assert_not_null(
        strstr(ops_option_descs[0].help, "/livez, /readyz, /leader, /backupz, /metrics"));
}
