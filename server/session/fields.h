/*
 * The encoding of named fields and of operations on them. It is the same on the wire, in memory,
 * in the journal and in LMDB, so that nothing is converted on the way.
 *
 *     fields:  { name length u16 | value length u32 | name | value } …   in order of insertion
 *     ops:     { op u8 | name length u16 | value length u32 | name | value } …   applied in order
 *
 * A set of names is fields whose values are empty. Numbers are little-endian. No padding.
 */
#pragma once

#include <stdbool.h>

#include "base/bytes.h"
#include "satchel/protocol.h"

struct field {
    struct view name;
    struct view value;
};

struct field_op {
    enum satchel_field_op op;
    struct view name;
    struct view value;
};

/** Takes the next field off the front of `*rest`. OK, END when nothing is left, INVALID when the
 *  bytes are not fields. */
enum status fields_next(struct view *rest, struct field *out) MUST_CHECK;

/** Takes the next operation off the front of `*rest`, likewise; also checks the op number and, for
 *  INCREMENT and DELETE, the value's length. */
enum status ops_next(struct view *rest, struct field_op *out) MUST_CHECK;

/** Checks a whole encoding: well-formed, names 1..256 bytes, at most SATCHEL_FIELDS_MAX, no name
 * twice. */
enum satchel_status fields_check(struct view fields);

/** Checks content of a kind: any bytes are a BLOB, of NAMES all values are empty. BAD_REQUEST also
 *  for a number that is no kind. */
enum satchel_status content_check(enum satchel_kind kind, struct view content);

/** Checks a whole encoding: well-formed, names 1..256 bytes, 1..SATCHEL_PATCH_OPS_MAX operations.
 */
enum satchel_status ops_check(struct view ops);

/** Appends one field. */
enum status fields_append(struct buf *to, struct view name, struct view value) MUST_CHECK;

/** Appends one operation. */
enum status ops_append(struct buf *to, enum satchel_field_op op, struct view name,
                       struct view value) MUST_CHECK;

/** How many bytes one field takes. */
size_t fields_bytes(struct view name, struct view value);

/** Writes one field to `to`, which has room for fields_bytes(); returns that number. */
size_t fields_put(uint8_t *to, struct view name, struct view value);

/** The value of field `name`; false when it is not there. */
bool fields_find(struct view fields, struct view name, struct view *value);

/**
 * Applies `ops` in order to `old` and replaces what `content` holds by the result. `delta` (SET and
 * DELETE with final values: replaying it on `old` gives the same content) and `returned` (fields of
 * incremented and set-if-absent names with their values now) may be NULL. On a status other than OK
 * (NOT_A_NUMBER, OUT_OF_RANGE, TOO_LARGE, WRONG_KIND = `old` is not fields, BUSY = out of memory)
 * the buffers hold nothing of use. An empty `delta` means that nothing changes. INCREMENT counts an
 * absent field as 0. A field that is there before and after keeps its place; new ones follow in the
 * order in which they are first named. `ops` was checked. Both views must not point into the
 * buffers.
 */
enum satchel_status fields_patch(struct view old, struct view ops, uint64_t content_bytes_max,
                                 struct buf *content, struct buf *delta, struct buf *returned);
