#!/usr/bin/env python3
"""takeover --bin DIR [--rounds N] [--seed N]: the owner is cut off, another takes over.

A round: the owner is changed and read; its wire is cut at a random moment; the standby, on another
client, takes over when the server has given the owner up, and is changed as well; at another
random moment, before or after the second load is over, the wire is healed. Then

  - the owner has acknowledged nothing and answered no read later than its lease allowed, and
    nothing at all since the other one served; it ended by itself with exit code 3 and one line;
  - every acknowledgement of both, of this and all earlier rounds, is there: values are equal, and
    no version went back;
  - after the new owner was stopped in order, `satchel verify` finds nothing.

Then the two change places. Runs inside the guest, all rounds in one boot.
"""

import argparse
import os
import random
import sys
import threading
import time

from world import (Load, Store, WAIT_S, check, efs, figure, native, note, now_ms,
                   wait_until)

LEASE_S = 10  # the server's, from which the owner's own clock follows
# Between the moment that the owner has to be silent and the one in which a process of this slow
# machine has noted that it was not.
NOTED_LATE_MS = 500
EXIT_STORAGE = 3
BEFORE_CUT_S, BEFORE_HEAL_S, SECOND_LOAD_S = 2.0, 5.0, 2.0  # at most


class Reader:
    """Reads one session all the time, and remembers when it was answered last. Nobody changes this
    session: a read waits for a change that is not durable."""

    def __init__(self, store):
        self.address = store.address
        self.answered_ms = 0
        self.count = 0
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        try:
            with native.Connection(self.address, deadline_s=WAIT_S) as connection:
                assert connection.set(b"read", b"only") == native.OK
                get = native.tag(native.ID, b"read")
                while (reply := connection.ask(native.GET, get)) is not None:
                    if reply.status == native.OK:
                        self.answered_ms = now_ms()
                        self.count += 1
                    time.sleep(0.02)
        except OSError:
            return  # it ended

    def finish(self):
        self.thread.join(WAIT_S)
        assert not self.thread.is_alive(), "a read was neither answered nor refused"


class Member(Store):
    """One of the two stores on the directory."""

    def stand_by(self):
        self.launch(self.command("--wait"))
        self.wait_for_line(r"\bstandby\b", WAIT_S)

    def wait_takeover(self):
        match = self.wait_for_line(r"\blistening listen=(\S+) ops=(\S+)", WAIT_S)
        self.address, self.ops = match.groups()
        self.wait_for_line(r"\bserving\b", WAIT_S)


class Takeover:
    def __init__(self, options):
        self.work = options.work
        self.random = random.Random(options.seed)
        self.members = [Member(options.bin, client, "takeover") for client in (1, 2)]
        self.logs = []
        self.checked = 0
        self.served_after_s = []  # from the cut until the other one served
        self.silent_after_s = []  # from the cut until the last sign of the old owner

    def load(self, store):
        number = len(self.logs) + 1
        load = Load(store, number, os.path.join(self.work, f"takeover.{number}"), "--rate", "400")
        self.logs.append(load.log)
        wait_until(lambda: len(load.acknowledged()) > 50, "changes are acknowledged", WAIT_S)
        return load

    def pause(self, most_s):
        time.sleep(self.random.uniform(0, most_s))  # a random moment

    def round(self, number):
        owner, standby = self.members if number % 2 == 1 else reversed(self.members)
        owner.start()
        standby.stand_by()
        loads = [self.load(owner)]
        reader = Reader(owner)
        wait_until(lambda: reader.count > 0, "reads are answered", WAIT_S)
        self.pause(BEFORE_CUT_S)
        assert not any("listening" in line for line in standby.lines[standby.run_from:]), \
            "the standby did not wait"
        efs("cut", owner.client)
        cut_ms = now_ms()
        standby.wait_takeover()
        served_ms = now_ms()
        heals_first = self.random.random() < 0.5
        if heals_first:
            efs("heal", owner.client)
        loads.append(self.load(standby))
        self.pause(SECOND_LOAD_S if heals_first else BEFORE_HEAL_S)
        if not heals_first:
            efs("heal", owner.client)
        code = owner.wait(WAIT_S)
        reader.finish()
        self.judge(owner, code, loads[0], reader, cut_ms, served_ms)
        self.pause(SECOND_LOAD_S)
        self.end(standby, loads)
        note(f"round {number}: client {standby.client} served {self.served_after_s[-1]:.1f} s after "
             f"the cut, the old owner's last answer was {self.silent_after_s[-1]:.1f} s after it, "
             f"healed {'before' if heals_first else 'after'} the second load began; "
             f"{len(loads[0].acknowledged())} + {len(loads[1].acknowledged())} acknowledged")

    def judge(self, owner, code, load, reader, cut_ms, served_ms):
        """The old owner, which has ended."""
        load.finish()
        last_ms = max(load.acknowledged()[-1], reader.answered_ms)
        self.served_after_s.append((served_ms - cut_ms) / 1000)
        self.silent_after_s.append((last_ms - cut_ms) / 1000)
        assert code == EXIT_STORAGE, f"it ended with {code}:\n{owner.log()}"
        assert len(owner.errors()) == 1, f"not one line of why:\n{owner.log()}"
        assert last_ms <= cut_ms + LEASE_S * 1000 + NOTED_LATE_MS, \
            f"the owner answered {self.silent_after_s[-1]:.1f} s after it was cut off"
        assert last_ms <= served_ms, "two owners answered at the same time"

    def end(self, store, loads):
        """The new owner is stopped while it is changed, and everything is looked at."""
        assert store.terminate(WAIT_S) == 0, store.log()
        loads[1].finish()
        store.verify()
        store.start()
        self.checked = check(store, self.logs)
        assert store.terminate(WAIT_S) == 0, store.log()
        store.verify()

    def run(self, rounds):
        begin = time.monotonic()
        try:
            for number in range(1, rounds + 1):
                self.round(number)
        except BaseException:
            for member in self.members:
                print(member.log(), flush=True)
            raise
        finally:
            for member in self.members:
                if member.is_running():
                    efs("heal", member.client)  # what waits for the storage cannot be killed
                    member.kill()
                member.clean_up()
        figure(f"takeover: {rounds} rounds, checked {self.checked} acknowledgements of both owners: "
               f"all there; served {min(self.served_after_s):.1f} to "
               f"{max(self.served_after_s):.1f} s after the cut, {time.monotonic() - begin:.0f} s")


def main():
    parser = argparse.ArgumentParser(prog="takeover")
    parser.add_argument("--bin", required=True)
    parser.add_argument("--work", default="/tmp")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    note(f"seed {options.seed}")
    efs("lease", LEASE_S)
    Takeover(options).run(options.rounds)


if __name__ == "__main__":
    sys.exit(main())
