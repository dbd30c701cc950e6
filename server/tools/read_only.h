/* File calls that cannot write. */
#pragma once

#include "base/file.h"

/**
 * Opens everything for reading only; what creates or changes anything fails with EROFS. lock()
 * takes none: it fails with EAGAIN when somebody else holds one. Syncing does nothing, since
 * nothing here is served. Any thread.
 */
extern const struct file_ops file_ops_read_only;
