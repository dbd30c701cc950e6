/*
 * A satcheld of a test's own, as a separate process: on a free port of loopback, its log in a file,
 * gone at the latest when the test is.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

enum { SERVER_OPTIONS_MAX = 16 };

struct server {
    const char *binary;    /* borrowed */
    const char *directory; /* borrowed; data, run and log are made in it */
    const char *data;      /* borrowed; the data directory when it is elsewhere, or NULL */
    pid_t pid;             /* 0: not running */
    long log_from;         /* where in the log the present run begins */
    char address[64];      /* of the present run, after server_wait_serving() */
    const char *options[SERVER_OPTIONS_MAX + 1]; /* borrowed; NULL ends them */
};

/** Starts the program; does not wait. Ends the test when it cannot. */
void server_launch(struct server *self);

/** Waits until the log says that it serves. False: it ended, or not within 60 s; the log was
 *  printed. */
bool server_wait_serving(struct server *self);

/** Waits until the log says that it serves, or it ends; says nothing about either. True: it serves.
 *  False: it ended, with the exit code, or minus the signal, in `*code`; or it does neither
 *  within 60 s, and its pid is still there. */
bool server_wait_start(struct server *self, int *code);

/** SIGKILL, and waits for the end. */
void server_kill(struct server *self);

/** SIGTERM, and waits for the end; returns the exit code, or minus the signal. */
int server_stop(struct server *self);

/** Prints the log of the present run to standard error. */
void server_print_log(const struct server *self);
