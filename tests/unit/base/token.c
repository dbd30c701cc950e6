/* The shared secret: where it is read from, and that nothing is left of it there. */
#include "base/token.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/temp_dir.h"

#define SECRET "sixteen bytes or more"

static char directory[TEMP_DIR_BYTES];
static char path[TEMP_DIR_BYTES + 16];
static char errmsg[512];
static struct buf token;

static void make_directory(void)
{
    temp_dir_make(directory);
    (void)snprintf(path, sizeof path, "%s/token", directory);
    cr_assert_eq(unsetenv("SATCHEL_TOKEN"), 0);
}

static void remove_directory(void)
{
    token_free(&token);
    temp_dir_remove(directory);
}

TestSuite(token, .init = make_directory, .fini = remove_directory);

static enum status read_from(const char *file)
{
    errmsg[0] = '\0';
    return token_read(file, &token, errmsg, sizeof errmsg);
}

static void set_variable(const char *text)
{
    cr_assert_eq(setenv("SATCHEL_TOKEN", text, 1), 0);
}

Test(token, without_file_and_variable_there_is_none)
{
    cr_assert_eq(read_from(NULL), STATUS_OK);
    cr_assert_eq(token.len, 0);
}

Test(token, of_a_file_has_no_line_end)
{
    temp_file_write(path, view_str(SECRET "\r\n\n"));
    cr_assert_eq(read_from(path), STATUS_OK, "%s", errmsg);
    cr_assert(view_equal(buf_view(&token), view_str(SECRET)));
}

Test(token, of_the_environment_is_wiped_there)
{
    set_variable(SECRET);
    const char *place = getenv("SATCHEL_TOKEN");
    cr_assert_eq(token_check(NULL, errmsg, sizeof errmsg), STATUS_OK);
    cr_assert_str_eq(place, SECRET); /* looking takes nothing away */
    cr_assert_eq(read_from(NULL), STATUS_OK, "%s", errmsg);
    cr_assert(view_equal(buf_view(&token), view_str(SECRET)));
    cr_assert_null(getenv("SATCHEL_TOKEN"));
    for (size_t i = 0; i < sizeof SECRET; i++) {
        cr_assert_eq(place[i], '\0', "byte %zu is left", i);
    }
}

Test(token, an_empty_variable_is_none)
{
    temp_file_write(path, view_str(SECRET "\n"));
    set_variable("");
    cr_assert_eq(read_from(path), STATUS_OK, "%s", errmsg);
    cr_assert(view_equal(buf_view(&token), view_str(SECRET)));
}

Test(token, given_twice_is_refused_without_telling_it)
{
    temp_file_write(path, view_str(SECRET "\n"));
    set_variable(SECRET);
    cr_assert_eq(token_check(path, errmsg, sizeof errmsg), STATUS_INVALID);
    cr_assert_not_null(strstr(errmsg, "given twice"), "%s", errmsg);
    cr_assert_not_null(strstr(errmsg, path), "%s", errmsg);
    cr_assert_null(strstr(errmsg, SECRET), "%s", errmsg);
    cr_assert_eq(read_from(path), STATUS_INVALID);
    cr_assert_eq(token.len, 0);
}

Test(token, has_16_to_4096_bytes)
{
    static const struct {
        size_t bytes;
        enum status status;
    } cases[] = {{15, STATUS_INVALID}, {16, STATUS_OK}, {4096, STATUS_OK}, {4097, STATUS_INVALID}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[4098] = "";
        memset(text, 'x', cases[i].bytes);
        temp_file_write(path, view_str(text));
        cr_assert_eq(read_from(path), cases[i].status, "%zu bytes in a file", cases[i].bytes);
        token_free(&token);
        set_variable(text);
        cr_assert_eq(token_check(NULL, errmsg, sizeof errmsg), cases[i].status);
        cr_assert_eq(read_from(NULL), cases[i].status, "%zu bytes in it", cases[i].bytes);
        cr_assert_null(strstr(errmsg, "xxx"), "%s", errmsg);
        cr_assert_eq(token.len, cases[i].status == STATUS_OK ? cases[i].bytes : 0);
        token_free(&token);
        cr_assert_eq(unsetenv("SATCHEL_TOKEN"), 0);
    }
}

Test(token, a_file_that_cannot_be_read_is_named)
{
    cr_assert_eq(read_from(path), STATUS_IO);
    cr_assert_not_null(strstr(errmsg, path), "%s", errmsg);
    cr_assert_not_null(strstr(errmsg, "No such file"), "%s", errmsg);
    cr_assert_eq(read_from(directory), STATUS_IO);
}
