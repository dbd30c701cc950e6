/* Talking to the ECS agent: when which call is made, and what its answer changes. */
#include "ops/ecs.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "ops/http_call.h"

#define METRIC_OWNER struct ecs_metrics
METRIC_TABLE(ecs_metrics, ECS_METRICS)
#undef METRIC_OWNER

enum {
    METADATA_TRIES = 4,
    REPLY_BYTES_MAX = 256 * 1024, /* the metadata list every container with its labels */
    URL_BYTES_MAX = 1024,
    WHY_BYTES = 300,
};

static const char path_protection[] = "/task-protection/v1/state";
/* Expires after an hour, so that one missed renewal does no harm. */
static const char body_protect[] = "{\"ProtectionEnabled\":true,\"ExpiresInMinutes\":60}";
static const char body_withdraw[] = "{\"ProtectionEnabled\":false}";

const struct ecs_times ecs_times_standard = {
    .deadline_ms = 5000,
    .stop_ms = 1000,
    .metadata_retry_ms = 500,
    .renew_ms = 30 * 60 * 1000,
    .protect_retry_ms = 60 * 1000,
};

/* The one call of a kind that is under way, or the timer of the next. */
struct errand {
    struct http_call *call; /* owned; NULL: none */
    struct event *timer;    /* owned */
};

struct ecs {
    const struct ecs_times *times; /* borrowed, as base and the options' texts */
    struct event_base *base;
    struct ecs_options options;
    struct ecs_events events;
    struct ecs_task task;
    struct ecs_metrics metrics;
    struct errand metadata;
    struct errand protection;
    int metadata_tries;
    bool is_asked_for;  /* protection was asked for, so ECS may have it, whatever it answered */
    bool is_confirmed;  /* by the last answer */
    bool is_complained; /* the failure was logged; not again until it works */
    bool is_over;       /* the call that withdraws it has come to its end */
};

const struct option_desc ecs_option_descs[] = {
    {.name = "task-protection",
     .type = OPTION_CHOICE,
     .standard = "never",
     .unit = "auto|never",
     .help = "auto: while this task owns the store, ECS is asked not to stop it when scaling in or "
             "deploying, so whoever deploys stops it by name. Needs ecs:UpdateTaskProtection; "
             "without ECS nothing happens.",
     .offset = offsetof(struct ecs_options, protection)},
    {.name = "ecs-metadata",
     .type = OPTION_TEXT,
     .standard = "",
     .unit = "URL",
     .help = "Where ECS tells a container about its task; set by ECS itself.",
     .offset = offsetof(struct ecs_options, metadata_url),
     .variable = "ECS_CONTAINER_METADATA_URI_V4"},
    {.name = "ecs-agent",
     .type = OPTION_TEXT,
     .standard = "",
     .unit = "URL",
     .help = "Where a task asks ECS for protection; set by ECS itself.",
     .offset = offsetof(struct ecs_options, agent_url),
     .variable = "ECS_AGENT_URI"},
};
const size_t ecs_option_count = sizeof ecs_option_descs / sizeof ecs_option_descs[0];

static void start_timer(struct errand *errand, int ms)
{
    const struct timeval pause = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
    (void)evtimer_add(errand->timer, &pause); /* fails without memory: then there is no next time */
}

/* One way of asking the agent. */
struct question {
    const char *path; /* below the agent's address */
    const char *body; /* NULL: GET */
    int deadline_ms;
    http_call_done_fn done;
};

/* Asks at `url` from `base`; false: `why` says why it could not be sent. */
static bool ask(struct ecs *self, struct errand *errand, struct event_base *base, const char *url,
                const struct question *question, char why[static WHY_BYTES])
{
    char whole[URL_BYTES_MAX];
    int len = snprintf(whole, sizeof whole, "%s%s", url, question->path);
    if (len < 0 || (size_t)len >= sizeof whole) {
        (void)snprintf(why, WHY_BYTES, "the address is too long");
        return false;
    }
    const struct http_call_request request = {.url = whole,
                                              .body = question->body,
                                              .deadline_ms = question->deadline_ms,
                                              .reply_bytes_max = REPLY_BYTES_MAX};
    return http_call_start(base, &request, question->done, self, &errand->call, why, WHY_BYTES) ==
           STATUS_OK;
}

