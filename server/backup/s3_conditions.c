/* Does the storage honour conditions? Ask it, since what it says about itself is no proof. */
#include <inttypes.h>
#include <stdio.h>

#include "backup/s3_private.h"

enum s3_status s3_probe_conditions(struct s3 *self, enum s3_conditions *out,
                                   enum s3_status *removed)
{
    char key[64];
    const struct s3_timing *timing = &self->deps.timing;
    const struct view body = view_str("Satchel asks whether this can be overwritten.\n");
    (void)snprintf(key, sizeof key, "probe/%016" PRIx64 "%016" PRIx64, timing->random(timing->arg),
                   timing->random(timing->arg));
    *removed = S3_OK;
    enum s3_status first = s3_put(self, key, body, S3_PUT_IF_ABSENT);
    if (first == S3_UNSUPPORTED || first == S3_REFUSED) {
        *out = S3_CONDITIONS_REFUSED;
        return S3_OK;
    }
    /* EXISTS by a name that is new: an earlier attempt of ours made it, and the storage cares. */
    if (first != S3_OK && first != S3_EXISTS) {
        return first;
    }
    enum s3_status second = s3_put(self, key, body, S3_PUT_IF_ABSENT);
    const struct s3_error error = self->error;
    *removed = s3_delete(self, key);
    if (second != S3_OK && second != S3_EXISTS) {
        self->error = error; /* rather than that of removing */
        return second;
    }
    *out = second == S3_EXISTS ? S3_CONDITIONS_SUPPORTED : S3_CONDITIONS_IGNORED;
    return S3_OK;
}
