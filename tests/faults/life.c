/* The script, and what has to be known of the sessions. */
#include "faults/life.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "support/pattern.h"
#include "support/require.h"
#include "support/wire.h"

enum {
    STEPS = 26,
    AT_ONCE_MAX = 3, /* sessions that are changed at the same time */
    ANSWER_MS_MAX = 15000,
    REFUSED_MS_MAX = 5000, /* a fault that is over has to be over for changes, too */
    CHECKPOINT_MS_MAX = 100,
    PAUSE_NS = 2000000,
    VALUE_BYTES_MAX = 256 * 1024,
    CONTENT_BYTES_MAX = VALUE_BYTES_MAX + 16,
    LARGE_FROM = 8, /* these sessions are large … */
    FIELDS = 16,    /* … this one has a field, */
    COUNTER = 17,   /* and this one a number */
};

static int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void pause_shortly(void)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
}

/* ---- Requests ------------------------------------------------------------------------------- */

/* A change on its way. */
struct deed {
    uint32_t session;
    enum satchel_opcode op;
    uint32_t next; /* the value that it leaves */
};

static struct view id_of(uint32_t session, char out[16])
{
    return view_of(out, (size_t)snprintf(out, 16, "s%u", session));
}

static size_t value_bytes(uint32_t session, uint32_t number)
{
    return session >= LARGE_FROM && session < FIELDS ? 140000 + session * 1000 + number * 100
                                                     : 20 + (session * 37 + number * 311) % 3000;
}

/* { length of name u16 | length of value u32 | name | value }, see fields.h */
static struct view one_field(uint8_t *out, struct view value)
{
    store_u16(out, 1);
    store_u32(out + 2, (uint32_t)value.len);
    out[6] = 'v';
    memcpy(out + 7, value.ptr, value.len);
    return view_of(out, 7 + value.len);
}

/* The content of value `number`; valid until the next call. */
static struct view content_of(uint32_t session, uint32_t number)
{
    static uint8_t value[VALUE_BYTES_MAX];
    static uint8_t content[CONTENT_BYTES_MAX];
    size_t len = value_bytes(session, number);
    if (session == COUNTER) {
        len = (size_t)snprintf((char *)value, sizeof value, "%u", number);
        return one_field(content, view_of(value, len));
    }
    pattern_fill(value, len, session, number);
    return session == FIELDS ? one_field(content, view_of(value, len)) : view_of(value, len);
}

static void put_change(struct wire *wire, const struct deed *change)
{
    static uint8_t ops[CONTENT_BYTES_MAX + 1];
    char id[16];
    struct command cmd = {.op = change->op, .id = id_of(change->session, id)};
    if (change->op == SATCHEL_OP_SET) {
        cmd.content = content_of(change->session, change->next);
        cmd.idle_ttl_ms = change->session % 2 == 0 ? 3600000 : 0;
    } else if (change->op == SATCHEL_OP_PATCH && change->session == COUNTER) {
        int64_t one = 1;
        ops[0] = SATCHEL_FIELD_INCREMENT;
        cmd.ops = one_field(ops + 1, view_of(&one, sizeof one));
        cmd.ops = view_of(ops, cmd.ops.len + 1);
    } else if (change->op == SATCHEL_OP_PATCH) {
        struct view field = content_of(change->session, change->next);
        ops[0] = SATCHEL_FIELD_SET;
        memcpy(ops + 1, field.ptr, field.len);
        cmd.ops = view_of(ops, field.len + 1);
    }
    wire_put(wire, change->session, SATCHEL_FLAG_ACK_DURABLE, &cmd);
}

/* ---- Answers -------------------------------------------------------------------------------- */

static bool complain(struct life *self, uint32_t session, const char *what,
                     const struct native_reply *reply)
{
    const struct life_session *known = &self->sessions[session];
    (void)snprintf(
        self->why, sizeof self->why,
        "session %u: %s: %s, version %" PRIu64 ", %zu bytes; acknowledged is value %u", session,
        what, reply == NULL ? "no answer" : satchel_status_text_of(reply->status),
        reply == NULL ? 0 : reply->version, reply == NULL ? 0 : reply->content.len, known->now);
    return false;
}

static bool is_value(const struct native_reply *reply, uint32_t session, uint32_t number)
{
    return number == 0 ? reply->status == SATCHEL_NOT_FOUND
                       : reply->status == SATCHEL_OK &&
                             view_equal(reply->content, content_of(session, number));
}

