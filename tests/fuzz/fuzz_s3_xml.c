/*
 * Replies of an object storage in XML. The same bytes go through every decoder; what one accepts is
 * within its limits, and reading it again gives the same.
 */
#include "fuzz.h"

#include "backup/s3_xml.h"

/* Two pages of the same reply, one of them in memory that held another before. */
static void check_list(struct view xml)
{
    static struct s3_list_page used;
    struct s3_list_page page = {0};
    enum status status = s3_xml_list(xml, &page);
    REQUIRE(s3_xml_list(xml, &used) == status && used.count == page.count);
    REQUIRE(page.count <= S3_LIST_ENTRIES_MAX);
    REQUIRE(status == STATUS_OK || page.count == 0);
    REQUIRE(strlen(page.next_token) < sizeof page.next_token);
    for (size_t i = 0; i < page.count; i++) {
        struct view key = view_str(s3_list_key(&page, i));
        REQUIRE(key.len <= S3_KEY_BYTES_MAX && view_within(key, buf_view(&page.keys)));
        REQUIRE(view_equal(key, view_str(s3_list_key(&used, i))));
        REQUIRE(page.entries[i].bytes == used.entries[i].bytes);
        REQUIRE(page.entries[i].modified_ms >= 0);
    }
    s3_list_page_free(&page);
}

static void check_deleted(struct view xml)
{
    struct s3_undeleted first;
    size_t undeleted = 0;
    enum status status = s3_xml_deleted(xml, &undeleted, &first);
    REQUIRE(strlen(first.key) < sizeof first.key);
    REQUIRE(strlen(first.error.code) < sizeof first.error.code);
    REQUIRE(strlen(first.error.message) < sizeof first.error.message);
    REQUIRE(status != STATUS_OK || undeleted <= xml.len / sizeof "<Error/>");
}

static void check_uploads(struct view xml)
{
    static struct s3_upload_page used;
    struct s3_upload_page page = {0};
    enum status status = s3_xml_uploads(xml, &page);
    REQUIRE(s3_xml_uploads(xml, &used) == status && used.count == page.count);
    REQUIRE(page.count <= S3_LIST_ENTRIES_MAX);
    REQUIRE(status == STATUS_OK || page.count == 0);
    for (size_t i = 0; i < page.count; i++) {
        const struct s3_upload_entry *entry = &page.entries[i];
        REQUIRE(strlen(entry->key) <= S3_KEY_BYTES_MAX &&
                strcmp(entry->key, used.entries[i].key) == 0);
        REQUIRE(entry->id[0] != '\0' && strlen(entry->id) < sizeof entry->id);
        REQUIRE(entry->begun_ms >= 0);
    }
    s3_upload_page_free(&page);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    struct view xml = view_of(input, len);
    struct s3_xml_error error;
    char id[S3_UPLOAD_ID_BYTES];
    char etag[S3_ETAG_BYTES];
    bool is_error = s3_xml_error(xml, &error) == STATUS_OK;
    REQUIRE(strlen(error.code) < sizeof error.code && strlen(error.message) < sizeof error.message);
    bool has_id = s3_xml_upload_id(xml, id) == STATUS_OK;
    REQUIRE(!has_id || (id[0] != '\0' && strlen(id) < sizeof id));
    enum status completed = s3_xml_complete(xml, etag, &error);
    REQUIRE(strlen(etag) < sizeof etag);
    REQUIRE(completed != STATUS_OK || is_error == (etag[0] == '\0'));
    REQUIRE(!(is_error && has_id));
    check_list(xml);
    check_deleted(xml);
    check_uploads(xml);
    return 0;
}
