#include "api.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <event2/buffer.h>
#include <event2/keyvalq_struct.h>
#include <event2/util.h>

#include "files.h"
#include "payment.h"

static const char cookie_name[] = "cart_id";
static const char items_path[] = "/api/cart/items/";

/* ---- Whose cart ----------------------------------------------------------------------------- */

static bool is_cart_id(const char *text)
{
    return strspn(text, "0123456789abcdef") == CART_ID_BYTES && text[CART_ID_BYTES] == '\0';
}

static void set_cookie(const struct site *site, struct exchange *exchange)
{
    char header[160];
    snprintf(header, sizeof(header), "%s=%s; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax%s",
             cookie_name, exchange->cart_id, site->secure_cookie ? "; Secure" : "");
    http_add_header(exchange, "Set-Cookie", header);
}

/* Finds out whose cart it is, or gives a new customer an id. A cookie that is there is not sent
 * back with every answer: a slow answer could overwrite a newer cookie. */
static void identify(const struct site *site, struct exchange *exchange, bool renew)
{
    char text[CART_ID_BYTES + 1];
    if (http_request_cookie(exchange, cookie_name, text, sizeof(text)) && is_cart_id(text)) {
        memcpy(exchange->cart_id, text, sizeof(text));
        if (!renew) {
            return;
        }
    } else {
        unsigned char random[CART_ID_BYTES / 2];
        evutil_secure_rng_get_bytes(random, sizeof(random));
        for (size_t i = 0; i < sizeof(random); i++) {
            snprintf(exchange->cart_id + 2 * i, 3, "%02x", random[i]);
        }
    }
    set_cookie(site, exchange);
}

/* ---- Answers -------------------------------------------------------------------------------- */

/* What each outcome is in HTTP. `DONE` is not in it. */
static const struct {
    int status;
    const char *error;
    const char *message;
} outcomes[] = {
    [CART_TOO_MANY] = {409, "quantity_limit", "That is more of one product than fits in a cart."},
    [CART_CHANGED] = {409, "cart_changed", "The cart has changed since you saw it."},
    [CART_EMPTY] = {409, "cart_empty", "There is nothing in the cart."},
    [CART_SIGNED_UP] = {409, "signed_up", "There is an account with this address already."},
    [CART_KEY_TOO_OLD] = {409, "key_too_old",
                          "Nothing was changed now. Whether an earlier attempt with this key did "
                          "is not known any more."},
    [CART_STORE_AWAY] = {503, "store_away",
                         "The store does not answer at the moment. Please try again."},
    [CART_UNKNOWN] = {503, "outcome_unknown",
                      "The store did not answer; the change may have been made. Read the cart "
                      "before trying again."},
    [CART_STORE_REFUSED] = {500, "store_refused", "The store does not accept the request."},
};

static json_t *answer_cart(const struct site *site, const struct cart_answer *answer)
{
    return cart_json(&answer->cart, site->quantity_max, site->served_by);
}

static void answer_failure(const struct site *site, struct exchange *exchange,
                           const struct cart_answer *answer)
{
    int status = outcomes[answer->outcome].status;
    json_t *body = json_pack("{s:s, s:s}", "error", outcomes[answer->outcome].error, "message",
                             outcomes[answer->outcome].message);
    if (answer->has_cart) {
        (void)json_object_set_new(body, "cart", answer_cart(site, answer));
    }
    if (status == HTTP_SERVUNAVAIL) {
        http_add_header(exchange, "Retry-After", "1");
    }
    if (status == HTTP_INTERNAL) {
        http_log("error", "store refused a request", "status=\"%s\"", answer->store_message);
    }
    http_answer_json(exchange, status, body);
}

/* The answer to reading and changing: a keeper_fn. */
static void on_cart(void *arg, const struct cart_answer *answer)
{
    struct exchange *exchange = arg;
    const struct site *site = exchange->site;
    if (answer->outcome != CART_DONE) {
        answer_failure(site, exchange, answer);
        return;
    }
    json_t *body = answer_cart(site, answer);
    if (answer->order_number != 0) {
        char number[16];
        snprintf(number, sizeof(number), "%03d-%03d-%03d",
                 (int)(answer->order_number / 1000000 % 1000),
                 (int)(answer->order_number / 1000 % 1000), (int)(answer->order_number % 1000));
        (void)json_object_set_new(body, "order_number", json_string(number));
    }
    http_answer_json(exchange, HTTP_OK, body);
}

