"""One server process: started, found to be ready, watched, and ended by its id.

It listens on a free loopback port and keeps its data in a fresh directory. What is particular to
each program is in servers.py.
"""

import contextlib
import dataclasses
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import machine

sys.path.insert(0, str(machine.ROOT / "tests" / "support"))

from processes import die_with_parent, wait_until  # noqa: E402

READY_S_MAX = 300  # a server may have millions of sessions to load
QUIET_WINDOW_S = 0.1
QUIET_SHARE = 0.05  # of a core: more than servers need when nobody asks them anything
QUIET_S_MAX = 30
PORT_ATTEMPTS = 5


class Missing(Exception):
    """A program is not there; the message is one line that says which and where it comes from."""


class Failed(Exception):
    """Something did not do what it was started for; the message says what, and shows its log."""


@dataclasses.dataclass(frozen=True)
class Kind:
    """One way to run a server."""

    name: str
    label: str  # in tables and plots
    server: type
    options: tuple = ()
    load: tuple = ()  # pairs: options of the load that belong to this server
    keeps: bool = True  # what is written can be read again

    def is_durable(self):
        return ("ack", "durable") in self.load or "always" in self.options


@dataclasses.dataclass(frozen=True)
class PutOff:
    """What it took a server to do what it had put off."""

    cpu_s: float
    wall_s: float


class Programs:
    """Where programs are: those of a build, then those of the system."""

    def __init__(self, directory):
        self.directory = Path(directory).resolve()

    def path(self, name, package=None):
        """Absolute path; Missing where there is none."""
        built = self.directory / name
        if built.exists():
            return str(built)
        found = shutil.which(name) if package else None
        if not found:
            raise Missing(f"{name} is not installed (package {package})" if package else
                          f"{built} is not built")
        return found


class Server:
    """One process; subclasses say how to call it. Use with `with`."""

    program = None
    package = None  # of Debian; None: it is the project's own
    protocol = "native"
    puts_off = False  # it journals changes first and writes them to their place later

    def __init__(self, kind, programs, parent, cores, data_parent=None):
        """`parent`: a directory for everything, but for the data if it has a `data_parent`."""
        self.kind = kind
        self.options = kind.options
        self.path = programs.path(self.program, self.package)
        self.directory = tempfile.mkdtemp(prefix=f"{kind.name}-", dir=parent)
        self.cores = cores
        self.environment = {}  # on top of ours
        self.data = tempfile.mkdtemp(prefix=f"{kind.name}-data-", dir=data_parent or parent)
        self.log_path = os.path.join(self.directory, "log")
        self.process = None
        self.arguments_given = []
        self.address = None

    # -- What subclasses say ---------------------------------------------------------------------

    def arguments(self):
        raise NotImplementedError

    def find_address(self):
        """HOST:PORT once it is known, None before."""
        raise NotImplementedError

    def is_ready(self):
        """It answers requests for what it has."""
        return True

    def version(self):
        return machine.first_line(self.path, "--version")

    def tidy(self):
        """Puts its files into the order in which they are in the long run."""

    def write_back(self):
        """Makes it write what it puts off, and waits for that."""

    # -- Life ------------------------------------------------------------------------------------

    def start(self):
        """Starts it and waits until it is ready; returns the seconds that took."""
        for attempt in range(PORT_ATTEMPTS):
            begin = time.monotonic()
            self.launch()
            try:
                self.address = self.wait(self.find_address, "it listens")
                break
            except Failed as error:
                # Somebody took the port between our looking and its binding.
                if "in use" not in str(error) or attempt + 1 == PORT_ATTEMPTS:
                    raise
        self.wait(self.is_ready, "it serves")
        return time.monotonic() - begin

    def launch(self):
        self.arguments_given = self.arguments()
        command = machine.prefix(self.cores) + [self.path, *self.arguments_given]
        with open(self.log_path, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(  # pylint: disable=subprocess-popen-preexec-fn
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                env={**os.environ, **self.environment}, preexec_fn=die_with_parent)

    def wait(self, condition, what):
        """wait_until() that notices when the server has ended."""
        def met():
            if self.process.poll() is not None:
                raise Failed(f"{self.kind.name} ended with {self.process.returncode}:\n{self.log()}")
            return condition()
        try:
            return wait_until(met, what, READY_S_MAX, 0.005)
        except AssertionError as error:
            raise Failed(f"{self.kind.name}: {error}\n{self.log()}") from None

    def log(self):
        try:
            text = Path(self.log_path).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return "\n".join("    " + line for line in text.splitlines()[-20:])

    def kill(self):
        """SIGKILL: the end that nobody can prepare for."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.data, ignore_errors=True)
        shutil.rmtree(self.directory, ignore_errors=True)

    # -- Watching --------------------------------------------------------------------------------

    @property
    def pid(self):
        return self.process.pid

    def cpu_s(self):
        """CPU time of all its threads so far, those that have ended left out."""
        total_ns = 0
        for task in os.listdir(f"/proc/{self.pid}/task"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                with open(f"/proc/{self.pid}/task/{task}/schedstat", encoding="ascii") as stat:
                    total_ns += int(stat.read().split()[0])
        return total_ns / 1e9

    def memory_bytes(self, name="VmRSS"):
        """A figure of /proc/PID/status."""
        with open(f"/proc/{self.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) * 1024 for line in status
                        if line.startswith(name + ":"))

    def settle(self):
        """Makes it do what it puts off until it has time for it, and says what that took."""
        idle_share = self.wait_quiet()
        before_s, begin = self.cpu_s(), time.monotonic()
        self.write_back()
        wall_s = time.monotonic() - begin
        return PutOff(max(0, self.cpu_s() - before_s - idle_share * wall_s), wall_s)

    def wait_quiet(self):
        """Until it does nothing. Then the next server has the core for itself, and all that the load
        has cost is on this one's account. Returns what share of a core it needs when nobody asks it
        anything."""
        end = time.monotonic() + QUIET_S_MAX
        while time.monotonic() < end:
            before, at = self.cpu_s(), time.monotonic()
            time.sleep(QUIET_WINDOW_S)
            share = (self.cpu_s() - before) / (time.monotonic() - at)
            if share < QUIET_SHARE:
                return share
        raise Failed(f"{self.kind.name} does not come to rest within {QUIET_S_MAX} s")

    def describe(self):
        """One line: what runs, how, where."""
        return f"{self.kind.name} on {self.address}, pid {self.pid}: {self.shown_command()}"

    def shown_command(self):
        """How it was called, but for what differs from run to run."""
        words = [self.program, *(word.replace(self.data, "DATA").replace(self.directory, "DIR")
                                 for word in self.arguments_given)]
        return " ".join(word or "''" for word in words)
