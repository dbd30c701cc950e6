/* Putting holds, and finding those of others. */
#include "backup/hold.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backup/hex.h"
#include "base/log.h"
#include "base/random.h"
#include "base/thread.h"

struct hold {
    struct s3 *s3; /* borrowed */
    char key[HOLD_NAME_BYTES];
    uint64_t renew_ms;
    struct stop stop; /* ends the waiting */
    pthread_t thread;
};

void hold_name(char out[static HOLD_NAME_BYTES], uint64_t first_seq, uint64_t nonce)
{
    (void)snprintf(out, HOLD_NAME_BYTES, "hold/%016" PRIx64 "-%016" PRIx64, first_seq, nonce);
}

bool hold_parse_name(const char *name, uint64_t *first_seq, uint64_t *nonce)
{
    return strlen(name) == HOLD_NAME_BYTES - 1 && strncmp(name, "hold/", 5) == 0 &&
           hex_number(name + 5, 16, first_seq) && name[21] == '-' &&
           hex_number(name + 22, 16, nonce);
}

/* ---- Holding -------------------------------------------------------------------------------- */

static enum s3_status put(const struct hold *self, struct s3 *s3)
{
    static const char body[] = "A restore reads this archive; see docs/backup-format.md.\n";
    return s3_put(s3, self->key, view_str(body), 0);
}

static void *renew(void *arg)
{
    struct hold *self = arg;
    while (!stop_wait(&self->stop, self->renew_ms)) {
        if (put(self, self->s3) != S3_OK && s3_last_error(self->s3)->status != S3_CANCELLED) {
            char why[256];
            char quoted[2 * sizeof why];
            s3_describe_error(self->s3, why, sizeof why);
            log_warn("the hold on the archive could not be renewed", "why=%s",
                     log_quoted(quoted, sizeof quoted, why));
        }
    }
    return NULL;
}

static enum status failed(const struct s3 *s3, char *errmsg, size_t errmsg_bytes)
{
    s3_describe_error(s3, errmsg, errmsg_bytes);
    switch (s3_last_error(s3)->status) {
    case S3_CANCELLED:
        return STATUS_AGAIN;
    case S3_NO_MEMORY:
        return STATUS_NO_MEMORY;
    case S3_DENIED:
    case S3_UNSUPPORTED:
        return STATUS_INVALID;
    default:
        return STATUS_IO;
    }
}

enum status hold_begin(const struct hold_options *options, struct hold **out, char *errmsg,
                       size_t errmsg_bytes)
{
    *out = NULL;
    (void)snprintf(errmsg, errmsg_bytes, "out of memory");
    struct hold *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return STATUS_NO_MEMORY;
    }
    self->s3 = options->s3;
    self->renew_ms = options->renew_ms != 0 ? options->renew_ms : HOLD_RENEW_MS;
    hold_name(self->key, 0, random_u64());
    struct s3 *first = options->first != NULL ? options->first : self->s3;
    if (put(self, first) != S3_OK) {
        enum status status = failed(first, errmsg, errmsg_bytes);
        free(self);
        return status;
    }
    stop_init(&self->stop);
    if (thread_start(&self->thread, "hold", renew, self) != STATUS_OK) {
        (void)snprintf(errmsg, errmsg_bytes, "cannot start a thread");
        (void)!s3_delete(self->s3, self->key); /* or it is void in an hour */
        stop_close(&self->stop);
        free(self);
        return STATUS_NO_MEMORY;
    }
    *out = self;
    return STATUS_OK;
}

void hold_end(struct hold *self)
{
    if (self == NULL) {
        return;
    }
    stop_request(&self->stop);
    (void)pthread_join(self->thread, NULL);
    if (s3_delete(self->s3, self->key) != S3_OK) {
        char why[256];
        char quoted[2 * sizeof why];
        s3_describe_error(self->s3, why, sizeof why);
        log_warn("the hold on the archive could not be deleted; it is void in an hour",
                 "key=%s why=%s", self->key, log_quoted(quoted, sizeof quoted, why));
    }
    stop_close(&self->stop);
    free(self);
}

/* ---- Looking at holds ----------------------------------------------------------------------- */

struct looking {
    const struct s3 *s3;
    hold_fn each;
    void *arg;
};

static bool tell(void *arg, const char *key, const struct s3_object *object)
{
    const struct looking *self = arg;
    struct hold_found found = {.key = key};
    uint64_t nonce;
    if (!hold_parse_name(key, &found.first_seq, &nonce)) {
        return true; /* none of ours */
    }
    int64_t now_ms = s3_storage_ms(self->s3);
    found.age_ms = now_ms > object->modified_ms && now_ms != 0 ? now_ms - object->modified_ms : 0;
    found.is_void = found.age_ms > HOLD_VOID_MS;
    return self->each(self->arg, &found);
}

enum s3_status hold_list(struct s3 *s3, hold_fn each, void *arg)
{
    struct looking looking = {.s3 = s3, .each = each, .arg = arg};
    return s3_list(s3, &(struct s3_list_options){.prefix = "hold/"}, tell, &looking);
}
