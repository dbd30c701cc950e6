"""The results of a run: a directory with run.json and one JSON file a measurement.

    run.json                              what machine.stamp() says, and the parts and their options
    SERIES/SERVER-ROUND.json              {"series", "server", "round", "figures", …}
"""

import json
from pathlib import Path


class Unreadable(Exception):
    """There are no results, or they make no sense; the message is one line."""


class Results:
    def __init__(self, directory):
        self.directory = Path(directory)

    def begin(self, stamp):
        """Makes the directory, or goes on with one that is there: the first stamp stays, the
        commands add up."""
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self.directory / "run.json"
        if path.exists():
            return
        write(path, stamp | {"notes": [], "servers": {}})

    def stamp(self):
        return read(self.directory / "run.json")

    def amend(self, change):
        """change(run) alters what run.json says."""
        run = self.stamp()
        change(run)
        write(self.directory / "run.json", run)

    def note(self, text):
        """One line that belongs below the table: what was skipped, and why."""
        self.amend(lambda run: run["notes"].append(text) if text not in run["notes"] else None)

    def name_server(self, name, description):
        """Version and command of a server that took part."""
        self.amend(lambda run: run["servers"].update({name: description}))

    def add(self, series, server, number, figures, **more):
        """Keeps one measurement and returns it."""
        one = {"series": series, "server": server, "round": number, "figures": figures, **more}
        folder = self.directory / series
        folder.mkdir(exist_ok=True)
        write(folder / f"{server}-{number}.json", one)
        return one

    def measurements(self):
        if not (self.directory / "run.json").exists():
            raise Unreadable(f"{self.directory} holds no results (run.json is missing)")
        found = [read(path) for path in sorted(self.directory.glob("*/*-*.json"))]
        if not found:
            raise Unreadable(f"{self.directory} holds no measurements")
        return found


def write(path, value):
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def read(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Unreadable(f"{path}: {error}") from None
