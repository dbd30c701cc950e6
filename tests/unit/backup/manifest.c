/* Manifests: there and back, and what somebody else may have written. */
#include "backup/manifest.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <string.h>

#include "unit/backup/kit.h"

static const struct manifest sample = {
    .id = {.from_lsn = 0x1200, .epoch = 7, .nonce = 0xdeadbeef},
    .version = "0.1.0",
    .uuid = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd,
             0xee, 0xff},
    .hash_seed = UINT64_C(0xfedcba9876543210),
    .through_lsn = 0x1234,
    .next_seq = 42,
    .time_ms = 1800000000000,
    .sessions = 3,
    .raw_bytes = 1000,
    .stored_bytes = 500,
    .parts = 1,
    .hash = {0xff, 1},
};

static const char text[] = "{\n"
                           "  \"format\": 1,\n"
                           "  \"version\": \"0.1.0\",\n"
                           "  \"uuid\": \"00112233445566778899aabbccddeeff\",\n"
                           "  \"hash_seed\": \"fedcba9876543210\",\n"
                           "  \"epoch\": 7,\n"
                           "  \"object\": \"snap/0000000000001200-00000007-deadbeef.rows\",\n"
                           "  \"from_lsn\": 4608,\n"
                           "  \"through_lsn\": 4660,\n"
                           "  \"next_seq\": 42,\n"
                           "  \"time_ms\": 1800000000000,\n"
                           "  \"sessions\": 3,\n"
                           "  \"raw_bytes\": 1000,\n"
                           "  \"stored_bytes\": 500,\n"
                           "  \"parts\": 1,\n"
                           "  \"xxh3_128\": \"ff010000000000000000000000000000\"\n"
                           "}\n";

static char errmsg[MANIFEST_ERRMSG_BYTES];

Test(manifest, is_the_json_that_is_documented_and_back)
{
    struct buf json = {0};
    struct manifest out;
    cr_assert(eq(int, manifest_encode(&sample, &json), STATUS_OK));
    cr_assert(view_equal(buf_view(&json), view_str(text)), "%.*s", (int)json.len,
              (const char *)json.ptr);
    cr_assert(eq(int, manifest_decode(buf_view(&json), &out, errmsg), STATUS_OK), "%s", errmsg);
    cr_assert(eq(int, memcmp(&out.id, &sample.id, sizeof out.id), 0));
    cr_assert(eq(str, out.version, (char *)"0.1.0"));
    cr_assert(eq(int, memcmp(out.uuid, sample.uuid, sizeof out.uuid), 0));
    cr_assert(eq(int, memcmp(out.hash, sample.hash, sizeof out.hash), 0));
    cr_assert(out.hash_seed == sample.hash_seed && out.through_lsn == sample.through_lsn);
    cr_assert(out.next_seq == 42 && out.time_ms == sample.time_ms && out.sessions == 3);
    cr_assert(out.raw_bytes == 1000 && out.stored_bytes == 500 && out.parts == 1);
    buf_free(&json);
}

Test(manifest, the_largest_numbers_survive)
{
    struct buf json = {0};
    struct manifest largest = sample, out;
    largest.id = (struct snapshot_id){INT64_MAX, UINT32_MAX, UINT32_MAX};
    largest.hash_seed = UINT64_MAX;
    largest.through_lsn = INT64_MAX;
    largest.next_seq = INT64_MAX;
    largest.stored_bytes = INT64_MAX;
    largest.raw_bytes = INT64_MAX;
    largest.parts = MANIFEST_PARTS_MAX;
    cr_assert(eq(int, manifest_encode(&largest, &json), STATUS_OK));
    cr_assert(eq(int, manifest_decode(buf_view(&json), &out, errmsg), STATUS_OK), "%s", errmsg);
    cr_assert(out.through_lsn == INT64_MAX && out.id.from_lsn == INT64_MAX &&
              out.id.epoch == UINT32_MAX);
    cr_assert(out.hash_seed == UINT64_MAX && out.next_seq == INT64_MAX);
    cr_assert(out.raw_bytes == INT64_MAX && out.parts == MANIFEST_PARTS_MAX);
    largest.next_seq++;
    cr_assert(eq(int, manifest_encode(&largest, &json), STATUS_INVALID));
    buf_free(&json);
}

