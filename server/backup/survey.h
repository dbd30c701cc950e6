/*
 * What an archive has. Two lists tell most of it; manifests are small and read at once, headers of
 * slots only where somebody asks for them.
 *
 *     survey_snapshots()   LIST snap/, and every manifest       which there are, and what is wrong
 *     survey_log()         LIST log/ from some slot on          seqs, sizes, times, holes
 *     survey_headers()     the first bytes of some slots        what is in them
 *
 * The rows of snapshots and the changes of slots are not read: that a snapshot is GOOD says that
 * its object is there and as long as it should be, not that it is undamaged.
 *
 * A survey is a picture of one moment. Retention and the writer go on, so what was listed may be
 * gone when it is read: is_gone then says so, and who needs it surveys again.
 *
 * Memory: 16 bytes a slot, half a KiB a snapshot, both limited. One thread at a time, that of the
 * gather.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backup/gather.h"
#include "backup/manifest.h"
#include "backup/slot.h"

enum {
    SURVEY_SNAPSHOTS_MAX = 100000,
    SURVEY_SLOTS_MAX = 1 << 24, /* half a year of one a second */
    SURVEY_ERRMSG_BYTES = 512,
};

/* name, word, text */
#define SURVEY_STATES(X)                                                                           \
    X(GOOD, "good", "its objects are there")                                                       \
    X(DAMAGED, "damaged", "its manifest cannot be used")                                           \
    X(NEWER, "newer", "its manifest has a format that this version does not know")                 \
    X(NO_ROWS, "no-rows", "the object with its rows is missing")                                   \
    X(WRONG_SIZE, "wrong-size",                                                                    \
      "the object with its rows has not the size that the manifest says")                          \
    X(UNFINISHED, "unfinished", "it has no manifest: it is being taken, or never came to its end") \
    X(GONE, "gone", "it was deleted while it was looked at")

enum survey_state {
#define X(name, word, text) SURVEY_##name,
    SURVEY_STATES(X)
#undef X
};

/** "good", "damaged", …; a string constant. */
const char *survey_state_word(enum survey_state state);

struct survey_snapshot {
    struct snapshot_id id; /* as the name says */
    enum survey_state state;
    bool has_manifest; /* an object of that name is there; so below */
    bool has_rows;
    uint64_t manifest_bytes;
    int64_t manifest_modified_ms; /* the storage's clock */
    uint64_t rows_bytes;
    int64_t rows_modified_ms;
    struct manifest manifest;        /* GOOD, NO_ROWS, WRONG_SIZE: what it says; otherwise zeros */
    char why[MANIFEST_ERRMSG_BYTES]; /* one line, unless GOOD */
};

/** True when `manifest` means something. */
static inline bool survey_has_manifest(const struct survey_snapshot *snapshot)
{
    return snapshot->state == SURVEY_GOOD || snapshot->state == SURVEY_NO_ROWS ||
           snapshot->state == SURVEY_WRONG_SIZE;
}

/* A slot as it was listed. */
struct survey_slot {
    uint64_t seq;
    uint32_t bytes;      /* UINT32_MAX: that, or more */
    uint32_t modified_s; /* the storage's clock, seconds since 1970 */
};

/* Zeroed, then survey_init(). Reading is free. */
struct survey {
    struct gather *gather;             /* borrowed */
    struct survey_snapshot *snapshots; /* owned; in the order of their names: by from_lsn, epoch */
    size_t snapshot_count;
    struct survey_slot *slots; /* owned; by ascending seq */
    size_t slot_count;
    uint64_t slots_from_seq; /* listed are those from here on; UINT64_MAX: none yet */
    int64_t storage_ms;      /* the storage's clock at the last list; 0: it does not say */
    bool is_gone;            /* something that was listed was not there any more when it was read */
    char errmsg[SURVEY_ERRMSG_BYTES]; /* one line, when a call below failed */
    size_t snapshot_cap;
    size_t slot_cap;
};

/** `gather` is borrowed for the survey's life. */
void survey_init(struct survey *self, struct gather *gather);

/** Gives the memory back; zeroed is fine. */
void survey_close(struct survey *self);

/** Lists the snapshots and reads their manifests; again: anew. OK, whatever is wrong with them;
 *  IO, AGAIN: stopped, NO_MEMORY, TOO_LARGE: more than SURVEY_SNAPSHOTS_MAX. */
enum status survey_snapshots(struct survey *self) MUST_CHECK;

/**
 * Lists the slots from `from_seq` on; again, with a smaller one: those before what is known. OK;
 * IO, AGAIN, NO_MEMORY, TOO_LARGE: more than SURVEY_SLOTS_MAX.
 */
enum status survey_log(struct survey *self, uint64_t from_seq) MUST_CHECK;

/** The index of the first slot that is not before `seq`; slot_count: there is none. */
size_t survey_find_slot(const struct survey *self, uint64_t seq);

/**
 * Finds the first run of numbers without a slot, at or behind `*seq`, that lies between two slots
 * or, when `*seq` is before the first slot, before that. True: the run is from `*first_seq` to
 * before `*end_seq`, and `*seq` is moved behind it. False: there is no other.
 */
bool survey_next_hole(const struct survey *self, uint64_t *seq, uint64_t *first_seq,
                      uint64_t *end_seq);

/* What is known of a slot whose header was read. */
struct survey_header {
    size_t index; /* in `slots` */
    bool is_gone; /* deleted meanwhile */
    bool is_damaged;
    struct slot_header header; /* unless gone or damaged */
    const char *why;           /* one line, when it is either; valid during the call */
};

/** Any answer but OK ends the reading and is returned. On the thread of the survey. */
typedef enum status (*survey_header_fn)(void *arg, const struct survey_header *header);

/** Reads the headers of the slots `begin` to before `end` and tells them in order. OK; IO, AGAIN,
 *  NO_MEMORY; or what `each` answered. */
enum status survey_headers(struct survey *self, size_t begin, size_t end, survey_header_fn each,
                           void *arg) MUST_CHECK;

/**
 * Raises `*epoch` and `*lsn` to the highest that anything in the archive has: snapshots by what
 * survey_snapshots() found, slots by the headers of a few more than there were processes. The end
 * of the log has been listed. What is damaged, or in a hole, is not known. OK; IO, AGAIN,
 * NO_MEMORY.
 */
enum status survey_highest(struct survey *self, uint64_t *epoch, uint64_t *lsn) MUST_CHECK;
