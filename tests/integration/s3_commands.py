#!/usr/bin/python3
"""s3_commands.py --satcheld PATH --satchel PATH: `satchel backup list`, `verify` and `prune` against a
real gateway, and against Swift: what they say of archives that are whole, damaged, foreign, empty or
out of reach, and what is left when old backups go."""

import argparse
import hashlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from email.utils import formatdate
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import native  # noqa: E402
from backed_up import BackedUp  # noqa: E402
from faulty_proxy import FaultyProxy  # noqa: E402
from processes import die_with_parent, wait_until  # noqa: E402
from radosgw import Radosgw  # noqa: E402
from s3_faults import Answer, Fault, Hang  # noqa: E402
from summary import take_summary  # noqa: E402
from swift import Swift  # noqa: E402

OPTIONS = None
BUCKET = "satchel"
SERVERS = {}  # by their class; started once for the whole file
DONE, DAMAGED, USAGE, FAILED = 0, 1, 2, 3
RUN_S_MAX = 60
DAY_S = 24 * 3600
SNAPSHOTS = 4
SLOTS_EACH = 3  # written between two snapshots
ARCHIVE = {}  # what a store wrote: {key without prefix: bytes}
VALUES = {}  # what it had at its end


def setUpModule():
    for kind in (Radosgw, Swift):
        directory = unittest.enterModuleContext(tempfile.TemporaryDirectory(prefix="satchel-s3-"))
        server = unittest.enterModuleContext(kind(directory))
        server.make_bucket(BUCKET)
        SERVERS[kind] = server
    make_archive(SERVERS[Radosgw])


def make_archive(server):
    """One archive with snapshots in the midst of its log, of which each test gets a copy."""
    with BackedUp(OPTIONS.satcheld, server, f"s3://{BUCKET}/made", "--snapshot-interval", "0",
                  "--keep-snapshots", "0", "--keep-snapshots-for", "0") as store:
        store.take_snapshot()
        for snapshot in range(SNAPSHOTS - 1):
            for slot in range(SLOTS_EACH):
                with native.Connection(store.address) as connection:
                    for number in range(50):
                        key, value = b"k%d" % number, b"%d.%d" % (snapshot, slot) * 20
                        assert connection.set(key, value) == native.OK
                        VALUES[key] = value
                store.wait_shipped()
            store.take_snapshot()
        assert store.terminate() == 0, store.log()
    client = server.client()
    for key in client.list(BUCKET, "made/"):
        ARCHIVE[key.removeprefix("made/")] = client.get(BUCKET, key)


class Later(Fault):
    """The storage says that it is so much later, so all that it has looks older."""

    def __init__(self, seconds):
        self.seconds = seconds

    def on_reply(self, exchange):
        date = formatdate(time.time() + self.seconds, usegmt=True)
        exchange.reply = exchange.reply.with_header("Date", date)


class HangAfter(Fault):
    """Requests behind the first so many are done, and never answered."""

    def __init__(self, count):
        self.count = count

    def on_reply(self, exchange):
        self.count -= 1
        if self.count < 0:
            exchange.proxy.wait_while_active(self)


