/* The account of an LMDB file's pages; the picture is in pages.h. The names in capitals on the
 * right are LMDB's own, from its mdb.c. */
#include "store/pages.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/bytes.h"

enum {
    PAGE_HEADER_BYTES = 16,
    NODE_HEADER_BYTES = 8,
    PAGE_BYTES_LEAST = 512,
    PAGE_BYTES_MOST = 65536,
    META_BYTES = 136, /* MDB_meta, without the page's header */
    TREE_BYTES = 48,  /* MDB_db */
    DEPTH_MAX = 32,   /* CURSOR_STACK */
    FIRST_PAGE = 2,   /* behind the meta pages */
    ROW_DATA_BYTES_MAX = 2000,
    ROW_KEY_BYTES = 10,
    WARM_BYTES = 1024 * 1024,
    WARM_AHEAD_BYTES = 16 * WARM_BYTES,
};

enum page_flag { PAGE_BRANCH = 1, PAGE_LEAF = 2, PAGE_OVERFLOW = 4, PAGE_META = 8 };
enum { NODE_BIG = 1 }; /* F_BIGDATA: the data is a page number */
enum { TREE_INTEGER_KEY = 8, TREE_FLAGS = 0x7f };

static const uint32_t meta_magic = 0xbeefc0de;
static const uint32_t meta_version = 1;
static const uint64_t no_page = UINT64_MAX; /* P_INVALID */

enum page_use { USE_NONE, USE_TREE, USE_FREE_TREE, USE_FREE };

/* One tree as its meta page describes it, and as it was found. */
struct tree {
    enum page_use use;
    unsigned flags;
    uint64_t depth;
    uint64_t branches, leaves, overflows, entries;
    uint64_t root;
    uint64_t seen_branches, seen_leaves, seen_overflows, seen_entries;
};

struct check {
    const struct file_ops *file;
    int fd;
    struct pages_count *count;
    pages_problem_fn problem;
    void *arg;
    uint64_t page_count; /* up to the last page that was ever used */
    uint64_t txnid;
    size_t page_bytes;
    bool first_only; /* of the rows' tree: what searching its first entry looks at */
    uint8_t *uses;   /* owned; enum page_use for each page */
    struct tree rows;
    struct tree free;
};

static void __attribute__((format(printf, 3, 4)))
complain(const struct check *self, uint64_t page, const char *format, ...)
{
    char what[160];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(what, sizeof what, format, args);
    va_end(args);
    self->problem(self->arg, page * self->page_bytes, what);
}

/* ---- Pages ---------------------------------------------------------------------------------- */

/* Notes what a page is used for; false when it cannot be that. */
static bool claim(struct check *self, uint64_t from, uint64_t page, enum page_use use)
{
    static const char *const names[] = {"", "of the tree", "of the free list's tree", "free"};
    if (page < FIRST_PAGE || page >= self->page_count) {
        complain(self, from, "page %" PRIu64 " refers to page %" PRIu64 ", which does not exist",
                 from, page);
        return false;
    }
    if (self->uses[page] != USE_NONE) {
        complain(self, page, "page %" PRIu64 " is %s, and also %s", page, names[self->uses[page]],
                 names[use]);
        return false;
    }
    self->uses[page] = (uint8_t)use;
    return true;
}

/* Reads `count` pages; bytes behind the end of the file are missing. */
static enum status read_pages(const struct check *self, uint64_t page, uint64_t count, uint8_t *out)
{
    size_t got = 0;
    size_t wanted = (size_t)count * self->page_bytes;
    enum status status = file_pread_all(self->file, self->fd, out, wanted,
                                        (off_t)(page * self->page_bytes), &got);
    if (status == STATUS_OK && got < wanted) {
        complain(self, page, "the file ends within page %" PRIu64, page);
        return STATUS_CORRUPT;
    }
    return status;
}

