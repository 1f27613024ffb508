# SPDX-License-Identifier: Apache-2.0
"""The load and the check of durability/power-cut.

power_cut.py load DISK LOG-WRITES-DEVICE JOURNAL MARKS WCE
    Writes blocks of 4 KiB in several threads, some with FUA, and sends SYNCHRONIZE CACHE. Whenever something has become
    stable, it sets a mark in the log of dm-log-writes, and notes in the journal which version of each block is stable.
power_cut.py check REPLAY-PROGRAM LOG TARGET JOURNAL MARKS IMAGE
    For up to MARKS of the marks: makes the disk that a power cut at the mark leaves, mounts it, and reads the image.
"""

import json
import os
import random
import shutil
import struct
import subprocess
import sys
import threading

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "conformance"))
import scsi_disk

BLOCK = 4096
SECTORS = BLOCK // 512
BLOCKS = 512  # of the disk, from 0
THREADS = 4
FUA = 0x08


class Load:
    def __init__(self, disk, device, journal, marks, write_cache):
        self.path = disk
        self.device = device
        self.journal = open(journal, "w")
        self.marks = marks
        self.write_cache = write_cache
        self.lock = threading.Lock()
        self.marker = threading.Lock()
        self.written = {}  # block: its version, acknowledged
        self.stable = {}  # block: its version, acknowledged as stable
        self.marked = 0
        self.counts = {"writes": 0, "FUA": 0, "flushes": 0}
        self.failure = None

    def write(self, disk, block, count, version, fua):
        data = b"".join(struct.pack("<QQ", i, version) * (BLOCK // 16) for i in range(block, block + count))
        cdb = struct.pack(">BBQIBB", 0x8A, FUA if fua else 0, block * SECTORS, count * SECTORS, 0, 0)
        self.expect_good(disk.send(cdb, out=data))
        with self.lock:
            self.counts["FUA" if fua else "writes"] += 1
            for i in range(block, block + count):
                self.written[i] = version
                if fua or not self.write_cache:
                    self.stable[i] = version

    def flush(self, disk):
        with self.lock:
            before = dict(self.written)
        self.expect_good(disk.send(struct.pack(">BBQIBB", 0x91, 0, 0, 0, 0, 0)))
        with self.lock:
            self.counts["flushes"] += 1
            for block, version in before.items():
                self.stable[block] = max(version, self.stable.get(block, 0))

    @staticmethod
    def expect_good(result):
        if result.status:
            raise OSError("status %d, sense %s" % (result.status, result.sense))

    def mark(self):
        """A block that is stable before the mark is set is there after a power cut at the mark."""
        with self.marker:
            with self.lock:
                stable = dict(self.stable)
            name = "stable-%d" % self.marked
            subprocess.run(["dmsetup", "message", self.device, "0", "mark", name], check=True)
            self.journal.write(json.dumps({"mark": name, "stable": stable}) + "\n")
            self.marked += 1

    def run(self, thread):
        try:
            disk = scsi_disk.Disk(self.path)
            chance = random.Random(thread)
            version = 0
            while self.marked < self.marks and not self.failure:
                for i in range(chance.randrange(1, 6)):
                    version += 1
                    count = chance.randrange(1, 5)
                    # no other thread writes there, so that versions grow
                    block = chance.randrange(0, BLOCKS // THREADS - count) + thread * (BLOCKS // THREADS)
                    self.write(disk, block, count, version, chance.random() < 0.2)
                if self.write_cache and chance.random() < 0.5:
                    self.flush(disk)
                self.mark()
        except Exception as error:  # the main thread reports it
            self.failure = error

    def main(self):
        threads = [threading.Thread(target=self.run, args=(i,)) for i in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.failure:
            sys.exit("the load failed: %s" % self.failure)
        self.journal.close()
        print("%d marks after %s" % (self.marked, ", ".join("%d %s" % (n, what) for what, n in self.counts.items())))


def check_blocks(image, stable):
    """Each block holds a whole version, and not an older one than the stable one. Returns how many had to be there."""
    with open(image, "rb") as file:
        for block in range(BLOCKS):
            data = file.read(BLOCK)
            number, version = struct.unpack_from("<QQ", data)
            least = stable.get(str(block), 0)
            if data != data[:16] * (BLOCK // 16) or (version and number != block):
                sys.exit("block %d holds something that was not written: %s" % (block, data[:16].hex()))
            if version < least:
                sys.exit("block %d holds version %d, but version %d was acknowledged as stable" % (block, version, least))
    return len(stable)


def check(program, log, target, journal, marks, image):
    journal = [json.loads(line) for line in open(journal)]
    expected = {entry["mark"]: entry["stable"] for entry in journal}
    entries = subprocess.run([program, log], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    at = [(int(fields[0]), fields[-1]) for fields in map(str.split, entries) if fields[-1] in expected]
    if len(at) != len(expected):
        sys.exit("%d of %d marks are in the log" % (len(at), len(expected)))
    chosen = [at[i * len(at) // marks] for i in range(marks)] if len(at) > marks else at
    cut, directory, position, blocks = target + ".cut", "/run/cut", 0, 0
    os.makedirs(directory, exist_ok=True)
    shutil.copyfile(target, cut)
    device = subprocess.run(["losetup", "-f", "--show", cut], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    for number, mark in chosen:
        subprocess.run([program, log, target, str(position), str(number)], check=True)
        position = number
        shutil.copyfile(target, cut)
        subprocess.run(["mount", device, directory], check=True)
        try:
            if os.path.exists(os.path.join(directory, image)):
                blocks += check_blocks(os.path.join(directory, image), expected[mark])
            elif expected[mark]:
                sys.exit("%s: the image is not there" % mark)
        finally:
            subprocess.run(["umount", directory], check=True)
    subprocess.run(["losetup", "-d", device], check=True)
    subprocess.run(["fsck.ext4", "-fn", cut], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    print("%d power cuts in a log of %d entries, %d stable blocks checked" % (len(chosen), len(entries), blocks))


if sys.argv[1] == "load":
    Load(sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]), sys.argv[6] == "on").main()
else:
    check(*sys.argv[2:6], int(sys.argv[6]), sys.argv[7])
