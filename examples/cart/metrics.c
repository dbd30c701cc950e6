#include "metrics.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <satchel/emf.h>

struct metrics {
    struct satchel_emf *emf; /* owned; NULL: nobody wants them */
    /* Owned by `emf`; NULL without it. */
    struct satchel_emf_metric *requests[2];
    struct satchel_emf_metric *latencies[2];
    struct satchel_emf_metric *errors;
    struct satchel_emf_metric *queries;
    struct satchel_emf_metric *sign_ups;
    struct satchel_emf_metric *payment_failures;
};

struct metrics *metrics_new(const char *target, const char *service)
{
    struct metrics *self = calloc(1, sizeof(*self));
    struct satchel_emf_options options = {
        .name_space = "MyApp/Fargate",
        .service_name = service,
        .target = strcmp(target, "auto") == 0 ? NULL : target,
    };
    if (!self || satchel_emf_open(&options, &self->emf) != SATCHEL_OK) {
        free(self);
        return NULL;
    }
    struct satchel_emf *emf = self->emf;
    self->requests[0] = satchel_emf_counter(emf, "RequestCount", "Count");
    self->requests[1] = satchel_emf_counter(emf, "http_request_count", "Count");
    self->latencies[0] = satchel_emf_distribution(emf, "Latency", "Milliseconds");
    self->latencies[1] = satchel_emf_distribution(emf, "request_latency_ms", "Milliseconds");
    self->errors = satchel_emf_counter(emf, "http_5xx_errors", "Count");
    self->queries = satchel_emf_distribution(emf, "db_query_duration_ms", "Milliseconds");
    self->sign_ups = satchel_emf_counter(emf, "user_signup_total", "Count");
    self->payment_failures = satchel_emf_counter(emf, "payment_failure_count", "Count");
    return self;
}

void metrics_free(struct metrics *self)
{
    if (self) {
        satchel_emf_close(self->emf);
        free(self);
    }
}

double metrics_now_ms(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

void metrics_request(struct metrics *self, int status, double duration_ms)
{
    for (size_t i = 0; i < 2; i++) {
        satchel_emf_add(self->requests[i], 1);
        satchel_emf_observe(self->latencies[i], duration_ms);
    }
    if (status >= 500) {
        satchel_emf_add(self->errors, 1);
    }
}

void metrics_query(struct metrics *self, double duration_ms)
{
    satchel_emf_observe(self->queries, duration_ms);
}

void metrics_sign_up(struct metrics *self)
{
    satchel_emf_add(self->sign_ups, 1);
}

void metrics_payment_failure(struct metrics *self)
{
    satchel_emf_add(self->payment_failures, 1);
}
