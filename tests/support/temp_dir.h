/* Directories for tests: made fresh, copied while in use, removed. Every function ends the process
 * when it cannot do its work. */
#pragma once

#include "base/bytes.h"

enum { TEMP_DIR_BYTES = 64 };

/** Makes an empty directory and writes its path. */
void temp_dir_make(char out[TEMP_DIR_BYTES]);

/** Removes it with everything below. */
void temp_dir_remove(const char *path);

/** Copies the files of the directory `from` (not those below) to `to`, which it makes when absent.
 * A file that goes away meanwhile is left out. */
void temp_dir_copy(const char *from, const char *to);

/** How many files of the directory end in `suffix`. */
unsigned temp_dir_count(const char *path, const char *suffix);

/** Reads a whole file into an empty buffer that the caller frees. */
void temp_file_read(struct buf *out, const char *path);

/** Makes or replaces a file. */
void temp_file_write(const char *path, struct view bytes);
