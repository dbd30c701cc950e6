"""What the real object stores of the tests have in common: their processes, ports and interface.

radosgw.py and swift.py start servers that Debian packages, each a handful of processes on loopback
with all their files in one directory. A test sees one ObjectServer and need not know which it is:

    with Radosgw(directory) as server:
        server.make_bucket("backup")
        server.client().put("backup", "key", b"value")
        server.pause()                  # the gateway hears nothing until resume()

Everything ends with `with`, and in any case with the thread that entered it: that should be the
main one.
"""

import contextlib
import os
import random
import signal
import socket
import subprocess
import time
import unittest
from pathlib import Path

from processes import die_with_parent, freeze, wait_until
from sigv4 import Client, Credentials

START_DEADLINE_S = 120  # of one part: a cold disk and a busy machine must not fail a test
STOP_DEADLINE_S = 5
TAIL_LINES = 20
# Below the ports that the kernel hands out, and above those that a ceph OSD takes by itself.
PORTS = range(20000, 32768)


class NotStarted(Exception):
    """A part did not come up; the message ends with its last log lines."""


@contextlib.contextmanager
def reserved_ports(count):
    """Ports on loopback for servers that must be told one, each given to one `with` at a time.

    Nothing listens on them yet, and the kernel gives none of them to others by itself. Tests that
    run at the same time keep apart by a name in the abstract socket namespace, which is as wide as
    that of the ports and goes with the process.
    """
    with contextlib.ExitStack() as held:
        ports = []
        for port in random.sample(PORTS, len(PORTS)):
            if len(ports) == count:
                break
            name = held.enter_context(socket.socket(socket.AF_UNIX))
            with socket.socket() as probe:
                try:
                    name.bind(f"\0satchel-test-port-{port}")
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
            ports.append(port)
        if len(ports) < count:
            raise NotStarted(f"there are no {count} free ports from {PORTS[0]} to {PORTS[-1]}")
        yield ports


def answers(port):
    """True when something accepts connections there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def demand_programs(packages):
    """Skips the test where a program is missing. `packages`: {path: Debian package}."""
    missing = [package for path, package in packages.items() if not os.path.exists(path)]
    if missing:
        raise unittest.SkipTest("not installed: " + " ".join(missing))


class Daemon:
    """One process in the foreground, whose output goes to NAME.log. It can be started again."""

    def __init__(self, name, command, directory, environment=None):
        """`environment` is added to the present one."""
        self.name = name
        self.command = command
        self.directory = directory
        self.environment = {**os.environ, **(environment or {})}
        self.log_path = Path(directory) / f"{name}.log"
        self.process = None

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(  # pylint: disable=subprocess-popen-preexec-fn
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory,
                env=self.environment, preexec_fn=die_with_parent)

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def tail(self):
        """Its end, if it came, and its last log lines."""
        state = "runs" if self.is_running() else f"ended with {self.process.returncode}"
        lines = self.log_path.read_text(errors="replace").splitlines()[-TAIL_LINES:]
        return "\n".join([f"{self.name} {state}; the end of {self.log_path}:", *lines])

    def stop(self, deadline_s=STOP_DEADLINE_S):
        """SIGTERM, and SIGKILL for one that does not hear it in time."""
        if self.is_running():
            self.process.terminate()
            self.process.send_signal(signal.SIGCONT)
            try:
                self.process.wait(deadline_s)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def memory_kib(self):
        """Resident memory."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))


class ObjectServer:
    """A running S3-compatible server. Subclasses start `daemons`, the gateway last."""

    region = "us-east-1"
    access_key = None
    secret_key = None
    start_s = None  # how long the start took

    def __init__(self, directory):
        """`directory` exists and is the server's alone; its files stay there for the caller."""
        self.directory = os.path.abspath(directory)
        self.daemons = []  # in the order of their start
        self.gateway = None  # the one of them that speaks S3
        self.endpoint = None
        self.held = contextlib.ExitStack()

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def write(self, name, text):
        """Writes a file into the directory and returns its path."""
        Path(self.path(name)).write_text(text, encoding="ascii")
        return self.path(name)

    def run(self, *command, environment=None):
        """Runs a program to its end and returns what it said."""
        try:
            return subprocess.run(command, cwd=self.directory, capture_output=True, text=True,
                                  errors="replace", timeout=START_DEADLINE_S, check=True,
                                  stdin=subprocess.DEVNULL,
                                  env={**os.environ, **(environment or {})}).stdout
        except subprocess.SubprocessError as reason:
            said = f"{reason.stdout or ''}{reason.stderr or ''}"
            logs = "\n".join(daemon.tail() for daemon in self.daemons)
            raise NotStarted(f"{reason}\n{said}\n{logs}") from None

    def launch(self, name, *command, environment=None):
        daemon = Daemon(name, command, self.directory, environment)
        self.daemons.append(daemon)
        daemon.start()
        return daemon

    def wait_until(self, condition, what):
        """Waits for a condition that only running processes can bring about."""
        def ended():
            return [daemon for daemon in self.daemons if not daemon.is_running()]
        try:
            wait_until(lambda: condition() or ended(), what, START_DEADLINE_S)
        except AssertionError as reason:
            logs = "\n".join(daemon.tail() for daemon in self.daemons)
            raise NotStarted(f"{reason}\n{logs}") from None
        if ended():
            logs = "\n".join(daemon.tail() for daemon in ended())
            raise NotStarted(f"waited for this: {what}\n{logs}")

    def __enter__(self):
        begin_s = time.monotonic()
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        self.start_s = time.monotonic() - begin_s
        return self

    def __exit__(self, kind, value, trace):
        dead = [daemon.tail() for daemon in self.daemons
                if not daemon.is_running() and daemon is not self.gateway]
        self.stop()
        assert not dead, "ended by itself: " + "\n".join(dead)

    def start(self):
        """Starts `daemons`, sets `gateway` and `endpoint`, and waits until all of it serves."""
        raise NotImplementedError

    def stop(self):
        """Ends the processes in the reverse order of their start."""
        for daemon in reversed(self.daemons):
            daemon.stop()
        self.held.close()

    def client(self, credentials=None, endpoint=None, **options):
        """A client of the server, with its own credentials unless told others. `endpoint`: of a
        proxy before it; `options` are those of sigv4.Client."""
        own = Credentials(self.access_key, self.secret_key)
        return Client(endpoint or self.endpoint, credentials or own, region=self.region, **options)

    def make_bucket(self, name):
        self.client().make_bucket(name)

    def memory_kib(self):
        """Resident memory of each process: {name: KiB}."""
        return {daemon.name: daemon.memory_kib() for daemon in self.daemons}

    def pause(self):
        """Stops the gateway's process: connections are accepted by the kernel, and then nothing."""
        freeze(self.gateway.process)

    def resume(self):
        self.gateway.process.send_signal(signal.SIGCONT)

    def stop_gateway(self):
        """Ends the gateway: connections are refused. What was stored stays."""
        self.gateway.stop()

    def start_gateway(self):
        """Starts the gateway again on the same port and waits until it serves."""
        self.gateway.start()
        self.wait_for_gateway()

    def wait_for_gateway(self):
        """Returns when the gateway serves requests."""
        raise NotImplementedError
