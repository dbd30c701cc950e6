/* A store to flip bits in, and what it has to answer. */
#include "flips_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/segment.h"
#include "support/pattern.h"
#include "support/require.h"
#include "support/temp_dir.h"
#include "support/wire.h"

enum { SESSIONS = 300, TAIL_CHANGES = 60, WAIT_MS = 20000, ID_BYTES = 16, PATTERN_BYTES = 7000 };

struct expected {
    uint32_t number;        /* of the last value; 0: never written */
    bool exists;            /* false: deleted, or never written */
    uint32_t number_before; /* the same, before the very last change of all */
    bool existed_before;
};

struct flips_model {
    struct expected sessions[SESSIONS];
    uint32_t last; /* the session of the very last change */
};

/* ---- What is written ------------------------------------------------------------------------ */

static struct view id_of(uint32_t session, char out[ID_BYTES])
{
    return view_of(out, (size_t)snprintf(out, ID_BYTES, "s-%u", session));
}

static bool has_fields(uint32_t session)
{
    return session % 8 == 3;
}

/* Most are small; some take several parts of a row. */
static size_t value_bytes(uint32_t session, uint32_t number)
{
    return session % 10 == 7 ? 2500 + session * 13 + number : 20 + (session * 37 + number) % 900;
}

/* One field "v" or, as an operation, SET of it: both end in the value. */
static struct view put_field(uint8_t *out, bool as_operation, struct view value)
{
    uint8_t *at = out;
    if (as_operation) {
        *at++ = SATCHEL_FIELD_SET;
    }
    store_u16(at, 1);
    store_u32(at + 2, (uint32_t)value.len);
    at[6] = 'v';
    memcpy(at + 7, value.ptr, value.len);
    return view_of(out, (size_t)(at + 7 + value.len - out));
}

/* The content of value `number` of a session, in `out`. */
static struct view content_of(uint8_t out[PATTERN_BYTES], uint32_t session, uint32_t number)
{
    uint8_t value[PATTERN_BYTES];
    size_t len = value_bytes(session, number);
    pattern_fill(value, len, session, number);
    if (has_fields(session)) {
        return put_field(out, false, view_of(value, len));
    }
    memcpy(out, value, len);
    return view_of(out, len);
}

static void put_change(struct flips_model *self, struct wire *wire, uint32_t session, bool removes)
{
    struct expected *expected = &self->sessions[session];
    uint8_t content[PATTERN_BYTES];
    uint8_t ops[PATTERN_BYTES];
    char id[ID_BYTES];
    struct command cmd = {.op = SATCHEL_OP_SET,
                          .kind = has_fields(session) ? SATCHEL_FIELDS : SATCHEL_BLOB,
                          .id = id_of(session, id)};
    expected->number_before = expected->number;
    expected->existed_before = expected->exists;
    self->last = session;
    if (removes) {
        cmd = (struct command){.op = SATCHEL_OP_DELETE, .id = cmd.id};
    } else {
        expected->number++;
        cmd.content = content_of(content, session, expected->number);
        if (has_fields(session) && expected->exists) {
            struct view value = view_of(cmd.content.ptr + 7, cmd.content.len - 7);
            cmd = (struct command){
                .op = SATCHEL_OP_PATCH, .id = cmd.id, .ops = put_field(ops, true, value)};
        }
    }
    expected->exists = !removes;
    wire_put(wire, session, SATCHEL_FLAG_ACK_DURABLE, &cmd);
}

static void take_answers(struct wire *wire, unsigned count)
{
    REQUIRE(wire_flush(wire));
    for (; count > 0; count--) {
        struct native_reply reply;
        REQUIRE(wire_take(wire, WAIT_MS, &reply) == STATUS_OK);
        REQUIRE(reply.status == SATCHEL_OK);
    }
}

static void write_round(struct flips_model *self, struct wire *wire, uint32_t every, uint32_t from)
{
    unsigned count = 0;
    for (uint32_t session = from; session < SESSIONS; session += every) {
        put_change(self, wire, session, self->sessions[session].exists && session % 11 == 5);
        if (++count % 32 == 0) {
            take_answers(wire, 32);
        }
    }
    take_answers(wire, count % 32);
}

/* ---- The store ------------------------------------------------------------------------------ */

static void start(struct server *server, struct wire *wire, const char *checkpoint_interval)
{
    server->options[0] = "--checkpoint-interval";
    server->options[1] = checkpoint_interval;
    server->options[2] = "--segment-bytes";
    server->options[3] = "1m";
    server->options[4] = NULL;
    server_launch(server);
    REQUIRE(server_wait_serving(server));
    REQUIRE(wire_open(wire, server->address));
}

static void end(struct server *server, struct wire *wire)
{
    wire_close(wire);
    server_kill(server);
}

static void data_file_info(const struct server *server, struct stat *out)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/data/data-0000000001.mdb", server->directory);
    REQUIRE(stat(path, out) == 0);
}

/* Waits until a checkpoint has written to the data file since `before`. */
static void wait_checkpoint(const struct server *server, const struct stat *before)
{
    time_t end_s = time(NULL) + WAIT_MS / 1000;
    struct stat now;
    do {
        REQUIRE(time(NULL) < end_s);
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        data_file_info(server, &now);
    } while (now.st_mtim.tv_sec == before->st_mtim.tv_sec &&
             now.st_mtim.tv_nsec == before->st_mtim.tv_nsec);
}

