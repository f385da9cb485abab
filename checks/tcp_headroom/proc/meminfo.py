"""``/proc/meminfo``: how much memory the machine has.

``MemTotal`` is what the kernel manages now: hot-plug and balloons move it after the
boot, and lxcfs shows a container's limit in its place. ``LowTotal`` exists on 32-bit
machines with high memory (CONFIG_HIGHMEM, fs/proc/meminfo.c): what the kernel can
address directly, from which network buffers come.
"""

from __future__ import annotations

import os

from tcp_headroom import namedtuple
from tcp_headroom.blind import Blind
from tcp_headroom.proc import reading

FILE = "meminfo"

_WANTED = ("MemTotal:", "LowTotal:", "MemAvailable:", "MemFree:")


class Meminfo(namedtuple("Meminfo", "total low available", defaults=[None, None])):
    """Memory in bytes."""

    __slots__ = ()
    total: int
    """All of it, ``MemTotal``."""
    low: int | None
    """``LowTotal``; None where all memory is low."""
    available: int | None
    """``MemAvailable``, what programs can still have without swapping; before 3.14 ``MemFree``, which is less."""

    @property
    def buffers(self) -> int:
        """What network buffers can come from."""
        return self.total if self.low is None else self.low


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
    total, low, available, free = map(found.get, _WANTED)
    if total is None or total <= 0:
        raise Blind(f"{FILE} has no readable MemTotal")
    available = free if available is None else available
    return Meminfo(total, low if low and low > 0 else None, None if available is None else max(0, available))


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
