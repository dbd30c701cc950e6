"""The same load on storage with the latency of a network file system.

The storage is a file system of the tests (tests/support/slow_fs.c) that adds FSYNC_US to every sync
and READ_US to every read. Its files are in memory where that is large enough, so that the machine's
own disk adds nothing. What one fsync takes there is measured in the same rounds.
"""

import contextlib
import json
import os
import subprocess
import unittest

from harness import machine, table
from harness.server import Failed, Missing

from slow_fs import SlowFs  # tests/support, found through harness.server

FSYNC_RECORD_BYTES = 4096
FSYNC_SECONDS = 1
MEMORY, MEMORY_BYTES_MIN = "/dev/shm", 4 << 30


def series_of(connections):
    return table.Series(
        f"slow-{connections}", f"mixed 1:4, no pipelining, {connections} connections, "
        f"fsync {table.FSYNC_US / 1000:g} ms, reads {table.READ_US / 1000:g} ms",
        "slow", table.DURABLE, table.load_of(table.MIXED, 1, connections=connections))


def ceiling(programs, directory, record_bytes, seconds, mode, cores):
    """What disk_ceiling says about a directory."""
    command = [*machine.prefix(cores), programs.path("disk_ceiling"), directory, str(record_bytes),
               str(seconds), mode]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60 + seconds)
    if done.returncode != 0:
        raise Failed(done.stderr.strip() or f"disk_ceiling ended with {done.returncode}")
    return json.loads(done.stdout)


def behind(directory):
    """Where the files of the slow file system are."""
    try:
        room = os.statvfs(MEMORY)
    except OSError:
        return directory
    return MEMORY if room.f_bavail * room.f_frsize >= MEMORY_BYTES_MIN else directory


def mount(bench, stack):
    """A mounted SlowFs that is not slow yet and ends with the stack; None, and one line, where
    that cannot be."""
    try:
        storage = stack.enter_context(SlowFs(bench.programs.path("slow_fs"),
                                             behind(bench.directory)))
    except (unittest.SkipTest, Missing) as why:
        bench.skip(f"storage with latency: {why}")
        return None
    return storage


def slow_down(storage, stack):
    """From now on it has the latency, until the stack ends."""
    storage.be(f"sync-us={table.FSYNC_US} read-us={table.READ_US}")
    # So that no server ends slowly.
    stack.callback(storage.be, "sync-us=0 read-us=0")


def measure_fsync(bench, storage, series, number, cores):
    told = ceiling(bench.programs, storage.path(), FSYNC_RECORD_BYTES, FSYNC_SECONDS, "overwrite",
                   cores)
    bench.results.add(series.name, "fsync", number, {
        "set_p50_us": told["p50_us"], "set_p99_us": told["p99_us"]}, ceiling=told)
    bench.say(f"  {series.name} {number} one fsync takes {told['p50_us']:.0f} us")


def measure(bench, size):
    server_cores, load_cores = machine.cores()
    bench.say(f"---- slow disk: fsync {table.FSYNC_US / 1000:g} ms, reads "
              f"{table.READ_US / 1000:g} ms")
    with contextlib.ExitStack() as stack:
        storage = mount(bench, stack)
        if storage is None:
            return
        running = {}
        for name in table.DURABLE:
            server = bench.start(stack, name, server_cores, storage.path())
            if server is not None:
                running[name] = server
                bench.preload(server, table.load_of(table.MIXED, 1), load_cores)
        slow_down(storage, stack)
        for series in map(series_of, size.slow_connections):
            bench.measure(series, running, size.slow_rounds, load_cores,
                          before=lambda number, series=series: measure_fsync(
                              bench, storage, series, number, load_cores))
