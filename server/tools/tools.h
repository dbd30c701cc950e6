/*
 * satchel-store: looks at a data directory, also beside the store that uses it, and writes nothing.
 *
 *     main.c    which command, options          verify.c     is it sound?
 *     looks.c   again, as long as it moves      report.c     what verify found, in shared memory
 *     place.c   the files, and who uses them
 *     guard.c   a child for what may crash      print.c      … for people
 *     read_only.c  file calls                   json.c       … for programs
 *     inspect.c what is there, without judging   summary.c    the line that --json ends with
 */
#pragma once

#include <stdbool.h>

#include "tools/summary.h"

enum tool_exit {
    TOOL_SOUND = 0,
    TOOL_DAMAGED = 1,
    TOOL_USAGE = 2,
    TOOL_UNCHECKED = 3, /* never at rest, no permission, no store's directory, an I/O error */
};

struct tool_options {
    const char *dir;     /* borrowed, as all below */
    bool json;           /* the summary is wanted */
    bool records;        /* inspect: list them */
    bool ids;            /* inspect: with the sessions they are about */
    const char *session; /* inspect: only this one; NULL: none in particular */
    bool content;        /* inspect: print what it holds */
};

/** Each prints for people, unless the summary says it all, and fills the summary. */
enum tool_exit tool_verify(const struct tool_options *options, struct summary *summary);
enum tool_exit tool_inspect(const struct tool_options *options, struct summary *summary);
