"""Snapshots under load, and restores: Satchel with backups to a real object store."""

import contextlib
import json
import os
import re
import shutil
import signal
import threading
import time
import unittest
import urllib.error
import urllib.request
from pathlib import Path

from harness import load, machine, servers, table
from harness.rounds import show
from harness.server import Failed

from radosgw import Radosgw  # tests/support, found through harness.server

BUCKET, PREFIX = "satchel", "bench"
SERIES = "backup"
WITHOUT, WITH = "satchel-backup", "satchel-snapshot"  # one server, at different times
RATE_PER_S = 10000
IN_FLIGHT = 16  # on each connection: a GET that arrives behind a SET does not wait for that

SESSIONS_FULL = 1000000  # with less where fewer keys are asked for
SECONDS_MIN = 5  # of a run: a snapshot of a million sessions takes some
SNAPSHOT_S_MAX = 300
RESTORE_S_MAX = 600
LOOK_S = 0.5  # seldom: looking takes processor time as well
MIX = table.MIXED


class Archive:
    """The gateway, on the cores of the load and behind it: else its work would look like latency. A
    niceness is not enough, for newer kernels leave a thread its core for milliseconds; nor is being
    idle, for the load has to go first: it is a real-time process where that is allowed."""

    def __init__(self, stack, directory, cores):
        mine = os.sched_getaffinity(0)
        path = os.path.join(directory, "s3")
        os.mkdir(path)
        os.sched_setaffinity(0, cores)  # which its processes inherit
        try:
            self.server = stack.enter_context(Radosgw(path))
        finally:
            os.sched_setaffinity(0, mine)
        for daemon in self.server.daemons:
            for task in os.listdir(f"/proc/{daemon.process.pid}/task"):
                os.sched_setscheduler(int(task), os.SCHED_IDLE, os.sched_param(0))
        self.server.make_bucket(BUCKET)

    def options(self):
        return ("--backup", f"s3://{BUCKET}/{PREFIX}", "--backup-endpoint", self.server.endpoint,
                "--backup-region", self.server.region, "--backup-path-style", "--restore", "auto",
                "--snapshot-interval", "0")

    def environment(self):
        return {"AWS_ACCESS_KEY_ID": self.server.access_key,
                "AWS_SECRET_ACCESS_KEY": self.server.secret_key}


class Snapshots(threading.Thread):
    """Has one taken after the other, until it is told to end; waits for the last one."""

    def __init__(self, server):
        super().__init__()
        self.server = server
        self.stopping = threading.Event()
        self.seconds = []  # that each took
        self.failure = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, value, trace):
        self.stopping.set()
        self.join()
        if self.failure is not None and kind is None:
            raise self.failure

    def run(self):
        try:
            while not self.stopping.is_set():
                self.seconds.append(take_snapshot(self.server))
        except (Failed, OSError) as why:
            self.failure = why


def snapshots_of(server):
    try:
        with urllib.request.urlopen(f"http://{server.ops}/backupz", timeout=10) as answer:
            return json.load(answer)["snapshots"]
    except urllib.error.URLError as error:
        raise Failed(f"/backupz of {server.ops}: {error}\n{server.log()}") from None


def take_snapshot(server):
    """Has one taken; the seconds until it is stored."""
    before = snapshots_of(server)
    begin = time.monotonic()
    os.kill(server.pid, signal.SIGUSR2)
    while (now := snapshots_of(server))["taken"] == before["taken"]:
        if now["failed"] > before["failed"] or time.monotonic() - begin > SNAPSHOT_S_MAX:
            raise Failed(f"no snapshot: {now['error']}\n{server.log()}")
        time.sleep(LOOK_S)
    return time.monotonic() - begin


def data_file_bytes(server):
    return sum(path.stat().st_size for path in Path(server.data).glob("data-*.mdb"))


def forget_peak(server):
    """VmHWM begins anew."""
    Path(f"/proc/{server.pid}/clear_refs").write_text("5", encoding="ascii")


def run_once(bench, server, sessions, seconds, number, cores):
    """One run of the load: figures of satchel-bench, the file and the memory."""
    forget_peak(server)
    before_s = server.cpu_s()
    told = load.run(bench.programs, server, {
        "keys": sessions, "value-bytes": table.VALUE_BYTES, "mix": MIX, "rate": RATE_PER_S,
        "seconds": seconds, "warmup": table.WARMUP_S, "seed": number, "preload": "no",
        "pipeline": IN_FLIGHT}, cores, realtime=machine.may_be_realtime())
    figures = load.figures(told, server.cpu_s() - before_s)
    return told, figures | {"memory_peak_bytes": server.memory_bytes("VmHWM"),
                            "data_file_bytes": data_file_bytes(server)}


