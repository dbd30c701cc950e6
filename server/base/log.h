/*
 * Log lines on standard error: one line an event, `time level event key=value …` or JSON.
 * Values are quoted and escaped where needed, so nothing a client sends can forge a line.
 * A line is written with one write(2); a blocked or full stderr loses the line, never stalls for
 * a lock. Secrets and session contents are never logged; session ids are not either.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_TEXT, LOG_JSON };

/** Sets what is written from now on. Call before threads start. */
void log_configure(enum log_level least, enum log_format format);

/**
 * Writes one line. `event` is a short sentence in lower case; `format` describes the pairs as
 * printf-style text of the form "key=%s other=%d" whose values hold no spaces or quotes, or use
 * log_quoted() for those which may. NULL: no pairs. Any thread.
 */
void log_line(enum log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)

/** Lines that standard error did not take since the process started. Any thread. */
uint64_t log_lines_lost(void);

/**
 * Writes `text` (NULL: "") as a quoted string into `out` (cut to fit `out_bytes`, at least 3,
 * always terminated) and returns `out`. Printable ASCII stands as it is, " and \ behind a \, every
 * other byte as \u00XX, so the result is a JSON string as well. Any thread.
 */
const char *log_quoted(char *out, size_t out_bytes, const char *text);
