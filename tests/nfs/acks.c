/*
 * acks write --server HOST:PORT --run R [--sessions N] [--count N] [--rate N] [--to FILE]
 * acks check --server HOST:PORT [--sessions N] LOG…
 *
 *     write   overwrites sessions, with durable acknowledgements, until `count` are acknowledged or
 *             the connection ends, and writes a line for each acknowledgement to FILE as it comes:
 *
 *                 SESSION NUMBER VERSION MILLISECONDS
 *
 *             the last by CLOCK_MONOTONIC, below one with the run. One session has one request on
 * the way at a time; the k-th value that run R writes to a session has the number R << 20 | k.
 *     check   reads the logs of runs, in the order of the runs, and holds the server against them:
 *             a session has the value and version that were acknowledged last, or those of the one
 *             request that was on the way when a run ended; and its version never went back
 *
 * Exit code 0; 1: something is lost or wrong; 2: usage; 3 (write): the connection ended early.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "nfs/updates.h"
#include "support/pattern.h"
#include "support/wire.h"

enum {
    WINDOW = 64,
    CHECK_WINDOW = 32,
    ANSWER_WAIT_MS = 60000,
    RUN_SHIFT = 20,
    RUNS_MAX = 1 << 12,
    LINE_BYTES = 80,
    COMPLAINTS_MAX = 10, /* printed */
    EXIT_BROKEN = 3,
};

struct options {
    const char *server;
    const char *to;
    uint32_t run;
    uint32_t sessions;
    uint64_t count; /* 0: until the connection ends */
    uint32_t rate;  /* updates a second; 0: as fast as it goes */
    char **logs;
    int log_count;
};

static int fail(const char *why)
{
    (void)fprintf(stderr, "acks: %s\n", why);
    return EXIT_FAILURE;
}

static void *table_of(size_t count, size_t bytes)
{
    void *table = calloc(count, bytes);
    if (table == NULL) {
        abort();
    }
    return table;
}

/* ---- write ---------------------------------------------------------------------------------- */

struct writer {
    const struct options *options; /* borrowed */
    struct wire wire;
    int log_fd;
    struct random random;
    uint32_t *written; /* owned: acknowledged values of each session */
    bool *busy;        /* owned: its request is on the way */
    uint32_t on_the_way;
    uint64_t sent;
    uint64_t acknowledged;
    int64_t start_ms;
    bool is_stopping;
};

static void put(struct writer *self, uint32_t session)
{
    uint8_t value[UPDATE_VALUE_BYTES];
    char id[UPDATE_ID_BYTES];
    uint32_t number = self->options->run << RUN_SHIFT | (self->written[session] + 1);
    pattern_fill(value, sizeof value, session, number);
    struct command set = {.op = SATCHEL_OP_SET,
                          .kind = SATCHEL_BLOB,
                          .id = update_id(session, id),
                          .content = view_of(value, sizeof value)};
    wire_put(&self->wire, session, SATCHEL_FLAG_ACK_DURABLE, &set);
}

/* How many updates may have been sent by now. */
static uint64_t allowed(const struct writer *self)
{
    const struct options *options = self->options;
    uint64_t most = options->count == 0 ? UINT64_MAX : options->count;
    if (options->rate != 0) {
        uint64_t passed_ms = (uint64_t)(update_now_ms() - self->start_ms);
        uint64_t due = passed_ms * options->rate / 1000 + 1;
        most = due < most ? due : most;
    }
    return most;
}

static void put_some(struct writer *self)
{
    uint32_t window = self->options->sessions / 2 < WINDOW ? self->options->sessions / 2 : WINDOW;
    uint64_t most = allowed(self);
    while (!self->is_stopping && self->sent < most && self->on_the_way < window) {
        uint32_t session = update_session(&self->random, self->options->sessions);
        if (!self->busy[session]) {
            put(self, session);
            self->busy[session] = true;
            self->on_the_way++;
            self->sent++;
        }
    }
}

