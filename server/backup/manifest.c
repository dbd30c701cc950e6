/* Manifests to JSON and back, and the names of snapshots. */
#include "backup/manifest.h"

#include <assert.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "backup/hex.h"
#include "backup/rows_stream.h"

#define FOLDER "snap/"

enum {
    FORMAT = 1,
    LSN_DIGITS = 16,
    EPOCH_DIGITS = 8,
    NONCE_DIGITS = 8,
    SEED_DIGITS = 16,
    FOLDER_BYTES = sizeof FOLDER - 1,
};

static const int64_t time_ms_end = INT64_C(1) << 44; /* as in images */

/* ---- Names ---- */

static const char *const suffixes[] = {[SNAPSHOT_ROWS] = ".rows", [SNAPSHOT_MANIFEST] = ".json"};

void snapshot_name(char out[static SNAPSHOT_NAME_BYTES], const struct snapshot_id *id,
                   enum snapshot_object object)
{
    (void)snprintf(out, SNAPSHOT_NAME_BYTES, FOLDER "%016" PRIx64 "-%08" PRIx32 "-%08" PRIx32 "%s",
                   id->from_lsn, id->epoch, id->nonce, suffixes[object]);
}

bool snapshot_parse_name(const char *name, struct snapshot_id *id, enum snapshot_object *object)
{
    uint64_t lsn, epoch, nonce;
    if (strlen(name) != SNAPSHOT_NAME_BYTES - 1 || strncmp(name, FOLDER, FOLDER_BYTES) != 0) {
        return false;
    }
    const char *lsn_at = name + FOLDER_BYTES;
    const char *epoch_at = lsn_at + LSN_DIGITS + 1;
    const char *nonce_at = epoch_at + EPOCH_DIGITS + 1;
    const char *suffix = nonce_at + NONCE_DIGITS;
    if (!hex_number(lsn_at, LSN_DIGITS, &lsn) || epoch_at[-1] != '-' ||
        !hex_number(epoch_at, EPOCH_DIGITS, &epoch) || nonce_at[-1] != '-' ||
        !hex_number(nonce_at, NONCE_DIGITS, &nonce)) {
        return false;
    }
    bool is_rows = strcmp(suffix, suffixes[SNAPSHOT_ROWS]) == 0;
    if (!is_rows && strcmp(suffix, suffixes[SNAPSHOT_MANIFEST]) != 0) {
        return false;
    }
    *id = (struct snapshot_id){lsn, (uint32_t)epoch, (uint32_t)nonce};
    *object = is_rows ? SNAPSHOT_ROWS : SNAPSHOT_MANIFEST;
    return true;
}

/* ---- What both directions demand ---- */

static bool is_printable(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text < ' ' || *text > '~') {
            return false;
        }
    }
    return true;
}

/* NULL: nothing. */
static const char *problem_of(const struct manifest *self)
{
    if (self->through_lsn > INT64_MAX || self->next_seq > INT64_MAX || self->sessions > INT64_MAX ||
        self->raw_bytes > INT64_MAX || self->stored_bytes > INT64_MAX) {
        return "a number is out of range";
    }
    if (self->id.from_lsn > self->through_lsn) {
        return "from_lsn is above through_lsn";
    }
    if (self->time_ms < 0 || self->time_ms >= time_ms_end) {
        return "time_ms is out of range";
    }
    if (self->parts == 0 || self->parts > MANIFEST_PARTS_MAX || self->stored_bytes < self->parts) {
        return "parts is out of range";
    }
    if (self->raw_bytes < ROWS_STREAM_BYTES_MIN ||
        self->sessions > (self->raw_bytes - ROWS_STREAM_BYTES_MIN) / ROWS_STREAM_ROW_BYTES_MIN) {
        return "raw_bytes is too small";
    }
    return is_printable(self->version) ? NULL : "version is not printable";
}

/* ---- To JSON ---- */

