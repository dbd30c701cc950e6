/* Options of an emitter, checked and copied. */
#include "client/emf_settings.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/settings.h"

static const char agent_standard[] = "tcp://127.0.0.1:25888";

const char *emf_unit(const char *unit)
{
    static const char *const units[] = {"None",
                                        "Seconds",
                                        "Microseconds",
                                        "Milliseconds",
                                        "Bytes",
                                        "Kilobytes",
                                        "Megabytes",
                                        "Gigabytes",
                                        "Terabytes",
                                        "Bits",
                                        "Kilobits",
                                        "Megabits",
                                        "Gigabits",
                                        "Terabits",
                                        "Percent",
                                        "Count",
                                        "Bytes/Second",
                                        "Kilobytes/Second",
                                        "Megabytes/Second",
                                        "Gigabytes/Second",
                                        "Terabytes/Second",
                                        "Bits/Second",
                                        "Kilobits/Second",
                                        "Megabits/Second",
                                        "Gigabits/Second",
                                        "Terabits/Second",
                                        "Count/Second"};
    if (unit == NULL) {
        return units[0];
    }
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(units[i], unit) == 0) {
            return units[i];
        }
    }
    return NULL;
}

static bool is_printable(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text < 0x20 || *text > 0x7e) {
            return false;
        }
    }
    return true;
}

bool emf_is_name(const char *name)
{
    return name != NULL && name[0] != '\0' && name[0] != ':' &&
           strlen(name) <= SATCHEL_EMF_NAME_BYTES_MAX && is_printable(name) &&
           strpbrk(name, "\"\\") == NULL;
}

static bool is_namespace(const char *text)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  " ._#:/-";
    size_t len = strlen(text);
    return len > 0 && len <= EMF_NAMESPACE_BYTES_MAX && strspn(text, allowed) == len;
}

static bool is_dimension_value(const char *text)
{
    size_t len = text == NULL ? 0 : strlen(text);
    return len > 0 && len <= EMF_DIMENSION_BYTES_MAX && is_printable(text);
}

bool emf_settings_has(const struct emf_settings *self, const char *name)
{
    for (size_t i = 0; i < self->dimension_count; i++) {
        if (strcmp(self->dimensions[i].name, name) == 0) {
            return true;
        }
    }
    for (size_t i = 0; i < self->property_count; i++) {
        if (strcmp(self->properties[i].name, name) == 0) {
            return true;
        }
    }
    return strcmp(name, "_aws") == 0;
}

/* ---- Filling in ------------------------------------------------------------------------------ */

/* What is being filled in; the first thing that is wrong stays. */
struct filling {
    struct emf_settings *into;
    char *(*environ_get)(const char *);
    enum satchel_status status;
    char *why; /* EMF_WHY_BYTES */
};