/* Takes one answer; an acknowledgement is added to `lines`. False: an answer that must not be. */
static bool take(struct writer *self, const struct native_reply *reply, struct buf *lines)
{
    uint32_t session = (uint32_t)reply->request_id;
    enum satchel_retry_class retry = satchel_status_retry_of(reply->status);
    if (reply->request_id >= self->options->sessions || !self->busy[session]) {
        return false;
    }
    self->busy[session] = false;
    self->on_the_way--;
    if (reply->status != SATCHEL_OK) {
        self->sent--;
        self->is_stopping = self->is_stopping || retry != SATCHEL_RETRY_SAME;
        /* What may have happened stays on the way, so this session is left alone. */
        self->busy[session] = retry == SATCHEL_RETRY_MAYBE_APPLIED;
        return retry > SATCHEL_RETRY_FINAL;
    }
    self->written[session]++;
    self->acknowledged++;
    uint32_t number = self->options->run << RUN_SHIFT | self->written[session];
    char line[LINE_BYTES];
    int len = snprintf(line, sizeof line, "%" PRIu32 " %" PRIu32 " %" PRIu64 " %" PRId64 "\n",
                       session, number, reply->version, update_now_ms());
    return buf_append(lines, view_of(line, (size_t)len)) == STATUS_OK;
}

static bool write_all(int fd, struct view bytes)
{
    while (bytes.len > 0) {
        ssize_t done = write(fd, bytes.ptr, bytes.len);
        if (done < 0 && errno != EINTR) {
            return false;
        }
        size_t step = done < 0 ? 0 : (size_t)done;
        bytes = view_of(bytes.ptr + step, bytes.len - step);
    }
    return true;
}

/* Waits for answers and takes all that are there; the log has them before anything else is sent. */
static enum status take_some(struct writer *self, int wait_ms)
{
    struct native_reply reply;
    struct buf lines = {0};
    bool fine = true;
    enum status status = wire_take(&self->wire, wait_ms, &reply);
    for (; fine && status == STATUS_OK; status = wire_take(&self->wire, 0, &reply)) {
        fine = take(self, &reply, &lines);
    }
    if (!write_all(self->log_fd, buf_view(&lines))) {
        (void)fail("the log cannot be written");
        status = STATUS_INVALID;
    }
    buf_free(&lines);
    return fine ? status : STATUS_INVALID;
}

static int write_updates(struct writer *self)
{
    const struct options *options = self->options;
    enum status status = STATUS_AGAIN;
    bool done = false;
    self->start_ms = update_now_ms();
    while (status == STATUS_AGAIN && !done) {
        put_some(self);
        if (!wire_flush(&self->wire)) {
            status = STATUS_IO;
            (void)take_some(self, 0); /* answers that came before the end still count */
            break;
        }
        /* A rate wakes it up often; otherwise it waits for as long as the storage hangs. */
        status = take_some(self, options->rate != 0 ? 5 : 1000);
        done = self->on_the_way == 0 &&
               (self->is_stopping || (options->count != 0 && self->acknowledged >= options->count));
    }
    (void)printf("wrote %" PRIu64 " acknowledged in %.2f s\n", self->acknowledged,
                 (double)(update_now_ms() - self->start_ms) / 1e3);
    if (status == STATUS_INVALID) {
        return fail("an answer that must not be");
    }
    return status == STATUS_IO ? EXIT_BROKEN : EXIT_SUCCESS;
}

static int run_write(const struct options *options)
{
    struct writer self = {.options = options,
                          .random = {.state = options->run},
                          .log_fd = open(options->to == NULL ? "/dev/null" : options->to,
                                         O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)};
    if (self.log_fd < 0 || !wire_open(&self.wire, options->server)) {
        return fail("cannot connect, or cannot write the log");
    }
    self.written = table_of(options->sessions, sizeof *self.written);
    self.busy = table_of(options->sessions, sizeof *self.busy);
    /* The log names its run before anything is sent, so that one without acknowledgements does. */
    char head[LINE_BYTES];
    int len = snprintf(head, sizeof head, "run %" PRIu32 "\n", options->run);
    int code = write_all(self.log_fd, view_of(head, (size_t)len))
                   ? write_updates(&self)
                   : fail("the log cannot be written");
    free(self.written);
    free(self.busy);
    wire_close(&self.wire);
    (void)close(self.log_fd);
    return code;
}

