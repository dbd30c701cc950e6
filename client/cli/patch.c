/* The changes that `satchel patch` takes. */
#include "client/cli/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool parse_delta(const char *text, bool is_negative, int64_t *delta)
{
    bool has_sign = text[0] == '-' || text[0] == '+';
    const char first = has_sign ? text[1] : text[0];
    if (first < '0' || first > '9') {
        return false;
    }
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || *end != '\0' || (is_negative && value == INT64_MIN)) {
        return false;
    }
    *delta = is_negative ? -value : value;
    return true;
}

bool cli_parse_op(const char *text, struct satchel_op *op)
{
    *op = (struct satchel_op){.op = SATCHEL_FIELD_SET};
    const char *equals = strchr(text, '=');
    size_t name_len = equals != NULL ? (size_t)(equals - text) : strlen(text);
    char last = name_len > 0 ? text[name_len - 1] : '\0';
    bool is_number = false;
    if (equals == NULL && last == '!') {
        op->op = SATCHEL_FIELD_DELETE;
        name_len--;
    } else if (equals == NULL) {
        return false;
    } else if (last == '?') {
        op->op = SATCHEL_FIELD_SET_IF_ABSENT;
        name_len--;
    } else if (last == '+' || last == '-') {
        op->op = SATCHEL_FIELD_INCREMENT;
        is_number = true;
        name_len--;
    }
    op->name = (struct satchel_bytes){.ptr = text, .len = name_len};
    if (is_number) {
        return name_len > 0 && parse_delta(equals + 1, last == '-', &op->delta);
    }
    if (equals != NULL) {
        op->value = satchel_text(equals + 1);
    }
    return name_len > 0;
}
