# SPDX-License-Identifier: Apache-2.0
"""Tables of Markdown, and the sections of a page that reports replace: <!-- NAME --> to <!-- /NAME -->."""


def table(head, rows):
    """The lines of a table; all columns but the first hold numbers."""
    yield "| " + " | ".join(head) + " |"
    yield "| --- |" + " ---: |" * (len(head) - 1)
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def replace_section(text, name, lines):
    """The text of a page with other lines in the section."""
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return before + begin + "\n".join(lines) + "\n" + end + after
