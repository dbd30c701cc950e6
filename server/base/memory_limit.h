/* How much memory this process may use before the kernel ends it. */
#pragma once

#include <stdint.h>

struct memory_limit {
    uint64_t bytes;     /* 0: nothing could be read */
    const char *source; /* a literal: "container", "machine" or "unknown" */
};

/**
 * The smallest of the machine's memory and of the limits of all control groups around this process,
 * as far as they are visible from where it runs: of version 2 (memory.max), and of version 1
 * (memory.limit_in_bytes, and what memory.stat says of groups further up, which a container cannot
 * see otherwise). `root` is "" or where tests keep another /proc and /sys. A few small files are
 * read; what is missing or makes no sense counts as no limit. Any thread.
 */
struct memory_limit memory_limit_read(const char *root);
