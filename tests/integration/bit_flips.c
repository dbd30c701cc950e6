/*
 * bit_flips --satcheld PROGRAM --satchel PROGRAM
 *
 * A store is filled and killed; `satchel verify` has to call it sound, with the right counts. Then
 * single bits of its files are flipped, each in a fresh copy, and two questions asked:
 *
 *     does verify report it?       does satcheld start on it, and what does it answer?
 *
 * A wrong answer is never right, nor is an old one. Silence about a flip is right only when
 * satcheld starts and knows everything; so the store is killed when its journal was idle for a
 * moment and says behind the last change that it was durable. A flip in that note itself is
 * harmless.
 *
 * SATCHEL_BIT_FLIPS: how many (default 150); SATCHEL_SEED: which (default 1). Three of ten go where
 * trees are held together, meta and branch pages, which are few among the bytes, and one into the
 * journal's end.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "flips_model.h"
#include "support/pattern.h"
#include "support/require.h"
#include "support/temp_dir.h"

enum {
    FILES_MAX = 64,
    PATH_MAX_BYTES = 512,
    FLIPS = 150,
    PAGE_BYTES = 4096,
    META_END = 152,
    LAST_FRAME_BYTES = 140 /* the last one with a change, and the note behind it */
};

struct file {
    char name[128]; /* below the data directory */
    struct buf bytes;
};

struct flips {
    const char *satcheld;
    const char *satchel;
    char dir[TEMP_DIR_BYTES]; /* of the copies: data, run, log */
    struct flips_model *model;
    struct file files[FILES_MAX]; /* as the SIGKILL left them */
    size_t file_count;
    uint64_t random;

    /* What came of it. */
    unsigned reported, refused, harmless, failures;
};

struct flip {
    const struct file *file;
    size_t offset;
    unsigned bit;
};

static void join(char out[PATH_MAX_BYTES], const char *dir, const char *name)
{
    REQUIRE(snprintf(out, PATH_MAX_BYTES, "%s/%s", dir, name) < PATH_MAX_BYTES);
}

/* ---- Files ---------------------------------------------------------------------------------- */

static void remember_files(struct flips *self, const char *dir, const char *below)
{
    char path[PATH_MAX_BYTES];
    char command[PATH_MAX_BYTES + 64];
    join(path, dir, below);
    /* The lease is information with a checksum of its own, and every start rewrites it. */
    (void)snprintf(command, sizeof command,
                   "find %s -maxdepth 1 -type f ! -name lease -printf '%%f\\n' | sort", path);
    FILE *list = popen(command, "r");
    REQUIRE(list != NULL);
    char name[100];
    while (fscanf(list, "%99s", name) == 1) {
        REQUIRE(self->file_count < FILES_MAX);
        struct file *file = &self->files[self->file_count++];
        (void)snprintf(file->name, sizeof file->name, "%s%s", below, name);
        join(path, dir, file->name);
        temp_file_read(&file->bytes, path);
    }
    REQUIRE(pclose(list) == 0);
}

static void write_files(const struct flips *self, const struct flip *flip)
{
    char path[PATH_MAX_BYTES];
    join(path, self->dir, "data");
    if (access(path, F_OK) == 0) {
        temp_dir_remove(path);
    }
    REQUIRE(mkdir(path, 0700) == 0);
    join(path, self->dir, "data/journal");
    REQUIRE(mkdir(path, 0700) == 0);
    for (size_t i = 0; i < self->file_count; i++) {
        const struct file *file = &self->files[i];
        char name[160];
        (void)snprintf(name, sizeof name, "data/%s", file->name);
        join(path, self->dir, name);
        bool is_flipped = flip != NULL && flip->file == file;
        if (is_flipped) {
            file->bytes.ptr[flip->offset] ^= (uint8_t)(1U << flip->bit);
        }
        temp_file_write(path, buf_view(&file->bytes));
        if (is_flipped) {
            file->bytes.ptr[flip->offset] ^= (uint8_t)(1U << flip->bit);
        }
    }
}

/* True when the files are as write_files() wrote them, but for the flip. */
static bool is_untouched(const struct flips *self)
{
    struct flips now = {0};
    char path[PATH_MAX_BYTES];
    join(path, self->dir, "data");
    remember_files(&now, path, "");
    remember_files(&now, path, "journal/");
    bool same = now.file_count == self->file_count;
    for (size_t i = 0; i < now.file_count; i++) {
        same = same && strcmp(now.files[i].name, self->files[i].name) == 0 &&
               view_equal(buf_view(&now.files[i].bytes), buf_view(&self->files[i].bytes));
        buf_free(&now.files[i].bytes);
    }
    return same;
}

/* ---- Programs ------------------------------------------------------------------------------- */

/* Runs `satchel verify --json` on the copy; the exit code, and the object, which the caller frees.
 */
