/* Which commands are refused before they reach a session. */
#include <criterion/criterion.h>

#include "fields_text.h"
#include "session/session.h"

static uint8_t bytes[4096];

#define OP(name) .op = SATCHEL_OP_##name
#define ID .id = {(const uint8_t *)"id", 2}
#define ZEROS(count)                                                                               \
    {                                                                                              \
        bytes, count                                                                               \
    }

enum { VALUE_BYTES_MAX = 1000 };

static const struct check_case {
    const char *name;
    enum satchel_status status;
    struct command cmd;
} cases[] = {
    {"a GET", SATCHEL_OK, {OP(GET), ID}},
    {"a GET with touch", SATCHEL_OK, {OP(GET), ID, .touch = true}},
    {"no id", SATCHEL_BAD_REQUEST, {OP(GET)}},
    {"longest id", SATCHEL_OK, {OP(GET), .id = ZEROS(SATCHEL_ID_BYTES_MAX)}},
    {"id too long", SATCHEL_TOO_LARGE, {OP(GET), .id = ZEROS(SATCHEL_ID_BYTES_MAX + 1)}},
    {"a GET with a condition", SATCHEL_BAD_REQUEST, {OP(GET), ID, .condition = CONDITION_PRESENT}},
    {"a GET with a time", SATCHEL_BAD_REQUEST, {OP(GET), ID, .ttl_ms = 1}},
    {"a GET with keep_ttl", SATCHEL_BAD_REQUEST, {OP(GET), ID, .keep_ttl = true}},
    {"a blob", SATCHEL_OK, {OP(SET), ID, .kind = SATCHEL_BLOB, .content = ZEROS(3)}},
    {"an empty blob", SATCHEL_OK, {OP(SET), ID, .kind = SATCHEL_BLOB}},
    {"a content of no kind", SATCHEL_BAD_REQUEST, {OP(SET), ID}},
    {"the largest blob",
     SATCHEL_OK,
     {OP(SET), ID, .kind = SATCHEL_BLOB, .content = ZEROS(VALUE_BYTES_MAX)}},
    {"a blob over the limit",
     SATCHEL_TOO_LARGE,
     {OP(SET), ID, .kind = SATCHEL_BLOB, .content = ZEROS(VALUE_BYTES_MAX + 1)}},
    {"no fields", SATCHEL_OK, {OP(SET), ID, .kind = SATCHEL_FIELDS}},
    {"malformed fields",
     SATCHEL_BAD_REQUEST,
     {OP(SET), ID, .kind = SATCHEL_FIELDS, .content = ZEROS(5)}},
    {"no names", SATCHEL_OK, {OP(SET), ID, .kind = SATCHEL_NAMES}},
    {"malformed names",
     SATCHEL_BAD_REQUEST,
     {OP(SET), ID, .kind = SATCHEL_NAMES, .content = ZEROS(5)}},
    {"a number that is no kind", SATCHEL_BAD_REQUEST, {OP(SET), ID, .kind = (enum satchel_kind)4}},
    {"longest owner",
     SATCHEL_OK,
     {OP(SET), ID, .kind = SATCHEL_BLOB, .has_owner = true, .owner = ZEROS(255)}},
    {"owner too long",
     SATCHEL_TOO_LARGE,
     {OP(SET), ID, .kind = SATCHEL_BLOB, .has_owner = true, .owner = ZEROS(256)}},
    {"an empty owner", SATCHEL_OK, {OP(SET), ID, .kind = SATCHEL_BLOB, .has_owner = true}},
    {"an owner without has_owner",
     SATCHEL_BAD_REQUEST,
     {OP(SET), ID, .kind = SATCHEL_BLOB, .owner = ZEROS(1)}},
    {"a TOUCH with an owner", SATCHEL_BAD_REQUEST, {OP(TOUCH), ID, .has_owner = true}},
    {"longest time", SATCHEL_OK, {OP(SET), ID, .kind = SATCHEL_BLOB, .ttl_ms = SATCHEL_TTL_MS_MAX}},
    {"time too long",
     SATCHEL_TOO_LARGE,
     {OP(SET), ID, .kind = SATCHEL_BLOB, .ttl_ms = SATCHEL_TTL_MS_MAX + 1}},
    {"idle time too long",
     SATCHEL_TOO_LARGE,
     {OP(TOUCH), ID, .idle_ttl_ms = SATCHEL_TTL_MS_MAX + 1}},
    {"both times", SATCHEL_BAD_REQUEST, {OP(TOUCH), ID, .ttl_ms = 1, .idle_ttl_ms = 1}},
    {"kept and new times",
     SATCHEL_BAD_REQUEST,
     {OP(SET), ID, .kind = SATCHEL_BLOB, .keep_ttl = true, .ttl_ms = 1}},
    {"kept times", SATCHEL_OK, {OP(SET), ID, .kind = SATCHEL_BLOB, .keep_ttl = true}},
    {"a TOUCH", SATCHEL_OK, {OP(TOUCH), ID}},
    {"a TOUCH with times and condition",
     SATCHEL_OK,
     {OP(TOUCH), ID, .idle_ttl_ms = 5, .condition = CONDITION_VERSION}},
    {"a TOUCH with touch", SATCHEL_BAD_REQUEST, {OP(TOUCH), ID, .touch = true}},
    {"a TOUCH with content", SATCHEL_BAD_REQUEST, {OP(TOUCH), ID, .content = ZEROS(1)}},
    {"a DELETE", SATCHEL_OK, {OP(DELETE), ID}},
    {"a DELETE with a condition", SATCHEL_OK, {OP(DELETE), ID, .condition = CONDITION_PRESENT}},
    {"a DELETE with times", SATCHEL_BAD_REQUEST, {OP(DELETE), ID, .idle_ttl_ms = 1}},
    {"a DELETE with operations", SATCHEL_BAD_REQUEST, {OP(DELETE), ID, .ops = ZEROS(1)}},
    {"a DELETE that wants content", SATCHEL_BAD_REQUEST, {OP(DELETE), ID, .return_content = true}},
    {"a PATCH without operations", SATCHEL_BAD_REQUEST, {OP(PATCH), ID}},
    {"a PATCH with malformed ones", SATCHEL_BAD_REQUEST, {OP(PATCH), ID, .ops = ZEROS(7)}},
    {"a PATCH with too many bytes",
     SATCHEL_TOO_LARGE,
     {OP(PATCH), ID, .ops = ZEROS(VALUE_BYTES_MAX + 1)}},
};