/* True when a page that was read is what it should be. */
static bool check_header(const struct check *self, const uint8_t *bytes, uint64_t page,
                         enum page_flag kind)
{
    if (load_u64(bytes) != page) {
        complain(self, page, "page %" PRIu64 " says that it is page %" PRIu64, page,
                 load_u64(bytes));
        return false;
    }
    if (load_u16(bytes + 10) != kind) {
        complain(self, page, "page %" PRIu64 " has flags %#x instead of %#x", page,
                 load_u16(bytes + 10), (unsigned)kind);
        return false;
    }
    return true;
}

/* ---- Nodes ---------------------------------------------------------------------------------- */

struct node {
    uint64_t low; /* of a leaf: bytes of data; of a branch: the page below */
    unsigned flags;
    struct view key;
    const uint8_t *data;
};

/* Reads node `i` of a page whose header was checked; false when it does not fit into the page. */
static bool read_node(const struct check *self, const uint8_t *bytes, size_t i, bool is_leaf,
                      struct node *out)
{
    size_t at = load_u16(bytes + PAGE_HEADER_BYTES + 2 * i);
    if (at < load_u16(bytes + 14) || at + NODE_HEADER_BYTES > self->page_bytes) {
        return false;
    }
    const uint8_t *node = bytes + at;
    *out = (struct node){
        .low = (uint64_t)load_u16(node) | (uint64_t)load_u16(node + 2) << 16,
        .flags = load_u16(node + 4),
        .key = view_of(node + NODE_HEADER_BYTES, load_u16(node + 6)),
        .data = node + NODE_HEADER_BYTES + load_u16(node + 6),
    };
    size_t len = NODE_HEADER_BYTES + out->key.len;
    if (is_leaf) {
        len += (out->flags & NODE_BIG) != 0 ? sizeof(uint64_t) : (size_t)out->low;
    } else {
        out->low |= (uint64_t)out->flags << 32;
    }
    return at + len <= self->page_bytes;
}