class Commands(unittest.TestCase):
    server = None  # of the test; Radosgw unless it says otherwise

    def setUp(self):
        self.server = SERVERS[Radosgw]
        self.prefix = hashlib.sha256(self.id().encode()).hexdigest()[:12]
        self.place = f"s3://{BUCKET}/{self.prefix}"

    # ---- The archive of the test

    def key(self, name):
        return f"{self.prefix}/{name}"

    def copy_archive(self):
        client = self.server.client()
        for name, body in ARCHIVE.items():
            client.put(BUCKET, self.key(name), body)

    def names(self, under, suffix=""):
        found = self.server.client().list(BUCKET, self.key(under))
        return sorted(key.removeprefix(f"{self.prefix}/") for key in found if key.endswith(suffix))

    def manifests(self):
        """In their order: [(name, what it says)]."""
        client = self.server.client()
        return [(name, json.loads(client.get(BUCKET, self.key(name))))
                for name in self.names("snap/", ".json")]

    def change(self, name, change):
        client = self.server.client()
        body = bytearray(client.get(BUCKET, self.key(name)))
        client.put(BUCKET, self.key(name), bytes(change(body)))

    def flip(self, name, at=None):
        def change(body):
            body[len(body) // 2 if at is None else at] ^= 1
            return body
        self.change(name, change)

    def delete(self, name):
        self.server.client().delete(BUCKET, self.key(name))

    # ---- Commands

    def environment(self, **more):
        inherited = {name: value for name, value in os.environ.items()
                     if not name.startswith(("AWS_", "SATCHEL_"))}
        return {**inherited, "AWS_ACCESS_KEY_ID": self.server.access_key,
                "AWS_SECRET_ACCESS_KEY": self.server.secret_key,
                "SATCHEL_BACKUP_ENDPOINT": self.server.endpoint,
                "SATCHEL_BACKUP_REGION": self.server.region,
                "SATCHEL_BACKUP_PATH_STYLE": "yes", **more}

    def run_tool(self, *arguments, code=DONE, **environment):
        told = subprocess.run([OPTIONS.satchel, *arguments], capture_output=True, text=True,
                              env=self.environment(**environment), timeout=RUN_S_MAX,
                              stdin=subprocess.DEVNULL, check=False)
        self.assertEqual(told.returncode, code, told.stdout + told.stderr)
        self.assertNotIn(self.server.secret_key, told.stdout + told.stderr)
        return told

    def ask(self, *arguments, code=DONE, **environment):
        """The object that a command prints."""
        told = self.run_tool("backup", *arguments, self.place, "--json", code=code, **environment)
        return take_summary(told.stdout, f"backup {arguments[0]}", code)

    def list(self, code=DONE, **environment):
        return self.ask("list", code=code, **environment)

    def verify(self, *arguments, code=DONE, **environment):
        return self.ask("verify", *arguments, code=code, **environment)

    def states(self, listed):
        return [snapshot["state"] for snapshot in listed["snapshots"]]

    def expect_good_verifies(self, listed, verified):
        """What list calls good always verifies, unless its rows are damaged."""
        sound = {snapshot["object"]: snapshot["sound"] for snapshot in verified["snapshots"]}
        for snapshot in listed["snapshots"]:
            if snapshot["good"]:
                self.assertTrue(sound[snapshot["object"]], snapshot)


class Whole(Commands):
    def check(self, kind):
        self.server = SERVERS[kind]
        self.copy_archive()
        listed = self.list()
        self.assertEqual(self.states(listed), ["good"] * SNAPSHOTS)
        self.assertTrue(listed["sound"])
        self.assertEqual(listed["log"]["slots"], len(self.names("log/")))
        self.assertEqual(listed["log"]["holes"], [])
        self.assertEqual(len(listed["restorable"]), 1)
        manifests = [manifest for _, manifest in self.manifests()]
        self.assertEqual([snapshot["sessions"] for snapshot in listed["snapshots"]],
                         [manifest["sessions"] for manifest in manifests])
        verified = self.verify()
        self.assertTrue(verified["sound"])
        self.assertEqual(verified["problems"], [])
        self.expect_good_verifies(listed, verified)
        newest = verified["snapshots"][-1]
        for snapshot in verified["snapshots"]:
            self.assertTrue(snapshot["latest"])
            self.assertEqual(snapshot["last_lsn"], newest["last_lsn"])
        self.assertEqual(newest["last_lsn"], listed["log"]["last_lsn"])
        self.assertEqual(verified["slots"],
                         len(self.names("log/")) - manifests[0]["next_seq"])
        only = self.verify("--newest")
        self.assertEqual([snapshot["object"] for snapshot in only["snapshots"]],
                         [newest["object"]])
        self.assertEqual(self.names("hold/"), [])

    def test_an_archive_is_whole_on_radosgw(self):
        self.check(Radosgw)

    def test_an_archive_is_whole_on_swift(self):
        self.check(Swift)

    def test_people_are_told_the_same(self):
        self.copy_archive()
        told = self.run_tool("backup", "list", self.place).stdout
        self.assertEqual(len(re.findall(r"  good$", told, re.MULTILINE)), SNAPSHOTS)
        self.assertRegex(told, r"log:  \d+ slots, 0 to \d+")
        self.assertRegex(told, r"can be restored: every moment from \S+ \S+ UTC to ")
        told = self.run_tool("backup", "verify", "--backup", self.place).stdout
        self.assertEqual(len(re.findall(r"^sound:   snap/", told, re.MULTILINE)), SNAPSHOTS)
        self.assertRegex(told, rf"sound: {SNAPSHOTS} of {SNAPSHOTS} snapshots and \d+ slots")

    def test_foreign_objects_are_passed_over(self):
        self.copy_archive()
        client = self.server.client()
        for name in ("log/readme", "log/00000000000000zz", "snap/x.json", "snap/", "other/log/0",
                     "hold/nobody", "log/0000000000000001.bak"):
            client.put(BUCKET, self.key(name), b"not ours")
        self.assertTrue(self.list()["sound"])
        self.assertTrue(self.verify()["sound"])
        self.ask("prune", "--keep", "1", "--keep-for", "0")
        self.assertIn("log/readme", self.names("log/"))
        self.assertIn("snap/x.json", self.names("snap/"))


class Damage(Commands):
    def setUp(self):
        super().setUp()
        self.copy_archive()

    def expect_problem(self, verified, name, words):
        found = [problem["what"] for problem in verified["problems"] if problem["object"] == name]
        self.assertTrue(any(words in what for what in found), verified["problems"])

    def test_manifests(self):
        (first, _), (second, _), (third, _), (last, _) = self.manifests()
        self.change(first, lambda body: b"{")
        self.flip(second, at=5)
        self.delete(third.replace(".json", ".rows"))
        listed = self.list(code=DAMAGED)
        self.assertEqual(self.states(listed), ["damaged", "damaged", "no-rows", "good"])
        self.assertIn("not JSON", listed["snapshots"][0]["why"])
        verified = self.verify(code=DAMAGED)
        self.expect_good_verifies(listed, verified)
        self.assertEqual([snapshot["sound"] for snapshot in verified["snapshots"]],
                         [False, False, False, True])
        self.expect_problem(verified, third, "missing")
        # The newest is not concerned.
        self.assertTrue(self.verify("--newest")["sound"])
        self.change(last, lambda body: body.replace(b'"format": 1', b'"format": 2'))
        self.assertEqual(self.states(self.list(code=DAMAGED))[-1], "newer")
        pruned = self.ask("prune", "--keep", "1", "--keep-for", "0", code=DAMAGED)
        self.assertEqual(pruned["deleted"]["objects"], 0)

    def test_rows(self):
        names = [name.replace(".json", ".rows") for name, _ in self.manifests()]
        self.flip(names[1])
        self.change(names[2], lambda body: body[:-1])
        listed = self.list(code=DAMAGED)
        self.assertEqual(self.states(listed), ["good", "good", "wrong-size", "good"])
        verified = self.verify(code=DAMAGED)
        self.assertEqual([snapshot["sound"] for snapshot in verified["snapshots"]],
                         [True, False, False, True])

    def test_rows_without_a_manifest_are_no_damage(self):
        self.delete(self.manifests()[1][0])
        listed = self.list()
        self.assertEqual(self.states(listed), ["good", "unfinished", "good", "good"])
        self.assertEqual(len(self.verify()["snapshots"]), SNAPSHOTS - 1)

    def test_slots(self):
        """A damaged slot ends the way from the snapshots before it; those behind are sound."""
        slots = self.names("log/")
        next_seqs = [manifest["next_seq"] for _, manifest in self.manifests()]
        victim = next_seqs[1]  # the first slot behind the second snapshot
        for damage in (lambda name: self.flip(name), lambda name: self.flip(name, at=20),
                       lambda name: self.change(name, lambda body: body[:-3]),
                       lambda name: self.change(name, lambda body: b""),
                       lambda name: self.change(name, lambda body: ARCHIVE[slots[victim - 1]])):
            damage(slots[victim])
            listed = self.list(code=DONE)
            verified = self.verify(code=DAMAGED)
            self.expect_good_verifies(listed, verified)
            self.assertIn(slots[victim], [problem["object"] for problem in verified["problems"]])
            self.assertEqual([snapshot["latest"] for snapshot in verified["snapshots"]],
                             [False, False, True, True])
            self.assertTrue(self.verify("--newest")["sound"])
            self.server.client().put(BUCKET, self.key(slots[victim]), ARCHIVE[slots[victim]])
        self.assertTrue(self.verify()["sound"])

    def test_holes(self):
        slots = self.names("log/")
        next_seqs = [manifest["next_seq"] for _, manifest in self.manifests()]
        self.delete(slots[next_seqs[1]])
        self.delete(slots[next_seqs[1] + 1])
        listed = self.list(code=DAMAGED)
        self.assertEqual(listed["log"]["holes"], [{"first_seq": next_seqs[1], "slots": 2}])
        # Of the snapshot just before the hole only its own moment.
        self.assertEqual(len(listed["restorable"]), 3)
        verified = self.verify(code=DAMAGED)
        self.expect_problem(verified, slots[next_seqs[1]], "2 slots")
        self.assertEqual([snapshot["latest"] for snapshot in verified["snapshots"]],
                         [False, False, True, True])

    def test_a_hole_before_every_snapshot_matters_to_nobody(self):
        """As when a prune was killed among its slots."""
        name, _ = self.manifests()[0]
        self.delete(name)
        self.delete(name.replace(".json", ".rows"))
        next_seq = self.manifests()[0][1]["next_seq"]
        self.assertGreater(next_seq, 1)
        self.delete(self.names("log/")[next_seq - 1])
        self.assertTrue(self.list()["sound"])
        self.assertTrue(self.verify()["sound"])


class Prune(Commands):
    def later(self, seconds):
        """The endpoint at which the storage's clock is that much ahead."""
        proxy = self.enterContext(FaultyProxy(self.server.endpoint))
        proxy.add(Later(seconds))
        return proxy

    def prune(self, *arguments, proxy=None, code=DONE):
        endpoint = proxy.endpoint if proxy is not None else self.server.endpoint
        return self.ask("prune", *arguments, code=code, SATCHEL_BACKUP_ENDPOINT=endpoint)

    def check(self, kind):
        """The newest two stay, and with them the log; the latest state is restored as before."""
        self.server = SERVERS[kind]
        self.copy_archive()
        slots = self.names("log/")
        manifests = self.manifests()
        keep_seq = manifests[-2][1]["next_seq"]
        proxy = self.later(DAY_S)
        dry = self.prune("--keep", "2", "--keep-for", "0", "--dry-run", proxy=proxy)
        self.assertEqual(self.names("log/"), slots)
        self.assertEqual(self.manifests(), manifests)
        done = self.prune("--keep", "2", "--keep-for", "0", proxy=proxy)
        self.assertEqual(done["deleted"], dry["deleted"])
        self.assertEqual(done["deleted"]["snapshots"], SNAPSHOTS - 2)
        self.assertEqual(done["deleted"]["slots"], keep_seq)
        self.assertEqual(done["left"]["from_seq"], keep_seq)
        self.assertEqual(self.manifests(), manifests[-2:])
        self.assertEqual(self.names("log/"), slots[keep_seq:])
        self.assertEqual(len(proxy.requests(method="DELETE")), 0)  # many with one request
        self.assertTrue(self.list()["sound"])
        self.assertTrue(self.verify()["sound"])
        again = self.prune("--keep", "2", "--keep-for", "0", proxy=proxy)
        self.assertEqual(again["deleted"]["objects"], 0)

    def test_old_ones_go_on_radosgw(self):
        self.check(Radosgw)
        with BackedUp(OPTIONS.satcheld, self.server, self.place) as store:
            with native.Connection(store.address) as connection:
                for key, value in VALUES.items():
                    self.assertEqual(connection.get(key), value)

    def test_old_ones_go_on_swift(self):
        self.check(Swift)

    def test_a_storage_without_that_request_is_asked_one_by_one(self):
        self.copy_archive()
        proxy = self.later(DAY_S)
        proxy.add(Answer(501, "NotImplemented"), method="POST")
        done = self.prune("--keep", "1", "--keep-for", "0", proxy=proxy)
        self.assertEqual(len(proxy.requests(method="DELETE")), done["deleted"]["objects"])
        self.assertEqual(len(self.manifests()), 1)
        self.assertTrue(self.verify()["sound"])

    def test_what_is_young_stays(self):
        self.copy_archive()
        slots = self.names("log/")
        done = self.prune("--keep", "1", "--keep-for", "2h", proxy=self.later(1800))
        self.assertEqual(done["deleted"]["objects"], 0)
        # Snapshots may go at once, but a slot of less than an hour is never deleted.
        done = self.prune("--keep", "1", "--keep-for", "0", proxy=self.later(1800))
        self.assertEqual(done["deleted"]["snapshots"], SNAPSHOTS - 1)
        self.assertEqual(self.names("log/"), slots)
        # What only the snapshots that went needed goes when it is old enough.
        done = self.prune("--keep", "1", "--keep-for", "0", proxy=self.later(2 * 3600))
        self.assertGreater(done["deleted"]["slots"], 0)
        self.assertTrue(self.verify()["sound"])

    def test_both_zero_keep_everything(self):
        self.copy_archive()
        done = self.prune("--keep", "0", "--keep-for", "0", proxy=self.later(365 * DAY_S))
        self.assertEqual(done["deleted"]["objects"], 0)
        self.assertIn("keeps everything", done["nothing"])

    def test_holds_are_honoured_until_they_are_void(self):
        self.copy_archive()
        client = self.server.client()
        names = self.names("")
        everything = f"hold/{0:016x}-{7:016x}"
        client.put(BUCKET, self.key(everything), b"")
        done = self.prune("--keep", "1", "--keep-for", "0", proxy=self.later(1800))
        self.assertIn("restore", done["nothing"])
        self.assertEqual(self.names(""), sorted([*names, everything]))
        self.assertEqual(self.list()["holds"][0]["object"], everything)
        # A restore that came alive while this was deciding.
        self.delete(everything)
        proxy = self.later(1800)
        hold_key = self.key(everything)

        class Begin(Fault):
            """The last list before something is deleted is that of the log from its beginning."""

            def on_request(self, exchange):
                if "start-after" not in exchange.target:
                    client.put(BUCKET, hold_key, b"")

        proxy.add(Begin(), method="GET", path=f"prefix={self.prefix}%2Flog")
        done = self.prune("--keep", "1", "--keep-for", "0", proxy=proxy)
        self.assertEqual(self.names(""), sorted([*names, everything]))
        self.assertIn("a restore has begun meanwhile", done["nothing"])
        done = self.prune("--keep", "1", "--keep-for", "0", proxy=self.later(2 * 3600))
        self.assertEqual(done["deleted"]["holds"], 1)
        self.assertEqual(len(self.manifests()), 1)

    def test_orphans_and_uploads_go_after_a_day(self):
        self.copy_archive()
        client = self.server.client()
        first, second = (name for name, _ in self.manifests()[:2])
        self.delete(first)
        self.delete(second)
        upload = self.key(first.replace(".json", ".rows"))
        client.demand("POST", f"/{BUCKET}/{upload}", {"uploads": ""})
        # One whose name is none of ours is somebody else's.
        client.demand("POST", f"/{BUCKET}/{self.key('snap/other')}", {"uploads": ""})
        done = self.prune("--keep", "24", "--keep-for", "0", proxy=self.later(DAY_S // 2))
        self.assertEqual(done["deleted"]["orphans"] + done["deleted"]["uploads"], 0)
        manifest = self.manifests()[-1][0]  # which has to be newer than the orphans
        client.put(BUCKET, self.key(manifest), ARCHIVE[manifest])
        done = self.prune("--keep", "24", "--keep-for", "0", proxy=self.later(DAY_S + 60))
        self.assertEqual((done["deleted"]["orphans"], done["deleted"]["uploads"]), (2, 1))
        left = client.demand("GET", f"/{BUCKET}", {"uploads": "", "prefix": self.key("")}).body
        self.assertEqual(left.count(b"<Upload>"), 1)

    def test_denied_deletes_are_told_and_nothing_is_lost(self):
        self.copy_archive()
        names = self.names("")
        proxy = self.later(DAY_S)
        proxy.add(Answer(403, "AccessDenied"), method="POST")
        done = self.prune("--keep", "1", "--keep-for", "0", proxy=proxy, code=FAILED)
        self.assertIn("cannot delete what is too old: access denied", done["error"])
        self.assertEqual(self.names(""), names)

    def test_a_kill_at_any_request_leaves_a_whole_archive(self):
        """SIGKILL after each of the requests that delete."""
        for kill_after in range(3):
            with self.subTest(requests=kill_after):
                self.copy_archive()
                proxy = self.later(DAY_S)
                proxy.add(HangAfter(kill_after), method="POST")
                with subprocess.Popen(
                        [OPTIONS.satchel, "backup", "prune", self.place, "--keep", "1",
                         "--keep-for", "0"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                        env=self.environment(SATCHEL_BACKUP_ENDPOINT=proxy.endpoint),
                        stdin=subprocess.DEVNULL, preexec_fn=die_with_parent) as tool:
                    wait_until(lambda: len(proxy.requests(method="POST")) > kill_after,
                               "it deletes")
                    tool.kill()
                proxy.clear()
                listed = self.list()
                self.expect_good_verifies(listed, self.verify())
                self.assertGreaterEqual(listed["good"], 1)
                for name in self.names(""):
                    self.delete(name)


class Trouble(Commands):
    """Everything that is not the archive's fault: exit code 3, with the reason."""

    COMMANDS = (("list",), ("verify",), ("prune", "--keep", "1"))

    def expect_failure(self, words, code=FAILED, **environment):
        for command in self.COMMANDS:
            with self.subTest(command=command[0]):
                told = self.run_tool("backup", *command, self.place, "--json", code=code,
                                     **environment)
                summary = take_summary(told.stdout, f"backup {command[0]}", code)
                self.assertIn(words, summary["error"])
                self.assertIn(words, told.stderr)

    def test_an_empty_archive_has_nothing_that_can_be_used(self):
        self.assertEqual(self.list(code=DAMAGED)["snapshots"], [])
        self.assertEqual(self.verify(code=DAMAGED)["snapshots"], [])
        self.assertIn("empty", self.ask("prune", code=DAMAGED)["nothing"])

    def test_a_log_without_a_snapshot_has_nothing_either(self):
        self.server.client().put(BUCKET, self.key("log/" + "0" * 16), ARCHIVE["log/" + "0" * 16])
        self.assertEqual(self.list(code=DAMAGED)["log"]["slots"], 1)
        self.verify(code=DAMAGED)
        self.assertIn("no snapshot", self.ask("prune", code=DAMAGED)["nothing"])

    def test_wrong_credentials(self):
        self.expect_failure("access denied", AWS_SECRET_ACCESS_KEY="not-the-secret")

    def test_no_credentials(self):
        self.expect_failure("credentials", AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="")

    def test_a_bucket_that_is_missing(self):
        self.place = "s3://no-such-bucket/x"
        self.expect_failure("no such bucket")

    def test_a_storage_that_is_away(self):
        self.expect_failure("no connection", SATCHEL_BACKUP_ENDPOINT="http://127.0.0.1:9")

    def test_arguments(self):
        for words in (("list", "--no-such"), ("list",), ("verify", "--newest=perhaps", self.place),
                      ("prune", self.place, "--keep", "many"), ("list", "http://x"), ("frob",), (),
                      ("list", "s3://UPPER/x")):
            told = self.run_tool("backup", *words, code=USAGE)
            self.assertRegex(told.stderr, r"^satchel[ -]backup")
            self.assertEqual(told.stdout, "")

    def test_help_is_true(self):
        told = self.run_tool("backup", "--help").stdout
        self.assertEqual(self.run_tool("help", "backup").stdout, told)
        for command in ("list", "verify", "prune"):
            self.assertIn(f"satchel backup {command}", told)
            text = self.run_tool("backup", command, "--help").stdout
            self.assertEqual(self.run_tool("help", "backup", command).stdout, text)
            for option in re.findall(r"--[a-z-]+", text):
                told_again = self.run_tool("backup", command, option + "=x", self.place,
                                           code=USAGE) if option == "--json" else None
                self.assertTrue(told_again is None or "--json" in told_again.stderr)
        self.assertIn("--keep-for", self.run_tool("backup", "prune", "--help").stdout)

    def test_a_signal_ends_it_and_leaves_no_hold(self):
        self.copy_archive()
        for number in (signal.SIGINT, signal.SIGTERM):
            proxy = self.enterContext(FaultyProxy(self.server.endpoint))
            hang = Hang()
            proxy.add(hang, method="GET", path="/log/")
            with subprocess.Popen([OPTIONS.satchel, "backup", "verify", self.place],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                  env=self.environment(SATCHEL_BACKUP_ENDPOINT=proxy.endpoint),
                                  stdin=subprocess.DEVNULL, preexec_fn=die_with_parent) as tool:
                wait_until(lambda: proxy.requests(method="GET", path="/log/"), "it reads the log")
                tool.send_signal(number)
                _, said = tool.communicate(timeout=RUN_S_MAX)
                self.assertEqual(tool.returncode, FAILED, said)
                self.assertIn("stopping", said)

    def test_a_terminal_is_shown_how_far_it_is(self):
        self.copy_archive()
        proxy = self.enterContext(FaultyProxy(self.server.endpoint))

        class Slow(Fault):
            def on_request(self, exchange):
                exchange.proxy.wait(0.3)

        proxy.add(Slow(), method="GET", path="/snap/")
        ours, theirs = pty.openpty()
        try:
            with subprocess.Popen([OPTIONS.satchel, "backup", "verify", self.place],
                                  stdout=subprocess.DEVNULL, stderr=theirs,
                                  env=self.environment(SATCHEL_BACKUP_ENDPOINT=proxy.endpoint),
                                  stdin=subprocess.DEVNULL, preexec_fn=die_with_parent) as tool:
                self.assertEqual(tool.wait(RUN_S_MAX), DONE)
            shown = os.read(ours, 1 << 16).decode()
        finally:
            os.close(ours)
            os.close(theirs)
        self.assertRegex(shown, r"\r\x1b\[Kchecking: \d[^\r]* of \d[^\r]* %")
        self.assertTrue(shown.endswith("\r\x1b[K"), repr(shown[-40:]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--satcheld", required=True)
    parser.add_argument("--satchel", required=True)
    OPTIONS, rest = parser.parse_known_args()
    unittest.main(argv=[sys.argv[0], *rest])