/* Without memory jansson gives NULL for the value, takes that, and answers -1. */
static bool set(json_t *object, const char *name, json_t *value)
{
    return json_object_set_new(object, name, value) == 0;
}

static json_t *number(uint64_t value)
{
    return json_integer((json_int_t)value);
}

static json_t *hex(const uint8_t *bytes)
{
    char text[2 * HASH128_BYTES + 1];
    hex_put(text, bytes, HASH128_BYTES);
    return json_string(text);
}

_Static_assert(MANIFEST_UUID_BYTES == (int)HASH128_BYTES, "one hex() for both");

static bool fill(json_t *object, const struct manifest *self)
{
    char name[SNAPSHOT_NAME_BYTES];
    char seed[SEED_DIGITS + 1];
    snapshot_name(name, &self->id, SNAPSHOT_ROWS);
    (void)snprintf(seed, sizeof seed, "%016" PRIx64, self->hash_seed);
    return set(object, "format", number(FORMAT)) &&
           set(object, "version", json_string(self->version)) &&
           set(object, "uuid", hex(self->uuid)) && set(object, "hash_seed", json_string(seed)) &&
           set(object, "epoch", number(self->id.epoch)) &&
           set(object, "object", json_string(name)) &&
           set(object, "from_lsn", number(self->id.from_lsn)) &&
           set(object, "through_lsn", number(self->through_lsn)) &&
           set(object, "next_seq", number(self->next_seq)) &&
           set(object, "time_ms", number((uint64_t)self->time_ms)) &&
           set(object, "sessions", number(self->sessions)) &&
           set(object, "raw_bytes", number(self->raw_bytes)) &&
           set(object, "stored_bytes", number(self->stored_bytes)) &&
           set(object, "parts", number(self->parts)) && set(object, "xxh3_128", hex(self->hash));
}

enum status manifest_encode(const struct manifest *self, struct buf *out)
{
    if (problem_of(self) != NULL) {
        return STATUS_INVALID;
    }
    json_t *object = json_object();
    out->len = 0;
    enum status status = STATUS_NO_MEMORY;
    if (object != NULL && fill(object, self) && buf_reserve(out, MANIFEST_BYTES_MAX) == STATUS_OK) {
        size_t len = json_dumpb(object, (char *)out->ptr, MANIFEST_BYTES_MAX, JSON_INDENT(2));
        if (len != 0) {
            assert(len < MANIFEST_BYTES_MAX);
            out->len = len;
            status = buf_append(out, view_str("\n"));
        }
    }
    json_decref(object);
    return status;
}

/* ---- From JSON ---- */

/* The object, and the first member in which something is wrong. */
struct reading {
    const json_t *object;
    const char *wrong; /* NULL: none so far */
};

static uint64_t take_number(struct reading *self, const char *name, uint64_t max)
{
    const json_t *value = json_object_get(self->object, name);
    json_int_t integer = json_integer_value(value);
    if (json_is_integer(value) && integer >= 0 && (uint64_t)integer <= max) {
        return (uint64_t)integer;
    }
    self->wrong = self->wrong != NULL ? self->wrong : name;
    return 0;
}

/* The text; "" when there is none. One with a zero in it jansson refuses. */
static const char *take_text(struct reading *self, const char *name)
{
    const char *text = json_string_value(json_object_get(self->object, name));
    if (text != NULL) {
        return text;
    }
    self->wrong = self->wrong != NULL ? self->wrong : name;
    return "";
}

static void take_hex(struct reading *self, const char *name, uint8_t *out, size_t len)
{
    const char *text = take_text(self, name);
    if (strlen(text) != 2 * len || !hex_bytes(text, out, len)) {
        self->wrong = self->wrong != NULL ? self->wrong : name;
    }
}

