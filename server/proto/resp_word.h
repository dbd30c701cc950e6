/*
 * The words of an inline request. Quotes begin anywhere in a word and end it: what stands behind
 * them must be a space.
 *
 *     SET key "two words"  'it\'s'  "\x00\n\""
 */
#pragma once

#include "base/bytes.h"

/** The line from its first character that is no space. */
struct view resp_skip_spaces(struct view line);

/**
 * Takes the word at the front of the line and appends it to `to`, which has room for the whole
 * line. False: its quotes are not balanced.
 */
bool resp_take_word(struct view *line, struct buf *to);
