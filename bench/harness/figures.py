"""From measurements to figures: medians, spreads, ratios, and whether a target was reached.

A measurement is a dict: {"series", "server", "round", "figures": {name: number}, …}. Two servers are
compared round by round, because what a shared machine does to one it does to its neighbour in the
same round; the ratio that counts is the median of the rounds' ratios.
"""

import dataclasses
import statistics


@dataclasses.dataclass(frozen=True)
class Spread:
    """Some values: the middle one, the quartiles around it, and the extremes."""

    median: float
    low: float  # first quartile
    high: float  # third quartile
    least: float
    most: float
    count: int


def spread(values):
    """The Spread of numbers, None of none."""
    values = sorted(values)
    if not values:
        return None
    if len(values) == 1:
        low = high = values[0]
    else:
        low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(statistics.median(values), low, high, values[0], values[-1], len(values))


def by_round(measurements, series, server, figure):
    """{round: value} of one figure of one server; rounds without it are left out."""
    return {one["round"]: one["figures"][figure] for one in measurements
            if (one["series"], one["server"]) == (series, server)
            and one["figures"].get(figure) is not None}


def figure_spread(measurements, series, server, figure):
    return spread(by_round(measurements, series, server, figure).values())


def ratio_spread(mine, others):
    """The Spread of mine[round] / others[round] over the rounds that both have; None: there are
    none. A zero on the other side is no measurement."""
    return spread([mine[number] / others[number] for number in mine
                   if others.get(number)])


def compare(measurements, series, figure, server, against):
    """The Spread of the ratios of two servers in the rounds of a series; None: there are none."""
    return ratio_spread(by_round(measurements, series, server, figure),
                        by_round(measurements, series, against, figure))


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a target. `state`: reached, missed or unknown (not measured)."""

    state: str
    value: Spread | None
    text: str  # "reached", "missed by 12 %", "not measured"
    is_clear: bool  # all of the middle half of the rounds is on the same side of the target


def judge(target, measurements):
    """Whether the measurements reach the target (see table.Target)."""
    mine = by_round(measurements, target.series, target.server, target.figure)
    if target.against is None:
        value = spread(mine.values())
    else:
        others = by_round(measurements, target.series, target.against,
                          target.against_figure or target.figure)
        value = ratio_spread(mine, others)
    if value is None:
        return Outcome("unknown", None, "not measured", False)
    limit = target.at_most if target.at_most is not None else target.at_least
    if target.at_most is not None:
        is_reached = value.median <= limit
        is_clear = (value.high <= limit) if is_reached else (value.low > limit)
        missed_by = value.median / limit - 1
    else:
        is_reached = value.median >= limit
        is_clear = (value.low >= limit) if is_reached else (value.high < limit)
        missed_by = 1 - value.median / limit
    if is_reached:
        return Outcome("reached", value, "reached", is_clear)
    percent = f"{missed_by * 100:,.0f}" if missed_by >= 0.01 else f"{missed_by * 100:.1f}"
    return Outcome("missed", value, f"missed by {percent} %", is_clear)
