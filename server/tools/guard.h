/*
 * Reading damaged files through LMDB may end the process: a wrong page number is a SIGSEGV or
 * SIGBUS, a wrong page an assertion. So it is done in a child process, whose results are in shared
 * memory.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/** Memory that a child of guard_run() shares; zeroed. NULL: there is none. Never freed. */
void *guard_memory(size_t bytes);

/**
 * Runs `work` in a child process and waits for its end. True: it returned, and `*code` is what it
 * returned (0 to 255). False: it died; `how` then says of what, as in "signal 7, Bus error". A
 * child that does not come about counts as dead. What LMDB says on standard error as it dies is not
 * shown.
 */
bool guard_run(int (*work)(void *arg), void *arg, int *code, char *how, size_t how_bytes);

/** On a terminal, shows how far it is on one line; at most ten times a second. Of no effect, and
 *  cheap, otherwise. NULL ends the line. */
void guard_show(const char *what, unsigned long long done);
