/* How far a long command is. */
#include "tools/backup/progress.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "tools/backup/text.h"

enum { TERMINAL_MS = 100, LINE_MS = 10000, RATE_MS_MIN = 1000, PART_BYTES = 64 };

static int64_t ms_between(int64_t from_ns, int64_t to_ns)
{
    return (to_ns - from_ns) / 1000000;
}

void progress_init(struct progress *self, bool for_program)
{
    bool is_terminal = isatty(STDERR_FILENO) == 1;
    *self = (struct progress){.is_terminal = is_terminal, .is_silent = for_program && !is_terminal};
}

void progress_begin(struct progress *self, const char *what, enum progress_unit unit)
{
    progress_end(self);
    self->what = what;
    self->unit = unit;
    self->begin_ns = clock_mono_ns(&clock_system);
    self->shown_ns = self->begin_ns;
}

static const char *amount(char out[static TEXT_BYTES], enum progress_unit unit, uint64_t number)
{
    if (unit == PROGRESS_BYTES) {
        return text_size(out, number);
    }
    (void)snprintf(out, TEXT_BYTES, "%" PRIu64, number);
    return out;
}

/* " of 3.4 GiB, 35 %" */
static void describe_part(const struct progress *self, uint64_t done, uint64_t total,
                          char out[static PART_BYTES])
{
    char text[TEXT_BYTES];
    out[0] = '\0';
    if (total != 0) {
        double part = done < total ? (double)done / (double)total : 1;
        (void)snprintf(out, PART_BYTES, " of %s, %.0f %%", amount(text, self->unit, total),
                       part * 100);
    }
}

/* ", 120 MiB/s, 19 s left": by what was done so far, which says nothing at first. */
static void describe_rate(const struct progress *self, uint64_t done, uint64_t total,
                          int64_t past_ms, char out[static PART_BYTES])
{
    char text[TEXT_BYTES];
    int len = 0;
    out[0] = '\0';
    if (past_ms < RATE_MS_MIN || done == 0) {
        return;
    }
    double rate = (double)done / (double)past_ms;
    if (self->unit == PROGRESS_BYTES) {
        len = snprintf(out, PART_BYTES, ", %s/s", text_size(text, (uint64_t)(rate * 1000)));
    }
    if (done < total) {
        int64_t left_ms = (int64_t)((double)(total - done) / rate);
        (void)snprintf(out + len, PART_BYTES - (size_t)len, ", %s left",
                       text_duration(text, left_ms - left_ms % 1000 + 1000));
    }
}

void progress_show(struct progress *self, uint64_t done, uint64_t total)
{
    if (self->is_silent || self->what == NULL) {
        return;
    }
    int64_t now_ns = clock_mono_ns(&clock_system);
    if (ms_between(self->shown_ns, now_ns) < (self->is_terminal ? TERMINAL_MS : LINE_MS)) {
        return;
    }
    char text[TEXT_BYTES];
    char part[PART_BYTES];
    char rate[PART_BYTES];
    describe_part(self, done, total, part);
    describe_rate(self, done, total, ms_between(self->begin_ns, now_ns), rate);
    (void)fprintf(stderr, "%s%s: %s%s%s%s", self->is_terminal ? "\r\033[K" : "", self->what,
                  amount(text, self->unit, done), part, rate, self->is_terminal ? "" : "\n");
    (void)fflush(stderr);
    self->shown_ns = now_ns;
    self->is_shown = self->is_terminal;
}

void progress_end(struct progress *self)
{
    if (self->is_shown) {
        (void)fputs("\r\033[K", stderr);
        (void)fflush(stderr);
    }
    self->is_shown = false;
    self->what = NULL;
}
