#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs fio in the guest over LUNs of tcmud, tcmu-runner, the kernel's fileio and its ramdisk, one after another in each
round, and writes the results as JSON.

A cell is one job on one target. Its runs are kept, and report.py takes the medians. The daemons' CPU time is that of all
their threads, from /proc. System calls and doorbells are counted in a separate run, because counting takes time.
"""

import argparse
import ctypes
import glob
import json
import mmap
import os
import re
import shutil
import signal
import subprocess
import sys
import time

CORE = "/sys/kernel/config/target/core"
LOOP = "/sys/kernel/config/target/loopback"
ISCSI = "/sys/kernel/config/target/iscsi"
PORTAL = "127.0.0.1:3260"
FABRIC = os.environ.get("BENCH_FABRIC", "loopback")
TRACING = "/sys/kernel/tracing"
DIRECTORY = "/bench"
TARGETS = ("tcmud", "tcmu-runner", "fileio", "ramdisk")
ALL_TARGETS = (*TARGETS, "ublk")  # ublk: only where instructions are counted
UBLK_SERVER = "/host/build/tests/guest-programs/ublk-file"
LUNS = 16
FIRST_MIB, OTHER_MIB = 128, 16
TICK = os.sysconf("SC_CLK_TCK")

# name: fio's rw, block size, depth, further arguments
JOBS = {
    "randread 4k QD32": ("randread", "4k", 32, []),
    "randwrite 4k QD32": ("randwrite", "4k", 32, []),
    "randrw 4k QD64 by 16": ("randrw", "4k", 64, ["--iodepth_batch_submit=16", "--iodepth_batch_complete_min=16",
                                                  "--iodepth_batch_complete_max=16"]),
    "randread 4k QD1": ("randread", "4k", 1, []),
    "read 256k QD8": ("read", "256k", 8, []),
    "write 256k QD8": ("write", "256k", 8, []),
    "randwrite 4k QD1": ("randwrite", "4k", 1, []),
}
# Of a qcow2 image: tcmud has it from a qemu-nbd in the guest, tcmu-runner reads it by itself.
IMAGE_JOBS = {
    "randread 4k QD1": ("randread", "4k", 1, []),
    "randwrite 4k QD1": ("randwrite", "4k", 1, []),
    "randread 4k QD32": ("randread", "4k", 32, []),
    "randwrite 4k QD32": ("randwrite", "4k", 32, []),
    "randread 64k QD8": ("randread", "64k", 8, []),
    "randwrite 64k QD8": ("randwrite", "64k", 8, []),
    "randread 256k QD8": ("randread", "256k", 8, []),
    "randwrite 256k QD8": ("randwrite", "256k", 8, []),
}
MAIN = ("randread 4k QD32", "randwrite 4k QD32", "randread 4k QD1", "randwrite 4k QD1", "read 256k QD8", "write 256k QD8")
KINDS = {"read": "randread", "write": "randwrite", "mixed": "randrw"}


def write_file(path, text):
    with open(path, "w") as file:
        file.write(text)


def read_file(path):
    with open(path) as file:
        return file.read()


def read_file_bytes(path):
    with open(path, "rb") as file:
        return file.read()


def wait_for(what, condition, seconds=60):
    end = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end:
            sys.exit(f"not in {seconds} s: {what}")
        time.sleep(0.02)


# ---- the LUNs ----

def lun_mib(lun):
    return OTHER_MIB if lun else FIRST_MIB


def make_file(path, mib):
    with open(path, "wb") as file:
        for _ in range(mib):
            file.write(b"\xa5" * (1 << 20))


def image_backstore(target):
    """As backstore(), of a qcow2 image with all clusters, in the version that tcmu-runner reads."""
    path = make_image(target)
    size = FIRST_MIB << 20
    if target == "tcmu-runner":
        return f"{CORE}/user_8/0", f"dev_config=qcow/{path},dev_size={size}"
    return f"{CORE}/user_7/0", f"dev_config=nbd/{serve_image(path)},dev_size={size},nl_reply_supported=-1"


def make_image(name):
    path = f"{DIRECTORY}/{name}.qcow2"
    make_file(f"{path}.raw", FIRST_MIB)
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-o", "compat=0.10", f"{path}.raw", path], check=True)
    os.remove(f"{path}.raw")
    return path


def serve_image(path):
    """Starts a qemu-nbd. Returns what the handler's config string has for it."""
    subprocess.run(["qemu-nbd", "--fork", "--persistent", "--shared=8", "--format=qcow2", "--discard=unmap",
                    *os.environ.get("BENCH_SERVER", "").split(), f"--pid-file={path}.pid", f"--socket={path}.socket", path], check=True)
    return ";".join((f"{path}.socket", *os.environ.get("BENCH_CONFIG", "").split()))


