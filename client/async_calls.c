/* The asynchronous calls. */
#include "client/async.h"

#include <stdlib.h>

static const char no_memory[] = "out of memory";

/* NULL: `done` was called already. */
static struct async_request *new_request(satchel_async_fn done, void *arg)
{
    struct async_request *request = calloc(1, sizeof *request);
    if (request == NULL) {
        struct satchel_result result = {.message = {.ptr = no_memory, .len = sizeof no_memory - 1}};
        done(arg, SATCHEL_NO_MEMORY, &result);
        return NULL;
    }
    request->done = done;
    request->arg = arg;
    return request;
}

static void call_session(struct satchel_async *self, const struct request_call *call,
                         satchel_async_fn done, void *arg)
{
    struct async_request *request = new_request(done, arg);
    if (request != NULL) {
        request->refused = request_init(&request->wire, call, &request->why);
        async_submit(self, request);
    }
}

void satchel_async_get(struct satchel_async *self, struct satchel_bytes id,
                       const struct satchel_command_options *options, satchel_async_fn done,
                       void *arg)
{
    call_session(self,
                 &(struct request_call){.opcode = SATCHEL_OP_GET, .id = id, .options = options},
                 done, arg);
}

void satchel_async_set(struct satchel_async *self, struct satchel_bytes id,
                       struct satchel_bytes value, const struct satchel_command_options *options,
                       satchel_async_fn done, void *arg)
{
    call_session(self,
                 &(struct request_call){.opcode = SATCHEL_OP_SET,
                                        .id = id,
                                        .kind = SATCHEL_BLOB,
                                        .value = value,
                                        .options = options},
                 done, arg);
}

void satchel_async_delete(struct satchel_async *self, struct satchel_bytes id,
                          const struct satchel_command_options *options, satchel_async_fn done,
                          void *arg)
{
    call_session(self,
                 &(struct request_call){.opcode = SATCHEL_OP_DELETE, .id = id, .options = options},
                 done, arg);
}

void satchel_async_touch(struct satchel_async *self, struct satchel_bytes id,
                         const struct satchel_command_options *options, satchel_async_fn done,
                         void *arg)
{
    call_session(self,
                 &(struct request_call){.opcode = SATCHEL_OP_TOUCH, .id = id, .options = options},
                 done, arg);
}

void satchel_async_patch(struct satchel_async *self, struct satchel_bytes id,
                         const struct satchel_op *ops, size_t count,
                         const struct satchel_command_options *options, satchel_async_fn done,
                         void *arg)
{
    call_session(
        self,
        &(struct request_call){
            .opcode = SATCHEL_OP_PATCH, .id = id, .ops = ops, .count = count, .options = options},
        done, arg);
}

void satchel_async_ping(struct satchel_async *self, satchel_async_fn done, void *arg)
{
    struct async_request *request = new_request(done, arg);
    if (request != NULL) {
        request->refused = request_init_plain(&request->wire, SATCHEL_OP_PING);
        request->why = no_memory;
        async_submit(self, request);
    }
}
