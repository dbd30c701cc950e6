"""One run of satchel-bench, the load."""

import json
import os
import subprocess
import tempfile

from harness import machine
from harness.server import Failed

PROGRAM = "satchel-bench"
WRONG, USAGE, UNREACHABLE = 1, 2, 3
EXTRA_S_MAX = 600  # beyond the seconds it measures: preloading, waiting for late answers


def run(programs, server, options, cores, niceness=0, log=None):
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
        command = machine.prefix(cores, niceness) + [programs.path(PROGRAM)]
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


def figures(told, cpu_s=None):
    """The numbers of a run that tables and plots are made of, from its JSON.

    `cpu_s` is what the server needed for all of the run, and for what it put off until after it; it
    is divided by all operations, those of the warm-up too. Without it stands what satchel-bench saw
    during the measured seconds.
    """
    result = told["result"]
    found = {"ops_per_s": result["ops_per_s"],
             "client_cpu_us_per_op": result.get("client_cpu_us_per_op")}
    total = result.get("operations_total")
    if cpu_s is not None and total:
        found["cpu_us_per_op"] = cpu_s * 1e6 / total
    else:
        found["cpu_us_per_op"] = result.get("server_cpu_us_per_op")
    for operation, latency in result["latency_us"].items():
        for name in ("p50", "p99", "p999"):
            if latency.get("count") and latency.get(name) is not None:
                found[f"{operation}_{name}_us"] = latency[name]
    return {name: value for name, value in found.items() if value is not None}
