/*
 * `satchel backup now`: asks a server, by its ops address, for a snapshot, and waits until it is
 * stored.
 *
 *     POST /snapshot ─▶ number ─▶ GET /backupz, again and again ─▶ stored, and whole ─▶ 0
 *                                                              └─▶ failed, gone, late ─▶ 3
 *
 * A snapshot is whole with the changes that were made while it was taken: so the end is not when it
 * is stored, but when the log has these as well.
 */
#include "tools/backup/tool.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "tools/backup/text.h"

enum {
    POLL_MS = 200,
    REQUEST_MS_MAX = 10000,
    ANSWER_BYTES_MAX = 64 * 1024,
    HTTP_ACCEPTED = 202,
};

struct now_options {
    const char *server; /* HOST:PORT of the ops address */
    uint64_t wait_ms_max;
};

static const struct option_desc now_descs[] = {
    {.name = "server",
     .type = OPTION_TEXT,
     .standard = "127.0.0.1:7402",
     .unit = "HOST:PORT",
     .help = "Address of the server's health checks: what it was given as --ops.",
     .offset = offsetof(struct now_options, server),
     .variable = "SATCHEL_OPS"},
    {.name = "timeout",
     .type = OPTION_TIME_MS,
     .standard = "1h",
     .unit = "TIME",
     .help = "Gives up waiting after this; the server goes on.",
     .least = 1,
     .offset = offsetof(struct now_options, wait_ms_max)},
};

/* The run of the command. */
struct now {
    struct tool *tool; /* borrowed, as the next one */
    const struct now_options *options;
    CURL *curl;        /* owned */
    struct buf answer; /* owned: to the last request */
    int64_t begin_ns;
    const char *shown; /* what progress is about */
};

/* What the server says about its backup. */
struct told {
    const char *state; /* borrowed from `object`, as all texts */
    const char *error;
    const char *snapshot_error;
    json_int_t shipped_lsn;
    json_int_t through_lsn;
    json_int_t number;
    json_int_t stored_number;
    json_int_t failed_number;
    json_int_t sessions; /* of the one that is being taken … */
    json_int_t sessions_about;
    json_int_t newest_sessions; /* … and of the newest that is stored */
    json_int_t newest_bytes;
    json_t *object; /* owned */
};

/* ---- Requests ------------------------------------------------------------------------------- */

static size_t take_bytes(char *bytes, size_t size, size_t count, void *arg)
{
    struct buf *answer = arg;
    const size_t len = size * count;
    bool fits = len <= ANSWER_BYTES_MAX - answer->len;
    return fits && buf_append(answer, view_of((const uint8_t *)bytes, len)) == STATUS_OK ? len : 0;
}

static int look_at_stop(void *arg, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                        curl_off_t up)
{
    const struct stop *stop = arg;
    (void)down_total, (void)down, (void)up_total, (void)up;
    return stop_requested(stop) ? 1 : 0;
}

/* Asks; DONE: `*code` is what came, with the answer. Otherwise why not was said. */
static enum tool_exit ask(struct now *self, const char *path, bool is_post, long *code)
{
    char url[512];
    char why[CURL_ERROR_SIZE] = "";
    CURL *curl = self->curl;
    self->answer.len = 0;
    (void)snprintf(url, sizeof url, "http://%s%s", self->options->server, path);
    curl_easy_reset(curl);
    (void)curl_easy_setopt(curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http");
    (void)curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)REQUEST_MS_MAX);
    (void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
    (void)curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    (void)curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, look_at_stop);
    (void)curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &self->tool->stop);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_bytes);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, &self->answer);
    if (is_post) {
        (void)curl_easy_setopt(curl, CURLOPT_POST, 1L);
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, 0L);
    }
    CURLcode result = curl_easy_perform(curl);
    if (result != CURLE_OK) {
        return tool_fail(self->tool, TOOL_FAILED, "no answer from %s: %s", self->options->server,
                         stop_requested(&self->tool->stop) ? "interrupted"
                         : why[0] != '\0'                  ? why
                                                           : curl_easy_strerror(result));
    }
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, code);
    return TOOL_DONE;
}

