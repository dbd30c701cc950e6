/* Entries: what goes into the packed header and behind it comes out again, whatever else is there.
 */
#include "store/entry.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

static void expect_same(const struct entry *entry, const struct session *wanted)
{
    struct session found = entry_session(entry);
    cr_assert(view_equal(found.id, wanted->id) && view_equal(found.owner, wanted->owner));
    cr_assert(view_equal(found.content, wanted->content));
    cr_assert(eq(u64, found.version, wanted->version));
    cr_assert(eq(i64, found.created_ms, wanted->created_ms));
    cr_assert(eq(i64, found.expires_ms, wanted->expires_ms));
    cr_assert(eq(u64, found.idle_ttl_ms, wanted->idle_ttl_ms));
    cr_assert(eq(int, found.kind, wanted->kind));
}

static const struct session least = {
    .id = {(const uint8_t *)"i", 1}, .version = 1, .kind = SATCHEL_BLOB};

static struct session largest(void)
{
    static uint8_t bytes[4096];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * 7);
    }
    return (struct session){.id = view_of(bytes, SATCHEL_ID_BYTES_MAX),
                            .version = SESSION_VERSION_MAX,
                            .created_ms = (INT64_C(1) << 44) - 1,
                            .expires_ms = (INT64_C(1) << 44) - 1,
                            .idle_ttl_ms = SATCHEL_TTL_MS_MAX,
                            .owner = view_of(bytes + 1000, SATCHEL_OWNER_BYTES_MAX),
                            .kind = SATCHEL_NAMES,
                            .content = view_of(bytes + 2000, 2000)};
}

Test(entry, a_session_comes_out_as_it_went_in)
{
    const struct session sessions[] = {least, largest()};
    for (size_t i = 0; i < sizeof sessions / sizeof sessions[0]; i++) {
        struct entry *entry = entry_new(&sessions[i], true);
        cr_assert_not_null(entry);
        expect_same(entry, &sessions[i]);
        cr_assert(eq(u64, entry->rowid, 0));
        cr_assert(eq(u64, entry->list_index, 0));
        /* Its other members are beside it, not in it. */
        entry->rowid = (UINT64_C(1) << 44) - 1;
        entry->list_index = ENTRY_LIST_MAX;
        entry->state = ENTRY_WRITING;
        entry->tombstone = entry->referenced = entry->touched = 1;
        expect_same(entry, &sessions[i]);
        cr_assert(eq(u64, entry->rowid, (UINT64_C(1) << 44) - 1));
        cr_assert(eq(u64, entry->list_index, ENTRY_LIST_MAX));
        entry_free(entry);
    }
}

Test(entry, without_its_content_it_knows_how_long_that_is)
{
    const struct session whole = largest();
    struct session rest = whole;
    rest.content.len = 0;
    struct entry *entry = entry_new(&whole, false);
    cr_assert_not_null(entry);
    expect_same(entry, &rest);
    cr_assert(eq(u64, entry->content_len, whole.content.len));
    entry_free(entry);
}

Test(entry, an_owner_comes_stays_and_goes)
{
    struct session session = largest();
    struct entry *entry = entry_new(&session, true);
    cr_assert_not_null(entry);
    session.owner = entry_owner(entry); /* in the entry itself, as a PATCH leaves it */
    session.content.len -= 1;
    session.version = 2;
    entry_assign(entry, &session);
    const struct session wanted = largest();
    session.owner = wanted.owner;
    expect_same(entry, &session);
    session.owner = (struct view){0};
    entry_assign(entry, &session);
    expect_same(entry, &session);
    session.owner = view_str("another");
    entry_assign(entry, &session);
    expect_same(entry, &session);
    entry_free(entry);
}
