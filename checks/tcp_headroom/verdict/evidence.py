"""The evidence of all three checks as values: what a verdict is judged by.

A value that is unknown is a ``Blind`` in its place, which says why.
"""

from __future__ import annotations

from tcp_headroom import namedtuple
from tcp_headroom.proc.sockstat6 import Unlisted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tcp_headroom.blind import Blind
    from tcp_headroom.limits.raising import Raise
    from tcp_headroom.limits.tcp_mem import TcpMem

LOOKBACK, SECONDS = "1h", 3600
"""How far back the usage checks look: as ``check_tcp_kernel_log`` does by default, whose memory this then is."""


class Log(namedtuple("Log", "orphans memory unclear suppressed gap", defaults=[0, 0, 0, 0, ""])):
    """Messages of the kernel within the window."""

    __slots__ = ()
    orphans: int
    memory: int
    unclear: int
    """Messages by the cause they name; each a lower bound."""
    suppressed: int
    """What the rate limiter says it suppressed, of any network code."""
    gap: str
    """Why the log does not show all of the window; empty if it does."""

    @property
    def hits(self) -> int:
        return self.orphans + self.memory + self.unclear


class Counter(namedtuple("Counter", "value grown minutes gap", defaults=[0, 0, 0, ""])):
    """TCPAbortOnMemory, of one network namespace."""

    __slots__ = ()
    value: int
    """Resets since the namespace began."""
    grown: int
    """Those that may lie within the window."""
    minutes: int
    """Within so many minutes they happened; 0 without any."""
    gap: str
    """Why nothing is known of a part of the window; empty if it was watched."""


class Grant(namedtuple("Grant", "uid resource held barrier failcnt grown minutes watched", defaults=[0, 0, False])):
    """What OpenVZ grants a container, and whether it was refused more."""

    __slots__ = ()
    uid: str
    resource: str
    held: int
    barrier: int
    failcnt: int
    """Refusals since the container started."""
    grown: int
    """Those that may lie within the window."""
    minutes: int
    """Within so many minutes they happened."""
    watched: bool
    """Whether the whole window was watched."""

    @property
    def full(self) -> bool:
        """Whether as much is held as granted."""
        return bool(self.held >= self.barrier)


class Starved(namedtuple("Starved", "value grown minutes known where most", defaults=["", 0])):
    """How often cgroups slowed down their sockets, at memory limits of their own."""

    __slots__ = ()
    value: int
    """Since they began."""
    grown: int
    """Of that within the window."""
    minutes: int
    """Within so many minutes it happened."""
    known: bool
    """Whether there was an earlier look."""
    where: str
    """Name of the cgroup with most of it, fit to print; empty if unknown."""
    most: int
    """How often there."""


class Evidence(
    namedtuple(
        "Evidence",
        "orphans limit pages levels under_pressure log counter grants window alarm own memory raising bypass unlisted starved noun",
        defaults=[None, LOOKBACK, False, False, None, None, False, Unlisted(), None, "memory"],
    )
):
    """All there is to judge by. A ``Blind`` in the place of a value says why it is unknown."""

    __slots__ = ()
    orphans: int | Blind
    limit: int | Blind
    pages: float | Blind
    """TCP memory in pages of PAGE_SIZE, as ``levels``, not rounded."""
    levels: TcpMem | Blind
    under_pressure: bool | Blind
    log: Log
    counter: Counter
    grants: list[Grant] | Blind | None
    """None on every host but those of OpenVZ."""
    window: str
    """Length of the window as it was asked for, ``1h``."""
    alarm: bool
    """Whether the check that asks is WARNING or CRITICAL."""
    own: bool
    """Whether the orphans are those of one container of OpenVZ, which tcp_max_orphans is compared with unshifted."""
    memory: int | None
    """Pages of memory that network buffers can come from; None where that is not known, or not to be judged."""
    raising: Raise | None
    """What ``levels`` may be set to; None where the memory is not known."""
    bypass: bool
    """Whether sockets made in this network namespace are not counted in ``pages``."""
    unlisted: Unlisted
    """Sockets that are in no list of this network namespace."""
    starved: Starved | None
    """None where cgroups do not count it."""
    noun: str
    """What ``memory`` is, in words."""

    @property
    def memory_share(self) -> float | None:
        """Percent of the memory that TCP holds."""
        return 100 * self.pages / self.memory if self.memory and isinstance(self.pages, (int, float)) else None

    @property
    def below_min(self) -> bool:
        """Whether usage is so small that the pressure phase, if there was one, has ended."""
        return (
            isinstance(self.pages, (int, float))
            and isinstance(self.levels, tuple)
            and bool(self.pages < self.levels.min)
        )


class Past(namedtuple("Past", "window log counter")):
    """What ``check_tcp_kernel_log`` knows of its own window."""

    __slots__ = ()
    window: str
    log: Log
    counter: Counter
