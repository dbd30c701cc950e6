/*
 * Many threads on one blocking client while its connections are being closed under it. A program of
 * its own, because ThreadSanitizer and Criterion do not go together; this is what it runs.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "satchel/satchel.h"
#include "unit/client/fake.h"

enum { THREADS = 8, ROUNDS = 200 };

struct shared {
    struct satchel *store;
    atomic_uint applied;   /* answered with OK */
    atomic_uint ambiguous; /* broken in flight: applied or not */
};

static void *add_often(void *arg)
{
    struct shared *shared = arg;
    struct satchel_op op = {.op = SATCHEL_FIELD_INCREMENT, .name = satchel_text("n"), .delta = 1};
    for (int i = 0; i < ROUNDS; i++) {
        struct satchel_result result = {0};
        enum satchel_status status = satchel_patch(shared->store, satchel_text("id"), &op, 1, NULL,
                                                   &result);
        if (status == SATCHEL_OK) {
            atomic_fetch_add(&shared->applied, 1);
        } else if (status == SATCHEL_DISCONNECTED) {
            atomic_fetch_add(&shared->ambiguous, 1);
        } else {
            (void)fprintf(stderr, "%s\n", satchel_last_message());
            abort();
        }
        status = satchel_get(shared->store, satchel_text("id"), NULL, &result);
        if (status != SATCHEL_OK && status != SATCHEL_NOT_FOUND) {
            (void)fprintf(stderr, "%s\n", satchel_last_message());
            abort();
        }
        satchel_result_free(&result);
    }
    return NULL;
}

static unsigned read_number(struct satchel *store)
{
    struct satchel_result result = {0};
    struct satchel_bytes value = {0};
    if (satchel_get(store, satchel_text("id"), NULL, &result) != SATCHEL_OK ||
        !satchel_find_field(result.content, satchel_text("n"), &value)) {
        abort();
    }
    char text[16];
    (void)snprintf(text, sizeof text, "%.*s", (int)value.len, (const char *)value.ptr);
    satchel_result_free(&result);
    return (unsigned)strtoul(text, NULL, 10);
}

int main(void)
{
    struct fake *fake = fake_start(NULL);
    struct shared shared = {0};
    char address[32];
    (void)snprintf(address, sizeof address, "localhost%s", strchr(fake_address(fake), ':'));
    struct satchel_options options = {
        .server = address, .connections_max = 4, .deadline_ms = 30000, .connect_ms = 10000};
    if (satchel_open(&options, &shared.store) != SATCHEL_OK) {
        return 1;
    }
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        if (pthread_create(&threads[i], NULL, add_often, &shared) != 0) {
            return 1;
        }
    }
    for (unsigned closed = 0; closed < 20; closed++) {
        unsigned target = fake_requests(fake) + 50;
        while (fake_requests(fake) < target && fake_requests(fake) < 2 * THREADS * (ROUNDS - 10)) {
            (void)sched_yield();
        }
        fake_close_connections(fake);
    }
    for (int i = 0; i < THREADS; i++) {
        if (pthread_join(threads[i], NULL) != 0) {
            return 1;
        }
    }
    unsigned number = read_number(shared.store);
    unsigned applied = atomic_load(&shared.applied);
    unsigned ambiguous = atomic_load(&shared.ambiguous);
    (void)printf("%u applied for sure, %u perhaps, %u in the store, %u connections\n", applied,
                 ambiguous, number, fake_connections(fake));
    satchel_close(shared.store);
    fake_stop(fake);
    return number >= applied && number <= applied + ambiguous &&
                   applied + ambiguous == THREADS * ROUNDS
               ? 0
               : 1;
}
