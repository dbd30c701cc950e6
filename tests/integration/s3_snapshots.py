#!/usr/bin/python3
"""s3_snapshots.py --satcheld PATH --tool PATH: when a store with backups takes snapshots: when it is
asked to (`satchel backup now`), when it stops, by the clock; and which of them it keeps."""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import native  # noqa: E402
from backed_up import BackedUp  # noqa: E402
from faulty_proxy import FaultyProxy  # noqa: E402
from processes import DEADLINE_S, Satcheld, die_with_parent, wait_until  # noqa: E402
from radosgw import Radosgw  # noqa: E402
from s3_faults import Answer  # noqa: E402
from summary import take_summary  # noqa: E402

OPTIONS = None
BUCKET = "satchel"
SERVER = None
EXIT_STOPPED, EXIT_FORCED = 0, 4
DONE, USAGE, FAILED = 0, 2, 3  # of the command
PROMPT_S = 8  # a stop that waits for nothing; what it ships may take 3 s


def setUpModule():
    global SERVER  # started once for the whole file
    directory = unittest.enterModuleContext(tempfile.TemporaryDirectory(prefix="satchel-s3-"))
    SERVER = unittest.enterModuleContext(Radosgw(directory))
    SERVER.make_bucket(BUCKET)


@contextmanager
def gateway_away():
    SERVER.stop_gateway()
    try:
        yield
    finally:
        SERVER.start_gateway()


class SnapshotTest(unittest.TestCase):
    def store(self, *options, **how):
        """One that takes no snapshot by the clock, unless told otherwise."""
        return BackedUp(OPTIONS.satcheld, SERVER, f"s3://{BUCKET}/{self.id()}",
                        "--snapshot-interval", "0", *options, **how)

    def manifests(self):
        """The manifests of the archive, the oldest first."""
        client = SERVER.client()
        return [json.loads(client.get(BUCKET, key))
                for key in sorted(client.list(BUCKET, f"{self.id()}/snap/"))
                if key.endswith(".json")]

    def put(self, store, values):
        with native.Connection(store.address) as connection:
            for key, value in values.items():
                self.assertEqual(connection.set(key, value), native.OK)

    def expect(self, store, values):
        with native.Connection(store.address) as connection:
            for key, value in values.items():
                self.assertEqual(connection.get(key), value, key)

    def begin_now(self, *options):
        """`satchel backup now`, which runs."""
        process = subprocess.Popen(  # pylint: disable=subprocess-popen-preexec-fn
            [OPTIONS.tool, "backup", "now", *options], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=die_with_parent)
        self.addCleanup(lambda: process.poll() is None and process.kill())
        return process

    def end_now(self, process, code):
        """Its end: what it wrote as a result, and what else."""
        told, said = process.communicate(timeout=DEADLINE_S)
        self.assertEqual(process.returncode, code, said)
        return told, said

    def now(self, store, *options, code=DONE):
        return self.end_now(self.begin_now("--server", store.ops, *options), code)


