#!/usr/bin/python3
"""environment.py --satcheld PATH --satchel PATH: every option has an environment variable, which
its help names and which does what the option does; and health checks work without a shell."""

import argparse
import os
import re
import socket
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from processes import DEADLINE_S, Satcheld, wait_until  # noqa: E402

OPTIONS = None
HEALTHY, USAGE, UNHEALTHY = 0, 2, 3
OPTION = re.compile(r"^  --([a-z-]+)( \S+)?", re.MULTILINE)
VARIABLE = re.compile(r"(?:default .*|no default) {2,}([A-Z][A-Z0-9_]*)$", re.MULTILINE)
TYPED = ("", "BYTES", "COUNT", "TIME")  # what can be refused while it is read; texts cannot


def programs():
    """Each program or command whose options are in tables, with what it needs to be told."""
    yield [OPTIONS.satcheld]
    for command in ("now", "list", "verify", "prune"):
        yield [OPTIONS.satchel, "backup", command]
    for command in ("restore", "verify", "inspect"):
        yield [OPTIONS.satchel, command]


def run(command, **environment):
    inherited = {name: value for name, value in os.environ.items()
                 if not name.startswith(("AWS_", "SATCHEL_", "ECS_"))}
    return subprocess.run(command, env={**inherited, **environment}, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=DEADLINE_S, check=False)


class Variables(unittest.TestCase):
    def test_every_option_has_one_and_help_tells_it(self):
        for program in programs():
            text = run([*program, "--help"]).stdout
            options = [match.group(1) for match in OPTION.finditer(text)]
            variables = VARIABLE.findall(text)
            self.assertEqual(len(options), len(variables), text)
            self.assertGreater(len(options), 0)
            self.assertEqual(len(set(variables)), len(variables), "each has one of its own")
            for variable in variables:
                self.assertRegex(variable, r"^(SATCHEL|AWS|ECS)_[A-Z0-9_]+$")

    def test_a_variable_is_read_as_its_option_is(self):
        """Nonsense is refused, and it is said where it was found. (`--at` is a text for long.)"""
        for program in programs():
            text = run([*program, "--help"]).stdout
            for match, variable in zip(OPTION.finditer(text), VARIABLE.findall(text)):
                unit = (match.group(2) or "").strip()
                if (unit in TYPED or "|" in unit) and match.group(1) != "at":
                    told = run(program, **{variable: "no-such-value"})
                    with self.subTest(program=program[-1], variable=variable):
                        self.assertEqual(told.returncode, USAGE, told.stderr)
                        self.assertIn(f'{variable}: "no-such-value"', told.stderr)

    def test_the_command_line_wins(self):
        told = run([OPTIONS.satcheld, "--workers", "many"], SATCHEL_WORKERS="few")
        self.assertIn('--workers: "many"', told.stderr)


class HealthChecks(unittest.TestCase):
    def health(self, *words, **environment):
        return run([OPTIONS.satchel, "health", *words], **environment)

    def test_of_a_store_that_serves_and_then_does_not(self):
        with Satcheld(OPTIONS.satcheld) as store:
            for page, line in (("--live", "alive"), ("--ready", "ready"), ("--leader", "leader")):
                told = self.health(page, SATCHEL_OPS=store.ops)
                self.assertEqual((told.returncode, told.stdout), (HEALTHY, line + "\n"))
            self.assertEqual(self.health(SATCHEL_SERVER=store.address).returncode, HEALTHY)
            told = self.health("--ready", "--json", "--ops", store.ops)
            self.assertRegex(told.stdout, r'"page":"/readyz","status":200,"healthy":true')
            standby = Satcheld(OPTIONS.satcheld, "--wait")
            self.addCleanup(standby.clean_up)
            self.addCleanup(lambda: standby.is_running() and standby.kill())
            standby.data = store.data
            standby.launch(standby.command())
            ops = standby.wait_for_line(r"standby ops=(\S+)").group(1)
            self.assertEqual(self.health("--live", "--ops", ops).returncode, HEALTHY)
            for page in ("--ready", "--leader"):
                told = self.health(page, "--ops", ops)
                self.assertEqual(told.returncode, UNHEALTHY)
                self.assertIn("standby", told.stderr)
            self.assertEqual(standby.terminate(), 0)
        for words in (("--live", "--ops", store.ops), ("--leader", "--ops", store.ops),
                      ("--server", store.address)):
            self.assertEqual(self.health(*words).returncode, UNHEALTHY)

    def test_a_server_that_hangs_is_given_up_in_time(self):
        with Satcheld(OPTIONS.satcheld) as store:
            store.freeze()
            try:
                begin = time.monotonic()
                for words in (("--live", "--ops", store.ops), ("--server", store.address)):
                    told = self.health(*words, "--deadline", "300ms")
                    self.assertEqual(told.returncode, UNHEALTHY, told.stderr)
                self.assertLess(time.monotonic() - begin, DEADLINE_S / 2)
            finally:
                store.thaw()

    def test_what_is_no_ops_server_is_not_healthy(self):
        with socket.create_server(("127.0.0.1", 0)) as other:
            address = f"127.0.0.1:{other.getsockname()[1]}"
            check = subprocess.Popen([OPTIONS.satchel, "health", "--live", "--ops", address],
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            with other.accept()[0] as conn:
                conn.recv(4096)
                conn.sendall(b"-ERR no\r\n" * 1000)
            self.assertIn(b"no HTTP", check.communicate(timeout=DEADLINE_S)[1])
            self.assertEqual(check.returncode, UNHEALTHY)

    def test_arguments_that_cannot_be_used(self):
        for words in (("--live", "--ready"), ("--live", "extra"), ("--ops",), ("--frob",)):
            self.assertEqual(self.health(*words).returncode, USAGE, words)
        for address in ("nonsense", "localhost:1", "127.0.0.1:99999999", ":1"):
            told = self.health("--live", "--ops", address)
            self.assertEqual(told.returncode, UNHEALTHY, address)
            self.assertIn("numeric", told.stderr)
        self.assertEqual(self.health(SATCHEL_DEADLINE="soon").returncode, USAGE)


class Memory(unittest.TestCase):
    def test_it_tells_what_it_takes_for_sessions(self):
        with Satcheld(OPTIONS.satcheld) as store:
            match = store.wait_for_line(r"memory sessions_bytes=(\d+) limit_bytes=(\d+) limit_of=")
            sessions, limit = map(int, match.groups())
            self.assertEqual(sessions, limit // 2)
            wait_until(lambda: store.metric("satchel_memory_limit_bytes") == sessions, "it is used")
        with Satcheld(OPTIONS.satcheld, "--memory", "64m") as store:
            store.wait_for_line(r"memory sessions_bytes=67108864 ")
        with Satcheld(OPTIONS.satcheld, "--memory", str(limit)) as store:
            store.wait_for_line("--memory leaves less than a quarter")


if __name__ == "__main__":
    PARSER = argparse.ArgumentParser()
    PARSER.add_argument("--satcheld", required=True)
    PARSER.add_argument("--satchel", required=True)
    PARSER.add_argument("--sanitized", action="store_true", help="memory and time say nothing")
    OPTIONS, REST = PARSER.parse_known_args()
    unittest.main(argv=[sys.argv[0], *REST], verbosity=2)
