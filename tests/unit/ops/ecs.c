/* The ECS agent as a task sees it: helpful, away, silent, refusing, or talking nonsense. */
#include "ops/ecs.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "ops/http_call.h"

TestSuite(ecs, .timeout = 30); /* what waits for ever is a failure */

#define TASK_ID "158d1c8083dd49d6b527399fd6414f5c"
#define METADATA                                                                                   \
    "{\"Cluster\":\"arn:aws:ecs:eu-west-1:111122223333:cluster/shop\","                            \
    "\"TaskARN\":\"arn:aws:ecs:eu-west-1:111122223333:task/shop/" TASK_ID "\","                    \
    "\"Family\":\"satchel\",\"Revision\":\"26\",\"AvailabilityZone\":\"eu-west-1d\","              \
    "\"Containers\":[{\"Name\":\"store\"}]}"
#define PROTECTED "{\"protection\":{\"ProtectionEnabled\":true,\"TaskArn\":\"a\"}}"
#define UNPROTECTED "{\"protection\":{\"ProtectionEnabled\":false,\"TaskArn\":\"a\"}}"

/* So short that a test sees renewals and retries, so long that a busy machine answers in time. */
static const struct ecs_times times = {.deadline_ms = 400,
                                       .stop_ms = 400,
                                       .metadata_retry_ms = 1,
                                       .renew_ms = 5,
                                       .protect_retry_ms = 5};

/* The agent, on the same event base, and what it was asked. */
static struct {
    struct event_base *base;
    struct evhttp *http;
    char metadata_url[64];
    char agent_url[64];
    int code;          /* of every answer; 0: none ever comes */
    const char *body;  /* NULL: what fits the question */
    int failures_left; /* before the answers above, there are so many with code 500 */
    unsigned metadata_asked;
    unsigned protect_asked;
    unsigned withdraw_asked;
    unsigned found;
} agent;

static const char *fitting(struct evhttp_request *request)
{
    char text[200] = "";
    if (evhttp_request_get_command(request) == EVHTTP_REQ_GET) {
        cr_assert(eq(str, (char *)evhttp_request_get_uri(request), (char *)"/v4/1/task"));
        agent.metadata_asked++;
        return METADATA;
    }
    cr_assert(eq(str, (char *)evhttp_request_get_uri(request),
                 (char *)"/api/1/task-protection/v1/state"));
    (void)evbuffer_copyout(evhttp_request_get_input_buffer(request), text, sizeof text - 1);
    if (strstr(text, "\"ProtectionEnabled\":true") != NULL) {
        cr_assert(ne(ptr, strstr(text, "\"ExpiresInMinutes\":60"), NULL), "%s", text);
        agent.protect_asked++;
        return PROTECTED;
    }
    cr_assert(eq(str, text, (char *)"{\"ProtectionEnabled\":false}"));
    agent.withdraw_asked++;
    return UNPROTECTED;
}

static void on_request(struct evhttp_request *request, void *arg)
{
    (void)arg;
    const char *body = fitting(request);
    int code = agent.code;
    body = agent.body != NULL ? agent.body : body;
    if (agent.failures_left > 0) {
        agent.failures_left--;
        code = 500;
    }
    if (code != 0) {
        struct evbuffer *bytes = evbuffer_new();
        (void)evbuffer_add(bytes, body, strlen(body));
        evhttp_send_reply(request, code, "so be it", bytes);
        evbuffer_free(bytes);
    }
}

static void agent_start(void)
{
    (void)signal(SIGPIPE, SIG_IGN); /* as the server does */
    agent.base = event_base_new();
    agent.http = evhttp_new(agent.base);
    agent.code = 200;
    struct evhttp_bound_socket *bound = evhttp_bind_socket_with_handle(agent.http, "127.0.0.1", 0);
    cr_assert_not_null(bound);
    struct sockaddr_in address = {0};
    socklen_t len = sizeof address;
    cr_assert(eq(
        int, getsockname(evhttp_bound_socket_get_fd(bound), (struct sockaddr *)&address, &len), 0));
    evhttp_set_allowed_methods(agent.http, EVHTTP_REQ_GET | EVHTTP_REQ_PUT);
    evhttp_set_gencb(agent.http, on_request, NULL);
    (void)snprintf(agent.metadata_url, sizeof agent.metadata_url, "http://127.0.0.1:%u/v4/1",
                   (unsigned)ntohs(address.sin_port));
    (void)snprintf(agent.agent_url, sizeof agent.agent_url, "http://127.0.0.1:%u/api/1",
                   (unsigned)ntohs(address.sin_port));
}

static void agent_stop(void)
{
    evhttp_free(agent.http);
    event_base_free(agent.base);
}

