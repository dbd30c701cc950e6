"""What the programs of bench/ share: their arguments, their sizes, and how they fail."""

import argparse
import dataclasses
import os
import sys
import tempfile
import time
from pathlib import Path

from harness import machine
from harness.load import PROGRAM as LOAD
from harness.results import Results, Unreadable
from harness.rounds import Bench
from harness.server import Failed, Missing, Programs

EXIT_FAILED, EXIT_USAGE = 1, 2


@dataclasses.dataclass(frozen=True)
class Size:
    """How much is measured."""

    rounds: int
    seconds: float  # of each run
    keys: int
    series: tuple | None  # names of the comparison's series; None: all
    slow_rounds: int
    slow_connections: tuple
    start_sessions: tuple
    start_rounds: int
    updates_seconds: float
    ceiling_seconds: float
    scenarios: bool = False


SIZES = {
    "quick": Size(rounds=1, seconds=1, keys=20000, series=("mixed-p1",), slow_rounds=1,
                  slow_connections=(50,), start_sessions=(20000,), start_rounds=1,
                  updates_seconds=3, ceiling_seconds=0.2),
    "table": Size(rounds=7, seconds=1.5, keys=500000, series=None, slow_rounds=3,
                  slow_connections=(50, 200), start_sessions=(100000, 1000000), start_rounds=3,
                  updates_seconds=8, ceiling_seconds=0.5),
    "full": Size(rounds=11, seconds=5, keys=500000, series=None, slow_rounds=7,
                 slow_connections=(50, 200), start_sessions=(100000, 1000000, 5000000),
                 start_rounds=5, updates_seconds=30, ceiling_seconds=2, scenarios=True),
}


def positive(kind):
    def parse(text):
        value = kind(text)
        if not value > 0:
            raise ValueError
        return value
    parse.__name__ = "number above 0"
    return parse


def parser(name, doc):
    """The arguments that all programs take."""
    made = argparse.ArgumentParser(prog=name, description=doc,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
    how_much = made.add_mutually_exclusive_group()
    how_much.add_argument("--quick", dest="size", action="store_const", const="quick",
                          help="a minute's look: small, one round, proves nothing")
    how_much.add_argument("--full", dest="size", action="store_const", const="full",
                          help="longer runs, more rounds, 5 million sessions, the scenarios")
    made.set_defaults(size="table")
    made.add_argument("--rounds", type=positive(int), metavar="N")
    made.add_argument("--seconds", type=positive(float), metavar="S", help="of each run")
    made.add_argument("--keys", type=positive(int), metavar="N", help="sessions in each server")
    made.add_argument("--bin", default=str(machine.ROOT / "build" / "bin"), metavar="DIR",
                      help="where the built programs are (default: build/bin)")
    made.add_argument("--data", default=os.environ.get("TMPDIR", "/var/tmp"), metavar="DIR",
                      help="where the servers keep their data (default: $TMPDIR or /var/tmp); its "
                           "file system is part of what is measured")
    made.add_argument("--out", metavar="DIR",
                      help="where the results go (default: a new one in build/bench)")
    made.add_argument("--verbose", action="store_true", help="show every command of the load")
    return made


def size_of(options):
    """The Size that was asked for, with what was asked for singly."""
    size = SIZES[options.size]
    changes = {name: getattr(options, name) for name in ("rounds", "seconds", "keys")
               if getattr(options, name) is not None}
    if "rounds" in changes:
        changes |= {"slow_rounds": changes["rounds"], "start_rounds": changes["rounds"]}
    return dataclasses.replace(size, **changes)


def new_directory():
    """Where the results of a run go that starts now."""
    return machine.ROOT / "build" / "bench" / time.strftime("%Y-%m-%dT%H%M%S")


def run(options, measure):
    """Calls measure(bench, size) with everything set up; returns the exit status."""
    size = size_of(options)
    try:
        programs = Programs(options.bin)
        programs.path(LOAD)
        if not os.path.isdir(options.data):
            raise Missing(f"{options.data} is no directory (--data)")
        out = options.out or new_directory()
        results = Results(out)
        results.begin(machine.stamp(options.data) | {
            "sizes": dataclasses.asdict(size) | {"size": options.size}})
        with tempfile.TemporaryDirectory(prefix="satchel-bench-", dir=options.data,
                                         ignore_cleanup_errors=True) as directory:
            measure(Bench(programs, results, directory, size.keys, size.seconds, size.rounds,
                          options.verbose), size)
        print(f"results are in {Path(out).resolve()}")
        return 0
    except (Failed, Missing, Unreadable) as error:
        print(f"bench: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        print("bench: interrupted; what was measured so far is kept", file=sys.stderr)
        return 130
