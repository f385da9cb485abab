"""What the kernel itself would set ``tcp_max_orphans`` and ``tcp_mem`` to on this machine.

Both are reckoned once, at boot, from the memory there is:

* ``tcp_max_orphans`` is half the entries of the established-hash table (2.6.37 and
  later, ``tcp_init``, net/ipv4/tcp.c). Since 6.1 their number can be read,
  ``tcp_ehash_entries``, negative in a child network namespace. Before, it is
  reckoned: one entry for each 128 KiB of memory (3.10 and later; up to 3.5 for
  each 8 KiB, 32 below 512 MiB), rounded up to a power of two, at most 524288 (``alloc_large_system_hash``).
* ``tcp_mem`` has the pressure level P, min P / 4 * 3, max twice min (``tcp_init_mem``).
  P is a share of the low memory at boot, ``nr_free_buffer_pages()``, for which the
  memory of the machine stands here: a sixteenth since 4.4, an eighth from 3.0 to 4.0,
  a half from 2.6.21 to 2.6.38. That is too much by what ``AT_BOOT`` explains: measured
  0.5 % of 24 GiB, but 12 % of 1 GiB and 25 % of 256 MiB.

Where copies of the source leave a gap between two rules, the smaller default counts:
this is for telling that a value is far too low, and must not cry wolf.
"""

from __future__ import annotations

from collections import namedtuple

from tcp_headroom.blind import Blind
from tcp_headroom.limits.tcp_mem import TcpMem
from tcp_headroom.proc import meminfo, osrelease, reading

EHASH = "sys/net/ipv4/tcp_ehash_entries"
TOLERANCE = 0.1
"""How far a default that is reckoned may be from the real one, as a share of it."""
EHASH_CAP = 524288
"""Most entries the kernel makes by itself; more, or fewer, take ``thash_entries=`` on its command line."""

BYTES_PER_ENTRY = 128 << 10
AT_BOOT = 128 << 20
"""Memory, in bytes, that today's has and the kernel may not have counted, beside ``TOLERANCE``.

``nr_free_zone_pages`` (mm/page_alloc.c) sums up managed pages, without those below the
high watermark: 66 MiB of 1 GiB, where transparent huge pages raise it
(``set_recommended_min_free_kbytes``, mm/khugepaged.c). ``tcp_init`` is an fs_initcall, and so
runs before ``populate_rootfs`` (init/initramfs.c) frees the initrd, which counts from then on.
"""
SLACK = 0.9
"""By so much may MemTotal miss the memory that the kernel had when it made its tables."""

LEAST_PRESSURE = 128
"""The kernel's floor of the pressure level, in pages."""


class Memory(namedtuple("Memory", "total hashed capped")):
    """What is known of the memory at boot, in bytes; None where nothing is."""

    __slots__ = ()
    total: int | None
    """What /proc/meminfo says now."""
    hashed: int | None
    """What the size of the established-hash table implies: at most so much, as it is rounded up."""
    capped: bool
    """Whether that table has reached its cap, so that ``hashed`` is no upper bound."""

    @property
    def known(self) -> int | None:
        """The smaller of the two: the figure to reckon a default from."""
        bounds = [bound for bound in (self.total, None if self.capped else self.hashed) if bound is not None]
        return min(bounds, default=None)

    @property
    def agreed(self) -> int | None:
        """What both say there is at least; None where one of them is not known."""
        if self.total is None or self.hashed is None:
            return None
        return min(self.total, self.hashed)

    @property
    def consistent(self) -> bool:
        """Whether the memory can be that of the boot: the table is for more than half of ``hashed``, and at most that."""
        if self.total is None or self.hashed is None:
            return True
        return SLACK * self.hashed < 2 * self.total and (self.capped or SLACK * self.total < self.hashed)


class Defaults(namedtuple("Defaults", "release memory entries reasons")):
    """What the defaults are reckoned from."""

    __slots__ = ()
    release: tuple[int, ...] | None
    memory: Memory
    entries: int | None
    """Entries of the established-hash table, where the kernel tells."""
    reasons: list[str]
    """Why something is not known."""

    @property
    def orphans(self) -> int | None:
        """Default of ``tcp_max_orphans``; exact where ``entries`` is known, else reckoned; None if neither can be."""
        if self.entries is not None:
            return self.entries // 2
        return None if self.memory.known is None else max_orphans(self.release, self.memory.known)

    def around(self, page: int) -> tuple[TcpMem, TcpMem] | None:
        """The least and the most that the kernel may have set ``tcp_mem`` to by itself; see ``AT_BOOT``."""
        known = self.memory.known
        if known is None:
            return None
        least = self.levels(page, max(page, int(known * (1 - TOLERANCE)) - AT_BOOT))
        most = self.levels(page, int(known * (1 + TOLERANCE)))
        return (least, most) if least and most else None

    def levels(self, page: int, memory: int | None = None) -> TcpMem | None:
        """Default of ``tcp_mem`` in pages of ``page`` bytes, reckoned from ``memory``, else from what is known of it."""
        memory = memory or self.memory.known
        return None if memory is None else tcp_mem(self.release, memory // page)


def read(root: str) -> Defaults:
    """Everything that can be known of them below ``root``."""
    reasons = []
    try:
        total = meminfo.read(root)
    except Blind as reason:
        total = None
        reasons.append(str(reason))
    try:
        entries = abs(reading.integer(reading.read(root, EHASH).strip())) or None
    except reading.Missing:
        entries = None
    except (Blind, ValueError) as reason:
        entries = None
        reasons.append(str(reason) if isinstance(reason, Blind) else f"{EHASH} is not a number")
    hashed = None if entries is None or _chosen_by_hand(root) else entries * BYTES_PER_ENTRY
    memory = Memory(total, hashed, entries is not None and entries >= EHASH_CAP)
    return Defaults(osrelease.read(root), memory, entries, reasons)


def _chosen_by_hand(root: str) -> bool:
    try:
        return any(word.startswith("thash_entries=") for word in reading.read(root, "cmdline").split())
    except Blind:
        return False


def max_orphans(release: tuple[int, ...] | None, memory: int) -> int | None:
    """The default of ``tcp_max_orphans`` on a machine with so many bytes of memory.

    A release that is not known counts as a new one; None for those before 2.6.37,
    where it depends on another table.
    """
    if release and release < (2, 6, 37):
        return None
    per_entry = BYTES_PER_ENTRY
    if release and release < (3, 6):
        per_entry = 8 << 10 if memory >= 512 << 20 else 32 << 10
    return min(EHASH_CAP, power_of_two(-(-memory // per_entry))) // 2


def tcp_mem(release: tuple[int, ...] | None, pages: int) -> TcpMem | None:
    """The default of ``tcp_mem`` on a machine with so many pages of memory; None for releases before 2.6.21."""
    if release and release < (2, 6, 21):
        return None
    share = 2 if release and release < (2, 6, 39) else 8 if release and release < (4, 1) else 16
    pressure = max(LEAST_PRESSURE, pages // share)
    low = pressure // 4 * 3
    return TcpMem(low, pressure, 2 * low)


def levels_below(most: int) -> TcpMem:
    """The levels that stand to a maximum of ``most`` pages as the kernel's own do."""
    return TcpMem(most // 2, most // 3 * 2, most)


def power_of_two(least: int) -> int:
    """The smallest power of two that is at least ``least``, which is from 1 on."""
    return 1 << (least - 1).bit_length()
