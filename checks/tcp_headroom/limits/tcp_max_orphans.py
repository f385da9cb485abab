"""``tcp_max_orphans`` and the arithmetic of the penalty.

The kernel asks, whenever it closes a socket or a timer of an orphan runs out
(``tcp_check_oom``, net/ipv4/tcp.c; ``tcp_out_of_resources``,
net/ipv4/tcp_timer.c): is ``orphans << shift > tcp_max_orphans``? If so it resets
that socket. The comparison is strict: as many orphans as the limit are tolerated.
``shift`` is 0 for a socket being closed; an orphan gets 1 for an ICMP error or a
lost route, and 1 more for having sent no data for twice the longest
retransmission timeout. So trouble starts at a half or a quarter of the limit.
"""

from __future__ import annotations

from collections import namedtuple

from tcp_headroom.blind import Blind
from tcp_headroom.proc import reading, sysctl

FACTORS = (1, 2, 4)
"""By how much the kernel multiplies the orphans before it compares: 1 << shift."""


class Margin(namedtuple("Margin", "factor limit left")):
    """How far the orphans are from being too many for a socket with one penalty."""

    __slots__ = ()
    factor: int
    """1, 2 or 4."""
    limit: int
    """The largest number of orphans at which such a socket is spared."""
    left: int
    """Orphans that may still come; negative once the limit is passed, 0 is not past it."""


def read(root: str, override: str | None = "--max-orphans N") -> int:
    """``tcp_max_orphans`` below ``root``. Raises ``Blind``, naming ``override``, the option that gives it instead."""
    return parse(sysctl.read(root, sysctl.MAX_ORPHANS, override))


def parse(text: str) -> int:
    """The limit, which may be 0 or negative: the kernel has no bounds (``proc_dointvec``).

    Raises ``Blind`` if it is not one number.
    """
    try:
        return reading.integer(text.strip())
    except ValueError:
        raise Blind(f"{sysctl.MAX_ORPHANS} is not a number") from None


def fault(limit: int) -> tuple[bool, str] | None:
    """What is wrong with a limit whatever the usage, and whether it is fatal: ``(True, sentence)``, else None."""
    return (True, f"every orphan is reset: tcp_max_orphans is {limit}") if limit < 1 else None


def margins(orphans: int, limit: int) -> list[Margin]:
    """The margins at 1x, 2x and 4x, in that order.

    ``orphans << shift > limit`` and ``orphans > limit >> shift`` say the same of
    whole numbers.
    """
    return [Margin(factor, limit >> shift, (limit >> shift) - orphans) for shift, factor in enumerate(FACTORS)]


def enough(orphans: int) -> int:
    """The smallest power of two that is a limit with which so many orphans pass no margin, as far as an int goes."""
    return min((1 << 31) - 1, 1 << (FACTORS[-1] * max(1, orphans) - 1).bit_length())
