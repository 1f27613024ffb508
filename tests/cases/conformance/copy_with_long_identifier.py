# SPDX-License-Identifier: Apache-2.0
"""Sends EXTENDED COPY(LID4), which copies BLOCKS blocks from the start of one disk to the middle of another: in the
foreground; in the background, with RECEIVE COPY STATUS(LID4) until it has ended; and aborted.

usage: copy_with_long_identifier.py FROM TO [abort]
"""

import struct
import sys

from scsi_disk import Disk

BLOCKS, AT = 8192, 65536
CHECK_CONDITION = 0x02


def naa_designator(disk):
    """The NAA designator of VPD 83h."""
    page = disk.send([0x12, 0x01, 0x83, 0xFF, 0xFF, 0], room=65535).data
    at = 4
    while at < len(page):
        length = page[at + 3]
        if page[at + 1] & 0x3F == 0x03:
            return page[at + 4 : at + 4 + length]
        at += 4 + length
    sys.exit("no NAA designator")


def parameter_list(list_id, names, immediate):
    targets = b"".join(struct.pack(">BBHBBBB16s4xB3s", 0xE4, 0, 0, 1, 3, 0, 16, name, 0, b"\0\x02\0") for name in names)
    segment = struct.pack(">BBHHHHHQQ", 0x02, 0, 0x18, 0, 1, 0, BLOCKS, 0, AT)
    header = struct.pack(">BBH11xBB3xI18xHHH", 1, 0, 0x20, immediate, 0xFF, list_id, len(targets), len(segment), 0)
    return header + targets + segment


def start_copy(disk, list_id, names, immediate=False):
    out = parameter_list(list_id, names, immediate)
    return disk.send([0x83, 0x01] + [0] * 8 + list(struct.pack(">I", len(out))) + [0, 0], out)


def copy_status(disk, list_id):
    cdb = [0x84, 0x05] + list(struct.pack(">I", list_id)) + [0] * 4 + [0, 0, 0, 255, 0, 0]
    answer = disk.send(cdb, room=255)
    if answer.status:
        sys.exit("no status of copy %d: %s" % (list_id, answer))
    fields = struct.unpack(">IBBHIBBBBQH", answer.data[:26])
    return dict(zip(("length", "action", "status", "operations", "delay", "completion", "room", "sense", "units", "count", "segments"), fields))


def check_value(what, value, *wanted):
    if value not in wanted:
        sys.exit("%s is %s, not %s" % (what, value, wanted))


def main():
    source, disk = Disk(sys.argv[1]), Disk(sys.argv[2])
    names = (naa_designator(source), naa_designator(disk))
    if sys.argv[3:] == ["abort"]:
        check_value("the answer to a background XCOPY", start_copy(disk, 9, names, True).status, 0)
        check_value("its status", copy_status(disk, 9)["status"], 0x12)
        abort = [0x83, 0x1C, 0, 0, 0, 9] + [0] * 10
        check_value("the answer to COPY OPERATION ABORT", disk.send(abort).status, 0)
        while copy_status(disk, 9)["status"] == 0x12:
            pass
        last = copy_status(disk, 9)
        check_value("its status", last["status"], 0x60)
        check_value("its completion", last["completion"], 0x40)
        check_value("that the copy is incomplete", last["count"] < BLOCKS // 2, True)
        check_value("the answer to another abort", disk.send(abort).status, CHECK_CONDITION)
        return
    check_value("the answer to an XCOPY", start_copy(disk, 0x01000001, names).status, 0)
    last = copy_status(disk, 0x01000001)
    check_value("its status", last["status"], 0x01)
    check_value("its KiB", last["count"], BLOCKS // 2)
    check_value("its segments", last["segments"], 1)
    check_value("the answer to a background XCOPY", start_copy(disk, 0x01000002, names, True).status, 0)
    while copy_status(disk, 0x01000002)["status"] == 0x12:
        pass
    check_value("its status", copy_status(disk, 0x01000002)["status"], 0x01)
    check_value("the answer to an unknown list identifier", disk.send([0x84, 0x05, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 255, 0, 0], room=255).sense, (5, 0x24, 0))


main()
