"""Interleaved rounds: A B C, A B C, …; so that what happens to a machine happens to all of them."""

import contextlib
import time

from harness import idle, load, machine, servers, table
from harness.server import Missing

# Writes every session once and ends; it has to be loaded for a moment, too.
PRELOAD = {"preload": "yes", "seconds": 0.05, "warmup": 0, "connections": 16, "pipeline": 16}


class Bench:
    """What all measurements of a run have in common. Prints its progress."""

    def __init__(self, programs, results, directory, keys, seconds, rounds, verbose=False):
        self.programs = programs
        self.results = results
        self.directory = directory  # where the servers' data is
        self.keys = keys
        self.seconds = seconds
        self.rounds = rounds
        self.verbose = verbose

    def say(self, text):
        print(text, flush=True)

    def skip(self, why):
        """A part is left out; one line, which the report repeats."""
        self.say(f"skipped: {why}")
        self.results.note(f"skipped: {why}")

    def start(self, stack, name, cores, data_parent=None, memory_bytes=0):
        """A running server that ends with the stack; None (and one line) where it is missing."""
        try:
            server = servers.make(name, self.programs, self.directory, cores, data_parent,
                                  memory_bytes, self.keys)
        except Missing as why:
            self.skip(str(why))
            return None
        stack.enter_context(server)
        self.say(f"  {server.describe()}")
        self.results.name_server(name, {
            "label": server.kind.label, "version": server.version(),
            "command": server.shown_command()})
        return server

    def load(self, server, options, cores, niceness=0):
        if "scenario" not in options:  # which says itself how many there are
            options = {"keys": self.keys, **options}
        return load.run(self.programs, server, options, cores, niceness,
                        self.say if self.verbose else None)

    def preload(self, server, options, cores):
        """Writes every session once. With durable answers where there are such, so that nobody is
        told to come again later because the storage lags behind."""
        if server.kind.keeps:
            begin = time.monotonic()
            ack = {"ack": "durable"} if "ack" in dict(server.kind.load) else {}
            told = self.load(server, {"value-bytes": options["value-bytes"],
                                      "mix": "get 100", **PRELOAD, **ack}, cores)
            server.wait_quiet()
            self.say(f"    {self.keys} sessions written in {time.monotonic() - begin:.1f} s")
            return told
        return None

    def measure_once(self, series, server, number, cores, niceness):
        """One run against one server: what satchel-bench told, and the CPU time of the server."""
        server.wait_quiet()
        before_s = server.cpu_s()
        seconds = self.seconds
        if server.kind.is_durable():
            seconds = max(seconds, table.DURABLE_S_MIN)
        told = self.load(server, {**series.options, "seconds": seconds, "warmup": table.WARMUP_S,
                                  "seed": number, "preload": "no"}, cores, niceness)
        server.wait_quiet()
        cpu_s = server.cpu_s() - before_s
        self.say(f"  {series.name} {number} {server.kind.name:18} "
                 f"{show(load.figures(told, cpu_s))}")
        return told, cpu_s

    def measure(self, series, servers_by_name, rounds, cores, niceness=0, extra=None, before=None):
        """All rounds of a series, and then what the servers have put off during them, which is
        divided between the rounds by their operations. `extra`: more figures by server. `before`:
        called with the number of each round before it."""
        for server in servers_by_name.values():
            server.settle()
        runs = {name: [] for name in servers_by_name}
        for number in range(1, rounds + 1):
            if before:
                before(number)
            for name, server in servers_by_name.items():
                runs[name].append(self.measure_once(series, server, number, cores, niceness))
        for name, server in servers_by_name.items():
            put_off = server.settle()
            operations = max(1, sum(told["result"]["operations_total"] for told, _ in runs[name]))
            if put_off.cpu_s > 0:
                self.say(f"  {series.name} {name} had put off {put_off.cpu_s * 1e6 / operations:.2f}"
                         f" us CPU/op, {put_off.wall_s:.2f} s")
            for number, (told, cpu_s) in enumerate(runs[name], 1):
                figures = load.figures(told, cpu_s, put_off.cpu_s / operations)
                self.results.add(series.name, name, number,
                                 figures | (extra or {}).get(name, {}), load=told)


def show(figures):
    """The figures of one run that say whether it went well."""
    parts = [f"{figures['ops_per_s']:10,.0f} ops/s"]
    if "cpu_us_per_op" in figures:
        parts.append(f"{figures['cpu_us_per_op']:7.2f} us CPU/op")
    for operation in ("get", "set"):
        if f"{operation}_p99_us" in figures:
            parts.append(f"{operation} p50 {figures[f'{operation}_p50_us']:,.0f} "
                         f"p99 {figures[f'{operation}_p99_us']:,.0f} us")
    return "  ".join(parts)


def run_group(bench, group, all_series, only=None):
    """Starts the servers of a group and measures all series that belong to it. `only`: names of
    servers, the others are left out."""
    server_cores, load_cores = machine.cores()
    if group.shares_cores:
        server_cores = load_cores = machine.all_cores()
        if len(server_cores) < 2:
            bench.skip(f"{group.name}: one core only")
            return
    wanted = list(dict.fromkeys(name for series in all_series for name in series.servers
                                if not only or name in only))
    bench.say(f"---- {group.name}: server on core {server_cores}, load on {load_cores}")
    with contextlib.ExitStack() as stack:
        running, extra = {}, {}
        for name in wanted:
            server = bench.start(stack, name, server_cores)
            if server is None:
                continue
            running[name] = server
            count = group.idle.get(name)
            if count:  # before there are sessions: what they leave in the heap would hide it
                crowd = stack.enter_context(idle.Crowd(server, count))
                extra[name] = {"idle_bytes_each": crowd.bytes_each}
                bench.say(f"    {crowd.count} idle connections, {crowd.bytes_each:.0f} bytes each")
            bench.preload(server, all_series[0].options, load_cores)
        niceness = 19 if group.shares_cores else 0
        for series in all_series:
            for server in running.values():
                server.tidy()
            asked = {name: running[name] for name in series.servers if name in running}
            bench.measure(series, asked, bench.rounds, load_cores, niceness, extra)


def run_scenario(bench, series, only=None):
    """One scenario file, with sessions of its own, in servers of its own."""
    server_cores, load_cores = machine.cores()
    bench.say(f"---- {series.name}")
    with contextlib.ExitStack() as stack:
        running = {name: server for name in series.servers if not only or name in only
                   if (server := bench.start(stack, name, server_cores)) is not None}
        for server in running.values():
            bench.load(server, {**series.options, "preload": "yes", "seconds": 0.05, "warmup": 0},
                       load_cores)
        bench.measure(series, running, bench.rounds, load_cores)
