#include "load/protocol.h"

#define NAME(text)                                                                                 \
    {                                                                                              \
        (const uint8_t *)(text), sizeof(text) - 1                                                  \
    }

const struct view item_names[ITEM_COUNT] = {NAME("item0"), NAME("item1"), NAME("item2"),
                                            NAME("item3")};
const struct view counter_name = NAME("count");

const struct protocol *protocol_named(enum protocol_name name)
{
    switch (name) {
    case PROTOCOL_RESP:
        return &protocol_resp;
    case PROTOCOL_MEMCACHE:
        return &protocol_memcache;
    case PROTOCOL_NATIVE:
        break;
    }
    return &protocol_native;
}
