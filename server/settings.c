/* The options of satcheld. */
#include "settings.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory_limit.h"
#include "base/option.h"
#include "base/token.h"

static const struct option_desc watch_option_descs[] = {
    {.name = "storage-slow",
     .type = OPTION_TIME_MS,
     .standard = "10s",
     .unit = "TIME",
     .help = "A write to the storage that takes longer makes /readyz answer 503.",
     .least = 100,
     .offset = offsetof(struct watch_options, slow_ms)},
    {.name = "storage-deadline",
     .type = OPTION_TIME_MS,
     .standard = "2m",
     .unit = "TIME",
     .help = "A write to the storage that takes longer ends the process with exit code 3; what was "
             "acknowledged is on the storage already.",
     .least = 1000,
     .offset = offsetof(struct watch_options, deadline_ms)},
};

static const struct option_desc log_option_descs[] = {
    {.name = "log-level",
     .type = OPTION_CHOICE,
     .standard = "info",
     .unit = "debug|info|warn|error",
     .help = "Least important lines that are written to standard error.",
     .offset = offsetof(struct log_options, level)},
    {.name = "log-format",
     .type = OPTION_CHOICE,
     .standard = "text",
     .unit = "text|json",
     .help = "How they are written.",
     .offset = offsetof(struct log_options, format)},
};

static const struct option_desc restore_option_descs[] = {
    {.name = "restore",
     .type = OPTION_CHOICE,
     .standard = "never",
     .unit = "never|auto",
     .help = "auto: when the data directory is empty, it is first made from the backup.",
     .offset = offsetof(struct restore_options, when)},
};

bool settings_parse(struct settings *self, int argc, char *argv[], int *exit_code)
{
    const struct option_group groups[] = {
        {"Serving", net_option_descs, net_option_count, &self->net},
        {"Access and acknowledgement", serve_option_descs, serve_option_count, &self->serve},
        {"Storage", store_option_descs, store_option_count, &self->store},
        {"Ownership", lease_option_descs, lease_option_count, &self->lease},
        {"Operations", ops_option_descs, ops_option_count, &self->ops},
        {"Metrics for CloudWatch", emf_option_descs, emf_option_count, &self->emf},
        {"StatsD", statsd_option_descs, statsd_option_count, &self->statsd},
        {"On Amazon ECS", ecs_option_descs, ecs_option_count, &self->ecs},
        {"Backup", place_option_descs, place_option_count, &self->backup.place},
        {"Snapshots and shipping", backup_option_descs, backup_option_count, &self->backup},
        {"Restoring", restore_option_descs,
         sizeof restore_option_descs / sizeof restore_option_descs[0], &self->restore},
        {"Watching the storage", watch_option_descs,
         sizeof watch_option_descs / sizeof watch_option_descs[0], &self->watch},
        {"Log", log_option_descs, sizeof log_option_descs / sizeof log_option_descs[0], &self->log},
    };
    const size_t group_count = sizeof groups / sizeof groups[0];
    const char *seen = NULL;
    char errmsg[512] = "";
    enum status status = option_parse(groups, group_count, argc, argv, getenv, &seen, errmsg,
                                      sizeof errmsg);
    if (status == STATUS_OK) {
        status = emf_options_settle(&self->emf, getenv, errmsg, sizeof errmsg);
    }
    if (status == STATUS_OK) {
        status = token_check(self->serve.token_file, errmsg, sizeof errmsg);
    }
    if (status == STATUS_OK) {
        status = statsd_options_check(&self->statsd, errmsg, sizeof errmsg);
    }
    if (status == STATUS_OK) {
        return true;
    }
    *exit_code = 0;
    if (status != STATUS_END) {
        (void)fprintf(stderr, "satcheld: %s; see satcheld --help\n", errmsg);
        *exit_code = EXIT_USAGE;
    } else if (strcmp(seen, "version") == 0) {
        (void)printf("satcheld " SATCHEL_VERSION_TEXT "\n");
    } else {
        (void)printf("satcheld, the Satchel session store\n\nUsage: satcheld [OPTION…]\n\n"
                     "Each option can also be given by the environment variable beside it.\n\n");
        option_help(groups, group_count, stdout);
        (void)printf("\nSignals: SIGTERM and SIGINT stop it in order, SIGUSR1 writes a checkpoint, "
                     "SIGUSR2 takes a "
                     "snapshot\nfor the backup.\n"
                     "Exit codes: 0 stopped as asked, 1 could not start, 2 unusable options, "
                     "3 the storage failed,\nor another store has taken the backup over, 4 "
                     "stopping was cut short.\n");
    }
    return false;
}

/* Beside the sessions there are connections, buffers of the journal and what a checkpoint copies.
 */
enum { MEMORY_SHARE_STANDARD = 2, MEMORY_UNKNOWN_BYTES = 1 << 30 };

void settings_share_memory(struct settings *self)
{
    const struct memory_limit limit = memory_limit_read("");
    uint64_t *sessions_bytes = &self->store.memory_bytes;
    if (*sessions_bytes == 0) {
        *sessions_bytes = limit.bytes == 0 ? MEMORY_UNKNOWN_BYTES
                                           : limit.bytes / MEMORY_SHARE_STANDARD;
    }
    log_info("memory", "sessions_bytes=%" PRIu64 " limit_bytes=%" PRIu64 " limit_of=%s",
             *sessions_bytes, limit.bytes, limit.source);
    if (limit.bytes != 0 && *sessions_bytes > limit.bytes / 4 * 3) {
        log_warn("--memory leaves less than a quarter for everything else: the kernel may end the "
                 "process",
                 NULL);
    }
}
