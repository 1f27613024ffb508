# SPDX-License-Identifier: Apache-2.0
"""Shared by the lints: the files of the project, their functions, and how a finding is reported.

A lint is a program that reads the tree at its first argument (default: this project) and prints one line for each
finding, as PATH:LINE: TEXT. It exits with 1 when there is a finding. tests/lint/self-test gives each lint violations to
find."""

import os
import re
import subprocess
import sys

ARGUMENTS = [word for word in sys.argv[1:] if not word.startswith("--")]
OPTIONS = {word for word in sys.argv[1:] if word.startswith("--")}
ROOT = os.path.abspath(ARGUMENTS[0] if ARGUMENTS else os.path.join(os.path.dirname(__file__), "..", ".."))
# The directories whose code is shipped.
PRODUCT = ("libtcmu/", "scsi/", "libtcmu-scsi/", "daemon/", "handlers/", "compat/", "kit/", "tcmuctl/")
FOUND = []


def files(*suffixes, under=""):
    """The tracked files (paths from the root, sorted) with one of these endings, below one of these directories. Where
    there is no repository, as in an unpacked archive or a self-test, all files but those of build/."""
    git = ["git", "-c", "safe.directory=*", "-C", ROOT, "ls-files", "-z"]
    if os.path.exists(os.path.join(ROOT, ".git")):
        names = subprocess.run(git, check=True, stdout=subprocess.PIPE).stdout.decode().split("\0")
    else:
        names = [
            os.path.relpath(os.path.join(directory, name), ROOT)
            for directory, _, inside in os.walk(ROOT)
            for name in inside
        ]
        names = [name for name in names if not name.startswith("build/")]
    return sorted(
        name
        for name in names
        if name.startswith(under) and name.endswith(suffixes or "") and os.path.isfile(os.path.join(ROOT, name))
    )


def scripts(under=""):
    """The tracked files that a shell reads: by suffix, or by their first line."""
    return [name for name in files(under=under) if name.endswith((".sh", ".bash")) or re.match(r"#!.*\b(ba|da)?sh\b", first_line(name))]


def text(name):
    with open(os.path.join(ROOT, name), encoding="utf-8", errors="replace") as file:
        return file.read()


def lines(name):
    """(number, line) of each line, from 1."""
    return enumerate(text(name).splitlines(), 1)


def first_line(name):
    return text(name).split("\n", 1)[0]


def executable(name):
    return os.access(os.path.join(ROOT, name), os.X_OK)


# A comment, a string or a character of C.
LEXED = re.compile(r'''/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])+[']''', re.DOTALL)


def blank(match):
    return match.group(0) if match.group(0).startswith("'") else re.sub(r"[^\n]", " ", match.group(0))


def code(name):
    """The text of a C file with comments and string literals blanked, so that lines and columns stay."""
    return LEXED.sub(blank, text(name))


def comments(name):
    """(line, text) of each comment of a C file."""
    body = text(name)
    for match in LEXED.finditer(body):
        if match.group(0).startswith("/"):
            yield body.count("\n", 0, match.start()) + 1, match.group(0)


def strings(name):
    """(line, text) of each string literal of a C file, without its quotes."""
    body = text(name)
    for match in LEXED.finditer(body):
        if match.group(0).startswith('"'):
            yield body.count("\n", 0, match.start()) + 1, match.group(0)[1:-1]


def definitions(name):
    """(name, static, first line, last line) of each function of a formatted C file: from its brace in column 0 to the
    closing one. Structures and tables end with "};" and are no functions."""
    start, title, static = None, "?", False
    for number, line in enumerate(code(name).splitlines(), 1):
        if start is None:
            line = re.sub(r"__attribute__\(\((?:[^()]|\([^()]*\))*\)\)\s*", "", line)
            called = re.match(r"[A-Za-z_].*?(\w+)\(", line)
            if called:
                title, static = called.group(1), line.startswith("static ")
            if line.rstrip() == "{":
                start = number
        elif line.rstrip() == "}":
            yield title, static, start, number
            start = None
        elif line.startswith("}"):
            start = None


def functions(name):
    """(name, first line, last line) of each function of a formatted C file."""
    return ((title, first, last) for title, _, first, last in definitions(name))


def wide_lines(name, columns):
    """(line, width) of each line that is wider, tabs shown as 8, but for tables that clang-format leaves alone."""
    formatted = True
    for number, line in lines(name):
        if "clang-format off" in line or "clang-format on" in line:
            formatted = "clang-format on" in line
        width = len(line.expandtabs(8))
        if formatted and width > columns:
            yield number, width


def found(name, number, what):
    FOUND.append(f"{name}:{number}: {what}")


def finish():
    """Prints the findings and exits."""
    for line in FOUND:
        print(line)
    sys.exit(1 if FOUND else 0)
