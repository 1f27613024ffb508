# SPDX-License-Identifier: Apache-2.0
"""Runs commands on the host for a guest. The guest sends a line with one of the commands below; the answer is its exit
status and its output.

    host-proxy.py ADDRESS PORT DIR CLUSTER-SCRIPT SECOND-GUEST...

SECOND-GUEST is the command that runs a second guest. The two guests exchange words by queues.
"""
import collections
import json
import os
import queue
import re
import shlex
import signal
import socket
import socketserver
import subprocess
import sys

ADDRESS, PORT, DIR, CLUSTER, SECOND = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4], sys.argv[5:]
MONITOR = re.compile(rb"unix:([^,]*/qmp),")
FORWARD = re.compile(rb"hostfwd=tcp:10\.77\.0\.2:")
DOCS = os.path.join(os.path.dirname(CLUSTER), "..", "..", "docs")
CONF = os.path.join(DIR, "ceph.conf")
SECONDS = 60
queues = collections.defaultdict(queue.Queue)
second = []


def host_command(words):
    """The program that carries out a command, or None."""
    match words:
        case ["conf"]:
            return ["cat", CONF]
        case ["docs", name] if re.fullmatch(r"[a-z-]+\.md", name):
            return ["cat", os.path.join(DOCS, name)]
        case ["osd", "stop" | "continue" as what]:
            return [CLUSTER, "signal", DIR, "osd", {"stop": "STOP", "continue": "CONT"}[what]]
        case ["osd", "restart"]:
            return [CLUSTER, "restart", DIR]
        case ["rbd", "rm" | "resize" as what, *more]:
            return ["rbd", "-c", CONF, "--no-progress", what, *more]
        case ["rbd", "create" | "du" | "status" as what, *more]:
            return ["rbd", "-c", CONF, what, *more]
    return None


def find_second():
    """The emulator of the second guest: its process and its QMP socket."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read()
        except OSError:
            continue  # it has ended
        if words.startswith(b"qemu-system") and FORWARD.search(words):
            return int(pid), MONITOR.search(words)[1]
    raise LookupError("there is no second guest")


def link_second(up):
    """Sets the link state of the second guest's network. While it is down, the guest keeps what it has to send."""
    with socket.socket(socket.AF_UNIX) as monitor:
        monitor.settimeout(SECONDS)
        monitor.connect(find_second()[1])
        with monitor.makefile("rw") as lines:
            lines.readline()  # the greeting
            for request in ({"execute": "qmp_capabilities"}, {"execute": "set_link", "arguments": {"name": "net", "up": up}}):
                print(json.dumps(request), file=lines, flush=True)
                while not {"return", "error"} & (answer := json.loads(lines.readline())).keys():
                    pass
                if "error" in answer:
                    return 1, answer["error"]["desc"]
    return 0, ""


def control_second(what):
    match what:
        case "stop" | "continue":  # pauses the whole guest
            os.kill(find_second()[0], {"stop": signal.SIGSTOP, "continue": signal.SIGCONT}[what])
            return 0, ""
        case "cut" | "join":
            return link_second(what == "join")
        case "end":
            return second.pop().wait(timeout=SECONDS), ""
    return 2, "unknown command for the second guest"


def proxy_command(words):
    """Carries out a command that needs no program. Returns its exit status and output, or None for other commands."""
    match words:
        case ["second", "start", *more]:
            second.append(subprocess.Popen(SECOND + more, stdin=subprocess.DEVNULL))
            return 0, ""
        case ["second", what]:
            return control_second(what)
        case ["put", name, text]:
            queues[name].put(text)
            return 0, ""
        case ["get", name, seconds]:
            try:
                return 0, queues[name].get(timeout=float(seconds))
            except queue.Empty:
                return 1, f"nothing in the queue {name}"
    return None


class Request(socketserver.StreamRequestHandler):
    def handle(self):
        words = shlex.split(self.rfile.readline().decode())
        try:
            answer = proxy_command(words)
        except (LookupError, OSError, subprocess.TimeoutExpired) as error:
            answer = 1, str(error)
        if answer:
            self.wfile.write(f"{answer[0]}\n{answer[1]}".encode())
            return
        wanted = host_command(words)
        if not wanted:
            self.wfile.write(b"2\nthe host proxy does not know that command\n")
            return
        done = subprocess.run(wanted, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS, check=False)
        self.wfile.write(b"%d\n" % done.returncode + done.stdout)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


with Server((ADDRESS, PORT), Request) as server:
    server.serve_forever()
