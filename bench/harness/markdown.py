"""The report of a run, in Markdown, between two markers of a page that may have other prose."""

from harness import figures, table
from harness.load import CPU_AT_ONCE
from harness.servers import KINDS
from harness.svg import number

BEGIN, END = "<!-- bench -->", "<!-- /bench -->"


class NoMarkers(Exception):
    """The page is there and has no place for the report."""


def insert(page, report):
    """The page with the report between its markers; what is around them stays."""
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise NoMarkers(f"it lacks the lines {BEGIN} and {END}")
    return f"{head}{BEGIN}\n{report.strip()}\n{END}{tail}"


def rows(heads, body):
    """A table; nothing for one without rows."""
    if not body:
        return []
    return ["", "| " + " | ".join(heads) + " |", "|" + "---|" * len(heads),
            *("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in body)]


def spread(one, scale=1):
    """The median, and the quartiles when there were several rounds."""
    if one is None:
        return "–"
    if one.count == 1:
        return number(one.median / scale)
    return f"{number(one.median / scale)} ({number(one.low / scale)}–{number(one.high / scale)})"


def label(name):
    return KINDS[name].label if name in KINDS else {"fsync": "one fsync there"}.get(name, name)


def limit(target):
    sign, value = ("≤", target.at_most) if target.at_most is not None else ("≥", target.at_least)
    is_part = value < 0.5 and abs(1 / value - round(1 / value)) < 1e-9 and target.against
    shown = f"1/{round(1 / value)}" if is_part else number(value / target.scale)
    return f"{sign} {shown} ×" if target.against else f"{sign} {shown} {target.unit}".strip()


def times(ratio):
    return "–" if ratio is None else f"{spread(ratio)} ×"


def floor_ratio(target, measurements):
    """What the floor server needs where the target says something about Satchel; None: unknown."""
    return target.floor and figures.compare(measurements, target.series, target.figure,
                                            *target.floor.floor)


def in_the_way(target, measurements):
    """What to read beside a target that was missed."""
    ratio = floor_ratio(target, measurements)
    return "" if ratio is None else f"; the floor server needs {number(ratio.median)} ×"


def targets(measurements):
    body = []
    for target in table.TARGETS:
        outcome = figures.judge(target, measurements)
        unit = "×" if target.against else target.unit
        shown = "–" if outcome.value is None else f"{spread(outcome.value, target.scale)} {unit}"
        unsure = outcome.value is not None and outcome.value.count > 1 and not outcome.is_clear
        text = outcome.text if outcome.state != "missed" else f"**{outcome.text}**"
        text += ", within the spread" if unsure else ""
        if outcome.state == "missed":
            text += in_the_way(target, measurements)
        body.append([target.what, label(target.against) if target.against else "–", limit(target),
                     shown.strip(), text])
    return rows(["what", "against", "to reach", "measured", "result"], body)


def floors(measurements):
    """Of targets that a floor belongs to: how far it is from there, and from null, to Satchel."""
    body = []
    for target in table.TARGETS:
        if floor_ratio(target, measurements) is None:
            continue
        floor, mine = target.floor.floor[0], (target.server, target.against)
        pairs = [(target.figure, target.floor.null), (target.figure, target.floor.floor),
                 (target.figure, mine), (CPU_AT_ONCE, mine),
                 (target.figure, (target.server, floor)), (CPU_AT_ONCE, (target.server, floor))]
        body.append([target.what, limit(target),
                     *(times(figures.compare(measurements, target.series, figure, *pair))
                       for figure, pair in pairs)])
    if not body:
        return []
    return ["", "What no store can leave out: the **floor server** is the null server and the "
            "least of a store. Ratios of the same rounds: the first four are to the null server with the "
            "load of the row, those of 2 workers to the same server with one. *At once* is without "
            "the checkpoints that were put off until after the rounds, which the target counts."
            ] + rows(["what", "to reach", "null server", "floor server", "Satchel",
                      "Satchel, at once", "Satchel to floor server", "… at once"], body)


def summary(measurements):
    """(reached, missed, unknown)"""
    states = [figures.judge(target, measurements).state for target in table.TARGETS]
    return tuple(states.count(state) for state in ("reached", "missed", "unknown"))


def names(measurements, series):
    """Servers of a series that were measured, in the order of KINDS."""
    there = {one["server"] for one in measurements if one["series"] == series}
    return [name for name in [*KINDS, "fsync"] if name in there]


def comparison(measurements, series, what, operations=("get", "set")):
    """One series: what every server needs and reaches."""
    latencies = [(operation, name) for operation in operations for name in ("p50", "p99")]
    body = []
    for name in names(measurements, series):
        if name == "fsync":
            continue
        cells = [figures.figure_spread(measurements, series, name, figure)
                 for figure in ("cpu_us_per_op", "ops_per_s",
                                *(f"{operation}_{name}_us" for operation, name in latencies))]
        body.append([label(name), *map(spread, cells)])
    return [] if not body else ["", f"**{what}**"] + rows(
        ["server", "CPU, µs an operation", "operations/s",
         *(f"{'' if operation == 'all' else operation.upper() + ' '}{name}, µs"
           for operation, name in latencies)], body)


def by_prefix(measurements, prefix):
    """Series whose name is the prefix and a number, in the order of the number."""
    found = {one["series"] for one in measurements if one["series"].startswith(prefix)}
    return sorted(found, key=lambda name: int(name[len(prefix):]))


def only(measurements, series, server, figure):
    return figures.figure_spread(measurements, series, server, figure)


def engine(measurements):
    lines = []

    def cells(series, server, *wanted):
        return [spread(only(measurements, series, server, name)) for name in wanted]

    each = ("writes_per_update", "syncs_per_update", "bytes_per_update")
    body = [[series[len("journal-batch-"):], *cells(series, "store", *each, "updates_per_s")]
            for series in by_prefix(measurements, "journal-batch-")]
    if body:
        lines += ["", f"The journal alone, updates of {table.VALUE_BYTES}-byte values:"] + rows(
            ["updates at a time", "writes an update", "syncs an update", "bytes an update",
             "updates/s"], body)
    body = [[series[len("checkpoint-"):], *cells(series, "store", *each, "seconds")]
            for series in by_prefix(measurements, "checkpoint-")]
    if body:
        lines += ["", "The checkpoint alone:"] + rows(
            ["sessions", "writes a session", "syncs a session", "bytes a session", "seconds"], body)
    for series in by_prefix(measurements, "updates-"):
        sessions = int(series[len("updates-"):])
        lines += ["", f"At {table.UPDATES_PER_S:,} updates a second of random ones of {sessions:,} "
                  f"sessions, on storage with fsync {table.FSYNC_US / 1000:g} ms; how many of "
                  "them share one of Satchel's checkpoints is what it does by itself:"]
        lines += rows(["server", "writes an update", "syncs an update", "bytes an update",
                       "of which journal", "of which data file", "updates a checkpoint"],
                      [[label(name), *cells(series, name, *each, "journal_bytes_per_update",
                                            "data_bytes_per_update", "updates_per_checkpoint")]
                       for name in names(measurements, series)])
    body = [[f"{int(series[len('start-'):]):,}", label(name),
             *cells(series, name, "serving_s", "beyond_bytes", "beyond_bytes_restarted")]
            for series in by_prefix(measurements, "start-") for name in names(measurements, series)]
    if body:
        lines += ["", "Killed (SIGKILL) and started again, files in the page cache; redis has "
                  "rewritten its append-only file just before. Memory is beyond id and value:"]
        lines += rows(["sessions", "server", "kill to serving, s", "bytes a session",
                       "… after the start"], body)
    return lines


def ceiling(measurements):
    body = []
    for mode in ("append", "overwrite"):
        for series in by_prefix(measurements, f"ceiling-{mode}-"):
            body.append([mode, series.rsplit("-", 1)[1], *(
                spread(only(measurements, series, "disk", name))
                for name in ("syncs_per_s", "mib_per_s", "cpu_us_per_mib", "p50_us", "p99_us"))])
    return rows(["what the disk can do: record after record, each with fdatasync", "bytes",
                 "syncs/s", "MiB/s", "CPU, µs a MiB", "p50, µs", "p99, µs"], body)


def stamp(run):
    load = ", ".join(f"{value:.1f}" for value in run["load_average"])
    sizes = run.get("sizes", {})
    lines = ["", "### How it was measured", "",
             f"{run['time']}, commit {run['commit']}, `{run['command']}`: "
             f"{run['cores']} cores ({run['cpu']}), Linux {run['kernel']}, data on "
             f"{run['file_system']}, load average before the start {load}. Server on core "
             f"{', '.join(map(str, run['server_cores']))}, load on core "
             f"{', '.join(map(str, run['load_cores']))}."]
    if sizes:
        lines += ["", f"{sizes['rounds']} interleaved rounds of {sizes['seconds']:g} s, "
                  f"{sizes['keys']:,} sessions of {table.VALUE_BYTES} bytes, "
                  f"{table.CONNECTIONS} connections. Medians, in parentheses the quartiles; a ratio "
                  "is the median of the rounds' ratios. CPU is what the server's process needed for "
                  "the load and for what it put off until after it, by all operations."]
    lines += rows(["server", "version", "command"],
                  [[label(name), one["version"], f"`{one['command']}`"]
                   for name, one in run.get("servers", {}).items()])
    if run.get("notes"):
        lines += ["", *(f"* {note}" for note in run["notes"])]
    return lines


def report(run, measurements, plots):
    """The whole text. `plots`: [(title, path beside the page)]."""
    reached, missed, unknown = summary(measurements)
    lines = ["## Targets", "", f"{reached} reached, {missed} missed"
             + (f", {unknown} not measured" if unknown else "") + "."]
    if run.get("sizes", {}).get("size") == "quick":
        lines += ["", "**A quick look: one short round of few sessions. It proves nothing.**"]
    lines += targets(measurements) + floors(measurements)
    lines += ["", "## Beside others"]
    lines += [f"\n![{title}]({path})" for title, path in plots]
    for series in table.SERIES.values():
        lines += comparison(measurements, series.name, series.what)
    for series in by_prefix(measurements, "slow-"):
        lines += comparison(measurements, series,
                            f"{series[len('slow-'):]} connections, storage with fsync "
                            f"{table.FSYNC_US / 1000:g} ms, reads {table.READ_US / 1000:g} ms")
    scenarios = sorted({one["series"] for one in measurements
                        if one["series"].startswith("scenario-")})
    for series in scenarios:
        lines += comparison(measurements, series, "scenario " + series[len("scenario-"):], ("all",))
    inner = engine(measurements) + ceiling(measurements)
    if inner:
        lines += ["", "## Inside"] + inner
    return "\n".join(lines + stamp(run)) + "\n"