/* Nothing happened. STOPPING is what a store says in the moment between the fault and its end. */
static bool is_retryable(enum satchel_status status)
{
    return status == SATCHEL_BUSY || status == SATCHEL_NO_SPACE || status == SATCHEL_STOPPING;
}

/* `floor`: every version that was seen when the changes were sent. */
static bool take_change(struct life *self, const struct deed *change, uint64_t floor,
                        const struct native_reply *reply)
{
    struct life_session *session = &self->sessions[change->session];
    if (reply->status != SATCHEL_OK) {
        return complain(self, change->session, "an unexpected answer to a change", reply);
    }
    if (change->op != SATCHEL_OP_DELETE && change->op != SATCHEL_OP_TOUCH &&
        reply->version <= floor) {
        return complain(self, change->session, "the version is not above all earlier ones", reply);
    }
    session->now = change->next;
    self->version_max = reply->version > self->version_max ? reply->version : self->version_max;
    self->acknowledged++;
    return true;
}

/* Makes some changes at the same time. `*ended`: the connection broke, and what was not answered
 * may have happened. */
static bool make_changes(struct life *self, struct wire *wire, const struct deed *changes,
                         unsigned count, bool *ended)
{
    struct native_reply reply;
    bool waiting[LIFE_SESSIONS] = {false};
    const struct deed *of[LIFE_SESSIONS] = {NULL};
    int64_t until_ms = now_ms() + REFUSED_MS_MAX;
    uint64_t floor = self->version_max;
    unsigned left = count;
    for (unsigned i = 0; i < count; i++) {
        put_change(wire, &changes[i]);
        waiting[changes[i].session] = true;
        of[changes[i].session] = &changes[i];
    }
    enum status status = wire_flush(wire) ? STATUS_OK : STATUS_IO;
    while (left > 0 && status == STATUS_OK) {
        status = wire_take(wire, ANSWER_MS_MAX, &reply);
        if (status != STATUS_OK) {
            break;
        }
        uint32_t session = (uint32_t)reply.request_id;
        if (is_retryable(reply.status)) {
            if (now_ms() > until_ms) {
                return complain(self, session, "refused although the fault is over", &reply);
            }
            pause_shortly();
            put_change(wire, of[session]);
            status = wire_flush(wire) ? STATUS_OK : STATUS_IO;
            continue;
        }
        if (!take_change(self, of[session], floor, &reply)) {
            return false;
        }
        waiting[session] = false;
        left--;
    }
    *ended = status != STATUS_OK;
    for (unsigned i = 0; i < count && *ended; i++) {
        struct life_session *session = &self->sessions[changes[i].session];
        session->is_unsure = waiting[changes[i].session];
        session->maybe = changes[i].next;
    }
    return (status != STATUS_AGAIN && status != STATUS_INVALID) ||
           complain(self, changes[0].session,
                    status == STATUS_AGAIN ? "a change is not answered" : "not a reply", NULL);
}

static bool read_one(struct life *self, struct wire *wire, uint32_t session, bool *ended)
{
    char id[16];
    struct native_reply reply;
    struct command get = {.op = SATCHEL_OP_GET, .id = id_of(session, id)};
    int64_t until_ms = now_ms() + REFUSED_MS_MAX;
    enum status status = STATUS_OK;
    do {
        wire_put(wire, session, 0, &get);
        status = wire_flush(wire) ? wire_take(wire, ANSWER_MS_MAX, &reply) : STATUS_IO;
    } while (status == STATUS_OK && is_retryable(reply.status) && now_ms() < until_ms);
    *ended = status != STATUS_OK;
    if (status == STATUS_AGAIN) {
        return complain(self, session, "a GET is not answered", NULL);
    }
    return *ended || is_value(&reply, session, self->sessions[session].now) ||
           complain(self, session, "a GET gives what was not written last", &reply);
}

/* ---- The script ----------------------------------------------------------------------------- */

static struct deed change_of(struct life *self, uint32_t session, unsigned step)
{
    struct life_session *known = &self->sessions[session];
    struct deed change = {.session = session, .op = SATCHEL_OP_SET};
    if (session >= FIELDS) {
        change.op = SATCHEL_OP_PATCH;
    } else if (known->now != 0 && step % 7 == 3) {
        change.op = SATCHEL_OP_DELETE;
        return change;
    } else if (known->now != 0 && step % 7 == 5) {
        change.op = SATCHEL_OP_TOUCH;
        change.next = known->now;
        return change;
    }
    change.next = ++known->last;
    return change;
}

