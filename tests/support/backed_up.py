"""A store that backs itself up, and what a test asks about that.

    with BackedUp(satcheld, server, "s3://bucket/prefix") as store:
        …
        store.wait_shipped()
        store.lose()            # killed, and its directory deleted
        store.start()           # restores
"""

import json
import os
import shutil
import signal

from processes import DEADLINE_S, Satcheld, wait_until

FENCED = 3  # exit code


class BackedUp(Satcheld):
    """Restores itself whenever it starts with an empty directory."""

    def __init__(self, binary, server, place, *options, endpoint=None, environment=None):
        """`server`: the ObjectServer; `place`: s3://BUCKET/PREFIX; `endpoint`: of a proxy before it;
        `environment`: where credentials come from, by default it holds the server's own."""
        super().__init__(binary, "--backup", place, "--backup-endpoint",
                         endpoint or server.endpoint, "--backup-region", server.region,
                         "--backup-path-style", "--restore", "auto", *options)
        self.environment = environment or {"AWS_ACCESS_KEY_ID": server.access_key,
                                           "AWS_SECRET_ACCESS_KEY": server.secret_key}

    def backup(self):
        """What /backupz says."""
        return json.loads(self.ask_ops("/backupz")[1])

    def is_well(self):
        return self.ask_ops("/backupz")[0] == 200

    def wait_state(self, state, deadline_s=DEADLINE_S):
        wait_until(lambda: self.backup()["state"] == state, f"its backup is {state}", deadline_s)

    def wait_shipped(self, deadline_s=DEADLINE_S):
        """Everything that was acknowledged is in the archive."""
        lsn = self.metric("satchel_durable_lsn")
        wait_until(lambda: self.backup()["shipped_lsn"] >= lsn, "it is shipped", deadline_s)

    def snapshots(self):
        """How many this run has taken."""
        return self.backup()["snapshots"]["taken"]

    def wait_snapshots(self, count, deadline_s=DEADLINE_S):
        wait_until(lambda: self.snapshots() >= count, "a snapshot", deadline_s)

    def take_snapshot(self):
        taken = self.snapshots()
        self.process.send_signal(signal.SIGUSR2)
        self.wait_snapshots(taken + 1)

    def lose(self):
        """Kills it and deletes what it has."""
        self.kill()
        shutil.rmtree(self.data)
        os.mkdir(self.data)

    def new_lines(self, pattern=""):
        """Lines of the present run's log that hold a text."""
        return [line for line in self.lines[self.run_from:] if pattern in line]
