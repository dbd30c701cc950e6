/* Checks of Prometheus' text format that `promtool check metrics` does not make. */
#pragma once

/**
 * Fails the test unless every family has one HELP and one TYPE directly before its samples, its
 * samples stand together, no sample stands twice, and every histogram has ascending bounds up to
 * +Inf, counts that do not fall, and +Inf equal to _count. Returns the number of histograms.
 */
unsigned check_exposition(const char *text);

/** Fails the test unless `promtool check metrics` takes the text without a word. */
void check_with_promtool(const char *text);
