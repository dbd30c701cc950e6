"""Journal and checkpoint: what they write, how long a start takes, what a session needs.

Three parts: the store alone, driven by store_updates; servers at 1,000 updates a second; and servers
that are killed and started again with many sessions.
"""

import contextlib
import os
import random
import shutil
import struct
import subprocess
import tempfile
import time

from harness import machine, servers, slow_disk, table
from harness.server import Failed, Missing

from processes import die_with_parent  # tests/support, found through harness.server

LIBRARY = "libcount_io.so"
BATCHES = (1, 10, 100, 1000)
UPDATES_EACH = {1: 2000, 10: 5000, 100: 20000, 1000: 50000}
DIRTY = (100, 1000, 10000)  # sessions in one checkpoint
STORE_SESSIONS = 100000
CEILING_BYTES = (512, 4096, 65536, 1 << 20)
FAST_UPDATES_PER_S = 60000
SLICE_UPDATES = 20000  # between two looks whether a checkpoint has begun
UPDATE_SERVERS = ("satchel-fast", "satchel-durable", "redis-everysec", "redis-always")
ACTIVE_SESSIONS = 50000
WHAT = ("writes", "bytes", "syncs")
TAIL_SECONDS = 1  # of mixed load before a server is killed, so that its journal has something
SESSION_BYTES_MAX = 1000  # in memory, with the id and the value


class Counted:
    """The counters of count_io.c for a program that is started with `environment`."""

    def __init__(self, programs, below, directory):
        self.path = os.path.join(directory, f"counts-{random.getrandbits(32):08x}")
        self.environment = {"LD_PRELOAD": programs.path(LIBRARY), "COUNT_IO_BELOW": below,
                            "COUNT_IO_FILE": self.path}

    def read(self):
        """{"data_writes", "data_bytes", "data_syncs", and the same of journals}."""
        names = [f"{whose}_{what}" for whose in ("data", "journal")
                 for what in ("writes", "bytes", "syncs")]
        try:
            with open(self.path, "rb") as counts:
                return dict(zip(names, struct.unpack("=6Q", counts.read())))
        except (FileNotFoundError, struct.error):
            raise Failed(f"{LIBRARY} has counted nothing in {self.path}") from None


def difference(after, before):
    return {name: after[name] - before[name] for name in after}


class StoreAlone:
    """One run of store_updates: the counters after each of its steps."""

    def __init__(self, bench, sessions, updates, batch):
        self.directory = tempfile.mkdtemp(prefix="store-", dir=bench.directory)
        self.counted = Counted(bench.programs, self.directory, bench.directory)
        self.steps = {}
        command = [bench.programs.path("store_updates"), self.directory, str(sessions),
                   str(updates), str(batch), str(table.VALUE_BYTES)]
        try:
            with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                  env={**os.environ, **self.counted.environment},
                                  preexec_fn=die_with_parent) as process:
                for line in process.stdout:
                    name, seconds = line.split()
                    self.steps[name] = (float(seconds), self.counted.read())
                    process.stdin.write("\n")
                    process.stdin.flush()
            if process.returncode != 0 or len(self.steps) != 3:
                raise Failed(f"store_updates ended with {process.returncode}: {' '.join(command)}")
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)

    def between(self, first, then):
        """(counted in that step, seconds it took)"""
        seconds, after = self.steps[then]
        return difference(after, self.steps[first][1]), seconds


def measure_store(bench, size):
    bench.say("---- engine: the store alone")
    sessions = min(STORE_SESSIONS, size.keys)
    for batch in BATCHES:
        updates = UPDATES_EACH[batch]
        counts, seconds = StoreAlone(bench, sessions, updates, batch).between("loaded", "updated")
        bench.results.add(f"journal-batch-{batch}", "store", 1, {
            "batch": batch,
            "writes_per_update": counts["journal_writes"] / updates,
            "syncs_per_update": counts["journal_syncs"] / updates,
            "bytes_per_update": counts["journal_bytes"] / updates,
            "updates_per_s": updates / seconds}, counts=counts)
        bench.say(f"  journal, {batch} at a time: {counts['journal_writes'] / updates:.3f} writes, "
                  f"{counts['journal_syncs'] / updates:.3f} syncs, "
                  f"{counts['journal_bytes'] / updates:.0f} bytes an update")
    for dirty in DIRTY:
        counts, seconds = StoreAlone(bench, max(sessions, dirty), dirty, dirty
                                     ).between("updated", "closed")
        bench.results.add(f"checkpoint-{dirty}", "store", 1, {
            "dirty": dirty,
            "writes_per_update": counts["data_writes"] / dirty,
            "syncs_per_update": counts["data_syncs"] / dirty,
            "bytes_per_update": counts["data_bytes"] / dirty,
            "seconds": seconds}, counts=counts)
        bench.say(f"  checkpoint of {dirty}: {counts['data_writes'] / dirty:.3f} writes, "
                  f"{counts['data_bytes'] / dirty:.0f} bytes a session, {seconds * 1000:.1f} ms")


