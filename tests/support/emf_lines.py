"""Lines of CloudWatch's Embedded Metric Format: what makes one valid, their sums, and an agent to send them to.

The limits are those of the specification, of CloudWatch's PutMetricData for values and counts, and the
awslogs driver's 16 KiB. A line is bytes, without its line feed.
"""

import contextlib
import json
import math
import socket
import threading
import time
from collections import Counter, defaultdict

LINE_BYTES_MAX = 16 * 1024  # longer ones are cut by the awslogs driver
METRICS_MAX, VALUES_MAX, DIMENSIONS_MAX = 100, 100, 30
NAMESPACE_CHARS_MAX, DIMENSION_CHARS_MAX = 256, 1024
NUMBER_MAX = 2 ** 53 - 1
AGE_S_MAX, AHEAD_S_MAX = 14 * 86400, 2 * 3600
UNITS = set("""None Seconds Microseconds Milliseconds Bytes Kilobytes Megabytes Gigabytes Terabytes Bits Kilobits
    Megabits Gigabits Terabits Percent Count Bytes/Second Kilobytes/Second Megabytes/Second Gigabytes/Second
    Terabytes/Second Bits/Second Kilobits/Second Megabits/Second Gigabits/Second Terabits/Second
    Count/Second""".split())
JOIN_S = 20


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


def _check_numbers(name, numbers):
    for number in numbers:
        require(isinstance(number, (int, float)) and not isinstance(number, bool), f"{name}: {number} is no number")
        require(math.isfinite(number) and abs(number) <= NUMBER_MAX, f"{name}: {number} is out of range")


def _check_value(name, value):
    """A number, up to a hundred of them, or a distribution of up to a hundred values."""
    numbers = value if isinstance(value, list) else [value]
    if isinstance(value, dict):
        require(set(value) == {"Values", "Counts", "Min", "Max", "Count", "Sum"}, f"{name}: {value}")
        numbers, counts = value["Values"], value["Counts"]
        _check_numbers(name, [*counts, value["Min"], value["Max"], value["Count"], value["Sum"]])
        require(len(numbers) == len(counts), f"{name}: values without counts")
        require(all(count > 0 for count in counts), f"{name}: an empty value")
        require(sum(counts) == value["Count"], f"{name}: counts do not add up")
    require(1 <= len(numbers) <= VALUES_MAX, f"{name} has {len(numbers)} values")
    _check_numbers(name, numbers)
    if isinstance(value, dict):
        require(numbers == sorted(numbers), f"{name}: values out of order")
        require(value["Min"] <= numbers[0] and numbers[-1] <= value["Max"], f"{name}: values out of bounds")


def _check_directive(line, directive):
    """One member of CloudWatchMetrics, and the members of the line that it names."""
    require(1 <= len(directive["Namespace"]) <= NAMESPACE_CHARS_MAX, "the namespace")
    metrics = directive["Metrics"]
    require(len(metrics) <= METRICS_MAX, f"{len(metrics)} metrics")
    names = {metric["Name"] for metric in metrics}
    require(len(names) == len(metrics), "a metric twice")
    for dimensions in directive["Dimensions"]:
        require(len(dimensions) <= DIMENSIONS_MAX, f"{len(dimensions)} dimensions")
        for name in dimensions:
            value = line.get(name)
            require(isinstance(value, str) and value.isascii() and value.isprintable()
                    and 1 <= len(value) <= DIMENSION_CHARS_MAX, f"dimension {name}: {value}")
            require(name not in names, f"{name} is a metric and a dimension")
    for metric in metrics:
        require(set(metric) <= {"Name", "Unit", "StorageResolution"}, metric)
        require(metric.get("Unit", "None") in UNITS, metric)
        require(metric["Name"] in line, f"{metric['Name']} has no value")
        _check_value(metric["Name"], line[metric["Name"]])


