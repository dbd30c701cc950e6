"""Lines of CloudWatch's Embedded Metric Format: what makes one valid, and a CloudWatch agent to send them to."""

import json
import math
import socket
import threading
import time
from collections import Counter

LINE_BYTES_MAX = 16 * 1024  # longer ones are cut by the awslogs driver
UNITS = set("""None Seconds Microseconds Milliseconds Bytes Kilobytes Megabytes Gigabytes Terabytes Bits Kilobits
    Megabits Gigabits Terabits Percent Count Bytes/Second Kilobytes/Second Megabytes/Second Gigabytes/Second
    Terabytes/Second Bits/Second Kilobits/Second Megabits/Second Gigabits/Second Terabits/Second
    Count/Second""".split())
NUMBER_MAX = 2 ** 53 - 1


def _object(pairs):
    names = [name for name, _ in pairs]
    assert len(names) == len(set(names)), f"a name stands twice: {names}"
    return dict(pairs)


def _check_value(name, value):
    """A number, up to a hundred of them, or a distribution of up to a hundred values."""
    numbers = value if isinstance(value, list) else [value]
    if isinstance(value, dict):
        assert set(value) == {"Values", "Counts", "Min", "Max", "Sum", "Count"}, (name, value)
        numbers = value["Values"]
        assert len(value["Counts"]) == len(numbers), (name, value)
        assert sum(value["Counts"]) == value["Count"] > 0, (name, value)
        assert numbers == sorted(numbers), (name, value)
        assert value["Min"] <= numbers[0] and numbers[-1] <= value["Max"], (name, value)
    assert 1 <= len(numbers) <= 100, (name, value)
    for number in numbers:
        assert isinstance(number, (int, float)) and math.isfinite(number), (name, value)
        assert abs(number) <= NUMBER_MAX, (name, value)


def check(text):
    """Parses one line (bytes, without its line feed) and checks every rule of the format and its limits. Returns
    the object and its metrics as {(namespace, dimensions, name): unit}."""
    assert len(text) < LINE_BYTES_MAX, f"{len(text)} bytes"
    line = json.loads(text, object_pairs_hook=_object)
    assert abs(line["_aws"]["Timestamp"] / 1000 - time.time()) < 7200, line["_aws"]
    metrics = {}
    for directive in line["_aws"]["CloudWatchMetrics"]:
        assert 1 <= len(directive["Namespace"]) <= 256
        assert len(directive["Metrics"]) <= 100
        for dimensions in directive["Dimensions"]:
            assert len(dimensions) <= 30
            for name in dimensions:
                assert isinstance(line[name], str) and 1 <= len(line[name]) <= 1024 and line[name].isascii()
        for metric in directive["Metrics"]:
            assert set(metric) <= {"Name", "Unit", "StorageResolution"}, metric
            assert metric["Unit"] in UNITS, metric
            _check_value(metric["Name"], line[metric["Name"]])
            for dimensions in directive["Dimensions"]:
                metrics[directive["Namespace"], tuple(dimensions), metric["Name"]] = metric["Unit"]
    return line, metrics


class Lines:
    """Adds up checked lines: `metrics` as above, `totals` the sums of numbers and the counts of distributions."""

    def __init__(self):
        self.metrics = {}
        self.totals = Counter()
        self.lines = []

    def take(self, text):
        line, metrics = check(text)
        self.lines.append(line)
        for key, unit in metrics.items():
            assert self.metrics.setdefault(key, unit) == unit, f"{key}: two units"
            value = line[key[2]]
            if isinstance(value, dict):
                self.totals[key[2]] += value["Count"]
            elif unit == "Milliseconds":  # as single values
                self.totals[key[2]] += len(value) if isinstance(value, list) else 1
            else:
                self.totals[key[2]] += sum(value) if isinstance(value, list) else value


class Agent:
    """A CloudWatch agent's port. Closed and opened again it keeps its address."""

    def __init__(self):
        self.port = 0
        self.lines = Lines()
        self.error = None  # what was wrong with a line
        self.listener = None
        self.connections = []
        self.open()

    @property
    def target(self):
        return f"tcp://127.0.0.1:{self.port}"

    def open(self):
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def close(self):
        """As an agent that ends: its port is free and its connections break."""
        for one in [self.listener, *self.connections]:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it has ended by itself
            one.close()
        self.connections.clear()

    def _accept(self, listener):
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def _read(self, connection):
        try:
            with connection.makefile("rb") as stream:
                for text in stream:
                    if text.endswith(b"\n"):  # or it was cut, and comes again
                        self.lines.take(text[:-1])
        except OSError:
            return
        except (AssertionError, ValueError, KeyError) as error:
            self.error = error
