"""One run of satchel-bench, the load."""

import json
import os
import subprocess
import tempfile

from harness import machine
from harness.server import Failed

PROGRAM = "satchel-bench"
WRONG, USAGE, UNREACHABLE = 1, 2, 3
CPU_AT_ONCE = "cpu_at_once_us_per_op"  # a figure: without what was put off
EXTRA_S_MAX = 600  # beyond the seconds it measures: preloading, waiting for late answers


def run(programs, server, options, cores, niceness=0, realtime=False, log=None):
    """Loads a server; the JSON object that satchel-bench writes.

    `options` are its options by name; True stands for one without a value. What belongs to the kind
    of server (protocol, acknowledgement) is added here. A wrong value, a broken connection or an
    unusable option is Failed: no figure comes from a run that was not right.
    """
    every = {"server": server.address, "protocol": server.protocol, **dict(server.kind.load),
             **options, "server-pid": server.pid, "quiet": True}
    if not server.kind.keeps:
        every |= {"verify": "no", "preload": "no"}
    with tempfile.TemporaryDirectory(prefix="bench-load-") as directory:
        every["json"] = os.path.join(directory, "result.json")
        command = machine.prefix(cores, niceness, realtime) + [programs.path(PROGRAM)]
        for name, value in every.items():
            command += [f"--{name}"] + ([] if value is True else [str(value)])
        if log:
            log(" ".join(command))
        most_s = float(options.get("seconds", 0)) + float(options.get("warmup", 0)) + EXTRA_S_MAX
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=most_s,
                                  check=False)
        except subprocess.TimeoutExpired:
            raise Failed(f"{PROGRAM} against {server.kind.name} did not end in {most_s:.0f} s"
                         ) from None
        if done.returncode != 0:
            why = {WRONG: "saw a wrong value or a protocol error", USAGE: "refused its options",
                   UNREACHABLE: "could not reach the server, or it broke off"}
            raise Failed(f"{PROGRAM} {why.get(done.returncode, f'ended with {done.returncode}')}: "
                         f"{' '.join(command)}\n    {done.stderr.strip()[-2000:]}\n{server.log()}")
        with open(every["json"], encoding="utf-8") as result:
            return json.load(result)


def figures(told, cpu_s, put_off_s=0):
    """The numbers of a run that tables and plots are made of, from its JSON.

    `cpu_s` is the CPU time of the server for all of the run, warm-up included. What it put off, so
    many seconds of CPU time an operation, is added to that, and to the time the run took: it has one
    core, and whatever that does later it cannot do for others then.
    """
    result = told["result"]
    found = {"ops_per_s": 1 / (1 / result["ops_per_s"] + put_off_s) if result["ops_per_s"]
                          else 0,
             "client_cpu_us_per_op": result.get("client_cpu_us_per_op")}
    total = result["operations_total"]
    if total:
        found["cpu_us_per_op"] = (cpu_s / total + put_off_s) * 1e6
        found["put_off_cpu_us_per_op"] = put_off_s * 1e6
        found[CPU_AT_ONCE] = cpu_s / total * 1e6
    for operation, latency in result["latency_us"].items():
        for name in ("p50", "p99", "p999"):
            if latency.get("count") and latency.get(name) is not None:
                found[f"{operation}_{name}_us"] = latency[name]
    return {name: value for name, value in found.items() if value is not None}
