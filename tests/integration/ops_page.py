#!/usr/bin/python3
"""ops_page.py --satcheld PATH [--slow-fs PATH]: the page of the ops port in a real browser.

What the page shows is computed here a second time, from the very answers that its browser got, and
must be the same. --picture FILE instead writes docs/ops-page.png.
"""

import argparse
import contextlib
import math
import os
import shutil
import sys
import threading
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import native  # noqa: E402
from chromium import Chromium  # noqa: E402
from native import Connection  # noqa: E402
from processes import Satcheld, wait_until  # noqa: E402
from slow_fs import SlowFs  # noqa: E402
from steady_load import SteadyLoad  # noqa: E402

OPTIONS = None
RATE_POLLS, TIME_POLLS = 10, 60  # as in server/ops/page/page.js
TIMES = {"read": ("satchel_request_seconds", '{op="read",'), "change": ("satchel_request_seconds", '{op="change",'),
         "wait": ("satchel_durable_wait_seconds", "{")}
FIGURES = ["sessions", "rate", *TIMES, "lag", "checkpoint", "memory", "connections", "errors"]

# Before the page's own script: keeps every answer of /metrics, and whatever goes wrong in the page.
# What is in `watched.said` is given to the page instead of what the server says.
WATCHER = """
window.watched = {answers: [], wrong: [], said: {}};
const asIs = window.fetch.bind(window);
window.fetch = async (path, options) => {
    const answer = await asIs(path, options);
    const said = watched.said[path];
    if (said !== undefined) {
        return new Response(said.text, {status: said.code, headers: answer.headers});
    }
    if (path === "/metrics") {
        watched.answers.push(await answer.clone().text());
    }
    return answer;
};
for (const kind of ["error", "unhandledrejection", "securitypolicyviolation"]) {
    addEventListener(kind, (event) => watched.wrong.push(`${kind}: ${event.message ?? event.reason
        ?? event.violatedDirective}`));
}
for (const kind of ["error", "warn"]) {
    console[kind] = (...words) => watched.wrong.push(words.join(" "));
}
"""


def samples_of(answer):
    """The answer of /metrics as {name and labels: value}."""
    lines = (line.rsplit(" ", 1) for line in answer.splitlines() if line and line[0] != "#")
    return {name: float(value) for name, value in lines}


def total(sample, family, but=()):
    return sum(value for name, value in sample.items()
               if name.split("{")[0] == family and not any(label in name for label in but))


def quantile(first, last, histogram, share):
    """As Prometheus' histogram_quantile() has it, of what came between two samples."""
    family, labels = histogram
    buckets = sorted((float(name.split('le="')[1].split('"')[0]), value - first.get(name, 0))
                     for name, value in last.items() if name.startswith(f"{family}_bucket{labels}"))
    rank = buckets[-1][1] * share
    below, seen = 0, 0
    for bound, count in buckets:
        if count >= rank and count > seen:
            part = 0 if math.isinf(bound) else (bound - below) * (rank - seen) / (count - seen)
            return below + part
        below, seen = bound, count
    return None


class Load:
    """Changes, reads and sessions that are not there: something to be seen on every figure."""

    def __init__(self, store):
        self.changes = SteadyLoad(store.address, rate_hz=150)
        self.connection = Connection(store.address)
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._read)

    def __enter__(self):
        self.changes.__enter__()
        self.thread.start()
        return self

    def __exit__(self, *why):
        self.stopping.set()
        self.thread.join()
        self.connection.socket.close()
        self.changes.__exit__(*why)

    def _read(self):
        number = 0
        while not self.stopping.wait(0.002):
            number += 1
            self.connection.get(b"k%d" % (number % 2000))


def text(page, selector):
    """The text of an element; "" when there is none."""
    return page.js(f"document.querySelector('{selector}')?.textContent ?? ''")


