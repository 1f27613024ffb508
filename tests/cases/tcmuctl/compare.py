# SPDX-License-Identifier: Apache-2.0
"""Compares what fio says of a load with what tcmuctl says of the disk.

    compare.py counts FIO BEFORE AFTER   the load lies between two answers of stats
    compare.py rates FIO RATES           a report of stats -i while the load ran, as fast as it would
    compare.py times FIO RATES DEPTH     the same, with so many commands under way all the time
"""

import json
import sys

FAR = 0.05


def load(name):
    with open(name) as file:
        return json.load(file)


def near(what, said, true):
    off = abs(said - true) / true if true else abs(said)
    print(f"{what}: {said:.6g}, fio {true:.6g}, {100 * off:.1f} % off")
    if off > FAR:
        sys.exit(f"{what} is {said}, and fio says {true}")


how, job = sys.argv[1], load(sys.argv[2])["jobs"][0]
if how == "counts":
    before, after = (load(name)["devices"][0]["classes"] for name in sys.argv[3:5])
    for way in ("read", "write"):
        near(f"{way}s", after[way]["commands"] - before[way]["commands"], job[way]["total_ios"])
        near(f"{way} bytes", after[way]["bytes"] - before[way]["bytes"], job[way]["io_bytes"])
else:
    device = load(sys.argv[3])["devices"][0]
if how == "rates":
    near("reads a second", device["reads_per_second"], job["read"]["iops"])
    near("bytes a second", device["read_bytes_per_second"], job["read"]["bw_bytes"])
if how == "times":
    # They end all at once, so that the interval may have one round more or less.
    print(f"queue depth: {device['queue_depth']:.3g}")
    if not 0.85 * int(sys.argv[4]) <= device["queue_depth"] <= 1.05 * int(sys.argv[4]):
        sys.exit(f"the queue depth is {device['queue_depth']}, and fio keeps {sys.argv[4]} under way")
    times = job["read"]["clat_ns"]
    near("mean", device["read_latency_seconds"]["mean"], times["mean"] / 1e9)
    # fio's times have the kernel's in them, and the emulated processor's at their far end.
    near("p50", device["read_latency_seconds"]["p50"], times["percentile"]["50.000000"] / 1e9)
    for name, key in (("p90", "90.000000"), ("p99", "99.000000"), ("max", "99.990000")):
        said, true = device["read_latency_seconds"][name], times["percentile"][key] / 1e9
        print(f"{name}: {said:.6g}, fio {true:.6g}")
        if not device["read_latency_seconds"]["p50"] <= said <= true * (1 + FAR):
            sys.exit(f"{name} is {said}, and fio says {true}")
