# SPDX-License-Identifier: Apache-2.0
"""The cost of several LUNs on two processors, and why: prints how long two threads take to wake each other on one processor, of one
process and of two; and processor time per operation of four LUNs, with fio and the daemon anywhere, and apart from each other.
"""

import os
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import measure  # noqa: E402

LUNS = 4
ROUNDS = 5000
SECONDS = 3


def answer(requests, answers):
    for _ in range(ROUNDS):
        os.read(requests, 1)
        os.write(answers, b"a")


def round_us(in_process):
    """Microseconds of a round: one side sends a byte and waits for the other's."""
    requests, answers = os.pipe(), os.pipe()
    if in_process:
        other = threading.Thread(target=answer, args=(requests[0], answers[1]))
        other.start()
    else:
        pid = os.fork()
        if pid == 0:
            answer(requests[0], answers[1])
            os._exit(0)
    begin = time.monotonic()
    for _ in range(ROUNDS):
        os.write(requests[1], b"r")
        os.read(answers[0], 1)
    passed = time.monotonic() - begin
    if in_process:
        other.join()
    else:
        os.waitpid(pid, 0)
    return passed * 1e6 / ROUNDS


def busy_seconds():
    """Of all processors."""
    total = 0
    for line in measure.read_file("/proc/stat").splitlines():
        if line.startswith("cpu") and line[3].isdigit():
            user, nice, system, _, _, irq, softirq = (int(n) for n in line.split()[1:8])
            total += user + nice + system + irq + softirq
    return total / measure.TICK


def show_luns(target, disks, pid, apart):
    rw, size, depth, more = measure.JOBS["randread 4k QD32"]
    pinned = [f"--cpus_allowed={1 if apart else '0-1'}"]
    for thread in measure.threads_of(pid):
        os.sched_setaffinity(thread, {0} if apart else {0, 1})
    job = (rw, size, depth * 2 // LUNS, [*more, *pinned])
    fio = measure.start_fio(disks, job, 60)
    time.sleep(1)
    begin, commands, busy = time.monotonic(), measure.commands_done(disks), busy_seconds()
    time.sleep(SECONDS)
    passed, commands, busy = time.monotonic() - begin, measure.commands_done(disks) - commands, busy_seconds() - busy
    fio.terminate()
    fio.wait()
    print(f"randread 4k, {LUNS} LUNs of {target:6}, {'fio and daemon apart' if apart else 'anywhere':20} {commands / passed:8.0f} IOPS, "
          f"{busy * 1e6 / commands:5.0f} us of a processor each", flush=True)


def main():
    pid = int(sys.argv[1])
    os.sched_setaffinity(0, {0})
    for in_process in (True, False):
        found = sorted(round_us(in_process) for _ in range(3))[1]
        print(f"a round of two {'threads' if in_process else 'processes':9} {found:6.1f} us", flush=True)
    os.sched_setaffinity(0, {0, 1})
    disks = {target: measure.make_luns(index, target, range(LUNS), "") for index, target in enumerate(("tcmud", "fileio"))}
    for apart in (False, True):
        for target, paths in disks.items():
            show_luns(target, paths, pid, apart)


main()