static int verify(const struct flips *self, json_t **report)
{
    char data[PATH_MAX_BYTES];
    char out[PATH_MAX_BYTES];
    join(data, self->dir, "data");
    join(out, self->dir, "report");
    pid_t pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
        int fd = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        (void)dup2(fd, STDOUT_FILENO);
        (void)dup2(fd, STDERR_FILENO);
        (void)execl(self->satchel, self->satchel, "verify", "--json", data, (char *)NULL);
        _exit(127);
    }
    int how = 0;
    REQUIRE(waitpid(pid, &how, 0) == pid);
    *report = json_load_file(out, 0, NULL);
    return WIFEXITED(how) ? WEXITSTATUS(how) : -WTERMSIG(how);
}

static uint64_t number_in(const json_t *report, const char *part, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(json_object_get(report, part), key));
}

/* Starts satcheld on the copy and reads everything. `*code` is what it ended with, 0: it serves. */
static struct flips_answers serve(const struct flips *self, int *code)
{
    struct server server = {.binary = self->satcheld, .directory = self->dir};
    server_launch(&server);
    struct flips_answers answers = {0};
    if (server_wait_start(&server, code)) {
        answers = flips_model_read(self->model, server.address);
    } else if (server.pid != 0) {
        *code = -1;
    }
    server_kill(&server);
    return answers;
}

/* ---- The sound store ------------------------------------------------------------------------ */

static void check_sound(struct flips *self)
{
    json_t *report = NULL;
    int code = 0;
    write_files(self, NULL);
    REQUIRE(verify(self, &report) == 0);
    REQUIRE(is_untouched(self));
    REQUIRE(number_in(report, "recovery", "sessions_live") == flips_model_live(self->model));
    REQUIRE(number_in(report, "recovery", "sessions_expired") == 0);
    REQUIRE(number_in(report, "journal", "epochs") == 3);
    REQUIRE(number_in(report, "journal", "segments") == self->file_count - 1);
    REQUIRE(number_in(report, "journal", "torn_bytes") == 0);
    REQUIRE(number_in(report, "data_file", "bytes") == self->files[0].bytes.len);
    REQUIRE(number_in(report, "data_file", "lost_pages") == 0);
    REQUIRE(number_in(report, "data_file", "rows") > 0);
    (void)printf("sound: %" PRIu64 " sessions, %" PRIu64 " rows, %" PRIu64 " frames, %" PRIu64
                 " segments, %zu bytes of data file\n",
                 number_in(report, "recovery", "sessions_live"),
                 number_in(report, "data_file", "rows"), number_in(report, "journal", "frames"),
                 number_in(report, "journal", "segments"), self->files[0].bytes.len);
    json_decref(report);
    struct flips_answers answers = serve(self, &code);
    REQUIRE(code == 0 && answers.wrong + answers.stale + answers.silent == 0);
}

/* A store that has just recovered has what it recovered. */
static void check_beside(struct flips *self)
{
    json_t *report = NULL;
    struct server server = {.binary = self->satcheld, .directory = self->dir};
    write_files(self, NULL);
    server_launch(&server);
    REQUIRE(server_wait_serving(&server));
    REQUIRE(verify(self, &report) == 0);
    REQUIRE(json_is_true(json_object_get(report, "beside")));
    REQUIRE(number_in(report, "recovery", "sessions_live") == flips_model_live(self->model));
    json_decref(report);
    server_kill(&server);
}

/* What cannot be looked at is neither sound nor damaged. */
static void check_unchecked(struct flips *self)
{
    json_t *report = NULL;
    write_files(self, NULL);
    char path[PATH_MAX_BYTES];
    join(path, self->dir, "data/data-0000000001.mdb");
    REQUIRE(unlink(path) == 0);
    REQUIRE(verify(self, &report) == 1); /* a journal, and nothing that it changes */
    json_decref(report);
    join(path, self->dir, "data");
    temp_dir_remove(path);
    REQUIRE(verify(self, &report) == 3); /* nothing there */
    json_decref(report);
}

/* ---- Flips ---------------------------------------------------------------------------------- */

/* A bit anywhere. */
static struct flip choose_anywhere(struct flips *self)
{
    size_t all = 0;
    for (size_t i = 0; i < self->file_count; i++) {
        all += self->files[i].bytes.len;
    }
    uint64_t number = pattern_random(&self->random);
    size_t at = (size_t)(number >> 8) % all;
    const struct file *file = self->files;
    while (at >= file->bytes.len) {
        at -= file->bytes.len;
        file++;
    }
    return (struct flip){.file = file, .offset = at, .bit = (unsigned)number & 7};
}

