/*
 * The place of an archive: the options that name it, and what every client of it stands on.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "backup/credentials.h"
#include "backup/s3.h"
#include "backup/stop.h"
#include "base/option.h"

struct place_options {
    const char *url;      /* s3://BUCKET[/PREFIX]; NULL: none */
    const char *endpoint; /* NULL: Amazon's own of the region */
    const char *region;   /* NULL: AWS_REGION of the environment, or us-east-1 */
    bool path_style;
    const char *ca_file; /* NULL: the system's authorities */
};

extern const struct option_desc place_option_descs[];
extern const size_t place_option_count;

struct place {
    struct place_options options; /* its texts are borrowed */
    struct stop stop;             /* ends the fetching of credentials */
    struct credentials *credentials;
    struct s3_metrics metrics; /* of all clients together */
};

/** Finds the credentials and begins to keep them fresh. OK; NOT_FOUND: there are none; INVALID,
 *  NO_MEMORY. `errmsg` holds a line, and nothing is left to close. Main thread. */
enum status place_open(struct place *self, const struct place_options *options, char *errmsg,
                       size_t errmsg_bytes) MUST_CHECK;

/** One more client, for one thread, whose calls `stop` (borrowed) ends; to be closed by s3_close()
 *  before place_close(). INVALID: the options do not make a place; NO_MEMORY. */
enum status place_client(struct place *self, struct stop *stop, struct s3 **out, char *errmsg,
                         size_t errmsg_bytes) MUST_CHECK;

/** After all its clients are closed. */
void place_close(struct place *self);
