/*
 * s3_client probe | puts SECONDS | hang
 *
 * The S3 client against a real server. `probe` goes through everything that backups need of one and
 * prints what it found, a line a step; it ends with 1 at the first thing that is not as it should
 * be. `puts` stores small objects for so long and tells how many went well. `hang` asks for one
 * object until SIGTERM, which has to end it.
 *
 * The place comes from S3_URL (s3://BUCKET/PREFIX), S3_ENDPOINT, S3_REGION and, if set, S3_CA_FILE;
 * credentials from where the product takes them. S3_CLOCK_OFF_S sets the program's clock wrong.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backup/s3.h"
#include "base/random.h"

enum {
    PART_BYTES = 5 * 1024 * 1024, /* the least that S3 takes for a part but the last */
    LARGE_BYTES = 2 * PART_BYTES + 512 * 1024,
};

static struct stop stopping;

/* One client and what it stands on. */
struct stand {
    struct credentials *credentials;
    struct s3 *s3;
};

/* ---- Time ----------------------------------------------------------------------------------- */

static int64_t clock_off_ms;

static int64_t wall_ms(void *arg)
{
    (void)arg;
    return clock_wall_ms(&clock_system) + clock_off_ms;
}

static int64_t mono_ns(void *arg)
{
    (void)arg;
    return clock_mono_ns(&clock_system);
}

static const struct clock our_clock = {.wall_ms = wall_ms, .mono_ns = mono_ns};

/* ---- Setting up ----------------------------------------------------------------------------- */

static void demand(bool holds, const struct s3 *s3, const char *what)
{
    char error[600] = "";
    if (!holds) {
        if (s3 != NULL) {
            s3_describe_error(s3, error, sizeof error);
        }
        (void)fprintf(stderr, "s3_client: %s; the last call: %s\n", what, error);
        exit(1);
    }
}

static void demand_opened(enum status status, const char *errmsg)
{
    if (status != STATUS_OK) {
        (void)fprintf(stderr, "s3_client: %s: %s\n", status_text(status), errmsg);
        exit(1);
    }
}

static struct s3_transport open_transport(void)
{
    char errmsg[300] = "";
    struct s3_transport transport;
    const struct s3_http_options options = {.ca_file = getenv("S3_CA_FILE"), .stop = &stopping};
    demand_opened(s3_http_open(&options, &transport, errmsg, sizeof errmsg), errmsg);
    return transport;
}

static struct s3 *open_client(struct credentials *credentials, struct s3_transport transport)
{
    char errmsg[300] = "";
    struct s3 *s3 = NULL;
    const struct s3_options options = {.url = getenv("S3_URL"),
                                       .endpoint = getenv("S3_ENDPOINT"),
                                       .region = getenv("S3_REGION"),
                                       .path_style = true};
    struct s3_timing timing = s3_timing_system(&stopping);
    timing.clock = &our_clock;
    const struct s3_deps deps = {
        .transport = transport, .credentials = credentials, .timing = timing};
    demand_opened(s3_open(&options, &deps, &s3, errmsg, sizeof errmsg), errmsg);
    return s3;
}

static struct credentials *open_credentials(char *(*environ_get)(const char *name))
{
    char errmsg[300] = "";
    struct credentials *credentials = NULL;
    const struct credentials_deps deps = {.environ_get = environ_get,
                                          .transport = open_transport(),
                                          .clock = &our_clock,
                                          .random = random_u64};
    demand_opened(credentials_open(&deps, &credentials, errmsg, sizeof errmsg), errmsg);
    return credentials;
}

/* ---- What is stored, and comparing ---------------------------------------------------------- */

static uint8_t *large; /* LARGE_BYTES that no two parts share */

static void make_large(void)
{
    uint64_t state = 1;
    large = malloc(LARGE_BYTES);
    demand(large != NULL, NULL, "out of memory");
    for (size_t i = 0; i < LARGE_BYTES; i++) {
        state = state * UINT64_C(6364136223846793005) + 1;
        large[i] = (uint8_t)(state >> 56);
    }
}

/* Compares what comes with what was stored. */
struct comparison {
    struct view expected;
    uint64_t got;
    bool is_equal;
};

