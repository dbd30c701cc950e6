/* The retry policy. */
#include "client/policy.h"

#include "proto/native.h"

uint64_t policy_backoff_ms(unsigned failures, uint64_t random)
{
    unsigned doublings = failures > 0 ? failures - 1 : 0;
    uint64_t ceiling_ms = POLICY_BACKOFF_MOST_MS;
    if (doublings < 7) { /* 10 ms << 7 is beyond a second already */
        ceiling_ms = (uint64_t)POLICY_BACKOFF_FIRST_MS << doublings;
    }
    return 1 + random % ceiling_ms;
}

bool policy_is_ambiguous(enum satchel_status status, bool sent)
{
    return sent && satchel_status_retry_of(status) == SATCHEL_RETRY_MAYBE_APPLIED;
}

static bool may_try_again(const struct policy_case *ended)
{
    switch (satchel_status_retry_of(ended->status)) {
    case SATCHEL_RETRY_NONE:
    case SATCHEL_RETRY_FINAL:
        return false;
    case SATCHEL_RETRY_SAME:
    case SATCHEL_RETRY_OTHER:
        return true;
    case SATCHEL_RETRY_MAYBE_APPLIED:
        return !ended->sent || ended->repeatable;
    }
    return false;
}

int64_t policy_pause_ms(const struct policy_case *ended)
{
    if (!may_try_again(ended) || ended->left_ms <= POLICY_ATTEMPT_MS) {
        return POLICY_GIVE_UP;
    }
    uint64_t longest_ms = ended->left_ms - POLICY_ATTEMPT_MS;
    if (ended->retry_after_ms >= longest_ms) {
        return POLICY_GIVE_UP;
    }
    /* The jitter comes on top of what the server asked for: otherwise all that were told "100 ms"
     * would return in the same millisecond. Near the deadline a shorter pause is worth more than
     * none, so the last attempt is moved in front of it. */
    uint64_t pause_ms = ended->retry_after_ms + policy_backoff_ms(ended->failures, ended->random);
    if (pause_ms > longest_ms) {
        pause_ms = longest_ms;
    }
    return (int64_t)pause_ms;
}

bool policy_is_repeatable(enum satchel_opcode opcode, bool has_condition, bool has_increment)
{
    switch (opcode) {
    case SATCHEL_OP_HELLO:
    case SATCHEL_OP_PING:
    case SATCHEL_OP_GET:
    case SATCHEL_OP_STATS:
    case SATCHEL_OP_SCAN:
        return true;
    case SATCHEL_OP_SET:
    case SATCHEL_OP_DELETE:
    case SATCHEL_OP_TOUCH:
        return !has_condition;
    case SATCHEL_OP_PATCH:
        /* Without increments the content after the operations does not depend on how often they
         * ran: each field ends with its last SET or DELETE, or is set only when absent. */
        return !has_condition && !has_increment;
    case SATCHEL_OP_GOAWAY:
        return false;
    }
    return false;
}

enum satchel_status policy_final_status(enum satchel_status last, enum satchel_status ambiguous)
{
    enum satchel_retry_class retry = satchel_status_retry_of(last);
    bool claims_nothing_happened = retry == SATCHEL_RETRY_SAME || retry == SATCHEL_RETRY_OTHER;
    return ambiguous != SATCHEL_OK && claims_nothing_happened ? ambiguous : last;
}
