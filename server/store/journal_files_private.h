/* What listing (journal_files.c) and reading (journal_replay.c) share. */
#pragma once

#include "store/journal_files.h"

/** Damage ends a pass over the journal, unless somebody looks on who wants to hear of all of it:
 *  then `problem` is told and the answer is OK. Every other status is the answer. `observer` may
 *  be NULL. */
static inline enum status journal_problem_report(const struct journal_observer *observer,
                                                 enum status status,
                                                 const struct journal_problem *problem)
{
    if (status != STATUS_CORRUPT || observer == NULL) {
        return status;
    }
    observer->problem(observer->arg, problem);
    return STATUS_OK;
}

/** As journal_files_list(); with an observer damage is told and what is damaged not usable. */
enum status journal_files_list_all(struct journal_files *self, const struct journal_place *place,
                                   const struct journal_observer *observer, char *errmsg,
                                   size_t errmsg_bytes) MUST_CHECK;