static enum status compare(void *arg, struct view bytes)
{
    struct comparison *self = arg;
    self->is_equal = self->is_equal && bytes.len <= self->expected.len - self->got &&
                     memcmp(self->expected.ptr + self->got, bytes.ptr, bytes.len) == 0;
    self->got += bytes.len;
    return self->is_equal ? STATUS_OK : STATUS_CORRUPT;
}

static void demand_bytes(struct s3 *s3, const char *key, const struct s3_range *range,
                         struct view expected)
{
    struct comparison comparison = {.expected = expected, .is_equal = true};
    demand(s3_get(s3, key, range, compare, &comparison, NULL) == S3_OK, s3, "cannot get it");
    demand(comparison.is_equal && comparison.got == expected.len, s3, "other bytes came back");
}

/* ---- Steps ---------------------------------------------------------------------------------- */

static void step_objects(struct stand *stand)
{
    struct s3 *s3 = stand->s3;
    struct s3_object object;
    const struct view body = view_of(large, 100000);
    demand(s3_put(s3, "object", body, 0) == S3_OK, s3, "cannot put");
    demand(s3_head(s3, "object", &object) == S3_OK, s3, "cannot head");
    demand(object.bytes == body.len && object.etag[0] != '\0', s3, "another size");
    demand_bytes(s3, "object", NULL, body);
    demand(s3_put(s3, "object", view_str(""), 0) == S3_OK, s3, "cannot put nothing");
    demand_bytes(s3, "object", NULL, view_str(""));
    demand(s3_head(s3, "missing", &object) == S3_NOT_FOUND, s3, "an object out of nothing");
    (void)printf("  objects: put, read back and overwritten, ETag %s\n", object.etag);
}

static void step_ranges(struct stand *stand)
{
    static const struct s3_range ranges[] = {{0, 1}, {1, 10}, {500, 0}, {990, 100}, {999, 1}};
    struct s3 *s3 = stand->s3;
    struct comparison none = {.is_equal = true};
    demand(s3_put(s3, "ranges", view_of(large, 1000), 0) == S3_OK, s3, "cannot put");
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        uint64_t left = 1000 - ranges[i].offset;
        uint64_t len = ranges[i].bytes != 0 && ranges[i].bytes < left ? ranges[i].bytes : left;
        demand_bytes(s3, "ranges", &ranges[i], view_of(large + ranges[i].offset, len));
    }
    demand(s3_get(s3, "ranges", &(struct s3_range){.offset = 1000}, compare, &none, NULL) ==
               S3_REFUSED,
           s3, "a range behind the end");
    (void)printf("  ranges: 5 byte-equal, one behind the end refused\n");
}

/* As if somebody on the way had changed a bit of the body. */
static enum s3_status tamper(void *arg, const struct s3_http_request *request,
                             struct s3_http_reply *reply, char *errmsg, size_t errmsg_bytes)
{
    const struct s3_transport *through = arg;
    uint8_t changed[100] = {0};
    struct s3_http_request tampered = *request;
    demand(request->body.len > 0 && request->body.len <= sizeof changed, NULL, "nothing to change");
    (void)put_view(changed, request->body);
    changed[0] ^= 1;
    tampered.body.ptr = changed;
    return through->exchange(through->arg, &tampered, reply, errmsg, errmsg_bytes);
}

static void step_tampering(struct stand *stand)
{
    struct s3_object object;
    struct s3_transport through = open_transport();
    struct s3 *s3 = open_client(stand->credentials,
                                (struct s3_transport){.exchange = tamper, .arg = &through});
    demand(s3_put(s3, "tampered", view_str("0123456789"), 0) == S3_REFUSED, s3,
           "a tampered body was taken");
    (void)printf("  tampered body: refused, %s\n", s3_last_error(s3)->code);
    s3_close(s3);
    s3_transport_close(&through);
    demand(s3_head(stand->s3, "tampered", &object) == S3_NOT_FOUND, stand->s3, "and stored");
}

