"""``/proc/meminfo``: how much memory the machine has.

``MemTotal`` is what the kernel manages now: hot-plug and balloons move it after the
boot, and lxcfs shows a container's limit in its place. ``LowTotal`` exists on 32-bit
machines with high memory (CONFIG_HIGHMEM, fs/proc/meminfo.c): what the kernel can
address directly, from which network buffers come.
"""

from __future__ import annotations

from tcp_headroom.blind import Blind
from tcp_headroom.proc import reading

FILE = "meminfo"


def read(root: str) -> int:
    """Read and parse it below ``root``. Raises ``Blind``."""
    return parse(reading.read(root, FILE))


def parse(text: str) -> int:
    """The memory that network buffers can come from, in bytes: LowTotal where there is one, else MemTotal.

    Raises ``Blind`` if there is neither, or it is not a positive number of kB.
    """
    found = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3 and words[0] in ("MemTotal:", "LowTotal:") and words[2] == "kB":
            try:
                found[words[0]] = reading.integer(words[1]) << 10
            except ValueError:
                continue
    total = found.get("LowTotal:", found.get("MemTotal:", 0))
    if total <= 0:
        raise Blind(f"{FILE} has no readable MemTotal")
    return total
