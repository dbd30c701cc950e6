/* What each status of the protocol is called and what a client may do about it. */
#include "proto/native.h"

struct status_row {
    const char *name;
    const char *text;
    enum satchel_retry_class retry;
};

static const struct status_row *row_of(enum satchel_status status)
{
    static const struct status_row rows[] = {
#define X(name, number, retry, text) {#name, text, SATCHEL_RETRY_##retry},
        SATCHEL_STATUSES(X)
#undef X
    };
    enum {
#define X(name, number, retry, text) ROW_##name,
        SATCHEL_STATUSES(X)
#undef X
    };
    switch (status) {
#define X(name, number, retry, text)                                                               \
    case SATCHEL_##name:                                                                           \
        return &rows[ROW_##name];
        SATCHEL_STATUSES(X)
#undef X
    }
    return &rows[ROW_UNKNOWN_OUTCOME]; /* a newer server's number */
}

const char *satchel_status_text_of(enum satchel_status status)
{
    return row_of(status)->text;
}

enum satchel_retry_class satchel_status_retry_of(enum satchel_status status)
{
    return row_of(status)->retry;
}

const char *satchel_status_name_of(enum satchel_status status)
{
    return row_of(status)->name;
}
