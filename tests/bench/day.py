# SPDX-License-Identifier: Apache-2.0
"""A day of a daemon in the guest of tests/bench/exact: many commands, and many backstores that are created and deleted. What a
command costs and how long it takes, and what the daemon keeps, is measured before, in between and after, and written as JSON.
"""

import argparse
import glob
import json
import os
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import measure  # noqa: E402

MEASURED = ("randread 4k QD32", "randwrite 4k QD32", "randread 4k QD1", "read 256k QD8")
# Job, and its share of the commands of the LUN.
WORK = (
    (("randrw", "4k", 32, ["--rwmixread=70"]), 0.80),
    (("randrw", "4k", 1, []), 0.05),
    (("randrw", "64k", 8, []), 0.10),
    (("read", "256k", 8, []), 0.025),
    (("write", "256k", 8, []), 0.025),
)
LOGGED = 1.5  # seconds of the guest for the times of single commands
CYCLED_TARGET = 1  # the index of the loopback target whose LUN comes and goes
CYCLED_BYTES = 16 << 20
EARLIER = 300  # backstores before the beginning: what the daemon allocates once is there


def percentile(sorted_values, share):
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * share))]


def command_times(disk, job):
    """Microseconds of a command: the median and other percentiles of all commands, once the LUN has settled."""
    log = f"{measure.DIRECTORY}/times"
    command = [argument for argument in measure.fio_command([[disk]], job, LOGGED) if argument != "--gtod_reduce=1"]
    subprocess.run([*command, f"--write_lat_log={log}", "--disable_slat=1", "--disable_clat=1", "--ramp_time=1"],
                   stdout=subprocess.DEVNULL, check=True)
    times = []
    for path in glob.glob(f"{log}_*"):
        if re.search(r"_lat\.\d+\.log$", path):
            times += [int(line.split(",")[1]) / 1000 for line in measure.read_file(path).splitlines()]
        os.remove(path)
    times.sort()
    return {name: percentile(times, share) for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999))}


def kept(pid):
    """Memory, threads and descriptors of the daemon, and memory of the kernel."""
    meminfo = dict(re.findall(r"(\w+):\s+(\d+)", measure.read_file("/proc/meminfo")))
    return {
        "resident KiB": measure.daemon_cost(pid)[3],
        "resident KiB, data areas aside": measure.own_rss(pid),
        "threads": len(measure.threads_of(pid)),
        "descriptors": len(os.listdir(f"/proc/{pid}/fd")),
        "kernel's unreclaimable slab KiB": int(meminfo["SUnreclaim"]),
        "marks of deleted backstores": marks(),
    }


def marks():
    """Files that the daemon keeps of what it has served. Their number has a limit."""
    return sum(len(glob.glob(pattern)) for pattern in ("/run/tcmud/store-*", "/var/lib/tcmud/*"))


def figures(disk, pid, args):
    counts, times = {}, {}
    for name in MEASURED:
        seconds, operations = measure.count_cell([disk], measure.JOBS[name], args, None)
        counts[name] = seconds * measure.PER_SECOND / 1000 / operations
        times[name] = command_times(disk, measure.JOBS[name])
    return {"instructions": counts, "times": times, "kept": kept(pid)}


def work(disk, commands):
    """Has the LUN carry out so many commands. Returns how many they were, by the initiator's count."""
    before = measure.commands_done([disk])
    for (rw, size, depth, more), share in WORK:
        bytes_all = int(commands * share) * int(size.replace("k", "")) << 10
        measure.run_fio([[disk]], (rw, size, depth, [*more, f"--io_size={bytes_all}"]), None)
    return measure.commands_done([disk]) - before


def devices():
    return len(os.listdir("/sys/class/uio"))


def cycle(number):
    """Creates a backstore that never was before, writes to its LUN, and deletes it."""
    path, directory = f"{measure.DIRECTORY}/cycle-{number}", f"{measure.CORE}/user_7/cycle-{number}"
    with open(path, "wb") as file:
        file.truncate(CYCLED_BYTES)
    measure.make_backstore(directory, f"dev_config=file/{path},dev_size={CYCLED_BYTES},nl_reply_supported=-1")
    disk = measure.attach_lun(CYCLED_TARGET, 0, directory)
    with open(disk, "r+b", buffering=0) as file:
        file.write(b"%16d" % number + bytes(4080))
        os.fsync(file.fileno())
    measure.remove_lun(CYCLED_TARGET, 0, directory)
    with open(path, "rb") as file:
        if int(file.read(16)) != number:
            sys.exit(f"backstore {number} has lost what was written to it")
    os.remove(path)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tcmud", type=int, required=True)
    parser.add_argument("--commands", type=int, required=True)
    parser.add_argument("--cycles", type=int, required=True)
    parser.add_argument("--parts", type=int, required=True)
    parser.add_argument("--spinner", type=int, required=True)
    parser.add_argument("--warm", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("output")
    args = parser.parse_args()
    args.tcmu_runner = 0

    disk, = measure.make_luns(0, "tcmud", [0], "")
    measure.load_programs([args.tcmud])
    cycle(0)
    os.kill(args.spinner, signal.SIGKILL)
    for number in range(1, EARLIER):
        cycle(number)
    results = {"kernel": os.uname().release, "fio": subprocess.check_output(["fio", "--version"]).decode().strip(), "parts": []}
    work(disk, 20000)  # all that a LUN ever needs is there
    commands = cycles = 0
    for part in range(args.parts + 1):
        measure.wait_for("no device but one", lambda: devices() == 1)
        measured = {"commands": commands, "cycles": cycles, "guest s": time.monotonic(), **figures(disk, args.tcmud, args)}
        results["parts"].append(measured)
        measure.write_file(args.output, json.dumps(results, indent=1))
        print(f"{commands} commands, {cycles} cycles, {measured['guest s']:.0f} s:",
              *(f"{count:.2f}" for count in measured["instructions"].values()), measured["kept"], flush=True)
        if part == args.parts:
            break
        commands += work(disk, args.commands // args.parts)
        for _ in range(args.cycles // args.parts):
            cycles += 1
            cycle(EARLIER + cycles)


main()
