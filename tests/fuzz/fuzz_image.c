/* A session's image, as it stands in the journal and in LMDB, and the record of its change. What is
 * accepted lies within the bytes, and encoding it gives the same bytes but for the expiry,
 * which may be rounded up once. */
#include "fuzz.h"

#include "store/image.h"
#include "store/record.h"

static void expect_same_after_encoding(struct view bytes, const struct session *session)
{
    struct session again;
    uint8_t *copy = malloc(bytes.len);
    REQUIRE(copy != NULL && image_bytes(session) == bytes.len);
    image_encode(copy, session, session->version);
    enum status status = image_decode(view_of(copy, bytes.len), &again);
    int64_t rounded_ms = session_durable_expiry(session->expires_ms, session->idle_ttl_ms);
    REQUIRE(rounded_ms >= session->expires_ms);
    if (status == STATUS_OK) { /* not, when rounding leaves the range of times */
        REQUIRE(again.expires_ms == rounded_ms && again.created_ms == session->created_ms);
        REQUIRE(again.idle_ttl_ms == session->idle_ttl_ms && again.kind == session->kind);
        REQUIRE(again.version == session->version && view_equal(again.id, session->id));
        REQUIRE(view_equal(again.owner, session->owner));
        REQUIRE(view_equal(again.content, session->content));
    }
    free(copy);
}

static void expect_put_record(const struct session *session)
{
    const struct change change = {.kind = CHANGE_PUT, .next = *session};
    struct record record;
    size_t len = record_bytes(RECORD_PUT, &change);
    uint8_t *bytes = malloc(len);
    REQUIRE(bytes != NULL);
    record_encode(bytes, RECORD_PUT, &change, 7);
    struct view rest = view_of(bytes, len);
    if (record_next(&rest, &record) == STATUS_OK) {
        REQUIRE(record.type == RECORD_PUT && rest.len == 0);
        REQUIRE(record.session.version == 7 && view_equal(record.session.id, session->id));
    }
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    struct view bytes = view_of(input, len);
    struct session session;
    if (image_decode(bytes, &session) != STATUS_OK) {
        return 0;
    }
    REQUIRE(view_within(session.id, bytes) && view_within(session.owner, bytes));
    REQUIRE(view_within(session.content, bytes));
    REQUIRE(session.id.len >= 1 && session.version != 0);
    expect_same_after_encoding(bytes, &session);
    expect_put_record(&session);
    return 0;
}
