#!/usr/bin/python3
"""satchel_bench.py --programs DIR: the load generator against real servers, and against lying ones.

No figure is judged here, only whether it can be: every scenario runs against every server, what is
counted adds up, and whatever goes wrong is told by the exit code and one line.
"""

import argparse
import json
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import unittest.mock
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "bench"), str(ROOT / "tests" / "support")]

from harness import machine, servers  # noqa: E402
from harness.server import Missing, Programs  # noqa: E402
from processes import DEADLINE_S, Satcheld, wait_until  # noqa: E402

OPTIONS = None
MEASURED, WRONG, USAGE, SERVER = range(4)
SCENARIOS = ("read-mostly", "web-framework", "cart", "login-storm", "expiry-churn", "mixed-1-4",
             "set-only")
SHORT = {"keys": 1000, "connections": 20, "seconds": 0.2, "warmup": 0.05}
MANY = 10000
DESCRIPTORS_WANTED = MANY + 100


class Load:
    """One run: its exit code, what it said, and its JSON, if there is any."""

    def __init__(self, process):
        told, self.said = process.communicate(timeout=DEADLINE_S * 2)
        self.code = process.returncode
        self.json = json.loads(told) if told.startswith("{") else None
        self.text = told

    @property
    def result(self):
        return self.json["result"]


def start_load(address, **options):
    command = [OPTIONS.programs.path("satchel-bench"), "--server", address, "--json", "-"]
    for name, value in options.items():
        command.append(f"--{name.replace('_', '-')}={value}")
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def load(address, **options):
    with start_load(address, **options) as process:
        return Load(process)


