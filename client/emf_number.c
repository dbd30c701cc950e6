/* Numbers as JSON writes them. */
#include "client/emf_number.h"

#include <stdio.h>
#include <stdlib.h>

const char *emf_number(char out[EMF_NUMBER_BYTES], double value)
{
    (void)snprintf(out, EMF_NUMBER_BYTES, "%.15g", value); /* enough for what people write */
    if (strtod(out, NULL) < value || strtod(out, NULL) > value) {
        (void)snprintf(out, EMF_NUMBER_BYTES, "%.17g", value); /* enough for every number */
    }
    return out;
}