static void take_seed(struct reading *self, uint64_t *out)
{
    const char *text = take_text(self, "hash_seed");
    if (strlen(text) != SEED_DIGITS || !hex_number(text, SEED_DIGITS, out)) {
        self->wrong = self->wrong != NULL ? self->wrong : "hash_seed";
    }
}

/* The name says from_lsn and epoch as well, and it has to agree. */
static void take_id(struct reading *self, struct snapshot_id *out)
{
    enum snapshot_object object = SNAPSHOT_MANIFEST;
    uint64_t from_lsn = take_number(self, "from_lsn", INT64_MAX);
    uint64_t epoch = take_number(self, "epoch", UINT32_MAX);
    if (!snapshot_parse_name(take_text(self, "object"), out, &object) || object != SNAPSHOT_ROWS ||
        out->from_lsn != from_lsn || out->epoch != epoch) {
        self->wrong = self->wrong != NULL ? self->wrong : "object";
    }
}

static void take_version(struct reading *self, char *out)
{
    const char *text = take_text(self, "version");
    if (snprintf(out, MANIFEST_VERSION_BYTES, "%s", text) >= MANIFEST_VERSION_BYTES) {
        self->wrong = self->wrong != NULL ? self->wrong : "version";
    }
}

static enum status complain(char *errmsg, enum status status, const char *what, const char *name)
{
    (void)snprintf(errmsg, MANIFEST_ERRMSG_BYTES, "%s%s", what, name);
    return status;
}

static enum status read(const json_t *object, struct manifest *out, char *errmsg)
{
    struct reading reading = {.object = object};
    uint64_t format = take_number(&reading, "format", UINT32_MAX);
    if (reading.wrong == NULL && format != FORMAT) {
        return complain(errmsg, STATUS_UNSUPPORTED, "the manifest's format is not known", "");
    }
    *out = (struct manifest){.through_lsn = take_number(&reading, "through_lsn", INT64_MAX),
                             .next_seq = take_number(&reading, "next_seq", INT64_MAX),
                             .time_ms = (int64_t)take_number(&reading, "time_ms", INT64_MAX),
                             .sessions = take_number(&reading, "sessions", INT64_MAX),
                             .raw_bytes = take_number(&reading, "raw_bytes", INT64_MAX),
                             .stored_bytes = take_number(&reading, "stored_bytes", INT64_MAX),
                             .parts = (uint32_t)take_number(&reading, "parts", MANIFEST_PARTS_MAX)};
    take_id(&reading, &out->id);
    take_version(&reading, out->version);
    take_hex(&reading, "uuid", out->uuid, MANIFEST_UUID_BYTES);
    take_hex(&reading, "xxh3_128", out->hash, HASH128_BYTES);
    take_seed(&reading, &out->hash_seed);
    if (reading.wrong != NULL) {
        return complain(errmsg, STATUS_CORRUPT, "the manifest lacks a good ", reading.wrong);
    }
    const char *problem = problem_of(out);
    return problem == NULL
               ? STATUS_OK
               : complain(errmsg, STATUS_CORRUPT, "the manifest makes no sense: ", problem);
}

enum status manifest_decode(struct view json, struct manifest *out,
                            char errmsg[static MANIFEST_ERRMSG_BYTES])
{
    errmsg[0] = '\0';
    if (json.len > MANIFEST_BYTES_MAX) {
        return complain(errmsg, STATUS_CORRUPT, "the manifest is too long", "");
    }
    json_error_t error = {0};
    json_t *object = json_loadb(json.len != 0 ? (const char *)json.ptr : "", json.len,
                                JSON_REJECT_DUPLICATES, &error);
    if (object == NULL) {
        return json_error_code(&error) == json_error_out_of_memory
                   ? complain(errmsg, STATUS_NO_MEMORY, "out of memory", "")
                   : complain(errmsg, STATUS_CORRUPT, "the manifest is not JSON", "");
    }
    enum status status = read(object, out, errmsg);
    json_decref(object);
    return status;
}
