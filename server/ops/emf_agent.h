/* The way to a CloudWatch agent: one JSON object a line over TCP. */
#pragma once

#include "base/address.h"

/**
 * Begins to connect. A non-blocking socket that is ready for writing when the connection stands or
 * has failed, which the first send(2) tells; or -1 with errno. A peer that takes or acknowledges
 * nothing for ten seconds counts as gone. Looking up a name may block. Any thread.
 */
int emf_agent_connect(const struct host_port *agent);
