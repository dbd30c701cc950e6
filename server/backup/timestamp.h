/* Times as the storage and the credential provider write them. */
#pragma once

#include <stdint.h>

#include "base/status.h"

/**
 * Reads "2009-10-12T17:50:30.000Z" (RFC 3339 in UTC; the fraction may be missing, and digits beyond
 * milliseconds are dropped) into milliseconds since 1970. OK or INVALID. Any thread.
 */
enum status timestamp_parse(const char *text, int64_t *out_ms) MUST_CHECK;
