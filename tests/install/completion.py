#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""Completes words by the real shells, as an operator sees it: bash, zsh and fish on a terminal, with the installed files, and a
socket that answers as the daemon does. Ends with "N passed, N failed"; a shell that is not installed is left out, and said so.

usage: completion.py PREFIX       PREFIX/sbin/tcmuctl and the completions are below it"""

import concurrent.futures
import json
import os
import pty
import re
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

PREFIX = sys.argv[1]
DEVICES = ["user_0/disk", "user_0/other", "user_1/odd:name"]
# The line before the tabulator, the words that the shell then shows or has completed, and words that it has not.
LINES = [
    ("tcmuctl hea", ["health"], []),
    ("tcmuctl st", ["stats", "status"], ["top"]),
    ("tcmuctl stats --int", ["--interval"], []),
    ("tcmuctl events --f", ["--follow"], ["--format"]),
    ("tcmuctl metrics -f ", ["openmetrics", "prometheus"], []),
    ("tcmuctl log-level ", ["0", "5"], []),
    ("tcmuctl -s {socket} status user_0/o", ["user_0/other"], ["disk"]),
    ("tcmuctl -s {socket} status user_0/", DEVICES[:2], []),
    ("tcmuctl -s {socket} limits user_0/disk i", ["iops="], []),
    ("tcmuctl -s {directory}/fi", ["/file-one"], []),
]
IDLE_SECONDS = 0.4
passed = failed = 0


def answer(server):
    while True:
        connection, _ = server.accept()
        with connection, connection.makefile("rw") as stream:
            for line in stream:
                method = json.loads(line)["method"]
                assert method == "list", method
                devices = [{"device": name, "config": "file//srv/x"} for name in DEVICES]
                stream.write(json.dumps({"result": {"devices": devices, "others": [], "given_up": 0}}) + "\n")
                stream.flush()


class Terminal:
    def __init__(self, arguments, environment):
        self.said = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvpe(arguments[0], arguments, os.environ | environment)

    def read_until(self, condition, seconds):
        end = time.monotonic() + seconds
        while not condition(self.said) and time.monotonic() < end:
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    self.said += os.read(self.fd, 65536).decode(errors="replace")
                except OSError:
                    return False
        return condition(self.said)

    def read_until_idle(self, condition):
        """Until the answer is there, and nothing has followed it for a while."""
        self.read_until(condition, 20)
        before = None
        while before != self.said:
            before = self.said
            self.read_until(lambda said: said != before, IDLE_SECONDS)

    def end(self):
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


def plain(text):
    """Without the sequences that move the cursor or set colours."""
    return re.sub(r"\x1b(\[[0-9;?<>=]*[A-Za-z]|[()][A-Z0-9]|[=>]|\][^\x07]*\x07)", "", text).replace("\r", "\n")


def shown(said, line):
    """The text of a terminal behind the line that was typed."""
    return plain(said).replace(line, " ", 1) + "\n" + "".join(plain(said).split("\n")[-1:])


def shell_of(name, directory):
    """The command that starts the shell with the installed completion, and its prompt at the end."""
    if name == "bash":
        rc = f". {PREFIX}/share/bash-completion/completions/tcmuctl\nbind 'set show-all-if-ambiguous on'\nbind 'set page-completions off'\n"
        rc += "bind 'set enable-bracketed-paste off'\nPS1='READY> '\n"
        arguments = ["bash", "--noprofile", "--rcfile", f"{directory}/rc", "-i"]
    else:
        functions = next(path for path in (f"{PREFIX}/share/zsh/site-functions", f"{PREFIX}/share/zsh/vendor-completions") if os.path.exists(path))
        rc = f"fpath=({functions} $fpath)\nautoload -Uz compinit\ncompinit -D -u\nPS1='READY> '\nunsetopt zle_bracketed_paste\nLISTMAX=1000\n"
        arguments = ["zsh", "-i"]
    with open(f"{directory}/{'rc' if name == 'bash' else '.zshrc'}", "w", encoding="utf-8") as file:
        file.write(rc)
    return arguments


def complete_on_terminal(name, line, is_complete, directory):
    """The text that the shell shows. The first tabulator may only add what the words have in common; then the second one shows them."""
    terminal = Terminal(shell_of(name, directory), {"TERM": "xterm", "ZDOTDIR": directory, "COLUMNS": "200"})
    try:
        if not terminal.read_until(lambda said: "READY> " in said, 20):
            return f"no prompt: {terminal.said!r}"
        terminal.said = ""
        os.write(terminal.fd, line.encode() + b"\t")
        terminal.read_until_idle(lambda said: said != line)
        os.write(terminal.fd, b"\t")
        terminal.read_until_idle(lambda said: is_complete(shown(said, line)))
        return shown(terminal.said, line)
    finally:
        terminal.end()


def complete_by_fish(line, directory):
    """fish completes a line for a script by the code that serves its terminal."""
    environment = os.environ | {"XDG_CONFIG_HOME": directory, "XDG_DATA_HOME": directory, "HOME": directory}
    script = f"source {PREFIX}/share/fish/vendor_completions.d/tcmuctl.fish; complete -C '{line}'"
    ran = subprocess.run(["fish", "--private", "-c", script], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    return "\n".join(word.split("\t")[0] for word in ran.stdout.decode().splitlines())


def check(name, line, wanted, unwanted, directory):
    global passed, failed
    # Of a single word a terminal shows only what it adds.
    rest = [word[len(line.split(" ")[-1]) :] if len(wanted) == 1 and word.startswith(line.split(" ")[-1]) else word for word in wanted]

    def is_complete(said):
        return all(word in said or (name != "fish" and end in said) for word, end in zip(wanted, rest))

    said = complete_by_fish(line, directory) if name == "fish" else complete_on_terminal(name, line, is_complete, directory)
    if not is_complete(said) or [word for word in unwanted if re.search(rf"(?<!/){word}", said)]:
        print(f"FAIL {name} completes '{line}'\n    {said!r}")
        failed += 1
    else:
        print(f"PASS {name} completes '{line}'")
        passed += 1


with tempfile.TemporaryDirectory() as directory:
    server = socket.socket(socket.AF_UNIX)
    server.bind(f"{directory}/control")
    server.listen(16)
    threading.Thread(target=answer, args=(server,), daemon=True).start()
    with open(f"{directory}/file-one", "w", encoding="utf-8"):
        pass
    os.environ["PATH"] = f"{PREFIX}/sbin:{os.environ['PATH']}"
    for shell in ("bash", "zsh", "fish"):
        if not shutil.which(shell):
            print(f"     {shell} is not installed: its completion is not tested")
            continue
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for typed, wanted, unwanted in LINES:
                own = tempfile.mkdtemp(dir=directory)
                pool.submit(check, shell, typed.format(socket=f"{directory}/control", directory=directory), wanted, unwanted, own)
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)
