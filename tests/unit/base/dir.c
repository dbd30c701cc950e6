/* Making directories, durably and privately. */
#include "base/dir.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char base[] = "/tmp/satchel-dir-XXXXXX";

static void make_base(void)
{
    cr_assert_not_null(mkdtemp(base));
}

static mode_t mode_of(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode) ? info.st_mode & 07777 : 0;
}

Test(dir, parents_are_made_and_nobody_else_may_look_in)
{
    static const char *const tails[] = {"a", "b/c/d", "b/c/e/", "f//g", "b/c/d"};
    char errmsg[256] = "";
    char path[128];
    make_base();
    (void)umask(0);
    for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", base, tails[i]);
        cr_assert(eq(int, dir_make(path, errmsg, sizeof errmsg), STATUS_OK), "%s", errmsg);
        cr_assert(eq(uint, mode_of(path), 0700), "%s", path);
    }
    cr_assert(eq(int, chdir(base), 0));
    cr_assert(eq(int, dir_make("relative/one", errmsg, sizeof errmsg), STATUS_OK), "%s", errmsg);
    cr_assert(eq(uint, mode_of("relative/one"), 0700));
    cr_assert(eq(int, dir_make("/", errmsg, sizeof errmsg), STATUS_OK), "%s", errmsg);
    cr_assert(eq(int, dir_make(".", errmsg, sizeof errmsg), STATUS_OK), "%s", errmsg);
    (void)snprintf(path, sizeof path, "rm -r %s", base);
    cr_assert(eq(int, system(path), 0)); /* NOLINT(cert-env33-c): a path of our own */
}

Test(dir, what_is_in_the_way_is_told)
{
    char errmsg[256] = "";
    char file[64];
    char below[80];
    make_base();
    (void)snprintf(file, sizeof file, "%s/file", base);
    (void)snprintf(below, sizeof below, "%s/dir", file);
    FILE *made = fopen(file, "w");
    cr_assert_not_null(made);
    cr_assert(eq(int, fclose(made), 0));
    const char *const paths[] = {file, below};
    for (size_t i = 0; i < 2; i++) {
        cr_assert(eq(int, dir_make(paths[i], errmsg, sizeof errmsg), STATUS_IO));
        cr_assert(ne(ptr, strstr(errmsg, paths[i]), NULL), "%s", errmsg);
        cr_assert(ne(ptr, strstr(errmsg, "Not a directory"), NULL), "%s", errmsg);
    }
    cr_assert(eq(int, unlink(file), 0));
    cr_assert(eq(int, rmdir(base), 0));
}

enum trap { NOTHING, OURS, READABLE, WRITABLE, A_LINK, A_FILE, ANOTHERS };

/* As a user whom nobody else on this machine is: 0 when the answer is right. */
static int try_as(uid_t user, enum trap trap, bool is_fine)
{
    char path[64];
    char target[80];
    char errmsg[256] = "";
    char *made = NULL;
    (void)snprintf(path, sizeof path, "/tmp/satchel-%u", (unsigned)user);
    (void)snprintf(target, sizeof target, "%s.target", path);
    (void)umask(0);
    if ((trap == ANOTHERS && mkdir(path, 0700) != 0) || setresuid(user, user, 0) != 0) {
        return 1;
    }
    int rc = 0;
    if (trap == OURS || trap == READABLE || trap == WRITABLE) {
        rc = mkdir(path, trap == OURS ? 0700 : trap == READABLE ? 0750 : 0702);
    } else if (trap == A_LINK) {
        rc = mkdir(target, 0700) == 0 ? symlink(target, path)
                                      : -1; /* ours, but the link may move */
    } else if (trap == A_FILE) {
        FILE *file = fopen(path, "w");
        rc = file == NULL ? -1 : fclose(file);
    }
    enum status status = dir_make_private(&made, errmsg, sizeof errmsg);
    bool right = is_fine ? status == STATUS_OK && strcmp(made, path) == 0 && mode_of(path) == 0700
                         : status == STATUS_INVALID && strstr(errmsg, path) != NULL &&
                               strstr(errmsg, "--run-dir") != NULL;
    free(made);
    rc = setresuid(0, 0, 0) == 0 ? rc : -1;
    (void)remove(path);
    (void)rmdir(target);
    return rc == 0 && right ? 0 : 2;
}

Test(dir, a_private_one_is_ours_alone)
{
    static const struct {
        enum trap trap;
        bool is_fine;
    } cases[] = {{NOTHING, true}, {OURS, true},    {READABLE, false}, {WRITABLE, false},
                 {A_LINK, false}, {A_FILE, false}, {ANOTHERS, false}};
    if (geteuid() != 0) {
        cr_skip_test("only root can be somebody else");
    }
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pid_t child = fork();
        cr_assert(ge(int, child, 0));
        if (child == 0) {
            _exit(try_as(UINT32_C(0x60000000) + (uid_t)getpid(), cases[i].trap, cases[i].is_fine));
        }
        int status = 0;
        cr_assert(eq(int, waitpid(child, &status, 0), child));
        cr_assert(eq(int, status, 0), "case %zu", i);
    }
}
