/* What a mix says, and what is refused. */
#include "load/mix.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static char why[200];

Test(mix, names_operations_sequences_and_weights)
{
    struct mix mix;
    cr_assert(mix_parse(" get+touch 3,set 1 ,  connect+set+get 2", &mix, why, sizeof why), "%s",
              why);
    cr_assert_eq(mix.plan_count, 3);
    cr_assert_eq(mix.weight_total, 6);
    cr_assert_eq(mix.plans[0].step_count, 2);
    cr_assert_eq(mix.plans[0].steps[0], OPERATION_GET);
    cr_assert_eq(mix.plans[0].steps[1], OPERATION_TOUCH);
    cr_assert_eq(mix.plans[2].steps[0], OPERATION_CONNECT);
    cr_assert(mix_has(&mix, OPERATION_CONNECT));
    cr_assert_not(mix_has(&mix, OPERATION_DELETE));
    cr_assert_not(mix_has_fields(&mix));
    cr_assert(fabs(mix_steps_mean(&mix) - (3 * 2 + 1 + 2 * 3) / 6.0) < 1e-9);
}

Test(mix, every_operation_can_be_named)
{
    for (unsigned i = 0; i < OPERATION_COUNT; i++) {
        struct mix mix;
        char text[32];
        (void)snprintf(text, sizeof text, "%s 1", operation_word((enum operation)i));
        cr_assert(mix_parse(text, &mix, why, sizeof why), "%s", why);
        cr_assert_eq(mix.plans[0].steps[0], i);
        cr_assert_eq(mix_has_fields(&mix), i == OPERATION_PATCH || i == OPERATION_INCR);
    }
}

Test(mix, plans_come_by_their_weights)
{
    enum { DRAWS = 100000 };
    struct mix mix;
    struct splitmix random = {.state = 1};
    unsigned counts[3] = {0};
    cr_assert(mix_parse("get 80, set 15, touch 5", &mix, why, sizeof why));
    for (unsigned i = 0; i < DRAWS; i++) {
        counts[mix_next(&mix, &random) - mix.plans]++;
    }
    for (unsigned i = 0; i < 3; i++) {
        double expected = (double)DRAWS * mix.plans[i].weight / 100;
        cr_assert(fabs(counts[i] - expected) < 5 * sqrt(expected), "%u: %u", i, counts[i]);
    }
}

Test(mix, what_is_wrong_with_one_is_said)
{
    static const struct {
        const char *text;
        const char *said; /* part of the line */
    } cases[] = {
        {"", "no such operation: \"\""},
        {"fetch 1", "no such operation: \"fetch\""},
        {"GET 1", "no such operation: \"GET\""},
        {"get+ 1", "no such operation: \"\""},
        {"get+fly 1", "no such operation: \"fly\""},
        {"get", "behind \"get\" a weight"},
        {"get 0", "behind \"get\" a weight"},
        {"get -1", "behind \"get\" a weight"},
        {"get 1000001", "behind \"get\" a weight"},
        {"get 99999999999999999999", "behind \"get\" a weight"},
        {"get 1 set 2", "a comma is wanted before \"set 2\""},
        {"get 1,", "no such operation: \"\""},
        {"get+get+get+get+get+get+get+get+get 1", "more than 8 operations"},
        {"get 1,get 1,get 1,get 1,get 1,get 1,get 1,get 1,get 1,get 1,get 1,get 1,get 1,get 1,get "
         "1,"
         "get 1,get 1",
         "more than 16 entries"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mix mix;
        why[0] = '\0';
        cr_assert_not(mix_parse(cases[i].text, &mix, why, sizeof why), "%s", cases[i].text);
        cr_assert_not_null(strstr(why, cases[i].said), "%s: %s", cases[i].text, why);
    }
}