/* ---- What a request brings ------------------------------------------------------------------ */

/*
 * A state-changing request has to say `Content-Type: application/json`, or without a body
 * `X-Requested-With`. Neither can be said by a form or a script of another site without this
 * service's consent (a CORS preflight, which it never answers): so nobody else can fill the cart.
 */
static bool is_ours(const struct exchange *exchange, bool has_body)
{
    const char *type = http_request_header(exchange, "Content-Type");
    static const char json[] = "application/json";
    if (type && strncasecmp(type, json, strlen(json)) == 0) {
        char after = type[strlen(json)];
        return after == '\0' || after == ';' || after == ' ';
    }
    return !has_body && http_request_header(exchange, "X-Requested-With") != NULL;
}

/* Checks a state-changing request and takes its key. False: it has been answered. */
static bool accept_change(struct exchange *exchange, struct change *change)
{
    size_t len = evbuffer_get_length(evhttp_request_get_input_buffer(exchange->req));
    if (len > HTTP_BODY_BYTES_MAX) {
        http_answer_error(exchange, HTTP_ENTITYTOOLARGE, "body_too_large",
                          "The body of a request is at most 4096 bytes.");
        return false;
    }
    if (!is_ours(exchange, len > 0)) {
        http_answer_error(exchange, 415, "unsupported_media_type",
                          "Changes need Content-Type: application/json, or without a body the "
                          "header X-Requested-With.");
        return false;
    }
    const char *key = http_request_header(exchange, "Idempotency-Key");
    if (key && !change_key_parse(key, &change->key)) {
        http_answer_error(exchange, HTTP_BADREQUEST, "bad_key",
                          "Idempotency-Key is the version of the cart that was seen, a dash, and "
                          "16 to 32 random lower-case hex digits.");
        return false;
    }
    return true;
}

/* The JSON object in the body. NULL: it has been answered. */
static json_t *read_body(struct exchange *exchange)
{
    struct evbuffer *buffer = evhttp_request_get_input_buffer(exchange->req);
    size_t len = evbuffer_get_length(buffer);
    const char *text = (const char *)evbuffer_pullup(buffer, -1);
    json_t *body = text ? json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL) : NULL;
    if (!json_is_object(body)) {
        json_decref(body);
        http_answer_error(exchange, HTTP_BADREQUEST, "bad_json", "The body is not a JSON object.");
        return NULL;
    }
    return body;
}

/* Takes the quantity out of a body. False: it has been answered. */
static bool take_quantity(struct exchange *exchange, const json_t *body, struct change *change)
{
    const struct site *site = exchange->site;
    const json_t *quantity = json_object_get(body, "quantity");
    if (!json_is_integer(quantity) || json_integer_value(quantity) < 1 ||
        json_integer_value(quantity) > site->quantity_max) {
        char message[80];
        snprintf(message, sizeof(message), "The quantity is a whole number from 1 to %lld.",
                 (long long)site->quantity_max);
        http_answer_error(exchange, HTTP_BADREQUEST, "bad_quantity", message);
        return false;
    }
    change->quantity = json_integer_value(quantity);
    return true;
}

/* Takes the product. False: it has been answered. */
static bool take_product(struct exchange *exchange, const char *sku, size_t len,
                         struct change *change)
{
    change->product = catalog_find(sku, len);
    if (!change->product) {
        http_answer_error(exchange, HTTP_NOTFOUND, "unknown_sku", "There is no such product.");
        return false;
    }
    return true;
}

static bool take_product_from_path(struct exchange *exchange, struct change *change)
{
    const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(exchange->req));
    const char *sku = path + strlen(items_path);
    return take_product(exchange, sku, strlen(sku), change);
}

static void make_change(struct exchange *exchange, const struct change *change)
{
    const struct site *site = exchange->site;
    identify(site, exchange, false);
    keeper_change(site->keeper, exchange->cart_id, change, on_cart, exchange);
}

/* ---- The requests --------------------------------------------------------------------------- */

static void get_page(struct exchange *exchange)
{
    identify(exchange->site, exchange, true);
    http_answer_file(exchange, "text/html; charset=utf-8", file_index_html, file_index_html_bytes);
}

