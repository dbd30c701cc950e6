#!/usr/bin/env python3
"""beside --bin DIR [--rounds N]: a store is verified from another client while it writes.

The store is on one client, `satchel verify` and `satchel inspect` on another, with a cache of its
own and nothing but NFS between them. What the store changes is never taken for damage, most of the
time it is found sound, and the store keeps every acknowledgement. Runs inside the guest.
"""

import argparse
import json
import os
import subprocess
import sys

from world import Load, Store, WAIT_S, check, figure, wait_until

WRITER, READER = 1, 2
DIRECTORY = "beside"


def ask(store, command):
    """Runs it from the other client: its exit code and its summary."""
    done = subprocess.run([os.path.join(store.bin_dir, "satchel"), command, "--json",
                           f"/mnt/efs{READER}/{DIRECTORY}"], check=False, text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert done.returncode in (0, 3), f"{command} ended with {done.returncode}:\n{done.stdout}"
    return done.returncode, json.loads(done.stdout.splitlines()[-1])


def look(store, rounds, work):
    """Returns how often each was asked, and how often verify found the directory sound."""
    load = Load(store, 1, os.path.join(work, "beside.log"), "--rate", "300")
    sound = 0
    looks = 0
    try:
        wait_until(lambda: store.metric("satchel_checkpoints_total") > 0, "a checkpoint", WAIT_S)
        for _ in range(rounds):
            code, told = ask(store, "verify")
            sound += code == 0
            looks += told["looks"]
            if code == 0:
                assert told["beside"] and "pid" in told["owner"], told
                assert told["data_file"]["rows"] > 0, told
            ask(store, "inspect")
    finally:
        load.kill()
    checked = check(store, [load.log])
    figure(f"beside: verified from another client {rounds} times while "
           f"{store.metric('satchel_checkpoints_total'):.0f} checkpoints were written: {sound} "
           f"times sound after {looks} looks, never damaged; checked {checked} acknowledgements")
    return sound


def main():
    parser = argparse.ArgumentParser(prog="beside")
    parser.add_argument("--bin", required=True)
    parser.add_argument("--work", default="/tmp")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with Store(options.bin, WRITER, DIRECTORY, "--segment-bytes", "1m") as store:
        sound = look(store, options.rounds, options.work)
    assert sound > options.rounds / 2, f"only {sound} of {options.rounds} times sound"
    store.verify()


if __name__ == "__main__":
    sys.exit(main())
