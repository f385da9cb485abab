"""Scenarios of the kernel log: what it tells, what it loses, who may read it."""

from __future__ import annotations

import pathlib

from . import checks, kernel, sockets
from .captures import capture
from .checks import CRITICAL, NOBODY, OK, UNKNOWN, WARNING, expect
from .table import scenario


def pass_the_limit(number: int = 96, limit: int = 16) -> None:
    """So many orphans that the kernel passes a limit, resets and logs; then all is over."""
    default = kernel.sysctl("net/ipv4/tcp_max_orphans")
    aborts, lines = kernel.aborts(), kernel.lines(kernel.ORPHANS)
    kernel.limit(limit)
    with sockets.orphans(number):
        kernel.wait(lambda: kernel.aborts() > aborts and kernel.orphans() <= limit, "the kernel to pass its limit", 60)
    expect(kernel.lines(kernel.ORPHANS) > lines, "the kernel reset without a line")
    kernel.set_sysctl("net/ipv4/tcp_max_orphans", default)