/* ---- check ---------------------------------------------------------------------------------- */

/* What the logs say of one session. */
struct known {
    uint32_t number; /* acknowledged last; 0: none */
    uint64_t version;
    int64_t at_ms;
};

struct checker {
    const struct options *options;
    struct known *known; /* owned: by session */
    uint32_t *counts;    /* owned: by run and session, how many values were acknowledged */
    uint32_t runs[RUNS_MAX];
    uint32_t run_count;
    uint64_t acknowledged;
    uint64_t wrong;
};

static void complain(struct checker *self, uint32_t session, const char *what, uint32_t number,
                     uint64_t version)
{
    const struct known *known = &self->known[session];
    if (++self->wrong > COMPLAINTS_MAX) {
        return;
    }
    (void)fprintf(stderr,
                  "session %" PRIu32 ": %s: run %" PRIu32 " value %" PRIu32 " version %" PRIu64
                  "; acknowledged was run %" PRIu32 " value %" PRIu32 " version %" PRIu64
                  " at %" PRId64 " ms\n",
                  session, what, number >> RUN_SHIFT, number & ((1U << RUN_SHIFT) - 1), version,
                  known->number >> RUN_SHIFT, known->number & ((1U << RUN_SHIFT) - 1),
                  known->version, known->at_ms);
}

/* One log; its last line may be torn by the end of the machine. */
static bool read_log(struct checker *self, unsigned index, const char *path)
{
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        (void)fprintf(stderr, "acks: cannot read %s\n", path);
        return false;
    }
    char line[LINE_BYTES];
    bool named = fgets(line, sizeof line, file) != NULL && strchr(line, '\n') != NULL &&
                 sscanf(line, "run %" SCNu32, &self->runs[index]) == 1;
    while (named && fgets(line, sizeof line, file) != NULL && strchr(line, '\n') != NULL) {
        uint32_t session = 0;
        struct known now = {0};
        if (sscanf(line, "%" SCNu32 " %" SCNu32 " %" SCNu64 " %" SCNd64, &session, &now.number,
                   &now.version, &now.at_ms) != 4 ||
            session >= self->options->sessions) {
            (void)fprintf(stderr, "acks: %s has a line that is none: %s", path, line);
            self->wrong++;
            break;
        }
        if (now.version <= self->known[session].version) {
            complain(self, session, "the version went back", now.number, now.version);
        }
        if (now.number <= self->known[session].number) {
            complain(self, session, "an older value was acknowledged", now.number, now.version);
        }
        self->known[session] = now;
        self->counts[(size_t)index * self->options->sessions + session]++;
        self->acknowledged++;
    }
    (void)fclose(file);
    return true;
}

/* May this be the request that was on the way when a run ended? Never one of a run that was over
 * before the last acknowledgement. */
static bool was_on_the_way(const struct checker *self, uint32_t session, uint32_t number)
{
    uint32_t run = number >> RUN_SHIFT;
    if (number <= self->known[session].number) {
        return false;
    }
    for (uint32_t i = 0; i < self->run_count; i++) {
        if (self->runs[i] == run) {
            uint32_t count = self->counts[(size_t)i * self->options->sessions + session];
            return number == (run << RUN_SHIFT | (count + 1));
        }
    }
    return false;
}

static void check_session(struct checker *self, uint32_t session, const struct native_reply *reply)
{
    const struct known *known = &self->known[session];
    uint32_t owner = 0;
    uint32_t number = 0;
    if (reply->status != SATCHEL_OK) {
        if (reply->status != SATCHEL_NOT_FOUND || known->number != 0) {
            complain(self, session, satchel_status_text_of(reply->status), 0, 0);
        }
    } else if (!pattern_read(reply->content, &owner, &number) || owner != session ||
               reply->content.len != UPDATE_VALUE_BYTES) {
        complain(self, session, "the value is damaged", 0, reply->version);
    } else if (number == known->number) {
        if (reply->version != known->version) {
            complain(self, session, "another version", number, reply->version);
        }
    } else if (!was_on_the_way(self, session, number) || reply->version <= known->version) {
        complain(self, session, "another value", number, reply->version);
    }
}

