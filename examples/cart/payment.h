/*
 * The shop's bank, which is made up: like the test mode of real ones it knows cards by their
 * number. Whoever gives none pays by invoice.
 */
#pragma once

#include <stdbool.h>

enum { PAYMENT_CARD_DIGITS = 16 };

/** Whether `card` has the form of a card number: 16 digits. */
bool payment_is_card(const char *card);

/** Asks the bank: false when it declines. Cards that end in 0002 are declined, always, so trying a
 *  checkout again gives the same answer. */
bool payment_is_accepted(const char *card);
