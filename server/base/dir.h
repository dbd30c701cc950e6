/* Making directories. */
#pragma once

#include <stddef.h>

#include "base/status.h"

/** Creates `path` and the parents it lacks, mode 0700. An existing directory is fine. */
enum status dir_make(const char *path, char *errmsg, size_t errmsg_bytes) MUST_CHECK;

/** A local directory private to this user, for lock files: made when absent, refused when somebody
 *  else could write it. The caller frees `*out`. */
enum status dir_make_private(char **out, char *errmsg, size_t errmsg_bytes) MUST_CHECK;
