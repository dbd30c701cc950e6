#include "change.h"

#include <stdio.h>
#include <string.h>

static const char marker_prefix[] = ".did:";
static const char forgot_field[] = ".forgot";

enum { KEY_HEX_MIN = 16, KEY_HEX_MAX = 32 };

bool change_key_parse(const char *text, struct change_key *out)
{
    size_t digits = strspn(text, "0123456789");
    size_t hex = 0;
    if (text[digits] == '-') {
        hex = strspn(text + digits + 1, "0123456789abcdef");
    }
    if (hex < KEY_HEX_MIN || hex > KEY_HEX_MAX || text[digits + 1 + hex] != '\0' || digits > 19 ||
        !cart_number((struct satchel_bytes){text, digits}, &out->since)) {
        return false;
    }
    memcpy(out->text, text, digits + 1 + hex + 1);
    return true;
}

static struct satchel_op *add_op(struct change_ops *ops, enum satchel_field_op op,
                                 struct satchel_bytes field)
{
    struct satchel_op *added = &ops->list[ops->count++];
    *added = (struct satchel_op){.op = op, .name = field};
    return added;
}

static void increment(struct change_ops *ops, struct satchel_bytes field, int64_t delta)
{
    add_op(ops, SATCHEL_FIELD_INCREMENT, field)->delta = delta;
}

/* Changes nothing, but the store refuses the whole PATCH when `field` (absent: 0) is above `limit`
 * (0 or more); see change.h. */
static void refuse_above(struct change_ops *ops, struct satchel_bytes field, int64_t limit)
{
    increment(ops, field, INT64_MAX - limit);
    increment(ops, field, -(INT64_MAX - limit));
}

static void mark(struct change_ops *ops, const struct change *change)
{
    snprintf(ops->marker, sizeof(ops->marker), "%s%s", marker_prefix, change->key.text);
    snprintf(ops->marker_value, sizeof(ops->marker_value), "%lld",
             change->kind == CHANGE_CHECKOUT ? (long long)change->order_number : 1LL);
    refuse_above(ops, satchel_text(forgot_field), change->key.since);
    refuse_above(ops, satchel_text(ops->marker), 0);
    add_op(ops, SATCHEL_FIELD_SET, satchel_text(ops->marker))->value = satchel_text(
        ops->marker_value);
}

void change_ops(const struct change *change, int64_t quantity_max, struct change_ops *out)
{
    out->count = 0;
    if (change->key.text[0] != '\0') {
        mark(out, change);
    }
    struct satchel_bytes sku = change->product ? satchel_text(change->product->sku)
                                               : (struct satchel_bytes){NULL, 0};
    switch (change->kind) {
    case CHANGE_ADD:
        increment(out, sku, change->quantity);
        refuse_above(out, sku, quantity_max);
        break;
    case CHANGE_SET:
        snprintf(out->quantity, sizeof(out->quantity), "%lld", (long long)change->quantity);
        add_op(out, SATCHEL_FIELD_SET, sku)->value = satchel_text(out->quantity);
        break;
    case CHANGE_REMOVE:
        add_op(out, SATCHEL_FIELD_DELETE, sku);
        break;
    case CHANGE_CLEAR:
    case CHANGE_CHECKOUT:
        /* Not a DELETE of the session: the markers have to outlive what it sold. */
        for (size_t i = 0; i < CATALOG_PRODUCTS; i++) {
            add_op(out, SATCHEL_FIELD_DELETE, satchel_text(catalog[i].sku));
        }
        break;
    }
}

/* The key in the name of a marker; false when `name` is that of another field. */
static bool marker_key(struct satchel_bytes name, struct change_key *key)
{
    size_t prefix = strlen(marker_prefix);
    if (name.len <= prefix || name.len > prefix + CHANGE_KEY_BYTES_MAX ||
        memcmp(name.ptr, marker_prefix, prefix) != 0) {
        return false;
    }
    char text[CHANGE_KEY_BYTES_MAX + 1];
    size_t len = name.len - prefix;
    memcpy(text, (const char *)name.ptr + prefix, len);
    text[len] = '\0';
    return change_key_parse(text, key);
}

enum change_state change_state(const struct satchel_result *session, const struct change_key *key,
                               int64_t *marker_value)
{
    if (key->text[0] == '\0' || !session->has_content || session->kind != SATCHEL_FIELDS) {
        return CHANGE_NOT_MADE;
    }
    char marker[CHANGE_FIELD_BYTES_MAX + CHANGE_KEY_BYTES_MAX + 1];
    snprintf(marker, sizeof(marker), "%s%s", marker_prefix, key->text);
    struct satchel_bytes value;
    int64_t number = 0;
    if (satchel_find_field(session->content, satchel_text(marker), &value)) {
        if (marker_value && cart_number(value, &number)) {
            *marker_value = number;
        }
        return CHANGE_MADE;
    }
    if (satchel_find_field(session->content, satchel_text(forgot_field), &value) &&
        cart_number(value, &number) && number > key->since) {
        return CHANGE_KEY_TOO_OLD;
    }
    return CHANGE_NOT_MADE;
}

static size_t count_markers(struct satchel_bytes rest)
{
    size_t count = 0;
    struct satchel_field field;
    struct change_key key;
    while (satchel_next_field(&rest, &field)) {
        count += marker_key(field.name, &key);
    }
    return count;
}

bool change_forget_ops(const struct satchel_result *session, struct change_ops *out)
{
    if (!session->has_content || session->kind != SATCHEL_FIELDS) {
        return false;
    }
    size_t markers = count_markers(session->content);
    if (markers <= CHANGE_MARKERS_MAX) {
        return false;
    }
    size_t excess = markers - CHANGE_MARKERS_KEPT;
    struct satchel_bytes rest = session->content;
    struct satchel_field field;
    struct change_key key;
    int64_t since_max = 0;
    out->count = 0;
    while (excess > 0 && out->count < CHANGE_MARKERS_MAX && satchel_next_field(&rest, &field)) {
        if (marker_key(field.name, &key)) {
            add_op(out, SATCHEL_FIELD_DELETE, field.name);
            since_max = key.since > since_max ? key.since : since_max;
            excess--;
        }
    }
    /* A client may claim to have seen a version of the future. Only its own cart would suffer, but
     * it would refuse all keys from then on: nobody has seen more than the version it has now. */
    if ((uint64_t)since_max > session->version) {
        since_max = (int64_t)session->version;
    }
    int64_t forgot = since_max + 1;
    snprintf(out->marker_value, sizeof(out->marker_value), "%lld", (long long)forgot);
    /* Another task may have forgotten more meanwhile: then this is refused, as it should. */
    refuse_above(out, satchel_text(forgot_field), forgot);
    add_op(out, SATCHEL_FIELD_SET, satchel_text(forgot_field))->value = satchel_text(
        out->marker_value);
    return true;
}