def image_servers():
    """The processes of the image's servers."""
    return [int(read_file(path)) for path in glob.glob(f"{DIRECTORY}/*.pid")]


def backstore(target, lun):
    """The configfs directory of the target's backstore, and the text for its control file."""
    mib = lun_mib(lun)
    path = f"{DIRECTORY}/{target}-{lun}"
    if target == "ramdisk":
        return f"{CORE}/rd_mcp_7/{lun}", f"rd_pages={mib * 256}"
    make_file(path, mib)
    size = mib << 20
    if target == "fileio":
        return f"{CORE}/fileio_7/{lun}", f"fd_dev_name={path},fd_dev_size={size},fd_buffered_io=1"
    if target == "ublk":
        return f"{CORE}/iblock_7/{lun}", f"udev_path={serve_ublk(path)}"
    if target == "tcmud":
        # tcmu-runner also answers for devices of other daemons, and would refuse this one. So the kernel ignores answers.
        return f"{CORE}/user_7/{lun}", f"dev_config=file/{path},dev_size={size},nl_reply_supported=-1"
    return f"{CORE}/user_8/{lun}", f"dev_config=qcow/{path},dev_size={size}"


def loopback_group(index):
    tpg = f"{LOOP}/naa.500140500000000{index}/tpgt_1"
    if not os.path.exists(tpg):
        os.makedirs(tpg)
        write_file(f"{tpg}/nexus", f"naa.500140500000001{index}")
    return tpg


def iscsi_name(index):
    return f"iqn.2003-01.org.linux-iscsi.bench:{index}"


def iscsi_group(index):
    tpg = f"{ISCSI}/{iscsi_name(index)}/tpgt_1"
    if not os.path.exists(tpg):
        os.makedirs(f"{tpg}/np/{PORTAL}")
        for name, value in (("authentication", 0), ("generate_node_acls", 1), ("demo_mode_write_protect", 0)):
            write_file(f"{tpg}/attrib/{name}", str(value))
        write_file(f"{tpg}/enable", "1")
    return tpg


def target_group(index):
    return iscsi_group(index) if FABRIC == "iscsi" else loopback_group(index)


def iscsi_session(index):
    """The directory of open-iscsi's session, after a login where there is none."""
    def find():
        for session in glob.glob("/sys/class/iscsi_session/*"):
            if read_file(f"{session}/targetname").strip() == iscsi_name(index):
                return session
        return None
    if not find():
        node = ["iscsiadm", "-m", "node", "-T", iscsi_name(index), "-p", PORTAL]
        for more in (["-o", "new"], ["--login"]):
            subprocess.run([*node, *more], stdout=subprocess.DEVNULL, check=True)
    return wait_for(f"the session of {iscsi_name(index)}", find)


def scsi_device(index, lun):
    """The path of the LUN's directory in /sys, with * where a number is not known."""
    if FABRIC != "iscsi":
        return f"/sys/class/scsi_device/{read_file(f'{loopback_group(index)}/address').strip()}:{lun}/device"
    session = iscsi_session(index)
    device = f"{session}/device/target*/*:*:*:{lun}"
    if not glob.glob(device):  # the session is older than the LUN
        host = re.search(r"/(host\d+)/", os.path.realpath(session))[1]
        write_file(f"/sys/class/scsi_host/{host}/scan", f"- - {lun}")
    return device


def make_backstore(directory, control):
    os.makedirs(directory)
    write_file(f"{directory}/control", control)
    write_file(f"{directory}/enable", "1")


def attach_lun(index, lun, directory):
    """Exports the backstore of that configfs directory. Returns the path of its disk."""
    tpg = target_group(index)
    os.mkdir(f"{tpg}/lun/lun_{lun}")
    os.symlink(directory, f"{tpg}/lun/lun_{lun}/it")
    pattern = f"{scsi_device(index, lun)}/block/*"
    block = wait_for(f"LUN {lun} of {directory}", lambda: glob.glob(pattern))[0]
    wait_for(f"the size of LUN {lun} of {directory}", lambda: int(read_file(f"{block}/size")) > 0)
    # The emulated clock is slow to read, which affects all targets alike.
    wait_for(f"the queue of LUN {lun} of {directory}", lambda: os.path.exists(f"{block}/queue/iostats"))
    write_file(f"{block}/queue/iostats", "0")
    return "/dev/" + os.path.basename(block)


