/* Running commands over sessions in memory; see kit.h. */
#include "kit.h"

#include <assert.h>
#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/hash.h"
#include "session/fields.h"

enum { VALUE_BYTES_MAX = 1024 * 1024 };

struct kit_session {
    struct session session; /* its views are into `bytes` */
    uint8_t *bytes;         /* owned: id, owner and content */
};

/* ---- Sessions ------------------------------------------------------------------------------- */

static struct kit_session *find(const struct kit *self, struct view id)
{
    for (size_t i = 0; i < self->session_count; i++) {
        if (view_equal(self->sessions[i].session.id, id)) {
            return &self->sessions[i];
        }
    }
    return NULL;
}

static void drop(struct kit *self, struct kit_session *stored)
{
    free(stored->bytes);
    assert(self->sessions != NULL); /* `stored` is one of them */
    *stored = self->sessions[--self->session_count];
}

/* A session in memory of its own, so that a sanitizer sees who reads behind it. */
static struct kit_session copy_of(const struct session *from)
{
    struct kit_session copy = {.session = *from};
    size_t bytes = from->id.len + from->owner.len + from->content.len;
    copy.bytes = malloc(bytes == 0 ? 1 : bytes);
    cr_assert_not_null(copy.bytes);
    uint8_t *owner = put_view(copy.bytes, from->id);
    uint8_t *content = put_view(owner, from->owner);
    (void)put_view(content, from->content);
    copy.session.id.ptr = copy.bytes;
    copy.session.owner.ptr = owner;
    copy.session.content.ptr = content;
    return copy;
}

void kit_store(struct kit *self, const struct session *session)
{
    struct kit_session copy = copy_of(session);
    struct kit_session *old = find(self, session->id);
    if (old != NULL) {
        drop(self, old);
    }
    self->sessions = realloc(self->sessions, (self->session_count + 1) * sizeof *self->sessions);
    cr_assert_not_null(self->sessions);
    self->sessions[self->session_count++] = copy;
}

void kit_store_field(struct kit *self, const char *id, enum satchel_kind kind, const char *name,
                     const char *value)
{
    struct buf content = {0};
    cr_assert_eq(fields_append(&content, view_str(name), view_str(value)), STATUS_OK);
    const struct session session = {
        .id = view_str(id), .kind = kind, .content = buf_view(&content)};
    kit_store(self, &session);
    buf_free(&content);
}

const struct session *kit_find(const struct kit *self, const char *id)
{
    const struct kit_session *stored = find(self, view_str(id));
    return stored == NULL ? NULL : &stored->session;
}

/* ---- The transaction of a command ----------------------------------------------------------- */

/* As the store does before it runs the body. */
static void read_keys(struct kit *self)
{
    for (size_t i = 0; i < self->transaction.count; i++) {
        struct transaction_key *key = &self->transaction.keys[i];
        const struct kit_session *stored = find(self, key->id);
        key->is_stale = stored != NULL &&
                        session_is_expired(stored->session.expires_ms, self->now_ms);
        key->has_old = stored != NULL && !key->is_stale;
        if (key->has_old) {
            key->old = stored->session;
        }
    }
}

/* What recovery makes of a patch's delta is what the patch made. */
static void check_delta(const struct transaction_key *key, const struct change *change)
{
    struct buf replayed = {0};
    enum satchel_status status = fields_patch(key->old.content, change->delta,
                                              SATCHEL_VALUE_BYTES_MAX, &replayed, NULL, NULL);
    cr_assert_eq(status, SATCHEL_OK);
    cr_assert(view_equal(buf_view(&replayed), change->next.content));
    buf_free(&replayed);
}

/* As the store does behind the body. What is staged for one key may borrow from another's old
 * session, so nothing is dropped before everything is copied. */
static void commit(struct kit *self)
{
    cr_assert_not(self->transaction.is_out_of_memory);
    size_t count = self->transaction.count;
    struct kit_session *copies = calloc(count + 1, sizeof *copies);
    cr_assert_not_null(copies);
    for (size_t i = 0; i < count; i++) {
        struct change change = transaction_change(&self->transaction, i);
        if (change.kind == CHANGE_PATCH) {
            check_delta(&self->transaction.keys[i], &change);
        }
        if (change.kind == CHANGE_PUT || change.kind == CHANGE_PATCH) {
            change.next.version = ++self->last_version;
        }
        if (change.kind != CHANGE_NONE && change.kind != CHANGE_DELETE) {
            copies[i] = copy_of(&change.next);
        }
    }
    for (size_t i = 0; i < count; i++) {
        struct change change = transaction_change(&self->transaction, i);
        struct kit_session *stored = find(self, self->transaction.keys[i].id);
        if (change.kind == CHANGE_DELETE && stored != NULL) {
            drop(self, stored);
        } else if (copies[i].bytes != NULL) {
            kit_store(self, &copies[i].session);
            free(copies[i].bytes);
        }
    }
    free(copies);
}

