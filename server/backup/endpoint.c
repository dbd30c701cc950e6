/* URLs of services, by libcurl's own parser: what we judge is then what it connects to. */
#include "backup/endpoint.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Copies one part of the URL; one that is missing gives "". OK, INVALID, NO_MEMORY. */
static enum status take_part(CURLU *url, CURLUPart part, unsigned flags, char *out,
                             size_t out_bytes)
{
    char *text = NULL;
    out[0] = '\0';
    CURLUcode code = curl_url_get(url, part, &text, flags);
    if (code == CURLUE_OUT_OF_MEMORY) {
        return STATUS_NO_MEMORY;
    }
    if (code != CURLUE_OK) {
        return STATUS_OK;
    }
    size_t len = strlen(text);
    bool fits = len < out_bytes;
    if (fits) {
        memcpy(out, text, len + 1);
    }
    curl_free(text);
    return fits ? STATUS_OK : STATUS_INVALID;
}

/* Names and addresses of the DNS only, made lower case: others would be sent as something else. */
static bool normalise_host(char *host)
{
    for (char *at = host; *at != '\0'; at++) {
        if (*at >= 'A' && *at <= 'Z') {
            *at = (char)(*at - 'A' + 'a');
        }
        bool is_name = (*at >= 'a' && *at <= 'z') || (*at >= '0' && *at <= '9') || *at == '.' ||
                       *at == '-' || *at == '_';
        bool is_address = host[0] == '[' && (*at == '[' || *at == ']' || *at == ':');
        if (!is_name && !is_address) {
            return false;
        }
    }
    return host[0] != '\0';
}

static enum status take_parts(CURLU *url, struct endpoint *out, const char **why)
{
    char scheme[16];
    char port[8];
    char user[8];
    char fragment[8];
    char query[sizeof out->path / 2];
    char path[sizeof out->path / 2];
    enum status status = take_part(url, CURLUPART_SCHEME, 0, scheme, sizeof scheme);
    out->is_tls = strcmp(scheme, "https") == 0;
    if (status != STATUS_OK || (!out->is_tls && strcmp(scheme, "http") != 0)) {
        *why = "begins with neither http:// nor https://";
        return STATUS_INVALID;
    }
    if (take_part(url, CURLUPART_USER, 0, user, sizeof user) != STATUS_OK || user[0] != '\0' ||
        take_part(url, CURLUPART_FRAGMENT, 0, fragment, sizeof fragment) != STATUS_OK ||
        fragment[0] != '\0') {
        *why = "has a user or a fragment";
        return STATUS_INVALID;
    }
    if (take_part(url, CURLUPART_HOST, 0, out->host, sizeof out->host) != STATUS_OK ||
        !normalise_host(out->host)) {
        *why = "has no usable host";
        return STATUS_INVALID;
    }
    if (take_part(url, CURLUPART_PORT, CURLU_NO_DEFAULT_PORT, port, sizeof port) != STATUS_OK ||
        take_part(url, CURLUPART_PATH, 0, path, sizeof path) != STATUS_OK ||
        take_part(url, CURLUPART_QUERY, 0, query, sizeof query) != STATUS_OK) {
        *why = "is too long";
        return STATUS_INVALID;
    }
    (void)snprintf(out->authority, sizeof out->authority, "%s%s%s", out->host,
                   port[0] != '\0' ? ":" : "", port);
    (void)snprintf(out->path, sizeof out->path, "%s%s%s", path[0] != '\0' ? path : "/",
                   query[0] != '\0' ? "?" : "", query);
    return STATUS_OK;
}

enum status endpoint_parse(const char *url, struct endpoint *out, char *errmsg, size_t errmsg_bytes)
{
    const char *why = "is not one";
    *out = (struct endpoint){0};
    CURLU *parser = curl_url();
    enum status status = parser != NULL ? STATUS_OK : STATUS_NO_MEMORY;
    if (status == STATUS_OK) {
        status = curl_url_set(parser, CURLUPART_URL, url, CURLU_PATH_AS_IS) == CURLUE_OK
                     ? take_parts(parser, out, &why)
                     : STATUS_INVALID;
    }
    curl_url_cleanup(parser);
    if (status != STATUS_OK) {
        /* Not the URL itself: people put passwords into them. */
        (void)snprintf(errmsg, errmsg_bytes, "the URL %s",
                       status == STATUS_NO_MEMORY ? "cannot be parsed: out of memory" : why);
    }
    return status;
}

bool endpoint_is_loopback(const struct endpoint *self)
{
    struct in_addr address;
    if (inet_pton(AF_INET, self->host, &address) == 1) {
        return ntohl(address.s_addr) >> 24 == 127;
    }
    return strcmp(self->host, "localhost") == 0 || strcmp(self->host, "[::1]") == 0;
}

bool endpoint_is_metadata(const struct endpoint *self)
{
    static const char *const hosts[] = {"169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"};
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        if (strcmp(self->host, hosts[i]) == 0) {
            return true;
        }
    }
    return false;
}
