/* What the ops server tells and is asked about the server: ready, backups. Main thread. */
#pragma once

#include "ops/ops.h"
#include "server.h"

/** The ops server's callbacks, about `server` (borrowed). */
struct ops_callbacks health_callbacks(struct server *server);
