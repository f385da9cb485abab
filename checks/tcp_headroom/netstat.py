"""``/proc/net/netstat``: the TcpExt counters of one network namespace.

Pairs of lines, names then values, whose columns differ from kernel to kernel
(net/ipv4/proc.c, ``netstat_seq_show``); so values are found by name. Counters
start at 0 with the boot or the namespace.
"""

from __future__ import annotations

from tcp_headroom import procfs
from tcp_headroom.blind import Blind

FILE = "net/netstat"


def read(root: str) -> dict[str, int]:
    """Read and parse it below ``root``. Raises ``Blind``."""
    return parse(procfs.read(root, FILE))


def parse(text: str) -> dict[str, int]:
    """The TcpExt counters by name; a value that is no number is left out.

    Raises ``Blind`` if there is no pair of TcpExt lines.
    """
    rows = [line.split()[1:] for line in text.splitlines() if line.startswith("TcpExt:")]
    if len(rows) < 2:
        raise Blind(f"{FILE} has no pair of TcpExt lines")
    counters = {}
    for name, value in zip(rows[0], rows[1]):
        try:
            counters[name] = procfs.integer(value)
        except ValueError:
            continue
    return counters
