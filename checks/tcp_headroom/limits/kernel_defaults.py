"""What the kernel itself would set ``tcp_max_orphans`` and ``tcp_mem`` to on this machine.

Both are calculated once, at boot, from the memory there is then (``memory_at_boot``):

* ``tcp_max_orphans`` is half the entries of the established-hash table (2.6.37 and
  later, ``tcp_init``, net/ipv4/tcp.c). Since 6.1 their number can be read,
  ``tcp_ehash_entries``, negative in a child network namespace; ``thash_entries=`` sets
  it. Before, it is estimated: one entry for each 128 KiB of memory (3.10 and later; up
  to 3.5 for each 8 KiB, 32 below 512 MiB), rounded up to a power of two, a page of
  them at least, and at most 524288 (``alloc_large_system_hash``).
* ``tcp_mem`` has the pressure level P, min P / 4 * 3, max twice min (``tcp_init_mem``).
  P is a share of the low memory at boot, ``nr_free_buffer_pages()``: a sixteenth since
  4.4, an eighth from 3.0 to 4.0. From 2.6.21 to 2.6.38 it is a half, and below 256 MiB
  the square of the MiB by 2, in pages (kernel commit 53cdcc04c1). It is always an
  estimate, with a span: an untouched guest of 1 GiB has 88 % of it, one of 256 MiB 75 %.

Where copies of the source leave a gap between two rules, the smaller default counts:
this is for telling that a value is far too low, and must not cry wolf.
"""

from __future__ import annotations

from collections import namedtuple

from tcp_headroom.limits import memory_at_boot
from tcp_headroom.limits.memory_at_boot import BYTES_PER_ENTRY, EHASH_CAP, Memory
from tcp_headroom.limits.tcp_mem import TcpMem, page_size
from tcp_headroom.proc import osrelease

LEAST_PRESSURE = 128
"""The kernel's floor of the pressure level, in pages."""


