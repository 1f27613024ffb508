#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""Writes the results of measure.py as tables and as a picture.

usage: report.py RESULTS.json REPORT.md PICTURE.svg [NATIVE.txt [PART.json]]

NATIVE.txt is the output of bench-io, which is added to the results. The cells of PART.json replace those in RESULTS.json.

A ratio is the median of the ratios of the rounds. Each round measures the targets directly one after another, so that other
load on the machine affects both."""

import json
import os
import re
import statistics
import sys

from markdown import replace_section, table
from picture import draw_shares

OTHERS = ("tcmu-runner", "fileio")
TARGETS = ("tcmud", "tcmu-runner", "fileio", "ramdisk")
JOBS = ("randread 4k QD32", "randwrite 4k QD32", "randrw 4k QD64 by 16", "randread 4k QD1", "read 256k QD8", "write 256k QD8")
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)


def median(values):
    return statistics.median(values)


def median_iops(cell, target):
    return median([run["iops"] for run in cell[target]])


def median_ratio(cell, other, key=lambda run: run["iops"]):
    return median([key(mine) / key(reference) for mine, reference in zip(cell["tcmud"], cell[other])])


def cpu_us(run):
    return run["user_us"] + run["system_us"]


def format_number(value):
    return f"{value:,.0f}"


def speed_rows(cells):
    for name, cell in cells.items():
        yield [name, *(format_number(median_iops(cell, target)) for target in TARGETS), *(f"{median_ratio(cell, other):.2f}" for other in OTHERS)]


def cost_rows(results):
    for name, counts in results["counts"].items():
        cell = results["cells"][name]
        for target in ("tcmud", "tcmu-runner"):
            runs = cell[target]
            yield [name if target == "tcmud" else "", target,
                   *(f"{median([run[key] for run in runs]):.0f}" for key in ("user_us", "system_us")),
                   f"{median_ratio(cell, 'tcmu-runner', cpu_us):.2f}" if target == "tcmud" else "",
                   f"{median([run['switches'] for run in runs]):.2f}",
                   f"{counts[target]['calls']:.2f}", f"{counts[target]['doorbells']:.2f}"]


def batch_rows(results):
    for name, counts in results["counts"].items():
        for target in ("tcmud", "tcmu-runner"):
            histogram = {int(size): times for size, times in counts[target]["batches"].items()}
            whole = sum(histogram.values())
            yield [name if target == "tcmud" else "", target,
                   *(f"{100 * histogram.get(size, 0) / whole:.0f} %" if whole else "" for size in BATCHES)]


def native_rows(results):
    for row in results["native"]:
        yield [f"{row['handler']}, {row['op']} 4k, {row['queue']} at a time", format_number(row["commands"]), format_number(row["user_ns"]),
               f"{row['doorbells'] + row['sleeps']:.2f}"]


def read_native(path):
    """The medians of the output of bench-io, which has several lines for each handler."""
    rows = {}
    with open(path) as file:
        for line in file:
            found = re.match(r"(\w.*?)\s+(read|write)\s+(\d+)\s+(\d+)\s+\d+\s+(\d+)\s+([\d.]+)\s+([\d.]+)$", line.rstrip())
            if found:
                rows.setdefault(found.groups()[:3], []).append([float(value) for value in found.groups()[3:]])
    for (handler, op, queue), runs in rows.items():
        commands, user_ns, doorbells, sleeps = (median(values) for values in zip(*runs))
        yield {"handler": handler, "op": op, "queue": int(queue), "commands": int(commands), "user_ns": int(user_ns),
               "doorbells": doorbells, "sleeps": sleeps}


def aim_rows(results):
    """The project's aims. Of several cells the worst one counts."""
    cells = results["cells"]
    natively = {(row["handler"], row["queue"], row["op"]): row for row in results["native"]}

    def least_ratio(other, *names):
        return min(median_ratio(cells[name], other) for name in names)

    deep, large = ("randread 4k QD32", "randwrite 4k QD32"), ("read 256k QD8", "write 256k QD8")
    null = [natively["null", 32, op]["user_ns"] for op in ("read", "write")]
    calls = [natively["null", 128, op]["doorbells"] + natively["null", 128, op]["sleeps"] for op in ("read", "write")]
    for text, sign, aim, value in (
            ("4k QD32, of tcmu-runner", ">", 1.25, least_ratio("tcmu-runner", *deep)),
            ("4k QD1, of tcmu-runner", ">", 3, least_ratio("tcmu-runner", "randread 4k QD1")),
            ("256k, of tcmu-runner", ">", 2.5, least_ratio("tcmu-runner", *large)),
            ("4k QD32, of fileio", ">", 0.9, least_ratio("fileio", *deep)),
            ("4k in batches, of fileio", ">", 0.85, least_ratio("fileio", "randrw 4k QD64 by 16")),
            ("4k QD1, of fileio", ">", 0.5, least_ratio("fileio", "randread 4k QD1")),
            ("256k, of fileio", ">", 0.85, least_ratio("fileio", *large)),
            ("the daemon's processor time at 4k QD32, of tcmu-runner's", "<", 0.45,
             max(median_ratio(cells[name], "tcmu-runner", cpu_us) for name in deep)),
            ("MiB resident with one LUN, its data area aside", "<", 8, results["own_rss_one_kib"]["tcmud"] / 1024),
            ("without a kernel: user ns a command, null handler, 32 at a time", "<", 250, max(null)),
            ("without a kernel: system calls a command, 128 at a time", "<", 0.2, max(calls))):
        reached = value >= aim if sign == ">" else value <= aim
        yield [text, f"{'≥' if sign == '>' else '≤'} {aim:g}", f"{value:.0f}" if value > 100 else f"{value:.2f}", "yes" if reached else "no"]


