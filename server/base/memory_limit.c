/*
 * Control groups, as in cgroups(7). /proc/self/cgroup names the group of each hierarchy:
 *
 *     0::/ecs/0f3c/store          version 2, mounted at /sys/fs/cgroup
 *     5:memory:/ecs/0f3c/store    version 1, mounted at /sys/fs/cgroup/memory
 *
 * A container may be shown a path that exists outside of it only; then the group that counts is
 * what is mounted as the root. So each path is walked up to the root, and what is not there is
 * passed over.
 */
#include "base/memory_limit.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES = 512 };

static uint64_t least_of(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The number behind `key` in the file (key "": the file is a number); UINT64_MAX: there is none,
 * as where it says "max". */
static uint64_t number_in(const char *path, const char *key)
{
    char line[LINE_BYTES];
    uint64_t found = UINT64_MAX;
    size_t key_len = strlen(key);
    FILE *file = fopen(path, "re");
    while (file != NULL && found == UINT64_MAX && fgets(line, sizeof line, file) != NULL) {
        const char *text = line + key_len;
        if (strncmp(line, key, key_len) != 0) {
            continue;
        }
        text += strspn(text, " ");
        char *end = NULL;
        errno = 0;
        unsigned long long number = strtoull(text, &end, 10);
        bool is_number = text[0] >= '0' && text[0] <= '9' && errno == 0 && number != 0;
        found = is_number ? number : UINT64_MAX;
    }
    if (file != NULL) {
        (void)fclose(file); /* only read from */
    }
    return found;
}

/* A file of control groups that tells a limit. */
struct limit_file {
    const char *name;
    const char *key;
};

static const struct limit_file files_v1[] = {
    {"memory.limit_in_bytes", ""}, {"memory.stat", "hierarchical_memory_limit"}, {NULL, NULL}};
static const struct limit_file files_v2[] = {{"memory.max", ""}, {NULL, NULL}};

/* The smallest limit from `group` (which is taken apart) up to the root of the hierarchy. */
static uint64_t limit_above(const char *root, const char *mount, char *group,
                            const struct limit_file *files)
{
    uint64_t limit = UINT64_MAX;
    for (char *end = group + strlen(group); end != NULL; end = strrchr(group, '/')) {
        *end = '\0';
        for (const struct limit_file *file = files; file->name != NULL; file++) {
            char path[PATH_MAX];
            (void)snprintf(path, sizeof path, "%s%s%s/%s", root, mount, group, file->name);
            limit = least_of(limit, number_in(path, file->key));
        }
    }
    return limit;
}

/* Whether "cpu,memory" has "memory". */
static bool names_memory(const char *controllers)
{
    static const char memory[] = "memory";
    for (const char *at = controllers; *at != '\0'; at += at[0] == ',') {
        size_t len = strcspn(at, ",");
        if (len == sizeof memory - 1 && memcmp(at, memory, len) == 0) {
            return true;
        }
        at += len;
    }
    return false;
}

/* "5:cpu,memory:/ecs/0f3c" */
static uint64_t limit_of_line(const char *root, char *line)
{
    line[strcspn(line, "\n")] = '\0';
    char *controllers = strchr(line, ':');
    char *group = controllers == NULL ? NULL : strchr(controllers + 1, ':');
    if (group == NULL || group[1] != '/') {
        return UINT64_MAX;
    }
    *group++ = '\0';
    controllers++;
    if (controllers[0] == '\0') {
        return limit_above(root, "/sys/fs/cgroup", group, files_v2);
    }
    return names_memory(controllers) ? limit_above(root, "/sys/fs/cgroup/memory", group, files_v1)
                                     : UINT64_MAX;
}

struct memory_limit memory_limit_read(const char *root)
{
    char path[PATH_MAX];
    char line[PATH_MAX + LINE_BYTES];
    uint64_t container = UINT64_MAX;
    (void)snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        container = least_of(container, limit_of_line(root, line));
    }
    if (file != NULL) {
        (void)fclose(file); /* only read from */
    }
    (void)snprintf(path, sizeof path, "%s/proc/meminfo", root);
    uint64_t machine_kib = number_in(path, "MemTotal:");
    uint64_t machine = machine_kib > UINT64_MAX / 1024 ? UINT64_MAX : machine_kib * 1024;
    if (least_of(container, machine) == UINT64_MAX) {
        return (struct memory_limit){.source = "unknown"};
    }
    return container < machine ? (struct memory_limit){container, "container"}
                               : (struct memory_limit){machine, "machine"};
}
