#include "load/scenario.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "files.h"

enum { FILE_BYTES_MAX = 64 * 1024 };

/* The scenarios that are part of the program, which the build took from bench/scenarios. */
struct built_in {
    const char *file_name; /* "cart.conf" */
    const unsigned char *bytes;
    const size_t *count;
};

static const struct built_in built_ins[] = {
#define X(name, bytes) {name, bytes, &bytes##_bytes},
    EMBEDDED_FILES(X)
#undef X
};
enum { BUILT_IN_COUNT = sizeof built_ins / sizeof built_ins[0] };

static int name_len(const struct built_in *self)
{
    return (int)strcspn(self->file_name, ".");
}

static const struct built_in *find_built_in(const char *name)
{
    for (size_t i = 0; i < BUILT_IN_COUNT; i++) {
        size_t len = (size_t)name_len(&built_ins[i]);
        if (strlen(name) == len && strncmp(built_ins[i].file_name, name, len) == 0) {
            return &built_ins[i];
        }
    }
    return NULL;
}

/* A file of the user's: what looks like a path, and what is there. */
static bool is_file(const char *name)
{
    return strchr(name, '/') != NULL || access(name, F_OK) == 0;
}

/* The whole file as text; NULL with errno set. */
static char *read_text(const char *path)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return NULL;
    }
    char *text = malloc(FILE_BYTES_MAX + 1);
    size_t got = text == NULL ? 0 : fread(text, 1, FILE_BYTES_MAX + 1, file);
    int error = text == NULL ? ENOMEM : ferror(file) ? EIO : got > FILE_BYTES_MAX ? EFBIG : 0;
    (void)fclose(file);
    if (error != 0) {
        free(text);
        errno = error;
        return NULL;
    }
    text[got] = '\0';
    return text;
}

static char *trim(char *text)
{
    text += strspn(text, " \t\r");
    size_t len = strlen(text);
    while (len > 0 && strchr(" \t\r", text[len - 1]) != NULL) {
        len--;
    }
    text[len] = '\0';
    return text;
}

/* Takes one line `name = value`. False with the reason in `why`. */
static bool take_line(struct scenario *self, char *line, unsigned number, char *why,
                      size_t why_bytes)
{
    line[strcspn(line, "#")] = '\0';
    line = trim(line);
    if (*line == '\0') {
        return true;
    }
    char *equals = strchr(line, '=');
    if (equals == NULL) {
        (void)snprintf(why, why_bytes, "%s:%u: \"%s\" is not `name = value`", self->path, number,
                       line);
        return false;
    }
    *equals = '\0';
    const char *name = trim(line);
    size_t at = setting_find(name, strlen(name));
    if (at == SETTING_TOTAL || !settings[at].in_scenario) {
        (void)snprintf(why, why_bytes, "%s:%u: %s: \"%s\"", self->path, number,
                       at == SETTING_TOTAL ? "there is no such setting"
                                           : "this belongs on the command line",
                       name);
        return false;
    }
    if (self->values[at] != NULL) {
        (void)snprintf(why, why_bytes, "%s:%u: \"%s\" is set already in line %u", self->path,
                       number, name, self->lines[at]);
        return false;
    }
    self->values[at] = trim(equals + 1);
    self->lines[at] = number;
    return true;
}

/* Says that there is no such name, and which there are. */
static void tell_names(const char *name, char *why, size_t why_bytes)
{
    int len = snprintf(why, why_bytes, "scenario %.100s: there is no such file, and built in are",
                       name);
    for (size_t i = 0; i < BUILT_IN_COUNT && len >= 0 && (size_t)len < why_bytes; i++) {
        len += snprintf(why + len, why_bytes - (size_t)len, "%s %.*s", i == 0 ? "" : ",",
                        name_len(&built_ins[i]), built_ins[i].file_name);
    }
}

/* Finds the text, and what messages call the place. False with the reason in `why`. */
static bool find_text(struct scenario *self, const char *name, char *why, size_t why_bytes)
{
    const struct built_in *built_in = is_file(name) ? NULL : find_built_in(name);
    if (built_in == NULL && !is_file(name)) {
        tell_names(name, why, why_bytes);
        return false;
    }
    self->path = strdup(built_in == NULL ? name : built_in->file_name);
    if (self->path != NULL) {
        self->text = built_in == NULL ? read_text(name)
                                      : strndup((const char *)built_in->bytes, *built_in->count);
    }
    if (self->text == NULL) {
        (void)snprintf(why, why_bytes, "scenario %s: %s", name, strerror(errno));
    }
    return self->text != NULL;
}

bool scenario_read(struct scenario *self, const char *name, char *why, size_t why_bytes)
{
    *self = (struct scenario){.path = NULL};
    if (!find_text(self, name, why, why_bytes)) {
        return false;
    }
    unsigned number = 1;
    for (char *line = self->text, *next; line != NULL; line = next, number++) {
        next = strchr(line, '\n');
        if (next != NULL) {
            *next++ = '\0';
        }
        if (!take_line(self, line, number, why, why_bytes)) {
            return false;
        }
    }
    return true;
}

void scenario_free(struct scenario *self)
{
    free(self->path);
    free(self->text);
    *self = (struct scenario){.path = NULL};
}

void scenario_list(FILE *to)
{
    for (size_t i = 0; i < BUILT_IN_COUNT; i++) {
        const struct built_in *self = &built_ins[i];
        const unsigned char *end = memchr(self->bytes, '\n', *self->count);
        int len = end == NULL || self->bytes[0] != '#' ? 0 : (int)(end - self->bytes);
        fprintf(to, "%-16.*s%.*s\n", name_len(self), self->file_name, len == 0 ? 0 : len - 1,
                (const char *)self->bytes + 1);
    }
}
