#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""Writes the results of tests/bench/rbd to sections of a page.

usage: rbd-report.py RING GUEST PAGE
       rbd-report.py --count GUEST PAGE

RING has a line for each round: operation, queue depth, operations a second by fio and by the handler on a fake ring. GUEST
is a directory with fio's results, DAEMON-ROUND.json, and with the time of the daemon's process before and after each job,
DAEMON-ROUND.notes. A ratio is the median of the rounds' ratios. --count: the guest's clock has counted instructions."""

import glob
import json
import statistics
import sys

from markdown import replace_section, table


NS_PER_INSTRUCTION = 8  # of tests/vm/run --accel icount


def compare_pairs(pairs, form=",.0f"):
    """The medians of pairs (reference, tcmud), and the median of their ratios."""
    reference, tcmud = zip(*pairs)
    return [format(statistics.median(reference), form), format(statistics.median(tcmud), form), f"{statistics.median(t / r for r, t in pairs):.2f}"]


def ring_rows(path):
    cells = {}
    with open(path) as file:
        for line in file:
            op, queue, fio, tcmud = line.split()
            cells.setdefault(f"{op} 4k QD{queue}", []).append((float(fio), float(tcmud)))
    for name, pairs in cells.items():
        yield [name, *compare_pairs(pairs)]


def read_jobs(path, key):
    """Of each job: the sum of its reads and writes of this key."""
    with open(path) as file:
        text = file.read()
    results, _ = json.JSONDecoder().raw_decode(text, text.index("{\n"))  # fio says before that where it saves the output of commands
    return {job["jobname"]: job["read"][key] + job["write"][key] for job in results["jobs"]}


def read_iops(path):
    return read_jobs(path, "iops")


def read_instructions(path):
    """Of each job: thousand instructions of the daemon's process for an operation."""
    times = {}
    with open(path.replace(".json", ".notes")) as file:
        for line in file:
            end, *name, ns = line.split()
            times[end, " ".join(name)] = int(ns)
    return {name: (times["end", name] - times["begin", name]) / NS_PER_INSTRUCTION / count / 1000
            for name, count in read_jobs(path, "total_ios").items()}


def guest_rows(directory, read, form):
    rounds = [(read(path), read(path.replace("tcmu-runner-", "tcmud-"))) for path in sorted(glob.glob(f"{directory}/tcmu-runner-*.json"))]
    for name in rounds[0][0]:
        yield [name, *compare_pairs([(runner[name], tcmud[name]) for runner, tcmud in rounds], form)]


def main():
    *ring, guest, page = sys.argv[1:]
    heads = ["job", "tcmu-runner", "tcmud", "tcmud / tcmu-runner"]
    with open(page) as file:
        text = file.read()
    if ring == ["--count"]:
        sections = {"rbd-count": table(heads, guest_rows(guest, read_instructions, ",.1f"))}
    else:
        sections = {"rbd-ring": table(["job", "fio", "tcmud", "tcmud / fio"], ring_rows(*ring)),
                    "rbd-guest": table(heads, guest_rows(guest, read_iops, ",.0f"))}
    for name, lines in sections.items():
        lines = list(lines)
        print("\n".join(lines), end="\n\n")
        text = replace_section(text, name, lines)
    with open(page, "w") as file:
        file.write(text)


main()