class LoadTest(unittest.TestCase):
    def serve(self, name):
        """Starts a server of the comparison; skips the test where it is not installed."""
        try:
            one = servers.make(name, OPTIONS.programs, self.directory(), machine.all_cores())
        except Missing as error:
            self.skipTest(str(error))
        self.enterContext(one)
        return one

    def directory(self):
        return self.enterContext(tempfile.TemporaryDirectory(prefix="satchel-test-"))

    def assert_ended(self, done, code, says=""):
        self.assertEqual(done.code, code, done.said + done.text)
        self.assertIn(says, done.said)

    def check_figures(self, result, mix_has_get, in_flight):
        """Whatever the figures are, they fit together."""
        latency = result["latency_us"]
        self.assertGreater(result["operations"], 0)
        self.assertEqual((result["errors"], result["wrong_values"]), (0, 0))
        # The latency of what is in flight at the end is taken too.
        self.assertGreaterEqual(latency["all"]["count"], result["operations"])
        self.assertLessEqual(latency["all"]["count"], result["operations"] + in_flight)
        self.assertEqual(sum(row["count"] for name, row in latency.items() if name != "all"),
                         latency["all"]["count"])
        self.assertGreaterEqual(result["operations_total"], result["operations"])
        for name, row in latency.items():
            buckets = result["histograms_us"][name]
            self.assertEqual(sum(count for _, count in buckets), row["count"])
            self.assertEqual(buckets, sorted(buckets))
            ladder = [row[key] for key in ("p50", "p90", "p99", "p999", "max")]
            self.assertEqual(ladder, sorted(ladder))
            self.assertLessEqual(row["mean"], row["max"])
        self.assertEqual(result["verified_gets"] > 0, mix_has_get)
        self.assertGreater(result["client_cpu_us_per_op"], 0)
        self.assertGreaterEqual(result["server_cpu_us_per_op"], 0)

    def check_scenarios(self, name):
        server = self.serve(name)
        for scenario in SCENARIOS:
            with self.subTest(scenario=scenario):
                done = load(server.address, protocol=server.protocol, scenario=scenario,
                            server_pid=server.pid, **SHORT)
                if scenario == "cart" and server.protocol == "memcache":
                    self.assert_ended(done, USAGE, "memcache has no fields")
                    continue
                self.assert_ended(done, MEASURED)
                self.assertEqual(done.json["scenario"], scenario)
                self.assertEqual(done.json["options"]["keys"], SHORT["keys"])
                self.assertEqual(done.json["options"]["protocol"], server.protocol)
                self.check_figures(done.result, scenario != "set-only", SHORT["connections"])

    def test_every_scenario_runs_against_satchel(self):
        self.check_scenarios("satchel-durable")

    def test_every_scenario_runs_against_redis(self):
        self.check_scenarios("redis-no-aof")

    def test_every_scenario_runs_against_memcached(self):
        self.check_scenarios("memcached")

    def test_pipelines_and_threads_ask_all_the_same(self):
        server = self.serve("satchel-fast")
        done = load(server.address, server_pid=server.pid, ack="fast",
                    **{**SHORT, "connections": 7, "threads": 3, "pipeline": 16})
        self.assert_ended(done, MEASURED)
        self.check_figures(done.result, True, 7 * 16)

    def test_values_larger_than_any_buffer_pass(self):
        for name in ("satchel-fast", "redis-no-aof", "memcached"):
            with self.subTest(server=name):
                server = self.serve(name)
                done = load(server.address, protocol=server.protocol, server_pid=server.pid,
                            **{**SHORT, "keys": 8, "connections": 3, "pipeline": 2,
                               "value-bytes": "300000-700000"})
                self.assert_ended(done, MEASURED)
                self.check_figures(done.result, True, 3 * 2)

    def test_ten_thousand_connections(self):
        least, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        if most != resource.RLIM_INFINITY and most < DESCRIPTORS_WANTED:
            self.skipTest(f"no more than {most} open files are allowed here")
        if least < DESCRIPTORS_WANTED:
            resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS_WANTED, most))
        server = self.serve("null")
        done = load(server.address, verify="no", preload="no", mix="get 1", warmup=0,
                    seconds=1, connections=MANY)
        self.assert_ended(done, MEASURED)
        self.assertGreater(done.result["operations"], 0)

    def test_a_server_that_lies_is_caught_unless_nobody_looks(self):
        server = self.serve("null")
        for protocol in ("native", "resp"):
            done = load(server.address, protocol=protocol, **SHORT)
            self.assert_ended(done, WRONG, "wrong value")
            self.assertEqual(done.result["wrong_values"], done.result["verified_gets"])
            self.assertGreater(done.result["wrong_values"], 0)
            self.assertLessEqual(len(done.said.splitlines()), 5)
            for scenario in SCENARIOS:
                done = load(server.address, protocol=protocol, scenario=scenario, verify="no",
                            **SHORT)
                self.assert_ended(done, MEASURED)

    def caught(self, run, says):
        """run(seconds) spoils something while it loads, and returns the Load. On a busy machine the
        load may not look any more when that is done; then it gets more time."""
        for seconds in (1, 5, 20):
            done = run(seconds)
            if done.code != MEASURED:
                break
        self.assert_ended(done, WRONG, says)

    def test_damage_and_loss_while_it_runs_are_caught(self):
        redis = self.serve("redis-no-aof")

        def meddle(command):
            def run(seconds):
                redis.ask("FLUSHALL")
                with start_load(redis.address, protocol="resp", keys=1, mix="get 1",
                                connections=2, warmup=0, seconds=seconds) as process:
                    try:
                        wait_until(lambda: redis.ask("DBSIZE") == b":1\r\n", "it is written")
                        key = redis.ask("RANDOMKEY").split(b"\r\n")[1].decode()
                        redis.ask(*command.replace("KEY", key).split())
                        return Load(process)
                    finally:
                        process.kill()
            return run

        self.caught(meddle("SETRANGE KEY 400 x"), "nothing like it was ever written")
        self.caught(meddle("APPEND KEY x"), "nothing like it was ever written")
        self.caught(meddle("DEL KEY"), "the session is gone")

    def test_values_from_the_past_are_caught(self):
        redis = self.serve("redis-no-aof")
        one = {"protocol": "resp", "keys": 1, "connections": 1, "warmup": 0}

        def put_back(mix, is_of_this_run):
            def run(seconds):
                redis.ask("DEL", key)
                with start_load(redis.address, mix=mix, seconds=seconds, **one) as process:
                    try:
                        wait_until(lambda: redis.ask("EXISTS", key) == b":1\r\n", "it is written")
                        if is_of_this_run:
                            redis.ask("COPY", key, "older", "REPLACE")
                        while process.poll() is None:
                            redis.ask("COPY", "older", key, "REPLACE")
                        return Load(process)
                    finally:
                        process.kill()
            return run

        self.assert_ended(load(redis.address, mix="set 1", seconds=0.1, **one), MEASURED)
        key = redis.ask("RANDOMKEY").split(b"\r\n")[1].decode()
        self.assert_ended(load(redis.address, mix="get 1", seconds=0.1, preload="no", **one),
                          MEASURED)
        redis.ask("RENAME", key, "older")
        self.caught(put_back("get 1", False), "older than one that was acknowledged")
        self.caught(put_back("get 9, set 1", True), "older than one that was acknowledged")

    def test_an_answer_that_is_an_error_is_counted_and_told(self):
        redis = self.serve("redis-no-aof")
        redis.ask("CONFIG", "SET", "maxmemory", "1")
        done = load(redis.address, protocol="resp", preload="no", **SHORT)
        self.assert_ended(done, WRONG, "OOM command not allowed")
        self.assertGreater(done.result["errors"], 0)

    def test_a_server_that_is_not_there_or_goes_away(self):
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))  # bound, so that it is nobody else's; not listening
            address = f"127.0.0.1:{nobody.getsockname()[1]}"
            done = load(address)
        self.assert_ended(done, SERVER, f"cannot connect to {address}: Connection refused")
        self.assertEqual(len(done.said.splitlines()), 1)
        server = self.serve("null")
        with start_load(server.address, verify="no", seconds=30) as process:
            try:
                wait_until(lambda: server.cpu_s() > 0.05, "the load has begun")
                server.kill()
                done = Load(process)
            finally:
                process.kill()
        self.assert_ended(done, SERVER, "the server broke off")

    def test_an_open_loop_counts_what_was_due_while_the_server_stood_still(self):
        rate, seconds, pause_s, long_us = 400, 2, 0.6, 100000
        server = self.serve("null")
        before_s = server.cpu_s()
        with start_load(server.address, verify="no", preload="no", warmup=0, seconds=seconds,
                        rate=rate, connections=4) as process:
            try:
                wait_until(lambda: server.cpu_s() > before_s + 0.001, "the load has begun")
                server.process.send_signal(signal.SIGSTOP)
                time.sleep(pause_s)
                server.process.send_signal(signal.SIGCONT)
                done = Load(process)
            finally:
                process.kill()
        self.assert_ended(done, MEASURED)
        told = done.result
        self.assertEqual(told["open_loop"]["rate"], rate)
        self.assertAlmostEqual(told["latency_us"]["all"]["count"] + told["open_loop"]["unfinished"],
                               rate * seconds, delta=1)
        late = sum(count for upper_us, count in told["histograms_us"]["all"] if upper_us > long_us)
        self.assertGreaterEqual(late, rate * (pause_s - long_us / 1e6) * 0.9)

    def test_what_cannot_be_run_is_refused_with_one_line(self):
        cases = (({"keys": "many"}, "--keys: \"many\" is not a number"),
                 ({"colour": "red"}, "no such option: --colour"),
                 ({"scenario": "none-such"}, "built in are cart, expiry-churn, "),
                 ({"server": "nowhere"}, "nowhere"),
                 ({"server-pid": 2 ** 31 - 1}, "server-pid: there is no such process"))
        for options, says in cases:
            with self.subTest(options=options):
                done = load("127.0.0.1:1", **options)
                self.assert_ended(done, USAGE, says)
                self.assertEqual(len(done.said.splitlines()), 1, done.said)

    def test_the_token_is_presented_in_both_protocols(self):
        secret, wrong = "a secret of forty letters", "another one of forty letters"
        path = Path(self.directory(), "token")
        path.write_text(secret + "\n", encoding="ascii")
        store = Satcheld(OPTIONS.programs.path("satcheld"))
        store.environment = {"SATCHEL_TOKEN": secret}
        self.enterContext(store)

        def ended(code, says="", environment=None, **options):
            with unittest.mock.patch.dict("os.environ", environment or {}):
                done = load(store.address, **{**SHORT, **options})
            self.assert_ended(done, code, says)
            self.assertNotIn("forty letters", done.text + done.said)

        for protocol in ("native", "resp"):
            with self.subTest(protocol=protocol):
                ended(MEASURED, protocol=protocol, environment={"SATCHEL_TOKEN": secret})
                ended(MEASURED, protocol=protocol, environment={"SATCHEL_TOKEN_FILE": str(path)})
                ended(MEASURED, protocol=protocol, token_file=path)
                ended(SERVER, protocol=protocol, environment={"SATCHEL_TOKEN": wrong})
        ended(SERVER, "the server is not ready: ")
        ended(USAGE, "given twice", token_file=path, environment={"SATCHEL_TOKEN": secret})
        ended(USAGE, "/nowhere", token_file="/nowhere")

    def test_scenarios_are_listed_and_options_explained(self):
        def ask(option):
            return subprocess.run([OPTIONS.programs.path("satchel-bench"), option], check=True,
                                  capture_output=True, text=True, timeout=DEADLINE_S).stdout

        listed = [line.split()[0] for line in ask("--list-scenarios").splitlines()]
        self.assertEqual(sorted(listed), sorted(SCENARIOS))
        self.assertEqual(sorted(listed), sorted(path.stem for path in
                                                (ROOT / "bench/scenarios").glob("*.conf")))
        for name in ("--server HOST:PORT", "--mix MIX", "--rate OPS_PER_S", "Exit codes"):
            self.assertIn(name, ask("--help"))
        self.assertRegex(ask("--version"), r"^satchel-bench \d+\.\d+\.\d+$")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--programs", required=True, type=Programs)
    OPTIONS, rest = parser.parse_known_args()
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)
