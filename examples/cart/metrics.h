/*
 * What the shop measures, as CloudWatch metrics in namespace MyApp/Fargate with dimension
 * ServiceName. docs/app-metrics.md explains how they get there and how alarms follow from them.
 *
 *     RequestCount, http_request_count   Count         requests answered
 *     http_5xx_errors                    Count         of these, with a status of 500 or more
 *     Latency, request_latency_ms        Milliseconds  from the whole request to its answer
 *     db_query_duration_ms               Milliseconds  one call of the store, with its retries
 *     user_signup_total                  Count         customers who signed up
 *     payment_failure_count              Count         payments that were declined
 *
 * Two pairs say the same by two names, because both ways of naming are common and dashboards exist
 * for both. All on the loop's thread; nothing here ever waits.
 */
#pragma once

#include <stdint.h>

/** Opaque. */
struct metrics;

/** Opens them; `target` is one of libsatchel's, or "auto": what the environment asks for by
 *  AWS_EMF_…. NULL: not usable or no memory, and satchel_last_message() says which. */
struct metrics *metrics_new(const char *target, const char *service);

/** Writes what came together, waiting a second at most, and frees; NULL is fine. */
void metrics_free(struct metrics *self);

/** Milliseconds on a clock that only goes forward. */
double metrics_now_ms(void);

/** A request was answered with this HTTP status. */
void metrics_request(struct metrics *self, int status, double duration_ms);

/** The store answered a call. */
void metrics_query(struct metrics *self, double duration_ms);

void metrics_sign_up(struct metrics *self);

void metrics_payment_failure(struct metrics *self);