static void refuse(struct filling *self, enum satchel_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void refuse(struct filling *self, enum satchel_status status, const char *format, ...)
{
    if (self->status == SATCHEL_OK) {
        va_list args;
        va_start(args, format);
        (void)vsnprintf(self->why, EMF_WHY_BYTES, format, args);
        va_end(args);
        self->status = status;
    }
}

/* NULL stays NULL. */
static char *copy(struct filling *self, const char *text)
{
    char *copied = text == NULL ? NULL : strdup(text);
    if (text != NULL && copied == NULL) {
        refuse(self, SATCHEL_NO_MEMORY, "out of memory");
    }
    return copied;
}

/* What was given, or what the environment says, or NULL; an empty text is none. */
static const char *given_or(const struct filling *self, const char *given, const char *variable)
{
    const char *text = given != NULL ? given : self->environ_get(variable);
    return text != NULL && text[0] != '\0' ? text : NULL;
}

static void add_pair(struct filling *self, bool is_dimension, const char *name, const char *value)
{
    struct emf_settings *into = self->into;
    size_t *count = is_dimension ? &into->dimension_count : &into->property_count;
    size_t most = is_dimension ? SATCHEL_EMF_DIMENSIONS_MAX : SATCHEL_EMF_PROPERTIES_MAX + 1;
    if (!emf_is_name(name)) {
        refuse(self, SATCHEL_BAD_REQUEST, "\"%.60s\" cannot be a dimension's or property's name",
               name == NULL ? "" : name);
    } else if (value == NULL || (is_dimension && !is_dimension_value(value))) {
        refuse(self, SATCHEL_BAD_REQUEST, "the value of \"%.60s\" cannot be used", name);
    } else if (emf_settings_has(into, name)) {
        refuse(self, SATCHEL_BAD_REQUEST, "\"%.60s\" stands twice", name);
    } else if (*count == most) {
        refuse(self, SATCHEL_TOO_LARGE, "no room for \"%.60s\": too many of its kind", name);
    } else {
        struct emf_pair *pair = (is_dimension ? into->dimensions : into->properties) + *count;
        (*count)++;
        *pair = (struct emf_pair){.name = copy(self, name), .value = copy(self, value)};
    }
}

static void fill_names(struct filling *self, const struct satchel_emf_options *options)
{
    const char *name_space = given_or(self, options->name_space, "AWS_EMF_NAMESPACE");
    const char *service = given_or(self, options->service_name, "AWS_EMF_SERVICE_NAME");
    const char *type = given_or(self, options->service_type, "AWS_EMF_SERVICE_TYPE");
    if (name_space == NULL || !is_namespace(name_space)) {
        refuse(self, SATCHEL_BAD_REQUEST,
               "\"%.60s\" cannot be a namespace: 1 to 256 letters, digits and \" ._#:/-\"",
               name_space == NULL ? "" : name_space);
        return;
    }
    self->into->name_space = copy(self, name_space);
    if (service != NULL) {
        add_pair(self, true, "ServiceName", service);
    }
    for (size_t i = 0; i < options->dimension_count && self->status == SATCHEL_OK; i++) {
        add_pair(self, true, options->dimensions[i].name, options->dimensions[i].value);
    }
    if (type != NULL) {
        add_pair(self, false, "ServiceType", type);
    }
    for (size_t i = 0; i < options->property_count && self->status == SATCHEL_OK; i++) {
        add_pair(self, false, options->properties[i].name, options->properties[i].value);
    }
}

/* The target that the environment asks for, as the official libraries read it. */
static const char *target_of_environment(const struct filling *self)
{
    const char *where = given_or(self, NULL, "AWS_EMF_ENVIRONMENT");
    const char *endpoint = given_or(self, NULL, "AWS_EMF_AGENT_ENDPOINT");
    if (where != NULL && (strcmp(where, "Local") == 0 || strcmp(where, "Lambda") == 0)) {
        return "stdout";
    }
    if (endpoint != NULL) {
        return endpoint;
    }
    bool has_agent = where != NULL && (strcmp(where, "Agent") == 0 || strcmp(where, "ECS") == 0 ||
                                       strcmp(where, "EC2") == 0);
    return has_agent ? agent_standard : "stdout";
}

static void take_agent(struct filling *self, const char *target, const char *server)
{
    /* The client's own port would be the default of a server without one: here it has to be said.
     */
    const char *colon = strrchr(server, ':');
    if (colon == NULL || strchr(colon, ']') != NULL) {
        refuse(self, SATCHEL_BAD_REQUEST, "\"%.60s\" is not a target: tcp://HOST:PORT", target);
        return;
    }
    self->into->target = EMF_TARGET_AGENT;
    switch (settings_split_server(server, &self->into->host, &self->into->port)) {
    case SATCHEL_OK:
        break;
    case SATCHEL_NO_MEMORY:
        refuse(self, SATCHEL_NO_MEMORY, "out of memory");
        break;
    default:
        refuse(self, SATCHEL_BAD_REQUEST, "\"%.60s\" is not a target: tcp://HOST:PORT", target);
    }
}

static void take_fd(struct filling *self, const char *target, long fd)
{
    if (fcntl((int)fd, F_GETFD) < 0) {
        refuse(self, SATCHEL_BAD_REQUEST, "the target \"%.60s\" is not an open descriptor", target);
    }
    self->into->target = EMF_TARGET_FD;
    self->into->fd = (int)fd;
}

static void fill_target(struct filling *self, const char *target)
{
    static const char tcp[] = "tcp://";
    static const char fd[] = "fd:";
    size_t digits = strncmp(target, fd, sizeof fd - 1) == 0
                        ? strspn(target + sizeof fd - 1, "0123456789")
                        : 0;
    if (strcmp(target, "none") == 0) {
        self->into->target = EMF_TARGET_NONE;
    } else if (strcmp(target, "stdout") == 0) {
        take_fd(self, target, STDOUT_FILENO);
    } else if (strcmp(target, "stderr") == 0) {
        take_fd(self, target, STDERR_FILENO);
    } else if (digits > 0 && digits < 9 && target[sizeof fd - 1 + digits] == '\0') {
        take_fd(self, target, strtol(target + sizeof fd - 1, NULL, 10));
    } else if (strncmp(target, tcp, sizeof tcp - 1) == 0) {
        take_agent(self, target, target + sizeof tcp - 1);
    } else {
        refuse(self, SATCHEL_BAD_REQUEST,
               "\"%.60s\" is not a target: none, stdout, stderr, fd:N or tcp://HOST:PORT", target);
    }
}

/* Only an agent is told where in CloudWatch Logs the lines belong. */
static void fill_log_names(struct filling *self, const struct satchel_emf_options *options)
{
    const char *group = given_or(self, options->log_group_name, "AWS_EMF_LOG_GROUP_NAME");
    const char *service = given_or(self, options->service_name, "AWS_EMF_SERVICE_NAME");
    char standard[EMF_DIMENSION_BYTES_MAX + 16];
    (void)snprintf(standard, sizeof standard, "%s%smetrics", service == NULL ? "" : service,
                   service == NULL ? "" : "-");
    self->into->log_group_name = copy(self, group == NULL ? standard : group);
    self->into->log_stream_name = copy(
        self, given_or(self, options->log_stream_name, "AWS_EMF_LOG_STREAM_NAME"));
}

enum satchel_status emf_settings_init(struct emf_settings *self,
                                      const struct satchel_emf_options *options,
                                      char *(*environ_get)(const char *), char why[EMF_WHY_BYTES])
{
    *self = (struct emf_settings){
        .interval_ms = options->interval_ms != 0 ? options->interval_ms : EMF_INTERVAL_MS,
        .close_ms = options->close_ms != 0 ? options->close_ms : EMF_CLOSE_MS,
        .is_high_resolution = options->is_high_resolution,
    };
    struct filling filling = {.into = self, .environ_get = environ_get, .why = why};
    fill_names(&filling, options);
    const char *target = options->target != NULL ? options->target
                                                 : target_of_environment(&filling);
    fill_target(&filling, target);
    if (self->target == EMF_TARGET_AGENT) {
        fill_log_names(&filling, options);
    }
    if (self->interval_ms < EMF_INTERVAL_MS_LEAST || self->interval_ms > EMF_INTERVAL_MS_MOST ||
        self->close_ms > EMF_INTERVAL_MS_MOST) {
        refuse(&filling, SATCHEL_BAD_REQUEST,
               "the interval is 100 ms to an hour, and closing takes an hour at most");
    }
    if (filling.status != SATCHEL_OK) {
        emf_settings_free(self);
    }
    return filling.status;
}

static void free_pairs(struct emf_pair *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(pairs[i].name);
        free(pairs[i].value);
    }
}

void emf_settings_free(struct emf_settings *self)
{
    free(self->name_space);
    free(self->log_group_name);
    free(self->log_stream_name);
    free_pairs(self->dimensions, self->dimension_count);
    free_pairs(self->properties, self->property_count);
    free(self->host);
    free(self->port);
    *self = (struct emf_settings){0};
}
