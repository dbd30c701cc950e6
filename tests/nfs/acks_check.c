/* Holding a server against the logs of what was acknowledged. */
#include "nfs/acks.h"

#include <stdlib.h>

#include "nfs/updates.h"
#include "support/pattern.h"
#include "support/wire.h"

enum {
    WINDOW = 32,
    ANSWER_WAIT_MS = 60000,
    COMPLAINTS_MAX = 10, /* printed */
};

/* What the logs say of one session. */
struct known {
    uint32_t number; /* acknowledged last; 0: none */
    uint64_t version;
    int64_t at_ms;
};

struct checker {
    const struct acks_options *options;
    struct known *known; /* owned: by session */
    uint32_t *counts;    /* owned: by run and session, how many values were acknowledged */
    uint32_t runs[ACKS_RUNS_MAX];
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
                  session, what, number >> ACKS_RUN_SHIFT, number & ((1U << ACKS_RUN_SHIFT) - 1),
                  version, known->number >> ACKS_RUN_SHIFT,
                  known->number & ((1U << ACKS_RUN_SHIFT) - 1), known->version, known->at_ms);
}

/* One log; its last line may be torn by the end of the machine. */
static bool read_log(struct checker *self, unsigned index, const char *path)
{
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        (void)fprintf(stderr, "acks: cannot read %s\n", path);
        return false;
    }
    char line[ACKS_LINE_BYTES];
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
    uint32_t run = number >> ACKS_RUN_SHIFT;
    if (number <= self->known[session].number) {
        return false;
    }
    for (uint32_t i = 0; i < self->run_count; i++) {
        if (self->runs[i] == run) {
            uint32_t count = self->counts[(size_t)i * self->options->sessions + session];
            return number == (run << ACKS_RUN_SHIFT | (count + 1));
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
    for (uint32_t from = 0; fine && from < self->options->sessions; from += WINDOW) {
        uint32_t left = self->options->sessions - from;
        uint32_t count = left < WINDOW ? left : WINDOW;
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

int acks_check(const struct acks_options *options)
{
    struct checker self = {.options = options};
    self.known = acks_table(options->sessions, sizeof *self.known);
    self.counts = acks_table((size_t)options->log_count * options->sessions, sizeof *self.counts);
    self.run_count = (uint32_t)options->log_count;
    bool fine = options->log_count <= ACKS_RUNS_MAX;
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
