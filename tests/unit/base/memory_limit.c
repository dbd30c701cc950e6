/* The limit of memory, read from control groups of our making. */
#include "base/memory_limit.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "support/temp_dir.h"

enum { FILES_MAX = 6 };

struct given {
    const char *path; /* below the root */
    const char *text;
};

static void write_file(const char *root, const struct given *given)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s%s", root, given->path);
    for (char *slash = strchr(path + strlen(root) + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0700); /* may exist */
        *slash = '/';
    }
    temp_file_write(path, view_str(given->text));
}

#define GIB "1073741824"
#define UNLIMITED_V1 "9223372036854771712\n"
#define MACHINE                                                                                    \
    {                                                                                              \
        "/proc/meminfo", "MemTotal:        8388608 kB\nMemFree: 1 kB\n"                            \
    }
#define GROUP_V2                                                                                   \
    {                                                                                              \
        "/proc/self/cgroup", "0::/ecs/task/store\n"                                                \
    }
#define GROUP_V1                                                                                   \
    {                                                                                              \
        "/proc/self/cgroup", "7:cpu,memory:/ecs/task\n1:name=systemd:/\n0::/\n"                    \
    }

Test(memory_limit, it_is_the_smallest_on_the_way_up)
{
    static const uint64_t gib = UINT64_C(1) << 30;
    static const struct {
        const char *name;
        uint64_t bytes;
        const char *source;
        struct given files[FILES_MAX];
    } cases[] = {
        {"nothing is there", 0, "unknown", {{0}}},
        {"only the machine", 8 * gib, "machine", {MACHINE}},
        {"no limit",
         8 * gib,
         "machine",
         {MACHINE, GROUP_V2, {"/sys/fs/cgroup/ecs/task/store/memory.max", "max\n"}}},
        {"its own group",
         gib,
         "container",
         {MACHINE, GROUP_V2, {"/sys/fs/cgroup/ecs/task/store/memory.max", GIB "\n"}}},
        {"a group above",
         gib,
         "container",
         {MACHINE,
          GROUP_V2,
          {"/sys/fs/cgroup/ecs/task/store/memory.max", "max\n"},
          {"/sys/fs/cgroup/ecs/task/memory.max", GIB "\n"}}},
        {"the smallest of two",
         gib,
         "container",
         {MACHINE,
          GROUP_V2,
          {"/sys/fs/cgroup/ecs/task/store/memory.max", "4294967296\n"},
          {"/sys/fs/cgroup/ecs/memory.max", GIB "\n"}}},
        {"a path of the host, the limit at the root",
         gib,
         "container",
         {MACHINE, GROUP_V2, {"/sys/fs/cgroup/memory.max", GIB "\n"}}},
        {"version 1",
         gib,
         "container",
         {MACHINE, GROUP_V1, {"/sys/fs/cgroup/memory/ecs/task/memory.limit_in_bytes", GIB "\n"}}},
        {"version 1, mounted as the root",
         gib,
         "container",
         {MACHINE, GROUP_V1, {"/sys/fs/cgroup/memory/memory.limit_in_bytes", GIB "\n"}}},
        {"version 1 without a limit",
         8 * gib,
         "machine",
         {MACHINE, GROUP_V1, {"/sys/fs/cgroup/memory/memory.limit_in_bytes", UNLIMITED_V1}}},
        {"version 1, a group that cannot be seen",
         gib,
         "container",
         {MACHINE,
          GROUP_V1,
          {"/sys/fs/cgroup/memory/memory.limit_in_bytes", UNLIMITED_V1},
          {"/sys/fs/cgroup/memory/memory.stat",
           "cache 1\nhierarchical_memory_limit " GIB "\ntotal_cache 1\n"}}},
        {"more than the machine has",
         8 * gib,
         "machine",
         {MACHINE, GROUP_V2, {"/sys/fs/cgroup/memory.max", "1099511627776\n"}}},
        {"garbage",
         8 * gib,
         "machine",
         {MACHINE,
          {"/proc/self/cgroup", "nonsense\n0::\n::/\n5:memory:/a\n0::/b\n"},
          {"/sys/fs/cgroup/b/memory.max", "-5\n"},
          {"/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "99999999999999999999999\n"},
          {"/sys/fs/cgroup/memory.max", "\n"}}},
        {"no machine", gib, "container", {GROUP_V2, {"/sys/fs/cgroup/memory.max", GIB "\n"}}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char root[TEMP_DIR_BYTES];
        temp_dir_make(root);
        for (size_t f = 0; f < FILES_MAX && cases[i].files[f].path != NULL; f++) {
            write_file(root, &cases[i].files[f]);
        }
        struct memory_limit limit = memory_limit_read(root);
        cr_assert(eq(u64, limit.bytes, cases[i].bytes), "%s", cases[i].name);
        cr_assert(eq(str, (char *)limit.source, (char *)cases[i].source), "%s", cases[i].name);
        temp_dir_remove(root);
    }
}

Test(memory_limit, this_process_has_one)
{
    struct memory_limit limit = memory_limit_read("");
    cr_assert(lt(u64, 1 << 20, limit.bytes));
}