def measure_ceiling(bench, size):
    bench.say("---- disk ceiling: one record, one fdatasync, on "
              + bench.results.stamp()["file_system"])
    for mode in ("append", "overwrite"):
        for record_bytes in CEILING_BYTES:
            told = slow_disk.ceiling(bench.programs, bench.directory, record_bytes,
                                     size.ceiling_seconds, mode, machine.all_cores())
            bench.results.add(f"ceiling-{mode}-{record_bytes}", "disk", 1, {
                name: told[name] for name in ("bytes", "syncs_per_s", "mib_per_s", "cpu_us_per_mib",
                                              "p50_us", "p99_us")}, ceiling=told)
            bench.say(f"  {mode} {record_bytes:8} bytes: {told['syncs_per_s']:9,.0f} syncs/s "
                      f"{told['mib_per_s']:8.1f} MiB/s {told['cpu_us_per_mib']:6.0f} us CPU/MiB  p50 {told['p50_us']:.0f} us "
                      f"p99 {told['p99_us']:.0f} us")


def count_updates(bench, counted, server, rate, seconds, pipeline, cores, seed=1):
    """Updates of random sessions that arrive at a rate; (how many, what they wrote meanwhile, what
    an update changes)."""
    before = counted.read()
    result = bench.load(server, table.load_of(table.SETS, pipeline, rate=rate, seconds=seconds,
                                              warmup=0, preload="no", seed=seed),
                        cores)["result"]
    server.wait_quiet()
    if not result["operations_total"]:
        raise Failed(f"{server.kind.name}: no update was made")
    return (result["operations_total"], difference(counted.read(), before),
            table.VALUE_BYTES + result["id_bytes"])


def measure_put_off(bench, counted, server, storage, cores):
    """What a checkpoint writes for each of the updates that come before it, and how many those are:
    until the server writes one by itself, or as many as come within the longest time between two.
    They are made faster, on the same storage without its latency: only their number matters. Those
    of the slice within which the checkpoint begins do not count, so the figure is a little high."""
    storage.be("sync-us=0 read-us=0")
    server.settle()
    before, written = counted.read(), server.metric("satchel_checkpoints_total")
    updates, seed, begun = 0, 1, False
    while not begun and updates < table.UPDATES_PER_S * table.CHECKPOINT_S:
        seed += 1
        made, counts, _ = count_updates(bench, counted, server, FAST_UPDATES_PER_S,
                                        SLICE_UPDATES / FAST_UPDATES_PER_S, 16, cores, seed)
        begun = counts["data_bytes"] != 0
        updates += 0 if begun else made
    if begun:
        server.wait(lambda: server.metric("satchel_checkpoints_total") > written,
                    "its checkpoint is written")
    else:
        server.settle()
    if not updates:
        raise Failed(f"{server.kind.name}: a checkpoint began within {SLICE_UPDATES} updates")
    counts = difference(counted.read(), before)
    return {what: counts[f"data_{what}"] / updates for what in WHAT}, updates


