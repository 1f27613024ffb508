# SPDX-License-Identifier: Apache-2.0
"""The soak: many LUNs under a verified load, while LUNs are created, deleted and resized, backends fail and hang, and the
daemon is stopped (SIGSTOP), killed and started again, all at random. Prints a line a minute, and fails at the first error.

usage: soak.py MINUTES LUNS SEED, as root, where no other daemon serves TCMU; tests/soak/run starts it.

Three quarters of the LUNs are kept and have the load: fio with verify, which may see no error. The others come and go.
"""

import errno
import hashlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

TARGET = "/sys/kernel/config/target"
HBA = TARGET + "/core/user_200"
TPG = TARGET + "/loopback/naa.50014050000050a4/tpgt_1"
RUN = "/run/tcmud-soak"
STORE = os.environ.get("SOAK_STORE", "/srv/tcmud-soak")
SIZE = 8 << 20
LIMIT = 90  # seconds that a create or delete may take with all that happens meanwhile
HANG = 3  # seconds that a backend hangs, and the daemon is stopped

COMING = (  # subtype, options, what the create must do
    ("file", "", True),
    ("file", "", True),
    ("fault", ";delay_ms=50", True),
    ("fault", ";open_delay_ms=1500", True),
    ("fault", ";close_hang_file=%s/close" % RUN, True),
    ("fault", ";error=READ:EIO:3", True),
    ("fault", ";open_error=EACCES", False),
)


def write(path, text):
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def read(path):
    with open(path) as file:
        return file.read().strip()


class Daemon:
    def __init__(self):
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(RUN + "/notify")
        self.ready = threading.Event()
        self.starts = 0
        self.process = None
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        """Reads all messages: the daemon waits when the socket is full."""
        while True:
            if "READY=1" in self.notify.recv(4096).decode():
                self.ready.set()

    def start(self):
        self.starts += 1
        self.log = "%s/daemon-%d.log" % (RUN, self.starts)
        self.ready.clear()
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                ["tcmud"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=dict(os.environ, NOTIFY_SOCKET=RUN + "/notify")
            )
        if not self.ready.wait(60):
            raise OSError("the daemon is not ready after 60 s")

    def kill(self):
        self.process.kill()
        self.process.wait()
        old = "%s/daemon-%d.log" % (RUN, self.starts - 3)
        if os.path.exists(old):
            os.unlink(old)
        self.start()

    def pause(self):
        process = self.process
        process.send_signal(signal.SIGSTOP)
        time.sleep(random.uniform(0.1, HANG))
        process.send_signal(signal.SIGCONT)

    def figures(self):
        proc = "/proc/%d/" % self.process.pid
        status = dict(line.split(":", 1) for line in read(proc + "status").splitlines())
        return {
            "KiB": int(status["VmRSS"].split()[0]),
            "descriptors": len(os.listdir(proc + "fd")),
            "threads": int(status["Threads"]),
            "orphans": sum(device["state"] == "ORPHANED" for device in self.devices()),
        }

    @staticmethod
    def devices():
        answer = subprocess.run(["tcmuctl", "--json", "list"], check=True, stdout=subprocess.PIPE, timeout=30, text=True)
        return json.loads(answer.stdout)["devices"]