/* ---- Commands ------------------------------------------------------------------------------- */

static const struct redis_command *find_command(const struct kit *self, struct view name)
{
    for (size_t i = 0; i < self->command_count; i++) {
        if (resp_is_word(name, self->commands[i].name)) {
            return &self->commands[i];
        }
    }
    return NULL;
}

/* The command that a request names; of a container it is the subcommand. */
static const struct redis_command *command_of(const struct kit *self, const struct view *argv,
                                              size_t argc)
{
    const struct redis_command *command = find_command(self, argv[0]);
    if (command != NULL && redis_is_container(command) && argc > 1) {
        struct buf name = {0};
        cr_assert_eq(buf_append(&name, argv[0]), STATUS_OK);
        cr_assert_eq(buf_append(&name, view_str("|")), STATUS_OK);
        cr_assert_eq(buf_append(&name, argv[1]), STATUS_OK);
        command = find_command(self, buf_view(&name));
        buf_free(&name);
    }
    return command;
}

/* Where a command's keys are in argv. */
struct key_range {
    size_t first; /* 0: there are none */
    size_t last;
    size_t step;
};

static struct key_range keys_of(const struct redis_command *command, const struct view *argv,
                                size_t argc)
{
    if ((command->flags & REDIS_MOVABLE_KEYS) != 0) {
        int64_t count = 0;
        bool is_number = resp_parse_integer(argv[2], &count);
        bool fits = is_number && count > 0 && (uint64_t)count <= argc - 3;
        return fits ? (struct key_range){3, 2 + (size_t)count, 1} : (struct key_range){0};
    }
    int last = command->last_key < 0 ? (int)argc + command->last_key : command->last_key;
    return (struct key_range){(size_t)command->first_key, (size_t)last, (size_t)command->key_step};
}

static size_t name_keys(struct kit *self, struct key_range range, const struct view *argv,
                        uint32_t *keys)
{
    size_t count = 0;
    for (size_t i = range.first; range.first != 0 && i <= range.last; i += range.step) {
        size_t index = 0;
        enum status status = transaction_name(&self->transaction, argv[i], hash64(argv[i], 0),
                                              &index);
        cr_assert_eq(status, STATUS_OK);
        keys[count++] = (uint32_t)index;
    }
    return count;
}

struct view kit_call(struct kit *self, const struct view *argv, size_t argc)
{
    const struct redis_command *command = command_of(self, argv, argc);
    cr_assert(command != NULL, "no command %.*s", (int)argv[0].len, (const char *)argv[0].ptr);
    cr_assert(redis_arity_fits(command, argc), "%s with %zu arguments", command->name, argc);

    transaction_begin(&self->transaction, self->now_ms);
    uint32_t *keys = calloc(argc, sizeof *keys);
    cr_assert_not_null(keys);
    size_t key_count = name_keys(self, keys_of(command, argv, argc), argv, keys);
    read_keys(self);

    self->reply.len = 0;
    self->events.len = 0;
    struct resp_writer out = {.to = &self->reply, .is_resp3 = self->is_resp3};
    struct redis_call call = {.client = self->client,
                              .command = command,
                              .argv = argv,
                              .argc = argc,
                              .sessions = &self->transaction,
                              .keys = keys,
                              .key_count = key_count,
                              .out = &out,
                              .scratch = &self->scratch,
                              .events = &self->events,
                              .value_bytes_max = self->value_bytes_max,
                              .now_ms = self->now_ms};
    command->handler(&call);
    free(keys);
    cr_assert_not(out.has_failed);
    cr_assert_gt(self->reply.len, 0, "%s did not answer", command->name);
    commit(self);
    return buf_view(&self->reply);
}