static char *wrong_secret(const char *name)
{
    static char key_id[] = "AWS_ACCESS_KEY_ID";
    static char wrong[] = "not-the-secret";
    if (strcmp(name, "AWS_SECRET_ACCESS_KEY") == 0) {
        return wrong;
    }
    return strcmp(name, key_id) == 0 ? getenv(name) : NULL;
}

static void step_wrong_secret(struct stand *stand)
{
    (void)stand;
    if (getenv("AWS_ACCESS_KEY_ID") == NULL) {
        (void)printf("  wrong secret: skipped, the credentials are a provider's\n");
        return;
    }
    struct credentials *credentials = open_credentials(wrong_secret);
    struct s3 *s3 = open_client(credentials, open_transport());
    demand(s3_put(s3, "wrong", view_str("x"), 0) == S3_DENIED, s3, "a wrong secret is as good");
    const struct s3_error *error = s3_last_error(s3);
    demand(error->http_code == 403 && error->attempts == 1, s3, "not refused at once");
    (void)printf("  wrong secret: %u %s\n", error->http_code, error->code);
    s3_close(s3);
    credentials_close(credentials);
}

/* In the order of their bytes. */
static const char *const odd_keys[] = {
    "list/ !\"#$%&'()*+,-./0",
    "list/%2F%41+",
    "list/<a>&b;",
    "list/a b+c=d&e@f:%41~",
    "list/deep/er/and/deeper",
    "list/plain",
    "list/\xc3\xa9\xe2\x82\xac",
};
enum { ODD_KEYS = sizeof odd_keys / sizeof odd_keys[0] };

struct keys_seen {
    size_t count;
    size_t from; /* the key that has to come first */
    bool is_right;
};

static bool see_key(void *arg, const char *key, const struct s3_object *object)
{
    struct keys_seen *seen = arg;
    size_t at = seen->from + seen->count++;
    seen->is_right = seen->is_right && at < ODD_KEYS && strcmp(key, odd_keys[at]) == 0 &&
                     object->bytes == at && object->modified_ms > INT64_C(1500000000000);
    return true;
}

static void demand_list(struct s3 *s3, const struct s3_list_options *options, size_t from)
{
    struct keys_seen seen = {.from = from, .is_right = true};
    demand(s3_list(s3, options, see_key, &seen) == S3_OK, s3, "cannot list");
    demand(seen.is_right && seen.count == ODD_KEYS - from, s3, "another list");
}

static void step_lists(struct stand *stand)
{
    struct s3 *s3 = stand->s3;
    for (size_t i = 0; i < ODD_KEYS; i++) {
        demand(s3_put(s3, odd_keys[i], view_of(large, i), 0) == S3_OK, s3, "cannot put");
        demand_bytes(s3, odd_keys[i], NULL, view_of(large, i));
    }
    for (unsigned page_keys = 0; page_keys <= ODD_KEYS + 1; page_keys++) {
        demand_list(s3, &(struct s3_list_options){.prefix = "list/", .page_keys = page_keys}, 0);
    }
    for (size_t i = 0; i < ODD_KEYS; i++) {
        const struct s3_list_options options = {
            .prefix = "list/", .start_after = odd_keys[i], .page_keys = 2};
        demand_list(s3, &options, i + 1);
    }
    for (size_t i = 0; i < ODD_KEYS; i++) {
        demand(s3_delete(s3, odd_keys[i]) == S3_OK, s3, "cannot delete");
    }
    demand_list(s3, &(struct s3_list_options){.prefix = "list/"}, ODD_KEYS);
    demand(s3_delete(s3, odd_keys[0]) == S3_OK, s3, "cannot delete what is gone");
    (void)printf("  lists: %d odd keys in pages of 1 to %d, after each of them, and deleted\n",
                 ODD_KEYS, ODD_KEYS + 1);
}

