/*
 * The thread that writes: lines from a bounded queue to the target, and now and then it has new
 * ones collected.
 *
 *     any thread ── emf_writer_put() ──▶ queue ──▶ the thread ──▶ target
 *                                          ▲           │
 *                                          └─ collect ◀┘  each interval, and when flushed
 *
 * The lock guards the queue and is never held over anything that waits. While more than half of the
 * queue is taken nothing is collected: what there is to collect then goes on adding up where it is,
 * and a collection always finds room.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/bytes.h"
#include "client/emf_target.h"

/** Puts lines into the queue with emf_writer_put(); on the writer's thread. */
typedef void (*emf_collect_fn)(void *arg);

struct emf_writer;

/** Starts the thread. `settings` are borrowed. OK, or NO_MEMORY. */
enum status emf_writer_start(const struct emf_settings *settings, emf_collect_fn collect, void *arg,
                             struct emf_writer **out) MUST_CHECK;

/** Puts a copy of `bytes`, a whole line, into the queue. `is_event`: into the half that collections
 * leave. OK; AGAIN: full, and NO_MEMORY: both count as dropped. Any thread. */
enum status emf_writer_put(struct emf_writer *self, struct view bytes, bool is_event) MUST_CHECK;

/** Collects soon; returns when that and everything before it is written, or at the end of
 *  `wait_ms`. OK or AGAIN. Any thread but the writer's. */
enum status emf_writer_flush(struct emf_writer *self, uint64_t wait_ms) MUST_CHECK;

/** Lines so far. Any thread. */
uint64_t emf_writer_written(const struct emf_writer *self);
uint64_t emf_writer_dropped(const struct emf_writer *self);

/**
 * Collects once more, waits for the target up to the settings' close_ms, and ends the thread. True:
 * everything is freed. False: the thread hangs in a write that does not return; it and what it
 * uses, `settings` and `arg` included, have to stay until the process ends.
 */
bool emf_writer_stop(struct emf_writer *self) MUST_CHECK;
