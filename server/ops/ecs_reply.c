/* Reading the answers of the ECS agent. */
#include "ops/ecs_reply.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* The member's text, if it fits and is safe to put into a log line or a file as it is. */
static void take(char out[static ECS_TEXT_BYTES], const json_t *object, const char *key)
{
    const json_t *member = json_object_get(object, key);
    const char *text = json_string_value(member);
    size_t len = json_string_length(member);
    bool is_usable = text != NULL && len < ECS_TEXT_BYTES;
    for (size_t i = 0; is_usable && i < len; i++) {
        is_usable = isalnum((unsigned char)text[i]) || strchr("-_.:/", text[i]) != NULL;
    }
    (void)snprintf(out, ECS_TEXT_BYTES, "%s", is_usable ? text : "");
}

/* "arn:aws:ecs:eu-west-1:1:task/web/0f3c" is "0f3c"; a text without "/" is itself. */
static const char *behind_slash(const char *text)
{
    const char *slash = strrchr(text, '/');
    return slash == NULL ? text : slash + 1;
}

enum status ecs_reply_task(struct view json, struct ecs_task *out)
{
    char cluster[ECS_TEXT_BYTES];
    json_t *object = json_loadb((const char *)json.ptr, json.len, JSON_REJECT_DUPLICATES, NULL);
    *out = (struct ecs_task){0};
    take(out->arn, object, "TaskARN");
    (void)snprintf(out->task, sizeof out->task, "%s", behind_slash(out->arn));
    if (out->task[0] == '\0') {
        *out = (struct ecs_task){0};
        json_decref(object);
        return STATUS_CORRUPT;
    }
    take(out->family, object, "Family");
    take(out->revision, object, "Revision");
    take(out->zone, object, "AvailabilityZone");
    take(cluster, object, "Cluster");
    (void)snprintf(out->cluster, sizeof out->cluster, "%s", behind_slash(cluster));
    json_decref(object);
    return STATUS_OK;
}

/* {"failure": {"Reason": "…", "Detail": "…"}} or {"error": {"Code": "…", "Message": "…"}} */
static void explain(const json_t *object, char *why, size_t why_bytes)
{
    const json_t *failure = json_object_get(object, "failure");
    const json_t *error = json_object_get(object, "error");
    const char *reason = json_string_value(failure != NULL ? json_object_get(failure, "Reason")
                                                           : json_object_get(error, "Code"));
    const char *detail = json_string_value(failure != NULL ? json_object_get(failure, "Detail")
                                                           : json_object_get(error, "Message"));
    if (reason == NULL && detail == NULL) {
        (void)snprintf(why, why_bytes, "the answer does not say that it was done");
    } else {
        (void)snprintf(why, why_bytes, "%s: %s", reason == NULL ? "refused" : reason,
                       detail == NULL ? "no reason given" : detail);
    }
}

bool ecs_reply_protects(struct view json, bool wanted, char *why, size_t why_bytes)
{
    json_t *object = json_loadb((const char *)json.ptr, json.len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *state = json_object_get(json_object_get(object, "protection"),
                                          "ProtectionEnabled");
    bool is_so = json_is_boolean(state) && json_is_true(state) == wanted;
    if (!is_so) {
        explain(object, why, why_bytes);
    }
    json_decref(object);
    return is_so;
}
