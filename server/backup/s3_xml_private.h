/*
 * What the decoders share. XML is read by its leaves: what matters in these replies stands in
 * elements that hold only text, so a decoder is told each of those with the path to it,
 * "ListBucketResult/Contents/Key", and its text. The end of every other element is told as well,
 * with an empty text. Nobody but s3_xml*.c includes this.
 */
#pragma once

#include "backup/s3_xml.h"

/** Told at the end of each element; both live during the call. Anything but OK ends the reading. */
typedef enum status (*s3_xml_leaf_fn)(void *arg, const char *path, const char *text);

/** Reads all of it. CORRUPT, TOO_LARGE, NO_MEMORY, or what `leaf` answered. */
enum status s3_xml_leaves(struct view xml, s3_xml_leaf_fn leaf, void *arg) MUST_CHECK;

/** Copies a text that may be cut: at whole bytes, which is good enough for people. */
void s3_xml_copy_cut(char *out, size_t out_bytes, const char *text);

/** Copies one that may not: TOO_LARGE. */
enum status s3_xml_copy_whole(char *out, size_t out_bytes, const char *text) MUST_CHECK;

/** Turns %41 and + in a key into what they stand for, in place. A zero cannot be in a key. */
enum status s3_xml_decode_key(char *key) MUST_CHECK;
