/* Options of a client, checked and copied. */
#include "client/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIME_MS_MAX UINT64_C(86400000000) /* 1000 days: keeps sums of nanoseconds from overflow */

static uint64_t time_or(uint64_t given_ms, uint64_t standard_ms)
{
    uint64_t ms = given_ms != 0 ? given_ms : standard_ms;
    return ms < TIME_MS_MAX ? ms : TIME_MS_MAX;
}

static bool is_port(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 5 || text[digits] != '\0') {
        return false;
    }
    long number = strtol(text, NULL, 10);
    return number >= 1 && number <= 65535;
}

enum satchel_status settings_split_server(const char *server, char **host, char **port)
{
    const char *host_from = server;
    size_t host_len;
    const char *port_text = NULL;
    char standard_port[8];
    (void)snprintf(standard_port, sizeof standard_port, "%d", SATCHEL_PORT);

    if (server[0] == '[') {
        const char *end = strchr(server, ']');
        if (end == NULL || (end[1] != '\0' && end[1] != ':')) {
            return SATCHEL_BAD_REQUEST;
        }
        host_from = server + 1;
        host_len = (size_t)(end - host_from);
        port_text = end[1] == ':' ? end + 2 : standard_port;
    } else {
        const char *colon = strchr(server, ':');
        bool is_bare_ipv6 = colon != NULL && strchr(colon + 1, ':') != NULL;
        host_len = colon == NULL || is_bare_ipv6 ? strlen(server) : (size_t)(colon - server);
        port_text = colon == NULL || is_bare_ipv6 ? standard_port : colon + 1;
    }
    if (host_len == 0 || !is_port(port_text)) {
        return SATCHEL_BAD_REQUEST;
    }
    *host = strndup(host_from, host_len);
    *port = strdup(port_text);
    if (*host == NULL || *port == NULL) {
        free(*host);
        free(*port);
        *host = NULL;
        *port = NULL;
        return SATCHEL_NO_MEMORY;
    }
    return SATCHEL_OK;
}

static const char *server_of(const struct satchel_options *options)
{
    if (options->server != NULL) {
        return options->server;
    }
    const char *from_environment = getenv("SATCHEL_SERVER");
    if (from_environment != NULL && from_environment[0] != '\0') {
        return from_environment;
    }
    return "127.0.0.1:7401";
}

enum satchel_status settings_init(struct settings *self, const struct satchel_options *options)
{
    static const struct satchel_options defaults = {0};
    if (options == NULL) {
        options = &defaults;
    }
    const char *name = options->client_name != NULL ? options->client_name : "libsatchel";
    *self = (struct settings){
        .deadline_ms = time_or(options->deadline_ms, SETTINGS_DEADLINE_MS),
        .connect_ms = time_or(options->connect_ms, SETTINGS_CONNECT_MS),
        .connections_max = options->connections_max != 0 ? options->connections_max
                                                         : SETTINGS_CONNECTIONS_MAX,
    };
    const char *server = server_of(options);
    enum satchel_status status = settings_split_server(server, &self->host, &self->port);
    if (status != SATCHEL_OK) {
        return status;
    }
    self->server = strdup(server);
    self->client_name = strdup(name);
    if (options->token != NULL) {
        self->token = strdup(options->token);
    }
    if (self->server == NULL || self->client_name == NULL ||
        (options->token != NULL && self->token == NULL)) {
        settings_free(self);
        return SATCHEL_NO_MEMORY;
    }
    return SATCHEL_OK;
}

void settings_free(struct settings *self)
{
    if (self->token != NULL) {
        explicit_bzero(self->token, strlen(self->token));
    }
    free(self->server);
    free(self->host);
    free(self->port);
    free(self->token);
    free(self->client_name);
    *self = (struct settings){0};
}
