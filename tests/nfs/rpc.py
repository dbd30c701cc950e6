#!/usr/bin/env python3
"""rpc --bin DIR [--count N]: what an update costs on EFS, in NFS calls.

The same updates, 512 bytes to sessions drawn at random, once through the store at 1,000 updates a
second, with its checkpoints and its lease, and twice in bare LMDB: a durable transaction each, and
one for 100 updates. EFS bills and limits such calls. Runs inside the guest.
"""

import argparse
import os
import sys
import time

from world import Load, Store, WAIT_S, calls, efs, figure, note, run, wait_until

SESSIONS = 2000
RATE = 1000
DELAY_MS = 1.3  # each way: with the guest's own time an fsync takes about the 2.7 ms of EFS
WRITES_AN_UPDATE_MAX = 0.2
CLIENT = 1


def spent(action):
    """WRITE and COMMIT calls while `action` runs, and its seconds."""
    before, begin = calls(CLIENT), time.monotonic()
    action()
    seconds, after = time.monotonic() - begin, calls(CLIENT)
    return [after.get(name, 0) - before.get(name, 0) for name in ("WRITE", "COMMIT")] + [seconds]


def measure_store(bin_dir, count, work):
    with Store(bin_dir, CLIENT, "rpc-store") as store:
        run(os.path.join(bin_dir, "acks"), "write", "--server", store.address, "--run", "0",
            "--sessions", str(SESSIONS), "--count", str(4 * SESSIONS))

        def is_clean():
            return store.metric("satchel_dirty_sessions") == 0

        def update():
            load = Load(store, 1, os.path.join(work, "rpc.log"), "--sessions", str(SESSIONS),
                        "--count", str(count), "--rate", str(RATE))
            assert load.finish() == 0
            wait_until(is_clean, "the last checkpoint is written", WAIT_S)

        wait_until(is_clean, "the sessions are in the data file", WAIT_S)
        return spent(update)


def measure_lmdb(bin_dir, count, batch):
    data = f"/mnt/efs{CLIENT}/rpc-lmdb-{batch}"
    command = [os.path.join(bin_dir, "lmdb_updates"), "--data", data, "--sessions", str(SESSIONS),
               "--count", str(count), "--batch"]
    run(*command, "0")  # as the store: the sessions are there already
    return spent(lambda: run(*command, str(batch)))


def main():
    parser = argparse.ArgumentParser(prog="rpc")
    parser.add_argument("--bin", required=True)
    parser.add_argument("--work", default="/tmp")
    parser.add_argument("--count", type=int, default=5000)
    options = parser.parse_args()
    efs("delay", CLIENT, DELAY_MS)
    rows = [(f"satchel, {RATE} updates a second",
             options.count, measure_store(options.bin, options.count, options.work))]
    for batch, count in ((1, options.count // 20), (100, options.count // 2)):
        rows.append((f"bare LMDB, {batch} updates a commit", count,
                     measure_lmdb(options.bin, count, batch)))
    efs("delay", CLIENT, 0)
    figure(f"rpc: NFS calls for 1000 updated sessions of {SESSIONS}, 512 bytes each:")
    for name, count, (writes, commits, seconds) in rows:
        figure(f"{name:32} {writes * 1000 / count:6.0f} WRITE {commits * 1000 / count:5.0f} COMMIT"
               f"  ({count} updates in {seconds:.1f} s)")
    (_, count, (writes, _, seconds)), lmdb = rows[0], rows[1][2][0] / rows[1][1]
    an_update = writes / count
    note(f"the store: {an_update:.3f} WRITE calls an update")
    assert an_update <= WRITES_AN_UPDATE_MAX, f"{an_update:.3f} WRITE calls an update"
    assert an_update * 5 <= lmdb, "not even five times fewer calls than LMDB"
    assert seconds < 1.5 * count / RATE + 10, f"the rate was not kept: {seconds:.1f} s"


if __name__ == "__main__":
    sys.exit(main())