struct view kit_run(struct kit *self, const char *line)
{
    struct buf bytes = {0};
    cr_assert_eq(buf_printf(&bytes, "%s\r\n", line), STATUS_OK);
    struct resp_limits limits = {
        .args_max = SIZE_MAX, .bulk_bytes_max = SIZE_MAX, .request_bytes_max = SIZE_MAX};
    struct resp_progress progress = {0};
    size_t used = 0;
    size_t need = 0;
    enum status status = resp_decode(&self->request, &limits, &progress, buf_view(&bytes), &used,
                                     &need);
    cr_assert(status == STATUS_OK && used == bytes.len && self->request.argc > 0, "no request: %s",
              line);
    struct view reply = kit_call(self, self->request.argv, self->request.argc);
    buf_free(&bytes);
    return reply;
}

/* A reply as a test spells it, and as its message does when line breaks are spelled as well. */
static struct view spelled(struct buf *to, struct view bytes, bool with_breaks)
{
    to->len = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        const char *spelling = bytes.ptr[i] == '\0'                  ? "\\0"
                               : with_breaks && bytes.ptr[i] == '\r' ? "\\r"
                               : with_breaks && bytes.ptr[i] == '\n' ? "\\n"
                                                                     : NULL;
        struct view part = spelling != NULL ? view_str(spelling) : view_of(bytes.ptr + i, 1);
        cr_assert_eq(buf_append(to, part), STATUS_OK);
    }
    return buf_view(to);
}

void kit_expect(struct kit *self, const char *line, const char *reply)
{
    struct buf got = {0};
    if (!view_equal(spelled(&got, kit_run(self, line), false), view_str(reply))) {
        struct buf wanted = {0};
        (void)spelled(&got, buf_view(&self->reply), true);
        (void)spelled(&wanted, view_str(reply), true);
        cr_expect(false, "%s: \"%.*s\", not \"%.*s\"", line, (int)got.len, (const char *)got.ptr,
                  (int)wanted.len, (const char *)wanted.ptr);
        buf_free(&wanted);
    }
    buf_free(&got);
}

void kit_expect_events(const struct kit *self, const char *events)
{
    struct buf text = {0};
    for (size_t at = 0; at < self->events.len;) {
        const uint8_t *event = self->events.ptr + at;
        size_t name_len = event[1];
        size_t id_len = load_u16(event + 2);
        cr_assert_eq(buf_printf(&text, "%s%c%.*s %.*s", at == 0 ? "" : ", ", event[0],
                                (int)name_len, (const char *)event + 4, (int)id_len,
                                (const char *)event + 4 + name_len),
                     STATUS_OK);
        at += 4 + name_len + id_len;
    }
    cr_expect(view_equal(buf_view(&text), view_str(events)), "events \"%.*s\", not \"%s\"",
              (int)text.len, (const char *)text.ptr, events);
    buf_free(&text);
}

void kit_open(struct kit *self, const struct redis_command *commands, size_t count)
{
    *self = (struct kit){.now_ms = KIT_NOW_MS,
                         .value_bytes_max = VALUE_BYTES_MAX,
                         .commands = commands,
                         .command_count = count};
}

void kit_close(struct kit *self)
{
    while (self->session_count > 0) {
        drop(self, &self->sessions[0]);
    }
    free(self->sessions);
    transaction_free(&self->transaction);
    resp_request_free(&self->request);
    buf_free(&self->scratch.content);
    buf_free(&self->scratch.ops);
    buf_free(&self->scratch.returned);
    buf_free(&self->reply);
    buf_free(&self->events);
    *self = (struct kit){0};
}

void kit_expect_cases(const struct kit_cases *cases)
{
    struct kit kit;
    kit_open(&kit, cases->commands, cases->command_count);
    kit.is_resp3 = cases->is_resp3;
    kit_store_field(&kit, "h", SATCHEL_FIELDS, "f", "v");
    for (size_t i = 0; i < cases->count; i++) {
        kit_expect(&kit, cases->cases[i].line, cases->cases[i].reply);
    }
    kit_close(&kit);
}

void kit_store_native(struct kit *self, const char *content)
{
    const struct session session = {.id = view_str("s"),
                                    .version = 7,
                                    .created_ms = KIT_NOW_MS - 5000,
                                    .expires_ms = KIT_NOW_MS + 60000,
                                    .idle_ttl_ms = 60000,
                                    .owner = view_str("ann"),
                                    .kind = SATCHEL_BLOB,
                                    .content = view_str(content)};
    kit_store(self, &session);
}