/* When a file of the data directory was written last; 0: there is none. */
static int64_t written_ns(const char *data)
{
    int64_t newest = 0;
    DIR *dir = opendir(data);
    for (const struct dirent *item = NULL; dir != NULL && (item = readdir(dir)) != NULL;) {
        struct stat info;
        if (strncmp(item->d_name, "data-", 5) == 0 &&
            fstatat(dirfd(dir), item->d_name, &info, 0) == 0) {
            int64_t ns = (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec;
            newest = ns > newest ? ns : newest;
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    return newest;
}

/* Waits for a checkpoint; not for ever, because the fault may have hit it. */
static void wait_checkpoint(const char *data, int64_t since_ns)
{
    int64_t until_ms = now_ms() + CHECKPOINT_MS_MAX;
    while (written_ns(data) == since_ns && now_ms() < until_ms) {
        pause_shortly();
    }
}

bool life_run(struct life *self, const char *address, const char *data, life_is_over_fn is_over,
              const void *arg)
{
    struct wire wire;
    bool ok = true;
    bool ended = !wire_open(&wire, address);
    int64_t before_ns = written_ns(data);
    for (unsigned step = 0; step < STEPS && ok && !ended; step++) {
        struct deed changes[AT_ONCE_MAX];
        unsigned count = 1 + step % AT_ONCE_MAX;
        for (unsigned i = 0; i < count; i++) {
            changes[i] = change_of(self, (step * 5 + i * 6) % LIFE_SESSIONS, step);
        }
        ok = make_changes(self, &wire, changes, count, &ended);
        if (is_over != NULL && is_over(arg)) {
            break;
        }
        if (ok && !ended) {
            ok = read_one(self, &wire, (step * 7) % LIFE_SESSIONS, &ended);
        }
        if (step % 6 == 5 && ok && !ended) {
            wait_checkpoint(data, before_ns);
            before_ns = written_ns(data);
        }
    }
    wire_close(&wire);
    return ok;
}

bool life_leave_tail(struct life *self, const char *address)
{
    struct wire wire;
    bool ended = !wire_open(&wire, address);
    bool ok = !ended;
    for (uint32_t session = 0; session < LIFE_SESSIONS && ok && !ended; session++) {
        struct deed change = change_of(self, session, session);
        ok = make_changes(self, &wire, &change, 1, &ended);
    }
    wire_close(&wire);
    return ok && !ended;
}

/* ---- After a start -------------------------------------------------------------------------- */

static bool settle(struct life *self, const struct native_reply *reply)
{
    uint32_t number = (uint32_t)reply->request_id;
    struct life_session *session = &self->sessions[number];
    if (session->is_unsure && is_value(reply, number, session->maybe)) {
        session->now = session->maybe;
    } else if (!is_value(reply, number, session->now)) {
        return complain(self, number, "not what was acknowledged", reply);
    }
    session->is_unsure = false;
    self->version_max = reply->version > self->version_max ? reply->version : self->version_max;
    return true;
}

bool life_verify(struct life *self, const char *address)
{
    struct wire wire;
    struct native_reply reply;
    if (!wire_open(&wire, address)) {
        (void)snprintf(self->why, sizeof self->why, "cannot connect to verify");
        return false;
    }
    for (uint32_t session = 0; session < LIFE_SESSIONS; session++) {
        char id[16];
        struct command get = {.op = SATCHEL_OP_GET, .id = id_of(session, id)};
        wire_put(&wire, session, 0, &get);
    }
    bool ok = wire_flush(&wire);
    unsigned taken = 0;
    for (; ok && taken < LIFE_SESSIONS && wire_take(&wire, ANSWER_MS_MAX, &reply) == STATUS_OK;
         taken++) {
        ok = settle(self, &reply);
    }
    if (ok && taken < LIFE_SESSIONS) {
        ok = complain(self, taken, "not answered", NULL);
    }
    bool ended = false;
    struct deed change = change_of(self, 0, 0);
    ok = ok && make_changes(self, &wire, &change, 1, &ended) &&
         (!ended || complain(self, 0, "a change is not answered", NULL));
    wire_close(&wire);
    return ok;
}
