#!/usr/bin/python3
"""expiry.py --satcheld PATH --shortlived PATH: sessions come, are touched and expire, for long.

While their number stays, the data file, the memory and the count of sessions have to stay, too, and
somebody who reads other sessions must not notice the sweeper. 25 seconds with 100,000 sessions;
SATCHEL_EXPIRY="SESSIONS SECONDS IDLE_MS" asks for more, as 1000000 300 20000 does.
"""

import argparse
import bisect
import collections
import os
import re
import subprocess
import sys
import time
import types
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from processes import Satcheld  # noqa: E402

OPTIONS = None
VALUE_BYTES = 200
FILE_GROWTH_MAX = 1.3
MEMORY_GROWTH_MAX = 1.2
STAYING = 1000  # sessions of the load that somebody reads
COUNT_ERROR = 0.03  # for requests on the way
# Of a GET beside the load, in the quietest seconds: two cores are shared by the store, its load and
# what else goes on, so waits have many reasons, but the sweeper and checkpoints come all the time.
TIMES_MS_MAX = (10, 80, 300)  # p99, p99.9, longest
WAIT_SHARE_MAX = 0.35  # of the time; a worker that waits longer for a core has no time to measure
DEADLINE_S = 60

# What the load knows about its sessions at a moment of the monotonic clock.
State = collections.namedtuple("State", "at_ms live recent created")


def wait_share(store, begin_s):
    """The share of the time since then that the busiest worker was ready to run and no core was
    free: the machine's doing, whatever the store does."""
    waited_s = [int((task / "schedstat").read_text().split()[1]) / 1e9
                for task in Path(f"/proc/{store.process.pid}/task").iterdir()
                if (task / "comm").read_text().startswith("net-")]
    return max(waited_s) / (time.monotonic() - begin_s)


class Expiry(unittest.TestCase):
    def setUp(self):
        print()
        self.sessions, self.seconds, self.idle_ms = OPTIONS.scale
        # The longest life is 3.3 idle times; after that as many expire as come.
        self.warm_up = self.idle_ms * 33 // 10000 + 3

    def load(self, store):
        """Starts the load; its lines come as it goes."""
        load = self.enterContext(subprocess.Popen(
            [OPTIONS.shortlived, "--server", store.address, "--alive", str(self.sessions),
             "--idle-ms", str(self.idle_ms), "--value-bytes", str(VALUE_BYTES),
             "--seconds", str(self.seconds), "--warm-up", str(self.warm_up)],
            stdout=subprocess.PIPE, text=True))
        self.addCleanup(load.kill)
        return load

    def finish(self, load, lines):
        """Prints what the load says at its end. Returns the times of answers to its reader: p99,
        p99.9 and the longest, each of the few seconds in which it was least."""
        self.assertEqual(load.wait(DEADLINE_S), 0)
        for line in lines:
            print("  " + line)
        return [float(ms) for ms in re.findall(r"(?:p99|p99.9|longest) ([\d.]+) ms", lines[-1])]

    def measure(self, store):
        """What the store is like now."""
        row = types.SimpleNamespace(from_ms=time.monotonic() * 1000)
        row.sessions = store.metric("satchel_sessions")
        row.till_ms = time.monotonic() * 1000
        row.file_bytes = sum(file.stat().st_size for file in Path(store.data).glob("*.mdb"))
        row.memory = store.memory_kib("RssAnon") * 1024
        return row

    def follow(self, store, load):
        """Measures once a second; returns the rows, the states of the model, and the last lines."""
        rows, states, lines = [], [], []
        for line in load.stdout:
            model = re.match(r"at (\d+) live (\d+) recent (\d+) created (\d+)", line)
            if not model:
                lines.append(line.rstrip())
                continue
            states.append(State(*map(int, model.groups())))
            if not rows or states[-1].at_ms > rows[-1].till_ms + 1000:
                rows.append(self.measure(store))
                if OPTIONS.verbose:
                    print(f"  {line.rstrip()}: sessions {rows[-1].sessions:.0f}, file "
                          f"{rows[-1].file_bytes >> 20} MiB, memory {rows[-1].memory >> 20} MiB",
                          flush=True)
        return rows, states, lines

    def compare_count(self, row, states):
        """The store has the sessions that the model had about then, and some expired ones."""
        first = max(0, bisect.bisect(states, row.from_ms, key=lambda state: state.at_ms) - 1)
        end = bisect.bisect(states, row.till_ms, key=lambda state: state.at_ms) + 1
        error = COUNT_ERROR * self.sessions + STAYING
        then = states[first:end]
        self.assertGreater(row.sessions, min(state.live for state in then) - error,
                           f"sessions are missing: {row}, {then}")
        self.assertLess(row.sessions, max(state.live + state.recent for state in then) + error,
                        f"the sweeper lags behind: {row}, {then}")

    def test_nothing_grows_and_nobody_waits(self):
        # One worker: a lock that it has to wait for for the load's sake holds up the reader, too.
        # However short the run is, it is to see a dozen checkpoints.
        interval_ms = min(30000, self.seconds * 1000 // 12)
        store = self.enterContext(Satcheld(OPTIONS.satcheld, "--workers", "1",
                                           "--checkpoint-interval", f"{interval_ms}ms"))
        begin_s = time.monotonic()
        load = self.load(store)
        rows, states, lines = self.follow(store, load)
        times = self.finish(load, lines)
        waited = wait_share(store, begin_s)
        print(f"  a worker waited for a core for {waited:.0%} of the time")
        for row in rows:
            self.compare_count(row, states)
        steady_ms = states[0].at_ms + self.warm_up * 1000
        rows = [row for row in rows if row.from_ms > steady_ms]
        live = [state.live for state in states if state.at_ms > steady_ms]
        file_bytes = [row.file_bytes for row in rows]
        memory = [row.memory for row in rows]
        created = states[-1].created
        expired = store.metric("satchel_expired_sessions_total")
        print(f"  {created} sessions came, {expired:.0f} expired, "
              f"{min(live)} to {max(live)} were there at a time")
        print(f"  data file {file_bytes[0] >> 20} MiB after {self.warm_up} s, "
              f"at most {max(file_bytes) >> 20} MiB after {self.seconds} s; "
              f"memory {memory[0] >> 20} MiB, at most {max(memory) >> 20} MiB")
        self.assertGreater(expired, created / 3)
        # The file's size is its high-water mark: pages in use, and pages free for reuse.
        self.assertLess(max(file_bytes), FILE_GROWTH_MAX * file_bytes[0])
        if OPTIONS.sanitized:
            return  # there time and memory say nothing
        self.assertLess(max(memory), MEMORY_GROWTH_MAX * memory[0] * max(live) / live[0])
        if waited > WAIT_SHARE_MAX:
            print("  the machine is too busy for times to say something")
            return
        for time_ms, max_ms in zip(times, TIMES_MS_MAX):
            self.assertLess(time_ms, max_ms)


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