def make_luns(index, target, luns, options, image=False):
    disks = []
    for lun in luns:
        directory, control = image_backstore(target) if image else backstore(target, lun)
        make_backstore(directory, control + ("," + options if options and target == "tcmud" else ""))
        disks.append(attach_lun(index, lun, directory))
    return disks


def remove_lun(index, lun, directory):
    """Takes back what make_backstore() and attach_lun() did."""
    link = f"{target_group(index)}/lun/lun_{lun}"
    os.unlink(f"{link}/it")
    os.rmdir(link)
    os.rmdir(directory)


# ---- ublk ----

ublk_servers = []  # the processes and their devices


def serve_ublk(path):
    """Starts a server. Returns the path of its device."""
    program = f"{DIRECTORY}/ublk-file"  # not on the host: see measure.sh
    if not os.path.exists(program):
        shutil.copy(UBLK_SERVER, program)
    server = subprocess.Popen([program, path], stdout=subprocess.PIPE)
    device = server.stdout.readline().decode().strip()
    if not device:
        sys.exit(f"no ublk device: {UBLK_SERVER} has ended with {server.wait()}")
    ublk_servers.append((server, device))
    return device


def read_directly(path, size):
    """What a disk has, not what the page cache knows of it."""
    with mmap.mmap(-1, size) as memory, os.fdopen(os.open(path, os.O_RDONLY | os.O_DIRECT), "rb", 0) as file:
        if file.readinto(memory) != size:
            sys.exit(f"{path} is shorter than {size}")
        return memory[:]


def check_ublk(index):
    """Ends the program unless a ublk device keeps what is written to its LUN, and goes away with its server."""
    lun = LUNS  # one more than those that are measured
    path, size = f"{DIRECTORY}/ublk-{lun}", lun_mib(lun) << 20
    disk, = make_luns(index, "ublk", [lun], "")
    server, device = ublk_servers.pop()
    before = os.stat(path).st_blocks
    run = subprocess.run(["fio", "--name=check", f"--filename={disk}", "--direct=1", "--ioengine=libaio", "--rw=randwrite", "--iodepth=32",
                          "--bsrange=512-1m", "--fsync=32", "--verify=crc32c", "--verify_fatal=1", "--randseed=7"],
                         stdout=subprocess.PIPE)
    if run.returncode:
        sys.exit(f"the ublk device has lost data:\n{run.stdout.decode()}")
    written = read_file_bytes(path)
    holes = {1 << 20: ["--force"], 3 << 20: ["--force", "--zeroout"]}
    for offset, how in holes.items():
        subprocess.run(["blkdiscard", *how, f"--offset={offset}", f"--length={1 << 20}", device], check=True)
        written = written[:offset] + bytes(1 << 20) + written[offset + (1 << 20):]
    if read_directly(disk, size) != written or read_file_bytes(path) != written:
        sys.exit("the ublk device, its LUN and its file differ")
    if b"\xa5" * 4096 in written or os.stat(path).st_blocks > before - (1 << 20) // 512:
        sys.exit("the ublk device has not written or not discarded")
    remove_lun(index, lun, f"{CORE}/iblock_7/{lun}")
    server.terminate()
    status = server.wait(60)
    if status or os.path.exists(device) or os.path.exists(device.replace("ublkb", "ublkc")):
        sys.exit(f"the ublk server has ended with {status} or left {device}")
    os.remove(path)
    print(f"{device}: data and end are right", flush=True)


# ---- the cost of a daemon ----

def daemon_cost(pid):
    """User and system time in seconds, context switches, resident KiB."""
    fields = read_file(f"/proc/{pid}/stat").rpartition(") ")[2].split()
    switches = 0
    for status in glob.glob(f"/proc/{pid}/task/*/status"):
        try:
            switches += sum(int(n) for n in re.findall(r"ctxt_switches:\s+(\d+)", read_file(status)))
        except OSError:
            pass  # the thread has ended
    rss = int(re.search(r"VmRSS:\s+(\d+)", read_file(f"/proc/{pid}/status"))[1])
    return int(fields[11]) / TICK, int(fields[12]) / TICK, switches, rss


