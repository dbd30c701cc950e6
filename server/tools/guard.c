/* Children for what may crash, and what is shown meanwhile. */
#include "tools/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

void *guard_memory(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

/* Where progress goes: standard error as it was at first, if that is a terminal; -1: nowhere. */
static int progress_fd(void)
{
    static int fd = -2;
    if (fd == -2) {
        fd = isatty(STDERR_FILENO) ? fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3) : -1;
    }
    return fd;
}

void guard_show(const char *what, unsigned long long done)
{
    static struct timespec last;
    static bool is_shown;
    if (progress_fd() < 0) {
        return;
    }
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    long long since_ms = (long long)(now.tv_sec - last.tv_sec) * 1000 +
                         (now.tv_nsec - last.tv_nsec) / 1000000;
    if (what == NULL && is_shown) {
        (void)dprintf(progress_fd(), "\r\033[K");
        is_shown = false;
    } else if (what != NULL && since_ms >= 100) {
        (void)dprintf(progress_fd(), "\r\033[K%s: %llu", what, done);
        is_shown = true;
        last = now;
    }
}

static void become_quiet(void)
{
    const struct rlimit none = {0};
    (void)setrlimit(RLIMIT_CORE, &none);
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null >= 0) {
        (void)dup2(null, STDERR_FILENO);
    }
}

bool guard_run(int (*work)(void *arg), void *arg, int *code, char *how, size_t how_bytes)
{
    (void)progress_fd(); /* before the child closes its standard error */
    (void)fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        become_quiet();
        int result = work(arg);
        guard_show(NULL, 0);
        (void)fflush(stdout);
        _exit(result);
    }
    int ended = 0;
    while (pid > 0 && waitpid(pid, &ended, 0) < 0) {
        if (errno != EINTR) {
            pid = -1;
        }
    }
    if (pid < 0) {
        (void)snprintf(how, how_bytes, "no child process: %s", strerror(errno));
        return false;
    }
    if (WIFSIGNALED(ended)) {
        (void)snprintf(how, how_bytes, "signal %d, %s", WTERMSIG(ended),
                       strsignal(WTERMSIG(ended)));
        return false;
    }
    *code = WEXITSTATUS(ended);
    return true;
}
