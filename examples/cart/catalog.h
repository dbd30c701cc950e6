/*
 * What the shop sells: a fixed table. A real shop would read it from its product database; the cart
 * only ever stores SKUs and quantities, so prices and names always come from here.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

struct product {
    const char *sku; /* also the name of its field in a cart's session; never begins with '.' */
    const char *name;
    const char *description;
    int64_t price_cents;
};

enum { CATALOG_PRODUCTS = 12 };

/** The products in the order in which the page shows them. Immutable; any thread. */
extern const struct product catalog[CATALOG_PRODUCTS];

/** The product whose SKU is the `len` bytes at `sku`, or NULL. */
const struct product *catalog_find(const char *sku, size_t len);

/** The catalogue as {currency, products: [{sku, name, description, price_cents}]}; a new reference,
 *  NULL when out of memory. */
json_t *catalog_json(void);
