/* What verify found. */
#include "tools/report.h"

#include <stdio.h>

#include "base/hash.h"

void report_add(struct report *self, const struct problem *problem)
{
    *(problem->harmless ? &self->harmless : &self->damages) += 1;
    if (self->problem_count < PROBLEMS_MAX) {
        self->problems[self->problem_count++] = *problem;
    }
}

void report_unchecked(struct report *self, const char *why)
{
    if (self->unchecked[0] == '\0') {
        (void)snprintf(self->unchecked, sizeof self->unchecked, "%s", why);
    }
}

uint64_t report_findings(const struct report *self)
{
    uint64_t sum = hash64(view_str(self->unchecked), self->damages + self->harmless);
    for (uint64_t i = 0; i < self->problem_count; i++) {
        const struct problem *problem = &self->problems[i];
        const uint64_t where[] = {(uint64_t)problem->offset, problem->lsn, problem->rowid};
        sum = hash64(view_str(problem->file), sum);
        sum = hash64(view_of((const uint8_t *)where, sizeof where), sum);
        sum = hash64(view_str(problem->what), sum);
    }
    return self->damages + self->harmless == 0 && self->unchecked[0] == '\0' ? 0 : sum;
}

enum tool_exit report_exit(const struct report *self)
{
    if (self->damages + self->harmless != 0) {
        return TOOL_DAMAGED;
    }
    return self->unchecked[0] != '\0' ? TOOL_UNCHECKED : TOOL_SOUND;
}

const char *report_record_name(enum record_type type)
{
    switch (type) {
    case RECORD_PUT:
        return "put";
    case RECORD_PATCH:
        return "patch";
    case RECORD_TOUCH:
        return "touch";
    case RECORD_DELETE:
        return "delete";
    }
    return "unknown";
}
