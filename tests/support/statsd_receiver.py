"""The StatsD server of npm, which tells after each of its intervals what it has received."""

import contextlib
import json
import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path

from object_server import reserved_ports
from processes import Program

BACKEND = Path(__file__).with_name("statsd_backend.js")
FLUSH_MS = 100


class StatsdReceiver(Program):
    def __init__(self, node_modules):
        super().__init__("statsd")
        self.program = Path(node_modules) / "statsd" / "stats.js"
        self.directory = tempfile.mkdtemp(prefix="satchel-test-")
        self.held = contextlib.ExitStack()
        self.address = None
        self.counters = Counter()  # what they gained, from the start
        self.timings = Counter()  # by name, how many there were, as the rates say
        self.gauges = {}
        self.timers = {}  # by name, all values

    def start(self):
        port, mgmt_port = self.held.enter_context(reserved_ports(2))
        self.address = f"127.0.0.1:{port}"
        configuration = os.path.join(self.directory, "config.js")
        with open(configuration, "w", encoding="ascii") as file:
            json.dump({"address": "127.0.0.1", "port": port, "mgmt_address": "127.0.0.1",
                       "mgmt_port": mgmt_port, "flushInterval": FLUSH_MS,
                       "backends": [str(BACKEND)]}, file)
        self.launch(["node", "--no-deprecation", str(self.program), configuration])
        self.wait_for_line("^flush ")

    def take_line(self, line):
        word, _, text = line.partition(" ")
        if word == "flush":
            told = json.loads(text)
            self.counters.update(told["counters"])
            self.timings.update(told["timer_counters"])
            self.gauges.update(told["gauges"])
            for name, values in told["timers"].items():
                self.timers.setdefault(name, []).extend(values)
            line = "flush of " + str(len(told["counters"])) + " counters"
        super().take_line(line)

    def clean_up(self):
        self.held.close()
        shutil.rmtree(self.directory, ignore_errors=True)
