# SPDX-License-Identifier: Apache-2.0
"""usage: differential.py OURS REFERENCE BLOCKS COMMANDS SEED

The same random commands to two disks. Status, sense and data must be the same, and so must both disks be at the end, but
for the differences that are named and explained here."""

import os
import random
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from scsi_disk import Disk  # noqa: E402

BLOCK = 512
MOST = 64  # blocks in one command


def be(value, size):
    return value.to_bytes(size, "big")


class Commands:
    """Makes commands: (name, CDB, data-out, room for data-in)."""

    def __init__(self, blocks, seed):
        self.random = random.Random(seed)
        self.blocks = blocks

    def bytes(self, count):
        return self.random.randbytes(count)

    def extent(self):
        """Mostly within the disk; also across its end, behind it, and of no length."""
        count = self.random.choice((0, 1, 1, 2, 3, 8, self.random.randint(1, MOST)))
        place = self.random.random()
        if place < 0.4:
            return self.random.randint(0, 64), count  # where others have been
        if place < 0.9:
            return self.random.randint(0, self.blocks - count), count
        return self.blocks - self.random.randint(-3, 8), count

    def flags(self):
        return self.random.choice((0, 0, 0, 0x08, 0x10, 0x18))  # FUA, DPO

    def sized(self, size, code, flags, lba, count):
        if size == 10:
            return bytes((code, flags)) + be(lba, 4) + b"\0" + be(count, 2) + b"\0"
        if size == 12:
            return bytes((code, flags)) + be(lba, 4) + be(count, 4) + b"\0\0"
        return bytes((code, flags)) + be(lba, 8) + be(count, 4) + b"\0\0"

    def read(self):
        size = self.random.choice((6, 10, 12, 16))
        lba, count = self.extent()
        if size == 6:
            count = max(count, 1)
            return "READ(6)", bytes((0x08,)) + be(lba, 3) + bytes((count, 0)), b"", count * BLOCK
        code = {10: 0x28, 12: 0xA8, 16: 0x88}[size]
        return "READ(%d)" % size, self.sized(size, code, self.flags(), lba, count), b"", count * BLOCK

    def write(self):
        size = self.random.choice((6, 10, 12, 16))
        lba, count = self.extent()
        if size == 6:
            count = max(count, 1)
            return "WRITE(6)", bytes((0x0A,)) + be(lba, 3) + bytes((count, 0)), self.bytes(count * BLOCK), 0
        code = {10: 0x2A, 12: 0xAA, 16: 0x8A}[size]
        return "WRITE(%d)" % size, self.sized(size, code, self.flags(), lba, count), self.bytes(count * BLOCK), 0

    def verify(self):
        size = self.random.choice((10, 16))
        lba, count = self.extent()
        return "VERIFY(%d)" % size, self.sized(size, {10: 0x2F, 16: 0x8F}[size], 0, lba, count), b"", 0

    def write_verify(self):
        lba, count = self.extent()
        return "WRITE AND VERIFY(10)", self.sized(10, 0x2E, 0, lba, count), self.bytes(count * BLOCK), 0

    def write_same(self):
        size = self.random.choice((10, 16))
        lba, count = self.extent()
        unmap = self.random.choice((0, 0x08))
        data = bytes(BLOCK) if unmap or self.random.random() < 0.3 else self.bytes(BLOCK)
        return "WRITE SAME(%d)" % size, self.sized(size, {10: 0x41, 16: 0x93}[size], unmap, lba, count), data, 0

    def unmap(self):
        """Whole physical blocks, for what becomes of parts of one is up to the server (SBC-3 4.7.3.4). Only a list of one
        goes beyond the end: the kernel has unmapped what stands before it in a longer one when it refuses that."""
        extents = [self.extent() for _ in range(self.random.randint(0, 3))]
        if len(extents) > 1:
            extents = [(lba, count) for lba, count in extents if lba + count <= self.blocks]
        descriptors = b"".join(be(lba & ~7, 8) + be(count & ~7, 4) + bytes(4) for lba, count in extents)
        data = be(len(descriptors) + 6, 2) + be(len(descriptors), 2) + bytes(4) + descriptors
        return "UNMAP", bytes((0x42,)) + bytes(6) + be(len(data), 2) + b"\0", data, 0

    def compare_and_write(self):
        lba, _ = self.extent()
        guess = bytes(BLOCK) if self.random.random() < 0.5 else self.bytes(BLOCK)
        return "COMPARE AND WRITE", bytes((0x89, 0)) + be(lba, 8) + bytes(3) + b"\1\0\0", guess + self.bytes(BLOCK), 0

    def synchronize(self):
        size = self.random.choice((10, 16))
        lba, count = self.extent()
        return "SYNCHRONIZE CACHE(%d)" % size, self.sized(size, {10: 0x35, 16: 0x91}[size], 0, lba, count), b"", 0

    def ready(self):
        return "TEST UNIT READY", bytes(6), b"", 0

    def next(self):
        kinds = (self.read, self.write, self.verify, self.write_verify, self.write_same, self.unmap, self.compare_and_write,
                 self.synchronize, self.ready)  # fmt: skip
        return self.random.choices(kinds, weights=(30, 30, 4, 5, 10, 8, 8, 4, 1))[0]()


