"""What a source of kernel messages saw: events, and the proof that it saw everything.

The typed value that ``kmsg``, ``journal`` and ``files`` hand to ``choice``. Times are seconds since the epoch.
"""

from __future__ import annotations

from tcp_headroom import namedtuple, wording
from tcp_headroom.log import messages
from tcp_headroom.log.proof import Proof, inside
from tcp_headroom.log.proof import Window as Window

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tcp_headroom.log.proof import Span

DEVICE = "/dev/kmsg"
"""The kernel's ring."""

SUPPRESSED = "suppressed"
"""In the place of a cause: the rate limiter's line, whose count is its N."""

KERNEL_STAMP = "k/"
"""How the key of an event begins that is known by boot and printk stamp, in the ring and in the journal alike."""


class Event(namedtuple("Event", "when cause count key container", defaults=[""])):
    """One message of the family, or one line of the rate limiter."""

    __slots__ = ()
    when: float
    cause: str
    """A cause of ``messages``, or ``SUPPRESSED``."""
    count: int
    """How many messages it stands for: more than 1 where a log compresses repetitions."""
    key: str
    """The same for the same message whenever and through whichever file it is read.

    Messages that nothing tells apart share one; see ``union``.
    """
    container: str
    """The container of OpenVZ that the message names, and how many orphans it had; empty for none."""

    @property
    def firm(self) -> bool:
        """Whether it was read where no program can forge it."""
        return str(self.key).startswith(KERNEL_STAMP)


AND = " and "
"""Between the names of sources that were read together."""


class View(namedtuple("View", "source events proof notes records sighted kernel", defaults=[(), None, False, None])):
    """What one source saw."""

    __slots__ = ()
    source: str
    """Its name, or those of several."""
    events: list[Event]
    proof: Proof
    notes: list[str]
    """What ``-v`` should say of it beside the evidence."""
    records: Callable[[float], list[tuple[float, str]]] | None
    """The kernel's records of level info or graver since a moment, by time and text, where that can be told."""
    sighted: bool
    """Whether a kernel record was met that shows that a hit would."""
    kernel: float | None
    """The time of its newest kernel record, where that tells whether it is still fed."""

    @property
    def shown(self) -> str:
        """The name as it is printed."""
        return AND.join(map(wording.path, self.source.split(AND)))


def classify(message: str) -> tuple[str, int] | None:
    """Cause and count of a kernel message, None if it is none of the two."""
    cause = messages.cause(message)
    if cause:
        return cause, 1
    suppressed = messages.suppressed(message)
    return None if suppressed is None else (SUPPRESSED, suppressed)


def union(*lists: Iterable[Event]) -> list[Event]:
    """Every message of several readings of one log, once.

    Within a reading all events are different messages, so those of one key and
    cause add up; between readings they are the same, so the larger sum counts, and
    the earlier time: what a clock does later (suspend, the hour that the end of
    daylight saving time repeats) makes a message look too young.
    """
    merged: dict[tuple[str, str], Event] = {}
    for events in lists:
        sums: dict[tuple[str, str], Event] = {}
        for event in events:
            name = (event.key, event.cause)
            sums[name] = event._replace(count=event.count + sums[name].count) if name in sums else event
        for name, event in sums.items():
            known = merged.get(name, event)
            merged[name] = event._replace(when=min(event.when, known.when), count=max(event.count, known.count))
    return list(merged.values())


def believed(events: Iterable[Event], firm: Iterable[Span]) -> list[Event]:
    """``events`` without those lines of files that a ring or a journal, which saw the same time, shows itself."""
    firm = list(firm)
    return [event for event in events if event.firm or not inside(event.when, firm)]
