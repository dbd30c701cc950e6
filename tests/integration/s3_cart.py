#!/usr/bin/python3
"""s3_cart.py --programs DIRECTORY: the demo with backups, driven as a newcomer would: something is put
into the cart, the store is killed and its directory deleted, and the cart comes back."""

import argparse
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from object_server import demand_programs, reserved_ports  # noqa: E402
from processes import DEADLINE_S, Program, die_with_parent, wait_until  # noqa: E402
from radosgw import PROGRAMS  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = None
MISSING_S_MAX = 2  # of what was acknowledged, when the disk is lost
UP_S_MAX = 120
STEP_S = 0.1  # between two changes of a customer


class Demo(Program):
    """`./dev run --backup` without the building. Its lines are those on the terminal."""

    def __init__(self):
        super().__init__("demo")
        self.directory = tempfile.mkdtemp(prefix="satchel-demo-")
        self.var = Path(self.directory, "var")

    def start(self):
        self.ports = self.held_ports.__enter__()
        self.store_port, self.ops_port, self.cart_port, *_ = self.ports
        self.launch_demo()

    def __enter__(self):
        self.held_ports = reserved_ports(5)
        return super().__enter__()

    def launch_demo(self):
        self.run_from = len(self.lines)
        environment = {"DEV_BIN": os.path.abspath(OPTIONS.programs), "DEV_VAR": str(self.var),
                       "DEV_PORTS": " ".join(map(str, self.ports))}
        self.process = subprocess.Popen(  # pylint: disable=subprocess-popen-preexec-fn
            [ROOT / "examples/run", "--backup"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, preexec_fn=die_with_parent,
            env={**os.environ, **environment})
        self.follow(self.process.stdout)
        self.wait_for_line(r"^Ctrl-C stops everything", UP_S_MAX)

    def clean_up(self):
        self.held_ports.__exit__(None, None, None)
        shutil.rmtree(self.directory, ignore_errors=True)

    def store_pid(self):
        """As the terminal told it last."""
        told = [re.search(r"^  store .* process (\d+)|^dev: store is back \(pid (\d+)\)", line)
                for line in self.lines[self.run_from:]]
        last = [match for match in told if match][-1]
        return int(last[1] or last[2])

    def wait_restored(self, lines_before):
        """What the terminal says about a restore after so many lines: (age in s, lost lsn)."""
        def told():
            for line in self.lines[lines_before:]:
                match = re.search(r"^dev: store: restored sessions=\d+ .*\bage_s=(\d+\.\d+) "
                                  r"lost_lsn=(\d+) ", line)
                if match:
                    return match
            return None
        match = wait_until(told, "the terminal says what was restored", UP_S_MAX)
        return float(match[1]), int(match[2])


class Shopper:
    """A customer of the first web task."""

    def __init__(self, demo):
        self.address = f"127.0.0.1:{demo.cart_port}"
        self.cookie = uuid.uuid4().hex
        self.added = []  # (number, when it was acknowledged), of one SKU each time

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection(self.address, timeout=DEADLINE_S)
        try:
            connection.request(method, path, body and json.dumps(body), {
                "Content-Type": "application/json", "Cookie": f"cart_id={self.cookie}"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def add(self, sku):
        status, answer = self.ask("POST", "/api/cart/items", {"sku": sku, "quantity": 1})
        assert status == 200, answer
        self.added.append(time.monotonic())

    def add_for(self, seconds, sku):
        """One after the other; the number of the pieces in the cart is that of the calls."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.add(sku)
            time.sleep(STEP_S)

    def pieces(self):
        """How many are in the cart; None: the store is away."""
        try:
            status, answer = self.ask("GET", "/api/cart")
        except OSError:
            return None
        return sum(item["quantity"] for item in answer["items"]) if status == 200 else None


class DemoWithBackups(unittest.TestCase):
    def setUp(self):
        demand_programs(PROGRAMS)
        self.demo = self.enterContext(Demo())
        self.shopper = Shopper(self.demo)
        catalog = self.shopper.ask("GET", "/api/catalog")[1]
        self.sku, self.other_sku = [product["sku"] for product in catalog["products"][:2]]
        self.shopper.add_for(3, self.sku)

    def expect_cart(self, lost_at, what):
        """The cart is back, and what is missing was acknowledged in the last seconds."""
        pieces = wait_until(self.shopper.pieces, "the cart answers", UP_S_MAX)
        certain = len([at for at in self.shopper.added if at < lost_at - MISSING_S_MAX])
        self.assertGreaterEqual(pieces, certain)
        self.assertLessEqual(pieces, len(self.shopper.added))
        self.assertGreater(certain, 0)
        print(f"  {what}: {len(self.shopper.added) - pieces} of {len(self.shopper.added)} changes "
              "of the cart are missing")
        return pieces

    def test_the_store_is_killed_and_its_directory_deleted(self):
        before = len(self.demo.lines)
        lost_at = time.monotonic()
        os.kill(self.demo.store_pid(), signal.SIGKILL)
        shutil.rmtree(self.demo.var / "data")
        age_s, _ = self.demo.wait_restored(before)
        self.expect_cart(lost_at, "killed and deleted")
        # It counts until the restore, and the demo waits before it starts the store again.
        self.assertLess(age_s, time.monotonic() - lost_at + MISSING_S_MAX)

        # And once more, of what was restored.
        self.shopper.added = self.shopper.added[:self.shopper.pieces()]
        self.shopper.add_for(3, self.other_sku)  # of one product only so many fit
        before = len(self.demo.lines)
        lost_at = time.monotonic()
        os.kill(self.demo.store_pid(), signal.SIGKILL)
        shutil.rmtree(self.demo.var / "data")
        self.demo.wait_restored(before)
        self.expect_cart(lost_at, "a second time")

    def test_the_directory_is_deleted_while_the_store_serves(self):
        before = len(self.demo.lines)
        shutil.rmtree(self.demo.var / "data")
        self.demo.wait_for_line(r"^dev: store \(pid \d+\) ended: .*the lease .* is not there any more",
                                UP_S_MAX)
        self.demo.wait_restored(before)
        # What came until it noticed was acknowledged, and shipped.
        self.assertEqual(self.expect_cart(time.monotonic(), "deleted under it"),
                         len(self.shopper.added))

    def test_the_directory_is_deleted_between_two_runs(self):
        self.demo.process.send_signal(signal.SIGINT)
        self.assertEqual(self.demo.wait(UP_S_MAX), 0)
        shutil.rmtree(self.demo.var / "data")
        before = len(self.demo.lines)
        self.demo.launch_demo()
        self.demo.wait_restored(before)
        # A stop in order ships everything.
        self.assertEqual(self.expect_cart(time.monotonic(), "deleted between two runs"),
                         len(self.shopper.added))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--programs", required=True)
    OPTIONS, rest = parser.parse_known_args()
    unittest.main(argv=[sys.argv[0], *rest])
