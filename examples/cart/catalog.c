#include "catalog.h"

#include <string.h>

const struct product catalog[CATALOG_PRODUCTS] = {
    {"satchel", "Leather satchel", "Vegetable-tanned, ages like a good story", 14900},
    {"notebook", "Dotted notebook", "192 pages that open flat", 1450},
    {"pen", "Fountain pen", "Steel nib, forgiving of left hands", 3200},
    {"flask", "Steel flask", "Keeps tea hot until the last train", 2790},
    {"mug", "Enamel mug", "For the desk and the campfire", 1190},
    {"lamp", "Reading lamp", "Warm light, swivels quietly", 5900},
    {"umbrella", "Storm umbrella", "Turns inside out, and back again", 3650},
    {"socks", "Wool socks", "Two pairs, because one gets lost", 1890},
    {"compass", "Pocket compass", "Still knows where north is", 2400},
    {"camera", "Film camera", "36 chances, no delete button", 8900},
    {"clock", "Travel clock", "Folds shut, ticks softly", 4250},
    {"plant", "Desk plant", "Needs water on Fridays, nothing else", 990},
};

const struct product *catalog_find(const char *sku, size_t len)
{
    for (size_t i = 0; i < CATALOG_PRODUCTS; i++) {
        if (strlen(catalog[i].sku) == len && memcmp(catalog[i].sku, sku, len) == 0) {
            return &catalog[i];
        }
    }
    return NULL;
}

json_t *catalog_json(void)
{
    json_t *products = json_array();
    for (size_t i = 0; i < CATALOG_PRODUCTS; i++) {
        const struct product *product = &catalog[i];
        json_t *one = json_pack("{s:s, s:s, s:s, s:I}", "sku", product->sku, "name", product->name,
                                "description", product->description, "price_cents",
                                (json_int_t)product->price_cents);
        if (json_array_append_new(products, one) != 0) {
            json_decref(products);
            return NULL;
        }
    }
    return json_pack("{s:s, s:o}", "currency", "EUR", "products", products);
}
