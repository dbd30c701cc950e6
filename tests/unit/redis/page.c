/*
 * docs/redis-compatibility.md lists the commands that there are, from the table that runs them.
 * With SATCHEL_WRITE_PAGE=1 in the environment its tables are written instead of compared.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "redis/command.h"
#include "redis/script.h"

#define PAGE SATCHEL_SOURCE_DIR "/docs/redis-compatibility.md"

static char *read_page(void)
{
    FILE *file = fopen(PAGE, "r");
    enum { PAGE_BYTES_MAX = 256 * 1024 };
    char *page = calloc(1, PAGE_BYTES_MAX);
    cr_assert_not_null(file);
    cr_assert_not_null(page);
    size_t len = fread(page, 1, PAGE_BYTES_MAX - 1, file);
    cr_assert(feof(file) != 0 && len < PAGE_BYTES_MAX - 1);
    (void)fclose(file);
    return page;
}

/* "client|setname" as people write it: CLIENT SETNAME. */
static void append_name(struct buf *rows, const char *name)
{
    for (const char *at = name; *at != '\0'; at++) {
        char c = *at == '|' ? ' ' : *at >= 'a' && *at <= 'z' ? (char)(*at - ('a' - 'A')) : *at;
        cr_assert(buf_append(rows, view_of(&c, 1)) == STATUS_OK);
    }
}

/* Puts rows into the page where those from `at` to before `end` are. */
static void write_rows(const char *page, const char *at, const char *end, const struct buf *rows)
{
    FILE *file = fopen(PAGE, "w");
    cr_assert_not_null(file);
    (void)fwrite(page, 1, (size_t)(at - page), file);
    (void)fwrite(rows->ptr, 1, rows->len, file);
    (void)fputs(end, file);
    cr_assert(fclose(file) == 0);
}

/* The rows of the table behind the mark of that name must be `rows`, which is emptied. */
static void expect_table(const char *name, const char *heads, struct buf *rows)
{
    char *page = read_page();
    char mark[200];
    (void)snprintf(mark, sizeof mark, "<!-- table: %s -->\n%s", name, heads);
    const char *at = strstr(page, mark);
    cr_assert_not_null(at, "no table %s", name);
    at += strlen(mark);
    const char *end = strstr(at - 1, "\n\n"); /* a table may have no rows yet */
    cr_assert_not_null(end);
    end++;
    if (getenv("SATCHEL_WRITE_PAGE") != NULL) {
        write_rows(page, at, end, rows);
    } else {
        cr_assert(view_equal(view_of(at, (size_t)(end - at)), buf_view(rows)),
                  "table %s should have these rows (SATCHEL_WRITE_PAGE=1 writes them):\n%.*s", name,
                  (int)rows->len, (const char *)rows->ptr);
    }
    rows->len = 0;
    free(page);
}

Test(page, it_lists_commands_and_scripts)
{
    struct buf rows = {0};
    for (size_t i = 0; i < redis_command_count; i++) {
        const struct redis_command *command = &redis_commands[i];
        cr_assert(buf_append(&rows, view_str("| ")) == STATUS_OK);
        append_name(&rows, command->name);
        cr_assert(buf_printf(&rows, " | %s | %s |\n", command->group, command->summary) ==
                  STATUS_OK);
    }
    expect_table("commands", "| command | group | |\n|---|---|---|\n", &rows);
#define X(sha1, body, first_line, second_line, third_line, whose)                                  \
    cr_assert(buf_printf(&rows, "| `%s` | %s |\n", sha1, whose) == STATUS_OK);
    REDIS_KNOWN_SCRIPTS(X)
#undef X
    expect_table("scripts", "| SHA1 | |\n|---|---|\n", &rows);
    buf_free(&rows);
}