class Asking(SnapshotTest):
    def test_what_was_acknowledged_before_is_in_the_snapshot(self):
        with self.store() as store:
            values = {b"k%d" % n: b"v%d" % n for n in range(500)}
            self.put(store, values)
            self.assertEqual(self.manifests(), [])
            told, said = self.now(store)
            self.assertRegex(told, r"^stored: 500 sessions, .*, in \d+\.\d s\n$")
            self.assertEqual(said, "")
            self.assertEqual([m["sessions"] for m in self.manifests()], [500])
            store.lose()
            store.start()
            self.expect(store, values)
            told, _ = self.now(store, "--json")
            told = take_summary(told, "backup now", DONE)
            self.assertEqual((told["snapshot"], told["sessions"]), (1, 500))
            self.assertEqual(told["through_lsn"], store.backup()["shipped_lsn"])
            self.assertGreater(told["stored_bytes"], 500)
            progress = store.backup()["snapshots"]["progress"]
            self.assertEqual(progress, {"sessions": 500, "sessions_about": 500,
                                        "sent_bytes": told["stored_bytes"]})

    def test_each_that_is_asked_for_begins_after_the_question(self):
        with self.store() as store:
            running = [self.begin_now("--server", store.ops, "--json") for _ in range(4)]
            numbers = {json.loads(self.end_now(process, DONE)[0])["snapshot"]
                       for process in running}
            self.assertLessEqual(max(numbers), 5)
            self.assertEqual(store.snapshots(), len(self.manifests()))

    def test_it_says_why_there_is_none(self):
        plain = Satcheld(OPTIONS.satcheld)
        with plain:
            _, said = self.now(plain, code=FAILED)
            self.assertIn("answers 409: no snapshot: there are no backups", said)
            told, said = self.end_now(
                self.begin_now("--server", plain.address, "--json"), FAILED)
            self.assertIn(f"no answer from {plain.address}: ", json.loads(told)["error"])
        _, said = self.now(plain, code=FAILED)
        self.assertIn(f"no answer from {plain.ops}: ", said)
        for wrong in (["--server", "nowhere"], ["--server="], ["--timeout", "soon"], ["more"]):
            self.end_now(self.begin_now(*wrong), USAGE)

    def test_without_the_storage_it_fails_and_the_store_goes_on(self):
        with self.store() as store:
            self.put(store, {b"a": b"1"})
            store.wait_shipped()
            with gateway_away():
                _, said = self.now(store, "--timeout", "1s", code=FAILED)
                self.assertIn("not stored in time; the server goes on", said)
                _, said = self.now(store, code=FAILED)
                self.assertIn("the snapshot failed: cannot begin a snapshot: ", said)
                self.assertEqual(store.ask_ops("/readyz")[0], 200)
                self.assertEqual(store.ask_ops("/backupz")[0], 503)
            self.now(store)  # at once, although the last one has just failed
            wait_until(store.is_well, "its backup is well")

    def test_it_can_be_interrupted_and_notices_when_the_server_goes(self):
        with self.store() as store:
            store.wait_state("shipping")
            with gateway_away():
                process = self.begin_now("--server", store.ops)
                wait_until(lambda: store.backup()["snapshots"]["running"], "it is taken")
                process.send_signal(signal.SIGINT)
                self.assertIn("interrupted; the server goes on", self.end_now(process, FAILED)[1])
                asked = store.metric("satchel_ops_requests_total")
                process = self.begin_now("--server", store.ops)
                wait_until(lambda: store.metric("satchel_ops_requests_total") > asked + 10,
                           "it asks how far it is")
                store.kill()
                self.assertIn("no answer from", self.end_now(process, FAILED)[1])
            store.start()


