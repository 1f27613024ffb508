# SPDX-License-Identifier: Apache-2.0
"""Compares fio's figures of a load with tcmuctl's figures of the disk.

    compare.py counts FIO BEFORE AFTER   two reports of stats, before and after the load
    compare.py rates FIO RATES           a report of stats -i during the load
    compare.py times FIO RATES DEPTH     the same, with DEPTH commands in flight all the time
"""

import json
import sys

TOLERANCE = 0.05


def load_json(name):
    """The object in a file; fio writes there that a signal ends it, in a line before the object."""
    with open(name) as file:
        text = file.read()
    return json.loads(text[text.index("{") :])


def check_near(what, shown, true):
    off = abs(shown - true) / true if true else abs(shown)
    print(f"{what}: {shown:.6g}, fio {true:.6g}, {100 * off:.1f} % off")
    if off > TOLERANCE:
        sys.exit(f"{what} is {shown}, but {true} by fio")


how, job = sys.argv[1], load_json(sys.argv[2])["jobs"][0]
if how == "counts":
    before, after = (load_json(name)["devices"][0]["classes"] for name in sys.argv[3:5])
    for way in ("read", "write"):
        check_near(f"{way}s", after[way]["commands"] - before[way]["commands"], job[way]["total_ios"])
        check_near(f"{way} bytes", after[way]["bytes"] - before[way]["bytes"], job[way]["io_bytes"])
else:
    device = load_json(sys.argv[3])["devices"][0]
if how == "rates":
    check_near("reads a second", device["reads_per_second"], job["read"]["iops"])
    check_near("bytes a second", device["read_bytes_per_second"], job["read"]["bw_bytes"])
if how == "times":
    # All commands end at once, so the interval may have one round more or less.
    print(f"queue depth: {device['queue_depth']:.3g}")
    if not 0.85 * int(sys.argv[4]) <= device["queue_depth"] <= 1.05 * int(sys.argv[4]):
        sys.exit(f"the queue depth is {device['queue_depth']}, and fio keeps {sys.argv[4]} in flight")
    times = job["read"]["clat_ns"]
    check_near("mean", device["read_latency_seconds"]["mean"], times["mean"] / 1e9)
    # fio's latencies include the kernel's, and the slowest ones the emulation's.
    check_near("p50", device["read_latency_seconds"]["p50"], times["percentile"]["50.000000"] / 1e9)
    for name, key in (("p90", "90.000000"), ("p99", "99.000000"), ("max", "99.990000")):
        shown, true = device["read_latency_seconds"][name], times["percentile"][key] / 1e9
        print(f"{name}: {shown:.6g}, fio {true:.6g}")
        if not device["read_latency_seconds"]["p50"] <= shown <= true * (1 + TOLERANCE):
            sys.exit(f"{name} is {shown}, but {true} by fio")
