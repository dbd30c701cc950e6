/* Prints a libFuzzer dictionary of what the tables of protocol.h name: every tag and operation as
 * it stands on the wire, and every opcode. */
#include <stdio.h>

#include "base/bytes.h"
#include "satchel/protocol.h"

enum { LENGTH_BYTES = 3, LENGTH_FIELDS = 9, LENGTH_OPS = 16 };
enum { LENGTH_U16 = 2, LENGTH_U64 = 8, LENGTH_FLAG = 0 };

static void print_entry(const char *kind, const char *name, const uint8_t *bytes, size_t len)
{
    (void)printf("%s_%s=\"", kind, name);
    for (size_t i = 0; i < len; i++) {
        (void)printf("\\x%02x", bytes[i]);
    }
    (void)printf("\"\n");
}

static void print_tag(const char *name, unsigned tag, uint32_t value_bytes)
{
    uint8_t bytes[SATCHEL_TAG_BYTES];
    store_u16(bytes, (uint16_t)tag);
    store_u32(bytes + 2, value_bytes);
    print_entry("tag", name, bytes, sizeof bytes);
}

/* An operation on a field whose name has one byte. */
static void print_op(const char *name, uint8_t op)
{
    uint8_t bytes[7] = {op, 1};
    store_u32(bytes + 3, op == SATCHEL_FIELD_INCREMENT ? sizeof(int64_t) : 0);
    print_entry("op", name, bytes, sizeof bytes);
}

int main(void)
{
#define X(name, number, word, meaning) print_entry("opcode", #name, &(uint8_t){number}, 1);
    SATCHEL_OPCODES(X)
#undef X
#define X(name, number, type, where, meaning) print_tag(#name, number, LENGTH_##type);
    SATCHEL_TAGS(X)
#undef X
#define X(name, number, meaning) print_op(#name, number);
    SATCHEL_FIELD_OPS(X)
#undef X
    return 0;
}
