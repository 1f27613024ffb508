# SPDX-License-Identifier: Apache-2.0
"""Makes the LUNs for a comparison of two builds of tcmud in one guest (tests/bench/guest/pair.sh), runs fio on them while one of
the builds serves them, and prints what the rounds have found.
"""

import argparse
import json
import os
import statistics
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import measure  # noqa: E402

LUNS = 4
BUILDS = ("before", "now")


def cells():
    for name in measure.MAIN:
        yield name, measure.JOBS[name], 1
    for name in ("randread 4k QD32", "randwrite 4k QD32"):
        rw, size, depth, more = measure.JOBS[name]
        yield f"{name}, {LUNS} LUNs", (rw, size, depth * 2 // LUNS, more), LUNS


def run_round(disks, seconds):
    """I/O operations a second of each cell, once the LUNs have settled."""
    results = {}
    for name, (rw, size, depth, more), luns in cells():
        job = (rw, size, depth, [*more, "--ramp_time=1"])
        results[name] = sum(lun["iops"] for lun in measure.run_fio([disks[:luns]], job, seconds)[0])
    return results


def ratios(rounds, name):
    return sorted(one["now"][name] / one["before"][name] for one in rounds if len(one) == len(BUILDS))


def show(rounds):
    for name, _, _ in cells():
        found = ratios(rounds, name)
        quarter = len(found) // 4
        print(f"{name:30}", *(f"{build} {statistics.median(one[build][name] for one in rounds):8.0f}" for build in BUILDS),
              f"now / before {statistics.median(found):.3f}, half of the rounds from {found[quarter]:.3f} to {found[-1 - quarter]:.3f}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--make", action="store_true")
    parser.add_argument("--build", choices=BUILDS)
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--show", action="store_true")
    parser.add_argument("results")
    args = parser.parse_args()
    if args.make:
        measure.write_file(args.results, json.dumps({"disks": measure.make_luns(0, "tcmud", range(LUNS), ""), "rounds": []}))
        return
    results = json.loads(measure.read_file(args.results))
    if args.show:
        show(results["rounds"])
        return
    rounds = results["rounds"]
    if not rounds or len(rounds[-1]) == len(BUILDS):
        rounds.append({})
    rounds[-1][args.build] = run_round(results["disks"], args.seconds)
    measure.write_file(args.results, json.dumps(results))


main()
