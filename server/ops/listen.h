/* The socket of the ops server. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/**
 * Listens on "HOST:PORT" ("[::1]:7402" for IPv6; port 0 = the kernel's choice); a name is looked
 * up, which may block. `*fd` is non-blocking and the caller's; `*port` is what it listens on. OK,
 * or INVALID (no usable address), EXISTS (in use), IO with one line in `errmsg`.
 */
enum status ops_listen(const char *address, int *fd, uint16_t *port, char *errmsg,
                       size_t errmsg_bytes) MUST_CHECK;
