/* Numbers as JSON writes them. */
#pragma once

enum { EMF_NUMBER_BYTES = 32 };

/** Writes a finite number with as few digits as give it back exactly. Wants a C locale for numbers.
 *  Returns `out`. */
const char *emf_number(char out[EMF_NUMBER_BYTES], double value);