/* The text with the first `from` replaced. */
static void expect_with(const char *from, const char *to, enum status expected, const char *words)
{
    char changed[sizeof text + 200];
    const char *at = strstr(text, from);
    cr_assert(at != NULL, "%s", from);
    int len = snprintf(changed, sizeof changed, "%.*s%s%s", (int)(at - text), text, to,
                       at + strlen(from));
    cr_assert(len > 0 && (size_t)len < sizeof changed);
    struct manifest out;
    enum status status = manifest_decode(view_of(changed, (size_t)len), &out, errmsg);
    cr_assert(eq(int, status, expected), "%s -> %s: %s", from, to, errmsg);
    cr_assert(strstr(errmsg, words) != NULL, "%s -> %s: \"%s\" does not say \"%s\"", from, to,
              errmsg, words);
}

Test(manifest, members_that_are_not_known_are_passed_over)
{
    expect_with("{\n", "{\"later\": {\"a\": [1, 2.5, null]}, \"name\": \"\\u00e9\",", STATUS_OK,
                "");
}

Test(manifest, every_member_has_to_be_there_and_good)
{
    static const char *const members[] = {"format",       "version", "uuid",     "hash_seed",
                                          "epoch",        "object",  "from_lsn", "through_lsn",
                                          "next_seq",     "time_ms", "sessions", "raw_bytes",
                                          "stored_bytes", "parts",   "xxh3_128"};
    for (size_t i = 0; i < COUNT(members); i++) {
        char member[32], renamed[32], null[48];
        (void)snprintf(member, sizeof member, "\"%s\": ", members[i]);
        (void)snprintf(renamed, sizeof renamed, "\"no_%s\": ", members[i]);
        (void)snprintf(null, sizeof null, "\"%s\": null, \"x\": ", members[i]);
        expect_with(member, renamed, STATUS_CORRUPT, "lacks a good");
        expect_with(member, null, STATUS_CORRUPT, "lacks a good");
    }
}

