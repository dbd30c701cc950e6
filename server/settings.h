/* All options of satcheld: where each module's settings go, and what the command line says. */
#pragma once

#include "backup/backup.h"
#include "lifecycle/lease.h"
#include "net/net.h"
#include "ops/ecs.h"
#include "ops/emf.h"
#include "ops/ops.h"
#include "ops/statsd.h"
#include "serve.h"
#include "store/options.h"

struct watch_options {
    uint64_t slow_ms;     /* storage that does not answer for so long makes /readyz red */
    uint64_t deadline_ms; /* … and for so long ends the process */
};

struct log_options {
    unsigned level;  /* enum log_level */
    unsigned format; /* enum log_format */
};

enum restore_when { RESTORE_NEVER, RESTORE_AUTO };

struct restore_options {
    unsigned when; /* enum restore_when */
};

struct settings {
    struct net_options net;
    struct lease_options lease;
    struct store_options store;
    struct serve_options serve;
    struct ops_options ops;
    struct emf_options emf;
    struct statsd_options statsd;
    struct ecs_options ecs;
    struct backup_options backup;
    struct restore_options restore;
    struct watch_options watch;
    struct log_options log;
};

enum { EXIT_USAGE = 2 };

/** Half of what the container has for sessions, when the options do not say how much. Logs what it
 *  is, and a warning when the options say more than will go well. After settings_parse(). */
void settings_share_memory(struct settings *self);

/** Reads the command line and the environment. True: go on; false: end with `*exit_code`, all was
 *  said (help, version, or what is wrong). */
bool settings_parse(struct settings *self, int argc, char *argv[], int *exit_code);
