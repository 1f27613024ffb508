# SPDX-License-Identifier: Apache-2.0
"""Creates and deletes a backstore in configfs so many times, as fast as the kernel and the daemon permit.

usage: cycle-devices.py DIR CONTROL COUNT
"""
import os
import sys

directory, control, count = sys.argv[1], sys.argv[2].encode(), int(sys.argv[3])


def write_file(name, data):
    # A Python file object would repeat a failed write of 1 to "enable".
    file = os.open(os.path.join(directory, name), os.O_WRONLY)
    os.write(file, data)
    os.close(file)


os.makedirs(os.path.dirname(directory), exist_ok=True)
for _ in range(count):
    os.mkdir(directory)
    write_file("control", control)
    write_file("enable", b"1")
    os.rmdir(directory)
