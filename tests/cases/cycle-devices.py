# SPDX-License-Identifier: Apache-2.0
"""Creates and deletes a backstore in configfs so many times; as fast as the kernel and the daemon go.

usage: cycle-devices.py FOLDER CONTROL COUNT
"""
import os
import sys

folder, control, count = sys.argv[1], sys.argv[2].encode(), int(sys.argv[3])


def write(name, data):
    # once: a Python file object would write a failing 1 to "enable" a second time
    file = os.open(os.path.join(folder, name), os.O_WRONLY)
    os.write(file, data)
    os.close(file)


os.makedirs(os.path.dirname(folder), exist_ok=True)
for _ in range(count):
    os.mkdir(folder)
    write("control", control)
    write("enable", b"1")
    os.rmdir(folder)
