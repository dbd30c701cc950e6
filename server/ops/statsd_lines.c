/* Lines of StatsD. */
#include "ops/statsd_lines.h"

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

enum { DIGITS = 12, DECIMALS_MAX = 30, MS_PER_S = 1000 };

/* Lines that have to go in one packet; most often one. */
struct line {
    char text[STATSD_PACKET_BYTES_MAX + 1];
    size_t len;
    bool is_cut; /* it did not fit */
};

static void put(struct line *self, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(struct line *self, const char *format, ...)
{
    const size_t room = sizeof self->text - self->len;
    va_list args;
    va_start(args, format);
    const int written = vsnprintf(self->text + self->len, room, format, args);
    va_end(args);
    self->is_cut = self->is_cut || written < 0 || (size_t)written >= room;
    self->len += self->is_cut ? 0 : (size_t)written;
}

/* Never with an exponent, which statsd reads over in a rate. Whole numbers are exact. */
static void put_number(struct line *self, double value)
{
    char text[400]; /* the largest double has 309 digits */
    int decimals = DIGITS;
    double size = fabs(value);
    while (size >= 1 && decimals > 0) {
        size /= 10;
        decimals--;
    }
    while (size > 0 && size < 0.1 && decimals < DECIMALS_MAX) {
        size *= 10;
        decimals++;
    }
    (void)snprintf(text, sizeof text, "%.*f", decimals, value);
    size_t len = strlen(text);
    while (decimals > 0 && text[len - 1] == '0') {
        len--;
    }
    len -= text[len - 1] == '.';
    put(self, "%.*s", (int)len, text);
}

/* What no dialect takes for a separator stays as it is. */
static void put_word(struct line *self, struct view word, bool may_have_points)
{
    for (size_t i = 0; i < word.len; i++) {
        const uint8_t byte = word.ptr[i];
        const bool is_plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                              (byte >= '0' && byte <= '9') || byte == '_' || byte == '-' ||
                              (byte == '.' && may_have_points);
        put(self, "%c", is_plain ? byte : '_');
    }
}

/* Takes the first label off `key="value",…`; the value as it stands, with its escapes. */
static bool next_label(const char **rest, struct view *key, struct view *value)
{
    const char *text = *rest;
    const size_t key_len = strcspn(text, "=");
    if (text[key_len] == '\0') {
        return false;
    }
    *key = view_of(text, key_len);
    text += key_len + strlen("=\"");
    const char *end = text;
    while (*end != '\0' && *end != '"') {
        end += end[0] == '\\' && end[1] != '\0' ? 2 : 1;
    }
    *value = view_of(text, (size_t)(end - text));
    end += *end == '"';
    *rest = end + (*end == ',');
    return true;
}

static void put_labels(struct line *self, const struct statsd_writer *writer, const char *labels)
{
    struct view key;
    struct view value;
    const char *before = "|#";
    while (next_label(&labels, &key, &value)) {
        switch (writer->dialect) {
        case STATSD_PLAIN:
            put(self, ".");
            break;
        case STATSD_GRAPHITE:
            put(self, ";%.*s=", (int)key.len, (const char *)key.ptr);
            break;
        case STATSD_DOGSTATSD:
            put(self, "%s%.*s:", before, (int)key.len, (const char *)key.ptr);
            before = ",";
            break;
        }
        put_word(self, value, writer->dialect != STATSD_PLAIN);
    }
}

/* A view without its last bytes, when these are `suffix`. */
static struct view without(struct view name, const char *suffix)
{
    const size_t len = strlen(suffix);
    const bool has_it = name.len >= len && memcmp(name.ptr + name.len - len, suffix, len) == 0;
    return view_of(name.ptr, has_it ? name.len - len : name.len);
}

static void put_name(struct line *self, const struct statsd_writer *writer,
                     const struct metric_desc *desc)
{
    static const char ours[] = "satchel_";
    const bool is_ours = strncmp(desc->name, ours, strlen(ours)) == 0;
    const bool is_timing = desc->type == METRIC_histogram && writer->dialect != STATSD_DOGSTATSD;
    struct view name = view_str(desc->name + (is_ours ? strlen(ours) : 0));
    if (desc->type == METRIC_counter) {
        name = without(name, "_total");
    } else if (is_timing) {
        name = without(name, "_seconds");
    }
    put(self, "%s%s%.*s%s", writer->prefix, writer->prefix[0] != '\0' ? "." : "", (int)name.len,
        (const char *)name.ptr, is_timing ? "_ms" : "");
    if (writer->dialect != STATSD_DOGSTATSD) {
        put_labels(self, writer, desc->labels);
    }
}

/* One line that stands for `events` things of that value. */
static void put_line(struct line *self, const struct statsd_writer *writer,
                     const struct metric_desc *desc, double value, const char *type, double events)
{
    put(self, "%s", self->len > 0 ? "\n" : "");
    put_name(self, writer, desc);
    put(self, ":");
    put_number(self, value);
    put(self, "|%s", type);
    if (events > 1) {
        put(self, "|@");
        put_number(self, 1 / events);
    }
    if (writer->dialect == STATSD_DOGSTATSD) {
        put_labels(self, writer, desc->labels);
    }
}

static void add_line(struct statsd_writer *self, const struct line *line)
{
    if (line->is_cut) {
        self->lines_lost++;
        return;
    }
    if (self->len > 0 && self->len + 1 + line->len > sizeof self->packet) {
        statsd_flush(self);
    }
    if (self->len > 0) {
        self->packet[self->len++] = '\n';
    }
    memcpy(self->packet + self->len, line->text, line->len);
    self->len += line->len;
}

static void write_line(struct statsd_writer *self, const struct metric_desc *desc, double value,
                       const char *type, double events)
{
    struct line line = {.len = 0};
    put_line(&line, self, desc, value, type, events);
    add_line(self, &line);
}

static void write_gauge(struct statsd_writer *self, const struct metric_sample *sample)
{
    struct line line = {.len = 0};
    if (sample->value < 0 && self->dialect != STATSD_DOGSTATSD) {
        put_line(&line, self, sample->desc, 0, "g", 1);
    }
    put_line(&line, self, sample->desc, sample->value, "g", 1);
    add_line(self, &line);
}

/* Where in a bucket a share of its values is, in seconds: they are taken to be spread evenly. The
 * last bucket has no upper bound, and is all at its lower one. */
static double bucket_value(unsigned bucket, double share)
{
    const double least = bucket > 0 ? metric_bucket_bound(bucket - 1) : 0;
    const double most = bucket + 1 < METRIC_BUCKETS ? metric_bucket_bound(bucket) : least;
    return least + (most - least) * share;
}

static void write_buckets(struct statsd_writer *self, const struct metric_sample *sample)
{
    /* Some receivers round 1 / rate down, so it has to be a little more than the count. */
    static const double little_more = 1 + 1e-9;
    for (unsigned i = 0; i < METRIC_BUCKETS; i++) {
        if (sample->buckets[i] > 0) {
            const double events = (double)sample->buckets[i];
            write_line(self, sample->desc, bucket_value(i, 0.5), "d",
                       events > 1 ? events * little_more : 1);
        }
    }
}

/* The value with `rank` others below it, in seconds. */
static double value_at(const struct metric_sample *sample, double rank)
{
    unsigned bucket = 0;
    while (bucket + 1 < METRIC_BUCKETS && rank >= (double)sample->buckets[bucket]) {
        rank -= (double)sample->buckets[bucket];
        bucket++;
    }
    return bucket_value(bucket, rank / (double)sample->buckets[bucket]);
}

static void write_timings(struct statsd_writer *self, const struct metric_sample *sample)
{
    const uint64_t lines = sample->count < STATSD_TIMINGS_MAX ? sample->count : STATSD_TIMINGS_MAX;
    const double events = (double)sample->count / (double)lines; /* for each line */
    for (uint64_t i = 0; i < lines; i++) {
        const double seconds = value_at(sample, ((double)i + 0.5) * events);
        write_line(self, sample->desc, seconds * MS_PER_S, "ms", events);
    }
}

void statsd_write(struct statsd_writer *self, const struct metric_sample *delta)
{
    switch (delta->desc->type) {
    case METRIC_counter:
        write_line(self, delta->desc, delta->value, "c", 1);
        break;
    case METRIC_gauge:
        write_gauge(self, delta);
        break;
    case METRIC_histogram:
        if (self->dialect == STATSD_DOGSTATSD) {
            write_buckets(self, delta);
        } else {
            write_timings(self, delta);
        }
        break;
    }
}

void statsd_flush(struct statsd_writer *self)
{
    if (self->len > 0) {
        self->send(self->arg, view_of(self->packet, self->len));
        self->len = 0;
    }
}
