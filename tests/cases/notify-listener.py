# SPDX-License-Identifier: Apache-2.0
"""Appends each sd_notify message that arrives at a socket to a file, one assignment a line.

usage: notify-listener.py SOCKET FILE
"""
import os
import socket
import sys

listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
log = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
listener.bind(sys.argv[1])
while True:
    os.write(log, listener.recv(4096).rstrip(b"\n") + b"\n")
