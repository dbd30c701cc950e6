#!/usr/bin/env python3
"""fences --bin DIR [--rounds N] [--seed N]: each fence between owners, alone.

An owner A is stopped in the middle of its work (SIGSTOP), B takes over, and A goes on without
knowing that it was replaced. Three fences keep it from doing harm; here each has to do so without
the other two, in builds that lack them:

  clock  satcheld_only_clock: no locks, no new files. A is stopped for longer than its lease. It
         acknowledges nothing more, answers no read and ends with 3 and one line; every
         acknowledgement that it ever gave is in B. Checkpoints are kept out of it: between looking
         at the clock and the commit of a data file that both write there is always a moment, which
         is what the other two are for.
  files  satcheld_only_files: no locks, no clock. A goes on for a while, checkpoints and new segments
         included, beside B. What B acknowledged is there, and what A had acknowledged before B
         began, at a third start as well; `satchel verify` finds nothing.

The locks alone are tested where a server can refuse something: cut.py, on NFS. Last the control:
satcheld_no_fence in both scenes, which has to lose or damage something, or this test sees nothing.
"""

import argparse
import collections
import concurrent.futures
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
# pylint: disable=wrong-import-position
import native
from processes import Satcheld, wait_until

LANES = 4  # rounds that run side by side: most of their time is waiting
LEASE_S = 1.5
EXIT_STORAGE = 3
WINDOW = 16  # changes under way on each connection
ENDED_S = 10  # more than enough for an owner that notices
ATTEMPTS = 10
HARM_ATTEMPTS = 40  # one harms in about every fourth


class Violation(Exception):
    """A fence did not hold."""


class TooSlow(Exception):
    """The machine was so slow that an owner was gone before its turn: the round says nothing."""


class Member(Satcheld):
    """One of the owners of a directory, as a task of its own would be: with its own run directory."""

    def __init__(self, name, binary, data, *options):
        super().__init__(binary, *options)
        self.name = name
        self.data = data

    def begin(self):
        """Starts it where that may fail, and be the very thing that is looked for."""
        try:
            self.start()
        except AssertionError as error:
            raise Violation(f"{self.name} does not start: {error}") from error

    def stop_running(self):
        self.freeze()
        if not self.is_running():
            raise Violation(f"{self.name} ended before it was stopped:\n{self.log()}")

    def end_in_order(self):
        code = self.terminate()
        if code != 0:
            raise Violation(f"{self.name} ended with {code}:\n{self.log()}")

    def errors(self):
        return [line for line in self.lines[self.run_from:] if " error " in line]


class Writer(threading.Thread):
    """Sets new sessions on one connection, many at a time; knows which were acknowledged."""

    def __init__(self, store, name):
        super().__init__(daemon=True)
        self.connection = native.Connection(store.address)
        self.name_of = name.encode()
        self.acknowledged = []  # only ever grows
        self.ending = threading.Event()
        self.start()

    def key(self, number):
        return self.name_of + b"-%d" % number

    def send(self, number):
        key = self.key(number)
        self.connection.send(native.frame(
            native.SET, native.tag(native.ID, key) + native.tag(native.VALUE, value_of(key)),
            request=number))

    def run(self):
        try:
            for number in range(1, WINDOW + 1):
                self.send(number)
            on_the_way = WINDOW
            while on_the_way > 0 and (reply := self.connection.take()) is not None:
                if reply.status == native.OK:
                    self.acknowledged.append(self.key(reply.request))
                if self.ending.is_set():
                    on_the_way -= 1
                else:
                    number += 1
                    self.send(number)
        except OSError:
            pass  # its store has ended
        self.connection.socket.close()

    def finish(self):
        """Sends nothing new and waits for what is on the way."""
        self.ending.set()
        self.join(30)
        assert not self.is_alive(), "changes were neither answered nor refused"


