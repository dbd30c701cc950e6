/*
 * Samples: what /metrics said at a moment, and what the difference of two of them says.
 *
 * Nothing here touches the document. A sample is {at, families}: `at` in milliseconds of the page's
 * own clock, `families` a map from a name to a map from labels, as they are written, to numbers.
 */
"use strict";

/** Reads the text format of Prometheus as far as the store writes it: one value a line. */
function parseMetrics(text) {
    const families = new Map();
    for (const line of text.split("\n")) {
        const found = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
        if (!found) {
            continue;
        }
        const [, name, labels = "", value] = found;
        if (!families.has(name)) {
            families.set(name, new Map());
        }
        families.get(name).set(labels, Number(value));
    }
    return families;
}

/** One value, or undefined when the store does not say it: a standby has no sessions to count. */
function valueOf(sample, name, labels = "") {
    return sample.families.get(name)?.get(labels);
}

/** The sum of a family, or of its members whose labels `only` takes. 0 when there is none. */
function totalOf(sample, name, only = () => true) {
    let total = 0;
    for (const [labels, value] of sample.families.get(name) ?? []) {
        total += only(labels) ? value : 0;
    }
    return total;
}

/** By how much a counter has grown between two samples. */
function growthOf(from, to, name, only) {
    return totalOf(to, name, only) - totalOf(from, name, only);
}

const secondsBetween = (from, to) => (to.at - from.at) / 1000;

/** A rate a second, or undefined when there is one sample only. */
function rateOf(from, to, name, only) {
    const seconds = secondsBetween(from, to);
    return seconds > 0 ? growthOf(from, to, name, only) / seconds : undefined;
}

/**
 * What went into each bucket of a histogram between two samples: [{above, upTo, count}], in seconds,
 * from the fastest to the slowest; of a family with several histograms `only` takes the labels of
 * one. The store writes buckets that include the ones before them.
 */
function bucketsBetween(from, to, name, only = () => true) {
    const buckets = [];
    let above = 0;
    let countAbove = 0;
    for (const [labels, count] of to.families.get(`${name}_bucket`) ?? []) {
        if (!only(labels)) {
            continue;
        }
        const bound = /(?:^|,)le="([^"]+)"/.exec(labels)[1];
        const upTo = bound === "+Inf" ? Infinity : Number(bound);
        const grown = count - (valueOf(from, `${name}_bucket`, labels) ?? 0);
        buckets.push({above, upTo, count: grown - countAbove});
        above = upTo;
        countAbove = grown;
    }
    return buckets;
}

const countIn = (buckets) => buckets.reduce((sum, bucket) => sum + bucket.count, 0);

/**
 * The time that a share of what is in the buckets stayed below, in seconds; undefined when they are
 * empty. As Prometheus does, within a bucket an even spread is assumed, and in the last one, which
 * has no end, its beginning is the answer.
 */
function quantileIn(buckets, share) {
    const rank = countIn(buckets) * share;
    let seen = 0;
    for (const {above, upTo, count} of buckets) {
        if (count > 0 && seen + count >= rank) {
            return upTo === Infinity ? above : above + (upTo - above) * ((rank - seen) / count);
        }
        seen += count;
    }
    return undefined;
}