def own_rss(pid):
    """Resident KiB without the mapped data areas of the kernel."""
    total, counts = 0, True
    with open(f"/proc/{pid}/smaps") as file:
        for line in file:
            if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
                counts = "/dev/uio" not in line
            elif counts and line.startswith("Rss:"):
                total += int(line.split()[1])
    return total


def threads_of(pid):
    return {int(task) for task in os.listdir(f"/proc/{pid}/task")}


class Counting:
    """Counts the system calls and doorbells of a process in this context, by histograms in the kernel."""

    events = {"calls": ("raw_syscalls/sys_enter", "hist:keys=common_pid,id:size=8192"),
              "doorbells": ("bench/doorbell", "hist:keys=common_pid:size=1024")}

    def __init__(self, pid):
        self.pid = pid
        if not os.path.exists(f"{TRACING}/events/bench"):
            write_file(f"{TRACING}/kprobe_events", "p:bench/doorbell uio:uio_write")

    def __enter__(self):
        self.threads = threads_of(self.pid)
        for event, trigger in self.events.values():
            write_file(f"{TRACING}/events/{event}/trigger", trigger)
        return self

    def __exit__(self, *_):
        threads = self.threads | threads_of(self.pid)
        self.counts = {}
        for name, (event, trigger) in self.events.items():
            directory = f"{TRACING}/events/{event}"
            found = re.findall(r"common_pid:\s+(\d+).*hitcount:\s+(\d+)", read_file(f"{directory}/hist"))
            self.counts[name] = sum(int(n) for pid, n in found if int(pid) in threads)
            write_file(f"{directory}/trigger", "!" + trigger)


class Batches:
    """How many commands each doorbell of a process completes: a histogram by powers of two, from the kernel's trace."""

    def __init__(self, pid):
        self.pid = pid
        self.histogram = {}

    def __enter__(self):
        if not os.path.exists(f"{TRACING}/events/bench/complete"):
            # Without O_APPEND the write would remove the other probe; a file object in append mode would seek, which fails here.
            events = os.open(f"{TRACING}/kprobe_events", os.O_WRONLY | os.O_APPEND)
            os.write(events, b"p:bench/complete target_core_mod:target_complete_cmd\n")
            os.close(events)
        write_file(f"{TRACING}/buffer_size_kb", "8192")
        write_file(f"{TRACING}/trace", "")
        for name in ("complete", "doorbell"):
            write_file(f"{TRACING}/events/bench/{name}/enable", "1")
        return self

    def __exit__(self, *_):
        for name in ("complete", "doorbell"):
            write_file(f"{TRACING}/events/bench/{name}/enable", "0")
        threads, since = threads_of(self.pid), {}
        with open(f"{TRACING}/trace") as file:
            for thread, event in re.findall(r"-(\d+)\s+\[.*?: (complete|doorbell):", file.read()):
                if int(thread) not in threads:
                    continue
                if event == "complete":
                    since[thread] = since.get(thread, 0) + 1
                elif since.get(thread):
                    bucket = 1 << (since.pop(thread) - 1).bit_length()
                    self.histogram[bucket] = self.histogram.get(bucket, 0) + 1
        write_file(f"{TRACING}/trace", "")


# ---- fio ----

def fio_command(groups, job, seconds):
    rw, size, depth, more = job
    command = ["fio", "--output-format=json", "--ioengine=libaio", "--direct=1", "--thread", "--gtod_reduce=1",
               *(["--time_based", f"--runtime={int(seconds * 1000)}ms"] if seconds else []), f"--rw={rw}", f"--bs={size}", f"--iodepth={depth}",
               "--norandommap", "--randrepeat=1", "--invalidate=0", *more]
    for disks in groups:
        for disk in disks:
            command += [f"--name={disk}", f"--filename={disk}"] + (["--stonewall"] if disk == disks[0] else [])
    return command


def run_fio(groups, job, seconds):
    """Runs the job on one group after another. A group is a list of disks that are used at once. Returns a list of results
    for each group, with one result for each disk."""
    done = subprocess.run(fio_command(groups, job, seconds), stdout=subprocess.PIPE, check=True)
    text = done.stdout.decode()
    jobs = iter(json.loads(text[text.index("{"):])["jobs"])
    return [[{key: sum(job[way][key] for way in ("read", "write")) for key in ("total_ios", "iops")}
             for _, job in zip(disks, jobs)] for disks in groups]