static void step_uploads(struct stand *stand)
{
    struct s3 *s3 = stand->s3;
    struct s3_upload upload;
    struct s3_part parts[3];
    struct s3_object object;
    char etag[S3_ETAG_BYTES];
    demand(s3_upload_begin(s3, "large", &upload) == S3_OK, s3, "cannot begin");
    for (unsigned i = 3; i >= 1; i--) { /* any order will do */
        size_t from = (size_t)(i - 1) * PART_BYTES;
        size_t len = LARGE_BYTES - from < PART_BYTES ? LARGE_BYTES - from : PART_BYTES;
        demand(s3_upload_part(s3, &upload, i, view_of(large + from, len), &parts[i - 1]) == S3_OK,
               s3, "cannot send a part");
    }
    enum s3_status status = s3_upload_complete(s3, &upload, parts, 3, etag);
    /* Its reply may have been lost; then the object tells. */
    bool is_complete = status == S3_OK || (status == S3_NO_UPLOAD && s3_last_error(s3)->maybe_done);
    demand(is_complete, s3, "cannot complete");
    demand(s3_head(s3, "large", &object) == S3_OK && object.bytes == LARGE_BYTES, s3,
           "another size");
    demand_bytes(s3, "large", NULL, view_of(large, LARGE_BYTES));
    demand_bytes(s3, "large", &(struct s3_range){PART_BYTES - 3, 7},
                 view_of(large + PART_BYTES - 3, 7));
    demand(s3_upload_begin(s3, "aborted", &upload) == S3_OK, s3, "cannot begin");
    demand(s3_upload_part(s3, &upload, 1, view_of(large, 1000), &parts[0]) == S3_OK, s3,
           "cannot send a part");
    demand(s3_upload_abort(s3, &upload) == S3_OK, s3, "cannot abort");
    demand(s3_upload_complete(s3, &upload, parts, 1, NULL) != S3_OK, s3, "aborted, and completed");
    demand(s3_head(s3, "aborted", &object) == S3_NOT_FOUND, s3, "aborted, and there");
    (void)printf("  uploads: %d bytes in 3 parts byte-equal, one aborted\n", LARGE_BYTES);
}

struct uploads_seen {
    struct s3 *s3;
    unsigned count;
    bool is_right;
};

static void end_upload(void *arg, const struct s3_upload *upload, int64_t begun_ms)
{
    struct uploads_seen *seen = arg;
    seen->count++;
    seen->is_right = strcmp(upload->key, "left/behind +&") == 0 &&
                     llabs(begun_ms - clock_wall_ms(&clock_system)) < 600000 &&
                     s3_upload_abort(seen->s3, upload) == S3_OK;
}

static void step_left_uploads(struct stand *stand)
{
    struct s3 *s3 = stand->s3;
    struct s3_upload upload;
    struct uploads_seen seen = {.s3 = s3};
    demand(s3_upload_begin(s3, "left/behind +&", &upload) == S3_OK, s3, "cannot begin");
    demand(s3_list_uploads(s3, "left/", end_upload, &seen) == S3_OK, s3, "cannot list uploads");
    demand(seen.count == 1 && seen.is_right, s3, "another upload");
    demand(s3_list_uploads(s3, "left/", end_upload, &seen) == S3_OK && seen.count == 1, s3,
           "aborted, and listed");
    (void)printf("  left uploads: found and aborted\n");
}

enum { MANY_KEYS = S3_DELETE_MAX };

static void step_deletes(struct stand *stand)
{
    struct s3 *s3 = stand->s3;
    const char *all[MANY_KEYS];
    static char absent[MANY_KEYS][32]; /* all different: radosgw dies of a key that comes twice */
    struct keys_seen none = {.from = ODD_KEYS, .is_right = true};
    for (size_t i = 0; i < ODD_KEYS; i++) {
        demand(s3_put(s3, odd_keys[i], view_of(large, i), 0) == S3_OK, s3, "cannot put");
    }
    for (size_t i = 0; i < MANY_KEYS; i++) {
        (void)snprintf(absent[i], sizeof absent[i], "list/never there %zu", i);
        all[i] = i < ODD_KEYS ? odd_keys[i] : absent[i];
    }
    demand(s3_delete_many(s3, all, MANY_KEYS) == S3_OK, s3, "cannot delete many");
    demand(s3_last_error(s3)->http_code == 200, s3, "deleted one by one");
    demand(s3_list(s3, &(struct s3_list_options){.prefix = "list/"}, see_key, &none) == S3_OK &&
               none.count == 0,
           s3, "deleted, and listed");
    demand(llabs(s3_storage_ms(s3) - clock_wall_ms(&clock_system)) < 600000, s3, "no time");
    (void)printf("  deletes: %d keys at once\n", MANY_KEYS);
}

