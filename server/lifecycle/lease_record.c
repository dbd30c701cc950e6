/* The lease's text. */
#include "lifecycle/lease_record.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "base/hash.h"

static const char time_format[] = "%Y-%m-%dT%H:%M:%SZ";

void lease_record_encode(char out[LEASE_RECORD_BYTES], const struct lease_record *record)
{
    char at[32];
    time_t seconds = (time_t)(record->at_ms / 1000);
    struct tm utc;
    (void)strftime(at, sizeof at, time_format, gmtime_r(&seconds, &utc));
    int len = snprintf(out, LEASE_RECORD_BYTES,
                       "satchel lease 1\n"
                       "epoch %" PRIu64 "\n"
                       "state %s\n"
                       "owner %s\n"
                       "address %s\n"
                       "heartbeat %" PRIu64 " at %s\n",
                       record->epoch, record->is_released ? "released" : "owned", record->owner,
                       record->address, record->heartbeats, at);
    _Static_assert(2 * LEASE_NAME_BYTES + 200 < LEASE_RECORD_BYTES, "everything has room");
    size_t used = (size_t)len;
    uint64_t check = hash64(view_of((const uint8_t *)out, used), 0);
    used += (size_t)snprintf(out + used, LEASE_RECORD_BYTES - used, "check %016" PRIx64 "\n",
                             check);
    memset(out + used, ' ', LEASE_RECORD_BYTES - used - 1);
    out[LEASE_RECORD_BYTES - 1] = '\n';
}

/* Takes "<name> <value>\n" off the front; NULL when that is not what stands there. */
static const char *take_line(const char *text, const char *name, char *value, size_t value_bytes)
{
    size_t name_len = strlen(name);
    if (text == NULL || strncmp(text, name, name_len) != 0 || text[name_len] != ' ') {
        return NULL;
    }
    text += name_len + 1;
    const char *end = strchr(text, '\n');
    if (end == NULL || (size_t)(end - text) >= value_bytes) {
        return NULL;
    }
    memcpy(value, text, (size_t)(end - text));
    value[end - text] = '\0';
    return end + 1;
}

enum status lease_record_decode(const char bytes[LEASE_RECORD_BYTES], struct lease_record *out)
{
    char text[LEASE_RECORD_BYTES + 1];
    memcpy(text, bytes, LEASE_RECORD_BYTES);
    text[LEASE_RECORD_BYTES] = '\0';
    *out = (struct lease_record){0};
    char format[32];
    char epoch[32];
    char state[32];
    char heartbeat[64];
    char check[32];
    const char *at = take_line(text, "satchel lease", format, sizeof format);
    at = take_line(at, "epoch", epoch, sizeof epoch);
    at = take_line(at, "state", state, sizeof state);
    at = take_line(at, "owner", out->owner, sizeof out->owner);
    at = take_line(at, "address", out->address, sizeof out->address);
    at = take_line(at, "heartbeat", heartbeat, sizeof heartbeat);
    size_t checked = at == NULL ? 0 : (size_t)(at - text);
    at = take_line(at, "check", check, sizeof check);
    char expected[32];
    (void)snprintf(expected, sizeof expected, "%016" PRIx64,
                   hash64(view_of((const uint8_t *)text, checked), 0));
    char when[32];
    struct tm utc = {0};
    if (at == NULL || strcmp(check, expected) != 0 || strcmp(format, "1") != 0 ||
        sscanf(epoch, "%" SCNu64, &out->epoch) != 1 ||
        sscanf(heartbeat, "%" SCNu64 " at %31s", &out->heartbeats, when) != 2 ||
        strptime(when, time_format, &utc) == NULL) {
        return STATUS_CORRUPT;
    }
    out->is_released = strcmp(state, "released") == 0;
    out->at_ms = (int64_t)timegm(&utc) * 1000;
    return STATUS_OK;
}
