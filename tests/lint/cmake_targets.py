# SPDX-License-Identifier: Apache-2.0
"""The targets that the CMakeLists.txt of the tree name: their sources and the edges they declare.

Reads the files as they are written here: a command begins a line; add_library, target_link_libraries, tcmud_layer and
tcmud_handler carry plain names. A target NAME-static is NAME with the same sources: who links the one links the other."""

import os
import re

import tree

KEYWORDS = {"STATIC", "SHARED", "MODULE", "INTERFACE", "OBJECT", "ALIAS", "EXCLUDE_FROM_ALL"}


class Target:
    def __init__(self, name, directory, sources):
        self.name = name
        self.directory = directory
        self.sources = sources
        self.edges = {}  # name of the other target: (PUBLIC, PRIVATE or INTERFACE, line)


def commands(name):
    """(line, command, arguments) of each command of a CMakeLists.txt."""
    body = re.sub(r"(?m)#.*$", "", tree.text(name))
    for match in re.finditer(r"(?m)^[ \t]*(\w+)[ \t]*\(((?:\"[^\"]*\"|[^()\"])*)\)", body):
        arguments = [word.strip('"') for word in re.findall(r'"[^"]*"|[^\s"]+', match.group(2))]
        yield body.count("\n", 0, match.start()) + 1, match.group(1), arguments


def add(targets, name, directory, words):
    sources = [os.path.normpath(os.path.join(directory, word)) for word in words if word.endswith(".c")]
    if name in targets:
        targets[name].sources += sources
    else:
        targets[name] = Target(name, directory, sources)


def read(directorys):
    """The targets below these directorys by name, and the aliases."""
    targets, aliases = {}, {}
    links = []
    for file in tree.files("CMakeLists.txt"):
        directory = os.path.dirname(file)
        if not any(f"{directory}/".startswith(wanted) for wanted in directorys):
            continue
        for line, command, words in commands(file):
            if command in ("add_library", "add_executable") and "ALIAS" in words:
                aliases[words[0]] = words[2]
            elif command in ("add_library", "add_executable", "target_sources") and not words[0].endswith("-static"):
                add(targets, words[0], directory, [word for word in words[1:] if word not in KEYWORDS])
            elif command == "tcmud_layer":
                add(targets, f"tcmud-{words[0]}", directory, words[1:])
            elif command == "tcmud_handler":
                add(targets, f"handler_{words[0]}", directory, words[1:])
                targets[f"handler_{words[0]}"].edges["tcmu-handler"] = ("PRIVATE", line)
            elif command == "target_link_libraries" and "$" not in words[0]:
                links.append((file, line, [word.removesuffix("-static") for word in words]))
    for file, line, words in links:
        how = "PUBLIC"
        for word in words[1:]:
            if word in ("PUBLIC", "PRIVATE", "INTERFACE"):
                how = word
            elif words[0] in targets:
                targets[words[0]].edges[aliases.get(word, word)] = (how, line)
            else:
                tree.found(file, line, f"links {words[0]}, which is no target here")
    return targets, aliases


def reach(targets, name):
    """The targets whose headers a target may include: those it links, and those they pass on (PUBLIC, INTERFACE)."""
    seen = set()
    todo = [edge for edge, (how, _) in targets[name].edges.items() if how != "INTERFACE"]
    while todo:
        edge = todo.pop()
        if edge in seen:
            continue
        seen.add(edge)
        if edge in targets:
            todo += [other for other, (how, _) in targets[edge].edges.items() if how != "PRIVATE"]
    return seen
