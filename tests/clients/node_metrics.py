#!/usr/bin/python3
"""node_metrics.py --node-modules DIRECTORY: the example in Node.js measures what the cart does, by the same names,
units and dimensions."""

import argparse
import http.client
import json
import platform
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/support"))

from emf_lines import Lines  # noqa: E402
from processes import DEADLINE_S, Program  # noqa: E402

GOLDEN = json.loads((ROOT / "tests/integration/cart_metrics.json").read_text())
ADA = {"email": "ada@example.org"}
REQUESTS = [  # method, path, body, status
    ("GET", "/", None, 200),
    ("POST", "/api/signup", ADA, 201),
    ("POST", "/api/signup", ADA, 409),
    ("POST", "/api/signup", {"email": "ada"}, 400),
    ("POST", "/api/checkout", {"card": "4000000000000002"}, 402),
    ("POST", "/api/checkout", {"card": "4242424242424242"}, 200),
    ("GET", "/fail", None, 500),
    ("GET", "/nowhere", None, 404),
]
TOTALS = {"RequestCount": 8, "http_request_count": 8, "Latency": 8, "request_latency_ms": 8, "http_5xx_errors": 1,
          "db_query_duration_ms": 2, "user_signup_total": 1, "payment_failure_count": 1}


class NodeShop(Program):
    """The example; its standard output goes to a file."""

    def __init__(self, node_modules, output):
        super().__init__("node-metrics")
        machine = {"aarch64": "arm64"}.get(platform.machine(), "x64")
        self.node = f"{node_modules}/node-linux-{machine}/bin/node"
        self.environment = {"AWS_EMF_ENVIRONMENT": "Local", "NODE_PATH": str(node_modules), "PORT": "0",
                            "SERVICE": "node"}
        self.output_path = output
        self.address = None

    def start(self):
        with open(self.output_path, "wb") as self.output:
            self.launch([self.node, str(ROOT / "examples/node-metrics/server.js")])
        self.address = self.wait_for_line(r"\blistening listen=(\S+)").group(1)


def ask(shop, method, path, body):
    connection = http.client.HTTPConnection(shop.address, timeout=DEADLINE_S)
    try:
        connection.request(method, path, body and json.dumps(body), {"Content-Type": "application/json"})
        return connection.getresponse().status
    finally:
        connection.close()


def main(node_modules):
    with tempfile.TemporaryDirectory(prefix="satchel-test-") as directory:
        output = Path(directory) / "output"
        with NodeShop(node_modules, str(output)) as shop:
            for method, path, body, status in REQUESTS:
                answered = ask(shop, method, path, body)
                assert answered == status, f"{method} {path}: {answered}"
        lines = Lines(output.read_bytes().splitlines())
    wanted = {(GOLDEN["namespace"], tuple(GOLDEN["dimensions"]), name): unit
              for name, unit in GOLDEN["units"].items()}
    assert lines.metrics == wanted, lines.metrics
    assert dict(lines.totals) == TOTALS, lines.totals
    for line, (_, path, _, _) in zip(lines.lines, REQUESTS, strict=True):
        assert line["ServiceName"] == "node" and line["Path"] == path and line["RequestId"], line
    print(f"{len(lines.lines)} lines with the {len(wanted)} metrics of the cart")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--node-modules", required=True)
    main(parser.parse_args().node_modules)
