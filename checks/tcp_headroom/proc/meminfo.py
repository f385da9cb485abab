"""``/proc/meminfo``: how much memory the machine has.

``MemTotal`` is what the kernel manages now: hot-plug and balloons move it after the
boot, and lxcfs shows a container's limit in its place. ``LowTotal`` exists on 32-bit
machines with high memory (CONFIG_HIGHMEM, fs/proc/meminfo.c): what the kernel can
address directly, from which network buffers come.

Huge pages that are set apart (``HugePages_Total`` of ``Hugepagesize``; since 4.19 ``Hugetlb``, which has all
sizes) are for programs that ask for them, whether in use or free: no network buffer ever comes from them
(Documentation/admin-guide/mm/hugetlbpage.rst). The limits that the kernel sets by itself count them all the same.

``VmallocTotal`` tells how wide a long of the kernel is, whatever the reader is built for:
it is a part of the kernel's addresses, so below 4 GiB where they have 32 bits, and 64 GiB at
least elsewhere (arch/*/include/asm, VMALLOC_START and VMALLOC_END). ``uname`` would
answer for the reader's personality and its own host alone.
"""

from __future__ import annotations

import os

from tcp_headroom import namedtuple
from tcp_headroom.blind import Blind
from tcp_headroom.proc import reading

FILE = "meminfo"

LOW, NOT_HUGE, NOT_MOVABLE = "low memory", "memory without huge pages", "memory outside ZONE_MOVABLE"

_WANTED = (
    "MemTotal:",
    "LowTotal:",
    "MemAvailable:",
    "MemFree:",
    "LowFree:",
    "VmallocTotal:",
    "Hugetlb:",
    "Hugepagesize:",
)
_PAGES = "HugePages_Total:"


class Meminfo(namedtuple("Meminfo", "total low available bits huge", defaults=[None, None, 64, 0])):
    """Memory in bytes."""

    __slots__ = ()
    total: int
    """All of it, ``MemTotal``."""
    low: int | None
    """``LowTotal``; None where all memory is low."""
    available: int | None
    """``MemAvailable``, what programs can still have without swapping; before 3.14 ``MemFree``, which is less.

    Of low memory ``LowFree``, as network buffers can have no other.
    """
    bits: int
    """Of a long of this kernel, 32 or 64; 64 where nothing tells."""
    huge: int
    """What is set apart as huge pages; 0 where they can be in high memory."""

    @property
    def buffers(self) -> int:
        """What network buffers can come from."""
        return self.total - self.huge if self.low is None else self.low

    @property
    def noun(self) -> str:
        """What ``buffers`` is, in words."""
        return noun(self.low is not None, self.huge)


def noun(low: bool, huge: int = 0, movable: int = 0) -> str:
    """What network buffers can come from, in words."""
    return LOW if low else NOT_HUGE if huge > movable else NOT_MOVABLE if movable else "memory"


def read(root: str) -> Meminfo:
    """Read and parse it below ``root``. Raises ``Blind``."""
    return parse(reading.read(root, FILE))


def parse(text: str) -> Meminfo:
    """Raises ``Blind`` if there is no MemTotal, or it is not a positive number of kB."""
    found, pages = {}, 0
    for line in text.splitlines():
        words = line.split()
        try:
            if len(words) == 3 and words[0] in _WANTED and words[2] == "kB":
                found[words[0]] = reading.integer(words[1]) << 10
            elif len(words) == 2 and words[0] == _PAGES:
                pages = reading.integer(words[1])
        except ValueError:
            continue
    total, low, available, free, low_free, addresses, huge, size = map(found.get, _WANTED)
    if total is None or total <= 0:
        raise Blind(f"{FILE} has no readable MemTotal")
    available = free if available is None else available
    if low is not None and low > 0:
        available = low_free
    else:
        low = None
    bits = 32 if low or (addresses and 0 < addresses <= 1 << 32) else 64
    huge = pages * (size or 0) if huge is None else huge
    # What is no part of the whole tells nothing.
    huge = huge if low is None and 0 < huge < total else 0
    return Meminfo(total, low, None if available is None else max(0, available), bits, huge)


def long_bits(root: str) -> int:
    """Bits of a long of the kernel whose /proc is ``root``; 64 where nothing tells."""
    try:
        return read(root).bits
    except Blind:
        return 64


def _mount(path: str) -> str:
    """The number of the mount it is on (``mnt_id`` of ``/proc/self/fdinfo``, proc(5), Linux 3.15), else its own path.

    Raises ``OSError`` if there is no such file.
    """
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        words = reading.read("/proc/self/fdinfo", str(descriptor)).split()
        return words[words.index("mnt_id:") + 1]
    except (Blind, ValueError):
        return path
    finally:
        os.close(descriptor)


def foreign(root: str) -> bool:
    """Whether it may show the memory of a container, while the limits of TCP are the machine's.

    lxcfs mounts a file of its own over it, but not over the limits. OpenVZ shows the container's as well, where there
    are beancounters, but not ``/proc/bc``, which only the node has.

    The device alone is no proof: on overlayfs a file has another than its directory
    (Documentation/filesystems/overlayfs.rst, "Inode properties").
    """
    path = os.path.join(root, FILE)
    try:
        if os.stat(path).st_dev != os.stat(root).st_dev and _mount(path) != _mount(root):
            return True
        return os.path.lexists(os.path.join(root, "user_beancounters")) and not os.path.isdir(os.path.join(root, "bc"))
    except (OSError, ValueError):
        return False
