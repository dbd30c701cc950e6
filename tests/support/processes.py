"""Starting and ending the project's programs in tests.

Every program listens on a port that the kernel chose and says so in its log; after that a restart
uses the same port, as a real one would. Nothing sleeps for luck: what a test waits for is a line in
the log, an exit, or a condition, each with a deadline.

    with Satcheld(path) as store, Cart(path, store.address) as shop:
        store.kill()
        store.start()
"""

import ctypes
import http.client
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

DEADLINE_S = 30  # generous: a loaded machine and sanitizers must not fail a test
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


def wait_until(condition, what, deadline_s=DEADLINE_S, pause_s=0.02):
    """Waits until condition() is true and returns its value; fails with `what` at the deadline."""
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"after {deadline_s} s still not true: {what}")
        time.sleep(pause_s)


def die_with_parent():
    """In the child: ends it when the test ends, however that comes about."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def states_of_threads(pid):
    """A letter for each, see proc(5)."""
    states = []
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{thread}/stat", encoding="ascii") as stat:
                states.append(stat.read().rpartition(")")[2].split()[0])
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
    return states


def freeze(process):
    """SIGSTOP to a child, and waits until it has arrived: the first thread that takes it stops the
    others, and on a busy machine that may be a while, in which they go on."""
    process.send_signal(signal.SIGSTOP)
    wait_until(lambda: set(states_of_threads(process.pid)) <= set("TZ"),
               f"process {process.pid} is stopped", pause_s=0.001)


class Program:
    """One program and its log. Starts anew after it ended; not for use by several threads."""

    def __init__(self, name):
        self.name = name
        self.environment = {}  # on top of ours
        self.output = subprocess.DEVNULL  # where standard output goes
        self.process = None
        self.lines = []  # of standard error, of all runs
        self.run_from = 0  # where in `lines` the present run begins
        self.changed = threading.Condition()
        self.reader = None

    def launch(self, command):
        assert not self.is_running(), f"{self.name} is running already"
        self.run_from = len(self.lines)
        self.process = subprocess.Popen(  # pylint: disable=subprocess-popen-preexec-fn
            command, stdin=subprocess.DEVNULL, stdout=self.output,
            stderr=subprocess.PIPE, text=True, errors="replace", preexec_fn=die_with_parent,
            env={**os.environ, **self.environment})
        self.follow(self.process.stderr)

    def follow(self, stream):
        """Takes the lines of the present run from there."""
        self.reader = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self.reader.start()

    def _read(self, stream):
        with stream:
            for line in stream:
                self.take_line(line.rstrip("\n"))

    def take_line(self, line):
        """Called with each line as it comes, on a thread of its own."""
        with self.changed:
            self.lines.append(line)
            self.changed.notify_all()

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def wait_for_line(self, pattern, deadline_s=DEADLINE_S):
        """Waits for a line of the present run that matches, and returns the match."""
        end = time.monotonic() + deadline_s
        at = self.run_from
        with self.changed:
            while True:
                for line in self.lines[at:]:
                    at += 1
                    match = re.search(pattern, line)
                    if match:
                        return match
                ended = not self.is_running() and not self.reader.is_alive()
                if (ended and at == len(self.lines)) or time.monotonic() > end:
                    why = "ended" if ended else f"waited {deadline_s} s"
                    raise AssertionError(f"{self.name}: no line with /{pattern}/ ({why}):\n"
                                         + self.log())
                self.changed.wait(0.05)

    def log(self):
        return "\n".join(f"  {self.name}: {line}" for line in self.lines)

    def wait(self, deadline_s=DEADLINE_S):
        """Waits for its end and returns the exit code (negative: the signal that ended it)."""
        try:
            code = self.process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} does not end:\n{self.log()}") from None
        self.reader.join(deadline_s)
        return code

    def kill(self):
        """SIGKILL: the end that nobody can prepare for."""
        self.process.send_signal(signal.SIGKILL)
        return self.wait()

    def freeze(self):
        """SIGSTOP; none of its threads does anything any more."""
        freeze(self.process)

    def thaw(self):
        """SIGCONT."""
        self.process.send_signal(signal.SIGCONT)

    def terminate(self, deadline_s=DEADLINE_S):
        """SIGTERM; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait(deadline_s)

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            if self.is_running():
                self.kill()
            self.clean_up()
            raise
        return self

    def __exit__(self, kind, value, trace):
        try:
            if self.is_running():
                if kind is None:
                    code = self.terminate()
                    assert code == 0, f"{self.name} ended with {code}:\n{self.log()}"
                else:
                    self.kill()
        finally:
            if self.is_running():
                self.kill()
            if kind is not None:
                print(self.log(), file=sys.stderr)
            self.clean_up()

    def start(self):
        raise NotImplementedError

    def clean_up(self):
        """Removes what the program left behind."""


class Satcheld(Program):
    """The store. Keeps its data directory and its port from one start to the next."""

    def __init__(self, binary, *options):
        super().__init__("satcheld")
        self.binary = binary
        self.options = options
        self.directory = tempfile.mkdtemp(prefix="satchel-test-")
        self.data = os.path.join(self.directory, "data")
        self.run = os.path.join(self.directory, "run")
        os.mkdir(self.data)
        os.mkdir(self.run)
        self.address = "127.0.0.1:0"
        self.ops = "127.0.0.1:0"

    def start(self, deadline_s=DEADLINE_S):
        """Starts it and waits until it serves."""
        self.start_loading()
        self.wait_for_line(r"\bserving\b", deadline_s)

    def command(self, *more):
        return [self.binary, "--data", self.data, "--run-dir", self.run,
                "--listen", self.address, "--ops", self.ops, *self.options, *more]

    def start_loading(self):
        """Starts it and waits until it listens; it may not serve yet."""
        self.launch(self.command())
        match = self.wait_for_line(r"\blistening listen=(\S+) ops=(\S+)")
        self.address, self.ops = match.groups()

    def memory_kib(self, name="VmRSS"):
        """A figure of /proc/PID/status."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith(name + ":"))

    def ask_ops(self, path):
        """GET on the ops port: the status and the text."""
        connection = http.client.HTTPConnection(self.ops, timeout=DEADLINE_S)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def metric(self, name):
        """A value of /metrics; `name` includes the labels."""
        for line in self.ask_ops("/metrics")[1].splitlines():
            if line.startswith(name + " "):
                return float(line.rsplit(" ", 1)[1])
        raise AssertionError(f"no metric {name}")

    def clean_up(self):
        shutil.rmtree(self.directory, ignore_errors=True)


class Cart(Program):
    """One web task of the example shop. Keeps its port from one start to the next."""

    def __init__(self, binary, store_address, *options, name="cart"):
        super().__init__(name)
        self.binary = binary
        self.store_address = store_address
        self.options = options
        self.address = "127.0.0.1:0"

    def start(self):
        self.launch([self.binary, "--listen", self.address, "--store", self.store_address,
                     *self.options])
        self.address = self.wait_for_line(r"\blistening listen=(\S+)").group(1)

    @property
    def url(self):
        return f"http://{self.address}"
