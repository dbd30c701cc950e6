#!/usr/bin/python3
"""operations.py --satcheld PATH --fill PATH --fail-io PATH: what an operator does to a store, and is told.

Stopping, starting what cannot start, health and metrics through a life, and storage that refuses.
"""

import argparse
import os
import resource
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import native  # noqa: E402
from fail_io import FaultyStorage  # noqa: E402
from native import Connection  # noqa: E402
from processes import DEADLINE_S, Satcheld, wait_until  # noqa: E402

OPTIONS = None
EXIT_STOPPED, EXIT_START, EXIT_USAGE, EXIT_STORAGE, EXIT_FORCED = range(5)
STOP_S_MAX = 10
SESSIONS = 2000


def limit_file_sizes(store, size):
    """Its writes behind `size` fail, as on a full disk, until there is another limit."""
    _, most = resource.prlimit(store.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(store.process.pid, resource.RLIMIT_FSIZE, (size, most))


class StoreTest(unittest.TestCase):
    def new_store(self, *options):
        """One that is not started yet; ended and removed with the test."""
        store = Satcheld(OPTIONS.satcheld, *options)
        self.addCleanup(store.clean_up)
        self.addCleanup(lambda: store.is_running() and store.kill())
        return store

    def fill(self, store, mode, *options, sessions=SESSIONS, value_bytes=512):
        return subprocess.Popen(
            [OPTIONS.fill, mode, "--server", store.address, "--sessions", str(sessions),
             "--value-bytes", str(value_bytes), *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)

    def finish(self, process):
        told, _ = process.communicate(timeout=DEADLINE_S * 2)
        self.assertEqual(process.returncode, 0)
        return told.strip()

    def churn(self, store, **how):
        """Starts overwriting sessions; returns the process and the file of what it will know."""
        state = os.path.join(store.directory, "state")
        process = self.fill(store, "churn", "--state", state, **how)
        wait_until(lambda: store.metric("satchel_journal_records_total") > 5000
                   or process.poll() is not None, "some thousand changes are made")
        return process, state

    def check(self, store, state, **how):
        told = self.finish(self.fill(store, "check", "--state", state, **how))
        self.assertRegex(told, r"checked [1-9]\d* acknowledgements: 0 lost")
        return told


class Stopping(StoreTest):
    def test_sigterm_under_load_loses_nothing(self):
        store = self.new_store("--checkpoint-interval", "50ms")
        store.start()
        churning, state = self.churn(store)
        start = time.monotonic()
        self.assertEqual(store.terminate(), EXIT_STOPPED)
        self.assertLess(time.monotonic() - start, STOP_S_MAX)
        self.finish(churning)
        self.assertIn("stopped", store.lines[-1])
        store.start()
        self.assertTrue(store.wait_for_line(r"recovered replayed=0\b"), "the last checkpoint")
        print(f"\n  {self.check(store, state)}")

    def test_clients_are_told_before_it_stops(self):
        store = self.new_store()
        store.start()
        with Connection(store.address) as conn:
            self.assertEqual(conn.set(b"a", b"b"), native.OK)
            store.process.send_signal(signal.SIGTERM)
            goaway = conn.take()
            self.assertEqual((goaway.opcode, goaway.status), (native.GOAWAY, native.STOPPING))
            self.assertEqual(conn.take_all(), [])
        self.assertEqual(store.wait(), EXIT_STOPPED)

    def test_sigusr1_writes_a_checkpoint_at_once(self):
        store = self.new_store("--checkpoint-interval", "1h")
        store.start()
        self.finish(self.fill(store, "load"))
        self.assertEqual(store.metric("satchel_dirty_sessions"), SESSIONS)
        before = store.metric("satchel_checkpoints_total")
        store.process.send_signal(signal.SIGUSR1)
        wait_until(lambda: store.metric("satchel_checkpoints_total") > before, "it is written")
        self.assertEqual(store.metric("satchel_dirty_sessions"), 0)
        store.kill()
        store.start()
        store.wait_for_line(r"recovered replayed=0\b")
        self.assertEqual(store.metric("satchel_sessions"), SESSIONS)

    def test_a_second_sigterm_ends_it_at_once(self):
        store = self.new_store()
        store.start()
        churning, state = self.churn(store)
        # Both signals are there before the process runs again: it cannot stop in between.
        store.freeze()
        store.process.send_signal(signal.SIGTERM)
        store.process.send_signal(signal.SIGINT)
        start = time.monotonic()
        store.thaw()
        self.assertEqual(store.wait(), EXIT_FORCED)
        self.assertLess(time.monotonic() - start, 2)
        self.finish(churning)
        store.start()
        self.check(store, state)


class Starting(StoreTest):
    def refused(self, code, *arguments, **environment):
        """Runs it; it has to end with `code` and one line, which is returned."""
        told = subprocess.run([OPTIONS.satcheld, *arguments], env={**os.environ, **environment},
                              capture_output=True, text=True, timeout=DEADLINE_S, check=False)
        lines = [line for line in told.stderr.splitlines() if line.startswith("satcheld: ")]
        self.assertEqual(told.returncode, code, told.stderr)
        self.assertEqual(len(lines), 1, told.stderr)
        return lines[0]

    def places(self):
        """Options for a directory of its own and free ports."""
        directory = tempfile.mkdtemp(prefix="satchel-test-")
        self.addCleanup(shutil.rmtree, directory)
        return directory, ("--data", directory + "/data", "--run-dir", directory + "/run",
                           "--listen", "127.0.0.1:0", "--ops", "127.0.0.1:0")

    def test_options_that_cannot_be_used_are_named(self):
        for arguments, environment, word in (
                (("--nonsense",), {}, "--nonsense"), (("extra",), {}, "extra"),
                (("--memory", "7x"), {}, "memory"), (("--memory", "1"), {}, "memory"),
                (("--ack", "maybe"), {}, "ack"), (("--workers", "-1"), {}, "workers"),
                (("--stall",), {}, "stall"),
                ((), {"SATCHEL_SEGMENT_BYTES": "tiny"}, "SATCHEL_SEGMENT_BYTES")):
            with self.subTest(arguments=arguments, environment=environment):
                self.assertIn(word, self.refused(EXIT_USAGE, *arguments, **environment))

    def test_a_port_in_use_is_named(self):
        with socket.create_server(("127.0.0.1", 0)) as other:
            address = f"127.0.0.1:{other.getsockname()[1]}"
            for option in ("--listen", "--ops"):
                _, places = self.places()
                self.assertIn(address, self.refused(EXIT_START, *places, option, address))
        _, places = self.places()
        self.assertIn("nowhere", self.refused(EXIT_START, *places, "--listen", "nowhere"))

    def test_as_many_workers_as_there_can_be_serve_and_count(self):
        store = self.new_store("--workers", "128")
        store.start()
        for n in range(20):
            with Connection(store.address) as conn:
                self.assertEqual(conn.set(b"k%d" % n, b"v"), native.OK)
        self.assertEqual(store.metric('satchel_requests_total{op="set"}'), 20)
        self.assertEqual(store.terminate(), EXIT_STOPPED)

    def test_a_directory_has_one_store(self):
        store = self.new_store()
        store.start()
        _, places = self.places()
        line = self.refused(EXIT_START, *places, "--data", store.data)
        self.assertIn(store.data, line)
        with Connection(store.address) as conn:
            self.assertEqual(conn.set(b"still", b"here"), native.OK)

    def test_a_directory_that_cannot_be_written_is_named(self):
        directory, places = self.places()
        blocked = os.path.join(directory, "file")
        with open(blocked, "wb"):
            pass
        for unusable in (blocked, blocked + "/below", "/proc/satchel"):
            self.assertIn(unusable, self.refused(EXIT_START, *places, "--data", unusable))

    def test_the_token_file_has_to_be_usable(self):
        directory, places = self.places()
        short = os.path.join(directory, "short")
        with open(short, "wb") as file:
            file.write(b"short\n")
        for path in (os.path.join(directory, "missing"), short, directory, os.devnull):
            self.assertIn(path, self.refused(EXIT_START, *places, "--token-file", path))

    def test_the_token_of_the_environment_counts_and_stays_secret(self):
        secret = secrets.token_hex(20)
        self.assertNotIn(secret, self.told_help(SATCHEL_TOKEN=secret))
        store = self.new_store("--log-level", "debug")
        store.environment = {"SATCHEL_TOKEN": secret}
        store.start()
        with Connection(store.address, token=secret.encode()) as conn:
            self.assertEqual(conn.set(b"a", b"b"), native.OK)
        with Connection(store.address, greet=False) as conn:
            conn.send(native.hello(secret[::-1].encode()))
            self.assertEqual([reply.status for reply in conn.take_all()], [native.UNAUTHENTICATED])
        store.wait_for_line("wrong token")
        told = [store.ask_ops(path)[1] for path in ("/", "/metrics", "/readyz", "/leader")]
        for name in ("environ", "cmdline"):
            told.append(Path(f"/proc/{store.process.pid}/{name}").read_bytes().decode())
        self.assertIn("SATCHEL_TOKEN=\0", told[-2])  # so it is that of the process, and wiped
        self.assertEqual(store.terminate(), EXIT_STOPPED)
        told.append(store.log())
        for directory, _, names in os.walk(store.directory):
            told += [Path(directory, name).read_bytes().decode("latin-1") for name in names]
        for text in told:
            self.assertNotIn(secret, text)

    def told_help(self, **environment):
        return subprocess.run([OPTIONS.satcheld, "--help"], env={**os.environ, **environment},
                              capture_output=True, text=True, timeout=DEADLINE_S, check=True).stdout

    def test_a_token_that_cannot_be_meant_is_refused(self):
        directory, places = self.places()
        path = os.path.join(directory, "token")
        with open(path, "w", encoding="ascii") as file:
            file.write("a secret in a file\n")
        for arguments, environment, word in (
                (("--token-file", path), {"SATCHEL_TOKEN": "another one of them"}, path),
                ((), {"SATCHEL_TOKEN_FILE": path, "SATCHEL_TOKEN": "another one of them"}, path),
                ((), {"SATCHEL_TOKEN": "short one"}, "SATCHEL_TOKEN has 9 bytes")):
            line = self.refused(EXIT_USAGE, *places, *arguments, **environment)
            self.assertIn(word, line)
            self.assertNotIn(" one", line)
        # None at all: what an empty secret must not become.
        line = self.refused(EXIT_START, *places, "--listen", "0.0.0.0:0", SATCHEL_TOKEN="")
        self.assertIn("without a token", line)

    def test_beyond_loopback_it_wants_a_token(self):
        for address in ("0.0.0.0:0", "[::]:0"):
            _, places = self.places()
            line = self.refused(EXIT_START, *places, "--listen", address)
            self.assertIn(address, line)
            self.assertIn("--token-file", line)


class Health(StoreTest):
    def test_it_says_how_it_is_while_it_loads_and_serves(self):
        """Reading the journal is held up until everything was asked."""
        store = self.new_store()
        store.start()
        with Connection(store.address) as conn:
            self.assertEqual(conn.set(b"a", b"b"), native.OK)
        store.kill()
        storage = FaultyStorage(OPTIONS.fail_io, store, "pread")
        storage.fault()
        with storage.preloaded():
            store.start_loading()
        self.assertEqual(store.ask_ops("/readyz"), (503, "not ready: loading\n"))
        self.assertEqual(store.ask_ops("/livez")[0], 200)
        self.assertIn("satchel_sessions", store.ask_ops("/metrics")[1])
        with Connection(store.address) as conn:
            for opcode in (native.GET, native.DELETE):
                reply = conn.ask(opcode, native.tag(native.ID, b"a"))
                self.assertEqual(reply.status, native.LOADING)
            storage.recover()
            store.wait_for_line(r"\bserving\b")
            self.assertEqual(conn.get(b"a"), b"b")
        self.assertEqual(store.ask_ops("/readyz")[0], 200)
        self.assertEqual(store.ask_ops("/livez")[0], 200)

    def test_it_can_be_stopped_while_it_loads(self):
        store = self.new_store()
        store.start()
        with Connection(store.address) as conn:
            self.assertEqual(conn.set(b"a", b"b"), native.OK)
        store.kill()
        storage = FaultyStorage(OPTIONS.fail_io, store, "pread")
        storage.fault()
        with storage.preloaded():
            store.start_loading()
        store.process.send_signal(signal.SIGTERM)
        store.wait_for_line("stopping")
        storage.recover()
        self.assertEqual(store.wait(), EXIT_STOPPED)
        store.start()
        with Connection(store.address) as conn:
            self.assertEqual(conn.get(b"a"), b"b")

    def test_while_it_stops_it_is_not_ready_and_answers_what_is_on_the_way(self):
        """A change that waits for space holds the stopping up, until there is some."""
        store = self.new_store("--checkpoint-interval", "1h")
        store.start()
        with Connection(store.address) as conn:
            limit_file_sizes(store, 4096)
            conn.send(native.frame(native.SET, native.tag(native.ID, b"a") +
                                   native.tag(native.VALUE, b"v" * 8192), request=7))
            store.wait_for_line("no space for the journal")
            store.process.send_signal(signal.SIGTERM)
            self.assertEqual(conn.take().opcode, native.GOAWAY)
            self.assertEqual(store.ask_ops("/readyz"), (503, "not ready: stopping\n"))
            self.assertEqual(store.ask_ops("/livez")[0], 200)
            limit_file_sizes(store, resource.RLIM_INFINITY)
            reply = conn.take()
            self.assertEqual((reply.request, reply.status), (7, native.OK))
        self.assertEqual(store.wait(), EXIT_STOPPED)
        store.start()
        with Connection(store.address) as conn:
            self.assertEqual(conn.get(b"a"), b"v" * 8192)

    def test_promtool_accepts_the_metrics_of_a_live_server(self):
        promtool = shutil.which("promtool")
        self.assertIsNotNone(promtool, "promtool is part of the package prometheus")
        store = self.new_store("--checkpoint-interval", "50ms")
        store.start()
        churning, _ = self.churn(store)
        for _ in range(3):
            text = store.ask_ops("/metrics")[1]
            told = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True,
                                  text=True, timeout=DEADLINE_S, check=False)
            self.assertEqual((told.returncode, told.stderr), (0, ""), told.stdout)
        self.assertGreater(store.metric('satchel_requests_total{op="set"}'), 0)
        self.assertEqual(store.terminate(), EXIT_STOPPED)
        self.finish(churning)


class Storage(StoreTest):
    def test_a_write_or_sync_that_fails_ends_it_without_an_answer(self):
        for call in ("pwrite", "fdatasync"):
            with self.subTest(call=call):
                store = self.new_store("--checkpoint-interval", "1h")
                storage = FaultyStorage(OPTIONS.fail_io, store, call)
                with storage.preloaded():
                    store.start()
                with Connection(store.address) as conn, Connection(store.address) as waiting:
                    self.assertEqual(conn.set(b"a", b"before"), native.OK)
                    storage.fault()
                    waiting.send(native.frame(native.SET, native.tag(native.ID, b"a") +
                                              native.tag(native.VALUE, b"after")))
                    self.assertEqual(waiting.take_all(), [])
                self.assertEqual(store.wait(), EXIT_STORAGE)
                failed = [line for line in store.lines if "storage failed" in line]
                self.assertEqual(len(failed), 1, store.log())
                self.assertIn("journal", failed[0])
                store.start()
                with Connection(store.address) as conn:
                    self.assertIn(conn.get(b"a"), (b"before", b"after"))

    def test_under_load_nothing_acknowledged_is_lost_by_it(self):
        for call in ("pwrite", "fdatasync"):
            with self.subTest(call=call):
                store = self.new_store("--checkpoint-interval", "20ms")
                storage = FaultyStorage(OPTIONS.fail_io, store, call)
                with storage.preloaded():
                    store.start()
                churning, state = self.churn(store)
                storage.fault()
                self.assertEqual(store.wait(), EXIT_STORAGE)
                self.finish(churning)
                store.start()
                print(f"\n  {call}: {self.check(store, state)}")

    def hanging(self, *options):
        store = self.new_store("--checkpoint-interval", "50ms", *options)
        storage = FaultyStorage(OPTIONS.fail_io, store, "hang")
        with storage.preloaded():
            store.start()
        return store, storage

    def test_while_it_hangs_resident_sessions_are_read_and_changes_wait(self):
        store, storage = self.hanging("--storage-slow", "300ms")
        with Connection(store.address) as conn, Connection(store.address) as waiting:
            for number in range(100):
                self.assertEqual(conn.set(b"s%d" % number, b"value %d" % number), native.OK)
            storage.fault()
            waiting.send(native.frame(native.SET, native.tag(native.ID, b"s0") +
                                      native.tag(native.VALUE, b"later")))
            wait_until(lambda: store.ask_ops("/readyz")[0] == 503, "/readyz is red")
            self.assertIn("has not answered", store.ask_ops("/readyz")[1])
            self.assertEqual(store.ask_ops("/metrics")[0], 200)  # asks the storage nothing
            self.assertEqual(store.ask_ops("/livez")[0], 200)
            times = []
            for number in range(1, 2000):
                start = time.perf_counter()
                self.assertEqual(conn.get(b"s%d" % (number % 99 + 1)),
                                 b"value %d" % (number % 99 + 1))
                times.append(time.perf_counter() - start)
            p99_ms = sorted(times)[len(times) * 99 // 100] * 1000
            print(f"\n  p99 of GET while the storage hangs: {p99_ms:.2f} ms")
            self.assertLess(p99_ms, 5)
            storage.recover()
            self.assertEqual(waiting.take().status, native.OK)
            wait_until(lambda: store.ask_ops("/readyz")[0] == 200, "/readyz is green")
            self.assertEqual(conn.get(b"s0"), b"later")

    def test_past_its_deadline_it_ends_without_an_answer(self):
        store, storage = self.hanging("--storage-deadline", "1s")
        with Connection(store.address) as conn, Connection(store.address) as waiting:
            self.assertEqual(conn.set(b"a", b"before"), native.OK)
            storage.fault()
            waiting.send(native.frame(native.SET, native.tag(native.ID, b"a") +
                                      native.tag(native.VALUE, b"after")))
            self.assertEqual(waiting.take_all(), [])
        self.assertEqual(store.wait(), EXIT_STORAGE)
        self.assertIn("does not answer", store.lines[-1])
        store.start()
        with Connection(store.address) as conn:
            self.assertIn(conn.get(b"a"), (b"before", b"after"))

    def run_out_of_space(self, store, take_space, give_space):
        """Writes are refused, reads go on, and with space everything does."""
        churning, state = self.churn(store, value_bytes=2000)

        def is_refused():
            try:
                with Connection(store.address, deadline_s=1) as conn:
                    status = conn.set(b"new", b"n")
            except TimeoutError:
                return False  # accepted before the want was known: answered when it is durable
            self.assertIn(status, (native.OK, native.BUSY, native.NO_SPACE))
            return status == native.NO_SPACE

        with Connection(store.address) as conn:
            self.assertEqual(conn.set(b"quiet", b"readable"), native.OK)
            take_space()
            wait_until(is_refused, "changes are refused for want of space")
            self.assertEqual(conn.get(b"quiet"), b"readable")
            give_space()
            wait_until(lambda: conn.set(b"new", b"again") == native.OK, "there is space again")
            self.assertEqual(conn.get(b"new"), b"again")
        store.kill()
        self.finish(churning)
        store.start()
        print(f"\n  {self.check(store, state, value_bytes=2000)}")
        with Connection(store.address) as conn:
            self.assertEqual(conn.get(b"new"), b"again")
        self.assertEqual(store.terminate(), EXIT_STOPPED)

    def test_over_a_limit_of_file_sizes_it_lives(self):
        store = self.new_store("--checkpoint-interval", "50ms")
        store.start()
        self.run_out_of_space(store, lambda: limit_file_sizes(store, 4096),
                              lambda: limit_file_sizes(store, resource.RLIM_INFINITY))

    def test_on_a_full_disk_it_lives(self):
        """On a small file system of its own, where that may be mounted."""
        store = self.new_store("--checkpoint-interval", "200ms", "--segment-bytes", "4m")
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "satchel-test",
                                  store.data], capture_output=True, check=False)
        if mounted.returncode != 0:
            self.skipTest("a file system cannot be mounted here")

        def unmount():
            if store.is_running():
                store.kill()
            subprocess.run(["umount", store.data], check=True)

        self.addCleanup(unmount)
        store.start()
        ballast = os.path.join(store.data, "ballast")

        def take_space():
            with open(ballast, "wb", buffering=0) as file:
                try:
                    while file.write(bytes(1 << 16)):
                        pass
                except OSError:
                    pass  # full

        self.run_out_of_space(store, take_space, lambda: os.unlink(ballast))


if __name__ == "__main__":
    PARSER = argparse.ArgumentParser()
    PARSER.add_argument("--satcheld", required=True)
    PARSER.add_argument("--fill", required=True)
    PARSER.add_argument("--fail-io", required=True)
    PARSER.add_argument("--sanitized", action="store_true", help="memory and time say nothing")
    OPTIONS, REST = PARSER.parse_known_args()
    unittest.main(argv=[sys.argv[0], *REST], verbosity=2)