class OpsPage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.browser = cls.enterClassContext(Chromium(OPTIONS.chromium))

    def setUp(self):
        self.visitor = self.enterContext(self.browser.visitor())

    def open(self, ops):
        page = self.visitor.open("about:blank")
        page.call("Page.enable")
        page.call("Page.addScriptToEvaluateOnNewDocument", source=WATCHER)
        page.goto(f"http://{ops}/")
        wait_until(lambda: page.js("document.body.dataset.answers > 0"), "it has asked")
        return page

    def store(self, *options):
        return self.enterContext(Satcheld(OPTIONS.satcheld, *options))

    def wait_for_state(self, page, title, words=""):
        wait_until(lambda: text(page, "#state") == title and words in text(page, "#state-text"),
                   f"the state is {title}: {words}")

    def end(self, page):
        """Nothing went wrong in it, and it asked nobody but its server."""
        self.assertEqual(page.js("watched.wrong"), [])
        outside = page.js("""performance.getEntriesByType("resource").map((entry) => entry.name)
            .filter((name) => !name.startsWith(`${location.origin}/`) && !/^data:/.test(name))""")
        self.assertEqual(outside, [])

    def shown(self, page):
        """All answers so far and what is shown, at one moment."""
        return page.js(f"""({{
            answers: watched.answers,
            values: Object.fromEntries({FIGURES}.map((id) =>
                [id, Number(document.getElementById(id).value || -2)])),
            sessions: document.getElementById("sessions").textContent,
            at: samples.map((one) => one.at / 1000)}})""")

    def expected(self, answers, at):
        samples = [samples_of(answer) for answer in answers]
        last = samples[-1]
        then = max(len(samples) - 1 - RATE_POLLS, 0)

        def rate(family, but=()):
            grown = total(last, family, but) - total(samples[then], family, but)
            return grown / (at[-1] - at[then])

        return {
            "sessions": last["satchel_sessions"],
            "rate": rate("satchel_requests_total"),
            **{name: quantile(samples[max(len(samples) - 1 - TIME_POLLS, 0)], last, histogram, 0.99)
               for name, histogram in TIMES.items()},
            "lag": last["satchel_journal_undurable_bytes"],
            "checkpoint": last["satchel_checkpoint_age_seconds"],
            "memory": last["satchel_memory_bytes"],
            "connections": last["satchel_net_connections"],
            "errors": rate("satchel_replies_total", but=['outcome="not_found"']),
        }

    def test_its_figures_are_those_of_the_metrics_under_load(self):
        store = self.store("--checkpoint-interval", "2s")
        page = self.open(store.ops)
        equal_at = set()  # how many answers there were
        differs = None
        wanted = {}
        with Load(store):
            def is_equal():
                nonlocal differs, wanted
                seen = self.shown(page)
                if len(seen["at"]) != len(seen["answers"]) or len(seen["at"]) < RATE_POLLS + 2:
                    return False  # an answer is here and not shown yet
                wanted = self.expected(seen["answers"], seen["at"])
                for name, value in wanted.items():
                    if not math.isclose(seen["values"][name], value, rel_tol=1e-9):
                        differs = (name, seen["values"][name], value)
                        return False
                self.assertEqual(seen["sessions"], f"{wanted['sessions']:,.0f}")
                equal_at.add(len(seen["at"]))
                return len(equal_at) >= 3
            try:
                wait_until(is_equal, "what it shows is what /metrics said")
            except AssertionError:
                self.fail(f"shown and said: {differs}")
            for name in ("sessions", "rate", *TIMES, "memory", "connections"):
                self.assertGreater(wanted[name], 0, name)
            self.assertGreaterEqual(wanted["checkpoint"], 0)
            self.assertFalse(page.is_shown("#backup-box"), "there are no backups")
            for name in TIMES:
                bars = f"document.querySelectorAll('#{name}-spread .bar').length"
                self.assertGreater(page.js(bars), 1, name)
            for name in ("rate-plot .line", "read-plot .line", "change-plot .line", "change-plot .line.storage"):
                line = f"document.querySelector('#{name}').getTotalLength()"
                self.assertGreater(page.js(line), 5, name)
        self.end(page)

    def test_a_server_that_is_gone_or_silent_is_not_shown_as_live(self):
        store = self.store()
        page = self.open(store.ops)
        self.wait_for_state(page, "Serving", "Nothing is wrong")
        self.assertFalse(page.is_shown("#wrong"))
        self.assertEqual(page.js("document.body.dataset.live"), "yes")
        store.freeze()  # connections are made, and nobody answers
        try:
            self.wait_for_state(page, "Not answering")
            self.assertEqual(page.js("document.body.dataset.live"), "no")
            self.assertRegex(text(page, "#stale"), r"No answer for \d+ s")
        finally:
            store.thaw()
        self.wait_for_state(page, "Serving")
        self.assertFalse(page.is_shown("#stale"))
        store.kill()
        self.wait_for_state(page, "Not answering")
        self.assertTrue(page.is_shown("#stale"))
        self.assertIn("Not answering", page.js("document.title"))
        store.start()
        self.wait_for_state(page, "Serving")
        self.assertLess(page.js("samples.length"), 5, "another process' counters begin anew")
        self.end(page)

    def test_a_standby_says_whom_it_waits_for_and_takes_over(self):
        store = self.store()
        standby = Satcheld(OPTIONS.satcheld, "--wait")
        shutil.rmtree(standby.data)
        standby.data = store.data
        self.addCleanup(standby.clean_up)
        standby.launch(standby.command())
        self.addCleanup(standby.kill)
        standby.ops = standby.wait_for_line(r"\bstandby ops=(\S+)").group(1)
        page = self.open(standby.ops)
        self.wait_for_state(page, "Standby", "owned by")
        self.assertIn("Owns no data", text(page, "#state-role"))
        self.assertEqual(text(page, "#sessions"), "–")
        store.kill()
        self.wait_for_state(page, "Serving")
        wait_until(lambda: text(page, "#sessions") == "0", "it has sessions now")
        self.end(page)

    def test_storage_that_hangs_is_told_first(self):
        store = Satcheld(OPTIONS.satcheld, "--storage-slow", "1s")
        self.addCleanup(store.clean_up)
        self.addCleanup(lambda: store.is_running() and store.kill())
        storage = self.enterContext(SlowFs(OPTIONS.slow_fs))  # ends before the store, if it hangs
        store.data = storage.path("data")
        os.mkdir(store.data)
        store.start()
        page = self.open(store.ops)
        with Connection(store.address) as conn:
            storage.be("hang=all")
            conn.send(native.frame(native.SET, native.tag(native.ID, b"key")
                                   + native.tag(native.VALUE, b"value")))
            self.wait_for_state(page, "Not ready", "has not answered for")
            wait_until(lambda: "The storage has not answered" in text(page, "#wrong-list li"),
                       "it says so")
            storage.be("hang=none")
            self.assertEqual(conn.take().status, native.OK)
        self.wait_for_state(page, "Serving")
        store.kill()
        self.end(page)

    def test_what_the_server_says_is_put_into_words(self):
        store = self.store()
        page = self.open(store.ops)

        def say(path, code, words):
            page.js(f"watched.said[{path!r}] = {{code: {code}, text: {words!r}}}, 0")

        for words, title, reason in (
                ("not ready: loading", "Loading", "reads its data"),
                ("not ready: stopping", "Stopping", "told to stop"),
                ("not ready: looking at the backup: 0 of 1", "Restoring", "0 of 1"),
                ("not ready: restoring sessions: 3 of 9", "Restoring", "3 of 9"),
                ("not ready: the storage failed", "Not ready", "the storage failed"),
                ("not ready: <b>a name</b>", "Not ready", "<b>a name</b>"),
                ("ready", "Serving", "")):
            say("/readyz", 200 if words == "ready" else 503, words)
            self.wait_for_state(page, title, reason)
        backup = ('{"well": %s, "state": "%s", "lag_ms": 90000, "error": "%s", '
                  '"owes_snapshot": false, "snapshots": {"age_ms": 7500000, "error": ""}, '
                  '"retention": {"failing": false}}')
        say("/backupz", 200, backup % ("true", "shipping", ""))
        wait_until(lambda: page.is_shown("#backup-box"), "the backup is shown")
        self.assertEqual(text(page, "#backup"), "2 h 5 min old")
        self.assertFalse(page.is_shown("#wrong"))
        say("/backupz", 503, backup % ("false", "failing", "403 from the bucket"))
        wait_until(lambda: "403 from the bucket" in text(page, "#wrong-list"), "its error is told")
        self.wait_for_state(page, "Serving", "But something is wrong")
        with Connection(store.address) as conn:  # no HELLO, no token: not even a frame
            conn.send(b"\xb5" + b"x" * 100)
            conn.take_all()
        wait_until(lambda: "did not follow the protocol" in text(page, "#wrong-list"),
                   "an alarm rises")
        self.end(page)

    def test_it_fits_a_phone_and_everything_has_a_name(self):
        store = self.store()
        page = self.open(store.ops)
        for dark in (False, True):
            page.view(360, 740, dark, mobile=True)
            width = "document.querySelector('#rate-plot line').x2.baseVal.value"
            wait_until(lambda: page.js(width) < 360, "the plots are drawn anew")
            self.assertEqual(page.js("document.documentElement.scrollWidth"), 360)
        page.js("document.querySelector('#state-text').textContent = 'owned-by-' + 'x'.repeat(200)")
        self.assertEqual(page.js("document.documentElement.scrollWidth"), 360)
        for node in page.call("Accessibility.getFullAXTree")["nodes"]:
            if node.get("role", {}).get("value") in ("link", "image", "img", "region"):
                self.assertTrue(node.get("name", {}).get("value"), node)
        self.end(page)


def take_picture(path):
    """The page after a minute of load, as docs/ops-page.md shows it."""
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(Satcheld(OPTIONS.satcheld, "--checkpoint-interval", "10s"))
        browser = stack.enter_context(Chromium(OPTIONS.chromium))
        visitor = stack.enter_context(browser.visitor())
        stack.enter_context(Load(store))
        page = visitor.open(f"http://{store.ops}/")
        page.view(960, 990)
        page.call("Emulation.setScrollbarsHidden", hidden=True)
        wait_until(lambda: page.js("samples.length") > 60, "there is something to see", 120)
        page.screenshot(path)


if __name__ == "__main__":
    PARSER = argparse.ArgumentParser()
    PARSER.add_argument("--satcheld", required=True)
    PARSER.add_argument("--slow-fs", default="", help="none: there is no FUSE to build it with")
    PARSER.add_argument("--chromium", default="/usr/bin/chromium")
    PARSER.add_argument("--picture", help="write it there instead of testing")
    OPTIONS, REST = PARSER.parse_known_args()
    if OPTIONS.picture:
        take_picture(OPTIONS.picture)
    else:
        unittest.main(argv=[sys.argv[0], *REST], verbosity=2)
