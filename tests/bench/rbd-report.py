#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""Writes the results of tests/bench/rbd to two sections of a page.

usage: rbd-report.py RING GUEST PAGE

RING has a line for each round: operation, queue depth, operations a second by fio and by the handler on a fake ring. GUEST
is a directory with fio's results, DAEMON-ROUND.json. A ratio is the median of the rounds' ratios."""

import glob
import json
import statistics
import sys

from markdown import replace_section, table


def compare_pairs(pairs):
    """The medians of pairs (reference, tcmud), and the median of their ratios."""
    reference, tcmud = zip(*pairs)
    return [f"{statistics.median(reference):,.0f}", f"{statistics.median(tcmud):,.0f}", f"{statistics.median(t / r for r, t in pairs):.2f}"]


def ring_rows(path):
    cells = {}
    with open(path) as file:
        for line in file:
            op, queue, fio, tcmud = line.split()
            cells.setdefault(f"{op} 4k QD{queue}", []).append((float(fio), float(tcmud)))
    for name, pairs in cells.items():
        yield [name, *compare_pairs(pairs)]


def read_iops(path):
    with open(path) as file:
        return {job["jobname"]: job["read"]["iops"] + job["write"]["iops"] for job in json.load(file)["jobs"]}


def guest_rows(directory):
    rounds = [(read_iops(path), read_iops(path.replace("tcmu-runner-", "tcmud-"))) for path in sorted(glob.glob(f"{directory}/tcmu-runner-*.json"))]
    for name in rounds[0][0]:
        yield [name, *compare_pairs([(runner[name], tcmud[name]) for runner, tcmud in rounds])]


def main():
    ring, guest, page = sys.argv[1:]
    with open(page) as file:
        text = file.read()
    for name, lines in {"rbd-ring": table(["job", "fio", "tcmud", "tcmud / fio"], ring_rows(ring)),
                        "rbd-guest": table(["job", "tcmu-runner", "tcmud", "tcmud / tcmu-runner"], guest_rows(guest))}.items():
        lines = list(lines)
        print("\n".join(lines), end="\n\n")
        text = replace_section(text, name, lines)
    with open(page, "w") as file:
        file.write(text)


main()
