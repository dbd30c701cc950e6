/* What chain.c and chain_open.c share. Nobody else includes it. */
#pragma once

#include "backup/chain.h"

/** Notes one line and returns `status`. */
enum chain_status chain_fail(struct chain *self, enum chain_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** Notes that the client's last call failed and returns FAILED. */
enum chain_status chain_fail_s3(struct chain *self, const char *doing);

/** What a slot of another process means: FENCED, with a line about it. */
enum chain_status chain_fail_fenced(struct chain *self, const struct slot_header *header);

/** Begins the slot `next_seq`; `time_ms` is a fence's. */
void chain_begin_slot(struct chain *self, uint32_t flags, int64_t time_ms);

/** Makes it pending. OK, or FAILED: out of memory. */
enum chain_status chain_finish_slot(struct chain *self);
