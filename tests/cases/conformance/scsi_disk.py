# SPDX-License-Identifier: Apache-2.0
"""Sends commands to a disk by SG_IO. It repeats no command, and a status other than GOOD raises no error."""

import ctypes
import fcntl
import os
from collections import namedtuple

SG_IO = 0x2285
SG_DXFER_NONE, SG_DXFER_TO_DEV, SG_DXFER_FROM_DEV = -1, -2, -3

Result = namedtuple("Result", "status sense data")


class SgIoHdr(ctypes.Structure):
    _fields_ = [
        ("interface_id", ctypes.c_int),
        ("dxfer_direction", ctypes.c_int),
        ("cmd_len", ctypes.c_ubyte),
        ("mx_sb_len", ctypes.c_ubyte),
        ("iovec_count", ctypes.c_ushort),
        ("dxfer_len", ctypes.c_uint),
        ("dxferp", ctypes.c_void_p),
        ("cmdp", ctypes.c_void_p),
        ("sbp", ctypes.c_void_p),
        ("timeout", ctypes.c_uint),
        ("flags", ctypes.c_uint),
        ("pack_id", ctypes.c_int),
        ("usr_ptr", ctypes.c_void_p),
        ("status", ctypes.c_ubyte),
        ("masked_status", ctypes.c_ubyte),
        ("msg_status", ctypes.c_ubyte),
        ("sb_len_wr", ctypes.c_ubyte),
        ("host_status", ctypes.c_ushort),
        ("driver_status", ctypes.c_ushort),
        ("resid", ctypes.c_int),
        ("duration", ctypes.c_uint),
        ("info", ctypes.c_uint),
    ]


class Disk:
    def __init__(self, path):
        self.fd = os.open(path, os.O_RDWR)

    def send(self, cdb, out=b"", room=0):
        """Sends the CDB with data-out, or with a buffer of so many bytes for data-in. sense: (key, asc, ascq), or None."""
        data = ctypes.create_string_buffer(bytes(out), len(out)) if out else ctypes.create_string_buffer(max(room, 1))
        sense = ctypes.create_string_buffer(64)
        command = ctypes.create_string_buffer(bytes(cdb), len(cdb))
        header = SgIoHdr(
            interface_id=ord("S"),
            dxfer_direction=SG_DXFER_TO_DEV if out else SG_DXFER_FROM_DEV if room else SG_DXFER_NONE,
            cmd_len=len(cdb),
            mx_sb_len=len(sense),
            dxfer_len=len(out) or room,
            dxferp=ctypes.addressof(data),
            cmdp=ctypes.addressof(command),
            sbp=ctypes.addressof(sense),
            timeout=30000,
        )
        fcntl.ioctl(self.fd, SG_IO, header)
        if header.host_status:
            raise OSError("the transport failed: host status %d" % header.host_status)
        return Result(header.status, parse_sense(sense.raw[: header.sb_len_wr]), data.raw[: room - header.resid] if room else b"")


def parse_sense(sense):
    if len(sense) < 8:
        return None
    if sense[0] & 0x7F >= 0x72:
        return (sense[1] & 15, sense[2], sense[3])
    return (sense[2] & 15, sense[12], sense[13])