Test(manifest, what_makes_no_sense_is_said)
{
    static const struct {
        const char *from;
        const char *to;
        enum status status;
        const char *words;
    } cases[] = {
        {"\"format\": 1", "\"format\": 2", STATUS_UNSUPPORTED, "format"},
        {"\"format\": 1", "\"format\": 1.0", STATUS_CORRUPT, "good format"},
        {"\"format\": 1", "\"format\": 1, \"format\": 1", STATUS_CORRUPT, "not JSON"},
        {"0.1.0", "0.1.0\\u001b[2J", STATUS_CORRUPT, "not printable"},
        {"0.1.0", "0.1.0\\u0000", STATUS_CORRUPT, "not JSON"},
        {"0.1.0", "0123456789012345678901234567890123456789", STATUS_CORRUPT, "good version"},
        {"0011223344", "001122334", STATUS_CORRUPT, "good uuid"},
        {"0011223344", "00112233440", STATUS_CORRUPT, "good uuid"},
        {"aabbccddeeff", "AABBCCDDEEFF", STATUS_CORRUPT, "good uuid"},
        {"fedcba9876543210", "fedcba987654321", STATUS_CORRUPT, "good hash_seed"},
        {"\"fedcba9876543210\"", "1", STATUS_CORRUPT, "good hash_seed"},
        {"ff01", "ff0g", STATUS_CORRUPT, "good xxh3_128"},
        {"\"epoch\": 7", "\"epoch\": 8", STATUS_CORRUPT, "good object"},
        {"\"epoch\": 7", "\"epoch\": 4294967303", STATUS_CORRUPT, "good epoch"},
        {"4608", "4609", STATUS_CORRUPT, "good object"},
        {"4660", "4607", STATUS_CORRUPT, "above through_lsn"},
        {"4608", "-1", STATUS_CORRUPT, "good from_lsn"},
        {"4608", "9223372036854775808", STATUS_CORRUPT, "not JSON"},
        {".rows", ".json", STATUS_CORRUPT, "good object"},
        {"snap/", "snip/", STATUS_CORRUPT, "good object"},
        {"42", "-42", STATUS_CORRUPT, "good next_seq"},
        {"1800000000000", "17592186044416", STATUS_CORRUPT, "time_ms"},
        {"\"sessions\": 3", "\"sessions\": 1000", STATUS_CORRUPT, "raw_bytes"},
        {"\"raw_bytes\": 1000", "\"raw_bytes\": 51", STATUS_CORRUPT, "raw_bytes"},
        {"\"parts\": 1", "\"parts\": 0", STATUS_CORRUPT, "parts"},
        {"\"parts\": 1", "\"parts\": 10001", STATUS_CORRUPT, "parts"},
        {"\"stored_bytes\": 500", "\"stored_bytes\": 0", STATUS_CORRUPT, "parts"},
        {"}\n", "", STATUS_CORRUPT, "not JSON"},
        {"}\n", "}}", STATUS_CORRUPT, "not JSON"},
        {"{\n", "[{", STATUS_CORRUPT, "not JSON"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        expect_with(cases[i].from, cases[i].to, cases[i].status, cases[i].words);
    }
    struct manifest out;
    static char long_text[MANIFEST_BYTES_MAX + 1];
    memset(long_text, ' ', sizeof long_text);
    memcpy(long_text, text, sizeof text - 1);
    cr_assert(
        eq(int, manifest_decode(view_of(long_text, MANIFEST_BYTES_MAX), &out, errmsg), STATUS_OK));
    cr_assert(eq(int, manifest_decode(view_of(long_text, sizeof long_text), &out, errmsg),
                 STATUS_CORRUPT));
    cr_assert(eq(int, manifest_decode(view_of(NULL, 0), &out, errmsg), STATUS_CORRUPT));
    cr_assert(eq(int, manifest_decode(view_str("[]"), &out, errmsg), STATUS_CORRUPT));
    memset(long_text, '[', sizeof long_text);
    cr_assert(eq(int, manifest_decode(view_of(long_text, MANIFEST_BYTES_MAX), &out, errmsg),
                 STATUS_CORRUPT));
}

Test(manifest, names_of_snapshots_sort_and_only_they_are_taken)
{
    static const struct snapshot_id id = {0x1200, 7, 0xdeadbeef};
    char name[SNAPSHOT_NAME_BYTES];
    struct snapshot_id out;
    enum snapshot_object object;
    snapshot_name(name, &id, SNAPSHOT_MANIFEST);
    cr_assert(eq(str, name, (char *)"snap/0000000000001200-00000007-deadbeef.json"));
    cr_assert(snapshot_parse_name(name, &out, &object) && object == SNAPSHOT_MANIFEST);
    cr_assert(eq(int, memcmp(&out, &id, sizeof id), 0));
    snapshot_name(name, &id, SNAPSHOT_ROWS);
    cr_assert(snapshot_parse_name(name, &out, &object) && object == SNAPSHOT_ROWS);
    static const char *const others[] = {
        "",
        "snap/",
        "snap/0000000000001200-00000007-deadbeef.tmp0",
        "snap/0000000000001200-00000007-deadbeef.row",
        "snap/0000000000001200-00000007-deadbeef.rows2",
        "snap/0000000000001234_00000007-deadbeef.rows",
        "snap/0000000000001200-00000007_deadbeef.rows",
        "snap/000000000000123g-00000007-deadbeef.rows",
        "snap/0000000000001234-0000000g-deadbeef.rows",
        "snap/0000000000001200-00000007-deadBeef.rows",
        "Snap/0000000000001234-00000007-deadbeef.rows",
    };
    for (size_t i = 0; i < COUNT(others); i++) {
        cr_assert(not(snapshot_parse_name(others[i], &out, &object)), "%s", others[i]);
    }
}