static void get_style(struct exchange *exchange)
{
    http_answer_file(exchange, "text/css; charset=utf-8", file_cart_css, file_cart_css_bytes);
}

static void get_script(struct exchange *exchange)
{
    http_answer_file(exchange, "text/javascript; charset=utf-8", file_cart_js, file_cart_js_bytes);
}

static void get_icon(struct exchange *exchange)
{
    http_answer_file(exchange, "image/svg+xml", file_icon_svg, file_icon_svg_bytes);
}

static void get_catalog(struct exchange *exchange)
{
    http_answer_json(exchange, HTTP_OK, catalog_json());
}

static void get_cart(struct exchange *exchange)
{
    const struct site *site = exchange->site;
    identify(site, exchange, false);
    keeper_read(site->keeper, exchange->cart_id, on_cart, exchange);
}

static void add_item(struct exchange *exchange)
{
    struct change change = {.kind = CHANGE_ADD};
    json_t *body = accept_change(exchange, &change) ? read_body(exchange) : NULL;
    if (!body) {
        return;
    }
    const json_t *sku = json_object_get(body, "sku");
    if (!json_is_string(sku)) {
        http_answer_error(exchange, HTTP_BADREQUEST, "bad_sku", "The sku is a string.");
    } else if (take_product(exchange, json_string_value(sku), json_string_length(sku), &change) &&
               take_quantity(exchange, body, &change)) {
        make_change(exchange, &change);
    }
    json_decref(body);
}

static void set_item(struct exchange *exchange)
{
    struct change change = {.kind = CHANGE_SET};
    json_t *body = accept_change(exchange, &change) ? read_body(exchange) : NULL;
    if (!body) {
        return;
    }
    if (take_product_from_path(exchange, &change) && take_quantity(exchange, body, &change)) {
        make_change(exchange, &change);
    }
    json_decref(body);
}

static void remove_item(struct exchange *exchange)
{
    struct change change = {.kind = CHANGE_REMOVE};
    if (accept_change(exchange, &change) && take_product_from_path(exchange, &change)) {
        make_change(exchange, &change);
    }
}

static void clear_cart(struct exchange *exchange)
{
    struct change change = {.kind = CHANGE_CLEAR};
    if (accept_change(exchange, &change)) {
        make_change(exchange, &change);
    }
}

/* Asks the bank, if there is a card to ask about, before anything is bought. False: it has been
 * answered, and nothing was bought. */
static bool take_payment(struct exchange *exchange, const json_t *body)
{
    const struct site *site = exchange->site;
    const json_t *card = json_object_get(body, "card");
    if (!card) {
        return true;
    }
    if (!json_is_string(card) || !payment_is_card(json_string_value(card))) {
        http_answer_error(exchange, HTTP_BADREQUEST, "bad_card",
                          "The card is a string of 16 digits.");
        return false;
    }
    if (!payment_is_accepted(json_string_value(card))) {
        metrics_payment_failure(site->metrics);
        http_answer_error(exchange, 402, "payment_declined",
                          "The bank declined the payment; nothing was bought.");
        return false;
    }
    return true;
}

static void checkout(struct exchange *exchange)
{
    struct change change = {.kind = CHANGE_CHECKOUT};
    json_t *body = accept_change(exchange, &change) ? read_body(exchange) : NULL;
    if (!body) {
        return;
    }
    const json_t *version = json_object_get(body, "version");
    if (!json_is_integer(version) || json_integer_value(version) < 0) {
        http_answer_error(exchange, HTTP_BADREQUEST, "bad_version",
                          "The version is that of the cart the customer saw.");
    } else if (take_payment(exchange, body)) {
        change.seen_version = (uint64_t)json_integer_value(version);
        make_change(exchange, &change);
    }
    json_decref(body);
}

/* Something, one @, something: the rest only a mail can find out. */
static bool is_email(const char *text)
{
    const char *at = strchr(text, '@');
    size_t len = strlen(text);
    if (!at || at == text || at[1] == '\0' || strchr(at + 1, '@') || len > KEEPER_EMAIL_BYTES_MAX) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (text[i] <= ' ' || text[i] > '~') {
            return false;
        }
    }
    return true;
}

