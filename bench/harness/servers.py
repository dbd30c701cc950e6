"""The servers of a comparison: how each program is called, and in which ways.

Options are the ones shipped; what differs is in KINDS, is printed when a server starts and is kept in
the results.
"""

import os
import re
import signal
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path

from harness.server import Failed, Kind, Server

import native  # tests/support, found through harness.server

POLL_S = 0.02  # between two looks at what a checkpoint has left
MEMORY_SHIPPED = 1 << 30  # satcheld's --memory
KEYS_SHIPPED = 100000  # satchel-bench's --keys


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class NullServer(Server):
    program = "null_server"

    def arguments(self):
        return ["--listen", "127.0.0.1:0", *self.options]

    def find_address(self):
        match = re.search(r"^(\d+)$", Path(self.log_path).read_text(encoding="utf-8"), re.M)
        return match and f"127.0.0.1:{match[1]}"

    def version(self):
        return "of this commit"


class FloorServer(NullServer):
    """The null server with the least of a store (bench/micro/floor.h)."""

    sessions = KEYS_SHIPPED  # its index has room for these, and is as large as they need

    def arguments(self):
        return [*super().arguments(), "--floor-sessions", str(self.sessions)]


class Satcheld(Server):
    program = "satcheld"
    puts_off = True
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

    def write_back(self):
        """A checkpoint: it would write one by itself every few minutes, or megabytes."""
        os.kill(self.pid, signal.SIGUSR1)
        self.wait(self.has_written, "its checkpoint is written")

    def has_written(self):
        time.sleep(POLL_S)
        return self.metric("satchel_dirty_sessions") == 0

    def metric(self, name):
        """A gauge or counter as the server tells it."""
        try:
            with urllib.request.urlopen(f"http://{self.ops}/metrics", timeout=10) as answer:
                text = answer.read().decode()
        except urllib.error.URLError as error:
            raise Failed(f"{self.kind.name}: no metrics from {self.ops}: {error}") from None
        found = re.search(rf"^{name} (\d+)$", text, re.M)
        if not found:
            raise Failed(f"{self.kind.name} has no metric {name}")
        return int(found[1])


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

    def has_rewritten(self):
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
            self.wait(self.has_rewritten, "its append-only file is rewritten")


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
TWO_WORKERS = ("--workers", "2")

KINDS = {kind.name: kind for kind in (
    Kind("null", "null server", NullServer, ONE_WORKER, keeps=False),
    Kind("null-2-workers", "null server, 2 workers", NullServer, TWO_WORKERS, keeps=False),
    Kind("floor", "floor server", FloorServer, ONE_WORKER),
    Kind("floor-2-workers", "floor server, 2 workers", FloorServer, TWO_WORKERS),
    Kind("satchel-fast", "Satchel, fast acks", Satcheld, ONE_WORKER, (("ack", "fast"),)),
    Kind("satchel-durable", "Satchel, durable acks", Satcheld, ONE_WORKER, (("ack", "durable"),)),
    Kind("satchel-resp-fast", "Satchel, Redis protocol, fast acks", Satcheld,
         (*ONE_WORKER, "--ack", "fast")),
    Kind("satchel-2-workers", "Satchel, 2 workers", Satcheld, TWO_WORKERS, (("ack", "fast"),)),
    Kind("satchel-idle", "Satchel, with idle connections", Satcheld, ONE_WORKER,
         (("ack", "fast"),)),
    Kind("satchel-backup", "Satchel with backups", Satcheld, ONE_WORKER, (("ack", "durable"),)),
    Kind("satchel-snapshot", "Satchel, snapshot under way", Satcheld, ONE_WORKER,
         (("ack", "durable"),)),
    Kind("redis-no-aof", "redis, no AOF", Redis, ("--appendonly", "no")),
    Kind("redis-everysec", "redis, everysec", Redis, (*AOF, "everysec")),
    Kind("redis-always", "redis, always", Redis, (*AOF, "always")),
    Kind("memcached", "memcached -t 1", Memcached, ("-t", "1", "-m", "4096", "-c", "20000")),
)}


def make(name, programs, parent, cores, data_parent=None, memory_bytes=0, sessions=KEYS_SHIPPED):
    """The server of that name, not started; Missing where its program is not there. It keeps
    `memory_bytes` of sessions in memory where as it is shipped it would not. `sessions`: how many
    it will be given; only the floor server has to be told."""
    kind = KINDS[name]
    server = kind.server(kind, programs, parent, cores, data_parent)
    if memory_bytes > MEMORY_SHIPPED and isinstance(server, Satcheld):
        server.options += ("--memory", str(memory_bytes))
    if isinstance(server, FloorServer):
        server.sessions = sessions
    return server
