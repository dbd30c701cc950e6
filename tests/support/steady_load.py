"""One client that changes sessions at a steady rate and knows what it was told.

    load = SteadyLoad(store.address, rate_hz=200)
    with load:
        with load.phase("control"):
            wait(10)
        …
    load.model()                # what has to be there
    load.latencies_s("control")

Requests begin when they are due, whatever became of the one before, and a latency counts from then:
a store that stops answering for a second is seen by all that were due in it. There is one change at
a time, so the order in which they were made is known.
"""

import contextlib
import os
import random
import threading
import time
from dataclasses import dataclass

import native

FIRST_BYTES, LAST_BYTES = 20, 400  # of a value
DELETES = 0.1  # of all changes


@dataclass(frozen=True)
class Change:
    """One that was acknowledged. Times are those of the wall clock."""

    lsn: int
    key: bytes
    value: bytes | None  # None: deleted
    sent_s: float
    told_s: float


class Yardstick:
    """What the machine itself does to somebody who writes a little and syncs it, at the rate of a load:
    beside its figures those of the load can be judged however busy the machine is."""

    def __init__(self, load, directory):
        self.load = load
        self.path = os.path.join(directory, "yardstick")
        self.timed = []  # (phase of the load, latency) of each
        self.thread = threading.Thread(target=self._run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, value, trace):
        self.load.stopping.set()
        self.thread.join()

    def latencies_s(self, name):
        return sorted(latency for phase, latency in list(self.timed) if phase == name)

    def _run(self):
        due_s = time.monotonic()
        with open(self.path, "wb", buffering=0) as file:
            while not self.load.stopping.is_set():
                name = self.load.name
                file.write(bytes(LAST_BYTES))
                os.fdatasync(file.fileno())
                self.timed.append((name, time.monotonic() - due_s))
                due_s += 1 / self.load.rate_hz
                time.sleep(max(due_s - time.monotonic(), 0))


def percentile(sorted_values, share):
    return sorted_values[min(int(len(sorted_values) * share), len(sorted_values) - 1)]


class SteadyLoad:
    """Runs from `with` to its end, or until the store breaks the connection. Its members are read
    after that; phases are begun by another thread than its own."""

    def __init__(self, address, rate_hz=200, sessions=2000, seed=1, prefix=b"k", after=None,
                 may_be_cut=False, token=None):
        """`after`: the load of an earlier run of the same store, whose changes come first. What had
        no answer then is looked up. `may_be_cut`: the store may go before the load does.
        `token`: the store's, bytes."""
        self.address = address
        self.rate_hz = rate_hz
        self.may_be_cut = may_be_cut
        self.token = token
        self.dice = random.Random(seed)
        self.keys = [b"%b%d" % (prefix, n) for n in range(sessions)]
        self.present = {}  # the model
        self.changes = []  # in their order
        self.unanswered = None  # (key, value, sent_s) of a change that may have been made
        self.timed = []  # (phase, latency) of each
        if after is not None:
            self.present, self.changes = dict(after.present), list(after.changes)
            self.unanswered = after.unanswered
        self.name = "before"
        self.stopping = threading.Event()
        self.failure = None
        self.thread = threading.Thread(target=self._run)

    def __enter__(self):
        self.connection = native.Connection(self.address, token=self.token, deadline_s=120)
        if self.unanswered is not None:
            self._settle(*self.unanswered)
        self.thread.start()
        return self

    def __exit__(self, kind, value, trace):
        self.stop()

    def stop(self):
        self.stopping.set()
        self.thread.join()
        self.connection.socket.close()
        if self.failure is not None:
            raise self.failure

    @contextlib.contextmanager
    def phase(self, name):
        """What is due meanwhile belongs to it."""
        self.name = name
        try:
            yield
        finally:
            self.name = "between"

    def latencies_s(self, name):
        """Of all changes that were due in a phase, sorted."""
        return sorted(latency for phase, latency in list(self.timed) if phase == name)

    def model(self, count=None):
        """What is there after the first `count` changes (None: all): {key: value}."""
        if count is None:
            return dict(self.present)
        present = {}
        for change in self.changes[:count]:
            present[change.key] = change.value
        return {key: value for key, value in present.items() if value is not None}

    def _settle(self, key, value, sent_s):
        """A change that got no answer, because the store was killed, was made or not."""
        if self.connection.get(key) == value:
            self._note(Change(self.changes[-1].lsn + 1, key, value, sent_s, time.time()))
        self.unanswered = None

    def _note(self, change):
        self.changes.append(change)
        if change.value is None:
            self.present.pop(change.key, None)
        else:
            self.present[change.key] = change.value

    def _run(self):
        try:
            due_s = time.monotonic()
            while not self.stopping.is_set():
                name = self.name
                self._change()
                self.timed.append((name, time.monotonic() - due_s))
                due_s += 1 / self.rate_hz
                time.sleep(max(due_s - time.monotonic(), 0))
        except OSError as why:
            if not self.stopping.is_set() and not self.may_be_cut:
                self.failure = why
        except AssertionError as why:
            self.failure = why

    def _change(self):
        key = self.dice.choice(self.keys)
        value = None
        if key not in self.present or self.dice.random() >= DELETES:
            count = self.dice.randrange(FIRST_BYTES, LAST_BYTES)
            value = b"%d " % len(self.changes) + self.dice.randbytes(count)
        sent_s = time.time()
        self.unanswered = (key, value, sent_s)
        if value is None:
            reply = self.connection.ask(native.DELETE, native.tag(native.ID, key))
        else:
            reply = self.connection.ask(native.SET, native.tag(native.ID, key)
                                        + native.tag(native.VALUE, value))
        if reply is None:
            raise ConnectionError("the store has closed the connection")
        assert reply.status == native.OK, f"{key} was answered with {reply.status}"
        # A DELETE does not tell its lsn; nobody else changes anything.
        lsn = reply.number(native.VERSION) if value is not None else self.changes[-1].lsn + 1
        self._note(Change(lsn, key, value, sent_s, time.time()))
        self.unanswered = None
