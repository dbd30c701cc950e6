#!/usr/bin/python3
"""cart_browser.py --satcheld PATH --cart PATH: the cart's page in a real browser.

Headless Chromium has one window on each of two web tasks. What is done in one is seen in the other,
and the store is killed under them. --pictures DIR keeps pictures of the page.
"""

import argparse
import os
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from chromium import Chromium  # noqa: E402
from processes import Cart, Satcheld, wait_until  # noqa: E402

OPTIONS = None
TAB = ("Tab", 9)
ENTER = ("Enter", 13, "\r")


def lines(page):
    """What the page shows in the cart: quantity by SKU."""
    return page.js("""Object.fromEntries([...document.querySelectorAll("[data-line]")].map(
        (line) => [line.dataset.line, Number(line.querySelector("input").value)]))""")


def unsaved(page):
    return int(page.js("document.body.dataset.waiting"))


def text(page, selector):
    return page.js(f"document.querySelector('{selector}').textContent")


class CartBrowser(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.browser = cls.enterClassContext(Chromium(OPTIONS.chromium))

    def setUp(self):
        self.store = self.enterContext(Satcheld(OPTIONS.satcheld))
        self.task_a = self.enterContext(Cart(OPTIONS.cart, self.store.address, name="cart-a"))
        self.task_b = self.enterContext(Cart(OPTIONS.cart, self.store.address, name="cart-b"))
        self.visitor = self.enterContext(self.browser.visitor())

    def open(self, task):
        page = self.visitor.open(task.url)
        wait_until(lambda: text(page, "#served-by") == task.address and unsaved(page) == 0
                   and page.js("document.querySelectorAll('.product').length") == 12,
                   f"the page of {task.name} shows the shop")
        return page

    def wait_for_lines(self, page, expected):
        wait_until(lambda: lines(page) == expected and unsaved(page) == 0,
                   f"the cart of {page.js('location.href')} is {expected} and saved")

    def picture(self, page, name):
        if OPTIONS.pictures:
            os.makedirs(OPTIONS.pictures, exist_ok=True)
            for width, height in ((390, 844), (1280, 900)):
                for dark in (False, True):
                    page.view(width, height, dark, mobile=width < 800)
                    page.js("window.scrollTo({top: 0, behavior: 'instant'})")
                    page.screenshot(f"{OPTIONS.pictures}/{name}-{width}{'-dark' * dark}.png")
            page.view(1280, 900)

    def test_the_cart_survives_the_death_of_its_store(self):
        one = self.open(self.task_a)
        two = self.open(self.task_b)
        for sku in ("mug", "satchel", "mug"):
            one.click(f"[data-add={sku}]")
        self.wait_for_lines(one, {"mug": 2, "satchel": 1})
        self.wait_for_lines(two, {"mug": 2, "satchel": 1})
        self.assertFalse(one.is_shown("#banner"))
        self.picture(one, "cart")

        self.store.kill()
        wait_until(lambda: one.is_shown("#banner") and two.is_shown("#banner"), "both pages say so")
        one.click("[data-add=lamp]")
        two.click("[data-line=mug] .more")
        self.assertEqual(lines(one), {"mug": 2, "satchel": 1, "lamp": 1})
        self.assertEqual(lines(two), {"mug": 3, "satchel": 1})
        for page in (one, two):
            failures = page.js("failures")
            wait_until(lambda at=page: at.js("failures") > failures + 1, "it has tried in vain")
        self.assertEqual((unsaved(one), unsaved(two)), (1, 1))
        self.assertIn("kept here", text(one, "#banner-text"))
        self.assertTrue(one.js("document.querySelector('#checkout').disabled"))
        self.picture(one, "away")
        one.goto(self.task_a.url + "/?again")  # what is wanted is kept over a reload too
        wait_until(lambda: lines(one) == {"mug": 2, "satchel": 1, "lamp": 1}, "nothing is forgotten")

        self.store.start()
        expected = {"mug": 3, "satchel": 1, "lamp": 1}
        for page in (one, two):
            self.wait_for_lines(page, expected)
            wait_until(lambda at=page: not at.is_shown("#banner"), "the banner is gone")
            self.assertEqual(text(page, "#total"), "€243.70")

        wait_until(lambda: not one.js("document.querySelector('#checkout').disabled"), "can order")
        one.click("#checkout")
        wait_until(lambda: one.is_shown("#order"), "the order is placed")
        self.assertRegex(text(one, "#order"), r"\d{3}-\d{3}-\d{3}")
        self.wait_for_lines(one, {})
        self.wait_for_lines(two, {})
        self.picture(one, "order")

    def test_a_declined_card_leaves_the_cart_and_another_buys_it(self):
        page = self.open(self.task_a)
        page.click("[data-add=mug]")
        self.wait_for_lines(page, {"mug": 1})
        for card, says in (("4000000000000002", "declined"), ("4242424242424242", None)):
            wait_until(lambda: not page.js("document.querySelector('#checkout').disabled"), "can order")
            page.js(f"document.querySelector('#card').value = '{card}'")
            page.click("#checkout")
            if says:
                wait_until(lambda at=says: at in text(page, "#saved"), "the page says why")
                self.wait_for_lines(page, {"mug": 1})
        wait_until(lambda: page.is_shown("#order"), "the order is placed")
        self.wait_for_lines(page, {})

    def test_signing_up_works_once(self):
        page = self.open(self.task_a)
        page.js("document.querySelector('#email').value = 'ada@example.org'")
        for said in ("now has an account", "already"):
            page.click("#signup button")
            wait_until(lambda at=said: at in text(page, "#signup-said"), f"the page says: {said}")

    def test_everything_can_be_done_from_the_keyboard(self):
        page = self.open(self.task_a)

        def tab_to(selector):
            for _ in range(80):
                page.press(*TAB)
                if page.js(f"document.activeElement.matches('{selector}')"):
                    return
            self.fail(f"the keyboard does not reach {selector}")

        tab_to("[data-add=pen]")
        page.press(*ENTER)
        page.press(*ENTER)
        self.wait_for_lines(page, {"pen": 2})
        tab_to("[data-line=pen] .less")
        page.press(*ENTER)
        self.wait_for_lines(page, {"pen": 1})
        tab_to("[data-line=pen] input")
        page.js("document.activeElement.select()")
        page.call("Input.insertText", text="12")
        page.press(*ENTER)
        self.wait_for_lines(page, {"pen": 12})
        tab_to("[data-line=pen] .remove")
        page.press(*ENTER)
        self.wait_for_lines(page, {})
        self.assertEqual(page.js("document.activeElement.id"), "cart")

    def test_it_fits_a_phone_and_every_control_has_a_name(self):
        page = self.open(self.task_a)
        page.view(390, 844, mobile=True)
        page.click("[data-add=mug]")
        self.wait_for_lines(page, {"mug": 1})
        self.assertEqual(page.js("document.documentElement.scrollWidth"), 390)
        small = page.js("""[...document.querySelectorAll("main button, main input")]
            .map((one) => [one.getAttribute("aria-label") ?? one.textContent,
                           one.getBoundingClientRect()])
            .filter(([name, box]) => box.width && (!name || Math.min(box.width, box.height) < 40))
            .map(([name]) => name)""")
        self.assertEqual(small, [], "large enough for a thumb, and named")
        tree = page.call("Accessibility.getFullAXTree")["nodes"]
        for node in tree:
            if node.get("role", {}).get("value") in ("button", "link", "spinbutton", "image"):
                self.assertTrue(node.get("name", {}).get("value"), node)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--satcheld", required=True)
    parser.add_argument("--cart", required=True)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--pictures")
    OPTIONS, rest = parser.parse_known_args()
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)