/* A bit of a meta or a branch page of the data file, which comes first among the files. */
static struct flip choose_structure(struct flips *self)
{
    for (;;) {
        uint64_t number = pattern_random(&self->random);
        size_t offset = (size_t)(number >> 8) % self->files[0].bytes.len;
        const uint8_t *page = self->files[0].bytes.ptr + offset / PAGE_BYTES * PAGE_BYTES;
        size_t in_page = offset % PAGE_BYTES;
        uint16_t flags = load_u16(page + 10);
        bool is_branch = flags == 1 &&
                         (in_page < load_u16(page + 12) || in_page >= load_u16(page + 14));
        if (is_branch || (flags == 8 && in_page < META_END)) {
            return (struct flip){
                .file = self->files, .offset = offset, .bit = (unsigned)number & 7};
        }
    }
}

/* A bit at the journal's end, where the very last change is. */
static struct flip choose_tail(struct flips *self)
{
    const struct file *last = &self->files[self->file_count - 1];
    uint64_t number = pattern_random(&self->random);
    return (struct flip){.file = last,
                         .offset = last->bytes.len - 1 - (size_t)(number >> 8) % LAST_FRAME_BYTES,
                         .bit = (unsigned)number & 7};
}

static struct flip choose(struct flips *self, unsigned i)
{
    switch (i % 10) {
    case 9:
        return choose_tail(self);
    case 2:
    case 5:
    case 8:
        return choose_structure(self);
    default:
        return choose_anywhere(self);
    }
}

static void fail(struct flips *self, const struct flip *flip, const char *why)
{
    (void)fprintf(stderr, "FAILED: bit %u of byte %zu of %s: %s\n", flip->bit, flip->offset,
                  flip->file->name, why);
    self->failures++;
}

static void judge(struct flips *self, const struct flip *flip)
{
    json_t *report = NULL;
    int code = 0;
    unsigned failures = self->failures;
    write_files(self, flip);
    int verdict = verify(self, &report);
    struct flips_answers answers = serve(self, &code);
    bool works = json_is_true(json_object_get(json_object_get(report, "recovery"), "works"));
    bool serves = code == 0 && answers.silent == 0;
    if (answers.wrong != 0) {
        fail(self, flip, "satcheld serves what was never so");
    }
    if (answers.stale != 0) {
        fail(self, flip, "the last change is missing");
    }
    if (code < 0 || (code == 0 && answers.silent != 0)) {
        fail(self, flip, "satcheld died of it, instead of saying what is wrong");
    }
    if (report == NULL || (verdict != 0 && verdict != 1)) {
        fail(self, flip, "verify cannot tell");
    } else if (verdict == 0 && !serves) {
        fail(self, flip, "verify calls sound what satcheld cannot serve");
    } else if (works != serves) {
        fail(self, flip,
             works ? "satcheld cannot serve what verify's rehearsal of recovery could"
                   : "satcheld serves what verify's rehearsal of recovery could not");
    }
    if (self->failures > failures && report != NULL) {
        (void)json_dumpf(report, stderr, JSON_COMPACT);
        (void)fprintf(stderr, "\nsatcheld: %d; %u right, %u stale, %u wrong, %u silent\n", code,
                      answers.right, answers.stale, answers.wrong, answers.silent);
    }
    self->reported += verdict == 1;
    self->refused += code > 0;
    self->harmless += verdict == 0;
    json_decref(report);
}

static unsigned flip_count(void)
{
    const char *text = getenv("SATCHEL_BIT_FLIPS");
    return text == NULL ? FLIPS : (unsigned)strtoul(text, NULL, 10);
}

static int run(struct flips *self)
{
    const char *seed = getenv("SATCHEL_SEED");
    self->random = seed == NULL ? 1 : strtoull(seed, NULL, 10);
    check_sound(self);
    check_beside(self);
    check_unchecked(self);
    unsigned count = flip_count();
    for (unsigned i = 0; i < count; i++) {
        struct flip flip = choose(self, i);
        judge(self, &flip);
    }
    (void)printf("  %u flips: %u reported by verify, %u harmless; satcheld refused %u, "
                 "and never served a wrong value: %s\n",
                 count, self->reported, self->harmless, self->refused,
                 self->failures == 0 ? "true" : "FALSE");
    return self->failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char *argv[])
{
    if (argc != 5 || strcmp(argv[1], "--satcheld") != 0 || strcmp(argv[3], "--satchel") != 0) {
        (void)fprintf(stderr, "usage: bit_flips --satcheld PROGRAM --satchel PROGRAM\n");
        return 2;
    }
    static struct flips self;
    char first[TEMP_DIR_BYTES];
    char data[PATH_MAX_BYTES];
    self.satcheld = argv[2];
    self.satchel = argv[4];
    temp_dir_make(first);
    temp_dir_make(self.dir);
    struct server server = {.binary = self.satcheld, .directory = first};
    self.model = flips_model_fill(&server);
    join(data, first, "data");
    remember_files(&self, data, "");
    remember_files(&self, data, "journal/");
    int code = run(&self);
    for (size_t i = 0; i < self.file_count; i++) {
        buf_free(&self.files[i].bytes);
    }
    flips_model_free(self.model);
    temp_dir_remove(first);
    temp_dir_remove(self.dir);
    return code;
}
