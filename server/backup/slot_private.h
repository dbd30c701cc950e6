/* Where things stand in a slot; the picture is in slot.h. */
#pragma once

enum {
    SLOT_FORMAT = 1,
    SLOT_AT_FORMAT = 8,
    SLOT_AT_FLAGS = 12,
    SLOT_AT_UUID = 16,
    SLOT_AT_NONCE = 32,
    SLOT_AT_EPOCH = 48,
    SLOT_AT_SEQ = 56,
    SLOT_AT_BASE_LSN = 64,
    SLOT_AT_FIRST_LSN = 72,
    SLOT_AT_LAST_LSN = 80,
    SLOT_AT_FROM_MS = 88,
    SLOT_AT_TO_MS = 96,
    SLOT_AT_BATCHES = 104,
    SLOT_AT_RAW_BYTES = 108,
    SLOT_AT_PREV = 112,
    SLOT_AT_CHECK = 128,
};

enum {
    BATCH_AT_FOLLOWS_LSN = 0,
    BATCH_AT_FIRST_LSN = 8,
    BATCH_AT_TIME_MS = 16,
    BATCH_AT_COUNT = 24,
    BATCH_AT_BYTES = 28,
};

#define SLOT_MAGIC "SATCHLOG"
