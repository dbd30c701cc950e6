/*
 * Where lines go: a descriptor, or a CloudWatch agent by TCP. Neither ever blocks the caller for
 * long: what cannot go on at once says what to wait for.
 *
 * A descriptor is asked for room first. A pipe that has room has at least PIPE_BUF bytes of it, and
 * takes so many whole (pipe(7)), so a line neither blocks nor is torn, whoever else writes there;
 * that is why lines are no longer. Only when somebody else takes that room in between does the
 * write block, as it would anybody.
 *
 * A connection that broke is made again, after growing pauses, and the line that was being sent is
 * sent again from its beginning. Lines that the system had taken before may be lost with the
 * connection; the protocol has no acknowledgements.
 *
 * One thread, the writer's.
 */
#pragma once

#include <netdb.h>
#include <poll.h>

#include "base/bytes.h"
#include "client/emf_settings.h"
#include "client/resolve.h"

struct emf_target {
    enum emf_target_kind kind;
    int fd;           /* owned; -1: not connected */
    size_t sent;      /* bytes of the present line */
    const char *host; /* of an agent; borrowed from the settings, as is `port` */
    const char *port;
    struct resolver resolver;
    struct resolve_job *job;    /* holds a reference while addresses are tried; else NULL */
    const struct addrinfo *try; /* the address that is being tried; of `job` */
    bool is_connected;
    unsigned failures; /* since the last line that went out */
    int64_t retry_ns;  /* not before this moment of the clock */
    int64_t connect_by_ns;
};

/** OK, or NO_MEMORY: no descriptor could be duplicated. */
enum status emf_target_init(struct emf_target *self,
                            const struct emf_settings *settings) MUST_CHECK;

void emf_target_close(struct emf_target *self);

/* What a target waits for: `fd` (-1: nothing) in the sense of poll(2), and a moment. */
struct emf_wait {
    struct pollfd poll;
    int64_t until_ns; /* INT64_MAX: no moment */
};

/**
 * Goes on with `line`, which is the same one until the answer is not AGAIN. OK: the target has it
 * whole. AGAIN: `*wait` says what for. IO: the descriptor does not take this line, for good.
 */
enum status emf_target_write(struct emf_target *self, struct view line, int64_t now_ns,
                             struct emf_wait *wait) MUST_CHECK;