def check(text):
    """One line: raises BadLine, or returns what it holds."""
    require(len(text) < LINE_BYTES_MAX, f"{len(text)} bytes")
    try:
        line = json.loads(text.decode(), object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except ValueError as error:
        raise BadLine(f"{error}: {text}") from error
    head = line["_aws"]
    age_s = time.time() - head["Timestamp"] / 1000
    require(isinstance(head["Timestamp"], int) and -AHEAD_S_MAX < age_s < AGE_S_MAX, "the timestamp")
    for directive in head["CloudWatchMetrics"]:
        _check_directive(line, directive)
    return line


class Lines:
    """Checks lines, raising BadLine, and adds them up as CloudWatch would.

    lines          what each holds
    metrics        {(namespace, dimensions, name): unit}
    sums           {(name, op): sum}, where op is the line's member Op, or None
    counts         {(name, op): how many values there were}
    distributions  {(name, op): {value: count}}, of distributions only
    """

    def __init__(self, texts):
        self.lines = [check(text) for text in texts]
        self.metrics = {}
        self.sums, self.counts, self.distributions = Counter(), Counter(), defaultdict(Counter)
        for line in self.lines:
            for directive in line["_aws"]["CloudWatchMetrics"]:
                for metric in directive["Metrics"]:
                    self._note_unit(directive, metric)
                    self._add((metric["Name"], line.get("Op")), line[metric["Name"]])

    def _note_unit(self, directive, metric):
        unit = metric.get("Unit", "None")
        for dimensions in directive["Dimensions"]:
            key = directive["Namespace"], tuple(dimensions), metric["Name"]
            require(self.metrics.setdefault(key, unit) == unit, f"{key}: two units")

    def _add(self, key, value):
        if isinstance(value, dict):
            self.sums[key] += value["Sum"]
            self.counts[key] += value["Count"]
            for at, count in zip(value["Values"], value["Counts"]):
                self.distributions[key][at] += count
        else:
            values = value if isinstance(value, list) else [value]
            self.sums[key] += sum(values)
            self.counts[key] += len(values)

    @property
    def totals(self):
        """{name: sum}, but of times how many there were, which a test can know."""
        totals = Counter()
        for (_, _, name), unit in self.metrics.items():
            told = self.counts if unit.endswith("seconds") else self.sums
            totals[name] = sum(told[key] for key in told if key[0] == name)
        return totals


class Agent:
    """A CloudWatch agent's port. Closed and opened again it keeps its address, and its lines."""

    def __init__(self):
        self.port = 0
        self.texts = []  # of all connections, unchecked
        self.accepted = 0  # connections, ever
        self.listener = None
        self.connections = []
        self.threads = []
        self.open()

    @property
    def target(self):
        return f"tcp://127.0.0.1:{self.port}"

    @property
    def lines(self):
        """What came so far, checked: raises BadLine."""
        return Lines(self.texts.copy())

    def open(self):
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self.listener.getsockname()[1]
        self.threads = [threading.Thread(target=self._accept, args=(self.listener,), daemon=True)]
        self.threads[0].start()

    def close(self):
        """As an agent that is killed: its port is free and its connections break. All that they brought
        is in `texts`. Does nothing when it is closed already."""
        self._break(self.listener)
        self.threads[0].join(JOIN_S)  # from now on there are no more connections
        for connection in self.connections:
            self._break(connection)
        for thread in self.threads:
            thread.join(JOIN_S)
            assert not thread.is_alive(), "a connection has no end"
        self.listener.close()
        self.connections.clear()

    @staticmethod
    def _break(one):
        with contextlib.suppress(OSError):  # it has ended by itself
            one.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener):
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            self.connections.append(connection)
            self.accepted += 1
            self.threads.append(threading.Thread(target=self._read, args=(connection,), daemon=True))
            self.threads[-1].start()

    def _read(self, connection):
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as stream:
            for text in stream:
                if text.endswith(b"\n"):  # or it was cut, and comes again
                    self.texts.append(text[:-1])
