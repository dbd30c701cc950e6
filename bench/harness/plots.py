"""Which plots a run gives: (file name, title, SVG text)."""

from harness import figures, svg, table
from harness.markdown import by_prefix, label, names

CPU_SERIES = ("mixed-p1", "mixed-p16", "set-p16")
RATE_SERIES = ("set-p1", "set-p16", "mixed-p1", "mixed-p16")


def bar_group(measurements, series, figure, wanted=None, scale=1):
    found = []
    for name in names(measurements, series):
        values = figures.by_round(measurements, series, name, figure).values()
        one = figures.spread([value / scale for value in values])
        if one is not None and (wanted is None or name in wanted):
            found.append((label(name), name, one))
    return found


def bars(measurements, title, unit, all_series, figure, wanted=None, scale=1):
    groups = [(what, group) for series, what in all_series
              if (group := bar_group(measurements, series, figure, wanted, scale))]
    return svg.bars(title, unit, groups) if groups else None


def histogram(measurements, series, server, operation):
    """Of all rounds together."""
    total = {}
    for one in measurements:
        if (one["series"], one["server"]) == (series, server) and "load" in one:
            for bound, count in one["load"]["result"]["histograms_us"].get(operation, ()):
                total[bound] = total.get(bound, 0) + count
    return sorted(total.items())


def curve(measurements, title, series, operation):
    lines = [(label(name), name, found) for name in names(measurements, series)
             if (found := histogram(measurements, series, name, operation))]
    return svg.curves(title, lines) if lines else None


def make(measurements):
    named = {name: series.what for name, series in table.SERIES.items()}
    wanted = [
        ("cpu-per-operation", "CPU time of the server for one operation", bars(
            measurements, "CPU time of the server for one operation",
            "microseconds an operation: median, least and most", [(name, named[name])
                                                                 for name in CPU_SERIES],
            "cpu_us_per_op")),
        ("durable-rates", "Operations a second with durable acknowledgement", bars(
            measurements, "Operations a second with durable acknowledgement",
            "thousand operations a second: median, least and most",
            [(name, named[name]) for name in RATE_SERIES], "ops_per_s", table.DURABLE, 1000)),
        ("starts", "From SIGKILL to serving again", bars(
            measurements, "From SIGKILL to serving again", "seconds: median, least and most",
            [(series, f"{int(series[len('start-'):]):,} sessions")
             for series in by_prefix(measurements, "start-")], "serving_s")),
    ]
    # Latencies of an open loop say more; the closed one is what there is without --full.
    was_open = any(one["series"] == "open" for one in measurements)
    series, loop = ("open", named["open"]) if was_open else ("mixed-p1", "a saturated server")
    for operation in ("get", "set"):
        title = f"{operation.upper()}: {loop}"
        wanted.append((f"latency-{operation}", title,
                       curve(measurements, title, series, operation)))
        for slow in by_prefix(measurements, "slow-"):
            title = (f"{operation.upper()} beside an fsync of {table.FSYNC_US / 1000:g} ms, "
                     f"{slow[len('slow-'):]} connections")
            wanted.append((f"latency-{slow}-{operation}", title,
                           curve(measurements, title, slow, operation)))
    return [(f"{name}.svg", title, text) for name, title, text in wanted if text]