/* The first line of the answer, as far as it can be shown. */
static const char *first_line(const struct buf *answer, char *out, size_t out_bytes)
{
    size_t len = 0;
    while (len < answer->len && len + 1 < out_bytes && answer->ptr[len] >= ' ' &&
           answer->ptr[len] < 0x7f) {
        out[len] = (char)answer->ptr[len];
        len++;
    }
    out[len] = '\0';
    return out;
}

static enum tool_exit refused(struct now *self, long code)
{
    char line[200];
    return tool_fail(self->tool, TOOL_FAILED, "%s answers %ld: %s", self->options->server, code,
                     first_line(&self->answer, line, sizeof line));
}

static json_t *parse(const struct buf *answer)
{
    json_error_t error;
    return json_loadb((const char *)answer->ptr, answer->len, 0, &error);
}

/* Asks for the snapshot. */
static enum tool_exit begin(struct now *self, json_int_t *number)
{
    long code = 0;
    enum tool_exit status = ask(self, "/snapshot", true, &code);
    if (status != TOOL_DONE) {
        return status;
    }
    json_t *object = code == HTTP_ACCEPTED ? parse(&self->answer) : NULL;
    bool is_number = json_unpack(object, "{s:I}", "snapshot", number) == 0;
    json_decref(object);
    return is_number ? TOOL_DONE : refused(self, code);
}

/* Asks how it is; `told` is to be let go of when DONE. */
static enum tool_exit look(struct now *self, struct told *told)
{
    long code = 0;
    enum tool_exit status = ask(self, "/backupz", false, &code);
    if (status != TOOL_DONE) {
        return status;
    }
    *told = (struct told){.object = parse(&self->answer)};
    if (json_unpack(told->object,
                    "{s:s, s:s, s:I, s:{s:s, s:I, s:I, s:I, s:{s:I, s:I}, s:{s:I, s:I, s:I}}}",
                    "state", &told->state, "error", &told->error, "shipped_lsn", &told->shipped_lsn,
                    "snapshots", "error", &told->snapshot_error, "number", &told->number,
                    "stored_number", &told->stored_number, "failed_number", &told->failed_number,
                    "progress", "sessions", &told->sessions, "sessions_about",
                    &told->sessions_about, "newest", "through_lsn", &told->through_lsn, "sessions",
                    &told->newest_sessions, "stored_bytes", &told->newest_bytes) != 0) {
        json_decref(told->object);
        return refused(self, code);
    }
    return TOOL_DONE;
}

/* ---- Waiting -------------------------------------------------------------------------------- */

static void show(struct now *self, const char *what, json_int_t done, json_int_t total)
{
    struct progress *progress = &self->tool->progress;
    if (what != self->shown) {
        progress_begin(progress, what, PROGRESS_COUNT);
        self->shown = what;
    }
    progress_show(progress, (uint64_t)done, (uint64_t)total);
}

static void show_stage(struct now *self, const struct told *told, json_int_t number)
{
    if (told->stored_number >= number) {
        show(self, "stored; waiting for the log, changes", told->shipped_lsn, told->through_lsn);
    } else if (told->number >= number) {
        show(self, "reading sessions", told->sessions, told->sessions_about);
    } else if (strcmp(told->state, "shipping") == 0) {
        show(self, "waiting for the snapshot before, sessions", told->sessions,
             told->sessions_about);
    } else {
        show(self, "waiting: the server cannot reach the storage, changes", told->shipped_lsn, 0);
    }
}

