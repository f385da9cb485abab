"""What a source of kernel messages saw: events, and since when it saw everything.

The typed value that ``kmsg``, ``journal`` and ``files`` hand to
``choice``. Times are seconds since the epoch.
"""

from __future__ import annotations

from collections import namedtuple

from tcp_headroom.log import messages

SUPPRESSED = "suppressed"
"""In the place of a cause: the rate limiter's line, whose count is its N."""

KERNEL_STAMP = "k/"
"""How the key of an event begins that is known by boot and printk stamp, in the ring and in the journal alike."""

SLACK = 3600.0
"""How far, in seconds, lines may run backwards (a clock step, two writers) without being lost."""


class Window:
    """The lookback window; both edges belong to it."""

    def __init__(self, start: float, now: float) -> None:
        self.start = start
        self.now = now


class Event(namedtuple("Event", "when cause count key")):
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


class View(
    namedtuple("View", "source events since notes kernel_stamps from_boot until", defaults=[False, False, None])
):
    """What one source saw."""

    __slots__ = ()
    source: str
    """Its name for the status line."""
    events: list[Event]
    since: float
    """From here on it has seen everything; may lie before the window."""
    notes: list[str]
    """What ``-v`` should say of it."""
    kernel_stamps: bool
    """Whether its events are known by ``KERNEL_STAMP``."""
    from_boot: bool
    """Whether ``since`` is a boot, so that there was nothing to see for some time before it."""
    until: float | None
    """Up to when it has seen everything, None for the present: a copy knows nothing of what came after it."""


def coverage(view: View, window: Window) -> float:
    """How much of ``window`` the view shows, in percent; before a boot inside it there was nothing to see."""
    start = window.start if view.from_boot else max(view.since, window.start)
    end = window.now if view.until is None else min(view.until, window.now)
    return float(max(0.0, 100 * (end - start) / (window.now - window.start)))


def classify(message: str) -> tuple[str, int] | None:
    """Cause and count of a kernel message, None if it is none of the two."""
    cause = messages.cause(message)
    if cause:
        return cause, 1
    suppressed = messages.suppressed(message)
    return None if suppressed is None else (SUPPRESSED, suppressed)


def union(*lists: list[Event]) -> list[Event]:
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
