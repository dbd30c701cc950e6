#!/usr/bin/python3
"""cart_api.py --satcheld PATH --cart PATH: the cart's HTTP interface, against a real store.

One store and two web tasks for the whole file; every test has a cart of its own. Tests that kill the
store come back to the same address, and wait for nothing but what they need.
"""

import argparse
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
import unittest
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from processes import DEADLINE_S, Cart, Satcheld, wait_until  # noqa: E402

OPTIONS = None
JSON = {"Content-Type": "application/json"}


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.text = response.read().decode()

    @property
    def json(self):
        return json.loads(self.text)

    def __repr__(self):
        return f"{self.status} {self.text}"


class Shopper:
    """One customer on one connection to one task. Several with the same cart are several tabs."""

    def __init__(self, task, cart=None):
        self.connection = http.client.HTTPConnection(task.address, timeout=DEADLINE_S)
        self.cart = cart or uuid.uuid4().hex
        self.version = 0

    def ask(self, method, path, body=None, headers=None, key=None):
        """One request. `body` is made JSON unless it is bytes."""
        headers = dict(JSON if headers is None else headers, Cookie=f"x=y; cart_id={self.cart}")
        if key:
            headers["Idempotency-Key"] = key
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        self.connection.request(method, path, body, headers)
        answer = Answer(self.connection.getresponse())
        if answer.status == 200 and path.startswith("/api/c") and path != "/api/catalog":
            self.version = answer.json["version"]
        return answer

    def add(self, sku, quantity=1, key=None):
        return self.ask("POST", "/api/cart/items", {"sku": sku, "quantity": quantity}, key=key)

    def view(self):
        answer = self.ask("GET", "/api/cart")
        assert answer.status == 200, answer
        return answer.json

    def new_key(self):
        return f"{self.version}-{uuid.uuid4().hex}"

    def insist(self, sku):
        """Adds one, as the page does: with one key, again and again until there is an answer."""
        key, tried = self.new_key(), False
        end = time.monotonic() + DEADLINE_S
        while time.monotonic() < end:
            try:
                answer = self.add(sku, key=key)
            except (OSError, http.client.HTTPException):
                self.connection.close()
                tried = True
                continue
            if answer.status == 200:
                return
            if answer.status == 409 and answer.json["error"] == "key_too_old" and not tried:
                self.version = answer.json["cart"]["version"]
                key = self.new_key()
                continue
            assert answer.status == 503, answer
            tried = True
        raise AssertionError(f"no answer to {key} within {DEADLINE_S} s")


def quantities(cart):
    return {item["sku"]: item["quantity"] for item in cart["items"]}


def in_parallel(count, work):
    """Runs work(0) to work(count - 1) at the same time; returns what they return."""
    together = threading.Barrier(count)

    def start(number):
        together.wait(DEADLINE_S)
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(start, range(count)))


