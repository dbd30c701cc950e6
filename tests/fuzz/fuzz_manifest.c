/* The manifest of a snapshot, and the names of its objects. What is accepted is within its ranges
 * and printable, and written again it reads the same. */
#include "fuzz.h"

#include "backup/manifest.h"
#include "backup/slot.h"

static void expect_same_again(const struct manifest *manifest)
{
    struct buf json = {0}, again = {0};
    struct manifest read;
    char errmsg[MANIFEST_ERRMSG_BYTES];
    REQUIRE(manifest_encode(manifest, &json) == STATUS_OK);
    REQUIRE(manifest_decode(buf_view(&json), &read, errmsg) == STATUS_OK);
    REQUIRE(manifest_encode(&read, &again) == STATUS_OK);
    REQUIRE(view_equal(buf_view(&json), buf_view(&again)));
    buf_free(&json);
    buf_free(&again);
}

/* The input as a name: what is taken is what would have been made. */
static void expect_names(struct view input)
{
    char name[128];
    char made[SNAPSHOT_NAME_BYTES + SLOT_NAME_BYTES]; /* of either */
    struct snapshot_id id;
    enum snapshot_object object;
    uint64_t seq;
    if (input.len >= sizeof name) {
        return;
    }
    *put_view((uint8_t *)name, input) = '\0';
    if (snapshot_parse_name(name, &id, &object)) {
        snapshot_name(made, &id, object);
        REQUIRE(strcmp(made, name) == 0);
    }
    if (slot_parse_name(name, &seq)) {
        slot_name(made, seq);
        REQUIRE(strcmp(made, name) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    struct manifest manifest;
    char errmsg[MANIFEST_ERRMSG_BYTES];
    enum status status = manifest_decode(view_of(input, len), &manifest, errmsg);
    REQUIRE((status == STATUS_OK) == (errmsg[0] == '\0'));
    if (status == STATUS_OK) {
        REQUIRE(manifest.id.from_lsn <= manifest.through_lsn && manifest.parts >= 1);
        for (const char *c = manifest.version; *c != '\0'; c++) {
            REQUIRE(*c >= ' ' && *c <= '~');
        }
        expect_same_again(&manifest);
    }
    expect_names(view_of(input, len));
    return 0;
}
