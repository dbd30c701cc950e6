/* The blocking calls on one session, and PING and STATS. */
#include "client/blocking.h"
#include "client/result.h"
#include "proto/native.h"

static enum satchel_status call_session(struct satchel *self, const struct request_call *call,
                                        struct satchel_result *result)
{
    struct request request;
    const char *why = NULL;
    enum satchel_status status = request_init(&request, call, &why);
    if (status != SATCHEL_OK) {
        return blocking_refuse(status, why, result);
    }
    int64_t deadline_ns = blocking_deadline_ns(self, request.deadline_ms);
    status = blocking_run_result(self, &request, deadline_ns, result);
    request_free(&request);
    return status;
}

enum satchel_status satchel_get(struct satchel *self, struct satchel_bytes id,
                                const struct satchel_command_options *options,
                                struct satchel_result *result)
{
    return call_session(
        self, &(struct request_call){.opcode = SATCHEL_OP_GET, .id = id, .options = options},
        result);
}

enum satchel_status satchel_set(struct satchel *self, struct satchel_bytes id,
                                struct satchel_bytes value,
                                const struct satchel_command_options *options,
                                struct satchel_result *result)
{
    return call_session(self,
                        &(struct request_call){.opcode = SATCHEL_OP_SET,
                                               .id = id,
                                               .kind = SATCHEL_BLOB,
                                               .value = value,
                                               .options = options},
                        result);
}

enum satchel_status satchel_set_fields(struct satchel *self, struct satchel_bytes id,
                                       const struct satchel_field *fields, size_t count,
                                       const struct satchel_command_options *options,
                                       struct satchel_result *result)
{
    return call_session(self,
                        &(struct request_call){.opcode = SATCHEL_OP_SET,
                                               .id = id,
                                               .kind = SATCHEL_FIELDS,
                                               .fields = fields,
                                               .count = count,
                                               .options = options},
                        result);
}

enum satchel_status satchel_delete(struct satchel *self, struct satchel_bytes id,
                                   const struct satchel_command_options *options,
                                   struct satchel_result *result)
{
    return call_session(
        self, &(struct request_call){.opcode = SATCHEL_OP_DELETE, .id = id, .options = options},
        result);
}

enum satchel_status satchel_touch(struct satchel *self, struct satchel_bytes id,
                                  const struct satchel_command_options *options,
                                  struct satchel_result *result)
{
    return call_session(
        self, &(struct request_call){.opcode = SATCHEL_OP_TOUCH, .id = id, .options = options},
        result);
}

enum satchel_status satchel_patch(struct satchel *self, struct satchel_bytes id,
                                  const struct satchel_op *ops, size_t count,
                                  const struct satchel_command_options *options,
                                  struct satchel_result *result)
{
    return call_session(
        self,
        &(struct request_call){
            .opcode = SATCHEL_OP_PATCH, .id = id, .ops = ops, .count = count, .options = options},
        result);
}

enum satchel_status satchel_ping(struct satchel *self)
{
    struct request request;
    enum satchel_status status = request_init_plain(&request, SATCHEL_OP_PING);
    if (status != SATCHEL_OK) {
        return blocking_refuse(status, "out of memory", NULL);
    }
    status = blocking_run_result(self, &request, blocking_deadline_ns(self, 0), NULL);
    request_free(&request);
    return status;
}

/* Joins the lines of a STATS reply. */
static enum satchel_status take_stats(void *arg, const struct core_event *event)
{
    struct satchel_result *into = arg;
    struct satchel_result borrowed = result_borrow(event);
    struct buf lines = {0};
    struct view rest = event->body;
    struct native_tag tag;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && native_next_tag(&rest, &tag) == STATUS_OK) {
        if (tag.tag == SATCHEL_TAG_STAT) {
            status = buf_append(&lines, tag.bytes);
            if (status == STATUS_OK) {
                status = buf_append(&lines, view_str("\n"));
            }
        }
    }
    enum satchel_status result = SATCHEL_NO_MEMORY;
    if (status == STATUS_OK) {
        if (event->reply.status == SATCHEL_OK) {
            borrowed.has_content = true;
            borrowed.kind = SATCHEL_BLOB;
            borrowed.content = (struct satchel_bytes){.ptr = lines.ptr, .len = lines.len};
        }
        result = result_copy(into, &borrowed);
    }
    buf_free(&lines);
    return result == SATCHEL_OK ? event->reply.status : result;
}

enum satchel_status satchel_stats(struct satchel *self, struct satchel_result *result)
{
    struct satchel_result unwanted = {0};
    struct satchel_result *into = result != NULL ? result : &unwanted;
    struct request request;
    enum satchel_status status = request_init_plain(&request, SATCHEL_OP_STATS);
    if (status != SATCHEL_OK) {
        return blocking_refuse(status, "out of memory", result);
    }
    satchel_result_free(into);
    status = blocking_run(self, &request, blocking_deadline_ns(self, 0), take_stats, into);
    if (status != SATCHEL_OK && into->memory == NULL) {
        (void)blocking_refuse(status, satchel_last_message(), into);
    }
    request_free(&request);
    satchel_result_free(&unwanted);
    return status;
}
