"""What the scenarios inside the guest share: stores on a client's mount, loads, and `efs`."""

import os
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
# pylint: disable=wrong-import-position,unused-import
import native
from processes import Satcheld, die_with_parent, wait_until

WAIT_S = 120  # an emulated processor, NFS that comes back in its own time: generous


def note(text):
    print(text, flush=True)


def figure(text):
    """A line that `./dev test` shows."""
    note(f"  {text}")


def efs(*words):
    """Plays an event; returns what it printed."""
    return subprocess.run(["efs", *map(str, words)], check=True, text=True,
                          stdout=subprocess.PIPE).stdout


def calls(client):
    """The client's calls so far, by name."""
    rows = (line.split() for line in efs("rpc", client).splitlines())
    return {name: int(count) for name, count in rows}


def now_ms():
    """The clock of the acknowledgements' logs."""
    return int(time.monotonic() * 1000)


def run(*command):
    """A command that has to succeed; returns what it printed."""
    done = subprocess.run(command, check=False, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


class Store(Satcheld):
    """A store whose data directory is on the mount of a client; the rest of it is local."""

    def __init__(self, bin_dir, client, directory, *options):
        # Short runs are to see checkpoints as well; what is given twice counts as given last.
        super().__init__(os.path.join(bin_dir, "satcheld"), "--checkpoint-interval", "2s", *options)
        self.name = f"satcheld on client {client}"
        self.bin_dir = bin_dir
        self.client = client
        self.data = f"/mnt/efs{client}/{directory}"

    def start(self, deadline_s=WAIT_S):
        super().start(deadline_s)

    def verify(self):
        """`satchel verify` has to find nothing, on the store's own client."""
        return run(os.path.join(self.bin_dir, "satchel"), "verify", self.data)

    def errors(self):
        """What the present run logged as errors."""
        return [line for line in self.lines[self.run_from:] if re.search(r"\berror\b", line)]


class Load:
    """`acks write` on a store: its log has every acknowledgement with its time."""

    def __init__(self, store, run_number, log, *options):
        self.log = log
        self.process = subprocess.Popen(  # pylint: disable=subprocess-popen-preexec-fn
            [os.path.join(store.bin_dir, "acks"), "write", "--server", store.address, "--run",
             str(run_number), "--to", log, *options], text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=die_with_parent)

    def acknowledged(self):
        """The times of the acknowledgements so far, in ms."""
        if not os.path.exists(self.log):
            return []
        with open(self.log, encoding="ascii") as log:
            rows = [line.split() for line in log.readlines()[1:] if line.endswith("\n")]
        return [int(row[3]) for row in rows]

    def finish(self, deadline_s=WAIT_S):
        """Waits for its end; returns its exit code."""
        told, _ = self.process.communicate(timeout=deadline_s)
        assert self.process.returncode in (0, 3), told
        return self.process.returncode

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


def check(store, logs, *options):
    """Holds the store against the logs; returns how many acknowledgements were checked."""
    told = run(os.path.join(store.bin_dir, "acks"), "check", "--server", store.address, *options,
               *logs)
    return int(re.search(r"checked (\d+) acknowledgements", told).group(1))
