/* From the arguments of an API call to the body of a request, checked before anything is sent. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "satchel/satchel.h"

struct request {
    enum satchel_opcode opcode;
    uint8_t flags;
    bool is_repeatable;   /* may be sent again although it may have been applied */
    bool is_change;       /* not only a read */
    uint64_t deadline_ms; /* as the options say; 0 = the client's */
    struct buf frame;     /* owned: SATCHEL_HEADER_BYTES of room, then the body */
};

/* What a call wants of a session; unused members are zero. */
struct request_call {
    enum satchel_opcode opcode; /* GET SET DELETE TOUCH PATCH */
    struct satchel_bytes id;
    enum satchel_kind kind;                        /* SET */
    struct satchel_bytes value;                    /* SET of a blob */
    const struct satchel_field *fields;            /* SET of fields */
    const struct satchel_op *ops;                  /* PATCH */
    size_t count;                                  /* of fields or ops */
    const struct satchel_command_options *options; /* NULL: none */
};

/** Makes the request for a call. OK: the caller frees it by request_free(). BAD_REQUEST, TOO_LARGE:
 *  a text (static) in `*why`; NO_MEMORY. On failure nothing is held. */
enum satchel_status request_init(struct request *self, const struct request_call *call,
                                 const char **why);

/** A request without a body: PING or STATS. NO_MEMORY: nothing is held. */
enum satchel_status request_init_plain(struct request *self, enum satchel_opcode opcode);

/** One page of a SCAN from `cursor` (0 = the start). NO_MEMORY: nothing is held. */
enum satchel_status request_init_scan(struct request *self, uint64_t cursor,
                                      struct satchel_bytes prefix);

void request_free(struct request *self);

/** The tagged fields; borrowed. */
struct view request_body(const struct request *self);