def measure_updates(bench, size, name, series):
    """One server at a fixed rate of updates, on storage with the latency of a network file system:
    that decides how many updates one write carries. Then its checkpoint."""
    server_cores, load_cores = machine.cores()
    with contextlib.ExitStack() as stack:
        storage = slow_disk.mount(bench, stack)
        if storage is None:
            return
        try:
            server = servers.make(name, bench.programs, bench.directory, server_cores,
                                  storage.path())
        except Missing as why:
            bench.skip(str(why))
            return
        counted = Counted(bench.programs, server.data, bench.directory)
        server.environment |= counted.environment
        stack.enter_context(server)
        bench.preload(server, table.load_of(table.SETS, 1), load_cores)
        server.settle()
        slow_disk.slow_down(storage, stack)
        updates, counts, changed_bytes = count_updates(bench, counted, server, table.UPDATES_PER_S,
                                                       size.updates_seconds, 1, load_cores)
        journal = {what: (counts[f"data_{what}"] + counts[f"journal_{what}"]) / updates
                   for what in WHAT}
        put_off, apart = dict.fromkeys(WHAT, 0), None
        if server.puts_off:
            put_off, apart = measure_put_off(bench, counted, server, storage, load_cores)
    total = {what: journal[what] + put_off[what] for what in WHAT}
    bench.results.add(series, name, 1, {
        **{f"{what}_per_update": total[what] for what in WHAT},
        **{f"journal_{what}_per_update": journal[what] for what in WHAT},
        **{f"data_{what}_per_update": put_off[what] for what in WHAT},
        **({"updates_per_checkpoint": apart} if apart else {}),
        "bytes_per_changed_byte": total["bytes"] / changed_bytes}, counts=counts)
    bench.say(f"  {series} {name}: {total['writes']:.3f} writes, {total['syncs']:.3f} syncs, "
              f"{total['bytes']:.0f} bytes an update (checkpoint {put_off['writes']:.3f} writes, "
              f"{put_off['bytes']:.0f} bytes, one in {apart or 0:,} updates): {total['bytes'] / changed_bytes:.2f} x the change")


def measure_all_updates(bench, size):
    bench.say(f"---- engine: {table.UPDATES_PER_S} updates/s, fsync {table.FSYNC_US / 1000:g} ms")
    keys = bench.keys
    try:
        for bench.keys in sorted({keys, min(keys, ACTIVE_SESSIONS)}):
            for name in UPDATE_SERVERS:
                if bench.keys == keys or servers.KINDS[name].server.puts_off:
                    measure_updates(bench, size, name, f"updates-{bench.keys}")
    finally:
        bench.keys = keys


def measure_starts(bench, size, sessions):
    """SIGKILL to the first answer, and memory, with so many sessions. redis has just rewritten its
    append-only file; both have some journal on top, from a moment of load."""
    series = f"start-{sessions}"
    bench.say(f"---- engine: {sessions} sessions")
    server_cores, load_cores = machine.cores()
    keys, bench.keys = bench.keys, sessions
    try:
        for name in table.DURABLE:
            with contextlib.ExitStack() as stack:
                server = bench.start(stack, name, server_cores,
                                     memory_bytes=sessions * SESSION_BYTES_MAX)
                if server is None:
                    continue
                empty = server.memory_bytes("RssAnon")
                told = bench.preload(server, table.load_of(table.SETS, 1), load_cores)
                each = (server.memory_bytes("RssAnon") - empty) / sessions
                content = table.VALUE_BYTES + told["result"].get("id_bytes", 0)
                server.tidy()
                server.settle()
                for number in range(1, size.start_rounds + 1):
                    bench.load(server, table.load_of(table.MIXED, 1, seconds=TAIL_SECONDS,
                                                     warmup=0, seed=number, preload="no"),
                               load_cores)
                    begin = time.monotonic()
                    server.kill()
                    server.start()
                    serving_s = time.monotonic() - begin
                    again = (server.memory_bytes("RssAnon") - empty) / sessions
                    bench.results.add(series, name, number, {
                        "sessions": sessions, "serving_s": serving_s,
                        "beyond_bytes": each - content, "beyond_bytes_restarted": again - content})
                    bench.say(f"  {series} {number}/{size.start_rounds} {name}: serving after "
                              f"{serving_s:.2f} s, {each - content:.0f} bytes a session beyond id "
                              f"and value")
                    server.settle()
    finally:
        bench.keys = keys


def measure(bench, size):
    measure_ceiling(bench, size)
    measure_store(bench, size)
    measure_all_updates(bench, size)
    for sessions in size.start_sessions:
        measure_starts(bench, size, sessions)
