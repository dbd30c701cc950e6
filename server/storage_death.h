/*
 * The end of a process whose storage failed: nothing is acknowledged, answered or asked after it.
 *
 * exit() and _exit() alone do not end such a process. A thread inside a call to a cut-off network
 * file system cannot be interrupted, not by SIGKILL either, and for as long as it sits there the
 * kernel keeps the process's descriptors: clients would wait at open connections, and new ones be
 * taken from the listener's queue by nobody. So the sockets are shut down first, one by one.
 */
#pragma once

enum { EXIT_START = 1, EXIT_STORAGE = 3 };

/**
 * Makes a page of a mapped file that cannot be read (SIGBUS: the storage refuses, or the file was
 * cut) a storage failure like any other. Call before threads start.
 */
void storage_death_catch_bus_error(void);

/** From now on the process serves: it ends with EXIT_STORAGE; before, it is a failed start and ends
 *  with EXIT_START. Any thread. */
void storage_death_serving(void);

/**
 * Shuts down every socket of the process, logs one line with `why` and ends the process. Of several
 * threads that come here only the first one logs. Any thread; async-signal-safe as far as the
 * C library's formatting is, which takes no lock that a read of a mapped page could be under.
 */
_Noreturn void storage_death(const char *why);

/** The same without a line, for an end that the storage may hold up but did not cause. Any thread;
 *  async-signal-safe. */
_Noreturn void storage_death_unlogged(int exit_code);
