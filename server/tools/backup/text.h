/* Times, durations and sizes for people. Pure; any thread. All return `out`. */
#pragma once

#include <stdint.h>

enum { TEXT_BYTES = 32 };

/** "2026-03-01 14:05:09 UTC"; `ms` since 1970. */
const char *text_time(char out[static TEXT_BYTES], int64_t ms);

/** "2026-03-01T14:05:09.123Z", for programs. */
const char *text_timestamp(char out[static TEXT_BYTES], int64_t ms);

/** "850 ms", "45 s", "12 min", "3 h 20 min", "8 d 4 h"; what is negative is "0 ms". */
const char *text_duration(char out[static TEXT_BYTES], int64_t ms);

/** "812 B", "1.4 KiB", "35 MiB". */
const char *text_size(char out[static TEXT_BYTES], uint64_t bytes);
