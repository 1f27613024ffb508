# SPDX-License-Identifier: Apache-2.0
"""Types a page into a shell on a terminal, as a reader who trusts it: each line of each block that is fenced as `sh typed`, and
nothing else, in the order of the page. A line has to end with 0 within its time. The commands of the block before a block
`text printed` have printed its lines, in this order; … stands for any text.

Of a manual page (mdoc) it types each command that is displayed (.Dl) and not below a comment "not typed"; those of the section
EXAMPLES first.

usage: typist.py DIRECTORY <PAGE      the shell starts in DIRECTORY"""

import os
import pty
import re
import select
import signal
import sys
import time

LINE_SECONDS = 300
PROGRAMS = r"(?:targetcli|tcmuctl|systemctl|journalctl|rbd)\b"  # of manual pages, where a display may be no command
PROMPT, MORE = "\x02", "\x03"


def blocks(page):
    """(line, language, attribute, lines) of each fenced block."""
    number, info, inside = 0, None, []
    for number, line in enumerate(page.splitlines(), 1):
        fence = re.match(r"```+\s*(.*)$", line)
        if fence and info is None:
            info, inside, start = fence.group(1).strip(), [], number
        elif fence:
            yield start, *(info.split() + ["", ""])[:2], inside
            info = None
        elif info is not None:
            inside.append(line)


def displays(page):
    """The same for a manual page: each displayed command is a block."""
    section, before, found, examples = "", "", [], []
    for number, line in enumerate(page.splitlines(), 1):
        section = line[4:] if line.startswith(".Sh ") else section
        command = re.match(rf"\.Dl ({PROGRAMS}.*)", line)
        if command and not before.startswith('.\\" not typed: '):
            text = command.group(1).replace("\\(aq", "'").replace("\\e", "\\").replace("\\ ", " ")
            (examples if section == "EXAMPLES" else found).append((number - 1, "sh", "typed", [text]))
        before = line
    return examples + found


class Shell:
    """A login shell on a terminal. Its prompt says how the last command has ended."""

    def __init__(self, directory):
        environment = {key: os.environ[key] for key in ("HOME", "LANG", "PATH") if key in os.environ}
        environment |= {"TERM": "dumb", "COLUMNS": "200", "PAGER": "cat", "PS1": f"{PROMPT}$?{PROMPT}", "PS2": MORE}
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(directory)
            os.execvpe("bash", ["bash", "--norc", "--noprofile", "--noediting", "-i"], environment)
        self.said = ""
        self.until_prompt()
        self.type("stty -echo")

    def until_prompt(self):
        """The status of the last command; None: the shell wants more lines of it."""
        self.said, end = "", time.monotonic() + LINE_SECONDS
        while True:
            if not select.select([self.terminal], [], [], max(0, end - time.monotonic()))[0]:
                raise TimeoutError
            self.said += os.read(self.terminal, 65536).decode(errors="replace").replace("\r", "")
            prompt = re.search(f"{PROMPT}(\\d+){PROMPT}$", self.said)
            if prompt:
                self.said = self.said[: prompt.start()]
                return int(prompt.group(1))
            if self.said.endswith(MORE):
                self.said = self.said[:-1]
                return None

    def type(self, line):
        os.write(self.terminal, line.encode() + b"\n")
        return self.until_prompt()

    def end(self):
        os.close(self.terminal)
        os.kill(self.pid, signal.SIGHUP)
        os.waitpid(self.pid, 0)


def has_printed(expected, printed):
    """The first line of `expected` that was not printed behind the one before; None: all were."""
    rest = iter([" ".join(line.split()) for line in printed.splitlines()])
    for line in expected:
        pattern = ".*".join(re.escape(" ".join(part.split())) for part in line.split("…"))
        if line.strip() and not any(re.search(pattern, candidate) for candidate in rest):
            return line
    return None


def main():
    shell, printed, typed = Shell(sys.argv[1]), "", 0
    page = sys.stdin.read()
    for start, language, attribute, lines in displays(page) if re.search(r"(?m)^\.Dd ", page) else blocks(page):
        if (language, attribute) == ("text", "printed"):
            missing = has_printed(lines, printed)
            if missing is not None:
                sys.exit(f"line {start}: the page shows what was not printed: {missing}")
            continue
        printed = ""
        if (language, attribute) != ("sh", "typed"):
            continue
        for number, line in enumerate(lines, start + 1):
            if not line.strip():
                continue
            print(f"{number:4} # {line}", flush=True)
            try:
                status = shell.type(line)
            except TimeoutError:
                sys.exit(f"line {number}: has not ended after {LINE_SECONDS} s: {shell.said}")
            printed += shell.said
            print(re.sub("(?m)^", "       ", shell.said.rstrip("\n")), flush=True)
            typed += 1
            if status:
                sys.exit(f"line {number}: ended with {status}: {line}")
        if status is None:
            sys.exit(f"line {start}: the block is no complete command")
    shell.end()
    if not typed:
        sys.exit("the page has nothing to type")
    print(f"{typed} lines were typed")


main()
