#!/usr/bin/python3
"""million.py --satcheld PATH --fill PATH: a million sessions, a crash, and the way back.

Prints how long loading and coming back take, and what memory it needs; compares samples byte by
byte, also from a store whose memory holds a part of the values only.
"""

import argparse
import re
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from processes import Satcheld  # noqa: E402

OPTIONS = None
VALUE_BYTES = 512
ID_BYTES = 16
SAMPLE = 10000
LONG_SAMPLE = 200000  # long enough for another client to notice
DEADLINE_S = 170
JOURNAL = "256m"  # what it brings at a start is in memory until the first checkpoint
PROBE_P99_MS_MAX = 100  # of what is in memory, while others read from disk


class Million(unittest.TestCase):
    def fill(self, mode, *options, **how):
        command = [OPTIONS.fill, mode, "--server", self.store.address, "--sessions",
                   str(OPTIONS.sessions), "--value-bytes", str(VALUE_BYTES), *options]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                **how)

    def finish(self, process):
        told, _ = process.communicate(timeout=DEADLINE_S)
        print(f"  {told.strip()}")
        self.assertEqual(process.returncode, 0)
        return told

    def sample(self, count=SAMPLE):
        return self.finish(self.fill("sample", "--count", str(count)))

    def restart(self, *options):
        """SIGKILL, and up again; prints what that took."""
        self.store.kill()
        self.store.options = options
        self.store.start(DEADLINE_S)
        line = self.store.wait_for_line(r"\bserving sessions=(\d+) seconds=([\d.]+)")
        self.assertEqual(int(line.group(1)), OPTIONS.sessions)
        own = self.store.memory_kib("RssAnon") * 1024
        extra = own / OPTIONS.sessions - VALUE_BYTES - ID_BYTES
        print(f"  killed and started again {' '.join(options)}: serving after {line.group(2)} s; "
              f"memory {self.store.memory_kib() / 1024:.0f} MiB, "
              f"of which the data file's pages {self.store.memory_kib('RssFile') / 1024:.0f} MiB; "
              f"own {own / (1 << 20):.0f} MiB")
        return own, extra

    def test_a_million_sessions_come_back(self):
        print()
        self.store = self.enterContext(
            Satcheld(OPTIONS.satcheld, "--checkpoint-bytes", JOURNAL))
        self.finish(self.fill("load"))
        self.assertEqual(self.store.metric("satchel_sessions"), OPTIONS.sessions)

        _, extra = self.restart()
        print(f"  {extra:.1f} bytes a session beyond id and value")
        if OPTIONS.sessions >= 1000000 and not OPTIONS.sanitized:
            self.assertLess(extra, 150)
        self.sample()

        own, _ = self.restart("--memory", "200m")
        if not OPTIONS.sanitized:
            self.assertLess(own, 450 << 20)  # the budget, buffers, and what the journal brought
        resident = self.fill("probe", "--count", "100")
        self.sample(LONG_SAMPLE)
        probed = self.finish(resident)
        self.assertGreater(self.store.metric("satchel_loaded_values_total"), LONG_SAMPLE / 4)
        p99_ms = float(re.search(r"p99 ([\d.]+) ms", probed).group(1))
        if not OPTIONS.sanitized:
            self.assertLess(p99_ms, PROBE_P99_MS_MAX)


if __name__ == "__main__":
    PARSER = argparse.ArgumentParser()
    PARSER.add_argument("--satcheld", required=True)
    PARSER.add_argument("--fill", required=True)
    PARSER.add_argument("--sessions", type=int, default=1000000)
    PARSER.add_argument("--sanitized", action="store_true", help="memory and time say nothing")
    OPTIONS, REST = PARSER.parse_known_args()
    unittest.main(argv=[sys.argv[0], *REST], verbosity=2)