static void step_conditions(struct stand *stand)
{
    static const char *const names[] = {"supported", "ignored", "refused"};
    struct s3 *s3 = stand->s3;
    enum s3_conditions conditions;
    enum s3_status removed;
    struct keys_seen none = {.from = ODD_KEYS, .is_right = true};
    demand(s3_probe_conditions(s3, &conditions, &removed) == S3_OK, s3, "cannot probe");
    demand(removed == S3_OK, s3, "cannot remove the probe");
    demand(s3_list(s3, &(struct s3_list_options){.prefix = "probe/"}, see_key, &none) == S3_OK &&
               none.count == 0,
           s3, "the probe is still there");
    (void)printf("  conditional put: %s\n", names[conditions]);
}

static int probe(struct stand *stand)
{
    static void (*const steps[])(struct stand *) = {
        step_objects, step_ranges,       step_tampering, step_wrong_secret, step_lists,
        step_uploads, step_left_uploads, step_deletes,   step_conditions};
    make_large();
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        steps[i](stand);
    }
    free(large);
    return 0;
}

/* ---- Other commands ------------------------------------------------------------------------- */

static int puts_for(struct stand *stand, long seconds)
{
    const int64_t end_ms = clock_wall_ms(&clock_system) + seconds * 1000;
    unsigned good = 0;
    unsigned bad = 0;
    unsigned attempts_max = 0;
    char error[600] = "none";
    while (clock_wall_ms(&clock_system) < end_ms && !stop_wait(&stopping, 50)) {
        if (s3_put(stand->s3, "put", view_str("x"), 0) == S3_OK) {
            good++;
        } else {
            bad++;
            s3_describe_error(stand->s3, error, sizeof error);
        }
        unsigned attempts = s3_last_error(stand->s3)->attempts;
        attempts_max = attempts > attempts_max ? attempts : attempts_max;
    }
    (void)printf("  good %u, bad %u, the most attempts %u, the last error: %s\n", good, bad,
                 attempts_max, error);
    return bad == 0 && good > 0 ? 0 : 1;
}

static void *wait_for_signal(void *arg)
{
    int number;
    (void)sigwait(arg, &number);
    stop_request(&stopping);
    return NULL;
}

static enum status take_all(void *arg, struct view bytes)
{
    (void)arg;
    (void)bytes;
    return STATUS_OK;
}

static int hang(struct stand *stand)
{
    static sigset_t signals;
    pthread_t waiter;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
    demand(pthread_create(&waiter, NULL, wait_for_signal, &signals) == 0, NULL, "no thread");
    (void)printf("  asking\n");
    (void)fflush(stdout);
    enum s3_status status = s3_get(stand->s3, "object", NULL, take_all, NULL, NULL);
    (void)pthread_join(waiter, NULL);
    (void)printf("  ended: %s\n", s3_status_text(status));
    return status == S3_CANCELLED ? 0 : 1;
}

int main(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "";
    const char *off_s = getenv("S3_CLOCK_OFF_S");
    clock_off_ms = off_s != NULL ? strtoll(off_s, NULL, 10) * 1000 : 0;
    stop_init(&stopping);
    struct stand stand = {.credentials = open_credentials(getenv)};
    stand.s3 = open_client(stand.credentials, open_transport());
    int result = 2;
    if (strcmp(command, "probe") == 0) {
        result = probe(&stand);
    } else if (strcmp(command, "puts") == 0 && argc > 2) {
        result = puts_for(&stand, strtol(argv[2], NULL, 10));
    } else if (strcmp(command, "hang") == 0) {
        result = hang(&stand);
    } else {
        (void)fprintf(stderr, "usage: s3_client probe | puts SECONDS | hang\n");
    }
    s3_close(stand.s3);
    stop_request(&stopping);
    credentials_close(stand.credentials);
    stop_close(&stopping);
    return result;
}
