"""A real Prometheus that scrapes one target, several times a second."""

import contextlib
import json
import os
import shutil
import tempfile
import unittest
import urllib.parse
import urllib.request

from object_server import reserved_ports
from processes import DEADLINE_S, Program

CONFIGURATION = """\
global: {scrape_interval: 200ms, scrape_timeout: 200ms}
scrape_configs: [{job_name: satchel, static_configs: [{targets: ["%s"]}]}]
"""


class Prometheus(Program):
    """Asked over its HTTP API. Skips the test where there is none."""

    def __init__(self, target):
        super().__init__("prometheus")
        self.binary = shutil.which("prometheus")
        if self.binary is None:
            raise unittest.SkipTest("the package prometheus is not installed")
        self.directory = tempfile.mkdtemp(prefix="satchel-test-")
        self.target = target
        self.held = contextlib.ExitStack()
        self.address = None

    def start(self):
        (port,) = self.held.enter_context(reserved_ports(1))
        self.address = f"127.0.0.1:{port}"
        configuration = os.path.join(self.directory, "prometheus.yml")
        with open(configuration, "w", encoding="ascii") as file:
            file.write(CONFIGURATION % self.target)
        self.launch([self.binary, "--config.file", configuration,
                     "--storage.tsdb.path", os.path.join(self.directory, "data"),
                     "--web.listen-address", self.address])
        self.wait_for_line("Server is ready to receive web requests")

    def api(self, path, **parameters):
        """The data of an answer of its API."""
        url = f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=DEADLINE_S) as answer:
            return json.load(answer)["data"]

    def query(self, expression):
        """The series of an expression now: their labels and values."""
        return [(series["metric"], float(series["value"][1]))
                for series in self.api("query", query=expression)["result"]]

    def clean_up(self):
        self.held.close()
        shutil.rmtree(self.directory, ignore_errors=True)
