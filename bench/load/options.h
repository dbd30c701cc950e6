/*
 * The settings of a run: from the command line, else from the scenario file, else the default.
 *
 * A scenario file has lines `name = value` with the names of the options that say what the load is;
 * where the server is, and where results go, belongs on the command line. What follows a # is a
 * comment; the first line is one that describes the scenario.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/bytes.h"
#include "load/keys.h"
#include "load/mix.h"
#include "load/values.h"

enum setting_type {
    SETTING_TEXT,
    SETTING_COUNT,   /* uint64_t, decimal */
    SETTING_DECIMAL, /* double, such as 0.5 */
    SETTING_YES_NO,
    SETTING_FLAG, /* `--name` alone means yes */
    SETTING_PROTOCOL,
    SETTING_ACK,
    SETTING_MIX,
    SETTING_KEYS,
    SETTING_VALUES,
};

enum protocol_name { PROTOCOL_NATIVE, PROTOCOL_RESP, PROTOCOL_MEMCACHE };

/* NAME, member, type, in scenario files?, least, most, default, unit, help. An empty default is no
 * value: 0 or NULL. */
#define SETTINGS(X)                                                                                \
    X("server", server, TEXT, false, 0, 0, "", "HOST:PORT", "the server; has to be given")         \
    X("token-file", token_file, TEXT, false, 0, 0, "", "FILE",                                     \
      "the server's shared secret; else SATCHEL_TOKEN_FILE names the file, or SATCHEL_TOKEN has "  \
      "it")                                                                                        \
    X("protocol", protocol, PROTOCOL, true, 0, 0, "native", "native|resp|memcache",                \
      "what it speaks")                                                                            \
    X("scenario", scenario, TEXT, false, 0, 0, "", "NAME|FILE",                                    \
      "a file of settings, or one that is built in; see --list-scenarios")                         \
    X("mix", mix, MIX, true, 0, 0, "get 80, set 20", "MIX",                                        \
      "operations and their weights; a+b: one after the other on the same session")                \
    X("keys", keys, COUNT, true, 1, KEYS_MAX, "100000", "COUNT", "sessions")                       \
    X("key-distribution", key_distribution, KEYS, true, 0, 0, "uniform", "uniform|zipf:S|hot:P:Q", \
      "which of them; hot: P % get Q % of the operations")                                         \
    X("value-bytes", value_shape, VALUES, true, 0, 0, "512", "[json:]N[-M]",                       \
      "size of a value, or of each of the four fields where the mix has patch or incr")            \
    X("idle-ttl-ms", idle_ttl_ms, COUNT, true, 0, 31536000000, "0", "MS",                          \
      "time to live that set and touch give; 0: none")                                             \
    X("ack", ack, ACK, true, 0, 0, "durable", "durable|fast",                                      \
      "native: when a write is answered; elsewhere the server's own settings decide")              \
    X("connections", connections, COUNT, true, 1, 60000, "50", "COUNT", "connections")             \
    X("pipeline", pipeline, COUNT, true, 1, 1000, "1", "COUNT",                                    \
      "requests in flight on each connection")                                                     \
    X("threads", threads, COUNT, true, 1, 64, "1", "COUNT", "threads of the load")                 \
    X("seconds", seconds, DECIMAL, true, 0, 86400, "10", "S", "how long to measure")               \
    X("warmup", warmup, DECIMAL, true, 0, 86400, "1", "S", "how long to run before")               \
    X("rate", rate, DECIMAL, true, 0, 100000000, "", "OPS_PER_S",                                  \
      "operations arrive at this rate (open loop); without: each waits for the last")              \
    X("seed", seed, COUNT, true, 0, UINT64_MAX, "1", "NUMBER",                                     \
      "another seed, another order of keys and operations")                                        \
    X("preload", preload, YES_NO, true, 0, 0, "yes", "yes|no", "write every session first")        \
    X("verify", verify, YES_NO, true, 0, 0, "yes", "yes|no", "check every value that is read")     \
    X("server-pid", server_pid, COUNT, false, 0, INT32_MAX, "", "PID",                             \
      "measure the CPU time of this process")                                                      \
    X("json", json, TEXT, false, 0, 0, "", "FILE", "write the result there; - is standard output") \
    X("quiet", quiet, FLAG, false, 0, 0, "no", "", "no progress and no table")                     \
    X("list-scenarios", list_scenarios, FLAG, false, 0, 0, "no", "", "name the scenarios and end") \
    X("help", help, FLAG, false, 0, 0, "no", "", "say this and end")                               \
    X("version", version, FLAG, false, 0, 0, "no", "", "say the version and end")

#define SETTING_C_TEXT const char *
#define SETTING_C_COUNT uint64_t
#define SETTING_C_DECIMAL double
#define SETTING_C_YES_NO bool
#define SETTING_C_FLAG bool
#define SETTING_C_PROTOCOL enum protocol_name
#define SETTING_C_ACK bool /* fast? */
#define SETTING_C_MIX struct mix
#define SETTING_C_KEYS struct key_distribution
#define SETTING_C_VALUES struct value_shape

enum {
    SETTING_TOTAL = 0
#define X(name, member, type, in_file, least, most, standard, unit, help) +1
    SETTINGS(X)
#undef X
};

struct setting {
    const char *name;
    enum setting_type type;
    bool in_scenario;
    uint64_t least;
    uint64_t most; /* for numbers */
    const char *standard;
    const char *unit;
    const char *help;
    size_t offset; /* in struct options */
};

struct options {
#define X(name, member, type, in_file, least, most, standard, unit, help) SETTING_C_##type member;
    SETTINGS(X)
#undef X
    /* Every setting as it was written ("" where there is no value), in the order of the table;
     * borrowed from the command line, the table or `scenario_text`. */
    const char *texts[SETTING_TOTAL];
    struct buf token;       /* owned: the shared secret; empty: none */
    char *scenario_text;    /* owned; NULL without a scenario */
    char scenario_name[64]; /* of the file, without folder and ending; "" without a scenario */
};

extern const struct setting settings[SETTING_TOTAL];

enum { OPTIONS_WHY_BYTES = 512 };

/**
 * Reads the command line, the scenario that it names, and the token (base/token.h). True, or false
 * with one line in `why`; in both cases options_free() is due. `argv` has to outlive the options.
 * Main thread, before others are started. With `help`, `version` or `list_scenarios` nothing else
 * is looked at.
 */
bool options_read(struct options *self, int argc, char *const argv[], char *why, size_t why_bytes);

void options_free(struct options *self);

/** Parses one value into its member. False with the reason in `why`. */
bool setting_parse(const struct setting *setting, const char *text, struct options *into, char *why,
                   size_t why_bytes);

/** Index of the setting with this name (`len` bytes), or SETTING_TOTAL. */
size_t setting_find(const char *name, size_t len);

void options_help(FILE *to);
