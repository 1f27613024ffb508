#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""rbd-report.py RING GUEST PAGE: puts what tests/bench/rbd has seen into two sections of the page.

RING has a line for each round: operation, queue depth, operations a second by fio and by the handler on a fake ring. GUEST is a folder
with fio's answers, DAEMON-ROUND.json. A ratio is the median of the rounds' ratios."""

import glob
import json
import statistics
import sys


def table(head, rows):
    yield "| " + " | ".join(head) + " |"
    yield "| --- |" + " ---: |" * (len(head) - 1)
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def compared(pairs):
    """Of pairs (theirs, ours): the medians of both, and of their ratios."""
    theirs, ours = zip(*pairs)
    return [f"{statistics.median(theirs):,.0f}", f"{statistics.median(ours):,.0f}", f"{statistics.median(o / t for t, o in pairs):.2f}"]


def ring_rows(path):
    cells = {}
    with open(path) as file:
        for line in file:
            op, queue, fio, loop = line.split()
            cells.setdefault(f"{op} 4k QD{queue}", []).append((float(fio), float(loop)))
    for name, pairs in cells.items():
        yield [name, *compared(pairs)]


def iops(path):
    with open(path) as file:
        return {job["jobname"]: job["read"]["iops"] + job["write"]["iops"] for job in json.load(file)["jobs"]}


def guest_rows(folder):
    rounds = [(iops(path), iops(path.replace("tcmu-runner-", "tcmud-"))) for path in sorted(glob.glob(f"{folder}/tcmu-runner-*.json"))]
    for name in rounds[0][0]:
        yield [name, *compared([(theirs[name], ours[name]) for theirs, ours in rounds])]


def main():
    ring, guest, page = sys.argv[1:]
    with open(page) as file:
        text = file.read()
    for name, lines in {"rbd-ring": table(["job", "fio", "tcmud", "tcmud / fio"], ring_rows(ring)),
                        "rbd-guest": table(["job", "tcmu-runner", "tcmud", "tcmud / tcmu-runner"], guest_rows(guest))}.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        lines = "\n".join(lines) + "\n"
        print(lines)
        text = before + begin + lines + end + after
    with open(page, "w") as file:
        file.write(text)


main()
