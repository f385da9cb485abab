"""``tcp_mem``: the three levels of TCP memory, and their order.

Levels are in pages of PAGE_SIZE (``__sk_mem_raise_allocated``, net/core/sock.c):
above pressure the kernel enters the pressure phase, which it leaves below min;
above max it refuses memory and resets orphans that hold data, unsent or not yet acknowledged,
and more of it than ``SOCK_MIN_SNDBUF``, a few KiB (``tcp_out_of_memory``, include/net/tcp.h). The
values are not validated; any order is accepted. The unit of usage is a question of its
own, see ``mem_unit``.
"""

from __future__ import annotations

import os
from collections import namedtuple

from tcp_headroom.blind import Blind
from tcp_headroom.proc import reading, sysctl

NEAR_PERCENT = 90
"""Of the maximum: what is above is near to be refused. Default of -c of ``check_tcp_mem``."""

MUCH_PERCENT, TOO_MUCH_PERCENT = 50, 75
"""Of the memory of the machine: what TCP holds beyond is WARNING and CRITICAL in ``check_tcp_mem``, whatever is allowed."""


class TcpMem(namedtuple("TcpMem", "min pressure max")):
    """The levels in pages of PAGE_SIZE, as the kernel compares with them."""

    __slots__ = ()
    min: int
    pressure: int
    max: int

    @property
    def in_order(self) -> bool:
        """Whether min <= pressure <= max, which the kernel takes for granted."""
        return self.min <= self.pressure <= self.max


def read(root: str, override: str | None = "--tcp-mem MIN,PRESSURE,MAX") -> TcpMem:
    """``tcp_mem`` below ``root``. Raises ``Blind``, naming ``override``, the option that gives it instead."""
    text = sysctl.read(root, sysctl.MEM, override)
    levels = parse(text)
    if any(1 << 31 <= level < 1 << 32 for level in levels):
        # Only of these it matters how wide a long is.
        from tcp_headroom.proc import meminfo

        return parse(text, meminfo.long_bits(root))
    return levels


def parse(text: str, bits: int = 64) -> TcpMem:
    """Raises ``Blind`` if it is not three numbers. ``bits``: those of a long.

    The kernel takes values up to 2**64 - 1, or 2**32 - 1, and keeps them in a signed long, so
    one from 2**63, or 2**31, on compares as negative; it is returned as such.
    """
    try:
        low, pressure, high = (reading.integer(word) for word in text.split())
    except ValueError:
        raise Blind(f"{sysctl.MEM} is not three numbers") from None
    return TcpMem(signed(low, bits), signed(pressure, bits), signed(high, bits))


def signed(level: int, bits: int = 64) -> int:
    """A number of so many bits as the kernel compares with it, which keeps it in a signed long."""
    return level - (1 << bits) if level >= 1 << bits - 1 else level


def fault(levels: TcpMem) -> tuple[bool, str] | None:
    """What is wrong with the levels whatever the usage, and whether it is fatal; None if nothing is.

    A maximum below 1 is: nothing may be held at all. Levels out of order are not, but
    they take away the phase that slows TCP down before memory is refused, or its end.
    """
    if levels.max < 1:
        return True, f"all TCP memory is refused: the maximum of tcp_mem is {levels.max}"
    if levels.in_order:
        return None
    return False, f"tcp_mem not in rising order: {levels.min} {levels.pressure} {levels.max}"


def disorder(levels: TcpMem) -> list[str]:
    """What follows from levels that are out of order."""
    found = []
    if levels.pressure > levels.max:
        found.append("pressure is above max, so the kernel resets connections without slowing TCP down first")
    if levels.min > levels.pressure:
        found.append("min is above pressure, so memory pressure ends too early")
    return found


def page_size() -> int:
    """PAGE_SIZE of the running kernel in bytes; a mounted tree is taken to share it."""
    return os.sysconf("SC_PAGE_SIZE")


def pages(mem: int, unit_size: int, page: int) -> int:
    """``mem`` in pages of ``page`` bytes, rounded up.

    Rounded up, it is above a level, a whole number, exactly when the unrounded
    value is. A share is one of ``unrounded``.
    """
    return -(-mem * unit_size // page)


def unrounded(mem: int, unit_size: int, page: int) -> float:
    """``mem`` in pages of ``page`` bytes, with the part of a page that is left."""
    return mem * unit_size / page
