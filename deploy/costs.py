#!/usr/bin/env python3
"""costs.py [FILE [--write]]: what the three sizes of satchel.yaml cost a month, from the figures below.

Change them to your region's prices and your load. With FILE the table between the marks in it has to
be this one; with --write it becomes it.
"""

import argparse
import pathlib
import re
import sys

# US dollars of us-east-1 as they were known in November 2026: an example. Check them before you rely on it.
PRICES = {
    "Fargate ARM64, vCPU and hour": 0.03238,
    "Fargate ARM64, GiB and hour": 0.00356,
    "EFS Standard, GiB and month": 0.30,
    "EFS elastic throughput, GiB written": 0.06,
    "EFS elastic throughput, GiB read": 0.03,
    "S3 Standard, GiB and month": 0.023,
    "S3, 1000 PUT or LIST": 0.005,
    "CloudWatch, custom metric and month": 0.30,
    "CloudWatch Logs, GiB taken in": 0.50,
    "CloudWatch, alarm and month": 0.10,
    "Cloud Map, name and instance, month": 0.60,
}
# What is assumed of a load, on average over the month: nights count, too.
LOADS = {  # vCPU and GiB of the task, sessions of a KiB, changes a second
    "small": {"vcpu": 0.5, "gib": 2, "sessions": 10_000, "changes": 5},
    "medium": {"vcpu": 1, "gib": 8, "sessions": 500_000, "changes": 50},
    "large": {"vcpu": 4, "gib": 30, "sessions": 5_000_000, "changes": 300},
}
HOURS = 730
SECONDS = HOURS * 3600
KIB_OF_GIB = 1024 * 1024
FLUSHES = 150  # a second at most: a flush takes EFS about 6 ms, and takes along what waits
WRITE_KIB_LEAST = 4  # what EFS counts for a smaller one, and a page of the data file
CHECKPOINT_S, CHECKPOINT_KIB = 1800, 512 * 1024  # whichever comes first; journal
SNAPSHOTS_KEPT = 7 * 24
COMPRESSED = 0.5
METRICS = 100  # series that EMF makes, each billed
EMF_KIB = 10  # a look, every 10 s
ALARMS = 7


def costs(load):
    """Dollars a month by what they are for."""
    flushes = min(load["changes"], FLUSHES)
    journal_kib = max(flushes * WRITE_KIB_LEAST, load["changes"])
    apart_s = min(CHECKPOINT_S, CHECKPOINT_KIB / load["changes"])  # a change is journalled as a KiB
    checkpoint_kib = min(load["changes"] * apart_s, load["sessions"]) * WRITE_KIB_LEAST / apart_s
    written_gib = (journal_kib + checkpoint_kib) * SECONDS / KIB_OF_GIB
    stored_gib = load["sessions"] / KIB_OF_GIB
    snapshot_gib = stored_gib * COMPRESSED
    # Each snapshot reads the data file once; a slot is shipped in every second that has a change.
    read_gib = stored_gib * HOURS
    puts = min(load["changes"], 1) * SECONDS + HOURS * (3 + snapshot_gib * 1024 / 8)
    return {
        "Fargate": HOURS * (load["vcpu"] * PRICES["Fargate ARM64, vCPU and hour"] +
                            load["gib"] * PRICES["Fargate ARM64, GiB and hour"]),
        "EFS, throughput": written_gib * PRICES["EFS elastic throughput, GiB written"] +
                           read_gib * PRICES["EFS elastic throughput, GiB read"],
        "EFS, space": 2 * stored_gib * PRICES["EFS Standard, GiB and month"],
        "S3": puts / 1000 * PRICES["S3, 1000 PUT or LIST"] +
              snapshot_gib * SNAPSHOTS_KEPT * PRICES["S3 Standard, GiB and month"],
        "CloudWatch": METRICS * PRICES["CloudWatch, custom metric and month"] +
                      ALARMS * PRICES["CloudWatch, alarm and month"] +
                      EMF_KIB * SECONDS / 10 / KIB_OF_GIB * PRICES["CloudWatch Logs, GiB taken in"],
        "Cloud Map": PRICES["Cloud Map, name and instance, month"],
    }


def table():
    """Inputs, then results, as Markdown."""
    lines = ["| price, US dollars | |", "|---|---|"]
    lines += [f"| {name} | {price} |" for name, price in PRICES.items()]
    lines += ["", "| a month | " + " | ".join(LOADS) + " |", "|---|" + "---|" * len(LOADS)]
    described = {"vCPU, GiB of the task": "{vcpu}, {gib}", "sessions of a KiB": "{sessions:,}",
                 "changes a second, on average": "{changes}"}
    for name, form in described.items():
        lines.append(f"| {name} | " + " | ".join(form.format(**load) for load in LOADS.values()) + " |")
    results = [costs(load) for load in LOADS.values()]
    for name in results[0]:
        lines.append(f"| {name} | " + " | ".join(f"${each[name]:,.0f}" for each in results) + " |")
    lines.append("| **together** | " +
                 " | ".join(f"**${sum(each.values()):,.0f}**" for each in results) + " |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("page", nargs="?", type=pathlib.Path,
                        help="a Markdown file with the table between its two marks: is it this one?")
    parser.add_argument("--write", action="store_true", help="write the table there")
    asked = parser.parse_args()
    if asked.page is None:
        print(table())
        return 0
    text = asked.page.read_text(encoding="utf-8")
    marked, places = re.subn(r"(?s)(<!-- deploy/costs.py -->\n).*?(<!-- /deploy/costs.py -->)",
                             lambda found: f"{found[1]}{table()}\n{found[2]}", text)
    if places != 1:
        print(f"{asked.page} has {places} places for the table")
        return 1
    if asked.write:
        asked.page.write_text(marked, encoding="utf-8")
        return 0
    if marked != text:
        print(f"{asked.page} has other figures: deploy/costs.py {asked.page} --write")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
