"""How often the memory limit of a cgroup slowed down its sockets: ``sock_throttled`` of ``memory.events``.

Since 6.19. While the kernel reclaims memory of a cgroup, or of one above it, with
effort (``vmpressure``), windows do not grow, buffers are not enlarged and queues are
squeezed, as under the pressure of tcp_mem, but in no number of ``/proc/net``. Each
time counts for the socket's cgroup and all above it (``mem_cgroup_sk_under_memory_pressure``,
include/net/sock.h). ``memory.events.local`` has the cgroup's own part. To be at
``memory.max`` is ordinary by itself: page cache fills whatever there is.
"""

from __future__ import annotations

import os

from tcp_headroom.blind import Blind
from tcp_headroom.cgroups import tree
from tcp_headroom.proc import reading

EVENTS, LOCAL = "memory.events", "memory.events.local"
KEY = "sock_throttled"

MOST = 400
"""Cgroups looked at to find where it happened."""

KEPT = 30
"""Cgroups named to those who remember."""

ALL = ""
"""In place of a path: the sum of the first level, which no cgroup that is removed below takes away from."""


def read(directory: str) -> dict[str, int]:
    """How often, since they began: the sum of the first-level cgroups as ``ALL``, and own parts by path.

    Empty where this is not counted. Raises ``Blind`` if there is no tree of cgroups.
    """
    place = tree.find(directory)
    if not place.unified:
        return {}
    waiting = [*tree.children(place.root)]
    # Only the root of a container has the file: it is a cgroup like others, and the sum is its own.
    whole = _value(place.root, "", EVENTS)
    total = whole
    parts: dict[str, int] = {}
    for looked in range(MOST):
        if looked == len(waiting):
            break
        path = waiting[looked]
        events = _value(place.root, path, EVENTS)
        if events is None:
            continue
        if whole is None and "/" not in path:
            total = (total or 0) + events
        if events > 0:
            parts[path] = _value(place.root, path, LOCAL) or 0
            waiting += [os.path.join(path, child) for child in tree.children(os.path.join(place.root, path))]
    if total is None:
        return {}
    largest = sorted((item for item in parts.items() if item[1] > 0), key=lambda item: (-item[1], item[0]))
    return {ALL: total, **dict(largest[:KEPT])}


def _value(root: str, path: str, file: str) -> int | None:
    try:
        return tree.value(reading.read(root, os.path.join(path, file)), KEY)
    except Blind:
        return None
