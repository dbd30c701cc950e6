"""The comparison: the series of the table, group by group."""

from harness import machine, rounds, table
from harness.servers import KINDS

SCENARIOS = machine.ROOT / "bench" / "scenarios"
IN_THE_TABLE = ("mixed-1-4", "set-only")  # scenarios that are series as well


def add_arguments(parser):
    parser.add_argument("--series", action="append", choices=list(table.SERIES), metavar="NAME",
                        help="only this one, may be repeated: " + ", ".join(table.SERIES))
    parser.add_argument("--server", action="append", choices=list(KINDS), metavar="NAME",
                        help="only this one, may be repeated: " + ", ".join(KINDS))


def scenario_series():
    """Each file of bench/scenarios as a series of the durable servers; without targets."""
    return [table.Series(f"scenario-{path.stem}", path.stem, f"scenario-{path.stem}", table.DURABLE,
                         {"scenario": str(path)})
            for path in sorted(SCENARIOS.glob("*.conf")) if path.stem not in IN_THE_TABLE]


def measure(bench, size, options):
    names = options.series or size.series or [
        series.name for series in table.SERIES.values() if size.scenarios or not series.is_long]
    for group in table.GROUPS.values():
        chosen = [series for series in table.SERIES.values()
                  if series.group == group.name and series.name in names]
        if chosen:
            rounds.run_group(bench, group, chosen, options.server)
    if size.scenarios and not options.series:
        for series in scenario_series():
            rounds.run_scenario(bench, series, options.server)
