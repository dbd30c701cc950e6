#!/usr/bin/python3
"""one_off.py --satcheld PATH --satchel PATH --bench PATH: administrative commands as one-off tasks
run them.

The table of docs/one-off.md: which exit code, and one line of JSON at the end, whatever happened.
What needs an object storage that answers is in s3_commands.py, s3_snapshots.py and s3_restore.py,
which look at the same line.
"""

import argparse
import os
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import native  # noqa: E402
from native import Connection  # noqa: E402
from processes import DEADLINE_S, Satcheld  # noqa: E402
from summary import take_summary  # noqa: E402

OPTIONS = None
DONE, DAMAGED, USAGE, FAILED = range(4)
NOWHERE = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b",
           "SATCHEL_BACKUP_ENDPOINT": "http://127.0.0.1:9", "SATCHEL_BACKUP_REGION": "r"}


class OneOff(unittest.TestCase):
    def setUp(self):
        self.store = Satcheld(OPTIONS.satcheld)
        self.addCleanup(self.store.clean_up)
        self.addCleanup(lambda: self.store.is_running() and self.store.kill())

    def run_command(self, *words, **environment):
        """As a task does: the same environment for all commands, and nothing on standard input."""
        inherited = {name: value for name, value in os.environ.items()
                     if not name.startswith(("AWS_", "SATCHEL_"))}
        return subprocess.run([OPTIONS.satchel, *words], env={**inherited, **environment},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=DEADLINE_S, check=False)

    def ask(self, command, *words, code, **environment):
        told = self.run_command(*command.split(), *words, SATCHEL_JSON="yes", **environment)
        self.assertEqual(told.returncode, code, told.stdout + told.stderr)
        return take_summary(told.stdout, command, code)

    def fill(self):
        with Connection(self.store.address) as conn:
            for number in range(10):
                self.assertEqual(conn.set(b"k%d" % number, b"v"), native.OK)

    def test_on_a_sound_directory(self):
        self.store.start()
        self.fill()
        self.store.terminate()
        told = self.ask("verify", self.store.data, code=DONE)
        self.assertEqual((told["result"], told["data_file"]["rows"]), ("sound", 10))
        told = self.ask("verify", code=DONE, SATCHEL_DATA=self.store.data)
        self.assertEqual(told["result"], "sound")
        told = self.ask("inspect", self.store.data, code=DONE)
        self.assertEqual((told["dir"], told["problems"]), (os.path.realpath(self.store.data), 0))
        self.assertGreater(told["segments"], 0)

    def test_on_a_damaged_directory(self):
        self.store.start()
        self.fill()
        self.store.terminate()
        data_file = next(Path(self.store.data).glob("data-*.mdb"))
        with open(data_file, "r+b") as file:
            file.truncate(data_file.stat().st_size - 4096)
        told = self.ask("verify", self.store.data, code=DAMAGED)
        self.assertEqual(told["result"], "damaged")
        self.assertGreater(told["damages"], 0)

    def test_beside_a_store_that_runs(self):
        """What needs it works, what would be in its way leaves it alone, and it is not disturbed."""
        self.store.start()
        self.fill()
        for command in ("verify", "inspect"):
            self.assertIs(self.ask(command, self.store.data, code=DONE)["beside"], True)
        told = self.ask("backup now", "--server", self.store.ops, code=FAILED)
        self.assertIn("there are no backups", told["error"])
        told = self.ask("restore", "--from", "s3://bucket/x", "--data-dir", self.store.data,
                        code=FAILED, **NOWHERE)
        with Connection(self.store.address) as conn:
            self.assertEqual(conn.get(b"k1"), b"v")
        self.assertEqual(self.store.terminate(), 0)

    def test_where_nothing_answers(self):
        for command in ("list", "verify", "prune"):
            self.ask(f"backup {command}", "s3://bucket/x", code=FAILED, **NOWHERE)
        self.ask("backup now", "--server", "127.0.0.1:1", code=FAILED)
        self.ask("restore", "--from", "s3://bucket/x", "--data-dir", self.store.data + "/new",
                 code=FAILED, **NOWHERE)
        for command in ("verify", "inspect"):
            self.ask(command, self.store.directory + "/nothing", code=FAILED)

    def test_with_arguments_that_cannot_be_used(self):
        for command, words in (("verify", ()), ("verify", ("--records", "x")), ("inspect", ()),
                               ("backup list", ()), ("backup list", ("--frob",)),
                               ("backup verify", ("--newest=perhaps", "s3://bucket/x")),
                               ("backup prune", ("--keep", "many", "s3://bucket/x")),
                               ("backup now", ("--server", "nonsense")),
                               ("restore", ("--from", "s3://bucket/x"))):
            with self.subTest(command=command, words=words):
                self.ask(command, *words, code=USAGE, **NOWHERE)

    def bench(self, *words, code):
        told = subprocess.run([OPTIONS.bench, *words], env={**os.environ, "SATCHEL_JSON": "yes"},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=DEADLINE_S, check=False)
        self.assertEqual(told.returncode, code, told.stdout + told.stderr)
        return take_summary(told.stdout, "bench", code)

    def test_the_load_generator(self):
        self.store.start()
        told = self.bench("--server", self.store.address, "--seconds", "0.2", "--warmup", "0.05",
                          "--keys", "100", "--connections", "2", code=DONE)
        self.assertGreater(told["operations"], 0)
        self.assertEqual((told["errors"], told["wrong_values"]), (0, 0))
        self.assertLessEqual(told["p50_us"], told["p99_us"])
        self.bench("--server", "127.0.0.1:1", code=FAILED)
        self.bench("--frob", code=USAGE)

    def test_without_json_nothing_of_it_is_printed(self):
        for words, code in ((("verify",), USAGE), (("backup", "list"), USAGE),
                            (("verify", "/nowhere"), FAILED)):
            told = self.run_command(*words)
            self.assertEqual(told.returncode, code)
            self.assertNotIn('"exit_code"', told.stdout)
            self.assertNotEqual(told.stdout + told.stderr, "")
        for words in (("verify", "--help"), ("backup", "list", "--help"), ("backup", "--help")):
            told = self.run_command(*words, SATCHEL_JSON="yes")
            self.assertEqual(told.returncode, DONE)
            self.assertNotIn('"exit_code"', told.stdout)


if __name__ == "__main__":
    PARSER = argparse.ArgumentParser()
    PARSER.add_argument("--satcheld", required=True)
    PARSER.add_argument("--satchel", required=True)
    PARSER.add_argument("--bench", required=True)
    PARSER.add_argument("--sanitized", action="store_true", help="memory and time say nothing")
    OPTIONS, REST = PARSER.parse_known_args()
    unittest.main(argv=[sys.argv[0], *REST], verbosity=2)
