/* The data files: DIR/data-<epoch>.mdb. The highest epoch counts; one that is being made ends in
 * ".new" until it is whole. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/file.h"
#include "base/status.h"

/**
 * Finds `dir/data-<epoch>.mdb` with the highest epoch and touches nothing. NOT_FOUND: there is
 * neither a data file nor a journal. CORRUPT: a journal but no data file, or one of an import that
 * was cut short. IO: the directories cannot be listed. The caller frees `*out`.
 */
enum status data_file_locate(const char *dir, const char *journal_dir, char **out, char *errmsg,
                             size_t errmsg_bytes) MUST_CHECK;

/** Whether there is a data file that was begun and never finished, and no whole one. False also
 * when the directory cannot be listed. */
bool data_file_is_begun(const char *dir);

/** Whether a name is that of a data file, and of which; `*is_whole` is false for one that is being
 *  made. */
bool data_file_parse_name(const char *name, uint64_t *epoch, bool *is_whole);

/** "dir/data-<epoch>.mdb", or with ".new" behind it; the caller frees it. NULL: out of memory. */
char *data_file_path(const char *dir, uint64_t epoch, bool is_whole);

/** Gives a finished file its name, durably. IO, NO_SPACE: errno is set. */
enum status data_file_publish(const char *dir, const char *unfinished, const char *path,
                              const struct file_ops *file) MUST_CHECK;

/** Removes the data files of epochs before `keep`, and those up to it that were never finished.
 * What is later is not touched: an owner that was replaced and does not know it must not remove its
 * successor's. IO: errno is set. */
enum status data_files_tidy(const char *dir, uint64_t keep, const struct file_ops *file) MUST_CHECK;