static bool check_sessions(struct checker *self)
{
    struct wire wire;
    bool fine = wire_open(&wire, self->options->server);
    for (uint32_t from = 0; fine && from < self->options->sessions; from += CHECK_WINDOW) {
        uint32_t left = self->options->sessions - from;
        uint32_t count = left < CHECK_WINDOW ? left : CHECK_WINDOW;
        for (uint32_t i = 0; i < count; i++) {
            char id[UPDATE_ID_BYTES];
            struct command get = {.op = SATCHEL_OP_GET, .id = update_id(from + i, id)};
            wire_put(&wire, from + i, 0, &get);
        }
        fine = wire_flush(&wire);
        for (uint32_t i = 0; fine && i < count; i++) {
            struct native_reply reply;
            fine = wire_take(&wire, ANSWER_WAIT_MS, &reply) == STATUS_OK &&
                   reply.request_id >= from && reply.request_id < from + count;
            if (fine) {
                check_session(self, (uint32_t)reply.request_id, &reply);
            }
        }
    }
    wire_close(&wire);
    return fine;
}

static int run_check(const struct options *options)
{
    struct checker self = {.options = options};
    self.known = table_of(options->sessions, sizeof *self.known);
    self.counts = table_of((size_t)options->log_count * options->sessions, sizeof *self.counts);
    self.run_count = (uint32_t)options->log_count;
    bool fine = options->log_count <= RUNS_MAX;
    for (int i = 0; fine && i < options->log_count; i++) {
        fine = read_log(&self, (unsigned)i, options->logs[i]);
    }
    fine = fine && check_sessions(&self);
    (void)printf("%s %" PRIu64 " acknowledgements of %d runs, %" PRIu64 " wrong\n",
                 fine ? "checked" : "could not check", self.acknowledged, options->log_count,
                 self.wrong);
    free(self.known);
    free(self.counts);
    return fine && self.wrong == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- Composition ---------------------------------------------------------------------------- */

static bool parse(struct options *options, int argc, char *argv[])
{
    int i = 2;
    for (; i + 1 < argc && strncmp(argv[i], "--", 2) == 0; i += 2) {
        const char *name = argv[i];
        uint64_t number = strtoull(argv[i + 1], NULL, 10);
        if (strcmp(name, "--server") == 0) {
            options->server = argv[i + 1];
        } else if (strcmp(name, "--to") == 0) {
            options->to = argv[i + 1];
        } else if (strcmp(name, "--run") == 0) {
            options->run = (uint32_t)number;
        } else if (strcmp(name, "--sessions") == 0) {
            options->sessions = (uint32_t)number;
        } else if (strcmp(name, "--count") == 0) {
            options->count = number;
        } else if (strcmp(name, "--rate") == 0) {
            options->rate = (uint32_t)number;
        } else {
            return false;
        }
    }
    options->logs = argv + i;
    options->log_count = argc - i;
    return options->server != NULL && options->sessions >= 2 && options->run < RUNS_MAX;
}

int main(int argc, char *argv[])
{
    struct options options = {.sessions = 500, .run = 1};
    if (argc >= 2 && parse(&options, argc, argv)) {
        if (strcmp(argv[1], "write") == 0 && options.log_count == 0) {
            return run_write(&options);
        }
        if (strcmp(argv[1], "check") == 0) {
            return run_check(&options);
        }
    }
    (void)fprintf(stderr, "usage: acks write --server HOST:PORT --run R [--sessions N] [--count N] "
                          "[--rate N] [--to FILE]\n"
                          "       acks check --server HOST:PORT [--sessions N] LOG…\n");
    return 2;
}
