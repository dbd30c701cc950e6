/* The store's directories: making them, and finding the data file. */
#pragma once

#include <stddef.h>

#include "base/file.h"
#include "base/status.h"

/** Creates `path` and the parents it lacks, mode 0700. An existing directory is fine. */
enum status dir_make(const char *path, char *errmsg, size_t errmsg_bytes) MUST_CHECK;

/** A local directory private to this user, for lock files: made when absent, refused when somebody
 *  else could write it. The caller frees `*out`. */
enum status dir_make_private(char **out, char *errmsg, size_t errmsg_bytes) MUST_CHECK;

/**
 * Finds `dir/data-<epoch>.mdb` with the highest epoch and touches nothing. NOT_FOUND: there is
 * neither a data file nor a journal. CORRUPT: a journal but no data file. IO: the directories
 * cannot be listed. The caller frees `*out`.
 */
enum status data_file_locate(const char *dir, const char *journal_dir, char **out, char *errmsg,
                             size_t errmsg_bytes) MUST_CHECK;

/**
 * Finds the data file like data_file_locate(), or creates an empty one, durably, when
 * neither a data file nor a journal is there. CORRUPT: there is a journal but no data file. The
 * caller frees `*out`.
 */
enum status data_file_find(const char *dir, const char *journal_dir, const struct file_ops *file,
                           char **out, char *errmsg, size_t errmsg_bytes) MUST_CHECK;
