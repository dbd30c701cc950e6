"""`satchel backup …` and `satchel restore` as a test calls them.

    tool = BackupTool(path, server, "s3://bucket/prefix")
    report = tool.ask("list")                   # the object of --json
    process = tool.begin("prune", "--keep", "1")
"""

import os
import subprocess

from processes import DEADLINE_S, die_with_parent
from summary import take_summary

DONE, DAMAGED, USAGE, FAILED = 0, 1, 2, 3


class BackupTool:
    """One archive, seen by one-off tasks."""

    def __init__(self, path, server, place):
        self.path = path
        self.options = ["--backup-endpoint", server.endpoint, "--backup-region", server.region,
                        "--backup-path-style"]
        self.place = place
        self.environment = {**os.environ, "AWS_ACCESS_KEY_ID": server.access_key,
                            "AWS_SECRET_ACCESS_KEY": server.secret_key}

    def begin(self, verb, *words):
        """The process, which runs."""
        place = [verb, "--from", self.place] if verb == "restore" else ["backup", verb, self.place]
        return subprocess.Popen(  # pylint: disable=subprocess-popen-preexec-fn
            [self.path, *place, *self.options, *words], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.environment,
            preexec_fn=die_with_parent)

    def run(self, verb, *words, deadline_s=DEADLINE_S):
        """To its end: exit code, what it wrote as a result, and what else."""
        process = self.begin(verb, *words)
        try:
            told, said = process.communicate(timeout=deadline_s)
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError(f"{self.path} {verb} does not end") from None
        return process.returncode, told, said

    def ask(self, verb, *words, code=DONE):
        """What it tells with --json; it has to end with that code."""
        ended, told, said = self.run(verb, "--json", *words)
        assert ended == code, f"{verb} ended with {ended}: {said}\n{told}"
        command = verb if verb == "restore" else f"backup {verb}"
        return take_summary(told, command, code)
