/* What is said about the process itself. */
#include "ops/process.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* The value of one sample, or -1 when it is not visited. */
struct wanted {
    const char *name;
    double value;
    unsigned times;
};

static void note(void *arg, const struct metric_sample *sample)
{
    struct wanted *wanted = arg;
    if (strcmp(sample->desc->name, wanted->name) == 0) {
        wanted->value = sample->value;
        wanted->times++;
    }
}

static double value_of(const char *name)
{
    struct wanted wanted = {.name = name, .value = -1};
    process_visit(note, &wanted);
    cr_assert(eq(uint, wanted.times, 1), "%s", name);
    return wanted.value;
}

Test(process, resident_memory_is_what_was_touched_and_virtual_what_was_mapped)
{
    enum { BYTES = 64 * 1024 * 1024 };
    double resident_before = value_of("process_resident_memory_bytes");
    double virtual_before = value_of("process_virtual_memory_bytes");
    char *bytes = mmap(NULL, BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    cr_assert(ne(ptr, bytes, MAP_FAILED));
    double resident_mapped = value_of("process_resident_memory_bytes") - resident_before;
    double virtual_mapped = value_of("process_virtual_memory_bytes") - virtual_before;
    memset(bytes, 1, BYTES);
    double resident_touched = value_of("process_resident_memory_bytes") - resident_before;
    cr_assert(lt(dbl, resident_mapped, 0.5 * BYTES));
    cr_assert(lt(dbl, 0.9 * BYTES, virtual_mapped));
    cr_assert(lt(dbl, virtual_mapped, 2.0 * BYTES));
    cr_assert(lt(dbl, 0.9 * BYTES, resident_touched));
    cr_assert(lt(dbl, resident_touched, 2.0 * BYTES));
    cr_assert(eq(int, munmap(bytes, BYTES), 0));
}

/* Asks for every possible descriptor, the slow way. */
static double count_open_fds(void)
{
    int count = 0;
    for (int fd = 0; fd < 4096; fd++) {
        count += fcntl(fd, F_GETFD) >= 0;
    }
    return count;
}

Test(process, open_files_are_counted)
{
    cr_assert(epsilon_eq(dbl, value_of("process_open_fds"), count_open_fds(), 0.1));
    int fds[10];
    for (int i = 0; i < 10; i++) {
        fds[i] = open("/dev/null", O_RDONLY);
    }
    cr_assert(epsilon_eq(dbl, value_of("process_open_fds"), count_open_fds(), 0.1));
    for (int i = 0; i < 10; i++) {
        (void)close(fds[i]);
    }
    cr_assert(lt(dbl, count_open_fds(), value_of("process_max_fds")));
}

Test(process, processor_time_is_what_was_burnt)
{
    double before = value_of("process_cpu_seconds_total");
    clock_t burn_until = clock() + CLOCKS_PER_SEC / 20;
    while (clock() < burn_until) {
    }
    double burnt = value_of("process_cpu_seconds_total") - before;
    cr_assert(burnt >= 0.05 && burnt < 1, "%g s", burnt);
}

Test(process, the_start_is_recent_and_does_not_move)
{
    double start = value_of("process_start_time_seconds");
    double now = (double)time(NULL);
    /* Every test is a process of its own; boot time is known to the second only. */
    cr_assert(start > now - 60 && start < now + 3, "started at %.2f, now is %.2f", start, now);
    cr_assert(epsilon_eq(dbl, value_of("process_start_time_seconds"), start, 1e-9));
}

Test(process, the_version_is_a_label)
{
    cr_assert(epsilon_eq(dbl, value_of("satchel_build_info"), 1, 0));
}
