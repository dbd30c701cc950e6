#!/usr/bin/python3
"""s3_restore.py --satcheld PATH --tool PATH: `satchel restore` against a real gateway. What comes out,
for the latest state, a moment or a change, is what the store had then; damage is passed over and told;
what is in the directory is not touched unless it is to be."""

import argparse
import datetime
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
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import native  # noqa: E402
from backed_up import BackedUp  # noqa: E402
from faulty_proxy import FaultyProxy  # noqa: E402
from processes import DEADLINE_S, Satcheld, die_with_parent, wait_until  # noqa: E402
from radosgw import ENVIRONMENT, Radosgw  # noqa: E402
from s3_faults import Fault, Hang, internal_error  # noqa: E402
from sigv4 import Credentials  # noqa: E402
from slots import read_slots  # noqa: E402
from steady_load import SteadyLoad  # noqa: E402
from summary import take_summary  # noqa: E402

OPTIONS = None
BUCKET = "satchel"
SERVER = None
DONE, DAMAGED, USAGE, FAILED = 0, 1, 2, 3
SESSIONS = 150
RATE_HZ = 120
LOAD_S = 9
SNAPSHOTS_AT_S = (3, 6)


def setUpModule():
    global SERVER  # started once for the whole file
    directory = unittest.enterModuleContext(tempfile.TemporaryDirectory(prefix="satchel-s3-"))
    SERVER = unittest.enterModuleContext(Radosgw(directory))
    SERVER.make_bucket(BUCKET)
    History.make()


class History:
    """One archive that most tests read, and all changes that were made to its store, with the
    snapshots in their midst."""

    prefix = "history"
    changes = None  # of SteadyLoad
    load = None

    @classmethod
    def make(cls):
        with BackedUp(OPTIONS.satcheld, SERVER, f"s3://{BUCKET}/{cls.prefix}",
                      "--snapshot-interval", "0") as store:
            store.take_snapshot()
            cls.load = SteadyLoad(store.address, rate_hz=RATE_HZ, sessions=SESSIONS, seed=7)
            with cls.load:
                begin = time.monotonic()
                for at_s in (*SNAPSHOTS_AT_S, LOAD_S):
                    wait_until(lambda: time.monotonic() - begin > at_s, "the load goes on")
                    if at_s != LOAD_S:
                        store.take_snapshot()
            cls.changes = cls.load.changes
            store.wait_shipped()
            assert store.terminate() == 0, store.log()

    @classmethod
    def model_at_lsn(cls, lsn):
        return cls.load.model(sum(change.lsn <= lsn for change in cls.changes))

    @classmethod
    def models_at(cls, moment_s):
        """What may have been there at a moment of the wall clock: a change became durable between
        being sent and being told. The clock of batches counts whole milliseconds."""
        least = sum(change.told_s < moment_s - 0.001 for change in cls.changes)
        most = sum(change.sent_s <= moment_s + 0.001 for change in cls.changes)
        return [cls.load.model(count) for count in range(least, most + 1)]