def measure_rounds(bench, server, sessions, rounds, seconds, cores):
    for number in range(1, rounds + 1):
        for name in (WITHOUT, WITH):
            server.settle()
            with contextlib.ExitStack() as stack:
                snapshots = stack.enter_context(Snapshots(server)) if name == WITH else None
                told, figures = run_once(bench, server, sessions, seconds, number, cores)
                if snapshots is not None:
                    snapshots.stopping.set()
                    snapshots.join()
                    if snapshots.failure is None:
                        figures["snapshots"] = len(snapshots.seconds)
                        figures["snapshot_s"] = sum(snapshots.seconds) / len(snapshots.seconds)
                        # The last one may end behind the load, with what it needs most.
                        figures["memory_peak_bytes"] = server.memory_bytes("VmHWM")
                        figures["data_file_bytes"] = data_file_bytes(server)
            bench.results.add(SERIES, name, number, figures, load=told)
            bench.say(f"  {SERIES} {number} {name:17} {show(figures)}")
            bench.say(f"      data file {figures['data_file_bytes'] >> 20} MiB, memory at most "
                      f"{figures['memory_peak_bytes'] >> 20} MiB" + (
                          f"; {figures['snapshots']} snapshots of {figures['snapshot_s']:.1f} s"
                          if "snapshots" in figures else ""))


def measure_restore(bench, server, sessions, cores):
    """The store loses everything and comes back; what it then has is checked."""
    server.settle()
    took_s = take_snapshot(server)
    stored = int(re.findall(r"a snapshot is stored .*\bbytes=(\d+)",
                            Path(server.log_path).read_text(encoding="utf-8"))[-1])
    server.kill()
    shutil.rmtree(server.data)
    os.mkdir(server.data)
    serving_s = server.start()
    log = Path(server.log_path).read_text(encoding="utf-8")
    match = re.search(r"\brestored sessions=(\d+) .* lost_lsn=0 seconds=(\d+\.\d+)", log)
    if match is None or int(match[1]) != sessions:
        raise Failed(f"not everything was restored:\n{server.log()}")
    restore_s = float(match[2])
    raw = sessions * table.VALUE_BYTES
    told, _ = run_once(bench, server, sessions, SECONDS_MIN, 1, cores)  # checks what it reads
    bench.results.add("restore", WITHOUT, 1, {
        "sessions": sessions, "stored_bytes": stored, "snapshot_s": took_s,
        "restore_s": restore_s, "serving_s": serving_s, "sessions_per_s": sessions / restore_s,
        "bytes_per_s": raw / restore_s, "memory_peak_bytes": server.memory_bytes("VmHWM")},
        load=told)
    bench.say(f"  a snapshot of {sessions} sessions at rest: {took_s:.1f} s, {stored >> 20} MiB stored")
    bench.say(f"  restored in {restore_s:.1f} s, serving after {serving_s:.1f} s: "
              f"{sessions / restore_s:,.0f} sessions/s, {raw / restore_s / 1e6:,.0f} MB of values/s")


def measure(bench, size):
    server_cores, load_cores = machine.cores()
    os.sched_setaffinity(0, load_cores)  # whoever looks on is not to disturb the server
    sessions = min(SESSIONS_FULL, size.keys) if size.keys < SESSIONS_FULL // 2 else SESSIONS_FULL
    bench.say(f"---- backup: {sessions} sessions, {RATE_PER_S} requests/s, server on core "
              f"{server_cores}, load and gateway on {load_cores}")
    with contextlib.ExitStack() as stack:
        try:
            archive = Archive(stack, bench.directory, load_cores)
        except unittest.SkipTest as why:
            bench.skip(f"backup: {why}")
            return
        server = servers.make(WITHOUT, bench.programs, bench.directory, server_cores)
        server.options += archive.options()
        server.environment |= archive.environment()
        stack.enter_context(server)
        bench.say(f"  {server.describe()}")
        for name in (WITHOUT, WITH):
            bench.results.name_server(name, {
                "label": servers.KINDS[name].label, "version": server.version(),
                "command": server.shown_command()})
        bench.keys = sessions
        bench.preload(server, {"value-bytes": table.VALUE_BYTES}, load_cores)
        server.settle()
        took_s = take_snapshot(server)
        bench.say(f"    data file {data_file_bytes(server) >> 20} MiB, first snapshot {took_s:.1f} s")
        measure_rounds(bench, server, sessions, size.slow_rounds,
                       max(SECONDS_MIN, 2 * size.seconds), load_cores)
        measure_restore(bench, server, sessions, load_cores)
