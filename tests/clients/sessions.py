#!/usr/bin/python3
"""sessions.py --satcheld PATH --satchel PATH --fill PATH --node-modules PATH [--write] [CLIENT …]

What users of a web application do, with sessions in Satchel through a Redis client that does not
know it: each of the clients of apps.py, or those that are named.
"""

import base64
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import kit  # noqa: E402
from apps import CLIENTS, App, Browser, at_once  # noqa: E402
from processes import DEADLINE_S, wait_until  # noqa: E402
from resp import Resp  # noqa: E402

TTL_S = 600
SHORT_TTL_S = 1
AT_ONCE = 20
SCANNED = 250  # sessions; several steps of the stores' SCAN
LOADED = 100_000  # sessions; enough to be seen loading
LOGINS_BEFORE, LOGINS_AFTER = 40, 80  # acknowledged before the store is killed, and when it is back


def satchel(store, *arguments):
    """What the command line prints; arguments may be bytes."""
    return subprocess.run([kit.OPTIONS.satchel, *arguments, "--server", store.address],
                          stdout=subprocess.PIPE, timeout=DEADLINE_S, check=True).stdout


def scan(store):
    """What the command line tells of each session, by id."""
    rows = map(json.loads, satchel(store, "scan", "--json").splitlines())
    return {row["id"].encode() if "id" in row else base64.b64decode(row["id_base64"]): row
            for row in rows}


