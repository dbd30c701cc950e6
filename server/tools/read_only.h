/* File calls that cannot write. */
#pragma once

#include "base/file.h"

/**
 * Opens everything for reading only; what creates or changes anything fails with EROFS. lock()
 * takes none, because holding one would keep a store from starting, and succeeds: whether what was
 * read counts beside a store is looks.h's business. Syncing does nothing, since nothing here is
 * served. Any thread.
 */
extern const struct file_ops file_ops_read_only;
