/* Options and clients of an archive's place. */
#include "backup/place.h"

#include <stdlib.h>
#include <string.h>

#include "base/random.h"

const struct option_desc place_option_descs[] = {
    {.name = "backup",
     .type = OPTION_TEXT,
     .standard = "",
     .unit = "s3://BUCKET[/PREFIX]",
     .help = "Where changes are shipped to and snapshots are kept; one store to a prefix. "
             "Credentials come from AWS_ACCESS_KEY_ID and its like, or from the task's role.",
     .offset = offsetof(struct place_options, url)},
    {.name = "backup-endpoint",
     .type = OPTION_TEXT,
     .standard = "",
     .unit = "URL",
     .help = "Address of an object storage that is not Amazon's.",
     .offset = offsetof(struct place_options, endpoint)},
    {.name = "backup-region",
     .type = OPTION_TEXT,
     .standard = "",
     .unit = "REGION",
     .help = "Its region; default: AWS_REGION of the environment, or us-east-1.",
     .offset = offsetof(struct place_options, region)},
    {.name = "backup-path-style",
     .type = OPTION_FLAG,
     .standard = "no",
     .unit = "",
     .help =
         "Puts the bucket's name into the path instead of the host's name, as most storages but "
         "Amazon's want it.",
     .offset = offsetof(struct place_options, path_style)},
    {.name = "backup-ca-file",
     .type = OPTION_TEXT,
     .standard = "",
     .unit = "PATH",
     .help = "Certificate authorities (PEM) to trust instead of the system's.",
     .offset = offsetof(struct place_options, ca_file)},
};
const size_t place_option_count = sizeof place_option_descs / sizeof place_option_descs[0];

static enum status open_transport(const struct place *self, const struct stop *stop,
                                  struct s3_transport *out, char *errmsg, size_t errmsg_bytes)
{
    const struct s3_http_options options = {.ca_file = self->options.ca_file, .stop = stop};
    return s3_http_open(&options, out, errmsg, errmsg_bytes);
}

enum status place_open(struct place *self, const struct place_options *options, char *errmsg,
                       size_t errmsg_bytes)
{
    *self = (struct place){.options = *options};
    if (self->options.region == NULL) {
        const char *region = getenv("AWS_REGION");
        self->options.region = region != NULL && region[0] != '\0' ? region : "us-east-1";
    }
    stop_init(&self->stop);
    struct credentials_deps deps = {
        .environ_get = getenv, .clock = &clock_system, .random = random_u64};
    enum status status = open_transport(self, &self->stop, &deps.transport, errmsg, errmsg_bytes);
    if (status == STATUS_OK) {
        status = credentials_open(&deps, &self->credentials, errmsg, errmsg_bytes);
    }
    if (status != STATUS_OK) {
        stop_close(&self->stop);
    }
    return status;
}

enum status place_client(struct place *self, struct stop *stop, struct s3 **out, char *errmsg,
                         size_t errmsg_bytes)
{
    const struct s3_options options = {.url = self->options.url,
                                       .endpoint = self->options.endpoint,
                                       .region = self->options.region,
                                       .path_style = self->options.path_style};
    struct s3_deps deps = {.credentials = self->credentials,
                           .timing = s3_timing_system(stop),
                           .metrics = &self->metrics};
    enum status status = open_transport(self, stop, &deps.transport, errmsg, errmsg_bytes);
    return status == STATUS_OK ? s3_open(&options, &deps, out, errmsg, errmsg_bytes) : status;
}

void place_close(struct place *self)
{
    stop_request(&self->stop);
    credentials_close(self->credentials);
    stop_close(&self->stop);
}
