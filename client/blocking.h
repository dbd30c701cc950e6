/* The blocking client's one way to get a request answered; the calls of the API are built on it. */
#pragma once

#include "client/attempt.h"
#include "client/pool.h"
#include "client/request.h"

struct satchel {
    struct settings settings; /* immutable */
    struct resolver resolver;
    struct pool pool;
};

/** Called with the final answer while its memory is valid, on the calling thread. Returns the
 *  status for the caller: the event's, or NO_MEMORY or BAD_REPLY. */
typedef enum satchel_status (*blocking_take_fn)(void *arg, const struct core_event *event);

/** When a call that starts now has to be over, in nanoseconds of CLOCK_MONOTONIC; `deadline_ms` 0 =
 *  the client's. */
int64_t blocking_deadline_ns(const struct satchel *self, uint64_t deadline_ms);

/**
 * Sends `request`, again and again as the policy allows, until it is answered or the deadline
 * comes. `take` gets the final answer if there is one. Sets the thread's last message.
 */
enum satchel_status blocking_run(struct satchel *self, const struct request *request,
                                 int64_t deadline_ns, blocking_take_fn take, void *arg);

/** blocking_run() whose answer becomes `*result` (NULL: nobody wants it); a failure without an
 *  answer leaves only the message in it. */
enum satchel_status blocking_run_result(struct satchel *self, const struct request *request,
                                        int64_t deadline_ns, struct satchel_result *result);

/** Sets the thread's last message and that of `result` (may be NULL), and returns `status`. */
enum satchel_status blocking_refuse(enum satchel_status status, const char *why,
                                    struct satchel_result *result);
