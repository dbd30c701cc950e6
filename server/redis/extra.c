/* SATCHEL.ACK [durable|fast]: when the changes of this connection are answered. */
#include "redis/extra.h"

#include "redis/client.h"

void redis_satchel_ack(struct redis_call *call)
{
    struct redis_client *client = call->client;
    if (call->argc == 1) {
        resp_bulk_text(call->out, client->ack == ACK_FAST ? "fast" : "durable");
    } else if (call->argc == 2 && redis_arg_is(call, 1, "durable")) {
        client->ack = ACK_DURABLE;
        redis_ok(call);
    } else if (call->argc == 2 && redis_arg_is(call, 1, "fast")) {
        client->ack = ACK_FAST;
        redis_ok(call);
    } else {
        redis_syntax_error(call);
    }
}
