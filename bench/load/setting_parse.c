/* The values of settings, from text. */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "load/options.h"
#include "satchel/protocol.h"

/* Where the reason of a refusal goes. */
struct why {
    char *text; /* borrowed */
    size_t bytes;
};

static bool refuse(struct why why, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool refuse(struct why why, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(why.text, why.bytes, format, args);
    va_end(args);
    return false;
}

/* Takes a decimal number off the front of `*at`; false when there is none or it is too large. */
static bool take_number(const char **at, uint64_t *out)
{
    char *end;
    if (**at < '0' || **at > '9') {
        return false; /* strtoull would take blanks and signs */
    }
    errno = 0;
    *out = strtoull(*at, &end, 10);
    *at = end;
    return errno == 0;
}

static bool parse_count(const struct setting *setting, const char *text, uint64_t *out,
                        struct why why)
{
    const char *at = text;
    if (*text == '\0' && setting->standard[0] == '\0') {
        *out = 0;
        return true;
    }
    if (!take_number(&at, out) || *at != '\0' || *out < setting->least || *out > setting->most) {
        return refuse(why, "\"%s\" is not a number from %llu to %llu", text,
                      (unsigned long long)setting->least, (unsigned long long)setting->most);
    }
    return true;
}

static bool parse_decimal(const struct setting *setting, const char *text, double *out,
                          struct why why)
{
    char *end;
    if (*text == '\0' && setting->standard[0] == '\0') {
        *out = 0;
        return true;
    }
    *out = strtod(text, &end);
    if (text[strspn(text, "0123456789.")] != '\0' || *text == '\0' || *end != '\0' ||
        !isfinite(*out) || *out > (double)setting->most) {
        return refuse(why, "\"%s\" is not a number from 0 to %llu", text,
                      (unsigned long long)setting->most);
    }
    /* No value says that there is no rate; a rate of 0 would never begin. */
    if (*out <= 0 && setting->standard[0] == '\0') {
        return refuse(why, "it has to be above 0");
    }
    return true;
}

/* The index of `text` among the words of "a|b|c". */
static bool parse_choice(const struct setting *setting, const char *text, unsigned *out,
                         struct why why)
{
    const char *word = setting->unit;
    for (*out = 0; *word != '\0'; ++*out) {
        size_t len = strcspn(word, "|");
        if (strlen(text) == len && strncmp(text, word, len) == 0) {
            return true;
        }
        word += len + (word[len] == '|' ? 1 : 0);
    }
    return refuse(why, "\"%s\" is none of %s", text, setting->unit);
}

static bool parse_yes_no(const char *text, bool *out, struct why why)
{
    *out = strcmp(text, "yes") == 0;
    return *out || strcmp(text, "no") == 0 || refuse(why, "\"%s\" is neither yes nor no", text);
}

/* uniform | zipf:S | hot:P:Q */
static bool parse_keys(const char *text, struct key_distribution *out, struct why why)
{
    *out = (struct key_distribution){.pattern = KEY_UNIFORM};
    if (strcmp(text, "uniform") == 0) {
        return true;
    }
    if (strncmp(text, "zipf:", 5) == 0) {
        char *end;
        const char *number = text + 5;
        out->pattern = KEY_ZIPF;
        out->exponent = strtod(number, &end);
        if (number[strspn(number, "0123456789.")] == '\0' && end != number && *end == '\0' &&
            out->exponent > 0 && out->exponent <= 10) {
            return true;
        }
        return refuse(why, "\"%s\": the exponent has to be above 0 and at most 10", text);
    }
    if (strncmp(text, "hot:", 4) == 0) {
        const char *at = text + 4;
        uint64_t hot;
        uint64_t heat;
        bool two = take_number(&at, &hot) && *at++ == ':' && take_number(&at, &heat) && *at == '\0';
        if (!two || hot < 1 || hot > 99 || heat < 1 || heat > 99) {
            return refuse(why, "\"%s\": two percentages from 1 to 99 are wanted", text);
        }
        *out = (struct key_distribution){
            .pattern = KEY_HOT, .hot_percent = (unsigned)hot, .heat_percent = (unsigned)heat};
        return true;
    }
    return refuse(why, "\"%s\" is none of uniform, zipf:0.99, hot:10:90", text);
}

/* [json:]N[-M] */
static bool parse_values(const char *text, struct value_shape *out, struct why why)
{
    bool json = strncmp(text, "json:", 5) == 0;
    const char *at = json ? text + 5 : text;
    uint64_t least = json ? VALUE_JSON_BYTES_MIN : VALUE_PLAIN_BYTES_MIN;
    uint64_t from = 0;
    bool good = take_number(&at, &from);
    uint64_t to = from;
    if (good && *at == '-') {
        at++;
        good = take_number(&at, &to);
    }
    if (!good || *at != '\0' || from > to) {
        return refuse(why, "\"%s\" is none of 512, 100-1000, json:400-600", text);
    }
    if (from < least || to > SATCHEL_VALUE_BYTES_MAX) {
        return refuse(why, "\"%s\": a %s value that can be checked has %llu to %d bytes", text,
                      json ? "JSON" : "plain", (unsigned long long)least, SATCHEL_VALUE_BYTES_MAX);
    }
    *out = (struct value_shape){
        .json = json, .bytes_min = (uint32_t)from, .bytes_max = (uint32_t)to};
    return true;
}

bool setting_parse(const struct setting *setting, const char *text, struct options *into, char *why,
                   size_t why_bytes)
{
    struct why reason = {.text = why, .bytes = why_bytes};
    void *member = (char *)into + setting->offset;
    unsigned choice = 0;
    bool good = true;
    switch (setting->type) {
    case SETTING_TEXT:
        *(const char **)member = *text == '\0' ? NULL : text;
        break;
    case SETTING_COUNT:
        return parse_count(setting, text, member, reason);
    case SETTING_DECIMAL:
        return parse_decimal(setting, text, member, reason);
    case SETTING_YES_NO:
    case SETTING_FLAG:
        return parse_yes_no(text, member, reason);
    case SETTING_PROTOCOL:
        good = parse_choice(setting, text, &choice, reason);
        *(enum protocol_name *)member = (enum protocol_name)choice;
        break;
    case SETTING_ACK:
        good = parse_choice(setting, text, &choice, reason);
        *(bool *)member = choice == 1;
        break;
    case SETTING_MIX:
        return mix_parse(text, member, why, why_bytes);
    case SETTING_KEYS:
        return parse_keys(text, member, reason);
    case SETTING_VALUES:
        return parse_values(text, member, reason);
    }
    return good;
}
