"""Redis' own load program against Satchel and redis: what its users would try first."""

import contextlib
import re
import subprocess
import time

from harness import machine
from harness.rounds import show
from harness.server import Failed, Missing

PROGRAM, PACKAGE = "redis-benchmark", "redis-tools"
SERVERS = ("satchel-resp-fast", "satchel-durable", "redis-no-aof", "redis-always")
TESTS = ("get", "set")
PIPELINES = (1, 16)
CONNECTIONS = 50
VALUE_BYTES = 512
KEYS = 100000
REQUESTS_PER_S = {1: 60000, 16: 500000}  # about what a run of a second takes
DURABLE_SHARE = {"get": 1, "set": 0.3}  # of it where every change waits for the disk


def name_of(test, pipeline):
    return f"redis-{test}-p{pipeline}"


def run_once(bench, program, server, test, pipeline, cores):
    """One run: requests, seconds, and the CPU time of the server meanwhile."""
    share = DURABLE_SHARE[test] if server.kind.is_durable() else 1
    requests = int(REQUESTS_PER_S[pipeline] * bench.seconds * share)
    host, port = server.address.split(":")
    command = [*machine.prefix(cores), program, "-h", host, "-p", port, "-t", test,
               "-n", str(requests), "-P", str(pipeline), "-c", str(CONNECTIONS),
               "-d", str(VALUE_BYTES), "-r", str(KEYS), "--precision", "3", "--csv"]
    server.wait_quiet()
    cpu_s, begin = server.cpu_s(), time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False,
                          timeout=120 + 60 * bench.seconds)
    seconds = time.monotonic() - begin
    match = re.search(rf'^"{test.upper()}","([\d.]+)",.*$', done.stdout, re.M)
    if done.returncode != 0 or match is None:
        raise Failed(f"{PROGRAM} against {server.kind.name}: {done.stderr or done.stdout}")
    server.wait_quiet()
    return requests, {"ops_per_s": float(match[1]), "seconds": seconds}, server.cpu_s() - cpu_s


def measure_test(bench, running, program, test, pipeline, cores):
    """All rounds, and then what the servers had put off, divided between the rounds."""
    series = name_of(test, pipeline)
    for server in running.values():
        server.settle()
    runs = {name: [] for name in running}
    for number in range(1, bench.rounds + 1):
        for name, server in running.items():
            requests, figures, cpu_s = run_once(bench, program, server, test, pipeline, cores)
            runs[name].append((requests, figures, cpu_s))
            bench.say(f"  {series} {number} {name:18} "
                      f"{show(figures | {'cpu_us_per_op': cpu_s / requests * 1e6})}")
    for name, server in running.items():
        put_off = server.settle()
        operations = sum(requests for requests, _, _ in runs[name])
        for number, (requests, figures, cpu_s) in enumerate(runs[name], 1):
            each_s = cpu_s / requests + put_off.cpu_s / operations
            bench.results.add(series, name, number, figures | {"cpu_us_per_op": each_s * 1e6})


def measure(bench, size):
    server_cores, load_cores = machine.cores()
    try:
        program = bench.programs.path(PROGRAM, PACKAGE)
    except Missing as why:
        bench.skip(f"{PROGRAM}: {why}")
        return
    bench.say(f"---- {PROGRAM}: server on core {server_cores}, load on {load_cores}")
    pipelines = PIPELINES if size.series is None else PIPELINES[:1]
    with contextlib.ExitStack() as stack:
        running = {name: server for name in SERVERS
                   if (server := bench.start(stack, name, server_cores)) is not None}
        for pipeline in pipelines:
            for test in reversed(TESTS):  # SET first: then GET finds something
                measure_test(bench, running, program, test, pipeline, load_cores)