class Defaults(namedtuple("Defaults", "release memory entries reasons")):
    """What the defaults are calculated from."""

    __slots__ = ()
    release: tuple[int, ...] | None
    memory: Memory
    entries: int | None
    """Entries of the established-hash table, where the kernel or its command line tells."""
    reasons: list[str]
    """Why something is not known."""

    @property
    def orphans(self) -> int | None:
        """Default of ``tcp_max_orphans``; exact where ``entries`` is known, else an estimate; None if there is neither."""
        around = self.orphans_around
        if around is None or self.entries is not None:
            return around and around[0]
        assert self.memory.total is not None
        return max_orphans(self.release, self.memory.total, self.memory.bits)

    @property
    def orphans_around(self) -> tuple[int, int] | None:
        """The least and the most that the kernel may have set ``tcp_max_orphans`` to by itself."""
        if self.entries is not None:
            return (self.entries // 2, self.entries // 2) if self._tells_orphans else None
        if self.memory.tabled is None:
            return None
        least, most = (max_orphans(self.release, memory, self.memory.bits) for memory in self.memory.tabled)
        return None if least is None or most is None else (least, most)

    def sets_orphans(self, limit: int) -> bool:
        """Whether the kernel may have set this limit by itself: within the span, and a power of two."""
        around = self.orphans_around
        return (
            around is not None and around[0] <= limit <= around[1] and (limit & (limit - 1) == 0 or limit == around[0])
        )

    def around(self, page: int) -> tuple[TcpMem, TcpMem] | None:
        """The least and the most that the kernel may have set ``tcp_mem`` to by itself."""
        if self.memory.counted is None:
            return None
        least, most = (self.levels(page, memory) for memory in self.memory.counted)
        return None if least is None or most is None else (least, most)

    def sets_levels(self, page: int, levels: TcpMem) -> bool:
        """Whether the kernel may have set these levels by itself: within the span, and in its proportions."""
        around = self.around(page)
        inside = around and all(low <= level <= high for low, level, high in zip(around[0], levels, around[1]))
        return bool(inside) and proportionate(levels)

    def levels(self, page: int, memory: int | None = None) -> TcpMem | None:
        """Default of ``tcp_mem`` in pages of ``page`` bytes, estimated from ``memory``, else from what is known of it."""
        memory = memory or self.memory.known
        return None if memory is None else tcp_mem(self.release, memory // page, page)

    def other_boot(self, page: int, limit: int, levels: TcpMem) -> int | None:
        """The memory, in bytes, of a machine on which the kernel sets both limits just so; None if there is none.

        Not only the proportions of ``tcp_mem`` are the kernel's then: the hash table, of which
        ``tcp_max_orphans`` is the half, is made for the same memory.
        """
        share = _share(self.release)
        bits = self.memory.bits
        told = self.entries is not None and self.entries > memory_at_boot.least_entries(page, bits)
        by_hand = told and self.memory.hashed is None
        if share is None or share == 2 or by_hand or levels.pressure <= LEAST_PRESSURE:
            return None
        if not proportionate(levels) or limit & (limit - 1):
            return None
        memory = levels.pressure * share * page
        span = Memory(memory, None, False).tabled
        assert span is not None
        bounds = (memory, span[1] + memory_at_boot.AT_BOOT)
        least, most = (max_orphans(self.release, bound, bits) for bound in bounds)
        return memory if least is not None and most is not None and least <= limit <= most else None

    @property
    def _tells_orphans(self) -> bool:
        return not (self.release and self.release < (2, 6, 37))


def read(root: str) -> Defaults:
    """Everything that can be known of them below ``root``."""
    release = osrelease.read(root)
    memory, table, reasons = memory_at_boot.read(root, release, page_size())
    return Defaults(release, memory, table.entries, reasons)


def max_orphans(release: tuple[int, ...] | None, memory: int, bits: int = 64) -> int | None:
    """The default of ``tcp_max_orphans`` on a machine with so many bytes of memory, and longs of so many bits.

    A release that is not known counts as a new one; None for those before 2.6.37,
    where it depends on another table.
    """
    if release and release < (2, 6, 37):
        return None
    per_entry = BYTES_PER_ENTRY
    if release and release < (3, 6):
        per_entry = 8 << 10 if memory >= 512 << 20 else 32 << 10
    least = memory_at_boot.least_entries(page_size(), bits)
    entries = max(least, power_of_two(-(-memory // per_entry)))
    return min(EHASH_CAP, entries) // 2


def tcp_mem(release: tuple[int, ...] | None, pages: int, page: int = 4096) -> TcpMem | None:
    """The default of ``tcp_mem`` with so many pages of ``page`` bytes; None for releases before 2.6.21."""
    share = _share(release)
    if share is None:
        return None
    pressure = pages // share
    if share == 2:
        mib = pages * page >> 20
        pressure = min(mib, 256) * mib * 2048 // page
    pressure = max(LEAST_PRESSURE, pressure)
    low = pressure // 4 * 3
    return TcpMem(low, pressure, 2 * low)


def _share(release: tuple[int, ...] | None) -> int | None:
    """The pressure level is one of so many parts of the memory."""
    if release and release < (2, 6, 21):
        return None
    return 2 if release and release < (2, 6, 39) else 8 if release and release < (4, 1) else 16


def proportionate(levels: TcpMem) -> bool:
    """Whether they stand to each other as the kernel's own do, to a few pages."""
    return abs(levels.min - levels.pressure // 4 * 3) <= 4 and abs(levels.max - 2 * levels.min) <= 4


def levels_below(most: int) -> TcpMem:
    """The levels that stand to a maximum of ``most`` pages about as the kernel's own do, and no less than its least."""
    most = max(most, LEAST_PRESSURE // 2 * 3)
    return TcpMem(most // 2, most // 3 * 2, most)


def power_of_two(least: int) -> int:
    """The smallest power of two that is at least ``least``, which is from 1 on."""
    return 1 << (least - 1).bit_length()
