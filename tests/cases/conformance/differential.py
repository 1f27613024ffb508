# SPDX-License-Identifier: Apache-2.0
"""usage: differential.py TESTED REFERENCE BLOCKS COMMANDS SEED

Sends the same random commands to two disks. Status, sense and data must be the same, and so must the data of both disks at
the end, except for the differences that are listed and explained here."""

import os
import random
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from scsi_disk import Disk  # noqa: E402

BLOCK = 512
MOST = 64  # blocks in one command


def big_endian(value, size):
    return value.to_bytes(size, "big")


class Commands:
    """Makes commands: (name, CDB, data-out, room for data-in)."""

    def __init__(self, blocks, seed):
        self.random = random.Random(seed)
        self.blocks = blocks

    def bytes(self, count):
        return self.random.randbytes(count)

    def extent(self):
        """An LBA and a length: mostly within the disk; also across its end, behind it, and of no length."""
        count = self.random.choice((0, 1, 1, 2, 3, 8, self.random.randint(1, MOST)))
        region = self.random.random()
        if region < 0.4:
            return self.random.randint(0, 64), count  # where other commands have written
        if region < 0.9:
            return self.random.randint(0, self.blocks - count), count
        return self.blocks - self.random.randint(-3, 8), count

    def flags(self):
        return self.random.choice((0, 0, 0, 0x08, 0x10, 0x18))  # FUA, DPO

    def sized(self, size, code, flags, lba, count):
        if size == 10:
            return bytes((code, flags)) + big_endian(lba, 4) + b"\0" + big_endian(count, 2) + b"\0"
        if size == 12:
            return bytes((code, flags)) + big_endian(lba, 4) + big_endian(count, 4) + b"\0\0"
        return bytes((code, flags)) + big_endian(lba, 8) + big_endian(count, 4) + b"\0\0"

    def read(self):
        size = self.random.choice((6, 10, 12, 16))
        lba, count = self.extent()
        if size == 6:
            count = max(count, 1)
            return "READ(6)", bytes((0x08,)) + big_endian(lba, 3) + bytes((count, 0)), b"", count * BLOCK
        code = {10: 0x28, 12: 0xA8, 16: 0x88}[size]
        return "READ(%d)" % size, self.sized(size, code, self.flags(), lba, count), b"", count * BLOCK

    def write(self):
        size = self.random.choice((6, 10, 12, 16))
        lba, count = self.extent()
        if size == 6:
            count = max(count, 1)
            return "WRITE(6)", bytes((0x0A,)) + big_endian(lba, 3) + bytes((count, 0)), self.bytes(count * BLOCK), 0
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
        """Whole physical blocks, because the server decides about parts of one (SBC-3 4.7.3.4). Only a list of one extent
        goes beyond the end: of a longer list the kernel unmaps the extents before the one that it refuses."""
        extents = [self.extent() for _ in range(self.random.randint(0, 3))]
        if len(extents) > 1:
            extents = [(lba, count) for lba, count in extents if lba + count <= self.blocks]
        descriptors = b"".join(big_endian(lba & ~7, 8) + big_endian(count & ~7, 4) + bytes(4) for lba, count in extents)
        data = big_endian(len(descriptors) + 6, 2) + big_endian(len(descriptors), 2) + bytes(4) + descriptors
        return "UNMAP", bytes((0x42,)) + bytes(6) + big_endian(len(data), 2) + b"\0", data, 0

    def compare_and_write(self):
        lba, _ = self.extent()
        guess = bytes(BLOCK) if self.random.random() < 0.5 else self.bytes(BLOCK)
        return "COMPARE AND WRITE", bytes((0x89, 0)) + big_endian(lba, 8) + bytes(3) + b"\1\0\0", guess + self.bytes(BLOCK), 0

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


# The accepted differences: a description, and a function of name, CDB, our and the reference's result that recognizes it.
ACCEPTED = (
    (
        "WRITE SAME of no blocks behind the end: both fields are wrong, and the kernel checks the number of blocks first",
        lambda name, cdb, tested, reference: name.startswith("WRITE SAME")
        and tested.sense == (0x05, 0x21, 0x00)
        and reference.sense == (0x05, 0x24, 0x00),
    ),
)


def find_explanation(name, cdb, tested, reference):
    for what, matches in ACCEPTED:
        if matches(name, cdb, tested, reference):
            return what
    return None


def format_result(result):
    return "%02x %s" % (result.status, "-" if result.sense is None else "%02x/%02x/%02x" % result.sense)


def compare_disks(commands, tested, reference_disk, end, when):
    for lba in range(0, end, MOST):
        cdb = commands.sized(16, 0x88, 0, lba, MOST)
        mine, reference = tested.send(cdb, room=MOST * BLOCK), reference_disk.send(cdb, room=MOST * BLOCK)
        if mine == reference:
            continue
        for i in range(0, MOST * BLOCK, BLOCK):
            if mine.data[i : i + BLOCK] != reference.data[i : i + BLOCK]:
                sys.exit(
                    "%s: block %d starts with %s here, %s there"
                    % (when, lba + i // BLOCK, mine.data[i : i + 8].hex(), reference.data[i : i + 8].hex())
                )
        sys.exit("%s: READ: %s here, %s there" % (when, format_result(mine), format_result(reference)))


def main():
    tested, reference_disk = Disk(sys.argv[1]), Disk(sys.argv[2])
    blocks, count, seed = (int(argument) for argument in sys.argv[3:6])
    commands = Commands(blocks, seed)
    differences, good, refused = {}, 0, 0
    for disk in (tested, reference_disk):  # clears the first unit attentions
        while disk.send(bytes(6)).status:
            pass
    for number in range(count):
        name, cdb, out, room = commands.next()
        mine, reference = tested.send(cdb, out, room), reference_disk.send(cdb, out, room)
        good, refused = good + (mine.status == 0), refused + (mine.status != 0)
        if mine == reference:
            if os.environ.get("EACH") and not room:  # to find the command
                compare_disks(commands, tested, reference_disk, 2 * MOST, "seed %d, after command %d, %s, CDB %s" % (seed, number, name, cdb.hex(" ")))
            continue
        why = find_explanation(name, cdb, mine, reference)
        if why is None:
            sys.exit(
                "seed %d, command %d, %s, CDB %s: %s here, %s there%s"
                % (seed, number, name, cdb.hex(" "), format_result(mine), format_result(reference),
                   "" if mine.data == reference.data else ", and other data")  # fmt: skip
            )
        differences[why] = differences.get(why, 0) + 1
    compare_disks(commands, tested, reference_disk, blocks, "seed %d" % seed)
    for why, times in sorted(differences.items()):
        print("%d times: %s" % (times, why))
    print("%d commands, %d good and %d refused, of seed %d: both disks are the same" % (count, good, refused, seed))


main()
