"""The servers of a comparison: how each is started, found to be ready, watched and ended.

Each is a process of its own on a free loopback port, in a fresh directory, ended by its id. Options
are the ones shipped; what differs is in KINDS, is printed when it starts and is kept in the results.
"""

import contextlib
import dataclasses
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from harness import machine

sys.path.insert(0, str(machine.ROOT / "tests" / "support"))

import native  # noqa: E402
from processes import die_with_parent, wait_until  # noqa: E402

READY_S_MAX = 300  # a server may have millions of sessions to load
QUIET_WINDOW_S = 0.1
QUIET_SHARE = 0.05  # of a core: more than servers need when nobody asks them anything
QUIET_S_MAX = 30
PORT_ATTEMPTS = 5
MEMORY_SHIPPED = 1 << 30  # satcheld's --memory


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

    def is_settled(self):
        """Nothing that was asked of it is left to be done."""
        return True

    def version(self):
        return machine.first_line(self.path, "--version")

    def tidy(self):
        """Puts its files into the order in which they are in the long run."""

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

    def wait_quiet(self):
        """Until it has done what it put off: checkpoints, syncs. Then the next server has the core
        for itself, and all that the load has cost is on this one's account. Returns what share of a
        core it needs when nobody asks it anything."""
        end = time.monotonic() + QUIET_S_MAX
        while time.monotonic() < end:
            before, at = self.cpu_s(), time.monotonic()
            time.sleep(QUIET_WINDOW_S)
            share = (self.cpu_s() - before) / (time.monotonic() - at)
            if share < QUIET_SHARE and self.is_settled():
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


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class NullServer(Server):
    program = "null_server"

    def arguments(self):
        return ["127.0.0.1:0", *self.options]

    def find_address(self):
        match = re.search(r"^(\d+)$", Path(self.log_path).read_text(encoding="utf-8"), re.M)
        return match and f"127.0.0.1:{match[1]}"

    def version(self):
        return "of this commit"


class Satcheld(Server):
    program = "satcheld"
    ops = None

    def arguments(self):
        run = os.path.join(self.directory, "run")
        os.makedirs(run, exist_ok=True)
        return ["--data", self.data, "--run-dir", run, "--listen", "127.0.0.1:0",
                "--ops", "127.0.0.1:0", *self.options]

    def find_address(self):
        match = re.search(r"\blistening listen=(\S+) ops=(\S+)",
                          Path(self.log_path).read_text(encoding="utf-8"))
        if match:
            self.ops = match[2]
        return match and match[1]

    def is_ready(self):
        with native.Connection(self.address) as conn:
            return conn.ask(native.GET, native.tag(native.ID, b"ready?")).status in (
                native.OK, native.NOT_FOUND)

    def is_settled(self):
        try:
            with urllib.request.urlopen(f"http://{self.ops}/metrics", timeout=10) as answer:
                text = answer.read().decode()
        except urllib.error.URLError as error:
            raise Failed(f"{self.kind.name}: no metrics from {self.ops}: {error}") from None
        return re.search(r"^satchel_dirty_sessions 0$", text, re.M) is not None


class Redis(Server):
    program = "redis-server"
    package = "redis-server"
    protocol = "resp"
    port = None

    def arguments(self):
        self.port = free_port()
        return ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", self.data,
                "--save", "", *self.options]

    def find_address(self):
        text = Path(self.log_path).read_text(encoding="utf-8", errors="replace")
        if "Ready to accept connections" in text or "oading" in text or "Server initialized" in text:
            try:
                socket.create_connection(("127.0.0.1", self.port), 10).close()
            except ConnectionRefusedError:
                return None
            return f"127.0.0.1:{self.port}"
        return None

    def ask(self, *words):
        """One command; the bytes of the answer as they came."""
        with socket.create_connection(("127.0.0.1", self.port), 30) as conn:
            conn.sendall((" ".join(words) + "\r\n").encode())
            return conn.recv(1 << 16)

    def is_ready(self):
        return self.ask("PING") == b"+PONG\r\n"

    def is_settled(self):
        told = self.ask("INFO", "persistence")
        return b"aof_rewrite_in_progress:1" not in told and b"rdb_bgsave_in_progress:1" not in told

    def shown_command(self):
        return super().shown_command().replace(f"--port {self.port}", "--port PORT")

    def version(self):
        return " ".join(super().version().split()[:3]).replace("v=", "")

    def tidy(self):
        """Rewrites its append-only file, with an RDB preamble: it would by itself when the file has
        doubled, but while it measures that is off, to its advantage."""
        if "yes" in self.kind.options:
            self.ask("BGREWRITEAOF")
            self.wait(self.is_settled, "its append-only file is rewritten")


class Memcached(Server):
    program = "memcached"
    package = "memcached"
    protocol = "memcache"

    def __init__(self, *args):
        super().__init__(*args)
        self.port_path = os.path.join(self.directory, "port")
        self.environment["MEMCACHED_PORT_FILENAME"] = self.port_path

    def arguments(self):
        as_root = ["-u", "root"] if os.geteuid() == 0 else []
        return ["-l", "127.0.0.1", "-p", "-1", "-U", "0", *as_root, *self.options]

    def find_address(self):
        try:
            text = Path(self.port_path).read_text(encoding="ascii")
        except FileNotFoundError:
            return None
        match = re.search(r"TCP INET: (\d+)\n", text)
        return match and f"127.0.0.1:{match[1]}"


AOF = ("--appendonly", "yes", "--auto-aof-rewrite-percentage", "0", "--appendfsync")
ONE_WORKER = ("--workers", "1")

KINDS = {kind.name: kind for kind in (
    Kind("null", "null server", NullServer, keeps=False),
    Kind("satchel-fast", "Satchel, fast acks", Satcheld, ONE_WORKER, (("ack", "fast"),)),
    Kind("satchel-durable", "Satchel, durable acks", Satcheld, ONE_WORKER, (("ack", "durable"),)),
    Kind("satchel-2-workers", "Satchel, 2 workers", Satcheld, ("--workers", "2"),
         (("ack", "fast"),)),
    Kind("satchel-idle", "Satchel, with idle connections", Satcheld, ONE_WORKER,
         (("ack", "fast"),)),
    Kind("redis-no-aof", "redis, no AOF", Redis, ("--appendonly", "no")),
    Kind("redis-everysec", "redis, everysec", Redis, (*AOF, "everysec")),
    Kind("redis-always", "redis, always", Redis, (*AOF, "always")),
    Kind("memcached", "memcached -t 1", Memcached, ("-t", "1", "-m", "4096", "-c", "20000")),
)}


def make(name, programs, parent, cores, data_parent=None, memory_bytes=0):
    """The server of that name, not started; Missing where its program is not there. It keeps
    `memory_bytes` of sessions in memory where as it is shipped it would not."""
    kind = KINDS[name]
    server = kind.server(kind, programs, parent, cores, data_parent)
    if memory_bytes > MEMORY_SHIPPED and isinstance(server, Satcheld):
        server.options += ("--memory", str(memory_bytes))
    return server