static void on_found(void *arg, const struct ecs_task *task)
{
    cr_assert(eq(ptr, arg, &agent));
    cr_assert(eq(str, (char *)task->task, (char *)TASK_ID));
    agent.found++;
}

static struct ecs *start(unsigned protection)
{
    struct ecs *ecs = NULL;
    const struct ecs_options options = {
        .metadata_url = agent.metadata_url, .agent_url = agent.agent_url, .protection = protection};
    const struct ecs_events events = {.found = on_found, .arg = &agent};
    cr_assert(eq(int, ecs_start(&options, &times, agent.base, &events, &ecs), STATUS_OK));
    return ecs;
}

/* Turns the loop until a count has reached `least`. */
static void turn_until(const unsigned *count, unsigned least)
{
    while (*count < least) {
        (void)event_base_loop(agent.base, EVLOOP_ONCE);
    }
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    *(unsigned *)arg = 1;
}

/* Lets everything happen that happens within a time. */
static void turn_for(int ms)
{
    unsigned is_over = 0;
    const struct timeval pause = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
    cr_assert(eq(int, event_base_once(agent.base, -1, EV_TIMEOUT, on_tick, &is_over, &pause), 0));
    turn_until(&is_over, 1);
}

struct gathered {
    const char *name;
    const char *labels;
    double value;
};

static void gather(void *arg, const struct metric_sample *sample)
{
    struct gathered *wanted = arg;
    if (strcmp(sample->desc->name, wanted->name) == 0 &&
        strcmp(sample->desc->labels, wanted->labels) == 0) {
        wanted->value = sample->value;
    }
}

static double metric_of(struct ecs *ecs, const char *name, const char *labels)
{
    struct metric_registry registry = {0};
    struct gathered wanted = {name, labels, -1};
    cr_assert(eq(int, ecs_register_metrics(ecs, &registry), STATUS_OK));
    metric_visit(&registry, gather, &wanted);
    return wanted.value;
}

Test(ecs, a_task_learns_who_it_is)
{
    agent_start();
    struct ecs *ecs = start(ECS_PROTECTION_AUTO);
    cr_assert(eq(str, (char *)ecs_task(ecs)->task, (char *)"")); /* nothing waits for it */
    turn_until(&agent.found, 1);
    cr_assert(eq(str, (char *)ecs_task(ecs)->family, (char *)"satchel"));
    cr_assert(eq(str, (char *)ecs_task(ecs)->revision, (char *)"26"));
    cr_assert(eq(str, (char *)ecs_task(ecs)->cluster, (char *)"shop"));
    cr_assert(eq(str, (char *)ecs_task(ecs)->zone, (char *)"eu-west-1d"));
    ecs_stop(ecs);
    cr_assert(eq(uint, agent.withdraw_asked, 0)); /* it was never protected */
    agent_stop();
}

Test(ecs, metadata_are_asked_for_again_after_a_failure)
{
    agent_start();
    agent.failures_left = 2;
    struct ecs *ecs = start(ECS_PROTECTION_AUTO);
    turn_until(&agent.found, 1);
    cr_assert(eq(uint, agent.metadata_asked, 3));
    cr_assert(eq(dbl, metric_of(ecs, "satchel_ecs_calls_total", "result=\"failed\""), 2.0));
    ecs_stop(ecs);
    agent_stop();
}

Test(ecs, metadata_that_are_of_no_use_are_given_up)
{
    static const char *const bodies[] = {"",
                                         "not json",
                                         "[]",
                                         "{}",
                                         "{\"TaskARN\":7}",
                                         "{\"TaskARN\":\"a/b c\"}",
                                         "{\"TaskARN\":\"a/b\\\"c\"}",
                                         "{\"TaskARN\":\"a/b\\u0000\"}",
                                         "null",
                                         "{\"TaskARN\":\"arn/\"}"};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        memset(&agent, 0, sizeof agent);
        agent_start();
        agent.body = bodies[i];
        struct ecs *ecs = start(ECS_PROTECTION_AUTO);
        turn_until(&agent.metadata_asked, 4);
        turn_for(40);
        cr_assert(eq(uint, agent.metadata_asked, 4), "%s", bodies[i]);
        cr_assert(eq(uint, agent.found, 0));
        cr_assert(eq(str, (char *)ecs_task(ecs)->task, (char *)""));
        ecs_stop(ecs);
        agent_stop();
    }
}

Test(ecs, protection_is_renewed_and_withdrawn_at_the_end)
{
    agent_start();
    struct ecs *ecs = start(ECS_PROTECTION_AUTO);
    turn_until(&agent.found, 1);
    cr_assert(eq(uint, agent.protect_asked, 0)); /* not before it owns the store */
    ecs_protect(ecs);
    ecs_protect(ecs);
    turn_until(&agent.protect_asked, 3);
    turn_for(1);
    cr_assert(eq(dbl, metric_of(ecs, "satchel_ecs_task_protected", ""), 1.0));
    /* The base of the agent does not turn while ecs_stop() waits: it is as if it hung. */
    ecs_stop(ecs);
    turn_until(&agent.withdraw_asked, 1);
    agent_stop();
}

