"""``/proc/zoneinfo``: how much memory is in ZONE_MOVABLE, and nothing else.

Memory of that zone (``kernelcore=``, ``movablecore=``, ``movable_node``, memory that was
added as movable) is for programs alone: network buffers never come from it, so it
does not count for tcp_mem (``nr_free_buffer_pages``, mm/page_alloc.c). The other zones
are not read here: where memory is initialised late or was added they mislead.
"""

from __future__ import annotations

from tcp_headroom.proc import reading

FILE = "zoneinfo"

LIMIT = 16 << 20
"""Largest file accepted, in bytes: each zone has some lines for each CPU."""


def read(root: str) -> int:
    """Pages in ZONE_MOVABLE below ``root``. Raises ``Blind``."""
    return parse(reading.read(root, FILE, LIMIT))


def parse(text: str) -> int:
    """The managed pages of ZONE_MOVABLE of all nodes; 0 before 3.9, which does not tell."""
    pages = 0
    inside = False
    for line in text.splitlines():
        if line.startswith("Node "):
            inside = line.split()[-1:] == ["Movable"]
        elif inside and "managed" in line:
            try:
                pages += max(0, reading.integer(line.replace("managed", "", 1).strip()))
            except ValueError:
                continue
    return pages
