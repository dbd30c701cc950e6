/* Replies as the API shows them. */
#pragma once

#include "client/core.h"
#include "satchel/satchel.h"

/** A result that points into the event's memory and owns nothing. */
struct satchel_result result_borrow(const struct core_event *event);

/** Replaces what `*into` holds by a copy of `from` in memory of its own; NO_MEMORY leaves `*into`
 *  empty. */
enum satchel_status result_copy(struct satchel_result *into, const struct satchel_result *from);
