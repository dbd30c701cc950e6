/*
 * Fields and operations as text, so that a table of cases can be read:
 *
 *     fields: "a=1 b=2"            ops: "a=1" set · "-a" delete · "a+=5" increment · "a?=1" set if
 * absent
 *
 * Names and values hold no space, = + ? or leading minus.
 */
#pragma once

#include "session/fields.h"

/** Appends the encoding of `text` to `to`. */
void fields_from_text(struct buf *to, const char *text);
void ops_from_text(struct buf *to, const char *text);

enum { FIELDS_TEXT_BYTES = 512 };

/** Writes well-formed fields as text into `out`; returns `out`. "malformed" when they are not. */
const char *fields_to_text(struct view fields, char out[FIELDS_TEXT_BYTES]);
const char *ops_to_text(struct view ops, char out[FIELDS_TEXT_BYTES]);