# What a difference is about, and whether a pair of results is one: a function of name, CDB, our and their result.
EXPLAINED = (
    (
        "WRITE SAME of no blocks behind the end: two things are wrong, and the kernel looks at the number first",
        lambda name, cdb, ours, theirs: name.startswith("WRITE SAME")
        and ours.sense == (0x05, 0x21, 0x00)
        and theirs.sense == (0x05, 0x24, 0x00),
    ),
)


def explained(name, cdb, ours, theirs):
    for what, matches in EXPLAINED:
        if matches(name, cdb, ours, theirs):
            return what
    return None


def shown(result):
    return "%02x %s" % (result.status, "-" if result.sense is None else "%02x/%02x/%02x" % result.sense)


def compare(commands, ours, theirs, end, when):
    for lba in range(0, end, MOST):
        cdb = commands.sized(16, 0x88, 0, lba, MOST)
        mine, reference = ours.send(cdb, room=MOST * BLOCK), theirs.send(cdb, room=MOST * BLOCK)
        if mine == reference:
            continue
        for i in range(0, MOST * BLOCK, BLOCK):
            if mine.data[i : i + BLOCK] != reference.data[i : i + BLOCK]:
                sys.exit(
                    "%s: block %d begins with %s here, %s there"
                    % (when, lba + i // BLOCK, mine.data[i : i + 8].hex(), reference.data[i : i + 8].hex())
                )
        sys.exit("%s: READ: %s here, %s there" % (when, shown(mine), shown(reference)))


def main():
    ours, theirs = Disk(sys.argv[1]), Disk(sys.argv[2])
    blocks, count, seed = (int(argument) for argument in sys.argv[3:6])
    commands = Commands(blocks, seed)
    differences, good, refused = {}, 0, 0
    for disk in (ours, theirs):  # unit attentions of the beginning
        while disk.send(bytes(6)).status:
            pass
    for number in range(count):
        name, cdb, out, room = commands.next()
        mine, reference = ours.send(cdb, out, room), theirs.send(cdb, out, room)
        good, refused = good + (mine.status == 0), refused + (mine.status != 0)
        if mine == reference:
            if os.environ.get("EACH") and not room:  # to find who it was
                compare(commands, ours, theirs, 2 * MOST, "seed %d, after command %d, %s, CDB %s" % (seed, number, name, cdb.hex(" ")))
            continue
        why = explained(name, cdb, mine, reference)
        if why is None:
            sys.exit(
                "seed %d, command %d, %s, CDB %s: %s here, %s there%s"
                % (seed, number, name, cdb.hex(" "), shown(mine), shown(reference),
                   "" if mine.data == reference.data else ", and other data")  # fmt: skip
            )
        differences[why] = differences.get(why, 0) + 1
    compare(commands, ours, theirs, blocks, "seed %d" % seed)
    for why, times in sorted(differences.items()):
        print("%d times: %s" % (times, why))
    print("%d commands, %d good and %d refused, of seed %d: both disks are the same" % (count, good, refused, seed))


main()
