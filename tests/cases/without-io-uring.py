# SPDX-License-Identifier: Apache-2.0
"""Runs a command for which the system calls of io_uring fail with EPERM, as under a container's seccomp filter.

usage: without-io-uring.py COMMAND [ARGUMENT...]
"""
import ctypes
import os
import struct
import sys

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
LOAD, JUMP_IF_LESS, JUMP_IF_MORE, RETURN = 0x20, 0x35, 0x25, 0x06  # BPF: ld, jge, jgt, ret
ALLOW, FAIL_EPERM = 0x7FFF0000, 0x00050001
IO_URING_SETUP, IO_URING_REGISTER = 425, 427


def instruction(code, if_true, if_false, value):
    return struct.pack("HBBI", code, if_true, if_false, value)


program = (
    instruction(LOAD, 0, 0, 0)  # the system call's number
    + instruction(JUMP_IF_LESS, 0, 2, IO_URING_SETUP)
    + instruction(JUMP_IF_MORE, 1, 0, IO_URING_REGISTER)
    + instruction(RETURN, 0, 0, FAIL_EPERM)
    + instruction(RETURN, 0, 0, ALLOW)
)
buffer = ctypes.create_string_buffer(program)
header = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer)))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, header, 0, 0):
    sys.exit("without-io-uring: " + os.strerror(ctypes.get_errno()))
os.execvp(sys.argv[1], sys.argv[1:])