class Stopping(SnapshotTest):
    def test_a_last_snapshot_has_everything_by_itself(self):
        with self.store("--snapshot-at-exit", "30s") as store:
            values = {b"k%d" % n: b"v%d" % n for n in range(500)}
            self.put(store, values)
            self.assertEqual(store.terminate(), EXIT_STOPPED)
            manifest, = self.manifests()
            self.assertEqual(manifest["sessions"], 500)
            self.assertEqual(manifest["from_lsn"], manifest["through_lsn"])
            store.start()
            self.assertEqual(store.terminate(), EXIT_STOPPED)
            self.assertEqual(len(self.manifests()), 1)
            self.assertEqual(len(store.new_lines("no last snapshot is needed")), 1)
            store.start()
            store.lose()
            store.start()
            self.expect(store, values)

    def test_without_the_storage_a_stop_takes_no_longer_than_it_may(self):
        with self.store("--snapshot-at-exit", "1s") as store:
            store.wait_state("shipping")
            self.put(store, {b"a": b"1"})
            with gateway_away():
                began = time.monotonic()
                self.assertEqual(store.terminate(), EXIT_STOPPED)
                self.assertLess(time.monotonic() - began, PROMPT_S)
                self.assertEqual(len(store.new_lines("no time for a last snapshot")), 1)
            store.start()
            self.expect(store, {b"a": b"1"})
            store.wait_snapshots(1)  # what was not shipped is in no journal any more
            wait_until(store.is_well, "its backup is well")

    def test_a_second_signal_does_not_wait_for_it(self):
        with self.store("--snapshot-at-exit", "1h") as store:
            store.wait_state("shipping")
            self.put(store, {b"a": b"1"})
            with gateway_away():
                store.process.send_signal(signal.SIGTERM)
                store.wait_for_line("stopping signal=15")
                self.assertEqual(store.ask_ops("/readyz"), (503, "not ready: stopping\n"))
                _, said = self.now(store, code=FAILED)
                self.assertIn("answers 503: no snapshot: stopping", said)
                began = time.monotonic()
                self.assertEqual(store.terminate(), EXIT_FORCED)
                self.assertLess(time.monotonic() - began, 2)
            store.start()
            self.expect(store, {b"a": b"1"})

    def test_a_snapshot_that_is_being_taken_holds_nothing_up(self):
        with self.store() as store:
            store.wait_state("shipping")
            with gateway_away():
                store.process.send_signal(signal.SIGUSR2)
                wait_until(lambda: store.backup()["snapshots"]["running"], "it is taken")
                began = time.monotonic()
                self.assertEqual(store.terminate(), EXIT_STOPPED)
                self.assertLess(time.monotonic() - began, PROMPT_S)
            store.start()


class Clock(SnapshotTest):
    def test_none_is_taken_while_nothing_changes(self):
        def told(name):
            return store.backup()["snapshots"][name]

        with self.store("--snapshot-interval", "300ms") as store:
            self.put(store, {b"a": b"1"})
            wait_until(lambda: told("taken") >= 1 and told("skipped") >= 1, "one is left out")
            taken, skipped = told("taken"), told("skipped")
            wait_until(lambda: told("skipped") >= skipped + 2, "more are left out")
            self.assertEqual(told("taken"), taken)
            self.assertEqual(store.metric("satchel_backup_snapshots_skipped_total") > 0, True)
            self.assertLess(store.metric("satchel_backup_snapshot_confirmed_seconds"), 2)
            self.assertTrue(store.is_well())
            self.put(store, {b"a": b"2"})
            wait_until(lambda: told("taken") > taken, "one is taken after a change")
            # A start is no change, and what is asked for is always taken.
            self.assertEqual(store.terminate(), EXIT_STOPPED)
            before = len(self.manifests())
            store.start()
            wait_until(lambda: told("skipped") >= 2, "they are left out again")
            self.assertEqual((told("taken"), len(self.manifests())), (0, before))
            self.now(store)
            self.assertEqual(len(self.manifests()), before + 1)

    def test_the_lag_grows_while_changes_wait_and_only_then(self):
        def lag():
            return store.metric("satchel_backup_lag_seconds")

        with self.store("--backup-lag", "2s") as store:
            self.put(store, {b"a": b"1"})
            self.now(store)
            age = store.metric("satchel_backup_snapshot_age_seconds")
            failures = store.metric("satchel_backup_failures_total")
            with gateway_away():
                age_s = 2
                wait_until(lambda: store.metric("satchel_backup_snapshot_age_seconds")
                           >= age + age_s, "the snapshot gets older")
                self.assertEqual(lag(), 0)  # nothing has changed
                self.assertEqual(store.ask_ops("/backupz")[0], 200)
                self.put(store, {b"a": b"2"})
                wait_until(lambda: lag() >= 3, "the lag grows")
                before = lag()
                wait_until(lambda: lag() > before, "the lag grows more")
                wait_until(lambda: store.metric("satchel_backup_failures_total") > failures,
                           "failures are counted")
                self.assertEqual(store.metric('satchel_backup_state{state="failing"}'), 1)
                self.assertEqual(store.ask_ops("/backupz")[0], 503)
                self.assertEqual(store.ask_ops("/readyz")[0], 200)
            wait_until(lambda: lag() == 0, "the lag is gone")
            wait_until(store.is_well, "its backup is well")


