#!/usr/bin/python3
"""expiry.py --satcheld PATH --shortlived PATH: sessions that come, are touched and expire, for long.

While their number stays, the data file, the memory and the count of sessions have to stay, too, and
somebody who reads other sessions must not notice the sweeper. Half a minute with 100,000 sessions;
SATCHEL_EXPIRY="SESSIONS SECONDS IDLE_MS" asks for more, as 1000000 300 20000 does.
"""

import argparse
import os
import re
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from processes import Satcheld  # noqa: E402

OPTIONS = None
VALUE_BYTES = 200
FILE_GROWTH_MAX = 1.3
MEMORY_GROWTH_MAX = 1.2
COUNT_ERROR = 0.03  # the load's other sessions, and what happens between its line and our question
# Of a GET beside the load, against the same load on sessions that never expire. Two cores are shared
# by the store, its load and other tests, so short waits have many reasons.
P99_MS_MAX, P999_MS_MAX, LONGEST_MS_MAX = 10, 30, 150
NOISE_FACTOR = 2
USUAL_S = 9
DEADLINE_S = 60


class Expiry(unittest.TestCase):
    def setUp(self):
        print()
        self.sessions, self.seconds, self.idle_ms = OPTIONS.scale
        # The longest life is 3.3 idle times; after that as many expire as come.
        self.warm_up = self.idle_ms * 33 // 10000 + 3

    def load(self, store, seconds, warm_up, *options):
        """Starts the load; its lines come as it goes."""
        load = self.enterContext(subprocess.Popen(
            [OPTIONS.shortlived, "--server", store.address, "--alive", str(self.sessions),
             "--idle-ms", str(self.idle_ms), "--value-bytes", str(VALUE_BYTES),
             "--seconds", str(seconds), "--warm-up", str(warm_up), *options],
            stdout=subprocess.PIPE, text=True))
        self.addCleanup(load.kill)
        return load

    def times_ms(self, load, lines):
        """What the load says at its end: p99, p99.9 and the longest time of an answer."""
        self.assertEqual(load.wait(DEADLINE_S), 0)
        print("  " + lines[-1])
        return [float(ms) for ms in re.findall(r"(?:p99|p99.9|longest) ([\d.]+) ms", lines[-1])]

    def times_without_expiry(self):
        """Beside the same load when nothing expires."""
        with Satcheld(OPTIONS.satcheld) as store:
            load = self.load(store, USUAL_S, USUAL_S // 3, "--immortal", "1")
            return self.times_ms(load, load.stdout.read().splitlines())

    def measure(self, store, line):
        """What the store is like; and its count of sessions has to be the model's."""
        model = re.match(r"second (\d+) live (\d+) recent (\d+) created (\d+)", line)
        second, live, recent, created = map(int, model.groups())
        sessions = store.metric("satchel_sessions")
        file_bytes = sum(file.stat().st_size for file in Path(store.data).glob("*.mdb"))
        memory = store.memory_kib("RssAnon") * 1024
        if OPTIONS.verbose:
            print(f"  {line}: sessions {sessions:.0f}, file {file_bytes >> 20} MiB, "
                  f"memory {memory >> 20} MiB, "
                  f"dirty {store.metric('satchel_dirty_sessions'):.0f}, "
                  f"checkpoints {store.metric('satchel_checkpoints_total'):.0f}", flush=True)
        error = COUNT_ERROR * self.sessions
        self.assertGreater(sessions, live - error, f"sessions are missing: {line}")
        self.assertLess(sessions, live + recent + error, f"the sweeper lags behind: {line}")
        return second, created, live, file_bytes, memory

    def test_nothing_grows_and_nobody_waits(self):
        usual = self.times_without_expiry()
        store = self.enterContext(Satcheld(OPTIONS.satcheld))
        load = self.load(store, self.seconds, self.warm_up)
        lines = []
        rows = []
        for line in load.stdout:
            lines.append(line.rstrip())
            if line.startswith("second "):
                rows.append(self.measure(store, lines[-1]))
        times = self.times_ms(load, lines)
        print("  " + lines[-2])
        _, created, live, file_bytes, memory = zip(*(row for row in rows if row[0] >= self.warm_up))
        print(f"  {created[-1]} sessions came, {store.metric('satchel_expired_sessions_total'):.0f} "
              f"expired, {min(live)} to {max(live)} were there at a time")
        print(f"  data file {file_bytes[0] >> 20} MiB after {self.warm_up} s, "
              f"at most {max(file_bytes) >> 20} MiB after {self.seconds} s; "
              f"memory {memory[0] >> 20} MiB, at most {max(memory) >> 20} MiB")
        self.assertGreater(store.metric("satchel_expired_sessions_total"), created[-1] / 3)
        # The file's size is its high-water mark: pages in use, and pages free for reuse.
        self.assertLess(max(file_bytes), FILE_GROWTH_MAX * file_bytes[0])
        if OPTIONS.sanitized:
            return  # there time and memory say nothing
        self.assertLess(max(memory), MEMORY_GROWTH_MAX * memory[0])
        for time_ms, usual_ms, max_ms in zip(times, usual, (P99_MS_MAX, P999_MS_MAX,
                                                           LONGEST_MS_MAX)):
            self.assertLess(time_ms, max(max_ms, NOISE_FACTOR * usual_ms))


if __name__ == "__main__":
    PARSER = argparse.ArgumentParser()
    PARSER.add_argument("--satcheld", required=True)
    PARSER.add_argument("--shortlived", required=True)
    PARSER.add_argument("--sanitized", action="store_true", help="memory and time say nothing")
    PARSER.add_argument("--verbose", action="store_true", help="print what is measured each second")
    OPTIONS, REST = PARSER.parse_known_args()
    SMALL = "10000 20 3000" if OPTIONS.sanitized else "100000 25 3000"
    OPTIONS.scale = [int(word) for word in os.environ.get("SATCHEL_EXPIRY", SMALL).split()]
    unittest.main(argv=[sys.argv[0], *REST], verbosity=2)