Test(check, tells_for_each_command_whether_it_is_allowed_and_why_not)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *why = NULL;
        enum satchel_status status = session_check_command(&cases[i].cmd, VALUE_BYTES_MAX, &why);
        cr_assert_eq(status, cases[i].status, "%s: %d", cases[i].name, status);
        cr_assert_eq(why == NULL, status == SATCHEL_OK, "%s", cases[i].name);
    }
}

Test(check, fields_and_operations_are_looked_into)
{
    struct buf twice = {0}, once = {0}, names = {0}, ops = {0};
    fields_from_text(&twice, "a=1 b=2 a=3");
    fields_from_text(&once, "a=1 b=2");
    ops_from_text(&ops, "a=1 a+=2 -b");
    const char *why = NULL;
    struct command cmd = {OP(SET), ID, .kind = SATCHEL_FIELDS, .content = buf_view(&twice)};
    cr_assert_eq(session_check_command(&cmd, VALUE_BYTES_MAX, &why), SATCHEL_BAD_REQUEST);
    cmd.content = buf_view(&once);
    cr_assert_eq(session_check_command(&cmd, VALUE_BYTES_MAX, &why), SATCHEL_OK);
    cmd = (struct command){OP(PATCH), ID, .ops = buf_view(&ops), .return_content = true};
    cr_assert_eq(session_check_command(&cmd, VALUE_BYTES_MAX, &why), SATCHEL_OK);
    cmd = (struct command){OP(SET), ID, .kind = SATCHEL_NAMES, .content = buf_view(&once)};
    cr_assert_eq(session_check_command(&cmd, VALUE_BYTES_MAX, &why), SATCHEL_BAD_REQUEST);
    fields_from_text(&names, "a= b=");
    cmd.content = buf_view(&names);
    cr_assert_eq(session_check_command(&cmd, VALUE_BYTES_MAX, &why), SATCHEL_OK);
    fields_from_text(&names, " a=");
    cmd.content = buf_view(&names);
    cr_assert_eq(session_check_command(&cmd, VALUE_BYTES_MAX, &why), SATCHEL_BAD_REQUEST,
                 "a name stands twice");
    buf_free(&names);
    buf_free(&twice);
    buf_free(&once);
    buf_free(&ops);
}
