"""``/proc/net/sockstat6``: how many IPv6 sockets this network namespace has in the kernel's tables, and what both leave.

A line ``TCP6: inuse N`` (net/ipv6/proc.c, ``sockstat6_seq_show``). There is no such file without IPv6.
"""

from __future__ import annotations

from tcp_headroom import namedtuple
from tcp_headroom.blind import Blind
from tcp_headroom.proc import reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tcp_headroom.proc.sockstat import Sockstat

FILE = "net/sockstat6"


def read(root: str) -> int:
    """``inuse`` below ``root``; 0 without IPv6. Raises ``Blind``."""
    try:
        return parse(reading.read(root, FILE))
    except reading.Missing:
        return 0


def parse(text: str) -> int:
    """``inuse`` of the ``TCP6:`` line. Raises ``Blind`` if there is none."""
    for line in text.splitlines():
        words = line.split()
        if words[:2] == ["TCP6:", "inuse"] and len(words) > 2:
            try:
                return max(0, reading.integer(words[2]))
            except ValueError:
                break
    raise Blind(f"{FILE} has no TCP6 line with inuse")


class Unlisted(namedtuple("Unlisted", "least most alloc", defaults=[0, 0, 0])):
    """TCP sockets of the machine that are in no list of this network namespace: of others, closed and kept, never connected."""

    __slots__ = ()
    least: int
    """Without all orphans, of which nobody knows how many are of this namespace."""
    most: int
    """With them."""
    alloc: int
    """All TCP sockets of the machine."""


def unlisted(root: str, seen: Sockstat) -> Unlisted:
    """What ``alloc`` has beyond the sockets that are listed below ``root``; zeroes if that cannot be told."""
    try:
        most = max(0, seen.alloc - seen.inuse - read(root))
    except Blind:
        return Unlisted()
    return Unlisted(max(0, most - seen.orphans), most, seen.alloc)