static int compare_keys(const struct tree *tree, struct view a, struct view b)
{
    if (tree->flags == TREE_INTEGER_KEY) {
        uint64_t left = a.len == sizeof left ? load_u64(a.ptr) : 0;
        uint64_t right = b.len == sizeof right ? load_u64(b.ptr) : 0;
        return (left > right) - (left < right);
    }
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len == 0 ? 0 : memcmp(a.ptr, b.ptr, len);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

/* ---- The free list -------------------------------------------------------------------------- */

/* A record of the free list: { count u64, page numbers u64 … }. */
static void claim_free(struct check *self, uint64_t from, const uint8_t *data, uint64_t bytes)
{
    uint64_t count = bytes < sizeof count ? UINT64_MAX : load_u64(data);
    if (count >= bytes / sizeof count) {
        complain(self, from, "page %" PRIu64 " has a free list that does not fit", from);
        return;
    }
    for (uint64_t i = 1; i <= count; i++) {
        self->count->free += claim(self, from, load_u64(data + i * sizeof count), USE_FREE);
    }
}

/* The same, on pages of its own. */
static enum status claim_big_free(struct check *self, uint64_t from, const struct node *node)
{
    uint64_t page = load_u64(node->data);
    uint64_t count = 1 + (PAGE_HEADER_BYTES + node->low - 1) / self->page_bytes;
    for (uint64_t i = 0; i < count; i++) {
        if (!claim(self, from, page + i, USE_FREE_TREE)) {
            return STATUS_OK;
        }
    }
    struct buf run = {0};
    enum status status = buf_reserve(&run, (size_t)count * self->page_bytes);
    if (status == STATUS_OK) {
        status = read_pages(self, page, count, run.ptr);
    }
    if (status == STATUS_OK && check_header(self, run.ptr, page, PAGE_OVERFLOW)) {
        if (load_u32(run.ptr + 12) != count) {
            complain(self, page, "page %" PRIu64 " begins a run of %" PRIu32 " pages, not %" PRIu64,
                     page, load_u32(run.ptr + 12), count);
        }
        self->free.seen_overflows += count;
        claim_free(self, from, run.ptr + PAGE_HEADER_BYTES, node->low);
    }
    buf_free(&run);
    return status == STATUS_CORRUPT ? STATUS_OK : status;
}

/* ---- Trees ---------------------------------------------------------------------------------- */

static enum status check_entry(struct check *self, const struct tree *tree, uint64_t page,
                               const struct node *node)
{
    if (tree == &self->rows) {
        if (node->key.len != ROW_KEY_BYTES || node->flags != 0 || node->low > ROW_DATA_BYTES_MAX) {
            complain(self, page, "page %" PRIu64 " has an entry that is no part of a row", page);
        }
        return STATUS_OK;
    }
    if (node->key.len != sizeof(uint64_t) || (node->flags & ~(unsigned)NODE_BIG) != 0 ||
        load_u64(node->key.ptr) > self->txnid) {
        complain(self, page, "page %" PRIu64 " has an entry that is no free list", page);
        return STATUS_OK;
    }
    if ((node->flags & NODE_BIG) != 0) {
        return claim_big_free(self, page, node);
    }
    claim_free(self, page, node->data, node->low);
    return STATUS_OK;
}

/*
 * Checks a page and all below. `level` counts from 1, the root. Keys must not be below `least`, and
 * must be below `end`; a view without an address is no bound.
 */
static enum status check_page(struct check *self, struct tree *tree, uint64_t from, uint64_t page,
                              uint64_t level, struct view least, struct view end)
{
    if (!claim(self, from, page, tree->use)) {
        return STATUS_OK;
    }
    bool is_leaf = level == tree->depth;
    uint8_t *bytes = malloc(self->page_bytes);
    if (bytes == NULL) {
        return STATUS_NO_MEMORY;
    }
    enum status status = read_pages(self, page, 1, bytes);
    if (status != STATUS_OK ||
        !check_header(self, bytes, page, is_leaf ? PAGE_LEAF : PAGE_BRANCH)) {
        free(bytes);
        return status == STATUS_CORRUPT ? STATUS_OK : status;
    }
    *(is_leaf ? &tree->seen_leaves : &tree->seen_branches) += 1;
    size_t lower = load_u16(bytes + 12);
    size_t upper = load_u16(bytes + 14);
    size_t count = lower < PAGE_HEADER_BYTES ? 0 : (lower - PAGE_HEADER_BYTES) / 2;
    if (count == 0 || lower % 2 != 0 || lower > upper || upper > self->page_bytes) {
        complain(self, page, "page %" PRIu64 " has bounds that cannot be", page);
        count = 0;
    }
    struct view last = least;
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        struct node node;
        struct node next = {0};
        if (!read_node(self, bytes, i, is_leaf, &node) ||
            (!is_leaf && i + 1 < count && !read_node(self, bytes, i + 1, is_leaf, &next))) {
            complain(self, page, "page %" PRIu64 ": entry %zu lies outside of the page", page, i);
            break;
        }
        /* The first key of a branch is not looked at: it stands for everything smaller. */
        bool has_key = is_leaf || i > 0;
        if (has_key && ((last.ptr != NULL && compare_keys(tree, node.key, last) < (i > 0)) ||
                        (end.ptr != NULL && compare_keys(tree, node.key, end) >= 0))) {
            complain(self, page, "page %" PRIu64 ": entry %zu is out of order", page, i);
        }
        last = has_key ? node.key : last;
        if (is_leaf) {
            tree->seen_entries++;
            status = check_entry(self, tree, page, &node);
        } else if (i == 0 || !self->first_only) {
            status = check_page(self, tree, page, node.low, level + 1, i > 0 ? node.key : least,
                                i + 1 < count ? next.key : end);
        }
    }
    free(bytes);
    return status;
}

static void compare_count(const struct check *self, uint64_t meta_page, const char *what,
                          uint64_t said, uint64_t seen)
{
    if (said != seen) {
        complain(self, meta_page, "the meta page counts %" PRIu64 " %s, there are %" PRIu64, said,
                 what, seen);
    }
}

