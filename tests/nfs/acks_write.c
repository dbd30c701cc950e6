/* Changing sessions and noting each acknowledgement. */
#include "nfs/acks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "nfs/updates.h"
#include "support/pattern.h"
#include "support/wire.h"

enum { WINDOW = 64 };

struct writer {
    const struct acks_options *options; /* borrowed */
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
    uint32_t number = self->options->run << ACKS_RUN_SHIFT | (self->written[session] + 1);
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
    const struct acks_options *options = self->options;
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
    uint32_t number = self->options->run << ACKS_RUN_SHIFT | self->written[session];
    char line[ACKS_LINE_BYTES];
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
        (void)acks_fail("the log cannot be written");
        status = STATUS_INVALID;
    }
    buf_free(&lines);
    return fine ? status : STATUS_INVALID;
}

static int write_updates(struct writer *self)
{
    const struct acks_options *options = self->options;
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
        return acks_fail("an answer that must not be");
    }
    return status == STATUS_IO ? ACKS_EXIT_BROKEN : EXIT_SUCCESS;
}

int acks_write(const struct acks_options *options)
{
    struct writer self = {.options = options,
                          .random = {.state = options->run},
                          .log_fd = open(options->to == NULL ? "/dev/null" : options->to,
                                         O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)};
    if (self.log_fd < 0 || !wire_open(&self.wire, options->server)) {
        return acks_fail("cannot connect, or cannot write the log");
    }
    self.written = acks_table(options->sessions, sizeof *self.written);
    self.busy = acks_table(options->sessions, sizeof *self.busy);
    /* The log names its run before anything is sent, so that one without acknowledgements does. */
    char head[ACKS_LINE_BYTES];
    int len = snprintf(head, sizeof head, "run %" PRIu32 "\n", options->run);
    int code = write_all(self.log_fd, view_of(head, (size_t)len))
                   ? write_updates(&self)
                   : acks_fail("the log cannot be written");
    free(self.written);
    free(self.busy);
    wire_close(&self.wire);
    (void)close(self.log_fd);
    return code;
}
