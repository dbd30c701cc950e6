/* The smallest history that still is not linearizable, told as a time line. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "support/linearizable.h"
#include "support/require.h"

enum { LINES_MAX = 40, LINE_BYTES = 512 };

static bool fails(const struct history *history, struct linearizable_end *end)
{
    return linearizable_check(history->ops, history->count, end) == NOT_LINEARIZABLE;
}

static struct history copy_of(const struct history_op *ops, size_t count)
{
    struct history copy = {0};
    for (size_t i = 0; i < count; i++) {
        history_add(&copy, &ops[i]);
    }
    return copy;
}

static int64_t last_return(const struct linearizable_end *end)
{
    int64_t last_ns = end->op != NULL ? end->op->return_ns : 0;
    for (size_t i = 0; i < end->tried_count; i++) {
        last_ns = end->tried[i].op->return_ns > last_ns ? end->tried[i].op->return_ns : last_ns;
    }
    return last_ns;
}

/* What was known at `at_ns`: later operations are not there, later answers not known. */
static struct history known_at(const struct history *history, int64_t at_ns)
{
    struct history known = {0};
    for (size_t i = 0; i < history->count; i++) {
        struct history_op op = history->ops[i];
        if (op.invoke_ns > at_ns) {
            continue;
        }
        if (op.outcome == HISTORY_ANSWERED && op.return_ns > at_ns) {
            op.outcome = HISTORY_UNKNOWN;
            op.return_ns = HISTORY_NEVER;
        }
        history_add(&known, &op);
    }
    return known;
}

/* Whoever only looks can be left out, without making a good history bad. */
static bool only_looks(const struct history_op *op)
{
    return op->outcome == HISTORY_REFUSED || (op->op == SATCHEL_OP_GET && !op->touch) ||
           op->status == SATCHEL_NOT_FOUND || op->status == SATCHEL_CONDITION_FAILED;
}

/* Leaves out as many of them as it can, many at once at first. */
static void leave_out_looks(struct history *history)
{
    struct linearizable_end end;
    for (size_t step = history->count; step > 0; step /= 2) {
        for (size_t from = 0; from < history->count;) {
            struct history fewer = {0};
            for (size_t i = 0; i < history->count; i++) {
                if (i < from || i >= from + step || !only_looks(&history->ops[i])) {
                    history_add(&fewer, &history->ops[i]);
                }
            }
            if (fewer.count < history->count && fails(&fewer, &end)) {
                history_free(history);
                *history = fewer;
            } else {
                history_free(&fewer);
                from += step;
            }
        }
    }
}

static struct history smallest(const struct history_op *ops, size_t count)
{
    struct history history = copy_of(ops, count);
    struct linearizable_end end;
    if (fails(&history, &end)) {
        struct history known = known_at(&history, last_return(&end));
        if (fails(&known, &end)) {
            history_free(&history);
            history = known;
        } else {
            history_free(&known);
        }
    }
    leave_out_looks(&history);
    return history;
}

static const char *why_not(const struct linearizable_end *end, const struct history_op *op)
{
    if (end->op == op) {
        return "its server's successor had answered before this was asked";
    }
    for (size_t i = 0; i < end->tried_count; i++) {
        if (end->tried[i].op == op) {
            return end->tried[i].why;
        }
    }
    return NULL;
}

void linearizable_story(const struct history_op *ops, size_t count, FILE *to)
{
    struct linearizable_end end;
    struct history history = smallest(ops, count);
    char line[LINE_BYTES];
    if (!fails(&history, &end)) {
        (void)fprintf(to, "this history is linearizable\n");
        history_free(&history);
        return;
    }
    (void)fprintf(
        to, "session %" PRIu32 ": no order explains its history; of %zu operations these matter:\n",
        ops[0].session, count);
    size_t first = history.count > LINES_MAX ? history.count - LINES_MAX : 0;
    if (first > 0) {
        (void)fprintf(to, "    … %zu earlier operations\n", first);
    }
    for (size_t i = 0; i < history.count; i++) {
        const struct history_op *op = &history.ops[i];
        const char *why = why_not(&end, op);
        if (i < first && why == NULL) {
            continue;
        }
        history_op_text(op, history.ops[0].invoke_ns, line, sizeof line);
        (void)fprintf(to, "%s %s\n", why == NULL ? "   " : " ->", line);
        if (why != NULL) {
            (void)fprintf(to, "        cannot come next: %s\n", why);
        }
    }
    session_model_text(&end.state, line, sizeof line);
    (void)fprintf(to, "    the longest order has %zu answers and ends in run %u with: %s%s\n",
                  end.placed, end.run, line, end.lost ? " (lost in the crash)" : "");
    history_free(&history);
}
