/* Values of options from text, and the complaints about those that cannot be. */
#include "base/option_private.h"

#include <ctype.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>

enum status option_complain(const struct option_complaint *to, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(to->text, to->bytes, format, args);
    va_end(args);
    return STATUS_INVALID;
}

void option_environment_name(char out[static OPTION_NAME_BYTES_MAX], const struct option_desc *desc)
{
    if (desc->variable != NULL) {
        (void)snprintf(out, OPTION_NAME_BYTES_MAX, "%s", desc->variable);
        return;
    }
    (void)snprintf(out, OPTION_NAME_BYTES_MAX, "SATCHEL_%s", desc->name);
    for (char *at = out; *at != '\0'; at++) {
        *at = *at == '-' ? '_' : (char)toupper((unsigned char)*at);
    }
}

struct suffix {
    const char *text;
    uint64_t factor;
};

static const struct suffix count_suffixes[] = {{"", 1}, {NULL, 0}};
static const struct suffix bytes_suffixes[] = {
    {"", 1},
    {"k", 1024},
    {"KiB", 1024},
    {"m", 1024 * 1024},
    {"MiB", 1024 * 1024},
    {"g", 1024 * 1024 * 1024},
    {"GiB", 1024 * 1024 * 1024},
    {NULL, 0},
};
static const struct suffix time_suffixes[] = {
    {"", 1},
    {"ms", 1},
    {"s", 1000},
    {"m", 60 * 1000},
    {"h", 60 * 60 * 1000},
    {"d", 24 * 60 * 60 * 1000},
    {NULL, 0},
};

/* Decimal digits and one of the suffixes (in any case); false also when it leaves 64 bits. */
static bool parse_number(const char *text, const struct suffix *suffixes, uint64_t *out)
{
    uint64_t number = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9'; at++) {
        if (__builtin_mul_overflow(number, 10U, &number) ||
            __builtin_add_overflow(number, (uint64_t)(*at - '0'), &number)) {
            return false;
        }
    }
    if (at == text) {
        return false;
    }
    for (; suffixes->text != NULL; suffixes++) {
        if (strcasecmp(at, suffixes->text) == 0) {
            return !__builtin_mul_overflow(number, suffixes->factor, out);
        }
    }
    return false;
}

static bool parse_flag(const char *text, bool *out)
{
    *out = strcmp(text, "yes") == 0;
    return *out || strcmp(text, "no") == 0;
}

/* The place of `text` among "a|b|c". */
static bool parse_choice(const char *text, const char *choices, unsigned *out)
{
    size_t text_len = strlen(text);
    *out = 0;
    for (const char *at = choices;; at++, (*out)++) {
        size_t len = strcspn(at, "|");
        if (len == text_len && memcmp(at, text, len) == 0) {
            return true;
        }
        at += len;
        if (*at == '\0') {
            return false;
        }
    }
}

static enum status set_number(const struct option_desc *desc, const char *text, const char *source,
                              uint64_t *out, const struct option_complaint *complaint)
{
    const struct suffix *suffixes = count_suffixes;
    const char *wanted = "a whole number";
    if (desc->type == OPTION_BYTES) {
        suffixes = bytes_suffixes;
        wanted = "a number of bytes (such as 65536, 512m or 2GiB)";
    } else if (desc->type == OPTION_TIME_MS) {
        suffixes = time_suffixes;
        wanted = "a time (such as 500ms, 2s, 5m or 1h)";
    }
    if (!parse_number(text, suffixes, out)) {
        return option_complain(complaint, "%s: \"%s\" is not %s", source, text, wanted);
    }
    const char *unit = desc->type == OPTION_TIME_MS ? " ms" : "";
    if (*out < desc->least) {
        return option_complain(complaint, "%s: \"%s\" is less than the least allowed, %llu%s",
                               source, text, (unsigned long long)desc->least, unit);
    }
    if (desc->most != 0 && *out > desc->most) {
        return option_complain(complaint, "%s: \"%s\" is more than the most allowed, %llu%s",
                               source, text, (unsigned long long)desc->most, unit);
    }
    return STATUS_OK;
}

/* Parses `text` into the member; `source` ("--name" or the variable) is for the complaint. */
enum status option_set_value(const struct option_desc *desc, void *member, const char *text,
                             const char *source, const struct option_complaint *complaint)
{
    switch (desc->type) {
    case OPTION_TEXT:
        *(const char **)member = text[0] != '\0' ? text : NULL;
        return STATUS_OK;
    case OPTION_COUNT:
    case OPTION_BYTES:
    case OPTION_TIME_MS:
        return set_number(desc, text, source, member, complaint);
    case OPTION_FLAG:
        if (!parse_flag(text, member)) {
            return option_complain(complaint, "%s: \"%s\" is neither yes nor no", source, text);
        }
        return STATUS_OK;
    case OPTION_CHOICE:
        if (!parse_choice(text, desc->unit, member)) {
            return option_complain(complaint, "%s: \"%s\" is not one of %s", source, text,
                                   desc->unit);
        }
        return STATUS_OK;
    }
    return option_complain(complaint, "%s: unknown type of option", source);
}

void option_set_nothing(const struct option_desc *desc, void *member)
{
    switch (desc->type) {
    case OPTION_TEXT:
        *(const char **)member = NULL;
        break;
    case OPTION_COUNT:
    case OPTION_BYTES:
    case OPTION_TIME_MS:
        *(uint64_t *)member = 0;
        break;
    case OPTION_FLAG:
        *(bool *)member = false;
        break;
    case OPTION_CHOICE:
        *(unsigned *)member = 0;
        break;
    }
}
