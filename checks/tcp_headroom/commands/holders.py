"""Who holds TCP memory: the lines of ``check_tcp_mem -v`` by cgroup, by port, and on what no list shows.

All of it together has a quarter of ``--timeout``. Imported for ``-v`` alone.
"""

from __future__ import annotations

import time

from tcp_headroom.blind import Blind
from tcp_headroom.cgroups import holders as by_cgroup
from tcp_headroom.cgroups import tree
from tcp_headroom.proc import clock, sockstat, sockstat6
from tcp_headroom.sockets import closed
from tcp_headroom.verdict import conclusion, starvation

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence


def lines(arguments: argparse.Namespace, held: int | None, kept: int, page: int, units: Sequence[int]) -> Iterator[str]:
    """The lines for ``held`` bytes of the machine, which may be off by ``kept`` for each CPU, by the command's options.

    ``units``: the bytes that the kernel may count as a ``page`` of so many, the likeliest first.
    """
    root: str = arguments.procfs
    patience = arguments.timeout / 4
    deadline = time.monotonic() + patience
    # Another tree tells of another machine: its sockets cannot be listed, and its cgroups are where it is said.
    here = root == "/proc"
    place = arguments.cgroupfs or (tree.DEFAULT if here else None)
    if place and not arguments.no_owners:
        yield from by_cgroup.lines(place, patience / 4, page, units)
    slowed = starvation.sentence(starvation.read(place, conclusion.memory(arguments), clock.read(root)))
    if slowed:
        yield slowed
    looked_up = here and not arguments.no_owners
    try:
        unlisted = sockstat6.unlisted(root, sockstat.read(root))
    except Blind:
        unlisted = sockstat6.Unlisted()
    if looked_up:
        from tcp_headroom.sockets import owners

        elsewhere = unlisted.most > 0 or not unlisted.alloc
        yield from owners.of_memory(held, kept, max(0, deadline - time.monotonic()), elsewhere)
    yield from closed.lines(unlisted, deadline - time.monotonic() if looked_up else None)
