/*
 * Many threads on one emitter while it flushes and while nobody reads for a time. A program of its
 * own, because ThreadSanitizer and Criterion do not go together. What comes out is what went in.
 */
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "satchel/emf.h"
#include "support/require.h"

enum { THREADS = 8, ROUNDS = 20000, EVENTS_EACH = 100 };

struct shared {
    struct satchel_emf *emf;
    struct satchel_emf_metric *requests;
    struct satchel_emf_metric *latency;
    atomic_uint refused; /* events that the queue had no room for */
};

static void *measure(void *arg)
{
    struct shared *shared = arg;
    struct satchel_emf_metric *event = satchel_emf_counter(shared->emf, "Event", "Count");
    struct satchel_emf_metric *users = satchel_emf_gauge(shared->emf, "Users", "Count");
    REQUIRE(event != NULL && users != NULL);
    struct satchel_emf_sample sample = {event, 1};
    char text[1500] = "";
    memset(text, 'x', sizeof text - 1);
    struct satchel_emf_property property = {"Path", text};
    for (int i = 0; i < ROUNDS; i++) {
        satchel_emf_add(shared->requests, 1);
        satchel_emf_observe(shared->latency, i % 100);
        satchel_emf_set(users, i);
        if (i % (ROUNDS / EVENTS_EACH) == 0) {
            enum satchel_status status = satchel_emf_event(shared->emf, &sample, 1, &property, 1);
            REQUIRE(status == SATCHEL_OK || status == SATCHEL_BUSY);
            atomic_fetch_add(&shared->refused, status == SATCHEL_BUSY);
            (void)satchel_emf_flush(shared->emf, 0);
        }
    }
    return NULL;
}

struct totals {
    double requests, observed, events, dropped;
};

static void take(struct totals *totals, const char *text)
{
    json_t *line = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    REQUIRE(line != NULL);
    json_t *latency = json_object_get(line, "Latency");
    totals->requests += json_number_value(json_object_get(line, "Requests"));
    totals->observed += json_number_value(json_object_get(latency, "Count"));
    totals->events += json_number_value(json_object_get(line, "Event"));
    totals->dropped += json_number_value(json_object_get(line, "EmfLinesDropped"));
    json_decref(line);
}

int main(void)
{
    int ends[2];
    char target[16];
    REQUIRE(pipe(ends) == 0);
    (void)snprintf(target, sizeof target, "fd:%d", ends[1]);
    struct satchel_emf_options options = {
        .name_space = "Test", .target = target, .interval_ms = 100, .close_ms = 30000};
    struct shared shared = {0};
    REQUIRE(satchel_emf_open(&options, &shared.emf) == SATCHEL_OK);
    shared.requests = satchel_emf_counter(shared.emf, "Requests", "Count");
    shared.latency = satchel_emf_distribution(shared.emf, "Latency", "Milliseconds");
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        REQUIRE(pthread_create(&threads[i], NULL, measure, &shared) == 0);
    }
    for (int i = 0; i < THREADS; i++) { /* nobody reads until all of them are through */
        REQUIRE(pthread_join(threads[i], NULL) == 0);
    }
    struct totals totals = {0};
    FILE *from = fdopen(ends[0], "r");
    REQUIRE(from != NULL);
    const double wanted = THREADS * (double)ROUNDS;
    double refused = atomic_load(&shared.refused);
    while (totals.requests < wanted || totals.observed < wanted || totals.dropped < refused ||
           totals.events < THREADS * EVENTS_EACH - refused) {
        char line[SATCHEL_EMF_LINE_BYTES_MAX + 1];
        REQUIRE(fgets(line, sizeof line, from) != NULL);
        take(&totals, line);
    }
    (void)printf("%.0f requests, %.0f observed, %.0f events, %.0f dropped\n", totals.requests,
                 totals.observed, totals.events, totals.dropped);
    satchel_emf_close(shared.emf);
    (void)fclose(from);
    (void)close(ends[1]);
    return totals.requests == wanted && totals.observed == wanted && totals.dropped == refused &&
                   totals.events + refused == THREADS * EVENTS_EACH
               ? 0
               : 1;
}