def timestamp(moment_s):
    moment = datetime.datetime.fromtimestamp(moment_s, datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class RestoreTest(unittest.TestCase):
    def setUp(self):
        self.directory = self.enterContext(tempfile.TemporaryDirectory(prefix="satchel-restore-"))
        self.data = os.path.join(self.directory, "data")
        self.client = SERVER.client()

    def begin(self, *options, prefix=None, endpoint=None, credentials=None, data=None):
        """`satchel restore`, which runs."""
        credentials = credentials or SERVER.client().credentials
        command = [OPTIONS.tool, "restore", "--from", f"s3://{BUCKET}/{prefix or History.prefix}",
                   "--data-dir", data or self.data, "--backup-endpoint",
                   endpoint or SERVER.endpoint, "--backup-region", SERVER.region,
                   "--backup-path-style", *options]
        environment = {**os.environ, "AWS_ACCESS_KEY_ID": credentials.access_key,
                       "AWS_SECRET_ACCESS_KEY": credentials.secret_key}
        process = subprocess.Popen(  # pylint: disable=subprocess-popen-preexec-fn
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, env=environment, preexec_fn=die_with_parent)
        self.addCleanup(lambda: process.poll() is None and process.kill())
        return process

    def end(self, process, code):
        """Its end: what it wrote as a result, and what else."""
        told, said = process.communicate(timeout=DEADLINE_S)
        self.assertEqual(process.returncode, code, f"{said}\n{told}")
        self.assertNotIn(SERVER.secret_key, told + said)
        return told, said

    def restore(self, *options, code=DONE, **named):
        return self.end(self.begin(*options, **named), code)

    def restore_json(self, *options, code=DONE, **named):
        told = self.restore("--json", *options, code=code, **named)[0]
        return take_summary(told, "restore", code)

    def store(self, data=None):
        """A store without backups on the restored directory."""
        store = Satcheld(OPTIONS.satcheld)
        shutil.rmtree(store.data)
        store.data = data or self.data
        return store

    def contents(self, store):
        with native.Connection(store.address) as connection:
            found = {key: connection.get(key) for key in History.load.keys}
        return {key: value for key, value in found.items() if value is not None}

    def start_and_read(self):
        """What a store that starts there has; also that it goes on."""
        with self.store() as store:
            found = self.contents(store)
            with native.Connection(store.address) as connection:
                reply = connection.ask(native.SET, native.tag(native.ID, b"later")
                                       + native.tag(native.VALUE, b"x"))
            self.assertGreater(reply.number(native.VERSION),
                               max(change.lsn for change in History.changes))
        return found

    def copy(self, prefix=None):
        """An archive of this test's own, which it may damage; returns the prefix."""
        prefix = prefix or self.id()
        for key in self.client.list(BUCKET, f"{History.prefix}/"):
            body = self.client.get(BUCKET, key)
            self.client.put(BUCKET, prefix + key.removeprefix(History.prefix), body)
        return prefix

    def keys(self, prefix, under):
        return sorted(self.client.list(BUCKET, f"{prefix}/{under}"))

    def rows(self, prefix):
        return [key for key in self.keys(prefix, "snap/") if key.endswith(".rows")]

    def flip(self, key, at=None):
        body = bytearray(self.client.get(BUCKET, key))
        body[len(body) // 2 if at is None else at] ^= 4
        self.client.put(BUCKET, key, bytes(body))


class Targets(RestoreTest):
    def test_the_latest_state(self):
        told, said = self.restore()
        self.assertRegex(told, r"restored into \S+: \d+ sessions of snap/\S+ and \d+ changes\n")
        self.assertIn("nothing is known to be missing", told)
        self.assertRegex(said, r"snapshot snap/\S+\.rows of 20.* sessions in .*; and \d+ slots")
        self.assertEqual(self.start_and_read(), History.load.model())
        self.assertEqual(self.keys(History.prefix, "hold/"), [])

    def test_any_moment(self):
        begin, end = History.changes[0].sent_s, History.changes[-1].told_s
        for n in range(8):
            moment_s = begin + (end - begin) * (n + 0.37) / 8
            with self.subTest(moment_s=moment_s):
                report = self.restore_json("--at", timestamp(moment_s))
                self.assertTrue(report["whole"], report)
                self.assertLessEqual(report["time"][:23], timestamp(moment_s)[:23])
                found = self.start_and_read()
                self.assertIn(found, History.models_at(moment_s))
                shutil.rmtree(self.data)

    def test_moments_are_written_in_several_ways(self):
        last_s = History.changes[-1].told_s + 1
        there = datetime.datetime.fromtimestamp(last_s, datetime.timezone(-datetime.timedelta(
            hours=3, minutes=30)))
        reports = [self.restore_json("--dry-run", "--at", text)
                   for text in (timestamp(last_s), there.isoformat(), "-1ms")]
        self.assertEqual({report["last_lsn"] for report in reports}, {History.changes[-1].lsn})
        ago = int((time.time() - History.changes[len(History.changes) // 2].told_s) * 1000)
        middle = self.restore_json("--dry-run", "--at", f"-{ago}ms")
        self.assertLess(middle["last_lsn"], History.changes[-1].lsn)
        for text in ("yesterday", "-5", "-5x", "2026-02-30", "2026-03-01T10:00:00",
                     "2026-03-01T10:00:00+1:00", "2026-03-01T10:00:00+25:00", "-9999999999s"):
            said = self.restore("--at", text, code=USAGE)[1]
            self.assertIn(f'"{text}" is no time', said)

    def test_any_change(self):
        for n in (0.13, 0.4, 0.61, 0.97):
            change = History.changes[int(len(History.changes) * n)]
            with self.subTest(lsn=change.lsn):
                report = self.restore_json("--lsn", str(change.lsn))
                self.assertEqual(report["last_lsn"], change.lsn)
                self.assertTrue(report["whole"], report)
                self.assertEqual(self.start_and_read(), History.model_at_lsn(change.lsn))
                shutil.rmtree(self.data)

    def test_a_moment_before_everything_cannot_be_had(self):
        said = self.restore("--at", timestamp(History.changes[0].sent_s - 3600), code=DAMAGED)[1]
        self.assertIn("later than the target", said)
        self.assertFalse(os.path.exists(os.path.join(self.data, "journal")))

    def test_a_change_that_never_was_stands_for_the_last_one_before_it(self):
        report = self.restore_json("--lsn", str(History.changes[0].lsn - 1))
        self.assertIn("the change asked for is not in the archive", report["end"])
        self.assertEqual((report["last_lsn"], report["whole"]), (0, False))
        self.assertEqual(self.start_and_read(), {})

    def test_between_the_beginning_and_the_end_of_a_snapshot_the_one_before_serves(self):
        """A snapshot that is not yet whole at the moment is not taken."""
        manifests = [json.loads(self.client.get(BUCKET, key))
                     for key in self.keys(History.prefix, "snap/") if key.endswith(".json")]
        newest = max(manifests, key=lambda manifest: manifest["next_seq"])
        report = self.restore_json("--lsn", str(newest["through_lsn"] - 1))
        self.assertNotEqual(report["snapshot"]["name"], newest["object"])
        self.assertEqual(self.start_and_read(),
                         History.model_at_lsn(newest["through_lsn"] - 1))

    def go_on(self, prefix, values=(), endpoint=None):
        """A store goes on from the restored directory, and ships what it does: the lsn of its last
        change, and all that it has."""
        store = BackedUp(OPTIONS.satcheld, SERVER, f"s3://{BUCKET}/{prefix}", "--snapshot-interval",
                         "0", endpoint=endpoint)
        store.data = self.data
        lsn = None
        with store:
            with native.Connection(store.address) as connection:
                for key, value in values:
                    reply = connection.ask(native.SET, native.tag(native.ID, key)
                                           + native.tag(native.VALUE, value))
                    self.assertEqual(reply.status, native.OK)
                    lsn = reply.number(native.VERSION)
            store.wait_state("shipping")
            if values:
                store.wait_shipped()
            found = self.contents(store)
            self.assertEqual(store.terminate(), 0, store.log())
        shutil.rmtree(self.data)
        return lsn, found

    def test_what_was_abandoned_can_be_had_and_the_rest_of_the_history_as_well(self):
        """Restored to the middle, and on from there; then to what that abandoned."""
        prefix = self.copy()
        middle = History.changes[len(History.changes) // 2]
        abandoned = History.changes[-5]
        self.restore("--lsn", str(middle.lsn), prefix=prefix)
        self.go_on(prefix, [(b"k0", b"of the new line")])
        self.restore("--lsn", str(abandoned.lsn), prefix=prefix)
        self.assertEqual(self.start_and_read(), History.model_at_lsn(abandoned.lsn))
        shutil.rmtree(self.data)
        self.restore(prefix=prefix)
        with self.store() as store:
            self.assertEqual(self.contents(store),
                             {**History.model_at_lsn(middle.lsn), b"k0": b"of the new line"})

    def test_restores_across_lines_never_mix_them(self):
        """To the middle, and on; to what that abandoned, without a change; and to the line in
        between: the end of the log is then not in the history of the store."""
        prefix = self.copy()
        middle = History.changes[len(History.changes) // 2]
        abandoned = History.changes[-5]
        self.restore("--lsn", str(middle.lsn), prefix=prefix)
        lsn, second_line = self.go_on(prefix, [(b"k0", b"of the second line")])
        self.restore("--lsn", str(abandoned.lsn), prefix=prefix)
        self.assertEqual(self.go_on(prefix)[1], History.model_at_lsn(abandoned.lsn))
        with FaultyProxy(SERVER.endpoint) as proxy:
            proxy.add(internal_error(), method="PUT", path="/snap/")  # no snapshot mends it
            self.restore("--lsn", str(lsn), prefix=prefix)
            self.go_on(prefix, [(b"k1", b"of the second line, too")], endpoint=proxy.endpoint)
        report = self.restore_json(prefix=prefix)
        self.assertTrue(report["whole"], report)
        with self.store() as store:
            self.assertEqual(self.contents(store),
                             {**second_line, b"k1": b"of the second line, too"})


class Damage(RestoreTest):
    def test_a_newest_snapshot_that_is_damaged_is_passed_over(self):
        prefix = self.copy()
        self.flip(self.rows(prefix)[-1])
        report = self.restore_json(prefix=prefix)
        self.assertEqual(report["passed_over"], 1)
        self.assertIn(".rows", report["passed_over_why"])
        self.assertTrue(report["whole"], report)
        self.assertEqual(self.start_and_read(), History.load.model())

    def test_so_are_all_kinds_of_damage(self):
        prefix = self.copy()
        newest = self.rows(prefix)[-1]
        whole = self.client.get(BUCKET, newest)
        manifest = newest.replace(".rows", ".json")
        spoil = {
            "truncated": lambda: self.client.put(BUCKET, newest, whole[:-1]),
            "missing": lambda: self.client.delete(BUCKET, newest),
            "its manifest is damaged": lambda: self.client.put(BUCKET, manifest, b"{}"),
        }
        for name, damage in spoil.items():
            with self.subTest(name):
                damage()
                report = self.restore_json("--dry-run", prefix=prefix)
                self.assertEqual(report["passed_over"], 1, report)
                self.assertNotEqual(f"{prefix}/{report['snapshot']['name']}", newest)
        told = self.restore(prefix=prefix)[0]
        self.assertIn("newer snapshots that are damaged: 1", told)
        self.assertEqual(self.start_and_read(), History.load.model())

    def test_where_a_slot_is_damaged_the_state_ends_and_the_loss_is_told(self):
        slots = read_slots(self.client, BUCKET, f"{History.prefix}/")
        victim = [slot for slot in slots if slot.first_lsn <= slot.last_lsn and not slot.is_fence][-2]
        for name in ("missing", "truncated", "flipped"):
            with self.subTest(name):
                prefix = self.copy(f"{self.id()}-{name}")
                key = f"{prefix}/log/{victim.seq:016x}"
                if name == "missing":
                    self.client.delete(BUCKET, key)
                elif name == "truncated":
                    self.client.put(BUCKET, key, self.client.get(BUCKET, key)[:-3])
                else:
                    self.flip(key)
                report = self.restore_json(prefix=prefix)
                self.assertFalse(report["whole"])
                self.assertEqual(report["last_lsn"], victim.first_lsn - 1)
                if name == "missing":
                    self.assertEqual(report["lost_lsn"], History.changes[-1].lsn)
                    self.assertIn("a slot is missing", report["end"])
                else:
                    self.assertIn(f"log/{victim.seq:016x}", report["end"])
                self.assertEqual(self.start_and_read(),
                                 History.model_at_lsn(victim.first_lsn - 1))
                shutil.rmtree(self.data)

    def test_an_archive_of_which_nothing_is_good_gives_nothing(self):
        prefix = self.copy()
        for key in self.rows(prefix):
            self.flip(key)
        said = self.restore(prefix=prefix, code=DAMAGED)[1]
        self.assertRegex(said, r"no snapshot is left: snap/\S+\.rows: ")
        self.assertEqual(os.listdir(os.path.join(self.data, "journal")), [])
        self.assertIn("the archive is empty", self.restore(prefix="none", code=DAMAGED)[1])


class Directory(RestoreTest):
    def prepare(self):
        """A store with one session, and a file that is none of its."""
        with self.store() as store:
            with native.Connection(store.address) as connection:
                self.assertEqual(connection.set(b"mine", b"old"), native.OK)
            self.assertEqual(store.terminate(), 0)
        Path(self.data, "notes.txt").write_text("foreign", encoding="ascii")
        Path(self.data, "journal", "notes.txt").write_text("foreign", encoding="ascii")

    def expect_old(self):
        with self.store() as store, native.Connection(store.address) as connection:
            self.assertEqual(connection.get(b"mine"), b"old")

    def files(self):
        return sorted(str(path.relative_to(self.data)) for path in Path(self.data).rglob("*"))

    def test_a_store_that_is_there_is_not_touched(self):
        self.prepare()
        before = self.files()
        said = self.restore(code=FAILED)[1]
        self.assertIn("there is a store in", said)
        self.assertIn("--force replaces it", said)
        self.assertEqual(self.files(), before)
        self.expect_old()

    def test_with_force_it_is_replaced_and_foreign_files_stay(self):
        self.prepare()
        self.restore("--dry-run", "--force")
        self.expect_old()
        report = self.restore_json("--force")
        self.assertTrue(report["restored"])
        names = self.files()
        self.assertEqual([name for name in names if name.startswith("data-")],
                         [f"data-{report['epoch']:010}.mdb"])
        self.assertIn("notes.txt", names)
        self.assertIn("journal/notes.txt", names)
        self.assertFalse([name for name in names if name.startswith(("restoring", "replaced"))])
        self.assertEqual(self.start_and_read(), History.load.model())

    def test_force_does_not_take_a_directory_from_a_running_store(self):
        with self.store() as store:
            with native.Connection(store.address) as connection:
                self.assertEqual(connection.set(b"mine", b"old"), native.OK)
            for options in ((), ("--force",), ("--force", "--dry-run")):
                self.restore(*options, code=FAILED)
            self.assertIn("in use", self.restore("--force", code=FAILED)[1])
            store.kill()
            store.start()
            with native.Connection(store.address) as connection:
                self.assertEqual(connection.get(b"mine"), b"old")

    def test_the_old_store_stays_when_the_new_one_does_not_come_about(self):
        self.prepare()
        before = self.files()
        prefix = self.copy()
        for key in self.rows(prefix):
            self.flip(key)
        self.restore("--force", prefix=prefix, code=DAMAGED)
        self.assertEqual(self.files(), before)
        self.expect_old()

    def test_a_dry_run_writes_nothing(self):
        report = self.restore_json("--dry-run")
        self.assertFalse(report["restored"])
        self.assertEqual(report["last_lsn"], History.changes[-1].lsn)
        self.assertFalse(os.path.exists(self.data))
        self.assertIn("would restore into", self.restore("--dry-run")[0])

    def test_a_disk_that_is_full_is_told_and_leaves_no_store(self):
        target = os.path.join(self.directory, "file")
        Path(target).write_text("", encoding="ascii")
        self.assertIn(target, self.restore(data=f"{target}/data", code=FAILED)[1])

    def test_unusable_arguments(self):
        for options in (("--lsn", "5", "--at", "-5m"), ("--lsn", "0"), ("--what",)):
            self.restore(*options, code=USAGE)
        said = self.restore("--data-dir", "", code=USAGE)[1]
        self.assertIn("--data-dir", said)


class Storage(RestoreTest):
    def make_reader(self):
        """Credentials of somebody who may only read the bucket."""
        reader = Credentials("READERACCESSKEY00000", "reader-secret-of-the-gateway")
        SERVER.run("/usr/bin/radosgw-admin", "-c", SERVER.conf, "-n", "client.rgw", "user",
                   "create", "--uid=reader", "--display-name=reader",
                   f"--access-key={reader.access_key}", f"--secret-key={reader.secret_key}",
                   environment=ENVIRONMENT)
        policy = {"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam:::user/reader"]},
            "Action": ["s3:GetObject", "s3:ListBucket"],
            "Resource": [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"]}]}
        self.client.demand("PUT", f"/{BUCKET}", {"policy": ""}, body=json.dumps(policy).encode())
        return reader

    def test_who_may_only_read_restores_and_is_warned(self):
        told, said = self.restore(credentials=self.make_reader())
        self.assertRegex(said, "warning: the archive could not be protected .*access denied")
        self.assertIn("nothing is known to be missing", told)
        self.assertEqual(self.start_and_read(), History.load.model())

    def test_the_archive_is_held_meanwhile(self):
        with FaultyProxy(SERVER.endpoint) as proxy:
            hang = Hang()
            proxy.add(hang, method="GET", path=r"\.rows")
            process = self.begin(endpoint=proxy.endpoint)
            wait_until(lambda: hang.hits > 0, "the rows are asked for")
            holds = self.keys(History.prefix, "hold/")
            self.assertEqual(len(holds), 1)
            self.assertRegex(holds[0], r"/hold/0{16}-[0-9a-f]{16}$")
            proxy.clear()
            self.end(process, DONE)
        self.assertEqual(self.keys(History.prefix, "hold/"), [])
        first = [(one.method, "hold/" in one.target) for one in proxy.requests()][0]
        self.assertEqual(first, ("PUT", True))

    def test_what_is_deleted_meanwhile_is_looked_for_again(self):
        """Retention at work, whatever its reasons: the newest snapshot goes, then the one before
        serves; it is not damage."""
        prefix = self.copy()
        newest = self.rows(prefix)[-1]

        class Vanish(Fault):
            def on_request(fault, exchange):  # pylint: disable=no-self-argument
                for key in (newest, newest.replace(".rows", ".json")):
                    self.client.delete(BUCKET, key)

        with FaultyProxy(SERVER.endpoint) as proxy:
            proxy.add(Vanish(), method="GET", path=re.escape(newest.rpartition("/")[2]), times=1)
            report = self.restore_json(prefix=prefix, endpoint=proxy.endpoint)
        self.assertEqual(report["passed_over"], 0)
        self.assertTrue(report["whole"], report)
        self.assertEqual(self.start_and_read(), History.load.model())

    def test_an_interrupt_leaves_nothing_behind(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            for path in (r"\.rows", "/log/"):
                with self.subTest(number=number, path=path), FaultyProxy(SERVER.endpoint) as proxy:
                    hang = Hang()
                    proxy.add(hang, method="GET", path=path)
                    process = self.begin(endpoint=proxy.endpoint)
                    wait_until(lambda: hang.hits > 0, "it is in the middle")  # noqa: B023
                    process.send_signal(number)
                    proxy.clear()
                    self.assertIn("interrupted", self.end(process, FAILED)[1])
                    left = [path for path in Path(self.data).rglob("*") if not path.is_dir()]
                    self.assertEqual(left, [])
                    self.assertEqual(self.keys(History.prefix, "hold/"), [])

    def kill_in_the_middle(self, *options):
        prefix = self.copy()  # the hold stays
        with FaultyProxy(SERVER.endpoint) as proxy:
            hang = Hang()
            proxy.add(hang, method="GET", path=r"\.rows")
            process = self.begin(*options, prefix=prefix, endpoint=proxy.endpoint)
            wait_until(lambda: hang.hits > 0, "it is in the middle")
            process.kill()
            process.communicate()

    def test_a_kill_leaves_no_store_that_starts(self):
        self.kill_in_the_middle()
        store = self.store()
        store.launch(store.command())
        self.assertEqual(store.wait(), 1)
        self.assertIn("a restore was cut short", store.log())
        self.restore()
        self.assertEqual(self.start_and_read(), History.load.model())

    def test_a_kill_with_force_leaves_the_old_store(self):
        with self.store() as store:
            with native.Connection(store.address) as connection:
                self.assertEqual(connection.set(b"k0", b"old"), native.OK)
        self.kill_in_the_middle("--force")
        with self.store() as store:
            self.assertEqual(self.contents(store), {b"k0": b"old"})
        self.restore("--force")
        self.assertFalse(os.path.exists(os.path.join(self.data, "restoring")))
        self.assertEqual(self.start_and_read(), History.load.model())

    def test_a_storage_that_is_away_or_refuses_is_told(self):
        wrong = Credentials(SERVER.access_key, "wrong")
        self.assertIn("403", self.restore(credentials=wrong, code=FAILED)[1])
        told, said = self.restore("--json", endpoint="http://127.0.0.1:1", code=FAILED)
        self.assertIn("no connection", said)
        self.assertIn("no connection", json.loads(told)["error"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--satcheld", required=True)
    parser.add_argument("--tool", required=True)
    OPTIONS, rest = parser.parse_known_args()
    unittest.main(argv=[sys.argv[0], *rest])