static void on_signed_up(void *arg, const struct cart_answer *answer)
{
    struct exchange *exchange = arg;
    if (answer->outcome == CART_DONE) {
        http_answer_json(exchange, 201, json_pack("{s:s}", "status", "signed up"));
    } else {
        answer_failure(exchange->site, exchange, answer);
    }
}

static void sign_up(struct exchange *exchange)
{
    const struct site *site = exchange->site;
    struct change unused = {0}; /* an account is made once by itself, with a key or without */
    json_t *body = accept_change(exchange, &unused) ? read_body(exchange) : NULL;
    if (!body) {
        return;
    }
    const char *email = json_string_value(json_object_get(body, "email"));
    if (!email || !is_email(email)) {
        http_answer_error(exchange, HTTP_BADREQUEST, "bad_email",
                          "The email is an address such as ada@example.org.");
    } else {
        identify(site, exchange, false);
        keeper_sign_up(site->keeper, email, exchange->cart_id, on_signed_up, exchange);
    }
    json_decref(body);
}

static void on_ping(void *arg, const struct cart_answer *answer)
{
    http_answer_json(arg, HTTP_OK,
                     json_pack("{s:s, s:s}", "status", "ok", "store",
                               answer->outcome == CART_DONE ? "reachable" : "away"));
}

/* Says whether this task is well, not whether the store is: a load balancer that replaced all tasks
 * because the store is away would only make it worse. */
static void get_health(struct exchange *exchange)
{
    const struct site *site = exchange->site;
    keeper_ping(site->keeper, on_ping, exchange);
}

/* ---- Routes --------------------------------------------------------------------------------- */

static const struct route {
    const char *path; /* one that ends in a slash stands for all below it */
    enum evhttp_cmd_type method;
    const char *method_name;
    void (*handle)(struct exchange *exchange);
} routes[] = {
    {"/", EVHTTP_REQ_GET, "GET", get_page},
    {"/cart.css", EVHTTP_REQ_GET, "GET", get_style},
    {"/cart.js", EVHTTP_REQ_GET, "GET", get_script},
    {"/icon.svg", EVHTTP_REQ_GET, "GET", get_icon},
    {"/healthz", EVHTTP_REQ_GET, "GET", get_health},
    {"/api/catalog", EVHTTP_REQ_GET, "GET", get_catalog},
    {"/api/cart", EVHTTP_REQ_GET, "GET", get_cart},
    {"/api/cart", EVHTTP_REQ_DELETE, "DELETE", clear_cart},
    {"/api/cart/items", EVHTTP_REQ_POST, "POST", add_item},
    {items_path, EVHTTP_REQ_PUT, "PUT", set_item},
    {items_path, EVHTTP_REQ_DELETE, "DELETE", remove_item},
    {"/api/checkout", EVHTTP_REQ_POST, "POST", checkout},
    {"/api/signup", EVHTTP_REQ_POST, "POST", sign_up},
};

static bool route_matches(const struct route *route, const char *path)
{
    size_t len = strlen(route->path);
    if (len > 1 && route->path[len - 1] == '/') {
        return strncmp(path, route->path, len) == 0 && path[len] != '\0';
    }
    return strcmp(path, route->path) == 0;
}

void api_handle(void *site, struct exchange *exchange)
{
    (void)site;
    const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(exchange->req));
    enum evhttp_cmd_type method = evhttp_request_get_command(exchange->req);
    if (method == EVHTTP_REQ_HEAD) {
        method = EVHTTP_REQ_GET; /* evhttp leaves the body away */
    }
    char allow[64] = "";
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        if (!path || !route_matches(&routes[i], path)) {
            continue;
        }
        if (routes[i].method == method) {
            routes[i].handle(exchange);
            return;
        }
        size_t len = strlen(allow);
        snprintf(allow + len, sizeof(allow) - len, "%s%s", len ? ", " : "", routes[i].method_name);
    }
    if (allow[0] != '\0') {
        http_add_header(exchange, "Allow", allow);
        http_answer_error(exchange, HTTP_BADMETHOD, "method_not_allowed",
                          "This cannot be done with that.");
    } else {
        http_answer_error(exchange, HTTP_NOTFOUND, "not_found", "There is nothing here.");
    }
}
