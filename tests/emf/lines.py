"""Lines of CloudWatch's embedded metric format: the limits that its JSON schema misses, and their sums.

The limits are those of the specification, of CloudWatch's PutMetricData for values and counts, and the
awslogs driver's 16 KiB.
"""

import json
import math
import os
import subprocess
import time
from collections import defaultdict
from pathlib import Path

HERE = Path(__file__).resolve().parent
LINE_BYTES_MAX = 16 * 1024
METRICS_MAX, VALUES_MAX, DIMENSIONS_MAX = 100, 100, 30
NUMBER_MAX = 2 ** 53 - 1
AGE_S_MAX, AHEAD_S_MAX = 14 * 86400, 2 * 3600


class BadLine(AssertionError):
    """A line that CloudWatch would not take as it is meant."""


def require(condition, what):
    if not condition:
        raise BadLine(what)


def _no_duplicates(pairs):
    members = dict(pairs)
    require(len(members) == len(pairs), f"a member twice among {[name for name, _ in pairs]}")
    return members


def _no_constant(name):
    raise BadLine(f"{name} is not JSON")


def _check_number(number):
    require(isinstance(number, (int, float)) and not isinstance(number, bool), f"{number} is no number")
    require(math.isfinite(number) and abs(number) <= NUMBER_MAX, f"{number} is out of range")


def _check_value(name, value):
    if isinstance(value, dict):
        require(set(value) == {"Values", "Counts", "Min", "Max", "Count", "Sum"}, f"{name}: {value}")
        require(0 < len(value["Values"]) <= VALUES_MAX, f"{name} has {len(value['Values'])} values")
        require(len(value["Values"]) == len(value["Counts"]), f"{name}: values without counts")
        for number in value["Values"] + value["Counts"] + [value["Min"], value["Max"], value["Sum"]]:
            _check_number(number)
        require(all(count > 0 for count in value["Counts"]), f"{name}: an empty value")
        require(sum(value["Counts"]) == value["Count"], f"{name}: counts do not add up")
        require(value["Min"] <= min(value["Values"]) <= max(value["Values"]) <= value["Max"],
                f"{name}: values out of bounds")
    elif isinstance(value, list):
        require(0 < len(value) <= VALUES_MAX, f"{name} has {len(value)} values")
        for number in value:
            _check_number(number)
    else:
        _check_number(value)


def check(text):
    """One line without its line feed: raises BadLine, or returns what it holds."""
    require(len(text.encode()) < LINE_BYTES_MAX, f"{len(text)} bytes")
    line = json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    head = line["_aws"]
    age_s = time.time() - head["Timestamp"] / 1000
    require(isinstance(head["Timestamp"], int) and -AHEAD_S_MAX < age_s < AGE_S_MAX, "the timestamp")
    for directive in head["CloudWatchMetrics"]:
        require(len(directive["Metrics"]) <= METRICS_MAX, f"{len(directive['Metrics'])} metrics")
        names = [metric["Name"] for metric in directive["Metrics"]]
        require(len(set(names)) == len(names), "a metric twice")
        for dimension in {name for chosen in directive["Dimensions"] for name in chosen}:
            value = line.get(dimension)
            require(isinstance(value, str) and value.isascii() and value.isprintable()
                    and 0 < len(value) <= 1024, f"dimension {dimension}: {value}")
            require(dimension not in names, f"{dimension} is a metric and a dimension")
        require(all(len(chosen) <= DIMENSIONS_MAX for chosen in directive["Dimensions"]), "dimensions")
        for name in names:
            require(name in line, f"{name} has no value")
            _check_value(name, line[name])
    return line


def check_by_schema(lines, npm):
    """All lines at once, by ajv, which is installed in `npm`. Raises BadLine."""
    told = subprocess.run(["node", HERE / "validate.js", HERE / "schema.json"], text=True,
                          input="".join(line + "\n" for line in lines), capture_output=True,
                          env={**os.environ, "NODE_PATH": f"{npm}/node_modules"},
                          timeout=120, check=False)
    require(told.returncode == 0, told.stdout[-2000:] + told.stderr[-2000:])
    return told.stdout.strip()


def sums(lines):
    """What CloudWatch would make of checked lines: {(name, op): sum}, and of distributions
    {(name, op): {value: count}}."""
    totals, distributions = defaultdict(float), defaultdict(lambda: defaultdict(int))
    for line in lines:
        for directive in line["_aws"]["CloudWatchMetrics"]:
            for metric in directive["Metrics"]:
                key, value = (metric["Name"], line.get("Op")), line[metric["Name"]]
                if isinstance(value, dict):
                    totals[key] += value["Sum"]
                    for at, count in zip(value["Values"], value["Counts"]):
                        distributions[key][at] += count
                else:
                    totals[key] += sum(value) if isinstance(value, list) else value
    return totals, distributions
