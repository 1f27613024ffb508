# SPDX-License-Identifier: Apache-2.0
"""The modules of the product, and what includes what. A module is a .c with its .h (and its -private.h), or a .h alone."""

import os
import re

import tree

# Public headers by the beginning of their name in angle brackets, and their target; the first that fits counts.
PUBLIC = {"tcmu/host.h": "tcmu-host", "tcmu/scsi.h": "tcmu-scsi", "tcmu/server.h": "tcmu-scsi", "tcmu/": "tcmu", "scsi/": "scsi"}
# The directories of those targets.
PUBLIC_DIRECTORY = {"tcmu-host": "daemon/host", "tcmu-scsi": "libtcmu-scsi", "tcmu": "libtcmu", "scsi": "scsi"}


def includes(name):
    """(line, header, quoted) of each #include."""
    for number, line in tree.lines(name):
        match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if match:
            yield number, match.group(2), match.group(1) == '"'


def is_file(path):
    return os.path.isfile(os.path.join(tree.ROOT, path))


def resolve(name, header, quoted):
    """The path of an included header of the project, or None."""
    if quoted and "/" in header:
        path = os.path.join("daemon", header) if name.startswith("daemon/") else None
        # A directory of tcmuctl's.
        if name.startswith("tcmuctl/"):
            path = os.path.join("tcmuctl", header)
        # A directory of a handler.
        if name.startswith("handlers/"):
            path = os.path.join(os.path.dirname(name), header)
    elif quoted:
        path = os.path.join(os.path.dirname(name), header)
        # A public header includes its neighbours; a source of libtcmu includes its private headers.
        path = path if is_file(path) else None
        if not path and name.startswith("tcmuctl/"):
            path = os.path.join("tcmuctl", header)
    else:
        part = next((part for part in PUBLIC if header.startswith(part)), None)
        path = f"{PUBLIC_DIRECTORY[PUBLIC[part]]}/include/{header}" if part else None
    return path if path and is_file(path) else None


def module_of(path):
    """(directory, name) of the module that a source or header belongs to: a public header belongs to the .c beside include/."""
    directory = re.sub(r"/include/\w+$", "", os.path.dirname(path))
    return directory, re.sub(r"-private$", "", os.path.splitext(os.path.basename(path))[0])


def components(graph):
    """The strongly connected components of {node: nodes} with more than one node (Tarjan)."""
    index, low, stack, result = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph.get(node, ()):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            component = []
            while not component or component[-1] != node:
                component.append(stack.pop())
            if len(component) > 1:
                result.append(sorted(component))

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return result


def names():
    """The sources and headers of the product."""
    return tree.files(".c", ".h", under=tree.PRODUCT)


def by_directory():
    """{directory: the names of its modules that have a .c}."""
    result = {}
    for name in names():
        directory, module = module_of(name)
        if name.endswith(".c"):
            result.setdefault(directory, set()).add(module)
    return result


def has_own_header(source):
    """Is there a header of the same name, beside the source or among the public ones?"""
    directory, module = module_of(source)
    parts = ("", *(f"include/{part}" for part in PUBLIC if part.endswith("/")))
    return any(is_file(f"{directory}/{part}{module}.h") for part in parts)


def edges():
    """(module, module) of each #include that leaves a module."""
    for name in names():
        here = module_of(name)
        for _, header, quoted in includes(name):
            path = resolve(name, header, quoted)
            if path and module_of(path) != here:
                yield here, module_of(path)


def directory_graph():
    graph = {}
    for (here, _), (there, _) in edges():
        if here != there:
            graph.setdefault(here, set()).add(there)
    return graph


def module_graph():
    graph = {}
    for here, there in edges():
        if here[0] == there[0]:
            graph.setdefault(here, set()).add(there)
    return graph


def functions():
    """(file, line, name, static) of each function that the product defines, but for main()."""
    return [
        (name, first, title, static)
        for name in names()
        for title, static, first, _ in tree.definitions(name)
        if title != "main"
    ]


def one_word(title):
    return "_" not in title.strip("_")


def repeated(defined):
    """{name: [(file, line)]} of each static name that more than one file defines."""
    files = {}
    for name, line, title, static in defined:
        if static:
            files.setdefault(title, {}).setdefault(name, line)
    return {title: sorted(where.items()) for title, where in files.items() if len(where) > 1}


def assertions(name):
    """How many assert() a C file has. static_assert() checks the compiler and does not count."""
    return len(re.findall(r"(?<!\w)assert\s*\(", tree.code(name)))
