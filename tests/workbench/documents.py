"""The documents, and what a test wants to know of them: headings, links, entries of the runbook."""

from __future__ import annotations

import functools
import pathlib
import re
from collections.abc import Iterator
from typing import NamedTuple

from workbench.command import CONTRIB, ROOT

DOC = CONTRIB / "doc"
DOCUMENTS = tuple(sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *CONTRIB.rglob("*.md")]))


def prose(text: str) -> str:
    """The text without its blocks of commands and outputs."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def section(text: str, heading: str) -> str:
    """What is below ``## heading``."""
    found = text.partition(f"\n## {heading}\n")[2]
    assert found, heading
    return found.partition("\n## ")[0]


def anchor(heading: str) -> str:
    """The name by which a web page that shows Markdown lets a link point to a heading."""
    return re.sub(r"[^\w -]", "", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()).replace(" ", "-")


def anchors(text: str) -> list[str]:
    return [anchor(line.lstrip("#").strip()) for line in prose(text).splitlines() if re.match("#+ ", line)]


def links(text: str) -> Iterator[str]:
    """Where the links of the text point."""
    yield from re.findall(r"\]\(([^)]+)\)", prose(text))


class Entry(NamedTuple):
    """An entry of the runbook."""

    section: str
    heading: str
    text: str

    @property
    def pattern(self) -> str:
        """What a status text begins with, dots standing for anything."""
        return ".*".join(map(re.escape, self.heading.removesuffix("...").split("...")))

    @property
    def words(self) -> int:
        return len(self.heading.replace("...", ""))


@functools.cache
def runbook() -> tuple[Entry, ...]:
    text = (DOC / "runbook.md").read_text()
    found = []
    for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        title = part.partition("\n")[0]
        for entry in re.split(r"^### ", part, flags=re.MULTILINE)[1:]:
            heading, _newline, body = entry.partition("\n")
            found.append(Entry(title, heading, body))
    return tuple(found)


NAMES = {
    "TCP ORPHANS": "check_tcp_orphans",
    "TCP MEM": "check_tcp_mem",
    "TCP KERNEL LOG": "check_tcp_kernel_log",
    "TCP LIMITS": "check_tcp_limits",
}
LIMITS = NAMES["TCP LIMITS"]
STATUS = r"(TCP [A-Z ]+|check_\w+) (OK|WARNING|CRITICAL|UNKNOWN) - "
"""What every status line begins with."""


def entries_of(status: str) -> list[Entry | None]:
    """The entry of each finding of a status line, None for one that has none."""
    text = status.partition(" | ")[0]
    start = re.match(STATUS, text)
    assert start, text
    if start[1] not in NAMES:
        return [_best(text, ("UNKNOWN",))]
    said = text[start.end() :].partition(". Next: ")[0]
    if start[2] in ("OK", "UNKNOWN"):
        return [_best(said, (start[2],))]
    command = NAMES[start[1]]
    return [_best(finding, (command, "By your own ranges"), command == LIMITS) for finding in said.split("; ")]


def _best(text: str, sections: tuple[str, ...], settings: bool = False) -> Entry | None:
    """The entry that has most words in common with ``text``; with ``settings``, any on a setting that is wrong."""
    fitting = [
        entry
        for entry in runbook()
        if (entry.section in sections or (settings and re.search("tcp_(mem|max_orphans)", entry.heading)))
        and re.match(entry.pattern, text)
    ]
    return max(fitting, key=lambda entry: entry.words, default=None)
