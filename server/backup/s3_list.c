/* Listing: page after page, each told only when it is there as a whole. */
#include <stdio.h>
#include <string.h>

#include "backup/s3_private.h"

enum { PAGE_KEYS_MAX = S3_LIST_ENTRIES_MAX };

struct listing {
    const struct s3_list_options *options;
    char prefix[2 * S3_KEY_BYTES_MAX];      /* whole, as below */
    char start_after[2 * S3_KEY_BYTES_MAX]; /* "": from the beginning */
    char page_keys[16];
    char token[S3_TOKEN_BYTES]; /* of the next page; "": the first */
};

static enum s3_status read_page(struct s3 *client, struct s3_call *call)
{
    const struct listing *listing = call->arg;
    struct s3_list_page *page = &client->page;
    enum status decoded = s3_xml_list(buf_view(&client->reply.body), page);
    if (decoded != STATUS_OK) {
        return s3_note_decoded(client, decoded, "the list cannot be read");
    }
    /* Without a way on, the same page would come for ever. */
    if (page->is_truncated &&
        (page->next_token[0] == '\0' || strcmp(page->next_token, listing->token) == 0)) {
        return s3_note_decoded(client, STATUS_CORRUPT, "the list ends without an end");
    }
    for (size_t i = 0; i < page->count; i++) {
        if (strncmp(s3_list_key(page, i), listing->prefix, strlen(listing->prefix)) != 0) {
            return s3_note_decoded(client, STATUS_CORRUPT, "the list has keys of another prefix");
        }
    }
    return S3_OK;
}

static enum s3_status fetch_page(struct s3 *self, struct listing *listing)
{
    struct s3_call call = {.method = "GET", .read = read_page, .arg = listing};
    struct sigv4_pair *query = call.query;
    query[call.query_count++] = (struct sigv4_pair){"list-type", "2"};
    /* Keys may hold bytes that XML cannot. */
    query[call.query_count++] = (struct sigv4_pair){"encoding-type", "url"};
    query[call.query_count++] = (struct sigv4_pair){"prefix", listing->prefix};
    query[call.query_count++] = (struct sigv4_pair){"max-keys", listing->page_keys};
    if (listing->token[0] != '\0') {
        query[call.query_count++] = (struct sigv4_pair){"continuation-token", listing->token};
    } else if (listing->start_after[0] != '\0') {
        query[call.query_count++] = (struct sigv4_pair){"start-after", listing->start_after};
    }
    return s3_call_run(self, &call);
}

/* Tells the keys of the page; false: enough. */
static bool tell_page(const struct s3 *self, s3_list_fn each, void *arg)
{
    const struct s3_list_page *page = &self->page;
    size_t prefix_len = strlen(self->prefix);
    for (size_t i = 0; i < page->count; i++) {
        const struct s3_object object = {.bytes = page->entries[i].bytes,
                                         .modified_ms = page->entries[i].modified_ms};
        if (!each(arg, s3_list_key(page, i) + prefix_len, &object)) {
            return false;
        }
    }
    return true;
}

static bool join(char *out, size_t out_bytes, const char *prefix, const char *rest)
{
    int len = snprintf(out, out_bytes, "%s%s", prefix, rest != NULL ? rest : "");
    return len >= 0 && len <= S3_KEY_BYTES_MAX;
}

enum s3_status s3_list(struct s3 *self, const struct s3_list_options *options, s3_list_fn each,
                       void *arg)
{
    static const struct s3_list_options standard = {0};
    struct listing listing = {.options = options != NULL ? options : &standard};
    unsigned page_keys = listing.options->page_keys;
    if (page_keys == 0 || page_keys > PAGE_KEYS_MAX) {
        page_keys = PAGE_KEYS_MAX;
    }
    (void)snprintf(listing.page_keys, sizeof listing.page_keys, "%u", page_keys);
    const char *start_after = listing.options->start_after;
    bool is_short = join(listing.prefix, sizeof listing.prefix, self->prefix,
                         listing.options->prefix);
    if (start_after != NULL) {
        is_short = join(listing.start_after, sizeof listing.start_after, self->prefix,
                        start_after) &&
                   is_short;
    }
    if (!is_short) {
        self->error = (struct s3_error){.status = S3_INVALID, .message = "the key is too long"};
        return S3_INVALID;
    }
    enum s3_status status;
    bool wants_more = true;
    do {
        status = fetch_page(self, &listing);
        if (status == S3_OK) {
            wants_more = tell_page(self, each, arg) && self->page.is_truncated;
            memcpy(listing.token, self->page.next_token, sizeof listing.token);
        }
    } while (status == S3_OK && wants_more);
    return status;
}
