/*
 * Stopping in order, from the first signal until the main loop ends:
 *
 *     signal ─▶ no new connections, requests get STOPPING ─▶ replies leave ─▶ a last snapshot, if
 *     that is wanted ─▶ the loop ends, and main.c takes the server apart
 *
 * A second signal, or the clock, ends the process at once, wherever it is. Everything acknowledged
 * is in the journal all the same.
 *
 * Main thread.
 */
#pragma once

#include "server.h"

/** Begins it; the second time it ends the process. For signals as events of the main loop. */
void stopping_on_signal(int signal_number, short what, void *server);

/** Looks whether the loop can end. For a timer. */
void stopping_on_timer(int fd, short what, void *server);

/** From now on a signal ends the process at once: the main loop has ended. */
void stopping_forces(void);