def value_of(key):
    return key * (1 + 600 // len(key))


def load(store, name):
    """Two writers, after the first acknowledgements of each."""
    writers = [Writer(store, f"{name}{number}") for number in range(2)]
    wait_until(lambda: all(len(writer.acknowledged) > WINDOW for writer in writers)
               or not store.is_running(), "changes are acknowledged")
    if not store.is_running():
        raise Violation(f"{store.name} ended under load:\n{store.log()}")
    return writers


def acknowledged(writers):
    return [key for writer in writers for key in list(writer.acknowledged)]


def missing(store, keys):
    """Those of the sessions that the store does not have as they were acknowledged."""
    lost = []
    with native.Connection(store.address) as connection:
        for at in range(0, len(keys), 200):
            part = keys[at:at + 200]
            connection.send(b"".join(native.frame(native.GET, native.tag(native.ID, key),
                                                  request=number)
                                     for number, key in enumerate(part)))
            for _ in part:
                reply = connection.take()
                if reply is None:
                    raise Violation(f"{store.name} ended while it was read:\n{store.log()}")
                key = part[reply.request]
                if reply.status != native.OK or reply.value != value_of(key):
                    lost.append(key)
    return lost


def expect_all(store, keys, whose):
    lost = missing(store, keys)
    if lost:
        raise Violation(f"{len(lost)} of {len(keys)} acknowledgements of {whose} are not in "
                        f"{store.name}, among them {lost[0].decode()}")


class Scene:
    """What both scenes share: a directory, its owners, and looking at what became of it."""

    options = ()

    def __init__(self, bin_dir, variant, seed):
        self.bin = bin_dir
        self.binary = os.path.join(bin_dir, f"satcheld_{variant}")
        self.random = random.Random(seed)
        self.directory = tempfile.mkdtemp(prefix="satchel-fences-")
        self.members = []
        self.checked = 0

    def member(self, name):
        member = Member(name, self.binary, os.path.join(self.directory, "data"), *self.options)
        self.members.append(member)
        return member

    def pause(self, least_s, most_s):
        """The random moments."""
        time.sleep(self.random.uniform(least_s, most_s))

    def verify(self):
        done = subprocess.run([os.path.join(self.bin, "satchel-store"), "verify",
                               os.path.join(self.directory, "data")], check=False, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode != 0:
            raise Violation(f"verify ended with {done.returncode}:\n{done.stdout}")

    def end(self, keys):
        """A third start has everything, and nothing is damaged."""
        third = self.member("C")
        third.begin()
        expect_all(third, keys, "A and B")
        self.checked += len(keys)
        third.end_in_order()
        self.verify()

    def run(self):
        try:
            self.play()
        except TooSlow:
            raise
        except Exception:
            if self.complains():
                for member in self.members:
                    print(member.log(), file=sys.stderr)
            raise
        finally:
            for member in self.members:
                if member.is_running():
                    member.kill()
                member.clean_up()
            shutil.rmtree(self.directory, ignore_errors=True)
        return self.checked

    def complains(self):
        return not self.binary.endswith("no_fence")

    def play(self):
        raise NotImplementedError


class ClockScene(Scene):
    options = ("--checkpoint-interval", "1h")

    def play(self):
        first, second = self.member("A"), self.member("B")
        first.options += ("--lease", f"{int(LEASE_S * 1000)}ms")
        first.begin()
        try:
            of_first = load(first, "a")
            key = of_first[0].acknowledged[0]
            reader = native.Connection(first.address)
            self.pause(0, 0.3)
            first.stop_running()
        except (Violation, AssertionError, OSError):
            if not first.is_running() and any("lease" in line for line in first.errors()):
                raise TooSlow("the storage did not answer A for as long as its lease") from None
            raise
        stopped_s = time.monotonic()
        second.begin()
        of_second = load(second, "b")
        # Asked while B is the owner: whatever A says to that is stale.
        reader.send(native.frame(native.GET, native.tag(native.ID, key)))
        time.sleep(max(0, stopped_s + LEASE_S - time.monotonic()))
        self.pause(0, 0.2)
        first.thaw()
        code = self.wait_end(first)
        for writer in of_first + of_second:
            writer.finish()
        keys = acknowledged(of_first)
        expect_all(second, keys, "A")
        if reader.take() is not None:
            raise Violation("A answered a read that came when it was no owner any more")
        reader.socket.close()
        if code != EXIT_STORAGE or len(first.errors()) != 1:
            raise Violation(f"A ended with {code}, not with 3 and one line:\n{first.log()}")
        second.end_in_order()
        self.verify()
        self.end(keys + acknowledged(of_second))

    @staticmethod
    def wait_end(first):
        """A notices by itself; the exit code, or None when it had to be killed."""
        end_s = time.monotonic() + ENDED_S
        while first.is_running() and time.monotonic() < end_s:
            time.sleep(0.02)
        if first.is_running():
            first.kill()
            return None
        return first.wait()


class FilesScene(Scene):
    # Everything that an owner does to files, many times in a second.
    options = ("--checkpoint-interval", "50ms", "--segment-bytes", "1m")

    def play(self):
        first, second = self.member("A"), self.member("B")
        before = self.earlier_owner() if self.random.random() < 0.5 else []
        first.begin()  # after an unclean end it renews the data file, perhaps just when it is stopped
        of_first = load(first, "a")
        self.pause(0, 0.3)
        first.stop_running()
        before += acknowledged(of_first)
        second.begin()
        of_second = load(second, "b")
        wait_until(lambda: second.metric("satchel_data_file_renewals_total") == 1
                   and second.metric("satchel_checkpoints_total") > 0,
                   "B has a data file of its own and a checkpoint in it")
        first.thaw()
        self.pause(0.1, 0.4)
        self.finish(first, second, of_second)
        for writer in of_first:
            writer.finish()
        self.end(before + acknowledged(of_second))

    def earlier_owner(self):
        earlier = self.member("the one before")
        earlier.begin()
        writers = load(earlier, "z")
        self.pause(0, 0.1)
        earlier.kill()
        for writer in writers:
            writer.finish()
        return acknowledged(writers)

    def finish(self, first, second, of_second):
        """Both end, in any order and any way."""
        def end(member):
            if not member.is_running():
                return  # A may have noticed: its segments' spare files are gone
            if self.random.random() < 0.5:
                member.kill()
            elif member is first:
                member.terminate()
            else:
                member.end_in_order()

        if self.random.random() < 0.5:
            end(first)
            self.pause(0, 0.1)
        if not second.is_running():
            raise Violation(f"B ended:\n{second.log()}")
        end(second)
        for writer in of_second:
            writer.finish()
        end(first)


class FilesControl(FilesScene):
    """Without any fence B makes no file of its own to be waited for."""

    def play(self):
        first, second = self.member("A"), self.member("B")
        first.begin()
        of_first = load(first, "a")
        first.stop_running()
        before = acknowledged(of_first)
        second.begin()
        of_second = load(second, "b")
        first.thaw()
        self.pause(0.3, 0.5)
        self.finish(first, second, of_second)
        for writer in of_first:
            writer.finish()
        self.end(before + acknowledged(of_second))


def expect_harm(make_scene, what):
    """The control: some round has to show it."""
    for attempt in range(HARM_ATTEMPTS):
        try:
            make_scene(attempt).run()
        except TooSlow:
            continue
        except Violation as violation:
            return f"{str(violation).splitlines()[0]} (round {attempt + 1})"
    raise AssertionError(f"without any fence nothing happened to {what}: this test would see nothing")


def main():
    parser = argparse.ArgumentParser(prog="fences")
    parser.add_argument("--bin", required=True, metavar="DIR")
    parser.add_argument("--rounds", type=int, default=10, help="of each scene")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    checked = collections.Counter()

    def play(kind, variant, number):
        try:
            for _ in range(ATTEMPTS):
                try:
                    scene = kind(options.bin, variant, f"{options.seed} {variant} {number}")
                    checked[variant] += scene.run()
                    return
                except TooSlow as slow:
                    print(f"round {number} of {variant} is repeated: {slow}", flush=True)
            raise AssertionError("the machine is too slow for this test")
        except Exception as error:
            raise AssertionError(f"round {number} of {variant}: {error}") from error

    with concurrent.futures.ThreadPoolExecutor(LANES) as pool:
        harms = {kind: pool.submit(
            expect_harm, lambda attempt, kind=kind: kind(
                options.bin, "no_fence", f"{options.seed} {kind.__name__} {attempt}"), what)
            for kind, what in ((ClockScene, "the acknowledgements"), (FilesControl, "the files"))}
        rounds = [pool.submit(play, kind, variant, number) for number in range(options.rounds)
                  for kind, variant in ((ClockScene, "only_clock"), (FilesScene, "only_files"))]
        for done in concurrent.futures.as_completed(rounds):
            done.result()
        for kind, harm in harms.items():
            print(f"  without any fence ({kind.__name__}): {harm.result()}")
    for variant, count in sorted(checked.items()):
        print(f"  {variant}: {options.rounds} rounds, {count} acknowledgements, all there")


if __name__ == "__main__":
    sys.exit(main())