/* The answer in a line, when it has no code 200. */
static void explain(const struct http_call_result *result, char why[static WHY_BYTES])
{
    if (result->code == 0) {
        (void)snprintf(why, WHY_BYTES, "%s", result->why);
    } else {
        (void)snprintf(why, WHY_BYTES, "answer %u", result->code);
    }
}

static void warn(const char *what, const char *why)
{
    char quoted[WHY_BYTES + 64];
    log_warn(what, "reason=%s", log_quoted(quoted, sizeof quoted, why));
}

/* ---- Who am I ------------------------------------------------------------------------------- */

static void metadata_failed(struct ecs *self, const char *why)
{
    metric_add(&self->metrics.calls_failed, 1);
    if (self->metadata_tries == METADATA_TRIES) {
        warn("ecs: the task's metadata cannot be had", why);
        return;
    }
    start_timer(&self->metadata, self->times->metadata_retry_ms << (self->metadata_tries - 1));
}

static void on_metadata(void *arg, const struct http_call_result *result)
{
    struct ecs *self = arg;
    char why[WHY_BYTES];
    self->metadata.call = NULL;
    if (result->code != 200) {
        explain(result, why);
        metadata_failed(self, why);
        return;
    }
    if (ecs_reply_task(result->body, &self->task) != STATUS_OK) {
        metadata_failed(self, "the answer has no TaskARN");
        return;
    }
    metric_add(&self->metrics.calls_ok, 1);
    const struct ecs_task *task = &self->task;
    log_info("ecs: this task", "task=%s family=%s revision=%s cluster=%s zone=%s", task->task,
             task->family, task->revision, task->cluster, task->zone);
    if (self->events.found != NULL) {
        self->events.found(self->events.arg, task);
    }
}

static void ask_metadata(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct ecs *self = arg;
    char why[WHY_BYTES];
    self->metadata_tries++;
    const struct question question = {
        .path = "/task", .deadline_ms = self->times->deadline_ms, .done = on_metadata};
    if (!ask(self, &self->metadata, self->base, self->options.metadata_url, &question, why)) {
        self->metadata_tries = METADATA_TRIES; /* the same address fails the same way */
        metadata_failed(self, why);
    }
}

/* ---- Protection ----------------------------------------------------------------------------- */

static bool is_as_wanted(struct ecs *self, const struct http_call_result *result, bool wanted,
                         char why[static WHY_BYTES])
{
    explain(result, why);
    bool is_so = result->code != 0 && ecs_reply_protects(result->body, wanted, why, WHY_BYTES) &&
                 result->code == 200;
    metric_add(is_so ? &self->metrics.calls_ok : &self->metrics.calls_failed, 1);
    return is_so;
}

static void protection_failed(struct ecs *self, const char *why)
{
    self->is_confirmed = false;
    metric_set(&self->metrics.protected, 0);
    if (!self->is_complained) {
        self->is_complained = true;
        warn("ecs: the task is not protected, and goes on without", why);
    }
    start_timer(&self->protection, self->times->protect_retry_ms);
}

static void on_protected(void *arg, const struct http_call_result *result)
{
    struct ecs *self = arg;
    char why[WHY_BYTES];
    self->protection.call = NULL;
    if (!is_as_wanted(self, result, true, why)) {
        protection_failed(self, why);
        return;
    }
    if (!self->is_confirmed) {
        log_info("ecs: the task is protected", NULL);
    }
    self->is_confirmed = true;
    self->is_complained = false;
    metric_set(&self->metrics.protected, 1);
    start_timer(&self->protection, self->times->renew_ms);
}

