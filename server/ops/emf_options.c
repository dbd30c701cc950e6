/* The options of EMF: ours first, then AWS' official variables, then defaults. */
#include <ctype.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "ops/emf.h"

#define AGENT_STANDARD "tcp://127.0.0.1:25888"

enum {
    INTERVAL_MS_LEAST = 1000,  /* CloudWatch's finest resolution */
    INTERVAL_MS_MOST = 300000, /* a graph of minutes needs no less */
    QUEUE_BYTES_LEAST = 16384, /* the lines of one look fit */
    QUEUE_BYTES_MOST = 1 << 30,
};

const struct option_desc emf_option_descs[] = {
    {.name = "emf",
     .type = OPTION_TEXT,
     .standard = "",
     .unit = "none|stdout|agent|tcp://HOST:PORT",
     .help = "Where metrics for CloudWatch go, in its embedded metric format; agent is "
             "AWS_EMF_AGENT_ENDPOINT, or " AGENT_STANDARD ". Not given: none, unless "
             "AWS_EMF_ENVIRONMENT is Local (stdout) or ECS, EC2 or Agent (agent).",
     .offset = offsetof(struct emf_options, where)},
    {.name = "emf-interval",
     .type = OPTION_TIME_MS,
     .standard = "10s",
     .unit = "TIME",
     .help = "How often.",
     .least = INTERVAL_MS_LEAST,
     .most = INTERVAL_MS_MOST,
     .offset = offsetof(struct emf_options, interval_ms)},
    {.name = "emf-queue",
     .type = OPTION_BYTES,
     .standard = "512k",
     .unit = "BYTES",
     .help =
         "Lines that wait for a receiver that does not take them; more are dropped and counted.",
     .least = QUEUE_BYTES_LEAST,
     .most = QUEUE_BYTES_MOST,
     .offset = offsetof(struct emf_options, queue_bytes)},
    {.name = "emf-histogram",
     .type = OPTION_CHOICE,
     .standard = "values",
     .unit = "values|array",
     .help =
         "How latencies are sent: values with exact counts, or an array of at most 100 samples, "
         "for readers that know nothing else.",
     .offset = offsetof(struct emf_options, histogram)},
    {.name = "emf-namespace",
     .type = OPTION_TEXT,
     .standard = "",
     .unit = "NAME",
     .help = "Namespace of the metrics; not given: AWS_EMF_NAMESPACE, or Satchel.",
     .offset = offsetof(struct emf_options, metric_namespace)},
    {.name = "emf-service-name",
     .type = OPTION_TEXT,
     .standard = "",
     .unit = "NAME",
     .help = "Value of the dimension ServiceName; not given: AWS_EMF_SERVICE_NAME, or satchel.",
     .offset = offsetof(struct emf_options, service_name)},
    {.name = "emf-service-type",
     .type = OPTION_TEXT,
     .standard = "",
     .unit = "NAME",
     .help = "The property ServiceType; not given: AWS_EMF_SERVICE_TYPE, or none.",
     .offset = offsetof(struct emf_options, service_type)},
    {.name = "emf-log-group",
     .type = OPTION_TEXT,
     .standard = "",
     .unit = "NAME",
     .help = "Log group that an agent writes to; not given: AWS_EMF_LOG_GROUP_NAME, or to an agent "
             "the service name with -metrics behind it.",
     .offset = offsetof(struct emf_options, log_group)},
    {.name = "emf-log-stream",
     .type = OPTION_TEXT,
     .standard = "",
     .unit = "NAME",
     .help = "Log stream in it; not given: AWS_EMF_LOG_STREAM_NAME, or the agent's choice.",
     .offset = offsetof(struct emf_options, log_stream)},
};
const size_t emf_option_count = sizeof emf_option_descs / sizeof emf_option_descs[0];

static bool is_namespace_char(char c)
{
    return isalnum((unsigned char)c) || strchr(" ._#:/-", c) != NULL;
}

static bool is_log_char(char c)
{
    return isalnum((unsigned char)c) || strchr("._#/-", c) != NULL;
}

/* A colon and a star are not allowed in the names of streams alone; the agent says so. */
static bool is_stream_char(char c)
{
    return is_log_char(c) || strchr("$[]@=", c) != NULL;
}

static bool is_printable(char c)
{
    return c >= ' ' && c <= '~';
}

/* One text: where it is, whence else it comes, and what it may be. Limits of CloudWatch, but for
 * the two properties that have none. */
struct text {
    size_t offset;
    const char *option;
    const char *variable;
    const char *standard; /* NULL: none */
    size_t bytes_max;
    bool (*may_have)(char c);
    const char *allowed;
};

static const struct text texts[] = {
    {offsetof(struct emf_options, metric_namespace), "--emf-namespace", "AWS_EMF_NAMESPACE",
     "Satchel", 255, is_namespace_char, "letters, digits, spaces and ._#:/-"},
    {offsetof(struct emf_options, service_name), "--emf-service-name", "AWS_EMF_SERVICE_NAME",
     "satchel", 255, is_printable, "printable ASCII"},
    {offsetof(struct emf_options, service_type), "--emf-service-type", "AWS_EMF_SERVICE_TYPE", NULL,
     255, is_printable, "printable ASCII"},
    {offsetof(struct emf_options, log_group), "--emf-log-group", "AWS_EMF_LOG_GROUP_NAME", NULL,
     EMF_TEXT_BYTES_MAX, is_log_char, "letters, digits and ._#/-"},
    {offsetof(struct emf_options, log_stream), "--emf-log-stream", "AWS_EMF_LOG_STREAM_NAME", NULL,
     EMF_TEXT_BYTES_MAX, is_stream_char, "letters, digits and ._#/-$[]@="},
};

