"""Does a cgroup starve at a memory limit of its own? Reads and remembers ``sock_throttled``, and puts it into words.

The pressure of a cgroup slows its sockets as that of tcp_mem does, and shows in no number of TCP. Only growth
counts: what happened before the first look is of unknown age.
"""

from __future__ import annotations

import math

from tcp_headroom import wording
from tcp_headroom.blind import Blind
from tcp_headroom.cgroups import names, throttled
from tcp_headroom.memory import abort_growth, growth
from tcp_headroom.verdict.evidence import SECONDS, Starved

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tcp_headroom.proc.clock import Clock

SECTION = "cgroups"
"""Part of the state: ``sock_throttled`` of all cgroups together, and of those where it is not 0."""

STEP = (
    "do not change tcp_mem, it does not help here; raise memory.max or memory.high of this cgroup or of one above it "
    "(MemoryMax= of a unit, the memory limit of a container), or find what fills its memory"
)


def read(directory: str | None, state_dir: str | None, now: Clock) -> Starved | None:
    """What is known of the last hour, from the cgroups at ``directory``; remembers it in ``state_dir``, None for nowhere.

    None where this is not counted: before 6.19, without cgroup v2, or with None for ``directory``.
    """
    try:
        values = throttled.read(directory) if directory is not None else {}
    except Blind:
        values = {}
    if directory is None or not values:
        return None
    start = now.boottime - SECONDS
    try:
        watches = growth.watched(SECTION, values, state_dir, directory, now, start, throttled.ALL)
    except (Blind, OSError):
        # The reason is that of the counter, too, which names it.
        watches = growth.watched(SECTION, values, None, directory, now, start)
    whole = watches.pop(throttled.ALL)
    spans = abort_growth.within(whole, start)
    grown = sum(span.count for span in spans)
    minutes = max(1, math.ceil((now.boottime - spans[0].start) / 60)) if spans else 0
    rises = {path: sum(span.count for span in abort_growth.within(watch, start)) for path, watch in watches.items()}
    where = max(rises, key=lambda path: rises[path], default="")
    most = min(rises.get(where, 0), grown)
    known = whole.since < now.boottime
    return Starved(values[throttled.ALL], grown, minutes, known, names.name(where) if most else "", most)


def text(found: Starved | None) -> str:
    """What was slowed within the window; empty if nothing is known to have been."""
    if found is None or not found.grown:
        return ""
    place = f", {found.most} of them in cgroup {found.where}" if found.where else ""
    return (
        f"cgroups slowed down their sockets {wording.count(found.grown, 'time')} within {found.minutes} min, for lack of "
        f"memory in the cgroup (sock_throttled){place}"
    )


def sentence(found: Starved | None) -> str:
    """The line of ``-v``; empty on a host where nothing was ever slowed down."""
    if found is None or not found.value:
        return ""
    if found.grown:
        return f"{text(found)}: their memory limit does that, not tcp_mem"
    if found.known:
        return f"sock_throttled of all cgroups is {found.value}, as it was at the last run with -v"
    return f"sock_throttled of all cgroups is {found.value}: the next run with -v sees whether it rises"
