/* The names in the tables of protocol.h. */
#include "vector_names.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static const struct vector_tag tags[] = {
#define X(name, number, type, where, meaning) {SATCHEL_TAG_##name, #name, #type},
    SATCHEL_TAGS(X)
#undef X
};

static const struct named_number {
    unsigned number;
    const char *name;
} opcodes[] =
    {
#define X(name, number, word, meaning) {number, #name},
        SATCHEL_OPCODES(X)
#undef X
},
  statuses[] =
      {
#define X(name, number, retry, text) {number, #name},
          SATCHEL_STATUSES(X)
#undef X
},
  ops[] = {
#define X(name, number, meaning) {number, #name},
      SATCHEL_FIELD_OPS(X)
#undef X
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct view word_of(const char *text)
{
    return view_of(text, strcspn(text, " \n"));
}

const struct vector_tag *vector_tag_by_number(unsigned number)
{
    for (size_t i = 0; i < COUNT(tags); i++) {
        if ((unsigned)tags[i].number == number) {
            return &tags[i];
        }
    }
    return NULL;
}

const struct vector_tag *vector_tag_by_name(struct view name)
{
    for (size_t i = 0; i < COUNT(tags); i++) {
        if (view_equal(name, view_str(tags[i].name))) {
            return &tags[i];
        }
    }
    return NULL;
}

static const char *name_of(const struct named_number *table, size_t count, unsigned number)
{
    for (size_t i = 0; i < count; i++) {
        if (table[i].number == number) {
            return table[i].name;
        }
    }
    return NULL;
}

/* -1 for an unknown one. */
static int number_of(const struct named_number *table, size_t count, struct view name)
{
    for (size_t i = 0; i < count; i++) {
        if (view_equal(name, view_str(table[i].name))) {
            return (int)table[i].number;
        }
    }
    return -1;
}

const char *vector_opcode_name(unsigned number)
{
    return name_of(opcodes, COUNT(opcodes), number);
}

uint8_t vector_opcode_number(const char *text)
{
    int number = number_of(opcodes, COUNT(opcodes), word_of(text));
    return (uint8_t)(number >= 0 ? (unsigned long)number : strtoul(text, NULL, 10));
}

uint16_t vector_status_number(const char *text)
{
    int number = number_of(statuses, COUNT(statuses), word_of(text));
    cr_assert_geq(number, 0, "no such status: %.20s", text);
    return (uint16_t)number;
}

const char *vector_op_name(enum satchel_field_op op)
{
    return name_of(ops, COUNT(ops), op);
}

enum satchel_field_op vector_op_number(struct view name)
{
    int number = number_of(ops, COUNT(ops), name);
    cr_assert_geq(number, 0, "no such operation: %.*s", (int)name.len, (const char *)name.ptr);
    return (enum satchel_field_op)number;
}