def rotate(items, by):
    return items[by % len(items):] + items[:by % len(items)]


def run_round(targets, disks, job, seconds, pids):
    """Runs the job on all targets. A daemon works only while its LUNs are used, so its cost is the difference over the round."""
    before = {target: daemon_cost(pid) for target, pid in pids.items()}
    results = {}
    for target, per_lun in zip(targets, run_fio([disks[target] for target in targets], job, seconds)):
        ios = sum(lun["total_ios"] for lun in per_lun)
        result = results[target] = {"iops": sum(lun["iops"] for lun in per_lun)}
        if len(per_lun) > 1:
            result["shares"] = [lun["iops"] for lun in per_lun]
        if target in pids:
            after = daemon_cost(pids[target])
            result["user_us"] = (after[0] - before[target][0]) * 1e6 / ios
            result["system_us"] = (after[1] - before[target][1]) * 1e6 / ios
            result["switches"] = (after[2] - before[target][2]) / ios
            result["rss_kib"] = after[3]
    return results


def count_events(disks, job, pid):
    with Counting(pid) as counting:
        ios = sum(lun["total_ios"] for lun in run_fio([disks], job, 1)[0])
    with Batches(pid) as batches:
        run_fio([disks], job, 0.5)
    return {**{name: n / ios for name, n in counting.counts.items()}, "batches": batches.histogram}


# ---- instructions, with a clock that counts them (tests/bench/exact) ----

PER_SECOND = 500e6
# mov $0x7c3d0001, %eax; ret. The first instruction is the mark of tests/bench/exact.c.
MARK = b"\xb8\x01\x00\x3d\x7c\xc3"


class Marker:
    """Sets a mark when it is called."""

    def __init__(self):
        self.code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        self.code.write(MARK)
        self.function = ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(self.code)))

    def __call__(self):
        self.function()


def commands_done(disks):
    return sum(int(read_file(f"/sys/block/{os.path.basename(disk)}/device/iodone_cnt"), 16) for disk in disks)


def start_fio(disks, job, seconds):
    """fio, which runs for so many seconds at most, once its first operation is done."""
    idle = commands_done(disks)
    fio = subprocess.Popen(fio_command([disks], job, seconds), stdout=subprocess.DEVNULL)
    wait_for("the first operation", lambda: commands_done(disks) > idle)
    return fio