class Lun:
    """A backstore and its LUN. path: of its disk, while it has one."""

    def __init__(self, number):
        self.number = number
        self.name = "soak%d" % number
        self.backstore = "%s/%s" % (HBA, self.name)
        self.lun = "%s/lun/lun_%d" % (TPG, number)
        self.path = None
        self.size = SIZE
        self.subtype = None

    def create(self, subtype, options, succeeds=True):
        image = "%s/%s" % (STORE, self.name)
        with open(image, "wb") as file:
            file.truncate(SIZE)
        self.size = SIZE
        self.subtype = subtype
        os.makedirs(self.backstore)
        write(self.backstore + "/control", "dev_config=%s/%s%s,dev_size=%d" % (subtype, image, options, SIZE))
        try:
            write(self.backstore + "/enable", "1")
        except OSError as error:
            os.rmdir(self.backstore)
            if error.errno == errno.EAGAIN:
                # A daemon that starts has the kernel refuse new commands while it ends the waiting ones.
                return self.create(subtype, options, succeeds)
            if succeeds:
                raise OSError("%s: the create of %s%s: %s" % (self.name, subtype, options, error))
            return False
        if not succeeds:
            raise OSError("%s: the create of %s%s did not fail" % (self.name, subtype, options))
        os.mkdir(self.lun)
        os.symlink(self.backstore, "%s/%s" % (self.lun, self.name))
        address = "%s:%d" % (read(TPG + "/address"), self.number)
        directory = "/sys/class/scsi_device/%s/device/block" % address
        deadline = time.monotonic() + LIMIT
        while True:
            if os.path.isdir(directory) and os.listdir(directory):
                self.path = "/dev/" + os.listdir(directory)[0]
                size = "/sys/block/%s/size" % self.path[5:]
                if os.path.exists(self.path) and os.path.exists(size) and int(read(size)):
                    return True
            if time.monotonic() > deadline:
                raise OSError("%s: no disk after %d s" % (self.name, LIMIT))
            time.sleep(0.05)

    def resize(self, size):
        try:
            write(self.backstore + "/attrib/dev_size", str(size))
            self.size = size
        except OSError as error:
            # The daemon was killed meanwhile; nobody listens; or the daemon still carries out the last one, whose writer
            # the kernel has let go.
            if error.errno not in (errno.EAGAIN, errno.ESRCH, errno.EBUSY):
                raise

    def delete(self):
        os.unlink("%s/%s" % (self.lun, self.name))
        os.rmdir(self.lun)
        os.rmdir(self.backstore)
        self.path = None

    def write_and_compare(self, seed):
        """A little verified data on a disk that has no load."""
        data = hashlib.sha512(str(seed).encode()).digest() * (8 * 4096 // 64)
        for mode, option in (("write", "of=" + self.path), ("read", "if=" + self.path)):
            result = subprocess.run(
                ["dd", option, "bs=4096", "status=none", "count=8", "oflag=direct" if mode == "write" else "iflag=direct"],
                input=data if mode == "write" else None, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LIMIT,
            )
            if result.returncode:
                raise OSError("%s: %s: %s" % (self.name, mode, result.stderr.decode()))
        if result.stdout != data:
            raise OSError("%s: other data was read than was written" % self.name)


class Soak:
    def __init__(self, minutes, luns, seed):
        self.chance = random.Random(seed)
        self.luns = [Lun(i) for i in range(luns)]
        self.kept = self.luns[: luns * 3 // 4]
        self.coming = self.luns[luns * 3 // 4 :]
        self.end = time.monotonic() + minutes * 60
        self.counts = dict.fromkeys(("kills", "stops", "resets", "hangs", "creates", "refused", "deletes", "resizes"), 0)
        self.lock = threading.Lock()
        self.errors = []
        self.busy = {}  # thread: what it does, since when
        self.daemon = Daemon()

    def count(self, what):
        with self.lock:
            self.counts[what] += 1

    def running(self):
        return time.monotonic() < self.end and not self.errors

    def come_and_go(self, luns, seed):
        """One thread: its LUNs are created, used, resized and deleted."""
        chance = random.Random(seed)
        name = threading.current_thread().name
        try:
            while self.running():
                lun = chance.choice(luns)
                if not lun.path:
                    kind = chance.choice(COMING)
                    self.busy[name] = ("create " + lun.name, time.monotonic())
                    self.count("creates" if lun.create(*kind) else "refused")
                    lun.faulty = "error=" in kind[1]
                elif chance.random() < 0.4:
                    self.busy[name] = ("delete " + lun.name, time.monotonic())
                    lun.delete()
                    self.count("deletes")
                elif lun.subtype == "file" and chance.random() < 0.3:
                    self.busy[name] = ("resize " + lun.name, time.monotonic())
                    lun.resize(lun.size + (1 << 20))
                    self.count("resizes")
                elif not lun.faulty:
                    self.busy[name] = ("use " + lun.name, time.monotonic())
                    lun.write_and_compare(chance.random())
                self.busy.pop(name, None)
                time.sleep(chance.uniform(0, 0.5))
        except Exception as error:
            self.errors.append("%s: %s" % (name, error))

    def hang(self, what):
        path = "%s/%s" % (RUN, what)
        open(path, "w").close()
        time.sleep(self.chance.uniform(0.1, HANG))
        os.unlink(path)

    def disturb(self):
        """One disturbance of the daemon or a backend."""
        kind = self.chance.choices(("kills", "stops", "resets", "hangs"), (3, 2, 3, 2))[0]
        if kind == "kills":
            self.daemon.kill()
        elif kind == "stops":
            self.daemon.pause()
        elif kind == "resets":
            lun = self.chance.choice(self.kept)
            subprocess.run(["sg_reset", "-d", lun.path], check=True, timeout=LIMIT, stdout=subprocess.DEVNULL)
        else:
            self.hang(self.chance.choice(("hold", "close")))
        self.count(kind)

    def start_load(self):
        jobs = []
        for lun in self.kept:
            jobs += ["--name=" + lun.name, "--filename=" + lun.path, "--iodepth=%d" % self.chance.choice((1, 2, 4, 8, 16))]
        command = ["fio", "--rw=randwrite", "--bs=4k", "--ioengine=libaio", "--direct=1", "--time_based", "--runtime=1000000"]
        command += ["--size=%d" % (SIZE // 2), "--thread", "--rate_iops=3", "--verify=crc32c", "--verify_fatal=1"]
        command += ["--verify_backlog=16", "--group_reporting", "--output=%s/fio.txt" % RUN] + jobs
        with open(RUN + "/fio.err", "w") as log:
            self.load = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    @staticmethod
    def load_errors():
        lines = (read(RUN + "/fio.txt") + "\n" + read(RUN + "/fio.err")).splitlines()
        return "\n".join(line for line in lines if "err" in line or "verify" in line)[:2000]

    def check(self):
        if self.load.poll() is not None:
            self.errors.append("the load has ended: " + self.load_errors())
        for name, (what, since) in list(self.busy.items()):
            if time.monotonic() - since > LIMIT:
                self.errors.append("%s: %s takes longer than %d s" % (name, what, LIMIT))
        if self.daemon.process.poll() is not None:
            self.errors.append("the daemon has ended with status %d" % self.daemon.process.returncode)

    def report(self, minute):
        figures = dict(self.counts, **self.daemon.figures())
        luns = sum(lun.path is not None for lun in self.luns)
        text = ", ".join("%s %d" % item for item in figures.items())
        print("minute %d: LUNs %d, errors %d, %s" % (minute, luns, len(self.errors), text), flush=True)

    def stop_load(self):
        self.load.send_signal(signal.SIGINT)
        self.load.wait(LIMIT)
        report = read(RUN + "/fio.txt")
        if "err= 0" not in report:
            self.errors.append("the load: " + self.load_errors())
        for line in report.splitlines():
            if line.strip().startswith(("read:", "write:")):
                print("load: " + line.strip(), flush=True)

    def main(self):
        self.daemon.start()
        empty = self.daemon.figures()
        os.makedirs(TPG)
        write(TPG + "/nexus", "naa.50014050000050a5")
        for lun in self.kept:
            options = {0: ("fault", ";delay_ms=20"), 1: ("fault", ";hold_file=%s/hold" % RUN)}
            lun.create(*options.get(lun.number % 6, ("file", "")))
        print("%d LUNs have a verified load" % len(self.kept), flush=True)
        self.start_load()
        workers = [
            threading.Thread(target=self.come_and_go, args=(self.coming[i::2], self.chance.random()), name="worker %d" % i)
            for i in range(2)
        ]
        for worker in workers:
            worker.start()
        start, minute = time.monotonic(), 0
        while self.running():
            try:
                self.disturb()
                self.check()
                if time.monotonic() - start >= (minute + 1) * 60:
                    minute += 1
                    self.report(minute)
            except Exception as error:
                self.errors.append("%s: %s" % (type(error).__name__, error))
            time.sleep(self.chance.uniform(0, 2))
        for worker in workers:
            worker.join(LIMIT)
        self.stop_load()
        if not self.errors:
            self.tear_down(empty)
        for error in self.errors:
            print("ERROR: " + error)
        if self.errors:
            print(read(self.daemon.log)[-2000:])
        return 1 if self.errors else 0

    def tear_down(self, empty):
        """Without LUNs the daemon holds what it held before the first one."""
        for lun in self.luns:
            if lun.path:
                lun.delete()
        write(TPG + "/nexus", "NULL")
        os.rmdir(TPG)
        os.rmdir(os.path.dirname(TPG))
        deadline = time.monotonic() + LIMIT
        while True:
            figures = self.daemon.figures()
            if not self.daemon.devices() and figures["descriptors"] <= empty["descriptors"]:
                break
            if time.monotonic() > deadline:
                self.errors.append("left without LUNs: %s, before them: %s" % (figures, empty))
                break
            time.sleep(0.2)
        print("without LUNs: %s; before them: %s" % (figures, empty), flush=True)
        self.daemon.process.terminate()
        status = self.daemon.process.wait(LIMIT)
        if status:
            self.errors.append("the daemon's exit status is %d" % status)


os.makedirs(RUN)
os.makedirs(STORE)
try:
    status = Soak(float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])).main()
finally:
    shutil.rmtree(STORE)
sys.stdout.flush()
os._exit(status)  # threads may hang in the kernel
