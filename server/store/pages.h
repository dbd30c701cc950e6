/*
 * The pages of an LMDB 0.9 data file, looked at without LMDB.
 *
 * LMDB trusts its file: a page number with a wrong bit makes it crash, or read a page that was
 * replaced long ago, whose rows are whole but old. What gives that away is the account of pages:
 * each one is a meta page, in a tree once, or free. This walks both trees, as LMDB would, compares
 * every page with what its parent and the meta page say about it, and takes the account.
 *
 *     file    | meta 0 | meta 1 | page 2 | page 3 | …        the meta page of the later transaction
 *                                                              counts
 *     page    | number u64 | pad u16 | flags u16 | lower u16 | upper u16 | places u16 … | free |
 *             nodes |
 *     node    | low u16 | high u16 | flags u16 | key length u16 | key | data |
 *
 * In a leaf low and high are the length of the data; in a branch they and the flags are the number
 * of the page below. The rows themselves have checksums and are none of this file's business.
 */
#pragma once

#include <stdint.h>

#include "base/file.h"
#include "base/status.h"

struct pages_count {
    uint64_t page_bytes;
    uint64_t txnid; /* of the transaction that counts */
    uint64_t tree;  /* pages of the rows' tree */
    uint64_t free;  /* pages that may be used again, those of their list included */
    uint64_t lost;  /* pages that are in neither: wasted, and nothing worse */
    uint64_t entries;
    uint64_t depth;
};

/** Called for each thing that is wrong with the page at `offset`; `what` is valid during the call.
 */
typedef void (*pages_problem_fn)(void *arg, uint64_t offset, const char *what);

/**
 * Reads the file that `fd` is front to back, which warms the page cache, and checks it. OK: nothing
 * is wrong, or `problem` (called on this thread) has heard of what is. NOT_FOUND: the file is
 * empty. IO, NO_MEMORY. What is found counts unless somebody has written meanwhile; pages_txnid()
 * tells.
 */
enum status pages_check(const struct file_ops *file, int fd, struct pages_count *out,
                        pages_problem_fn problem, void *arg) MUST_CHECK;

/**
 * The number of the transaction that counts now; each commit adds one. NOT_FOUND: the file is
 * empty. CORRUPT: a meta page is damaged. IO.
 *
 * LMDB copies on write: the pages that transaction N refers to are in the free list of N + 1 at the
 * earliest, and what is there may be used by N + 3 at the earliest (without readers in its lock
 * file; with them, later). So as long as this is not above N + 1, N + 3 has not begun, and every
 * page that N and N + 1 refer to is what it was.
 */
enum status pages_txnid(const struct file_ops *file, int fd, uint64_t *out) MUST_CHECK;

/** The same as pages_check() for the meta pages and the way to the first entry only: what LMDB
 * needs to open the file and to read the meta row without going astray. Reads a few pages. */
enum status pages_check_first(const struct file_ops *file, int fd, pages_problem_fn problem,
                              void *arg) MUST_CHECK;
