/* A satcheld of a test's own. */
#include "support/server.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PATH_BYTES = 512, START_S_MAX = 60, POLL_NS = 1000000 };

static void path_of(const struct server *self, const char *name, char out[PATH_BYTES])
{
    (void)snprintf(out, PATH_BYTES, "%s/%s", self->directory, name);
}

/* In the child. */
static void run(const struct server *self, int log_fd)
{
    char data[PATH_BYTES];
    char run_dir[PATH_BYTES];
    path_of(self, "data", data);
    path_of(self, "run", run_dir);
    const char *argv[10 + SERVER_OPTIONS_MAX] = {
        self->binary,  "--data", self->data != NULL ? self->data : data,
        "--run-dir",   run_dir,  "--listen",
        "127.0.0.1:0", "--ops",  ""};
    size_t count = 9;
    for (size_t i = 0; self->options[i] != NULL; i++) {
        argv[count++] = self->options[i];
    }
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)dup2(log_fd, STDERR_FILENO);
    (void)execv(self->binary, (char *const *)(uintptr_t)argv);
    _exit(127);
}

void server_launch(struct server *self)
{
    assert(self->pid == 0);
    char path[PATH_BYTES];
    path_of(self, "log", path);
    int log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    struct stat info;
    if (log_fd < 0 || fstat(log_fd, &info) != 0) {
        (void)fprintf(stderr, "cannot write %s: %s\n", path, strerror(errno));
        exit(EXIT_FAILURE);
    }
    self->log_from = (long)info.st_size;
    self->pid = fork();
    if (self->pid == 0) {
        run(self, log_fd);
    }
    (void)close(log_fd);
    if (self->pid < 0) {
        (void)fprintf(stderr, "cannot fork: %s\n", strerror(errno));
        exit(EXIT_FAILURE);
    }
}

/* The log of the present run; the caller frees it. */
static char *read_log(const struct server *self)
{
    enum { LOG_BYTES_MAX = 256 * 1024 };
    char path[PATH_BYTES];
    path_of(self, "log", path);
    char *text = calloc(1, LOG_BYTES_MAX + 1);
    FILE *log = fopen(path, "r");
    if (text != NULL && log != NULL && fseek(log, self->log_from, SEEK_SET) == 0) {
        text[fread(text, 1, LOG_BYTES_MAX, log)] = '\0';
    }
    if (log != NULL) {
        (void)fclose(log);
    }
    return text;
}

void server_print_log(const struct server *self)
{
    char *text = read_log(self);
    (void)fprintf(stderr, "---- log of satcheld ----\n%s----\n", text == NULL ? "" : text);
    free(text);
}

/* True when it serves; its address is filled then. */
static bool has_served(struct server *self)
{
    char *text = read_log(self);
    const char *address = text == NULL ? NULL : strstr(text, "listen=");
    const char *serving = text == NULL ? NULL : strstr(text, "serving sessions=");
    bool both = address != NULL && serving != NULL && strchr(serving, '\n') != NULL;
    if (both) {
        (void)snprintf(self->address, sizeof self->address, "%.*s",
                       (int)strcspn(address + 7, " \n"), address + 7);
    }
    free(text);
    return both;
}

static int exit_code(int how)
{
    return WIFEXITED(how) ? WEXITSTATUS(how) : -WTERMSIG(how);
}

bool server_wait_start(struct server *self, int *code)
{
    time_t end = time(NULL) + START_S_MAX;
    *code = 0;
    while (!has_served(self)) {
        int how = 0;
        if (waitpid(self->pid, &how, WNOHANG) == self->pid) {
            self->pid = 0;
            *code = exit_code(how);
            return false;
        }
        if (time(NULL) > end) {
            return false;
        }
        (void)nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
    }
    return true;
}

bool server_wait_serving(struct server *self)
{
    int code = 0;
    bool serves = server_wait_start(self, &code);
    if (!serves) {
        (void)fprintf(stderr, "satcheld %s (%d)\n",
                      self->pid == 0 ? "ended instead of serving" : "does not come to serve", code);
        server_print_log(self);
    }
    return serves;
}

static int wait_end(struct server *self)
{
    int how = 0;
    while (waitpid(self->pid, &how, 0) < 0 && errno == EINTR) {
    }
    self->pid = 0;
    return exit_code(how);
}

void server_kill(struct server *self)
{
    if (self->pid != 0) {
        (void)kill(self->pid, SIGKILL);
        (void)wait_end(self);
    }
}

int server_stop(struct server *self)
{
    (void)kill(self->pid, SIGTERM);
    return wait_end(self);
}
