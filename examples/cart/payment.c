#include "payment.h"

#include <string.h>

bool payment_is_card(const char *card)
{
    return strlen(card) == PAYMENT_CARD_DIGITS && strspn(card, "0123456789") == PAYMENT_CARD_DIGITS;
}

bool payment_is_accepted(const char *card)
{
    return strcmp(card + PAYMENT_CARD_DIGITS - 4, "0002") != 0;
}