static enum status check_tree(struct check *self, struct tree *tree, uint64_t meta_page)
{
    bool is_empty = tree->root == no_page;
    if (is_empty != (tree->depth == 0) || tree->depth > DEPTH_MAX) {
        complain(self, meta_page, "the meta page says that a tree has %" PRIu64 " levels",
                 tree->depth);
        return STATUS_OK;
    }
    enum status status = is_empty ? STATUS_OK
                                  : check_page(self, tree, meta_page, tree->root, 1,
                                               (struct view){0}, (struct view){0});
    if (self->first_only) {
        return status;
    }
    compare_count(self, meta_page, "branch pages", tree->branches, tree->seen_branches);
    compare_count(self, meta_page, "leaf pages", tree->leaves, tree->seen_leaves);
    compare_count(self, meta_page, "overflow pages", tree->overflows, tree->seen_overflows);
    compare_count(self, meta_page, "entries", tree->entries, tree->seen_entries);
    return status;
}

/* ---- Meta pages ----------------------------------------------------------------------------- */

static struct tree read_tree(const uint8_t *at, enum page_use use)
{
    return (struct tree){
        .use = use,
        .flags = load_u16(at + 4) & TREE_FLAGS,
        .depth = load_u16(at + 6),
        .branches = load_u64(at + 8),
        .leaves = load_u64(at + 16),
        .overflows = load_u64(at + 24),
        .entries = load_u64(at + 32),
        .root = load_u64(at + 40),
    };
}

/* Reads the meta page at `place` (0 or 1); CORRUPT: it is none. */
static enum status read_meta(struct check *self, uint64_t place, uint8_t out[META_BYTES])
{
    uint8_t bytes[PAGE_HEADER_BYTES + META_BYTES];
    size_t got = 0;
    enum status status = file_pread_all(self->file, self->fd, bytes, sizeof bytes,
                                        (off_t)(place * self->page_bytes), &got);
    if (status != STATUS_OK || (got == 0 && place == 0)) {
        return status == STATUS_OK ? STATUS_NOT_FOUND : status;
    }
    memcpy(out, bytes + PAGE_HEADER_BYTES, META_BYTES);
    if (got < sizeof bytes || load_u64(bytes) != place || load_u16(bytes + 10) != PAGE_META ||
        load_u32(out) != meta_magic || load_u32(out + 4) != meta_version) {
        complain(self, place, "meta page %" PRIu64 " is damaged", place);
        return STATUS_CORRUPT;
    }
    return STATUS_OK;
}

/* Finds the meta page that counts and takes over what it says. */
static enum status open_meta(struct check *self, uint64_t *place)
{
    uint8_t metas[2][META_BYTES];
    enum status status = read_meta(self, 0, metas[0]);
    if (status != STATUS_OK) {
        return status;
    }
    self->page_bytes = load_u32(metas[0] + 24); /* md_pad of the free list's tree */
    if (self->page_bytes < PAGE_BYTES_LEAST || self->page_bytes > PAGE_BYTES_MOST ||
        (self->page_bytes & (self->page_bytes - 1)) != 0) {
        self->page_bytes = 0;
        complain(self, 0, "meta page 0 is damaged: its page size cannot be");
        return STATUS_CORRUPT;
    }
    status = read_meta(self, 1, metas[1]);
    if (status != STATUS_OK) {
        return status;
    }
    uint64_t txnids[2] = {load_u64(metas[0] + 128), load_u64(metas[1] + 128)};
    *place = txnids[0] < txnids[1];
    uint64_t later = txnids[*place];
    uint64_t earlier = txnids[1 - *place];
    /* They take turns, from 0 and 0 on. */
    if (later != 0 && (later - earlier != 1 || later % 2 != *place)) {
        complain(self, *place,
                 "the meta pages are of the transactions %" PRIu64 " and %" PRIu64
                 ", which do not follow each other",
                 txnids[0], txnids[1]);
    }
    const uint8_t *meta = metas[*place];
    self->txnid = later;
    self->free = read_tree(meta + 24, USE_FREE_TREE);
    self->rows = read_tree(meta + 24 + TREE_BYTES, USE_TREE);
    self->page_count = load_u64(meta + 120) + 1;
    if (self->free.flags != TREE_INTEGER_KEY || self->rows.flags != 0 ||
        load_u32(meta + 24) != self->page_bytes) {
        complain(self, *place, "meta page %" PRIu64 " is damaged: its flags cannot be", *place);
        return STATUS_CORRUPT;
    }
    return STATUS_OK;
}

