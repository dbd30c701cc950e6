/* The names in the tables of protocol.h, both ways. Text ends at a blank or line end. */
#pragma once

#include "base/bytes.h"
#include "satchel/protocol.h"
#include "session/fields.h"

struct vector_tag {
    enum satchel_tag number;
    const char *name;
    const char *type;
};

/** NULL for an unknown one. */
const struct vector_tag *vector_tag_by_number(unsigned number);
const struct vector_tag *vector_tag_by_name(struct view name);

/** NULL for an unknown one. */
const char *vector_opcode_name(unsigned number);

/** Also decimal numbers. */
uint8_t vector_opcode_number(const char *text);

uint16_t vector_status_number(const char *text);

const char *vector_op_name(enum satchel_field_op op);
enum satchel_field_op vector_op_number(struct view name);
