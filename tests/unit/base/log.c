/* Log lines: their two forms, what cannot be forged, and what is cut or lost. */
#include "base/log.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Length of "2026-01-31T12:34:56.789Z". */
enum { TIME_LEN = 24 };

static int pipe_fds[2];

/* Standard error goes into a pipe from here on; every test is a process of its own. */
static void catch_stderr(void)
{
    cr_assert(eq(int, pipe2(pipe_fds, O_NONBLOCK), 0));
    cr_assert(eq(int, dup2(pipe_fds[1], STDERR_FILENO), STDERR_FILENO));
}

/* What was written since the last call. */
static const char *caught(void)
{
    static char text[8192];
    ssize_t len = read(pipe_fds[0], text, sizeof text - 1);
    text[len > 0 ? len : 0] = '\0';
    return text;
}

TestSuite(log, .init = catch_stderr);

Test(log, a_text_line_has_time_level_event_and_pairs)
{
    log_warn("disk is slow", "fsync_ms=%d file=%s", 250, "a.jnl");
    const char *line = caught();
    cr_assert(
        eq(sz, strlen(line), TIME_LEN + strlen(" warn disk is slow fsync_ms=250 file=a.jnl\n")));
    cr_assert(eq(str, (char *)line + TIME_LEN, " warn disk is slow fsync_ms=250 file=a.jnl\n"));
    int year, month, day, hour, minute, second, ms;
    cr_assert(eq(int,
                 sscanf(line, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ", &year, &month, &day, &hour, &minute,
                        &second, &ms),
                 7));
    log_info("started", NULL);
    cr_assert(eq(str, (char *)caught() + TIME_LEN, " info started\n"));
}

Test(log, levels_below_the_least_are_not_written)
{
    log_debug("quiet", NULL);
    cr_assert(eq(str, (char *)caught(), ""));
    log_configure(LOG_ERROR, LOG_TEXT);
    log_warn("quiet", NULL);
    cr_assert(eq(str, (char *)caught(), ""));
    log_configure(LOG_DEBUG, LOG_TEXT);
    log_debug("loud", NULL);
    cr_assert(eq(str, (char *)caught() + TIME_LEN, " debug loud\n"));
}

Test(log, a_json_line_has_the_same_pairs_with_their_types)
{
    char quoted[64];
    log_configure(LOG_INFO, LOG_JSON);
    log_error("cannot \"open\"", "file=%s n=-12 ratio=0.5 id=007 odd=1. word why=%s", "a.jnl",
              log_quoted(quoted, sizeof quoted, "no \"such\" file\n"));
    const char *line = caught();
    cr_assert(eq(int, memcmp(line, "{\"time\":\"2", 10), 0), "%s", line);
    cr_assert(eq(str, (char *)strstr(line, "\",\"level\""),
                 "\",\"level\":\"error\",\"event\":\"cannot \\\"open\\\"\",\"file\":\"a.jnl\","
                 "\"n\":-12,\"ratio\":0.5,\"id\":\"007\",\"odd\":\"1.\",\"word\":true,"
                 "\"why\":\"no \\\"such\\\" file\\u000a\"}\n"));
}

Test(log, nothing_a_client_sends_makes_a_second_line)
{
    log_warn("refused", "client=%s", "x\n2026-01-01T00:00:00.000Z error forged\r\x1b[2J\xff");
    const char *line = caught();
    cr_assert(eq(ptr, strchr(line, '\n'), (char *)line + strlen(line) - 1));
    cr_assert_null(strpbrk(line, "\r\x1b\xff"));
}

Test(log, quoted_text_is_escaped_and_cut_at_whole_characters)
{
    static const struct {
        const char *text;
        size_t out_bytes;
        const char *quoted;
    } cases[] = {
        {NULL, 10, "\"\""},
        {"", 3, "\"\""},
        {"plain text", 20, "\"plain text\""},
        {"a\"b\\c", 20, "\"a\\\"b\\\\c\""},
        {"tab\there", 30, "\"tab\\u0009here\""},
        {"\xc3\xa9\x7f", 30, "\"\\u00c3\\u00a9\\u007f\""},
        {"abcdef", 6, "\"abc\""},
        {"ab\"cd", 6, "\"ab\""},
        {"a\nb", 9, "\"a\""},
        {"a\nb", 10, "\"a\\u000a\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char out[40];
        memset(out, '#', sizeof out);
        const char *got = log_quoted(out, cases[i].out_bytes, cases[i].text);
        cr_assert(eq(ptr, (char *)got, out));
        cr_assert(eq(str, out, (char *)cases[i].quoted));
        cr_assert(eq(chr, out[cases[i].out_bytes], '#'), "case %zu wrote past its buffer", i);
    }
}

Test(log, a_line_that_is_too_long_is_cut_and_says_so)
{
    char huge[6000];
    memset(huge, 'x', sizeof huge - 1);
    huge[sizeof huge - 1] = '\0';
    log_info("long", "a=1 b=%s", huge);
    const char *line = caught();
    cr_assert(le(sz, strlen(line), 4096));
    cr_assert(eq(str, (char *)line + strlen(line) - 10, " cut=true\n"));

    /* In JSON a value that grows by its escapes past the line is left out as a whole. */
    memset(huge, '"', 1000);
    memset(huge + 1000, '\\', 1000);
    huge[2500] = '\0';
    log_configure(LOG_INFO, LOG_JSON);
    log_info("long", "a=1 b=x%s", huge);
    line = caught();
    cr_assert(le(sz, strlen(line), 4096));
    cr_assert(
        eq(str, (char *)strstr(line, "\"event\""), "\"event\":\"long\",\"a\":1,\"cut\":true}\n"));
}

Test(log, a_full_standard_error_loses_the_line_and_counts_it, .timeout = 20)
{
    /* The pipe may block like anybody's standard error: the line must be given up before that. */
    cr_assert(eq(int, fcntl(pipe_fds[1], F_SETFL, 0), 0));
    uint64_t lines = 0;
    while (log_lines_lost() == 0) {
        log_info("filling", NULL);
        lines++;
    }
    cr_assert(lt(u64, 100, lines));
    (void)caught();
    log_info("again", NULL);
    cr_assert(eq(u64, log_lines_lost(), 1));
}

Test(log, errno_stays_what_it_was)
{
    /* Writable by poll(), yet no write succeeds: open for reading only. */
    int fd = open("/dev/null", O_RDONLY);
    cr_assert(eq(int, dup2(fd, STDERR_FILENO), STDERR_FILENO));
    errno = ENOSPC;
    log_info("nobody listens", NULL);
    cr_assert(eq(int, errno, ENOSPC));
    cr_assert(eq(u64, log_lines_lost(), 1));
}
