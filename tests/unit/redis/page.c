/* docs/redis-compatibility.md lists the commands that there are, from the table that runs them. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "redis/command.h"
#include "redis/script.h"

static char *read_page(void)
{
    FILE *file = fopen(SATCHEL_SOURCE_DIR "/docs/redis-compatibility.md", "r");
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

/* The rows of the table behind the mark of that name must be `rows`, which is emptied. */
static void expect_table(const char *page, const char *name, const char *heads, struct buf *rows)
{
    char mark[200];
    (void)snprintf(mark, sizeof mark, "<!-- table: %s -->\n%s", name, heads);
    const char *at = strstr(page, mark);
    cr_assert_not_null(at, "no table %s", name);
    at += strlen(mark);
    const char *end = strstr(at, "\n\n");
    cr_assert_not_null(end);
    cr_assert(view_equal(view_of(at, (size_t)(end + 1 - at)), buf_view(rows)),
              "table %s should have these rows:\n%.*s", name, (int)rows->len,
              (const char *)rows->ptr);
    rows->len = 0;
}

Test(page, it_lists_commands_and_scripts)
{
    char *page = read_page();
    struct buf rows = {0};
    for (size_t i = 0; i < redis_command_count; i++) {
        const struct redis_command *command = &redis_commands[i];
        cr_assert(buf_append(&rows, view_str("| ")) == STATUS_OK);
        append_name(&rows, command->name);
        cr_assert(buf_printf(&rows, " | %s | %s |\n", command->group, command->summary) ==
                  STATUS_OK);
    }
    expect_table(page, "commands", "| command | group | |\n|---|---|---|\n", &rows);
#define X(sha1, body, first_line, second_line, third_line, whose)                                  \
    cr_assert(buf_printf(&rows, "| `%s` | %s |\n", sha1, whose) == STATUS_OK);
    REDIS_KNOWN_SCRIPTS(X)
#undef X
    expect_table(page, "scripts", "| SHA1 | |\n|---|---|\n", &rows);
    buf_free(&rows);
    free(page);
}