class CartApi(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.store = cls.enterClassContext(Satcheld(OPTIONS.satcheld))
        cls.tasks = [cls.enterClassContext(Cart(OPTIONS.cart, cls.store.address, name=name))
                     for name in ("cart-a", "cart-b")]

    def shopper(self, task=0, cart=None):
        shopper = Shopper(self.tasks[task], cart)
        self.addCleanup(shopper.connection.close)
        return shopper

    def assert_error(self, answer, status, error):
        self.assertEqual((answer.status, answer.json["error"]), (status, error), answer)
        self.assertTrue(answer.json["message"])

    def test_the_page_comes_with_headers_that_allow_only_itself(self):
        shopper = self.shopper()
        for path, kind in (("/", "text/html"), ("/cart.css", "text/css"),
                           ("/cart.js", "text/javascript"), ("/icon.svg", "image/svg+xml")):
            answer = shopper.ask("GET", path)
            self.assertEqual(answer.status, 200)
            self.assertTrue(answer.headers["Content-Type"].startswith(kind))
            policy = answer.headers["Content-Security-Policy"]
            self.assertIn("default-src 'none'", policy)
            self.assertIn("frame-ancestors 'none'", policy)
            self.assertNotIn("unsafe", policy)
            self.assertEqual(answer.headers["X-Content-Type-Options"], "nosniff")
        source = Path(__file__).resolve().parents[2] / "examples/cart/page/cart.js"
        self.assertEqual(shopper.ask("GET", "/cart.js").text, source.read_text())

    def test_a_new_customer_gets_an_id_and_only_ids_of_the_right_form_count(self):
        for cookie in ("", "short", "G" * 32, "a" * 33, "A" * 32):
            shopper = self.shopper(cart=cookie or "none")
            answer = shopper.ask("GET", "/api/cart")
            self.assertEqual(answer.json["version"], 0)
            self.assertRegex(answer.headers["Set-Cookie"],
                             r"^cart_id=[0-9a-f]{32}; Path=/; Max-Age=2592000; HttpOnly; "
                             r"SameSite=Lax$")
        self.assertIsNone(self.shopper().ask("GET", "/api/cart").headers["Set-Cookie"])
        shopper = self.shopper()
        renewed = shopper.ask("GET", "/").headers["Set-Cookie"]
        self.assertTrue(renewed.startswith(f"cart_id={shopper.cart};"))

    def test_the_catalogue_has_what_the_page_shows(self):
        catalog = self.shopper().ask("GET", "/api/catalog").json
        self.assertEqual(len(catalog["products"]), 12)
        page = self.shopper().ask("GET", "/").text
        for product in catalog["products"]:
            self.assertGreater(product["price_cents"], 0)
            self.assertIn(f'id="pic-{product["sku"]}"', page)

    def test_every_change_answers_with_the_whole_cart_on_both_tasks(self):
        one = self.shopper(0)
        two = self.shopper(1, one.cart)
        self.assertEqual(quantities(one.add("mug", 2).json), {"mug": 2})
        cart = two.add("pen").json
        self.assertEqual(quantities(cart), {"mug": 2, "pen": 1})
        self.assertEqual(cart["count"], 3)
        self.assertEqual(cart["total_cents"], 2 * 1190 + 3200)
        self.assertEqual(cart["items"][0], {"sku": "mug", "name": "Enamel mug", "quantity": 2,
                                            "price_cents": 1190, "line_cents": 2380})
        self.assertEqual(cart["served_by"], self.tasks[1].address)
        put = one.ask("PUT", "/api/cart/items/mug", {"quantity": 7})
        self.assertEqual(quantities(put.json), {"mug": 7, "pen": 1})
        gone = two.ask("DELETE", "/api/cart/items/pen")
        self.assertEqual(quantities(gone.json), {"mug": 7})
        self.assertGreater(gone.json["version"], put.json["version"])
        self.assertEqual(quantities(one.view()), {"mug": 7})
        empty = one.ask("DELETE", "/api/cart", headers={"X-Requested-With": "test"}).json
        self.assertEqual((empty["items"], empty["count"], empty["total_cents"]), ([], 0, 0))
        self.assertEqual(quantities(two.view()), {})

    def test_twenty_adds_at_the_same_time_from_twenty_connections_are_twenty_items(self):
        cart = uuid.uuid4().hex
        shoppers = [self.shopper(i % 2, cart) for i in range(20)]
        answers = in_parallel(20, lambda i: shoppers[i].add("mug").status)
        self.assertEqual(answers, [200] * 20)
        self.assertEqual(quantities(shoppers[0].view()), {"mug": 20})

    def test_a_thousand_increments_from_fifty_connections_through_both_tasks(self):
        many = ("--quantity-max", "1000")
        with Cart(OPTIONS.cart, self.store.address, *many, name="many-a") as one, \
             Cart(OPTIONS.cart, self.store.address, *many, name="many-b") as two:
            cart = uuid.uuid4().hex
            shoppers = [Shopper((one, two)[i % 2], cart) for i in range(50)]

            def work(i):
                for turn in range(20):
                    if turn % 2:
                        assert shoppers[i].add("mug").status == 200
                    else:
                        shoppers[i].insist("mug")
                return shoppers[i].version

            versions = in_parallel(50, work)
            last = shoppers[0].view()
            self.assertEqual(quantities(last), {"mug": 1000})
            self.assertGreaterEqual(last["version"], max(versions))
            self.assert_error(shoppers[1].add("mug"), 409, "quantity_limit")
            for shopper in shoppers:
                shopper.connection.close()

    def test_adds_at_the_same_time_never_go_over_the_limit(self):
        cart = uuid.uuid4().hex
        shoppers = [self.shopper(i % 2, cart) for i in range(20)]
        keyed = in_parallel(20, lambda i: shoppers[i].add(
            "pen", 10, key=shoppers[i].new_key() if i % 2 else None).status)
        self.assertEqual(sorted(keyed), [200] * 9 + [409] * 11)
        self.assertEqual(quantities(shoppers[0].view()), {"pen": 90})
        refused = shoppers[0].add("pen", 10)
        self.assert_error(refused, 409, "quantity_limit")
        self.assertEqual(quantities(refused.json["cart"]), {"pen": 90})
        self.assertEqual(quantities(shoppers[0].add("pen", 9).json), {"pen": 99})

    def test_a_change_with_one_key_happens_once(self):
        cart = uuid.uuid4().hex
        shoppers = [self.shopper(i % 2, cart) for i in range(10)]
        key = shoppers[0].new_key()
        answers = in_parallel(10, lambda i: shoppers[i].add("mug", 3, key=key))
        for answer in answers:
            self.assertEqual((answer.status, quantities(answer.json)), (200, {"mug": 3}))
        shoppers[1].ask("DELETE", "/api/cart/items/mug", key=shoppers[1].new_key())
        late = shoppers[0].add("mug", 3, key=key)
        self.assertEqual((late.status, quantities(late.json)), (200, {}))

    def test_what_the_store_does_after_nobody_waits_any_more_counts_once(self):
        shopper = self.shopper()
        shopper.add("mug")
        key = shopper.new_key()
        self.store.freeze()
        try:
            self.assert_error(shopper.add("mug", key=key), 503, "store_away")
        finally:
            self.store.thaw()  # what was sent is still in its socket
        again = wait_until(lambda: quantities(shopper.view())["mug"] > 1 and
                           shopper.add("mug", key=key), "the late change is made")
        self.assertEqual((again.status, quantities(again.json)), (200, {"mug": 2}))

    def test_without_a_key_it_is_said_that_the_outcome_is_unknown(self):
        shopper = self.shopper()
        shopper.add("mug")
        self.store.freeze()
        try:
            self.assert_error(shopper.add("mug"), 503, "outcome_unknown")
            self.assert_error(shopper.ask("GET", "/api/cart"), 503, "store_away")
        finally:
            self.store.thaw()

    def test_a_key_that_is_forgotten_is_refused_rather_than_taken_for_a_new_one(self):
        shopper = self.shopper()
        first = shopper.new_key()
        shopper.add("mug", key=first)
        seen = shopper.version
        for _ in range(100):
            self.assertEqual(shopper.ask("PUT", "/api/cart/items/pen", {"quantity": 5},
                                         key=shopper.new_key()).status, 200)
        still_known = shopper.add("mug", key=first)
        self.assertEqual((still_known.status, quantities(still_known.json)["mug"]), (200, 1))
        for _ in range(100):
            last = shopper.new_key()
            self.assertEqual(shopper.ask("PUT", "/api/cart/items/pen", {"quantity": 5},
                                         key=last).status, 200)
        too_old = shopper.add("mug", key=first)
        self.assert_error(too_old, 409, "key_too_old")
        self.assertEqual(quantities(too_old.json["cart"])["mug"], 1)
        self.assertEqual(shopper.add("mug", key=last).json["count"], 6)
        self.assert_error(shopper.add("mug", key=f"{seen}-{uuid.uuid4().hex}"), 409, "key_too_old")
        self.assertEqual(shopper.add("mug", key=shopper.new_key()).json["count"], 7)

    def test_checkout_buys_what_the_customer_saw_and_nothing_else(self):
        shopper = self.shopper()
        other = self.shopper(1, shopper.cart)
        self.assert_error(shopper.ask("POST", "/api/checkout", {"version": 0}), 409, "cart_empty")
        seen = shopper.add("lamp").json["version"]
        other.add("socks")
        changed = shopper.ask("POST", "/api/checkout", {"version": seen}, key=shopper.new_key())
        self.assert_error(changed, 409, "cart_changed")
        self.assertEqual(quantities(changed.json["cart"]), {"lamp": 1, "socks": 1})
        key = other.new_key()
        version = changed.json["cart"]["version"]
        bought = shopper.ask("POST", "/api/checkout", {"version": version}, key=key)
        self.assertEqual((bought.status, bought.json["items"]), (200, []))
        self.assertRegex(bought.json["order_number"], r"^\d{3}-\d{3}-\d{3}$")
        other.add("mug")
        again = other.ask("POST", "/api/checkout", {"version": version}, key=key)
        self.assertEqual(again.json["order_number"], bought.json["order_number"])
        self.assertEqual(quantities(again.json), {"mug": 1})

    def test_of_a_checkout_and_an_add_at_the_same_time_nothing_is_lost(self):
        for _ in range(20):
            cart = uuid.uuid4().hex
            buyer, adder = self.shopper(0, cart), self.shopper(1, cart)
            version = buyer.add("lamp").json["version"]
            bought, added = in_parallel(2, lambda i: (
                adder.add("mug") if i else
                buyer.ask("POST", "/api/checkout", {"version": version})))
            self.assertEqual(added.status, 200)
            self.assertIn(bought.status, (200, 409))
            self.assertEqual(quantities(buyer.view()),
                             {"mug": 1} if bought.status == 200 else {"lamp": 1, "mug": 1})

    def test_what_does_not_follow_the_rules_is_refused_with_a_reason(self):
        shopper = self.shopper()
        items, mug = "/api/cart/items", "/api/cart/items/mug"
        good = {"sku": "mug", "quantity": 1}
        cases = [
            ("POST", items, b"{", JSON, 400, "bad_json"),
            ("POST", items, b"[1]", JSON, 400, "bad_json"),
            ("POST", items, b"", JSON, 400, "bad_json"),
            ("POST", items, b'{"sku":"mug","sku":"mug","quantity":1}', JSON, 400, "bad_json"),
            ("POST", items, {"quantity": 1}, JSON, 400, "bad_sku"),
            ("POST", items, {"sku": 7, "quantity": 1}, JSON, 400, "bad_sku"),
            ("POST", items, {"sku": "yacht", "quantity": 1}, JSON, 404, "unknown_sku"),
            ("POST", items, {"sku": ".forgot", "quantity": 1}, JSON, 404, "unknown_sku"),
            ("POST", items, {"sku": "mug\0", "quantity": 1}, JSON, 400, "bad_json"),
            ("POST", items, good, {}, 415, "unsupported_media_type"),
            ("POST", items, good, {"Content-Type": "text/plain"}, 415, "unsupported_media_type"),
            ("POST", items, good, {"Content-Type": "application/jsonp"}, 415,
             "unsupported_media_type"),
            ("POST", items, good, {"X-Requested-With": "x"}, 415, "unsupported_media_type"),
            ("POST", items, b" " * 4097, JSON, 413, "body_too_large"),
            ("PUT", "/api/cart/items/yacht", {"quantity": 1}, JSON, 404, "unknown_sku"),
            ("DELETE", "/api/cart/items/yacht", None, JSON, 404, "unknown_sku"),
            ("DELETE", "/api/cart/items/", None, JSON, 404, "not_found"),
            ("DELETE", mug, None, {}, 415, "unsupported_media_type"),
            ("DELETE", "/api/cart", None, {}, 415, "unsupported_media_type"),
            ("POST", "/api/checkout", {}, JSON, 400, "bad_version"),
            ("POST", "/api/checkout", {"version": -1}, JSON, 400, "bad_version"),
            ("POST", "/api/checkout", {"version": "1"}, JSON, 400, "bad_version"),
            ("GET", "/nothing", None, {}, 404, "not_found"),
            ("GET", mug, None, {}, 405, "method_not_allowed"),
            ("POST", "/", good, JSON, 405, "method_not_allowed"),
            ("PATCH", "/api/cart", good, JSON, 405, "method_not_allowed"),
        ]
        for quantity in (0, -1, 100, 1.5, "1", None, True, 2**62):
            cases.append(("POST", items, {"sku": "mug", "quantity": quantity}, JSON, 400,
                          "bad_quantity"))
            cases.append(("PUT", mug, {"quantity": quantity}, JSON, 400, "bad_quantity"))
        for method, path, body, headers, status, error in cases:
            with self.subTest(method=method, path=path, body=body, headers=headers):
                self.assert_error(shopper.ask(method, path, body, headers), status, error)
        for key in ("x", "1", "-" + "a" * 20, "1-" + "a" * 15, "1-" + "a" * 33, "1-" + "G" * 20,
                    "9" * 19 + "-" + "a" * 20, "1" * 20 + "-" + "a" * 20):
            with self.subTest(key=key):
                self.assert_error(shopper.add("mug", key=key), 400, "bad_key")
        self.assertEqual(shopper.ask("GET", mug).headers["Allow"], "PUT, DELETE")
        self.assertEqual(shopper.view()["items"], [])

    def test_a_body_far_over_the_limit_does_not_reach_the_service(self):
        shopper = self.shopper()
        try:
            self.assertEqual(shopper.ask("POST", "/api/cart/items", b" " * (1 << 20)).status, 413)
        except (OSError, http.client.HTTPException):
            pass  # closed before all of it was sent
        self.assertEqual(self.shopper().ask("GET", "/healthz").status, 200)

    def test_while_the_store_is_away_it_says_so_and_afterwards_goes_on(self):
        shopper = self.shopper()
        shopper.add("mug", 4)
        self.assertEqual(shopper.ask("GET", "/healthz").json,
                         {"status": "ok", "store": "reachable"})
        self.store.kill()
        try:
            key = shopper.new_key()
            for answer in (shopper.ask("GET", "/api/cart"), shopper.add("mug", key=key),
                           shopper.ask("POST", "/api/checkout", {"version": 1})):
                self.assert_error(answer, 503, "store_away")
                self.assertEqual(answer.headers["Retry-After"], "1")
            self.assertEqual(shopper.ask("GET", "/healthz").json["store"], "away")
            self.assertEqual(shopper.ask("GET", "/api/catalog").status, 200)
        finally:
            self.store.start()
        wait_until(lambda: shopper.ask("GET", "/api/cart").status == 200, "the cart is back")
        self.assertEqual(quantities(shopper.view()), {"mug": 4})
        self.assertEqual(shopper.add("mug", key=key).json["count"], 5)

    def test_nothing_is_lost_or_doubled_however_often_the_store_is_killed(self):
        kills, each = 5, 60
        carts = [uuid.uuid4().hex for _ in range(4)]
        workers = [(carts[i // 2], i % 2) for i in range(8)]  # two tabs a cart, on both tasks
        acknowledged = [0] * len(workers)

        def add_many(number):
            cart, task = workers[number]
            shopper = self.shopper(task, cart)
            for turn in range(each):
                shopper.insist(("mug", "pen")[turn % 2])
                acknowledged[number] += 1

        with ThreadPoolExecutor(len(workers)) as pool:
            running = [pool.submit(add_many, number) for number in range(len(workers))]
            for kill in range(kills):
                goal = (kill + 1) * each * len(workers) // (kills + 1)
                wait_until(lambda at=goal: sum(acknowledged) >= at, f"{goal} adds", pause_s=0.001)
                self.store.kill()
                self.store.start()
            for worker in running:
                worker.result(DEADLINE_S)
        for cart in carts:
            self.assertEqual(quantities(self.shopper(0, cart).view()), {"mug": each, "pen": each})
        print(f"{sum(acknowledged)} adds checked over {kills} kills ...", file=sys.stderr, end=" ")

    def test_a_request_in_flight_is_answered_before_the_task_ends(self):
        with Cart(OPTIONS.cart, self.store.address, name="leaving") as task:
            shopper = Shopper(task)
            self.assertEqual(shopper.add("mug").status, 200)
            self.store.freeze()
            try:
                shopper.connection.request(
                    "POST", "/api/cart/items", b'{"sku":"mug","quantity":2}',
                    {**JSON, "Cookie": f"cart_id={shopper.cart}",
                     "Idempotency-Key": shopper.new_key()})
                # What is answered on another connection has come after it.
                other = Shopper(task)
                self.assertEqual(other.ask("GET", "/api/catalog").status, 200)
                other.connection.close()
                task.process.send_signal(signal.SIGTERM)
                task.wait_for_line("stopping")
            finally:
                self.store.thaw()
            answer = Answer(shopper.connection.getresponse())
            self.assertEqual((answer.status, quantities(answer.json)), (200, {"mug": 3}))
            self.assertEqual(answer.headers["Connection"], "close")
            self.assertEqual(task.wait(), 0)
            with self.assertRaises(OSError):
                Shopper(task).ask("GET", "/api/catalog")

    def test_its_options_are_explained_and_checked(self):
        def run(*arguments, **environment):
            return subprocess.run([OPTIONS.cart, *arguments], env={**os.environ, **environment},
                                  capture_output=True, text=True, timeout=DEADLINE_S, check=False)

        told = run("--help")
        self.assertEqual(told.returncode, 0)
        for name in ("--listen", "--store", "--token-file", "--quantity-max", "CART_STORE"):
            self.assertIn(name, told.stdout)
        for arguments, environment in (
                (("--nonsense",), {}), (("more",), {}), (("--quantity-max", "0"), {}),
                (("--quantity-max", "9x"), {}), ((), {"CART_QUANTITY_MAX": "-5"}),
                (("--token-file", "/nonexistent"), {}), (("--token-file", "/dev/null"), {}),
                (("--token-file", __file__), {"CART_TOKEN": "open sesame"}),
                ((), {"CART_TOKEN": "x" * 1025})):
            with self.subTest(arguments=arguments):
                refused = run(*arguments, **environment)
                self.assertEqual(refused.returncode, 2)
                self.assertEqual(len(refused.stderr.splitlines()), 1, refused.stderr)
                self.assertNotIn("sesame", refused.stderr)
        for address in ("nowhere", self.tasks[0].address):
            refused = run("--listen", address)
            self.assertEqual(refused.returncode, 1)
            self.assertIn(f"{address}", refused.stderr)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--satcheld", required=True)
    parser.add_argument("--cart", required=True)
    OPTIONS, rest = parser.parse_known_args()
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)
