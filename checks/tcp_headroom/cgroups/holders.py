"""Which cgroups hold socket memory, each counted once; for ``-v`` only.

``sock`` of ``memory.stat`` is what the sockets of a cgroup and of all below it hold, in
bytes, of every network namespace, UDP included (``mem_cgroup_charge_skmem``,
mm/memcontrol.c; Documentation/admin-guide/cgroup-v2.rst). So a parent's own part is
what its children leave of its number; it holds the sockets of cgroups removed since,
too. Left out are sockets made by tasks of the root cgroup (``mem_cgroup_sk_alloc``),
and those that no program has accepted yet, which belong to the cgroup of whoever
accepts them. cgroup v1 counts in ``memory.kmem.tcp.usage_in_bytes``, and only where a
limit was set (``tcpmem_active``). With 0 in its ``memory.use_hierarchy`` a cgroup of v1 counts for itself
alone, and what is below it is in no number of its own (``mem_cgroup_css_alloc``; up to 5.10).

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

V2_USAGE, V1_USAGE = "memory.stat", "memory.kmem.tcp.usage_in_bytes"
V1_HIERARCHY = "memory.use_hierarchy"

OWN = ", without those below it"
WHOLE = ", with those below it"
CLOSED = ", with those below it that cannot be read"
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
    if inside:
        return f"this container{part}"
    return f"cgroups that {'cannot be read, or ' if part == CLOSED else ''}were removed"


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
        self._closed: set[str] = set()
        """Cgroups with others directly below them that this user may not look into."""

    def largest(self) -> list[tuple[int, str, str]]:
        """Bytes, path, and which part of the cgroup that is, if not all of it; the largest first."""
        found: list[tuple[int, str, str]] = []
        waiting: list[tuple[int, str]] = []
        first: dict[str, int] = {}
        for path, alone in self._tops():
            held = _held(self.place, path) or 0
            if alone:
                found.append((held, path, ""))
                continue
            if not path:
                # The root's own number is missing in some kernels, and is never less than what is below it.
                first = self._below(path)
                held = max(held, sum(first.values()))
            waiting.append((-held, path))
        self.total = sum(size for size, _path, _part in found) - sum(held for held, _path in waiting)
        heapq.heapify(waiting)
        while waiting:
            held, path = heapq.heappop(waiting)
            if sum(size >= -held for size, _path, _part in found) >= TOP:
                # Nothing that is left can be among the largest any more.
                break
            below = self._below(path) if path else first
            part = CLOSED if path in self._closed else OWN if below else ""
            if not self.trouble:
                found.append((max(0, -held - sum(below.values())), path, part))
            elif not below:
                found.append((-held, path, WHOLE))
            for child, size in below.items():
                # A number that grew since the parent's was read stays within it.
                heapq.heappush(waiting, (-min(size, -held), child))
            if self.trouble:
                # What was read is named; how much the cgroups hold that were not is what is left.
                found += [(-held, path, WHOLE) for held, path in waiting]
                break
        return sorted((one for one in found if one[0] > 0), key=lambda one: (-one[0], one[1]))[:TOP]

    def _tops(self) -> Iterator[tuple[str, bool]]:
        """The cgroups that are in no other's number, and whether each counts for itself alone; the root of v2 is all."""
        paths = [""]
        for path in paths:
            alone = _alone(self.place, path)
            yield path, alone
            if alone:
                paths += self._children(path)

    def _children(self, path: str) -> Iterator[str]:
        """Some of them if there is ``trouble``."""
        for child in tree.children(os.path.join(self.place.root, path)):
            self._looked += 1
            if self._looked > MOST:
                self.trouble = f"there are more than {MOST}"
            elif time.monotonic() > self.deadline:
                self.trouble = "the time was too short; allow more with -t"
            if self.trouble:
                break
            yield os.path.join(path, child)

    def _below(self, path: str) -> dict[str, int]:
        """The children that hold something, with what they hold; some of them if there is ``trouble``."""
        found = {}
        for child in self._children(path):
            held = _held(self.place, child)
            if held is None and _closed(self.place, child):
                self._closed.add(path)
            if held and held > 0:
                found[child] = held
        return found


def _held(place: Tree, path: str) -> int | None:
    """What a cgroup and all below it hold, in bytes; None where it is not counted, or has gone."""
    try:
        if place.unified:
            return tree.value(reading.read(place.root, os.path.join(path, V2_USAGE)), "sock")
        return reading.integer(reading.read(place.root, os.path.join(path, V1_USAGE)).strip())
    except (Blind, ValueError):
        return None


def _closed(place: Tree, path: str) -> bool:
    """Whether this user may not look into the directory of a cgroup."""
    try:
        os.stat(os.path.join(place.root, path, V2_USAGE if place.unified else V1_USAGE))
    except PermissionError:
        return True
    except OSError:  # It has gone, or is not counted.
        pass
    return False


def _alone(place: Tree, path: str) -> bool:
    """Whether a cgroup counts for itself alone."""
    try:
        return not place.unified and reading.read(place.root, os.path.join(path, V1_HIERARCHY)).strip() == "0"
    except Blind:
        return False
