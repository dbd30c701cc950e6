// A backend of StatsD that writes what each interval brought as one line of JSON.
exports.init = function (startupTime, config, events) {
    events.on("flush", function (time, metrics) {
        const { counters, gauges, timers, timer_counters } = metrics;
        process.stderr.write("flush " + JSON.stringify({ counters, gauges, timers, timer_counters }) + "\n");
    });
    return true;
};
