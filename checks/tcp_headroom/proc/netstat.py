"""``/proc/net/netstat``: the TcpExt counters of one network namespace.

Pairs of lines, names then values, whose columns differ from kernel to kernel
(net/ipv4/proc.c, ``netstat_seq_show``); so values are found by name. Counters
start at 0 with the boot or the namespace.
"""

from __future__ import annotations

import os

from tcp_headroom.blind import Blind
from tcp_headroom.proc import reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

FILE = "net/netstat"
ABORTS = "TCPAbortOnMemory"
"""Orphans that were reset for tcp_max_orphans or tcp_mem."""


def read(root: str, wanted: Iterable[str]) -> dict[str, int]:
    """Read it below ``root`` and parse the ``wanted`` counters. Raises ``Blind``."""
    return parse(reading.read(root, FILE), wanted)


def parse(text: str, wanted: Iterable[str]) -> dict[str, int]:
    """The ``wanted`` TcpExt counters by name; one that is missing or no number is left out.

    Raises ``Blind`` if there is no pair of TcpExt lines.
    """
    rows = [line.split()[1:] for line in text.splitlines() if line.startswith("TcpExt:")]
    if len(rows) < 2:
        raise Blind(f"{FILE} has no pair of TcpExt lines")
    found = dict(zip(rows[0], rows[1]))
    counters = {}
    for name in wanted:
        try:
            counters[name] = reading.integer(found[name])
        except (KeyError, ValueError):
            continue
    return counters


def namespace(root: str) -> str:
    """What tells the network namespace whose counters ``root`` shows from others."""
    try:
        return f"{root} {os.stat(os.path.join(root, 'self/ns/net')).st_ino}"
    except (OSError, ValueError):
        return root
