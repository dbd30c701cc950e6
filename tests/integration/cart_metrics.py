#!/usr/bin/python3
"""cart_metrics.py --satcheld PATH --cart PATH: what the cart measures, line by line, at its standard output and at
an agent, and that nobody has to read it."""

import argparse
import fcntl
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from emf_lines import Agent, Lines  # noqa: E402
from processes import DEADLINE_S, Cart, Satcheld, wait_until  # noqa: E402

OPTIONS = None
GOLDEN = json.loads((Path(__file__).parent / "cart_metrics.json").read_text())
GOLDEN_METRICS = {(GOLDEN["namespace"], tuple(GOLDEN["dimensions"]), name): unit
                  for name, unit in GOLDEN["units"].items()}
REQUESTS = ("RequestCount", "http_request_count", "Latency", "request_latency_ms")


class LoudCart(Cart):
    """A cart whose standard output goes to a file, or to what stands in its place."""

    def __init__(self, store, output, *options):
        super().__init__(OPTIONS.cart, store.address, "--emf", "stdout", *options)
        self.output_path = output

    def start(self):
        with open(self.output_path, "wb") as self.output:
            super().start()


class Shopper:
    def __init__(self, shop):
        self.connection = http.client.HTTPConnection(shop.address, timeout=DEADLINE_S)
        self.cookie = None
        self.asked = 0

    def ask(self, method, path, body=None):
        """One request: the status, and the JSON of the answer."""
        headers = {"Content-Type": "application/json", **({"Cookie": self.cookie} if self.cookie else {})}
        self.connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = self.connection.getresponse()
        text = answer.read()
        self.cookie = self.cookie or (answer.getheader("Set-Cookie") or "").split(";")[0] or None
        self.asked += 1
        return answer.status, json.loads(text)

    def visit(self, number):
        """All that the metrics tell of: signs up, twice; fails to pay, then pays."""
        email = {"email": f"ada{number}@example.org"}
        assert self.ask("POST", "/api/signup", email)[0] == 201
        assert self.ask("POST", "/api/signup", email)[0] == 409
        status, cart = self.ask("POST", "/api/cart/items", {"sku": "mug", "quantity": 1})
        assert status == 200
        declined = {"version": cart["version"], "card": "4000000000000002"}
        assert self.ask("POST", "/api/checkout", declined) == (402, {
            "error": "payment_declined", "message": "The bank declined the payment; nothing was bought."})
        assert self.ask("GET", "/api/cart")[1]["count"] == 1
        status, bought = self.ask("POST", "/api/checkout", {**declined, "card": "4242424242424242"})
        assert status == 200 and bought["order_number"] and bought["count"] == 0


class CartMetrics(unittest.TestCase):
    def setUp(self):
        self.store = self.enterContext(Satcheld(OPTIONS.satcheld))
        self.directory = self.enterContext(tempfile.TemporaryDirectory(prefix="satchel-test-"))

    def shopper(self, shop):
        shopper = Shopper(shop)
        self.addCleanup(shopper.connection.close)
        return shopper

    def assert_totals(self, lines, asked, **others):
        self.assertEqual(lines.metrics, GOLDEN_METRICS)
        for name in REQUESTS:
            self.assertEqual(lines.totals[name], asked, name)
        for name, total in others.items():
            self.assertEqual(lines.totals[name], total, name)
        for line in lines.lines:
            self.assertEqual(line["ServiceName"], "shop")

    def test_every_metric_comes_out_with_its_name_unit_and_dimension_and_adds_up(self):
        output = Path(self.directory) / "output"
        with LoudCart(self.store, str(output), "--service", "shop") as shop:
            shopper = self.shopper(shop)
            for number in range(5):
                shopper.visit(number)
            self.store.kill()
            self.assertEqual(shopper.ask("GET", "/api/cart")[0], 503)
            self.store.start()
            for bad in ("ada", "@b", "a@", "a@b@c", "a b@c", "a" * 251 + "@b.c"):
                self.assertEqual(shopper.ask("POST", "/api/signup", {"email": bad})[1]["error"], "bad_email")
            for bad in ("42", 42, "424242424242424x"):
                status, answer = shopper.ask("POST", "/api/checkout", {"version": 1, "card": bad})
                self.assertEqual((status, answer["error"]), (400, "bad_card"))
        lines = Lines(output.read_bytes().splitlines())
        # A visit asks the store for 2 sign-ups, 1 change, 1 reading, and 2 steps of a checkout.
        self.assert_totals(lines, shopper.asked, user_signup_total=5, payment_failure_count=5,
                           http_5xx_errors=1, db_query_duration_ms=5 * 6 + 1)

    def test_an_agent_gets_it_even_one_that_comes_late_or_comes_back(self):
        agent = Agent()
        self.addCleanup(agent.close)
        agent.close()
        with Cart(OPTIONS.cart, self.store.address, "--emf", agent.target, "--service", "shop") as shop:
            shopper = self.shopper(shop)
            shopper.visit(0)
            agent.open()
            first = wait_until(lambda: agent.lines.totals["RequestCount"], "the agent has a line")
            self.assertEqual(first, shopper.asked)
            agent.close()
            agent.open()
            shopper.visit(1)
        wait_until(lambda: agent.lines.totals["RequestCount"] == shopper.asked, "the agent has all")
        self.assert_totals(agent.lines, shopper.asked, user_signup_total=2)
        self.assertEqual(agent.lines.lines[0]["_aws"]["LogGroupName"], "shop-metrics")

    def test_output_that_nobody_reads_slows_nothing_and_does_not_keep_it_from_ending(self):
        fifo = os.path.join(self.directory, "fifo")
        os.mkfifo(fifo)
        unread = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
        self.addCleanup(os.close, unread)
        fcntl.fcntl(unread, fcntl.F_SETPIPE_SZ, 4096)
        with self.assertRaises(BlockingIOError):
            while True:
                os.write(unread, b"x" * 4096)
        with LoudCart(self.store, fifo) as shop:
            shopper = self.shopper(shop)
            slowest_s = 0
            end = time.monotonic() + 12  # past a flush, every 10 s
            while time.monotonic() < end:
                before = time.monotonic()
                self.assertEqual(shopper.ask("GET", "/api/catalog")[0], 200)
                slowest_s = max(slowest_s, time.monotonic() - before)
            self.assertLess(slowest_s, 5)
            before = time.monotonic()
            self.assertEqual(shop.terminate(), 0)
            self.assertLess(time.monotonic() - before, 10)

    def test_a_target_that_cannot_be_is_refused_and_auto_asks_the_environment(self):
        def run(target):
            return subprocess.run([OPTIONS.cart, "--emf", target], capture_output=True, text=True,
                                  timeout=DEADLINE_S, check=False)

        for target in ("nowhere", "tcp://", "tcp://host", "udp://127.0.0.1:1"):
            refused = run(target)
            self.assertEqual((refused.returncode, len(refused.stderr.splitlines())), (2, 1), refused.stderr)
            self.assertIn(target, refused.stderr)
        agent = Agent()
        self.addCleanup(agent.close)
        shop = Cart(OPTIONS.cart, self.store.address, "--emf", "auto")
        shop.environment = {"AWS_EMF_AGENT_ENDPOINT": agent.target}
        with shop:
            self.shopper(shop).ask("GET", "/api/catalog")
        wait_until(lambda: agent.lines.totals["RequestCount"] == 1, "the agent has it")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--satcheld", required=True)
    parser.add_argument("--cart", required=True)
    OPTIONS, rest = parser.parse_known_args()
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)