def count_cell(disks, job, args, mark):
    """Seconds of the guest and operations, once the LUNs have settled: neither fio's beginning nor its end is part of it."""
    limit = int(read_file(f"/sys/block/{os.path.basename(disks[0])}/queue/max_sectors_kb"))
    commands = -(-int(job[1].replace("M", "000k").replace("k", "")) // limit)
    fio = start_fio(disks, job, 60 + args.warm + args.seconds)
    time.sleep(args.warm)
    if mark:
        mark()
    begin, before = time.monotonic(), commands_done(disks)
    time.sleep(args.seconds)
    end, after = time.monotonic(), commands_done(disks)
    if mark:
        mark()
        keep_symbols(fio.pid, args)
    if fio.poll() is not None:
        sys.exit("fio has failed")
    fio.terminate()
    fio.wait()
    if after == before:
        sys.exit("nothing was served")
    return end - begin, (after - before) / commands


def print_counts(name, cell):
    print(f"{name:36}", *(f"{target} {count:7.2f}" for target, count in cell.items()), flush=True)


def keep_symbols(fio, args):
    """Keeps the files by which exact names the addresses of a profile."""
    for name, path in (("kallsyms", "/proc/kallsyms"), ("fio.maps", f"/proc/{fio}/maps"), ("tcmud.maps", f"/proc/{args.tcmud}/maps"),
                       ("tcmu-runner.maps", f"/proc/{args.tcmu_runner}/maps"),
                       *(("qemu-nbd.maps", f"/proc/{server}/maps") for server in image_servers()),
                       *(("ublk-file.maps", f"/proc/{server.pid}/maps") for server, _ in ublk_servers[:1])):
        if os.path.exists(path):
            write_file(f"{os.path.dirname(args.output)}/{name}", read_file(path))


def load_programs(pids):
    """Reads all programs, so that none waits for a disk of the host from now on: see measure.sh."""
    paths = set()
    for pid in (os.getpid(), *pids):
        paths |= set(re.findall(r"(/\S+)$", read_file(f"/proc/{pid}/maps"), re.MULTILINE))
    libraries = subprocess.check_output(["ldd", "/usr/bin/fio"]).decode()
    for path in {"/usr/bin/fio", *re.findall(r"(/\S+) \(", libraries), *paths}:
        if os.path.isfile(path):
            with open(path, "rb") as file:
                file.read()
    make_file(f"{DIRECTORY}/nothing", 1)
    for rw in ("randread", "randwrite"):
        run_fio([[f"{DIRECTORY}/nothing"]], (rw, "4k", 32, ["--number_ios=100", "--direct=0"]), None)


def count_cells(args, disks, results):
    mark = Marker() if args.mark else None
    cells = results["cells"]
    results["operations"] = {}
    if args.mode != "exact-image" and (not args.only or re.search(args.only, "first")):
        name = f"randread 4k QD32, the first {args.first}"
        cell = cells[name] = {}
        for target in args.targets:
            first = run_fio([disks[target][:1]], ("randread", "4k", 32, [f"--number_ios={args.first}"]), None)[0][0]
            cell[target] = PER_SECOND / 1000 / first["iops"]
        print_counts(name, cell)
    for name, job, luns, _, _ in wanted_cells(args):
        cell, counts = {}, {}
        for target in args.targets:
            seconds, counts[target] = count_cell(disks[target][:luns], job, args, mark)
            cell[target] = seconds * PER_SECOND / 1000 / counts[target]
        cells[name], results["operations"][name] = cell, counts
        print_counts(name, cell)


# ---- the handler nbd beside fio's engine, two clients of one server ----

def handler_rate(config, job, seconds):
    """Operations a second of the handler nbd, by the program that tests handlers."""
    rw, size, depth, _ = job
    done = subprocess.run(
        ["tcmu-handler-test", "--json", "-t", "load", f"--load={seconds}", f"--size={FIRST_MIB}M", f"--request-size={size.upper()}",
         f"--depth={depth}", f"--reads={100 if 'read' in rw else 0}", "/run/handlers/handler_nbd.so", config], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)["tests"][0]["figures"]["requests-per-second"]


def engine_rate(path, job, seconds):
    rw, size, depth, _ = job
    done = subprocess.run(
        ["fio", "--output-format=json", "--name=nbd", "--ioengine=nbd", f"--uri=nbd+unix:///?socket={path}.socket", "--thread", "--gtod_reduce=1",
         "--time_based", f"--runtime={int(seconds * 1000)}ms", f"--rw={rw}", f"--bs={size}", f"--iodepth={depth}", f"--size={FIRST_MIB}M",
         "--norandommap", "--randrepeat=1"], stdout=subprocess.PIPE, check=True)
    text = done.stdout.decode()
    job = json.loads(text[text.index("{"):])["jobs"][0]
    return job["read"]["iops"] + job["write"]["iops"]


def count_clients(args, results):
    """Thousand instructions of an operation. Both run for long enough that their beginnings do not count."""
    path = make_image("tcmud")
    config = serve_image(path)
    clients = {"handler": lambda job, seconds: handler_rate(config, job, seconds),
               "fio": lambda job, seconds: engine_rate(path, job, seconds)}
    for rate in clients.values():
        rate(IMAGE_JOBS["randread 4k QD32"], 0.1)  # loads the programs
    os.kill(args.spinner, signal.SIGKILL)
    for name, job, _, _, _ in wanted_cells(args):
        results["cells"][name] = {client: PER_SECOND / 1000 / rate(job, args.seconds) for client, rate in clients.items()}
        print_counts(name, results["cells"][name])


# ---- the cells ----

def plan_cells(mode):
    """The name, job, number of LUNs, rounds and seconds of each cell."""
    if mode in ("exact-image", "exact-clients"):
        for name, job in IMAGE_JOBS.items():
            yield name, job, 1, 5, 1
        return
    for name, job in JOBS.items():
        if (name in MAIN) if mode in ("exact", "exact-full") else (name != "randwrite 4k QD1"):
            yield name, job, 1, 5, 1
    if mode in ("quick", "exact"):
        return
    for luns in (4, LUNS):
        for name in ("randread 4k QD32", "randwrite 4k QD32", "read 256k QD8"):
            rw, size, depth, more = JOBS[name]
            yield f"{name}, {luns} LUNs", (rw, size, max(1, depth * 2 // luns), more), luns, 5, 1
    for kind, rw in KINDS.items():
        for size in ("4k", "64k", "1M"):
            for depth in (1, 4, 32, 128):
                yield f"{kind} {size} QD{depth}", (rw, size, depth, []), 1, 5, 1


def wanted_cells(args):
    return [cell for cell in plan_cells(args.mode) if not args.only or re.search(args.only, cell[0])]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", choices=("full", "quick", "exact", "exact-full", "exact-image", "exact-clients"), required=True)
    parser.add_argument("--tcmud", type=int, required=True)
    parser.add_argument("--tcmu-runner", type=int, default=0)
    parser.add_argument("--only", help="cells whose name matches this regular expression")
    parser.add_argument("--options", help="further control options of tcmud's devices", default="")
    parser.add_argument("--spinner", help="process that keeps the guest busy until the measurement begins", type=int, default=0)
    parser.add_argument("--targets", help="of a mode that counts instructions", type=lambda text: text.split(","), default=TARGETS)
    parser.add_argument("--warm", help="of these modes: seconds of the guest before a cell", type=float, default=1)
    parser.add_argument("--seconds", help="of these modes: seconds of a cell", type=float, default=1)
    parser.add_argument("--first", help="of these modes: commands of a new LUN in the first cell", type=int, default=8000)
    parser.add_argument("--mark", action="store_true", help="mark the beginning and the end of each cell")
    parser.add_argument("output")
    args = parser.parse_args()
    pids = {"tcmud": args.tcmud, "tcmu-runner": args.tcmu_runner}

    pids = {name: pid for name, pid in pids.items() if pid}
    start_rss = {name: daemon_cost(pid)[3] for name, pid in pids.items()}
    image = args.mode == "exact-image"
    if args.mode == "exact-clients":
        args.targets = ()
    if "ublk" in args.targets:
        check_ublk(ALL_TARGETS.index("ublk"))
    disks = {target: make_luns(index, target, [0], args.options, image)
             for index, target in enumerate(ALL_TARGETS) if target in args.targets}
    results = {"mode": args.mode, "kernel": os.uname().release, "fio": subprocess.check_output(["fio", "--version"]).decode().strip(),
               "cpus": os.cpu_count(), "rss_before_kib": start_rss, "cells": {}, "counts": {}}
    if args.mode == "exact-clients":
        count_clients(args, results)
        write_file(args.output, json.dumps(results, indent=1))
        return
    if args.mode.startswith("exact"):
        if any(luns > 1 for _, _, luns, _, _ in wanted_cells(args)):
            for target in args.targets:
                disks[target] += make_luns(ALL_TARGETS.index(target), target, range(1, LUNS), args.options)
        load_programs([*pids.values(), *image_servers(), *(server.pid for server, _ in ublk_servers)])
        os.kill(args.spinner, signal.SIGKILL)
        count_cells(args, disks, results)
        write_file(args.output, json.dumps(results, indent=1))
        return
    limits = {t: read_file(f"/sys/block/{disks[t][0][5:]}/queue/max_sectors_kb").strip() for t in TARGETS}
    results["max_sectors_kib"] = {target: int(limit) for target, limit in limits.items()}
    for job in ("randwrite 4k QD32", "read 256k QD8"):
        run_fio([disks[target] for target in TARGETS], JOBS[job], 0.5)
    results["rss_one_kib"] = {name: daemon_cost(pid)[3] for name, pid in pids.items()}
    results["own_rss_one_kib"] = {name: own_rss(pid) for name, pid in pids.items()}
    if args.mode == "full":
        for index, target in enumerate(TARGETS):
            disks[target] += make_luns(index, target, range(1, LUNS), args.options)

    for name, job, luns, rounds, seconds in wanted_cells(args):
        cell = results["cells"][name] = {target: [] for target in TARGETS}
        for number in range(rounds):
            targets = rotate(TARGETS, number)
            used = {target: disks[target][:luns] for target in TARGETS}
            for target, result in run_round(targets, used, job, seconds, pids).items():
                cell[target].append(result)
        if name in JOBS:
            results["counts"][name] = {target: count_events(disks[target][:1], job, pid) for target, pid in pids.items()}
        print(f"{name:32}", *(f"{t} {sorted(r['iops'] for r in cell[t])[rounds // 2]:8.0f}" for t in TARGETS), flush=True)
        with open(args.output, "w") as file:
            json.dump(results, file, indent=1)


if __name__ == "__main__":
    main()
