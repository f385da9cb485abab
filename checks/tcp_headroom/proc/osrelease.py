"""``/proc/sys/kernel/osrelease``: which kernel it is, where its version changes the arithmetic."""

from __future__ import annotations

import re

from tcp_headroom.blind import Blind
from tcp_headroom.proc import reading

FILE = "sys/kernel/osrelease"


def name(root: str) -> str:
    """What the file below ``root`` says; empty if it cannot be read."""
    try:
        return reading.read(root, FILE)
    except Blind:
        return ""


def read(root: str) -> tuple[int, ...] | None:
    """``version`` of the file below ``root``; None if it cannot be read."""
    return version(name(root))


def version(release: str) -> tuple[int, ...] | None:
    """The three numbers that a release as of ``uname -r`` begins with, a missing third being 0; None if it does not."""
    match = re.match(r"\s*(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?", release, re.ASCII)
    return tuple(int(number or 0) for number in match.groups()) if match else None