/* Both trees, then what is left over. */
static enum status check_all(struct check *self, uint64_t meta_page)
{
    struct stat info;
    if (fstat(self->fd, &info) != 0) {
        return STATUS_IO;
    }
    /* Pages at the end that were never written since they became free need not be in the file. */
    uint64_t limit = (uint64_t)info.st_size / self->page_bytes * 2 + 1024;
    if (self->page_count < FIRST_PAGE || self->page_count > limit) {
        complain(self, meta_page, "the meta page counts %" PRIu64 " pages in a file of %" PRIu64,
                 self->page_count, (uint64_t)info.st_size / self->page_bytes);
        return STATUS_OK;
    }
    self->uses = calloc(self->page_count, 1);
    if (self->uses == NULL) {
        return STATUS_NO_MEMORY;
    }
    enum status status = self->first_only ? STATUS_OK : check_tree(self, &self->free, meta_page);
    if (status == STATUS_OK) {
        status = check_tree(self, &self->rows, meta_page);
    }
    for (uint64_t page = FIRST_PAGE; page < self->page_count && !self->first_only; page++) {
        self->count->lost += self->uses[page] == USE_NONE;
    }
    free(self->uses);
    return status;
}

/* Following the tree through a cold file would wait for each page; reading it in order is several
 * times faster. An error here shows up again on the way. */
static void warm(const struct check *self)
{
    uint8_t *scratch = malloc(WARM_BYTES);
    size_t got = WARM_BYTES;
    file_read_ahead(self->fd, 0, WARM_AHEAD_BYTES);
    for (off_t at = 0; scratch != NULL && got == WARM_BYTES; at += WARM_BYTES) {
        file_read_ahead(self->fd, at + WARM_AHEAD_BYTES, WARM_BYTES);
        if (file_pread_all(self->file, self->fd, scratch, WARM_BYTES, at, &got) != STATUS_OK) {
            break;
        }
    }
    free(scratch);
}

static enum status run(struct check *self)
{
    uint64_t meta_page = 0;
    enum status status = open_meta(self, &meta_page);
    if (status == STATUS_OK) {
        status = check_all(self, meta_page);
    }
    return status == STATUS_CORRUPT ? STATUS_OK : status;
}

enum status pages_check(const struct file_ops *file, int fd, struct pages_count *out,
                        pages_problem_fn problem, void *arg)
{
    *out = (struct pages_count){0};
    struct check self = {.file = file, .fd = fd, .count = out, .problem = problem, .arg = arg};
    warm(&self);
    enum status status = run(&self);
    out->page_bytes = self.page_bytes;
    out->txnid = self.txnid;
    out->tree = self.rows.seen_branches + self.rows.seen_leaves;
    out->free += self.free.seen_branches + self.free.seen_leaves + self.free.seen_overflows;
    out->entries = self.rows.seen_entries;
    out->depth = self.rows.depth;
    return status;
}

enum status pages_check_first(const struct file_ops *file, int fd, pages_problem_fn problem,
                              void *arg)
{
    struct pages_count unused = {0};
    struct check self = {.file = file,
                         .fd = fd,
                         .count = &unused,
                         .problem = problem,
                         .arg = arg,
                         .first_only = true};
    return run(&self);
}

static void ignore(void *arg, uint64_t offset, const char *what)
{
    (void)arg;
    (void)offset;
    (void)what;
}

enum status pages_txnid(const struct file_ops *file, int fd, uint64_t *out)
{
    struct pages_count unused = {0};
    struct check self = {.file = file, .fd = fd, .count = &unused, .problem = ignore};
    uint64_t meta_page = 0;
    enum status status = open_meta(&self, &meta_page);
    *out = self.txnid;
    return status;
}