static void print(const struct now *self, const struct told *told)
{
    char size[TEXT_BYTES];
    const double seconds = (double)(clock_mono_ns(&clock_system) - self->begin_ns) / 1e9;
    if (self->tool->json) {
        tool_print_json(self->tool,
                        json_pack("{s:I, s:I, s:I, s:I, s:f}", "snapshot", told->stored_number,
                                  "sessions", told->newest_sessions, "stored_bytes",
                                  told->newest_bytes, "through_lsn", told->through_lsn, "seconds",
                                  seconds));
    } else {
        (void)printf("stored: %" JSON_INTEGER_FORMAT " sessions, %s, in %.1f s\n",
                     told->newest_sessions, text_size(size, (uint64_t)told->newest_bytes), seconds);
    }
}

/* True: the end, with `*exit`. */
static bool is_over(struct now *self, const struct told *told, json_int_t number,
                    enum tool_exit *exit)
{
    struct tool *tool = self->tool;
    *exit = TOOL_FAILED;
    if (told->stored_number >= number && told->shipped_lsn >= told->through_lsn) {
        progress_end(&tool->progress);
        print(self, told);
        *exit = TOOL_DONE;
        return true;
    }
    if (told->stored_number < number && told->failed_number >= number) {
        (void)tool_fail(tool, TOOL_FAILED, "the snapshot failed: %s", told->snapshot_error);
        return true;
    }
    if (strcmp(told->state, "fenced") == 0 || strcmp(told->state, "refused") == 0) {
        (void)tool_fail(tool, TOOL_FAILED, "the server's backup is %s: %s", told->state,
                        told->error);
        return true;
    }
    /* A number is at most one ahead of the last that began, in one life of the server. */
    if (told->number + 1 < number) {
        (void)tool_fail(tool, TOOL_FAILED, "the server was restarted before it was stored");
        return true;
    }
    const int64_t waited_ms = (clock_mono_ns(&clock_system) - self->begin_ns) / 1000000;
    if ((uint64_t)waited_ms >= self->options->wait_ms_max) {
        (void)tool_fail(tool, TOOL_FAILED, "not stored in time; the server goes on: it is %s%s%s",
                        told->state, told->error[0] != '\0' ? ", its last error was: " : "",
                        told->error);
        return true;
    }
    return false;
}

static enum tool_exit follow(struct now *self, json_int_t number)
{
    enum tool_exit exit = TOOL_FAILED;
    for (bool has_ended = false; !has_ended;) {
        struct told told;
        enum tool_exit status = look(self, &told);
        if (status != TOOL_DONE) {
            return status;
        }
        has_ended = is_over(self, &told, number, &exit);
        if (!has_ended) {
            show_stage(self, &told, number);
        }
        json_decref(told.object);
        if (!has_ended && stop_wait(&self->tool->stop, POLL_MS)) {
            return tool_fail(self->tool, TOOL_FAILED, "interrupted; the server goes on");
        }
    }
    return exit;
}

static enum tool_exit run(struct tool *tool, const void *options)
{
    struct now self = {.tool = tool, .options = options, .begin_ns = clock_mono_ns(&clock_system)};
    struct host_port address;
    json_int_t number = 0;
    char why[300] = "there is none";
    if (self.options->server == NULL ||
        host_port_parse(self.options->server, &address, why, sizeof why) != STATUS_OK) {
        return tool_fail(tool, TOOL_USAGE, "--server: %s", why);
    }
    self.curl = curl_easy_init();
    enum tool_exit status = self.curl == NULL ? tool_fail(tool, TOOL_FAILED, "out of memory")
                                              : begin(&self, &number);
    if (status == TOOL_DONE) {
        status = follow(&self, number);
    }
    buf_free(&self.answer);
    curl_easy_cleanup(self.curl);
    return status;
}

const struct tool_command now_command = {
    .words = "backup now",
    .synopsis = "",
    .summary = "has a server take a snapshot at once, and waits until it is stored",
    .details = "It holds every change that was acknowledged before this command began.\n",
    .descs = now_descs,
    .desc_count = sizeof now_descs / sizeof now_descs[0],
    .options_bytes = sizeof(struct now_options),
    .run = run,
};
