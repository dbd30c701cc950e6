/*
 * The test vectors of docs/wire-protocol.md: reading them from the page, writing a frame as their
 * text and making a frame from their text. Knows the tags by the tables of protocol.h alone.
 */
#pragma once

#include <stdbool.h>

#include "base/bytes.h"
#include "satchel/protocol.h"

enum { VECTOR_NAME_BYTES = 64, VECTOR_TEXT_BYTES = 4096 };

struct vector {
    char name[VECTOR_NAME_BYTES];
    char text[VECTOR_TEXT_BYTES]; /* the lines after `--`, without `refused` */
    bool is_refused;
    enum satchel_status refused;
    struct buf frame; /* owned: the bytes in hex */
};

/** The whole page, zero-terminated; the caller frees it. */
char *vector_read_page(void);

/** Takes the next block off `*page` into `out`, whose old frame is freed; false at the end. */
bool vector_next(const char **page, struct vector *out);

/** Describes the one frame in `frame`; "malformed" when it is none. */
void vector_describe(struct view frame, char out[VECTOR_TEXT_BYTES]);

/** Appends the frame that `text` describes. */
void vector_build(const char *text, struct buf *out);

/** Appends the bytes of hex digits up to `end`; blanks are skipped. */
void vector_unhex(const char *hex, const char *end, struct buf *out);
