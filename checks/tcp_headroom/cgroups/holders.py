"""Which cgroups hold socket memory, each counted once; for ``-v`` only.

``sock`` of ``memory.stat`` is what the sockets of a cgroup and of all below it hold, in
bytes, of every network namespace, UDP included (``mem_cgroup_charge_skmem``,
mm/memcontrol.c; Documentation/admin-guide/cgroup-v2.rst). So a parent's own part is
what its children leave of its number; it holds the sockets of cgroups removed since,
too. Left out are sockets made by tasks of the root cgroup (``mem_cgroup_sk_alloc``),
and those that no program has accepted yet, which belong to the cgroup of whoever
accepts them. cgroup v1 counts in ``memory.kmem.tcp.usage_in_bytes``, and only where a
limit was set (``tcpmem_active``).

From 4.10 to 5.19 both count units of 4096 bytes (``mem_unit``) as if they were pages, so where pages are larger
they tell too much.

The largest are looked into first, and no more than that takes: a node with hundreds of
cgroups costs some dozens of reads.
"""

from __future__ import annotations

import heapq
import os
import time

from tcp_headroom import wording
from tcp_headroom.blind import Blind
from tcp_headroom.cgroups import names, tree
from tcp_headroom.proc import reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tcp_headroom.cgroups.tree import Tree

TOP = 5
"""Cgroups that are named."""

MOST = 4000
"""Cgroups looked at."""

V1_USAGE = "memory.kmem.tcp.usage_in_bytes"

OWN = ", without those below it"
WHOLE = ", with those below it"
"""Of a cgroup with others below it."""

SCOPE = "UDP included, tasks of the root cgroup not; all network namespaces"


def lines(directory: str, patience: float, page: int = 1, units: Sequence[int] = (1,)) -> Iterator[str]:
    """Lines that say which cgroups hold socket memory, within ``patience`` seconds; raises nothing of its own.

    ``units``: the bytes that the kernel may count as a ``page`` of so many, the likeliest first.
    """
    try:
        place = tree.find(directory)
    except Blind as reason:
        yield f"not shown, cgroups: {reason}"
        return
    ranking = Ranking(place, time.monotonic() + patience)
    largest = ranking.largest()
    if not ranking.total:
        if not place.unified:
            yield f"not shown, cgroups: cgroup v1 counts socket memory only where {tree.V1_LIMIT} is set"
        return
    scope = SCOPE if place.unified else f"{SCOPE}; cgroup v1: only where {tree.V1_LIMIT} is set"

    def held(told: int, unit: int = units[0]) -> str:
        return wording.size(told * unit // page)

    yield f"Socket memory by cgroup, {held(ranking.total)} in all ({scope}):"
    left = ranking.total
    for size, path, part in largest:
        left -= size
        yield f"{_label(place, path, part)}: {held(size)}, {wording.percent(100 * size / ranking.total)}"
    if left > 0:
        yield f"further cgroups: {held(left)}, {wording.percent(100 * left / ranking.total)}"
    for unit in units[1:]:
        yield f"if mem is in units of {unit} bytes: {held(ranking.total, unit)} in all"
    if ranking.trouble:
        yield f"not shown, further cgroups: {ranking.trouble}"


def _label(place: Tree, path: str, part: str) -> str:
    if path:
        return f"cgroup {names.name(path)}{part}"
    if part == WHOLE:
        return "all cgroups"
    # Only the root of a container accounts for tasks of its own.
    inside = os.path.lexists(os.path.join(place.root, "memory.current"))
    return f"this container{part}" if inside else "cgroups that were removed"


class Ranking:
    """A search for the largest, which knows of each cgroup no more than it must."""

    def __init__(self, place: Tree, deadline: float) -> None:
        self.place = place
        self.deadline = deadline
        self.total = 0
        """What all cgroups hold, in bytes."""
        self.trouble = ""
        """Why the search ended early; empty if it did not."""
        self._looked = 0

    def largest(self) -> list[tuple[int, str, str]]:
        """Bytes, path, and which part of the cgroup that is, if not all of it; the largest first."""
        found: list[tuple[int, str, str]] = []
        below = self._below("")
        # The root's own number is missing in some kernels, and is never less than what is below it.
        self.total = max(_held(self.place, "") or 0, sum(below.values()))
        waiting = [(-self.total, "")]
        while waiting and not self.trouble:
            held, path = heapq.heappop(waiting)
            if sum(size >= -held for size, _path, _part in found) >= TOP:
                # Nothing that is left can be among the largest any more.
                break
            below = self._below(path) if path else below
            if self.trouble:
                found.append((-held, path, WHOLE))
                break
            found.append((max(0, -held - sum(below.values())), path, OWN if below else ""))
            for child, size in below.items():
                # A number that grew since the parent's was read stays within it.
                heapq.heappush(waiting, (-min(size, -held), child))
        if self.trouble:
            found += [(-held, path, WHOLE) for held, path in waiting]
        return sorted((one for one in found if one[0] > 0), key=lambda one: (-one[0], one[1]))[:TOP]

    def _below(self, path: str) -> dict[str, int]:
        """The children that hold something, with what they hold; some of them if there is ``trouble``."""
        found = {}
        for child in tree.children(os.path.join(self.place.root, path)):
            self._looked += 1
            if self._looked > MOST:
                self.trouble = f"there are more than {MOST}"
            elif time.monotonic() > self.deadline:
                self.trouble = "the time was too short; allow more with -t"
            if self.trouble:
                break
            held = _held(self.place, os.path.join(path, child))
            if held and held > 0:
                found[os.path.join(path, child)] = held
        return found


def _held(place: Tree, path: str) -> int | None:
    """What a cgroup and all below it hold, in bytes; None where it is not counted, or has gone."""
    try:
        if place.unified:
            return tree.value(reading.read(place.root, os.path.join(path, "memory.stat")), "sock")
        return reading.integer(reading.read(place.root, os.path.join(path, V1_USAGE)).strip())
    except (Blind, ValueError):
        return None
