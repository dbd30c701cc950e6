/* What verify found. */
#include "tools/report.h"

#include <stdio.h>

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

enum tool_exit report_exit(const struct report *self)
{
    if (self->in_use) { /* then what looked like damage may have been a change */
        return TOOL_UNCHECKED;
    }
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
