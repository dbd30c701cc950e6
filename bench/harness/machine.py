"""The machine that measures: its cores, and what a result is stamped with."""

import datetime
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def cores():
    """(for the server, for the load): two lists; the same ones where there is only one core."""
    mine = sorted(os.sched_getaffinity(0))
    return ([mine[0]], [mine[1]]) if len(mine) > 1 else (mine, mine)


def all_cores():
    return sorted(os.sched_getaffinity(0))


def may_be_realtime():
    """May this process start some that go before all normal ones?"""
    return os.geteuid() == 0 and shutil.which("chrt") is not None


def prefix(on_cores, niceness=0, realtime=False):
    """The words before a command that put it on some cores, and behind others or before them."""
    words = []
    if set(on_cores) != set(all_cores()):
        words += ["taskset", "-c", ",".join(map(str, on_cores))]
    if niceness:
        words += ["nice", "-n", str(niceness)]
    if realtime:
        words += ["chrt", "--fifo", "1"]
    return words


def first_line(*command):
    """The first line a program prints, or "" where it cannot be run."""
    try:
        shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return (shown.stdout or shown.stderr).partition("\n")[0].strip()


def file_system(path):
    """Type and device of the file system below a path, as in "ext4 on /dev/vda1"."""
    path = os.path.realpath(path)
    best = ("", "?", "?")
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        for line in mounts:
            device, point, kind = line.split()[:3]
            inside = path == point or path.startswith(point.rstrip("/") + "/")
            if inside and len(point) >= len(best[0]):
                best = (point, kind, device)
    return f"{best[1]} on {best[2]}"


def cpu_model():
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        for line in info:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def stamp(data_directory):
    """What has to be known about a run to compare it with another one."""
    server_cores, load_cores = cores()
    dirty = subprocess.run(["git", "status", "--porcelain", "-uno"], cwd=ROOT, capture_output=True,
                           text=True, check=False).stdout.strip()
    commit = first_line("git", "rev-parse", "--short=12", "HEAD") or "unknown"
    return {
        "time": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "command": " ".join([os.path.basename(sys.argv[0]), *sys.argv[1:]]),
        "commit": commit + (" with changes" if dirty else ""),
        "kernel": platform.release(),
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "server_cores": server_cores,
        "load_cores": load_cores,
        "file_system": file_system(data_directory),
        "load_average": os.getloadavg(),
    }