class Sessions(kit.ClientTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.app = cls.start_app(TTL_S)
        cls.client = CLIENTS[cls.name]
        # What Redis calls database N is part of the id.
        database = cls.client.database
        cls.id_prefix = (b"\xffdb%c" % database if database else b"") + cls.client.ids

    @classmethod
    def start_app(cls, ttl_s):
        return cls.enter(App(cls.name, cls.store, kit.OPTIONS.node_modules, ttl_s))

    def row(self):
        client, users = Browser(self.app).get("/versions").split("\n")
        return client, users, "works; no change is lost" if self.client.is_locked else "works"

    def login(self, user, app=None):
        """Logs in and returns the browser and the id of the session that came by it."""
        before = scan(self.store)
        browser = Browser(app or self.app)
        browser.login(user)
        new = [session for session in scan(self.store)
               if session not in before and session.startswith(self.id_prefix)]
        self.assertEqual(len(new), 1, f"new sessions: {new}")
        return browser, new[0]

    def read(self, session):
        """Its content as Redis' GET tells it."""
        key = session[len(self.id_prefix) - len(self.client.ids):]
        with Resp(self.store.address) as conn:
            conn.ask("SELECT", self.client.database)
            return conn.ask("GET", key).value

    def empty(self):
        with Resp(self.store.address) as conn:
            conn.ask("FLUSHALL")

    def test_a_user_is_known_from_login_to_logout(self):
        self.assertEqual(Browser(self.app).get("/whoami"), "nobody")
        browser, session = self.login("ann")
        self.assertEqual(browser.get("/whoami"), "ann")
        self.assertEqual([browser.post("/count") for _ in range(3)], ["1", "2", "3"])
        before = browser.twin()
        self.assertEqual(browser.post("/logout"), "bye")
        self.assertNotIn(session, scan(self.store))
        self.assertEqual(before.get("/whoami"), "nobody")
        self.assertEqual(browser.get("/whoami"), "nobody")

    def test_a_session_is_the_same_to_every_protocol(self):
        _, session = self.login("benedict")
        content = self.read(session)
        self.assertIn(b"benedict", content)
        self.assertEqual(satchel(self.store, "get", session), content)
        row = scan(self.store)[session]
        self.assertEqual((row["kind"], row["bytes"]), ("blob", len(content)))
        left_s = row["expires_in_ms"] / 1000
        self.assertTrue(TTL_S - DEADLINE_S < left_s <= TTL_S, left_s)

    def test_requests_at_once_do_not_disturb_each_other(self):
        browser, _ = self.login("carl")
        counts = at_once(AT_ONCE, lambda _: browser.twin().post("/count"))
        kept = int(browser.post("/count")) - 1
        self.assertEqual(browser.get("/whoami"), "carl")
        if self.client.is_locked:
            self.assertEqual(sorted(map(int, counts)), list(range(1, AT_ONCE + 1)))
            self.assertEqual(kept, AT_ONCE)
        else:  # such a client writes the session as a whole: the last one wins
            self.assertTrue(1 <= kept <= AT_ONCE, kept)
        others = at_once(AT_ONCE, lambda number: self.stay(f"user-{number}"))
        self.assertEqual(others, [f"user-{number}" for number in range(AT_ONCE)])

    def stay(self, user):
        browser = Browser(self.app)
        browser.login(user)
        browser.post("/count")
        return browser.get("/whoami")

    def test_a_session_expires(self):
        app = self.start_app(SHORT_TTL_S)
        begin = time.monotonic()
        browser, session = self.login("dora", app)
        # Looking at it natively does not lengthen its life, as a request would.
        wait_until(lambda: session not in scan(self.store), "the session has expired")
        self.assertGreaterEqual(time.monotonic() - begin, SHORT_TTL_S)
        self.assertIsNone(self.read(session))
        self.assertEqual(browser.get("/whoami"), "nobody")

    def test_a_killed_store_forgets_nobody(self):
        browser, session = self.login("emil")
        content = self.read(session)
        logins, is_over = [], threading.Event()

        def keep_logging_in(worker):
            while not is_over.is_set():
                user = f"guest-{worker}-{time.monotonic_ns()}"
                guest = Browser(self.app)
                if guest.try_login(user):
                    logins.append((user, guest))

        workers = threading.Thread(target=at_once, args=(4, keep_logging_in))
        workers.start()
        try:
            wait_until(lambda: len(logins) >= LOGINS_BEFORE, "users log in")
            self.store.kill()
            known = len(logins)
            self.store.start()
            self.assertEqual(self.read(session), content)
            wait_until(lambda: len(logins) >= known + LOGINS_AFTER, "users log in again")
        finally:
            is_over.set()
            workers.join()
        wait_until(lambda: browser.ask("GET", "/whoami") == (200, "emil"), "emil is known again")
        lost = [user for user, guest in logins if guest.get("/whoami") != user]
        self.assertEqual(lost, [], f"of {len(logins)} acknowledged logins")
        print(f"  {self.name}: {len(logins)} acknowledged logins, 0 lost")

    def test_a_loading_store_is_not_an_empty_one(self):
        browser, _ = self.login("fred")
        self.addCleanup(self.empty)
        subprocess.run([kit.OPTIONS.fill, "load", "--server", self.store.address, "--sessions",
                        str(LOADED)], stdout=subprocess.DEVNULL, timeout=DEADLINE_S, check=True)
        self.store.kill()
        self.store.start_loading()
        with Resp(self.store.address) as conn:
            self.assertTrue(conn.ask("GET", "any").raw.startswith(b"-LOADING "))
        if not self.client.forgets:
            answer = browser.ask("GET", "/whoami")
            self.assertNotEqual(answer[1], "nobody", "an error, or the answer when it has loaded")
        self.store.wait_for_line(r"\bserving\b")
        wait_until(lambda: browser.ask("GET", "/whoami") == (200, "fred"), "fred is known again")


class ExpressSessions(Sessions):
    """The stores of Express also walk through all sessions."""

    def test_all_sessions_are_found_and_forgotten(self):
        self.empty()
        with Resp(self.store.address) as conn:
            conn.ask("SET", "other:1", "stays")
        users = [f"user-{number}" for number in range(SCANNED)]
        browsers = [Browser(self.app) for _ in users]
        at_once(AT_ONCE, lambda first: [browsers[at].login(users[at])
                                        for at in range(first, SCANNED, AT_ONCE)])
        found = json.loads(browsers[0].get("/users"))
        self.assertEqual(sorted(found["users"]), sorted(users))
        self.assertEqual(len(set(found["ids"])), SCANNED)
        self.assertEqual(Browser(self.app).post("/forget-all"), "done")
        self.assertEqual(browsers[-1].get("/whoami"), "nobody")
        self.assertEqual(list(scan(self.store)), [b"other:1"])


if __name__ == "__main__":
    kit.run({name: ExpressSessions if name.startswith("express") else Sessions for name in CLIENTS},
            __doc__, "--satchel", "--fill", "--node-modules")
