"""How much memory did the kernel count when it booted? From that it has set both limits.

Nobody tells it afterwards. The witnesses are what /proc/meminfo says now, the size of
the established-hash table, which is for a power of two, and the words of the kernel's
command line that make the two differ:

* ``crashkernel=`` takes memory away that the table was made for, and MemTotal lacks it.
* ``cma=`` and huge pages of the boot are in MemTotal, but since 6.10 not in what the
  table is made for (``calc_nr_kernel_pages``, mm/mm_init.c).
* ``thash_entries=`` sets the size of the table by hand, so it says nothing of memory.

And the table has a page at least (``alloc_large_system_hash``, mm/page_alloc.c): of 64 KiB that is
enough for 1 GiB, so a table of one page says nothing of memory either.
"""

from __future__ import annotations

import re

from tcp_headroom import namedtuple
from tcp_headroom.blind import Blind
from tcp_headroom.proc import cmdline, meminfo, reading, zoneinfo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

EHASH = "sys/net/ipv4/tcp_ehash_entries"

BYTES_PER_ENTRY = 128 << 10
EHASH_CAP = 524288
"""Most entries the kernel makes by itself; more, or fewer, take ``thash_entries=`` on its command line."""

TOLERANCE = 0.1
"""How far the memory of the boot may be from an estimate of it, as a share."""
AT_BOOT = 128 << 20
"""Memory, in bytes, that today's has and the kernel may not have counted, beside ``TOLERANCE``.

``nr_free_zone_pages`` (mm/page_alloc.c) sums up managed pages, without those below the
high watermark: 66 MiB of 1 GiB, where transparent huge pages raise it
(``set_recommended_min_free_kbytes``, mm/khugepaged.c). ``tcp_init`` is an fs_initcall, and so
runs before ``populate_rootfs`` (init/initramfs.c) frees the initrd, which counts from then on.
"""
KERNEL = 64 << 20
"""Memory, in bytes, of the kernel itself: the hash table is made for it as well, and MemTotal lacks it."""
MOVED = 0.01
"""How far ZONE_MOVABLE may be from what it was at the moment of MemTotal, as a share."""
SLACK = 0.9
"""By so much may MemTotal miss the memory that the kernel had when it made its tables."""