static enum status settle_text(const struct text *text, struct emf_options *options,
                               char *(*environ_get)(const char *), char *errmsg,
                               size_t errmsg_bytes)
{
    const char **value = (const char **)(void *)((char *)options + text->offset);
    const char *source = text->option;
    if (*value == NULL || **value == '\0') {
        source = text->variable;
        *value = environ_get(source);
    }
    if (*value == NULL || **value == '\0') {
        *value = text->standard;
        return STATUS_OK;
    }
    size_t len = 0;
    bool is_good = true;
    for (; is_good && (*value)[len] != '\0'; len++) {
        is_good = len < text->bytes_max && text->may_have((*value)[len]);
    }
    if (!is_good) {
        (void)snprintf(errmsg, errmsg_bytes, "%s: at most %zu bytes of %s", source, text->bytes_max,
                       text->allowed);
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

static enum status settle_agent(struct emf_options *self, const char *endpoint, const char *source,
                                char *errmsg, size_t errmsg_bytes)
{
    static const char scheme[] = "tcp://";
    char why[400] = "only tcp://HOST:PORT is spoken";
    enum status status = STATUS_INVALID;
    if (strncmp(endpoint, scheme, sizeof scheme - 1) == 0) {
        status = host_port_parse(endpoint + sizeof scheme - 1, &self->agent, why, sizeof why);
    }
    if (status == STATUS_OK && self->agent.port == 0) {
        (void)snprintf(why, sizeof why, "port 0 cannot be reached");
        status = STATUS_INVALID;
    }
    if (status != STATUS_OK) {
        (void)snprintf(errmsg, errmsg_bytes, "%s: \"%s\": %s", source, endpoint, why);
    }
    self->to = EMF_TO_AGENT;
    return status;
}

/* The places by name. In AWS' libraries the environment decides: those tell the places, too. */
static const struct {
    const char *option;      /* NULL: no value of --emf */
    const char *environment; /* NULL: no value of AWS_EMF_ENVIRONMENT; in any case of letters */
    enum emf_to to;
} places[] = {
    {"none", NULL, EMF_TO_NONE},     {"stdout", "local", EMF_TO_STDOUT},
    {NULL, "lambda", EMF_TO_STDOUT}, {"agent", "agent", EMF_TO_AGENT},
    {NULL, "ecs", EMF_TO_AGENT},     {NULL, "ec2", EMF_TO_AGENT},
};
enum { PLACE_COUNT = sizeof places / sizeof places[0] };

static enum status settle_where(struct emf_options *self, char *(*environ_get)(const char *),
                                char *errmsg, size_t errmsg_bytes)
{
    const bool is_ours = self->where != NULL && self->where[0] != '\0';
    const char *where = is_ours ? self->where : environ_get("AWS_EMF_ENVIRONMENT");
    self->to = EMF_TO_NONE;
    if (where == NULL || where[0] == '\0') {
        return STATUS_OK;
    }
    if (is_ours && strstr(where, "://") != NULL) {
        return settle_agent(self, where, "--emf", errmsg, errmsg_bytes);
    }
    size_t at = 0;
    while (at < PLACE_COUNT &&
           (is_ours ? places[at].option == NULL || strcmp(places[at].option, where) != 0
                    : places[at].environment == NULL ||
                          strcasecmp(places[at].environment, where) != 0)) {
        at++;
    }
    if (at == PLACE_COUNT) {
        (void)snprintf(errmsg, errmsg_bytes, "%s: \"%s\" is none of %s",
                       is_ours ? "--emf or SATCHEL_EMF" : "AWS_EMF_ENVIRONMENT", where,
                       is_ours ? "none, stdout, agent, tcp://HOST:PORT"
                               : "Local, Lambda, ECS, EC2, Agent");
        return STATUS_INVALID;
    }
    self->to = places[at].to;
    if (self->to == EMF_TO_STDOUT && fcntl(STDOUT_FILENO, F_GETFD) < 0) {
        /* The next file that is opened would get its number, and the lines. */
        (void)snprintf(errmsg, errmsg_bytes, "%s: standard output is closed",
                       is_ours ? "--emf" : "AWS_EMF_ENVIRONMENT");
        return STATUS_INVALID;
    }
    if (self->to != EMF_TO_AGENT) {
        return STATUS_OK;
    }
    const char *endpoint = environ_get("AWS_EMF_AGENT_ENDPOINT");
    return settle_agent(self, endpoint != NULL && endpoint[0] != '\0' ? endpoint : AGENT_STANDARD,
                        "AWS_EMF_AGENT_ENDPOINT", errmsg, errmsg_bytes);
}

/* What AWS' libraries take; what a log group may not be called becomes a dash. */
static void settle_log_group(struct emf_options *self)
{
    if (self->to != EMF_TO_AGENT || self->log_group != NULL) {
        return;
    }
    (void)snprintf(self->log_group_standard, sizeof self->log_group_standard, "%s-metrics",
                   self->service_name);
    for (char *at = self->log_group_standard; *at != '\0'; at++) {
        *at = is_log_char(*at) ? *at : '-';
    }
    self->log_group = self->log_group_standard;
}

enum status emf_options_settle(struct emf_options *self, char *(*environ_get)(const char *),
                               char *errmsg, size_t errmsg_bytes)
{
    enum status status = settle_where(self, environ_get, errmsg, errmsg_bytes);
    for (size_t i = 0; status == STATUS_OK && i < sizeof texts / sizeof texts[0]; i++) {
        status = settle_text(&texts[i], self, environ_get, errmsg, errmsg_bytes);
    }
    if (status == STATUS_OK) {
        settle_log_group(self);
    }
    return status;
}
