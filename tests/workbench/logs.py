"""Log files made for a moment, and what the check sees in them then."""

from __future__ import annotations

import calendar
import contextlib
import os
import pathlib
import time
from collections.abc import Iterator

from tcp_headroom.log import block_reader, files
from tcp_headroom.log.views import View, Window
from tcp_headroom.proc.clock import Clock

NOW = float(calendar.timegm((2026, 11, 22, 16, 0, 0)))
CLOCK = Clock(NOW, 10 * 86400.0, 10 * 86400.0, "boot")
HOUR = Window(NOW - 3600, NOW)
HIT = "TCP: too many orphaned sockets"
MEMORY = "TCP: out of memory -- consider tuning tcp_mem"


def line(ago: float, message: str = HIT, host: str = "web1", tag: str = "kernel:") -> bytes:
    """A traditional syslog line of ``ago`` seconds before ``NOW``."""
    return time.strftime("%b %e %H:%M:%S", time.gmtime(NOW - ago)).encode() + f" {host} {tag} {message}\n".encode()


def quiet(ago: float) -> bytes:
    return line(ago, "eth0: link is up")


def write(path: pathlib.Path, data: bytes, ago: float = 0) -> pathlib.Path:
    """A file that was last written ``ago`` seconds before ``NOW``."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (NOW - ago, NOW - ago))
    return path


def look(path: pathlib.Path, window: Window = HOUR, host: str | None = None) -> View:
    """What is seen at ``NOW``."""
    return files.view(str(path), CLOCK, window, host)


def hits(view: View, cause: str = "orphans") -> int:
    return sum(event.count for event in view.events if event.cause == cause)


OLD = quiet(3 * 3600)
"""A line from long before the window: the file reaches back over it."""


@contextlib.contextmanager
def blocks_of(size: int, lead: int = block_reader.LEAD) -> Iterator[None]:
    """Small blocks bring their borders into small files."""
    before = block_reader.BLOCK, block_reader.LEAD
    block_reader.BLOCK, block_reader.LEAD = size, lead
    try:
        yield
    finally:
        block_reader.BLOCK, block_reader.LEAD = before
