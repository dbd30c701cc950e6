/* Strings as JSON writes them (RFC 8259, section 7). */
#pragma once

#include "base/bytes.h"
#include "base/status.h"

/**
 * Appends `text` as a JSON string with its quotes: `"`, `\` and control bytes escaped, UTF-8 as it
 * stands, and U+FFFD in place of each byte that is not part of UTF-8, so that the result is valid
 * whatever a client sent. OK, or NO_MEMORY, which leaves the buffer as it was. Any thread.
 */
enum status json_put_text(struct buf *out, struct view text) MUST_CHECK;
