/*
 * Requests of the Redis protocol, as many as the bytes hold. However they are cut, they are the
 * same; arguments lie where they may; and written as an array of bulk strings they mean the same
 * again. The limits follow from the first byte, so that small inputs reach them.
 */
#include "fuzz.h"

#include "proto/resp.h"

static const struct resp_limits LIMITS[] = {
    {.args_max = SIZE_MAX, .bulk_bytes_max = SIZE_MAX / 4, .request_bytes_max = SIZE_MAX},
    {.args_max = 3, .bulk_bytes_max = 8, .request_bytes_max = 40},
    {.args_max = 99, .bulk_bytes_max = 99999, .request_bytes_max = 99999, .is_stranger = true},
};

static void expect_same_args(const struct resp_request *a, const struct resp_request *b)
{
    REQUIRE(a->argc == b->argc);
    for (size_t i = 0; i < a->argc; i++) {
        REQUIRE(view_equal(a->argv[i], b->argv[i]));
    }
}

/* Without limits, for those that were refused by none. */
static void expect_same_after_writing(const struct resp_request *request)
{
    struct buf bytes = {0};
    struct resp_writer to = {.to = &bytes};
    struct resp_request again = {0};
    struct resp_progress progress = {0};
    size_t used = 0, need = 0;
    resp_array(&to, request->argc);
    for (size_t i = 0; i < request->argc; i++) {
        resp_bulk(&to, request->argv[i]);
    }
    REQUIRE(!to.has_failed);
    REQUIRE(resp_decode(&again, &LIMITS[0], &progress, buf_view(&bytes), &used, &need) ==
            STATUS_OK);
    REQUIRE(used == bytes.len);
    expect_same_args(request, &again);
    resp_request_free(&again);
    buf_free(&bytes);
}

/* Brings the request in pieces: as few bytes as it asks for, each time. */
static enum status decode_in_pieces(struct resp_request *request, const struct resp_limits *limits,
                                    struct view bytes, size_t *used)
{
    struct resp_progress progress = {0};
    size_t len = 0;
    size_t need = 0;
    enum status status = resp_decode(request, limits, &progress, view_of(bytes.ptr, 0), used,
                                     &need);
    while (status == STATUS_AGAIN && need <= bytes.len) {
        REQUIRE(need > len);
        len = need;
        status = resp_decode(request, limits, &progress, view_of(bytes.ptr, len), used, &need);
        REQUIRE(progress.bytes <= len && (status == STATUS_AGAIN || progress.bytes == 0));
    }
    REQUIRE(status != STATUS_OK || *used == len);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    if (len == 0) {
        return 0;
    }
    const struct resp_limits *limits = &LIMITS[input[0] % (sizeof LIMITS / sizeof LIMITS[0])];
    struct view rest = view_of(input + 1, len - 1);
    struct resp_request request = {0}, pieces = {0};
    enum status status = STATUS_OK;
    while (status == STATUS_OK && rest.len != 0) {
        struct resp_progress progress = {0};
        size_t used = 0, used_in_pieces = 0, need = 0;
        status = resp_decode(&request, limits, &progress, rest, &used, &need);
        REQUIRE(decode_in_pieces(&pieces, limits, rest, &used_in_pieces) == status);
        if (status == STATUS_AGAIN) {
            REQUIRE(need > rest.len && progress.bytes <= rest.len);
        } else if (status == STATUS_INVALID) {
            REQUIRE(strncmp(request.errmsg, "Protocol error: ", 16) == 0);
            REQUIRE(strcmp(request.errmsg, pieces.errmsg) == 0);
        } else {
            REQUIRE(status == STATUS_OK && used == used_in_pieces && used <= rest.len);
            for (size_t i = 0; i < request.argc; i++) {
                REQUIRE(view_within(request.argv[i], view_of(rest.ptr, used)) ||
                        view_within(request.argv[i], buf_view(&request.unquoted)));
            }
            expect_same_args(&request, &pieces);
            expect_same_after_writing(&request);
            rest = view_of(rest.ptr + used, rest.len - used);
        }
    }
    resp_request_free(&request);
    resp_request_free(&pieces);
    return 0;
}
