/*
 * Retention: which objects of an archive may go.
 *
 * A snapshot stays when
 *   1. it is one of the newest `count` good ones, or younger than `age_ms`;
 *   2. it is the newest good one, or the one that a restore of the latest state would begin with;
 *   3. a hold (hold.h) needs it: a restore that is running.
 * One that is damaged goes when it is older than `age_ms` and than a day; so do rows without a
 * manifest when they are older than a day. Neither goes while it is younger than the newest good
 * snapshot: it may be in the making.
 *
 * The slots that go are those before the lowest next_seq of a snapshot that stays, and before the
 * first one that a hold needs. The last slot of the log never goes, and none that is younger than
 * an hour: a writer that was held up tries a number again (chain.h, rule 4), and must find it
 * taken.
 *
 * Nothing goes at all when no good snapshot would be left to restore the latest state from, when
 * the archive has snapshots that this version cannot read or of more than one store, or when the
 * storage does not tell the time.
 *
 * All ages are by the storage's clock alone: its time now, and the time at which it took an object.
 *
 * So every state that a snapshot that stays leads to stays as it is, but for one thing: a change
 * that only the rows of such a snapshot have, because it was abandoned later, cannot be asked for
 * by its lsn any more when no slot names it.
 *
 * Pure; any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define RETENTION_COUNT_STANDARD "24"
#define RETENTION_AGE_STANDARD "7d"

/* Both 0: everything stays. */
struct retention_policy {
    uint64_t count;  /* so many of the newest good snapshots stay */
    uint64_t age_ms; /* … and all that are younger */
};

enum retention_kind {
    RETENTION_GOOD,    /* manifest and rows are there and agree */
    RETENTION_DAMAGED, /* the manifest makes no sense, or the rows are not there as it says */
    RETENTION_ORPHAN,  /* rows without a manifest */
    RETENTION_UNKNOWN, /* the manifest has a newer format */
};

struct retention_snapshot {
    enum retention_kind kind;
    uint64_t next_seq; /* of a manifest that can be read, as the next one; otherwise UINT64_MAX */
    uint64_t through_lsn; /* decides between those of one next_seq */
    int64_t stored_ms;    /* when the storage took the younger of its objects */
};

struct retention_slot {
    uint64_t seq;
    int64_t stored_ms;
};

/* All borrowed. */
struct retention_input {
    struct retention_policy policy;
    const struct retention_snapshot *snapshots; /* in any order */
    size_t snapshot_count;
    const struct retention_slot *slots; /* by ascending seq; those behind the first that is not
                                           before keep_seq decide nothing */
    size_t slot_count;
    size_t latest; /* the snapshot that a restore of the latest state begins with; SIZE_MAX: there
                      is none */
    uint64_t hold_seq;    /* slots and snapshots from there on are held; UINT64_MAX: none are */
    int64_t now_ms;       /* 0: not known */
    bool has_many_stores; /* there are manifests of different stores */
};

struct retention {
    const char *nothing;  /* why nothing goes at all, a string constant; NULL: something may */
    const char **reasons; /* owned; for each snapshot a string constant that says why it stays, or
                             NULL: it goes */
    uint64_t keep_seq;    /* slots from there on stay in any case */
    size_t slots_gone;    /* the first so many of the slots go */
};

/** Decides. OK; or NO_MEMORY. `out` is to be freed in any case. */
enum status retention_decide(const struct retention_input *input, struct retention *out) MUST_CHECK;

/** Gives the memory back; zeroed is fine. */
void retention_free(struct retention *self);
