"""What both limits may be raised to if TCP needs more, and whether the memory for it is there.

tcp_mem: twice the maximum there is, and at most a quarter of the memory: TCP memory cannot be
swapped out, and what is above that is no limit that comes before the OOM killer. tcp_max_orphans: four times the
orphans of now, if that many take at most a quarter, too.
"""

from __future__ import annotations

from tcp_headroom import namedtuple, wording
from tcp_headroom.blind import Blind
from tcp_headroom.limits import kernel_defaults, mem_unit, memory_at_boot, tcp_max_orphans, tcp_mem
from tcp_headroom.limits.tcp_mem import TcpMem
from tcp_headroom.proc import meminfo, protocols, sockstat

SHARE = 4
"""The maximum that is recommended is one of so many parts of the memory at most."""


class Raise(namedtuple("Raise", "levels text lower", defaults=[False])):
    """Levels to set, and what is to be said of them."""

    __slots__ = ()
    levels: TcpMem | None
    """None where no more is recommended."""
    text: str
    lower: bool
    """Whether they are lower than those of now, which are above all memory."""

    @property
    def command(self) -> str:
        """What to type; empty where no more is recommended."""
        return f'sysctl -w net.ipv4.tcp_mem="{" ".join(map(str, self.levels))}"' if self.levels else ""


def read(root: str, levels: TcpMem, page: int) -> Raise | None:
    """What ``levels`` may be raised to on the machine whose /proc is ``root``; None where its memory is not known."""
    try:
        memory = meminfo.read(root)
    except Blind:
        return None
    if meminfo.foreign(root) or levels.max < 1:
        return None
    try:
        pressure: bool | None = protocols.read(root)
    except Blind:
        pressure = None
    try:
        used: float | None = mem_unit.held(root, sockstat.read(root).mem, page, levels, pressure)
    except Blind:
        used = None
    most, noun = memory_at_boot.usable(root, page, memory)
    return of(levels, page, most, memory.available, used, noun)


def of(
    levels: TcpMem, page: int, memory: int, available: int | None, used: float | None, noun: str = "memory"
) -> Raise:
    """``levels`` are in pages of ``page`` bytes, and so is ``used``, what TCP holds now; the rest is in bytes.

    ``available`` and ``used`` are None where they are not known; ``noun``: what the memory is.
    """
    most = memory // SHARE // page
    if levels.max * page > memory:
        below = kernel_defaults.levels_below(most)
        share = wording.percent(100 * levels.max * page / memory)
        return Raise(
            below, f"at most {wording.size(most * page)}, a quarter of the {noun}; now {share} are allowed", True
        )
    if levels.max >= most:
        share = wording.percent(100 * levels.max * page / memory)
        return Raise(None, f"tcp_mem already allows {share} of the {noun}; more than a quarter is not recommended")
    raised = kernel_defaults.levels_below(min(2 * max(1, levels.max), most))
    why = f"a quarter of the {noun}" if raised.max == most else "twice the maximum of now"
    text = f"at most {wording.size(raised.max * page)}, {why}"
    if available is not None and used is not None:
        more = int(max(0, raised.max - used) * page)
        there = "it is there" if more <= available else "it is not there: free memory first"
        text += f"; needs {wording.size(more)} more than TCP holds, {wording.size(available)} are available: {there}"
    return Raise(raised, text)


def line(found: Raise) -> str:
    """The further line of ``-v``."""
    if not found.levels:
        return found.text
    if found.lower:
        return f"once TCP holds less than that: {found.command} ({found.text})"
    return f"if TCP needs more: {found.command} ({found.text})"


def step(found: Raise | None) -> str:
    """A next step, with what to type where that is known."""
    if not found or not found.levels:
        return "if memory allows, raise net.ipv4.tcp_mem"
    if found.lower:
        return f"then lower net.ipv4.tcp_mem: {found.command}"
    return f"if memory allows, raise net.ipv4.tcp_mem: {found.command}"


def orphans(root: str, number: int, place: str) -> str:
    """The line on the limit that ``number`` orphans need; no command where they may take more memory than is good.

    It is no less than the kernel's default: a limit that is too low keeps their number low. ``place``: where the
    command has to be typed, if that is not the machine whose /proc is ``root``.
    """
    limit = tcp_max_orphans.enough(number)
    what, how = "to stay below every line with so many", "4 times, rounded up"
    usual = None if place or meminfo.foreign(root) else kernel_defaults.read(root).orphans
    if usual and usual > limit:
        limit, how = usual, "the kernel's default"
    command = f"{what}: {place}sysctl -w net.ipv4.tcp_max_orphans={limit} ({how})"
    if place:
        return f"{command}, if its memory allows"
    try:
        memory = None if meminfo.foreign(root) else meminfo.read(root)
    except Blind:
        memory = None
    cost = limit * tcp_max_orphans.COST
    most, noun = memory_at_boot.usable(root, tcp_mem.page_size(), memory) if memory else (0, "")
    if memory is None or cost <= most // SHARE:
        return command
    return (
        f"{what}, the limit would have to be {limit}, but so many may take {wording.size(cost)}, their data not counted, and "
        f"there are {wording.size(most)} of {noun}: find the service that makes them"
    )