Test(ecs, protection_that_was_refused_is_asked_for_again)
{
    static const char *const bodies[] = {
        "",
        "{}",
        UNPROTECTED,
        "{\"failure\":{\"Reason\":\"DEPLOYMENT_BLOCKED\"}}",
        "{\"error\":{\"Code\":\"AccessDeniedException\",\"Message\":\"no\"}}",
        "{\"protection\":1}"};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        memset(&agent, 0, sizeof agent);
        agent_start();
        agent.body = bodies[i];
        struct ecs *ecs = start(ECS_PROTECTION_AUTO);
        ecs_protect(ecs);
        turn_until(&agent.protect_asked, 2);
        turn_for(1);
        cr_assert(eq(dbl, metric_of(ecs, "satchel_ecs_task_protected", ""), 0.0), "%s", bodies[i]);
        agent.body = NULL;
        turn_until(&agent.protect_asked, agent.protect_asked + 2);
        turn_for(1);
        cr_assert(eq(dbl, metric_of(ecs, "satchel_ecs_task_protected", ""), 1.0), "%s", bodies[i]);
        ecs_stop(ecs);
        agent_stop();
    }
}

Test(ecs, an_agent_that_never_answers_is_not_waited_for)
{
    agent_start();
    agent.code = 0;
    struct ecs *ecs = start(ECS_PROTECTION_AUTO);
    ecs_protect(ecs);
    turn_until(&agent.protect_asked, 2); /* after the deadline, and a pause */
    cr_assert(eq(str, (char *)ecs_task(ecs)->task, (char *)""));
    ecs_stop(ecs);
    agent_stop();
}

Test(ecs, who_wants_no_protection_asks_for_none)
{
    agent_start();
    struct ecs *ecs = start(ECS_PROTECTION_NEVER);
    ecs_protect(ecs);
    turn_until(&agent.found, 1);
    turn_for(20);
    ecs_stop(ecs);
    cr_assert(eq(uint, agent.protect_asked + agent.withdraw_asked, 0));
    agent_stop();
}

Test(ecs, without_ecs_there_is_nothing)
{
    struct ecs *ecs = NULL;
    const struct ecs_options options = {0};
    cr_assert(eq(int, ecs_start(&options, &times, NULL, &(struct ecs_events){0}, &ecs), STATUS_OK));
    cr_assert_null(ecs);
    ecs_protect(ecs);
    cr_assert(eq(str, (char *)ecs_task(ecs)->task, (char *)""));
    ecs_stop(ecs);
}

static void on_done(void *arg, const struct http_call_result *result)
{
    (void)arg, (void)result;
    cr_assert(false, "nothing was sent");
}

Test(ecs, an_address_that_would_have_to_be_looked_up_is_refused)
{
    static const char *const urls[] = {"",
                                       "nonsense",
                                       "http://",
                                       "http://localhost/v4",
                                       "https://127.0.0.1/v4",
                                       "ftp://127.0.0.1/",
                                       "http://[::1/v4",
                                       "http://1.2.3/v4"};
    agent_start();
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        struct http_call *call = NULL;
        char errmsg[200] = "";
        const struct http_call_request request = {
            .url = urls[i], .deadline_ms = 100, .reply_bytes_max = 100};
        cr_assert(
            eq(int,
               http_call_start(agent.base, &request, on_done, NULL, &call, errmsg, sizeof errmsg),
               STATUS_INVALID),
            "%s", urls[i]);
        cr_assert_not_null(strstr(errmsg, "numeric address"));
        /* For the caller it is a failure like any other. */
        (void)snprintf(agent.agent_url, sizeof agent.agent_url, "%s", urls[i]);
        (void)snprintf(agent.metadata_url, sizeof agent.metadata_url, "%s", urls[i]);
        struct ecs *ecs = start(ECS_PROTECTION_AUTO);
        ecs_protect(ecs);
        turn_for(5);
        ecs_stop(ecs);
    }
    agent_stop();
}

static char long_body[400 * 1024];

Test(ecs, an_answer_without_end_is_none)
{
    agent_start();
    memset(long_body, ' ', sizeof long_body - 1);
    (void)snprintf(long_body + sizeof long_body - sizeof METADATA, sizeof METADATA, "%s", METADATA);
    agent.body = long_body;
    struct ecs *ecs = start(ECS_PROTECTION_AUTO);
    turn_until(&agent.metadata_asked, 4);
    turn_for(100);
    cr_assert(eq(uint, agent.found, 0));
    ecs_stop(ecs);
    agent_stop();
}
