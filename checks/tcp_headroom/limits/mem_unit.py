"""The unit of ``mem`` in sockstat, where pages are not 4 KiB.

``tcp_mem`` is in pages of PAGE_SIZE everywhere, and so is ``mem`` up to Linux 4.9 and from 6.0 on. In between the
kernel counts 4096-byte units (``SK_MEM_QUANTUM``; ``sk_prot_mem_limits`` shifts the levels to match). On 4 KiB pages
both are the same; on 64 KiB pages the wrong one is wrong by a factor of 16.

A release below 6.0 proves neither, as distributions take over networking of later kernels under an old
number: EL 9 is called 5.14. So both readings are tried, and one that the kernel itself
contradicts falls away (``__sk_mem_raise_allocated`` and ``__sk_mem_reduce_allocated``, net/core/sock.c).
"""

from __future__ import annotations

import os
from collections import namedtuple

from tcp_headroom.blind import Blind
from tcp_headroom.limits import tcp_mem
from tcp_headroom.proc import reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tcp_headroom.limits.tcp_mem import TcpMem

FIXED = 4096
"""Bytes of the unit that does not follow the page size."""

CHOICES = {"page": None, "4096": FIXED}
"""What ``--mem-unit`` takes, and the size in bytes; None: that of a page."""

PCPU_RSV = "sys/net/core/mem_pcpu_rsv"
"""A setting of the reserve for each CPU, which came with the return to pages (6.0) and needs it."""


class Unit(namedtuple("Unit", "size why")):
    """How many bytes one unit of sockstat's ``mem`` has."""

    __slots__ = ()
    size: int
    why: str
    """The ground for it, as a phrase for ``-v``."""


def candidates(root: str, page: int, given: str | None = None) -> list[Unit]:
    """The units that ``mem`` below ``root`` may have, the likelier one first; ``page``: PAGE_SIZE in bytes.

    ``given``: what ``--mem-unit`` says, which settles it.
    """
    if page == FIXED:
        return [Unit(page, "the page size")]
    if given:
        return [Unit(CHOICES[given] or page, "as --mem-unit says")]
    if os.path.lexists(os.path.join(root, PCPU_RSV)):
        return [Unit(page, "the page size, as net.core.mem_pcpu_rsv exists")]
    release = _release(root)
    if release and release >= (6, 0):
        return [Unit(page, "the page size, as in every kernel since 6.0")]
    name = f"Linux {release[0]}.{release[1]}" if release else "a kernel of unknown release"
    found = [Unit(page, f"the page size, usual in {name}"), Unit(FIXED, f"4096 bytes, usual in {name}")]
    return found[::-1] if release and release >= (4, 10) else found


def believable(units: list[Unit], mem: int, page: int, levels: TcpMem | None, pressure: bool | None) -> list[Unit]:
    """Those of ``units`` that the kernel does not contradict; all of them if it would contradict each.

    With the levels in order it is under pressure from the moment it counts more than the second, until it
    counts less than the first. ``levels`` and ``pressure`` are None where they are not known.

    It compares when it counts, not when a level is set. So a flag may be that of other levels where ``tcp_mem`` was changed
    and no memory was charged or freed since: until the next segment with data, of the connection that asks for the result
    at the latest, unless that asks without TCP. That is not made UNKNOWN, as it cannot be told from a host whose levels
    have been low for long, with the other unit, and all is well there.
    """
    if len(units) == 1 or levels is None or not levels.in_order or pressure is None:
        return units

    def contradicted(unit: Unit) -> bool:
        count = tcp_mem.pages(mem, unit.size, page)
        return count < levels.min if pressure else count > levels.pressure

    return [unit for unit in units if not contradicted(unit)] or units


def agreed(units: list[Unit], mem: int, page: int, levels: TcpMem | None) -> float:
    """``mem`` in pages by the likeliest of ``units``. Raises ``Blind`` if another would put it beyond another level."""

    def place(count: float) -> tuple[bool, ...]:
        if levels is None:
            return ()
        near = 100 * count > tcp_mem.NEAR_PERCENT * levels.max
        return count < levels.min, count > levels.pressure, near, count > levels.max

    counts = [tcp_mem.unrounded(mem, unit.size, page) for unit in units]
    if len(set(map(place, counts))) > 1:
        raise unknown(units, mem, page, levels)
    return counts[0]


def held(root: str, mem: int, page: int, levels: TcpMem | None, pressure: bool | None) -> float:
    """``mem`` below ``root`` in pages, not rounded. Raises ``Blind`` where two units are left that put it beyond different levels."""
    return agreed(believable(candidates(root, page), mem, page, levels, pressure), mem, page, levels)


def unknown(units: list[Unit], mem: int, page: int, levels: TcpMem | None) -> Blind:
    """Why nothing can be said, when the units that are left would give different states."""
    top = levels.max * page if levels else 0
    readings = " or ".join(
        f"{100 * mem * unit.size / top:.1f} % (unit {unit.size})" if top > 0 else f"{mem * unit.size} bytes"
        for unit in units
    )
    return Blind(
        f"the unit of mem is not known on this kernel: TCP memory is at {readings}",
        remedy="compare with the sum of ss -tm, then give --mem-unit page or --mem-unit 4096",
    )


def reserve(root: str, page: int) -> int:
    """Bytes by which ``mem`` may be more or less than what the sockets hold, for each CPU.

    Each counts what it charges and gives back by itself, until that is so much (``sk_memory_allocated_add`` and ``_sub``).

    ``SK_MEMORY_PCPU_RESERVE``, 1 MiB (include/net/sock.h, since 6.0), or the pages that ``mem_pcpu_rsv`` says
    (between 6.8 and 6.12); 0 before 6.0.
    """
    try:
        return max(0, reading.integer(reading.read(root, PCPU_RSV).strip())) * page
    except (Blind, ValueError):
        return 1 << 20 if (_release(root) or (0,)) >= (6, 0) else 0


def _release(root: str) -> tuple[int, ...] | None:
    from tcp_headroom.proc import osrelease  # not for a plain run on 4 KiB pages

    return osrelease.read(root)
