"""``/proc/meminfo``: how much memory the machine has.

``MemTotal`` is what the kernel manages now: hot-plug and balloons move it after the
boot, and lxcfs shows a container's limit in its place. ``LowTotal`` exists on 32-bit
machines with high memory (CONFIG_HIGHMEM, fs/proc/meminfo.c): what the kernel can
address directly, from which network buffers come.

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

LOW = "low memory"

_WANTED = ("MemTotal:", "LowTotal:", "MemAvailable:", "MemFree:", "LowFree:", "VmallocTotal:")


class Meminfo(namedtuple("Meminfo", "total low available bits", defaults=[None, None, 64])):
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

    @property
    def buffers(self) -> int:
        """What network buffers can come from."""
        return self.total if self.low is None else self.low

    @property
    def noun(self) -> str:
        """What ``buffers`` is, in words."""
        return "memory" if self.low is None else LOW


def read(root: str) -> Meminfo:
    """Read and parse it below ``root``. Raises ``Blind``."""
    return parse(reading.read(root, FILE))


def parse(text: str) -> Meminfo:
    """Raises ``Blind`` if there is no MemTotal, or it is not a positive number of kB."""
    found = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3 and words[0] in _WANTED and words[2] == "kB":
            try:
                found[words[0]] = reading.integer(words[1]) << 10
            except ValueError:
                continue
    total, low, available, free, low_free, addresses = map(found.get, _WANTED)
    if total is None or total <= 0:
        raise Blind(f"{FILE} has no readable MemTotal")
    available = free if available is None else available
    if low is not None and low > 0:
        available = low_free
    else:
        low = None
    bits = 32 if low or (addresses and 0 < addresses <= 1 << 32) else 64
    return Meminfo(total, low, None if available is None else max(0, available), bits)


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
