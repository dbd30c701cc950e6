/* Statuses, their retry classes, and the words of opcodes. */
#include <criterion/criterion.h>

#include "proto/native.h"

Test(status, each_has_its_name_text_and_retry_class)
{
#define X(name, number, retry, text)                                                               \
    cr_assert_str_eq(satchel_status_name_of((enum satchel_status)(number)), #name);                \
    cr_assert_str_eq(satchel_status_text_of((enum satchel_status)(number)), text);                 \
    cr_assert_eq(satchel_status_retry_of((enum satchel_status)(number)), SATCHEL_RETRY_##retry);
    SATCHEL_STATUSES(X)
#undef X
}

Test(status, an_unknown_number_may_have_been_applied)
{
    static const unsigned numbers[] = {6, 15, 31, 36, 49, 999, 1006, 65535};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        enum satchel_status status = (enum satchel_status)numbers[i];
        cr_assert_eq(satchel_status_retry_of(status), SATCHEL_RETRY_MAYBE_APPLIED);
        cr_assert_str_eq(satchel_status_name_of(status), "UNKNOWN_OUTCOME");
    }
}

Test(opcode, each_has_its_word_and_an_unknown_one_has_none)
{
#define X(name, number, word, meaning) cr_assert_str_eq(native_opcode_word(number), word);
    SATCHEL_OPCODES(X)
#undef X
    cr_assert_null(native_opcode_word(0));
    cr_assert_null(native_opcode_word(11));
    cr_assert_null(native_opcode_word(1000));
}
