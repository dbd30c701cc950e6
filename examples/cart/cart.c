#include "cart.h"

bool cart_number(struct satchel_bytes text, int64_t *out)
{
    const char *digits = text.ptr;
    int64_t number = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (digits[i] < '0' || digits[i] > '9' || __builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, digits[i] - '0', &number)) {
            return false;
        }
    }
    *out = number;
    return text.len > 0;
}

struct cart cart_from_result(const struct satchel_result *result)
{
    struct cart cart = {.version = result->version};
    if (!result->has_content || result->kind != SATCHEL_FIELDS) {
        return cart;
    }
    struct satchel_bytes rest = result->content;
    struct satchel_field field;
    while (satchel_next_field(&rest, &field) && cart.line_count < CATALOG_PRODUCTS) {
        const struct product *product = catalog_find(field.name.ptr, field.name.len);
        int64_t quantity = 0;
        if (product && cart_number(field.value, &quantity) && quantity > 0) {
            cart.lines[cart.line_count++] = (struct cart_line){product, quantity};
        }
    }
    return cart;
}

int64_t cart_total_cents(const struct cart *self)
{
    int64_t total = 0;
    for (size_t i = 0; i < self->line_count; i++) {
        total += self->lines[i].quantity * self->lines[i].product->price_cents;
    }
    return total;
}

static json_t *line_json(const struct cart_line *line)
{
    const struct product *product = line->product;
    json_int_t quantity = line->quantity;
    json_int_t line_cents = quantity * product->price_cents;
    return json_pack("{s:s, s:s, s:I, s:I, s:I}", "sku", product->sku, "name", product->name,
                     "quantity", quantity, "price_cents", (json_int_t)product->price_cents,
                     "line_cents", line_cents);
}

json_t *cart_json(const struct cart *self, int64_t quantity_max, const char *served_by)
{
    json_t *items = json_array();
    int64_t count = 0;
    for (size_t i = 0; i < self->line_count; i++) {
        count += self->lines[i].quantity;
        if (json_array_append_new(items, line_json(&self->lines[i])) != 0) {
            json_decref(items);
            return NULL;
        }
    }
    return json_pack("{s:I, s:o, s:I, s:I, s:I, s:s}", "version", (json_int_t)self->version,
                     "items", items, "count", (json_int_t)count, "total_cents",
                     (json_int_t)cart_total_cents(self), "quantity_max", (json_int_t)quantity_max,
                     "served_by", served_by);
}