def fairness_rows(cells):
    for name, cell in cells.items():
        if "shares" in cell["tcmud"][0]:
            shares = [median([min(run["shares"]) / max(run["shares"]) for run in cell[target]]) for target in TARGETS]
            yield [name, *(f"{share:.2f}" for share in shares)]


def memory_rows(results):
    for target in ("tcmud", "tcmu-runner"):
        before = results["rss_before_kib"][target]
        most = max(run.get("rss_kib", 0) for cell in results["cells"].values() for run in cell[target])
        yield [target, format_number(before), format_number(results["own_rss_one_kib"][target]), format_number(results["rss_one_kib"][target]), format_number(most)]


# ---- the picture ----

def draw_picture(cells):
    """I/O operations a second, relative to the kernel's fileio."""
    jobs = {name: {target: median([mine["iops"] / reference["iops"] for mine, reference in zip(cell[target], cell["fileio"])])
                   for target in ("tcmud", "tcmu-runner", "ramdisk")}
            for name, cell in cells.items()}
    return draw_shares("I/O operations a second, relative to the kernel's fileio", jobs, 1.5)


# ---- all of it ----

def fill_page(results, text):
    main_jobs = {name: cell for name, cell in results["cells"].items() if name in results["counts"]}
    others = {name: cell for name, cell in results["cells"].items() if name not in results["counts"]}
    limits = results["max_sectors_kib"]
    head = ["job", *TARGETS, "tcmud / tcmu-runner", "tcmud / fileio"]
    parts = {
        "aims": table(["of what", "aimed at", "measured", "reached"], aim_rows(results)) if set(JOBS) <= set(results["cells"]) else [],
        "environment": [f"Kernel {results['kernel']}, {results['cpus']} processors, {results['fio']}, {results['mode']} set. Initiators "
                        "send up to " + ", ".join(f"{limits[target]} KiB to {target}" for target in TARGETS) + " in one command."],
        "jobs": table(head, speed_rows(main_jobs)),
        "cost": table(["job", "daemon", "user µs", "system µs", "ratio", "switches", "system calls", "doorbells"], cost_rows(results)),
        "batches": table(["job", "daemon", "1", "2", *(f"to {size}" for size in BATCHES[2:])], batch_rows(results)),
        "native": table(["handler", "commands/s", "user ns a command", "doorbells and sleeps a command"], native_rows(results)),
        "memory": table(["daemon", "KiB before the first LUN", "with one that was used, its data area aside", "with it", "after all"], memory_rows(results)),
        "fairness": table(["job", *TARGETS], fairness_rows(others)),
        "others": table(head, speed_rows(others)),
    }
    for name, lines in parts.items():
        text = replace_section(text, name, lines)
    return text


def main():
    source, page, image, *native = sys.argv[1:]
    with open(source) as file:
        results = json.load(file)
    if native[1:]:
        with open(native[1]) as file:
            part = json.load(file)
        for key in ("cells", "counts"):
            results[key].update(part[key])
    if native:
        results["native"] = list(read_native(native[0]))
        with open(source, "w") as file:
            json.dump(results, file, indent=1)
    template = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/performance.md")
    with open(template) as file:
        text = file.read()
    with open(page, "w") as file:
        file.write(fill_page(results, text))
    with open(image, "w") as file:
        file.write("\n".join(draw_picture({name: results["cells"][name] for name in results["counts"]})) + "\n")


main()
