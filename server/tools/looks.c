/* Looking again until it counts; why, and when, is in looks.h. */
#include "tools/looks.h"

#include <stdio.h>
#include <time.h>

#include "tools/guard.h"

enum {
    LOOKS_MAX = 25,
    PAUSE_MS =
        20, /* longer by this after each look, so that no rhythm of a store is met for ever */
};

static bool is_final(enum place_change change, uint64_t wrong, uint64_t wrong_before)
{
    switch (change) {
    case PLACE_AT_REST:
        return true;
    case PLACE_SAME_ROWS:
        return wrong == 0 || wrong == wrong_before;
    case PLACE_NEXT_ROWS:
        return wrong == 0;
    case PLACE_CHANGED:
        return false;
    }
    return false;
}

static void pause_after(unsigned looks)
{
    long ms = (long)looks * PAUSE_MS;
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&pause, NULL);
}

enum status looks_take(struct looks *self, const char *dir, look_fn look, void *arg, char *errmsg,
                       size_t errmsg_bytes)
{
    *self = (struct looks){0};
    uint64_t wrong_before = 0;
    while (self->count < LOOKS_MAX) {
        struct place place;
        enum status status = place_open(&place, dir, errmsg, errmsg_bytes);
        if (status != STATUS_OK) {
            place_close(&place);
            return status;
        }
        self->count++;
        uint64_t wrong = look(arg, &place, errmsg);
        enum place_change change = place_change(&place);
        self->is_beside = change != PLACE_AT_REST;
        (void)snprintf(self->owner, sizeof self->owner, "%s", place.owner);
        place_close(&place);
        if (is_final(change, wrong, wrong_before)) {
            return STATUS_OK;
        }
        wrong_before = wrong;
        guard_show("the store was writing; looking again, time", self->count);
        pause_after(self->count);
    }
    (void)snprintf(errmsg, errmsg_bytes,
                   "%s is in use by a store that wrote into its data file during each of %u looks; "
                   "try again later, with longer --checkpoint-interval, or verify a backup of it",
                   dir, self->count);
    return STATUS_AGAIN;
}
