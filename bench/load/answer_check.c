/* Whether an answer is right. */
#include "load/worker.h"

static void complain(struct worker *worker, const struct lane *lane, struct view what)
{
    uint8_t key[KEY_BYTES];
    keys_text(&worker->run->keys, lane->key, key);
    run_complain(worker->run, lane->operation, view_of(key, sizeof key), what);
}

static void wrong(struct worker *worker, const struct lane *lane, const char *what)
{
    worker->tally.wrong_values++;
    complain(worker, lane, view_str(what));
}

/* What is wrong with one value of the lane's session; NULL: nothing. */
static const char *fault_of(const struct run *run, const struct lane *lane, unsigned item,
                            struct view bytes)
{
    uint64_t value = run_value(run, lane->key, item);
    uint64_t generation;
    switch (values_check(&run->values, value, bytes, &generation)) {
    case VALUE_DAMAGED:
        return "wrong value: nothing like it was ever written";
    case VALUE_OTHER_KEY:
        return "wrong value: it is another session's";
    case VALUE_GOOD:
        break;
    }
    switch (ledger_check(&run->ledger, value, generation, lane->numbers[item])) {
    case LEDGER_NEVER:
        return "wrong value: it was not written yet";
    case LEDGER_OLD:
        return "wrong value: it is older than one that was acknowledged before";
    case LEDGER_FOREIGN:
        return run->options->preload ? "wrong value: this run has not written it" : NULL;
    case LEDGER_GOOD:
        break;
    }
    return NULL;
}

/* Was the session certainly written before this read was sent? */
static bool must_be_there(const struct run *run, const struct lane *lane)
{
    unsigned count = run->dialect.has_fields ? ITEM_COUNT : 1;
    for (unsigned i = 0; i < count; i++) {
        if (run->sessions_stay && lane->numbers[i] > 0) {
            return true;
        }
    }
    return false;
}

static bool is_counter(struct view value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] < '0' || value.ptr[i] > '9') {
            return false;
        }
    }
    return value.len > 0;
}

/* The same for all fields of a session. */
static const char *fault_of_fields(const struct run *run, const struct lane *lane,
                                   struct view content)
{
    struct field field;
    bool is_found[ITEM_COUNT] = {false};
    while (run->protocol->next_field(&content, &field)) {
        unsigned item = 0;
        while (item < ITEM_COUNT && !view_equal(field.name, item_names[item])) {
            item++;
        }
        if (item < ITEM_COUNT) {
            const char *fault = fault_of(run, lane, item, field.value);
            if (fault != NULL) {
                return fault;
            }
            is_found[item] = true;
        } else if (!view_equal(field.name, counter_name) || !is_counter(field.value)) {
            return "wrong value: a field that was never written";
        }
    }
    for (unsigned i = 0; i < ITEM_COUNT; i++) {
        if (run->sessions_stay && lane->numbers[i] > 0 && !is_found[i]) {
            return "wrong value: a field is lost";
        }
    }
    return NULL;
}

/* Checks what a GET brought. False when it is no answer to a GET at all. */
static bool verify_get(struct worker *worker, const struct lane *lane, const struct answer *answer)
{
    const struct run *run = worker->run;
    bool has_fields = run->dialect.has_fields;
    if (answer->kind != (has_fields ? ANSWER_FIELDS : ANSWER_VALUE)) {
        return false;
    }
    const char *fault = has_fields ? fault_of_fields(run, lane, answer->content)
                                   : fault_of(run, lane, 0, answer->content);
    worker->tally.verified_gets++;
    if (fault != NULL) {
        wrong(worker, lane, fault);
    }
    return true;
}

bool answer_check(struct worker *worker, struct lane *lane, const struct answer *answer)
{
    const struct run *run = worker->run;
    bool verify = run->options->verify;
    bool can_miss = lane->operation == OPERATION_TOUCH || lane->operation == OPERATION_DELETE;
    bool is_good = true;
    if (answer->kind == ANSWER_REFUSED) {
        worker->tally.errors++;
        complain(worker, lane, answer->text);
        return false;
    }
    if (answer->kind == ANSWER_MISSING ||
        (answer->kind == ANSWER_NUMBER && answer->number == 0 && can_miss)) {
        lane->is_missing = true;
        if (verify && !operation_writes(lane->operation) && must_be_there(run, lane)) {
            wrong(worker, lane, "wrong value: the session is gone, though nothing removed it");
        }
    } else if (lane->operation == OPERATION_GET) {
        is_good = !verify || verify_get(worker, lane, answer);
    } else {
        is_good = answer->kind == ANSWER_DONE || answer->kind == ANSWER_NUMBER;
    }
    if (!is_good) {
        worker->tally.errors++;
        complain(worker, lane, view_str("an answer that does not belong to it"));
    }
    return is_good;
}
