#include "load/scenario.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILE_BYTES_MAX = 64 * 1024 };

static const char ENDING[] = ".conf";

/* `name` itself when it looks like a path or is a file here, else the file of that name where the
 * project keeps them. NULL: out of memory. */
static char *find_file(const char *name)
{
    char *path = NULL;
    if (strchr(name, '/') != NULL || access(name, F_OK) == 0) {
        return strdup(name);
    }
    return asprintf(&path, "%s/%s%s", SATCHEL_SCENARIO_DIR, name, ENDING) < 0 ? NULL : path;
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

bool scenario_read(struct scenario *self, const char *name, char *why, size_t why_bytes)
{
    *self = (struct scenario){.path = find_file(name)};
    if (self->path != NULL) {
        self->text = read_text(self->path);
    }
    if (self->text == NULL) {
        (void)snprintf(why, why_bytes, "scenario %s: %s", self->path == NULL ? name : self->path,
                       strerror(errno));
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

/* Prints one line about the file, when it is a scenario. */
static bool list_one(const char *file_name, FILE *to)
{
    size_t len = strlen(file_name);
    size_t ending = sizeof ENDING - 1;
    char *path = NULL;
    if (len <= ending || strcmp(file_name + len - ending, ENDING) != 0 ||
        asprintf(&path, "%s/%s", SATCHEL_SCENARIO_DIR, file_name) < 0) {
        return false;
    }
    char *text = read_text(path);
    free(path);
    if (text == NULL) {
        return false;
    }
    text[strcspn(text, "\n")] = '\0';
    fprintf(to, "%-16.*s %s\n", (int)(len - ending), file_name, *text == '#' ? trim(text + 1) : "");
    free(text);
    return true;
}

bool scenario_list(FILE *to)
{
    struct dirent **entries;
    bool any = false;
    int count = scandir(SATCHEL_SCENARIO_DIR, &entries, NULL, alphasort);
    if (count < 0) {
        return false;
    }
    for (int i = 0; i < count; i++) {
        any = list_one(entries[i]->d_name, to) || any;
        free(entries[i]);
    }
    free(entries);
    return any;
}
