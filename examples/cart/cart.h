/*
 * A cart as the customer sees it, read out of its session.
 *
 *     session "cart:<id>"      fields, in the order in which they came
 *       mug            2       a product and how many of it, in decimal
 *       .did:<key>     1       a change that was made; see change.h
 *       .forgot        0       which keys are forgotten; see change.h
 *
 * Fields that begin with a dot are the cart's own bookkeeping. A SKU that is no longer in the
 * catalogue is kept in the session but not shown, so that a shop which takes a product out and puts
 * it back forgets nothing.
 */
#pragma once

#include <stdint.h>

#include <jansson.h>
#include <satchel/satchel.h>

#include "catalog.h"

enum { CART_ID_BYTES = 32 }; /* 128 random bits in hexadecimal */

struct cart_line {
    const struct product *product;
    int64_t quantity; /* 1 or more */
};

struct cart {
    uint64_t version; /* of its session; 0 = there is none, the cart is empty */
    size_t line_count;
    struct cart_line lines[CATALOG_PRODUCTS];
};

/** Reads a cart out of an answer that holds the whole session; without content the cart is empty.
 */
struct cart cart_from_result(const struct satchel_result *result);

/** Reads a decimal number of at least 0; false when `text` is something else. */
bool cart_number(struct satchel_bytes text, int64_t *out);

/** What all pieces cost together. */
int64_t cart_total_cents(const struct cart *self);

/**
 * The cart for the page: {version, items: [{sku, name, quantity, price_cents, line_cents}], count,
 * total_cents, quantity_max, served_by}. A new reference; NULL when out of memory.
 */
json_t *cart_json(const struct cart *self, int64_t quantity_max, const char *served_by);