class Keeping(SnapshotTest):
    def restart_with(self, store, *options):
        self.assertEqual(store.terminate(), EXIT_STOPPED)
        store.options = (*self.plain, *options)
        store.start()

    def fill(self, store, count):
        """So many snapshots, each of a state of its own."""
        self.plain = store.options
        for n in range(count):
            self.put(store, {b"a": b"%d" % n})
            store.wait_shipped()
            self.now(store)

    def retention_of(self, store):
        return store.backup()["retention"]

    def test_those_beyond_the_policy_are_deleted_and_the_latest_state_is_not(self):
        with self.store("--keep-snapshots", "0", "--keep-snapshots-for", "0") as store:
            self.fill(store, 4)
            self.assertFalse(self.retention_of(store)["on"])
            self.assertEqual(len(self.manifests()), 4)
            self.restart_with(store, "--keep-snapshots", "2", "--keep-snapshots-for", "1h")
            self.now(store)
            wait_until(lambda: self.retention_of(store)["age_ms"] >= 0, "it was looked at")
            self.assertEqual(len(self.manifests()), 5)  # they are young
            self.restart_with(store, "--keep-snapshots", "2", "--keep-snapshots-for", "0")
            newest = self.manifests()[-1]
            self.put(store, {b"b": b"1"})
            store.wait_shipped()
            self.now(store)
            wait_until(lambda: self.retention_of(store)["deleted_objects"] == 8, "four are deleted")
            self.assertEqual(self.manifests()[0], newest)
            self.assertEqual(len(self.manifests()), 2)
            self.assertEqual(store.metric("satchel_backup_deleted_objects_total"), 8)
            self.assertEqual(store.metric("satchel_backup_kept_snapshots"), 2)
            self.assertGreater(store.metric("satchel_backup_deleted_bytes_total"), 100)
            store.wait_for_line("what was too old is deleted snapshots=4 ")
            self.now(store)  # within the hour nothing is looked at again
            self.assertEqual(len(self.manifests()), 3)
            store.lose()
            store.start()
            self.expect(store, {b"a": b"3", b"b": b"1"})

    def test_credentials_that_cannot_delete_are_told_of_and_fail_no_snapshot(self):
        with FaultyProxy(SERVER.endpoint) as proxy, \
                self.store("--keep-snapshots", "0", "--keep-snapshots-for", "0",
                           endpoint=proxy.endpoint) as store:
            self.fill(store, 3)
            denied = Answer(403, "AccessDenied")
            for how in ({"method": "DELETE"}, {"method": "POST", "path": r"\?delete"}):
                proxy.add(denied, **how)
            self.restart_with(store, "--keep-snapshots", "1", "--keep-snapshots-for", "0")
            self.now(store)
            wait_until(lambda: self.retention_of(store)["failing"], "it fails")
            told = self.retention_of(store)
            self.assertEqual((told["failures"], told["deleted_objects"]), (1, 0))
            self.assertIn("AccessDenied", told["error"])
            self.assertEqual(store.metric("satchel_backup_prune_failures_total"), 1)
            self.assertEqual(len(store.new_lines("old backups could not be deleted")), 1)
            self.assertEqual(len(self.manifests()), 4)
            self.assertTrue(store.is_well())
            self.assertEqual(store.metric("satchel_backup_snapshot_failures_total"), 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--satcheld", required=True)
    parser.add_argument("--tool", required=True)
    OPTIONS, rest = parser.parse_known_args()
    unittest.main(argv=[sys.argv[0], *rest])
