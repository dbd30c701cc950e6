/*
 * Keyspace events: what notify-keyspace-events asks for, and who tells it.
 *
 *     handler: redis_notify() ─▶ call->events ─▶ commit ─▶ redis_publish_events() ─▶ subscribers,
 *                                                          when the change is durable
 *
 * An event of a key is told twice if both is wanted: K, on a channel of the key, says what
 * happened; E, on a channel of the event, says to which key.
 *
 *     __keyspace@0__:mykey   del             __keyevent@0__:del   mykey
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

struct redis;

/** Reads the letters of notify-keyspace-events into a set of flags. False: one of them is none. */
bool redis_event_flags_parse(struct view letters, uint32_t *flags) MUST_CHECK;

enum { REDIS_EVENT_FLAGS_BYTES = 24 };

/** Writes them as Redis orders them; terminated by zero. */
void redis_event_flags_write(uint32_t flags, char out[static REDIS_EVENT_FLAGS_BYTES]);

/** Tells keyspace events, encoded as redis_notify() and redis_note_message() say, to who wants
 * them, when `gate_lsn` is durable. Any thread. */
void redis_publish_events(struct redis *redis, struct view events, uint64_t gate_lsn);

/** Notes a message of PUBLISH among the events of a transaction; without memory it is lost.
 *
 *      | 0 u8 | channel length u32 | payload length u32 | channel | payload |
 */
void redis_note_message(struct buf *events, struct view channel, struct view payload);