static void ask_protection(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct ecs *self = arg;
    char why[WHY_BYTES];
    const struct question question = {.path = path_protection,
                                      .body = body_protect,
                                      .deadline_ms = self->times->deadline_ms,
                                      .done = on_protected};
    if (!ask(self, &self->protection, self->base, self->options.agent_url, &question, why)) {
        metric_add(&self->metrics.calls_failed, 1);
        protection_failed(self, why);
    }
}

void ecs_protect(struct ecs *self)
{
    if (self == NULL || self->options.agent_url == NULL || self->is_asked_for ||
        self->options.protection == ECS_PROTECTION_NEVER) {
        return;
    }
    self->is_asked_for = true;
    ask_protection(-1, 0, self);
}

static void on_withdrawn(void *arg, const struct http_call_result *result)
{
    struct ecs *self = arg;
    char why[WHY_BYTES];
    self->protection.call = NULL;
    self->is_over = true;
    if (is_as_wanted(self, result, false, why)) {
        log_info("ecs: the task is no longer protected", NULL);
    } else if (!self->is_complained) {
        warn("ecs: the protection was not withdrawn, and will expire", why);
    }
}

/* On an event base of its own: on the server's there may be events of what is taken apart. */
static void withdraw(struct ecs *self)
{
    char why[WHY_BYTES];
    struct event_base *base = event_base_new();
    if (base == NULL) {
        return;
    }
    const struct question question = {.path = path_protection,
                                      .body = body_withdraw,
                                      .deadline_ms = self->times->stop_ms,
                                      .done = on_withdrawn};
    bool is_sent = ask(self, &self->protection, base, self->options.agent_url, &question, why);
    while (is_sent && !self->is_over && event_base_loop(base, EVLOOP_ONCE) == 0) {
    }
    http_call_cancel(self->protection.call);
    self->protection.call = NULL;
    event_base_free(base);
}

/* ---- Opening and closing -------------------------------------------------------------------- */

enum status ecs_start(const struct ecs_options *options, const struct ecs_times *times,
                      struct event_base *base, const struct ecs_events *events, struct ecs **out)
{
    *out = NULL;
    if (options->metadata_url == NULL && options->agent_url == NULL) {
        return STATUS_OK;
    }
    struct ecs *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return STATUS_NO_MEMORY;
    }
    self->times = times;
    self->base = base;
    self->options = *options;
    self->events = *events;
    self->metadata.timer = evtimer_new(base, ask_metadata, self);
    self->protection.timer = evtimer_new(base, ask_protection, self);
    if (self->metadata.timer == NULL || self->protection.timer == NULL) {
        ecs_stop(self);
        return STATUS_NO_MEMORY;
    }
    *out = self;
    if (options->metadata_url != NULL) {
        ask_metadata(-1, 0, self);
    }
    return STATUS_OK;
}

enum status ecs_register_metrics(struct ecs *self, struct metric_registry *registry)
{
    if (self == NULL) {
        return STATUS_OK;
    }
    return metric_register(
        registry, (struct metric_set){.table = &ecs_metrics_table, .values = &self->metrics});
}

const struct ecs_task *ecs_task(const struct ecs *self)
{
    static const struct ecs_task unknown;
    return self == NULL ? &unknown : &self->task;
}

void ecs_stop(struct ecs *self)
{
    if (self == NULL) {
        return;
    }
    struct errand *const errands[] = {&self->metadata, &self->protection};
    for (size_t i = 0; i < sizeof errands / sizeof errands[0]; i++) {
        http_call_cancel(errands[i]->call);
        errands[i]->call = NULL;
        if (errands[i]->timer != NULL) {
            event_free(errands[i]->timer);
        }
    }
    if (self->is_asked_for) {
        withdraw(self);
    }
    free(self);
}
