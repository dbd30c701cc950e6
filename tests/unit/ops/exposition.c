/* See exposition.h. */
#include "unit/ops/exposition.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FAMILIES_MAX = 200, SAMPLES_MAX = 2000, KEY_BYTES = 200 };

struct checker {
    char families[FAMILIES_MAX][KEY_BYTES];
    size_t family_count;
    char type[20];
    char samples[SAMPLES_MAX][KEY_BYTES]; /* name and labels */
    size_t sample_count;
    unsigned histograms;
    /* of the histogram that is being read */
    char series[KEY_BYTES]; /* its labels without le */
    double bound;
    double below;
};

static bool has_suffix(const char *text, const char *suffix)
{
    size_t len = strlen(text);
    size_t suffix_len = strlen(suffix);
    return len >= suffix_len && strcmp(text + len - suffix_len, suffix) == 0;
}

static void start_family(struct checker *self, const char *help, const char *type)
{
    char name[KEY_BYTES] = "";
    char typed[KEY_BYTES] = "";
    cr_assert(sscanf(help, "# HELP %199s", name) == 1, "no HELP but: %s", help);
    cr_assert(type != NULL && sscanf(type, "# TYPE %199s %19s", typed, self->type) == 2,
              "no TYPE behind: %s", help);
    cr_assert(strcmp(name, typed) == 0, "HELP of %s before TYPE of %s", name, typed);
    for (size_t i = 0; i < self->family_count; i++) {
        cr_assert(strcmp(self->families[i], name) != 0, "family %s stands twice", name);
    }
    cr_assert(self->family_count < FAMILIES_MAX);
    memcpy(self->families[self->family_count++], name, sizeof name);
    self->series[0] = '\0';
    self->bound = -HUGE_VAL;
}

static void check_bucket(struct checker *self, const char *labels, double value)
{
    const char *le = strstr(labels, "le=\"");
    cr_assert_not_null(le, "a bucket without le: %s", labels);
    char series[KEY_BYTES];
    (void)snprintf(series, sizeof series, "%.*s", (int)(le - labels), labels);
    if (isinf(self->bound)) { /* the first bucket of a series */
        memcpy(self->series, series, sizeof series);
        self->below = 0;
    }
    cr_assert(strcmp(series, self->series) == 0, "buckets of two series are mixed: %s", labels);
    double bound = strncmp(le + 4, "+Inf\"", 5) == 0 ? HUGE_VAL : strtod(le + 4, NULL);
    cr_assert(bound > self->bound || (isinf(self->bound) && bound < HUGE_VAL),
              "bounds do not ascend at %s", labels);
    cr_assert(value >= self->below, "counts fall at %s", labels);
    self->bound = bound;
    self->below = value;
}

static void check_sample(struct checker *self, const char *line)
{
    char name[KEY_BYTES];
    char labels[KEY_BYTES] = "";
    const char *space = strrchr(line, ' ');
    cr_assert_not_null(space, "no value: %s", line);
    size_t key_len = (size_t)(space - line);
    size_t name_len = strcspn(line, "{ ");
    cr_assert(key_len < KEY_BYTES && self->sample_count < SAMPLES_MAX);
    (void)snprintf(name, sizeof name, "%.*s", (int)name_len, line);
    (void)snprintf(labels, sizeof labels, "%.*s", (int)(key_len - name_len), line + name_len);
    char *end;
    double value = strtod(space + 1, &end);
    cr_assert(end > space + 1 && *end == '\0', "no number: %s", line);

    char *key = self->samples[self->sample_count++];
    (void)snprintf(key, KEY_BYTES, "%.*s", (int)key_len, line);
    for (size_t i = 0; i + 1 < self->sample_count; i++) {
        cr_assert(strcmp(self->samples[i], key) != 0, "sample %s stands twice", key);
    }

    cr_assert(self->family_count > 0, "a sample before any family: %s", line);
    const char *family = self->families[self->family_count - 1];
    if (strcmp(self->type, "histogram") != 0) {
        cr_assert(strcmp(name, family) == 0, "sample %s in family %s", name, family);
        return;
    }
    cr_assert(strncmp(name, family, strlen(family)) == 0, "sample %s in family %s", name, family);
    if (has_suffix(name, "_bucket")) {
        check_bucket(self, labels, value);
    } else if (has_suffix(name, "_count")) {
        cr_assert(isinf(self->bound) && self->bound > 0, "no +Inf before %s", line);
        cr_assert(value == self->below, "+Inf is %g but: %s", self->below, line);
        self->histograms++;
        self->bound = -HUGE_VAL;
    } else {
        cr_assert(has_suffix(name, "_sum"), "unexpected in a histogram: %s", line);
    }
}

unsigned check_exposition(const char *text)
{
    struct checker *checker = calloc(1, sizeof *checker);
    char *copy = strdup(text);
    char *rest = NULL;
    cr_assert(text[0] != '\0' && text[strlen(text) - 1] == '\n', "no line feed at the end");
    for (char *line = strtok_r(copy, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        if (line[0] == '#') {
            start_family(checker, line, strtok_r(NULL, "\n", &rest));
        } else {
            check_sample(checker, line);
        }
    }
    unsigned histograms = checker->histograms;
    free(copy);
    free(checker);
    return histograms;
}

/* An unnamed file with the text, to be read from its start. */
static FILE *file_of(const char *text)
{
    FILE *file = tmpfile();
    cr_assert(file != NULL && fputs(text, file) >= 0 && fflush(file) == 0);
    rewind(file);
    return file;
}

void check_with_promtool(const char *text)
{
    char report[4000] = "";
    FILE *input = file_of(text);
    FILE *output = file_of("");
    pid_t child = fork();
    cr_assert(child >= 0);
    if (child == 0) {
        (void)dup2(fileno(input), STDIN_FILENO);
        (void)dup2(fileno(output), STDOUT_FILENO);
        (void)dup2(fileno(output), STDERR_FILENO);
        (void)execlp("promtool", "promtool", "check", "metrics", (char *)NULL);
        perror("cannot run promtool (Debian package prometheus)");
        _exit(127);
    }
    int wait_status = 0;
    cr_assert(waitpid(child, &wait_status, 0) == child);
    rewind(output);
    size_t len = fread(report, 1, sizeof report - 1, output);
    (void)fclose(input);
    (void)fclose(output);
    cr_assert(WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0 && len == 0,
              "promtool ended with %d: %s", WEXITSTATUS(wait_status), report);
}
