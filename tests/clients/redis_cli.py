#!/usr/bin/python3
"""redis_cli.py --satcheld PATH [--write] [redis-cli] [redis-benchmark]

The programs that come with Redis, as people use them: by a script and at a terminal.
"""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import kit  # noqa: E402
from processes import DEADLINE_S  # noqa: E402

KEYS = 1000  # more than a step of SCAN
BENCHMARK_REQUESTS = 2000
# The tests of redis-benchmark for which there are commands; the others are about lists, sorted sets,
# streams, and SPOP.
BENCHMARKS = "PING_INLINE PING_MBULK SET GET INCR SADD HSET MSET".split()


class ProgramTest(kit.ClientTest):
    program = None

    def run_program(self, *arguments, text=""):
        """What it prints, on both of its outputs."""
        host, port = self.store.address.split(":")
        done = subprocess.run([self.program, "-h", host, "-p", port, *arguments], input=text,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8",
                              timeout=DEADLINE_S, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout

    def version(self):
        printed = subprocess.check_output([self.program, "--version"], encoding="utf-8")
        return " ".join(printed.split()[:2])


class Terminal:
    """A program at a terminal of its own."""

    def __init__(self, *command):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="dumb", HOME="/nonexistent")
            os.execvp(command[0], command)
        self.printed = ""

    def type(self, line):
        os.write(self.terminal, line.encode() + b"\n")

    def wait_for(self, pattern):
        """Waits until what was printed since the last match has a match, and returns that."""
        end = time.monotonic() + DEADLINE_S
        while not (match := re.search(pattern, self.printed)):
            ready, _, _ = select.select([self.terminal], [], [], max(0, end - time.monotonic()))
            assert ready, f"no /{pattern}/ in {self.printed!r}"
            try:
                self.printed += os.read(self.terminal, 4096).decode()
            except OSError:
                raise AssertionError(f"ended without /{pattern}/: {self.printed!r}") from None
        self.printed = self.printed[match.end():]
        return match

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.terminal)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


class RedisCli(ProgramTest):
    program = "redis-cli"

    def row(self):
        return self.version(), "scripts and terminals: `--pipe`, `--scan`, `--bigkeys`, `--stat`", "works"

    def setUp(self):
        self.run_program("FLUSHALL")

    def at_terminal(self, *arguments):
        host, port = self.store.address.split(":")
        return Terminal(self.program, "-h", host, "-p", port, *arguments)

    def test_commands_of_a_script_are_answered(self):
        self.assertEqual(self.run_program("SET", "session", "content", "EX", "100"), "OK\n")
        self.assertEqual(self.run_program("-n", "1", "EXISTS", "session"), "0\n")
        self.assertEqual(
            self.run_program(text="MULTI\nAPPEND session +\nSTRLEN session\nEXEC\nGET session\n"),
            "OK\nQUEUED\nQUEUED\n8\n8\ncontent+\n")
        self.run_program("HSET", "fields", "a", "1", "b", "2")
        self.assertEqual(self.run_program("--json", "HGETALL", "fields"), '{"a":"1","b":"2"}\n')
        self.assertEqual(self.run_program("-2", "--no-raw", "TTL", "nobody"), "(integer) -2\n")

    def test_pipe_and_scan(self):
        """Inline commands in bulk, and SCAN over all that they made."""
        told = self.run_program("--pipe", text="".join(f"SET key:{number} {number}\r\n"
                                                       for number in range(KEYS)))
        self.assertIn(f"errors: 0, replies: {KEYS}", told)
        found = self.run_program("--scan", "--pattern", "key:*").split()
        self.assertEqual(sorted(found), sorted(f"key:{number}" for number in range(KEYS)))
        self.assertEqual(len(self.run_program("--scan", "--pattern", "key:99?").split()), 10)

    def test_bigkeys_finds_the_biggest_of_each_type(self):
        self.run_program("MSET", "small", "x", "big", "x" * 1000)
        self.run_program("HSET", "fields", "a", "1", "b", "2")
        self.run_program("SADD", "members", "a", "b", "c")
        told = self.run_program("--bigkeys")
        self.assertIn("Sampled 4 keys", told)
        for what in ('string found \'"big"\' has 1000 bytes', 'hash found \'"fields"\' has 2 fields',
                     'set found \'"members"\' has 3 members'):
            self.assertIn(what, told)

    def test_stat_follows_the_server(self):
        self.run_program("MSET", "a", "1", "b", "2", "c", "3")
        with self.at_terminal("--stat", "-i", "0.1") as terminal:
            terminal.wait_for(r"keys +mem +clients")
            before = terminal.wait_for(r"\n3 +\S+ +(\d+) +0 +(\d+) \(\+0\) +(\d+)")
            self.run_program("SET", "d", "4")
            after = terminal.wait_for(r"\n4 +\S+ +(\d+) +0 +(\d+) \(\+[1-9]\d*\) +(\d+)")
            self.assertGreater(int(after[2]), int(before[2]))
            self.assertEqual(int(after[3]), int(before[3]) + 1)  # connections

    def test_a_terminal(self):
        prompt = re.escape(self.store.address)
        with self.at_terminal() as terminal:
            terminal.wait_for(prompt + "> ")
            terminal.type('SET "a key" "\\x00\\xff"')
            terminal.wait_for("OK")
            terminal.type('GET "a key"')
            terminal.wait_for(r'"\\x00\\xff"')
            terminal.type("HELP SETEX")
            terminal.wait_for(r"SETEX[^>]*summary:\S* Set the value and expiration of a key")
            terminal.type("NOSUCH thing")
            terminal.wait_for(r"\(error\) ERR unknown command 'NOSUCH', with args beginning with: 'thing'")
            terminal.type("SELECT 1")
            terminal.wait_for(prompt + r"\[1\]> ")
            terminal.type("MULTI")
            terminal.wait_for(prompt + r"\[1\]\(TX\)> ")
            terminal.type("DBSIZE")
            terminal.type("DISCARD")
            terminal.wait_for(r"OK\s+" + prompt + r"\[1\]> ")

    def test_messages_arrive_at_a_terminal(self):
        with self.at_terminal("SUBSCRIBE", "news") as terminal:
            terminal.wait_for(r'"subscribe"\s+2\) "news"\s+3\) \(integer\) 1')
            self.assertEqual(self.run_program("PUBLISH", "news", "hello"), "1\n")
            terminal.wait_for(r'"message"\s+2\) "news"\s+3\) "hello"')


class RedisBenchmark(ProgramTest):
    program = "redis-benchmark"

    def row(self):
        names = ", ".join(f"`{name}`" for name in BENCHMARKS)
        return self.version(), names, "works"

    def test_its_tests_run(self):
        for options in ([], ["-P", "16"], ["-3"], ["--threads", "2"], ["-k", "0"], ["-r", "1000"]):
            with self.subTest(options=options):
                told = self.run_program("-t", ",".join(BENCHMARKS).lower(), "--csv", "-n",
                                        str(BENCHMARK_REQUESTS), *options)
                self.assertNotRegex(told, "(?i)error")
                ran = re.findall(r'^"([A-Z_]+)[^"]*","([\d.]+)"', told, re.MULTILINE)
                self.assertEqual([name for name, _ in ran], BENCHMARKS)


if __name__ == "__main__":
    kit.run({"redis-cli": RedisCli, "redis-benchmark": RedisBenchmark}, __doc__)
