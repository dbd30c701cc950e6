/* Reading of the Accept header. */
#include "ops/accept.h"

#include <strings.h>

#include "ops/http_message.h"

enum { QUALITY_MOST = 1000, QUALITY_DIGITS_MAX = 3 };

/* Takes what stands before the next `stop` off the front of `rest`, all of it when there is none; a
 * `stop` within quotes is none. The spaces around it are left out. */
static struct view take_item(struct view *rest, uint8_t stop)
{
    size_t len = 0;
    bool is_quoted = false;
    while (len < rest->len && (is_quoted || rest->ptr[len] != stop)) {
        const uint8_t byte = rest->ptr[len];
        len += is_quoted && byte == '\\' && len + 1 < rest->len; /* the escaped byte is text */
        is_quoted = byte == '"' ? !is_quoted : is_quoted;
        len++;
    }
    struct view item = view_of(rest->ptr, len);
    len += len < rest->len;
    *rest = view_of(rest->ptr + len, rest->len - len);
    return view_trim(item);
}

static bool is_word(struct view bytes, const char *word)
{
    return bytes.len == strlen(word) && strncasecmp((const char *)bytes.ptr, word, bytes.len) == 0;
}

static struct view without_quotes(struct view value)
{
    const bool is_quoted = value.len >= 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"';
    return is_quoted ? view_of(value.ptr + 1, value.len - 2) : value;
}

/* A weight: 0 or 1 with up to three digits behind a point, and no more than 1. */
static bool read_quality(struct view text, unsigned *out)
{
    if (text.len == 0 || text.len > 2 + QUALITY_DIGITS_MAX ||
        (text.len > 1 && text.ptr[1] != '.')) {
        return false;
    }
    unsigned value = 0;
    unsigned unit = QUALITY_MOST;
    for (size_t i = 0; i < text.len; i++) {
        if (i == 1) {
            continue; /* the point */
        }
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return false;
        }
        value += (unsigned)(text.ptr[i] - '0') * unit;
        unit /= 10;
    }
    *out = value;
    return value <= QUALITY_MOST;
}

static enum accept_match match_names(struct view range, const struct media_type *type)
{
    const struct view type_name = take_item(&range, '/');
    const struct view subtype = view_trim(range);
    const bool is_any_subtype = is_word(subtype, "*");
    if (is_word(type_name, "*") && is_any_subtype) {
        return ACCEPT_ANY;
    }
    if (!is_word(type_name, type->type)) {
        return ACCEPT_NOTHING;
    }
    if (is_any_subtype) {
        return ACCEPT_TYPE;
    }
    return is_word(subtype, type->subtype) ? ACCEPT_NAMED : ACCEPT_NOTHING;
}

/* What one range, "text/plain;version=0.0.4;q=0.5", says about the type. */
static struct accepted read_range(struct view range, const struct media_type *type)
{
    static const struct accepted nothing = {ACCEPT_NOTHING, 0};
    struct accepted found = {match_names(take_item(&range, ';'), type), QUALITY_MOST};
    while (range.len > 0) {
        struct view value = take_item(&range, ';');
        const struct view name = take_item(&value, '=');
        value = without_quotes(view_trim(value));
        if (is_word(name, "q")) {
            return read_quality(value, &found.quality) && found.match != ACCEPT_NOTHING ? found
                                                                                        : nothing;
        }
        if (is_word(name, "version") && found.match == ACCEPT_NAMED) {
            found.match = is_word(value, type->version) ? ACCEPT_VERSIONED : ACCEPT_NOTHING;
        }
    }
    return found.match != ACCEPT_NOTHING ? found : nothing;
}

struct accepted accept_find(struct view headers, const struct media_type *type)
{
    struct accepted best = {ACCEPT_NOTHING, 0};
    bool has_ranges = false;
    struct view ranges;
    while (http_next_header(&headers, "Accept", &ranges)) {
        while (ranges.len > 0) {
            const struct view range = take_item(&ranges, ',');
            const struct accepted found = read_range(range, type);
            has_ranges = has_ranges || range.len > 0;
            if (found.match > best.match ||
                (found.match == best.match && found.quality > best.quality)) {
                best = found;
            }
        }
    }
    return has_ranges ? best : (struct accepted){ACCEPT_ANY, QUALITY_MOST};
}