/* True when the frames in the epoch's last segment end with one that has no records. */
static bool is_noted(const struct server *server, uint64_t epoch)
{
    char path[512];
    char last[512] = "";
    for (uint64_t number = 1; number == 1 || strcmp(path, last) == 0; number++) {
        char name[SEGMENT_NAME_BYTES];
        segment_name(name, epoch, number, 0);
        (void)snprintf(path, sizeof path, "%s/data/journal/%s", server->directory, name);
        if (access(path, R_OK) == 0) {
            memcpy(last, path, sizeof last);
        }
    }
    struct buf bytes = {0};
    struct segment_header header;
    struct frame frame = {.count = 1};
    temp_file_read(&bytes, last);
    REQUIRE(segment_decode_header(buf_view(&bytes), &header) == STATUS_OK);
    struct view rest = view_of(bytes.ptr + SEGMENT_HEADER_BYTES, bytes.len - SEGMENT_HEADER_BYTES);
    uint64_t lsn = header.first_lsn;
    while (frame_next(&rest, segment_seed(&header), lsn, &frame) == STATUS_OK) {
        lsn += frame.count;
    }
    buf_free(&bytes);
    return frame.count == 0;
}

/* Waits until the journal says behind the last change that it is durable. */
static void wait_noted(const struct server *server, uint64_t epoch)
{
    time_t end_s = time(NULL) + WAIT_MS / 1000;
    while (!is_noted(server, epoch)) {
        REQUIRE(time(NULL) < end_s);
        (void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
}

struct flips_model *flips_model_fill(struct server *server)
{
    struct flips_model *self = calloc(1, sizeof *self);
    struct wire wire = {.fd = -1};
    REQUIRE(self != NULL);
    /* Rows that were rewritten by many checkpoints, so that old pages lie about. */
    start(server, &wire, "20ms");
    for (uint32_t round = 0; round < 12; round++) {
        struct stat before;
        data_file_info(server, &before);
        write_round(self, &wire, 1 + round % 4, round % 3);
        wait_checkpoint(server, &before);
    }
    end(server, &wire);
    /* One epoch that no checkpoint has folded in, and another one. Every third session stays as it
     * is: only the rows have it. */
    start(server, &wire, "1h");
    for (unsigned round = 0; round < 4; round++) {
        write_round(self, &wire, 3, 0);
    }
    end(server, &wire);
    start(server, &wire, "1h");
    write_round(self, &wire, 3, 1);
    for (uint32_t i = 0; i < TAIL_CHANGES; i++) { /* a frame each */
        uint32_t session = i * 3 * 7 % SESSIONS + i % 2;
        put_change(self, &wire, session, self->sessions[session].exists && i % 9 == 4);
        take_answers(&wire, 1);
    }
    wait_noted(server, 3);
    end(server, &wire);
    return self;
}

unsigned flips_model_live(const struct flips_model *self)
{
    unsigned live = 0;
    for (uint32_t session = 0; session < SESSIONS; session++) {
        live += self->sessions[session].exists;
    }
    return live;
}

/* ---- Reading -------------------------------------------------------------------------------- */

static bool is_state(const struct native_reply *reply, uint32_t session, bool exists,
                     uint32_t number)
{
    uint8_t content[PATTERN_BYTES];
    if (!exists) {
        return reply->status == SATCHEL_NOT_FOUND;
    }
    return reply->status == SATCHEL_OK &&
           view_equal(reply->content, content_of(content, session, number));
}

struct flips_answers flips_model_read(const struct flips_model *self, const char *address)
{
    struct flips_answers answers = {0};
    struct wire wire;
    bool is_open = wire_open(&wire, address);
    for (uint32_t session = 0; is_open && session < SESSIONS; session++) {
        char id[ID_BYTES];
        struct command get = {.op = SATCHEL_OP_GET, .id = id_of(session, id)};
        wire_put(&wire, session, 0, &get);
    }
    is_open = is_open && wire_flush(&wire);
    unsigned answered = 0;
    struct native_reply reply;
    for (; is_open && answered < SESSIONS && wire_take(&wire, WAIT_MS, &reply) == STATUS_OK;
         answered++) {
        uint32_t session = (uint32_t)reply.request_id;
        const struct expected *expected = &self->sessions[session];
        if (is_state(&reply, session, expected->exists, expected->number)) {
            answers.right++;
        } else if (session == self->last &&
                   is_state(&reply, session, expected->existed_before, expected->number_before)) {
            answers.stale++;
        } else if (reply.status != SATCHEL_OK && reply.status != SATCHEL_NOT_FOUND) {
            answers.silent++;
        } else {
            answers.wrong++;
            (void)fprintf(stderr, "session %u: %s, %zu bytes instead of number %u (%s)\n", session,
                          satchel_status_text_of(reply.status), reply.content.len, expected->number,
                          expected->exists ? "there" : "deleted");
        }
    }
    answers.silent += SESSIONS - answered;
    wire_close(&wire);
    return answers;
}

void flips_model_free(struct flips_model *self)
{
    free(self);
}