class Memory(
    namedtuple(
        "Memory",
        "total hashed capped movable reserved foreign bits low huge plugged",
        defaults=[0, 0, False, 64, False, 0, 0],
    )
):
    """What is known of the memory at boot, in bytes; None where nothing is."""

    __slots__ = ()
    total: int | None
    """What /proc/meminfo says now of the memory that the kernel counts, ZONE_MOVABLE and huge pages included."""
    hashed: int | None
    """What the size of the established-hash table implies: at most so much, as it is rounded up, and more than half."""
    capped: bool
    """Whether it may have been more than ``hashed``: the table is at its cap, or not made for all."""
    movable: int
    """What of ``total`` is in ZONE_MOVABLE, since the boot."""
    reserved: int
    """What ``crashkernel=`` has taken at most: the table may be for so much more than ``total``."""
    foreign: bool
    """Whether /proc/meminfo may be that of a container, while the limits are the machine's."""
    bits: int
    """Of a long of the kernel."""
    low: bool
    """Whether ``total`` is the low memory of a machine that has high memory, too."""
    huge: int
    """What of ``total`` is set apart as huge pages: it counts for the default, but no network buffer comes from it."""
    plugged: int
    """ZONE_MOVABLE that was added after the boot, and is no part of ``total``."""

    @property
    def noun(self) -> str:
        """What ``machine`` is, in words."""
        return meminfo.noun(self.low, self.huge, self.movable + self.plugged)

    @property
    def whole(self) -> str:
        """What ``total`` is, in words."""
        return meminfo.noun(self.low)

    @property
    def known(self) -> int | None:
        """The smaller of the two, without ZONE_MOVABLE: the figure from which tcp_mem is estimated."""
        bounds = [bound for bound in (self.total, None if self.capped else self.hashed) if bound is not None]
        return max(1, min(bounds) - self.movable) if bounds else None

    @property
    def agreed(self) -> int | None:
        """What both say there is at least, without ZONE_MOVABLE; None where one of them is not known."""
        if self.total is None or self.hashed is None:
            return None
        return max(1, min(self.total, self.hashed) - self.movable)

    @property
    def machine(self) -> int | None:
        """The most memory network buffers may have: a balloon takes from ``total``, and a limit of the boot stays.

        But who sets memory apart for huge pages has it. They may lie in ZONE_MOVABLE, so the larger of the two is
        what is missing. None where that is not known, or perhaps is another's.
        """
        if self.foreign:
            return None
        hashed = self.hashed // 2 if self.hashed and self.capped else self.hashed
        if self.total is None and self.capped:
            return None
        if self.huge and self.total is not None:
            hashed = None
        most = max((bound for bound in (self.total, hashed) if bound is not None), default=None)
        return most and max(1, most - max(self.huge, self.movable))

    @property
    def consistent(self) -> bool:
        """Whether the memory can be that of the boot: the table is for more than half of ``hashed``, and at most that."""
        if self.total is None or self.hashed is None:
            return True
        enough = SLACK * self.hashed < 2 * (self.total + self.reserved)
        # Since 6.10 the table is made without the memory of the initrd, which is in MemTotal later.
        return enough and (self.capped or SLACK * self.total - AT_BOOT < self.hashed)

    @property
    def counted(self) -> tuple[int, int] | None:
        """The least and the most that the kernel may have counted for tcp_mem: the span of the estimate."""
        bounds = [self.total] if self.total is not None else []
        if self.hashed is not None and not (bounds and self.consistent):
            bounds.append(self.hashed // 2)
            if not self.capped:
                bounds.append(self.hashed)
        if not bounds:
            return None
        least, most = (max(1, bound - self.movable) for bound in (min(bounds), max(bounds)))
        moved = int(MOVED * self.movable)
        # Up to 3.8 what the kernel had reserved counted as well.
        most = int(most * (1 + TOLERANCE)) + moved + KERNEL + self.reserved
        return max(1, int(least * (1 - TOLERANCE)) - AT_BOOT - moved), most

    @property
    def tabled(self) -> tuple[int, int] | None:
        """The least and the most that the kernel may have made its hash table for, by ``total`` alone."""
        if self.total is None:
            return None
        return int(self.total * (1 - TOLERANCE)), int(self.total * (1 + TOLERANCE)) + KERNEL + self.reserved


class Table(namedtuple("Table", "entries by_hand")):
    """The established-hash table."""

    __slots__ = ()
    entries: int | None
    """None where nothing tells."""
    by_hand: bool
    """Whether ``thash_entries=`` has set its size."""


def read(root: str, release: tuple[int, ...] | None, page: int) -> tuple[Memory, Table, list[str]]:
    """What is known below ``root``, with the reasons why something is not."""
    reasons = []
    try:
        found: meminfo.Meminfo | None = meminfo.read(root)
    except Blind as reason:
        found = None
        reasons.append(str(reason))
    total, apart, bits, low = None, 0, 64, False
    if found:
        # Up to 2.6.27 high memory counted as well (``nr_all_pages``).
        low = found.low is not None and not (release and release < (2, 6, 28))
        total, bits = found.low if low else found.total, found.bits
        apart = movable(root, page, found)
    told = True
    try:
        words = list(cmdline.read(root))
    except Blind:
        words, told = [], False
    entries = None
    try:
        entries = abs(reading.integer(reading.read(root, EHASH).strip())) or None
    except reading.Missing:
        pass
    except (Blind, ValueError) as reason:
        reasons.append(str(reason) if isinstance(reason, Blind) else f"{EHASH} is not a number")
    chosen = thash_entries(words)
    silent = entries is None or chosen or entries <= least_entries(page, bits)
    hashed = None if silent or entries is None else entries * BYTES_PER_ENTRY
    capped = entries is not None and (entries >= EHASH_CAP or set_apart(words))
    if entries is None and chosen and total:
        entries = min(chosen, most_entries(total))
    huge = found.huge if found else 0
    plugged = 0
    if total and apart and ((told and not movable_at_boot(words)) or (hashed and not capped and hashed <= apart)):
        plugged, apart = apart, 0
        total, huge = total - plugged, max(0, huge - plugged)
    foreign = meminfo.foreign(root)
    memory = Memory(total, hashed, capped, apart, crashkernel(words), foreign, bits, low, huge, plugged)
    return memory, Table(entries, bool(chosen)), reasons


def usable(root: str, page: int, found: meminfo.Meminfo) -> tuple[int, str]:
    """The bytes that network buffers can come from at most, and in words what they are. Huge pages may lie in ZONE_MOVABLE."""
    apart = movable(root, page, found)
    return found.buffers + found.huge - max(found.huge, apart), meminfo.noun(found.low is not None, found.huge, apart)


def movable(root: str, page: int, found: meminfo.Meminfo) -> int:
    """Bytes in ZONE_MOVABLE, which no network buffer comes from; where there is high memory, it is in that."""
    if found.low is not None:
        return 0
    try:
        return min(found.total - 1, zoneinfo.read(root) * page)
    except Blind:
        return 0


def movable_at_boot(words: Iterable[str]) -> bool:
    """Whether the kernel was told to make a ZONE_MOVABLE when it booted; else what is there was added later."""
    return any(word.partition("=")[0] in ("kernelcore", "movablecore", "movable_node") for word in words)


def thash_entries(words: Iterable[str]) -> int | None:
    """The entries of ``thash_entries=``, rounded up to a power of two as the kernel does; None without one."""
    found = None
    for word in words:
        if word.startswith("thash_entries="):
            number, rest = _number(word.partition("=")[2])
            found = None if rest or not number else 1 << (number - 1).bit_length()
    return found


def least_entries(page: int, bits: int) -> int:
    """The smallest table the kernel makes by itself: a page of pointers, which are as wide as a long."""
    return page // (bits // 8)


def most_entries(total: int) -> int:
    """The largest table on a machine with so many bytes: a sixteenth of them (``alloc_large_system_hash``)."""
    return 1 << max(9, (total // 16 // 8).bit_length() - 1)


def set_apart(words: Iterable[str]) -> bool:
    """Whether memory was set apart at boot for CMA or huge pages, for which the table may not be made."""
    return any(word.partition("=")[0] in ("cma", "hugetlb_cma", "hugepages", "numa_cma") for word in words)


def crashkernel(words: Iterable[str]) -> int:
    """The most bytes that ``crashkernel=`` takes (Documentation/admin-guide/kdump/kdump.rst)."""
    taken = 0
    for word in words:
        key, _assigned, value = word.partition("=")
        if key != "crashkernel":
            continue
        if value.startswith("auto"):
            taken += 1 << 29
            continue
        # Of 1G-4G:192M,4G-:256M one applies; what is high has up to 256 MiB low beside it.
        sizes = [_number(part.rpartition(":")[2])[0] for part in value.split(",")]
        taken += max(sizes) + ((1 << 28) if value.endswith(",high") else 0)
    return taken


def _number(text: str) -> tuple[int, str]:
    """A number of the kernel's command line, with the suffix of ``memparse`` (lib/cmdline.c), and what follows it."""
    match = re.match(r"(0x[0-9a-f]{1,16}|[0-9]{1,19})([kmgtpe]?)", text, re.ASCII | re.IGNORECASE)
    if not match:
        return 0, text
    digits, suffix = match.groups()
    base = 16 if digits[:2] in ("0x", "0X") else 8 if digits[0] == "0" and digits.isdigit() else 10
    try:
        number = int(digits, base)
    except ValueError:
        return 0, text
    return number << 10 * ("kmgtpe".find(suffix.lower()) + 1 if suffix else 0), text[match.end() :]
