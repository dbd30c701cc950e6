/*
 * Keeps carts in the store: reads and changes them without blocking, and turns what the store
 * answers into what it means for a cart.
 */
#pragma once

#include "change.h"
#include "metrics.h"

enum cart_outcome {
    CART_DONE,          /* the cart is as asked for; also when an earlier attempt had done it */
    CART_TOO_MANY,      /* nothing happened: it would be more of a product than allowed */
    CART_CHANGED,       /* nothing was bought: the cart is no longer what the customer saw */
    CART_EMPTY,         /* nothing was bought: there is nothing in it */
    CART_SIGNED_UP,     /* nothing happened: this address has an account already */
    CART_KEY_TOO_OLD,   /* nothing happened now; an earlier attempt may have: see change.h */
    CART_STORE_AWAY,    /* try again later; with a key it happens once however often it is tried */
    CART_UNKNOWN,       /* without a key: it may have happened, so read before trying again */
    CART_STORE_REFUSED, /* the store does not like the request: a mistake in set-up or code */
};

/** What came out; valid during the callback. */
struct cart_answer {
    enum cart_outcome outcome;
    bool has_cart;
    struct cart cart;          /* as it is now, when has_cart */
    int64_t order_number;      /* CHECKOUT that is DONE; 0 = not known any more */
    const char *store_message; /* of STORE_AWAY, UNKNOWN and STORE_REFUSED: why, for the log */
};

/** Called once, on the loop's thread, never before the call that asked for it returned. */
typedef void (*keeper_fn)(void *arg, const struct cart_answer *answer);

/** Opaque. All on the loop's thread. */
struct keeper;

/**
 * Makes a keeper on `base` (borrowed) for the store at `server` ("HOST:PORT") with the shared
 * secret `token` (may be empty), which counts its calls in `metrics` (borrowed). Connects when
 * first used. NULL: unusable address or no memory.
 */
struct keeper *keeper_new(struct event_base *base, const char *server, const char *token,
                          int64_t quantity_max, struct metrics *metrics);

/** Answers what is in flight, then frees; NULL is fine. Not from inside a callback. */
void keeper_free(struct keeper *self);

/** Reads the cart `id` (32 hex digits), which also keeps it alive. */
void keeper_read(struct keeper *self, const char *id, keeper_fn done, void *arg);

/** Makes `change` (copied) in the cart `id`. For CHECKOUT the order number is made here. */
void keeper_change(struct keeper *self, const char *id, const struct change *change, keeper_fn done,
                   void *arg);

enum { KEEPER_EMAIL_BYTES_MAX = 254 }; /* the longest address that mail can be sent to */

/** Makes an account for `email` (at most KEEPER_EMAIL_BYTES_MAX bytes) that remembers the cart
 * `id`: DONE or SIGNED_UP, without a cart. It expires like a cart. */
void keeper_sign_up(struct keeper *self, const char *email, const char *id, keeper_fn done,
                    void *arg);

/** Asks whether the store answers: DONE or STORE_AWAY, without a cart. */
void keeper_ping(struct keeper *self, keeper_fn done, void *arg);
