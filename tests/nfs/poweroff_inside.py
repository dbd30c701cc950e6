#!/usr/bin/env python3
"""poweroff_inside --bin DIR --round N [--last] LOG…: one boot of the scenario `poweroff`.

Verifies what the power cut left, starts the store on it, holds it against the logs of all earlier
boots, and then changes sessions until the guest is killed; with --last it stops in order instead.
"""

import argparse
import os
import sys

from world import Load, Store, check, note

CLIENT = 1
# Every other boot writes checkpoints and begins segments all the time, so that kills hit those.
BUSY = ("--checkpoint-interval", "50ms", "--segment-bytes", "1m")


def main():
    parser = argparse.ArgumentParser(prog="poweroff_inside")
    parser.add_argument("--bin", required=True)
    parser.add_argument("--round", type=int, default=0)
    parser.add_argument("--last", action="store_true")
    parser.add_argument("logs", nargs="*")
    options = parser.parse_args()
    store = Store(options.bin, CLIENT, "poweroff", *(BUSY if options.round % 2 == 0 else ()))
    if options.logs:
        store.verify()
        note("verified")
    with store:
        if options.logs:
            note(f"checked {check(store, options.logs)} acknowledgements")
        if not options.last:
            note("loading")
            Load(store, options.round, os.environ["GUEST_REPORTS"]).finish(3600)
            raise AssertionError("the load ended before the guest")
    store.verify()


if __name__ == "__main__":
    sys.exit(main())
