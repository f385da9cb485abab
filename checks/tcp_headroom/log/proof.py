"""What a source of kernel messages proves about a window: the one value that decides between OK and UNKNOWN.

Every source answers five questions, and says in ``evidence`` how:

1. Whose? A line counts if its form is one in which a known system writes the kernel's lines (``formats``), and if
   it is of the host asked for. A text of the family in a form that is neither the kernel's nor another program's
   is a doubt.
2. Would a hit show? A kernel record of level info or lower must be there, of the present boot where the log is this
   host's own; a hit proves it by itself. Who knows that from an earlier run need not look again.
3. From when? A span begins with the oldest line that is connected with what follows: rotated parts with
   neighbouring names are, a missing part is a hole. One stamp that is strange against its neighbours proves nothing.
4. Until when? A span ends with the last sign of life of its writer. A ring and a journal that is being written end now.
5. In which clock? Stamps of another time zone are shifted by what the file's own time says. A hit of the future
   that no neighbour dates is a doubt.

From that follows ``coverage``: how much of the window lies inside the spans. OK needs a share of it, and no doubt.
Before the boot there is nothing to see for a user who can read nothing older (``boot``): the window begins there.

Times are seconds since the epoch.
"""

from __future__ import annotations

from tcp_headroom import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from tcp_headroom.blind import Blind

    Span = tuple[float, float]

FUTURE = 300.0
"""A stamp so many seconds ahead of now is wrong; less is a sender whose clock is ahead."""
FRESH = 300.0
"""A log that is complete up to so many seconds before now needs no further source: daemons write in turns."""


class Window:
    """The lookback window; both edges belong to it."""

    def __init__(self, start: float, now: float) -> None:
        self.start = start
        self.now = now


class Proof(namedtuple("Proof", "spans firm boot doubts lacks evidence", defaults=[(), None, (), (), ()])):
    """What a source, or several together, prove."""

    __slots__ = ()
    spans: list[Span]
    """The times of which everything was seen, in order, none touching another."""
    firm: list[Span]
    """Those of them that were seen in a ring or a journal, which no program can forge."""
    boot: float | None
    """When this host was booted, if nothing older can be read."""
    doubts: tuple[str, ...]
    """What contradicts: with one of these the result is no OK, however much was seen."""
    lacks: tuple[Blind, ...]
    """What is not proven, each with its remedy."""
    evidence: tuple[str, ...]
    """How the five questions were answered, for ``-v``."""

    @property
    def since(self) -> float | None:
        """From when everything up to the end of the newest span was seen; None if nothing was."""
        return self.spans[-1][0] if self.spans else None

    @property
    def until(self) -> float | None:
        """Up to when anything was seen."""
        return self.spans[-1][1] if self.spans else None


def start(proof: Proof, window: Window) -> float:
    """Where the part of ``window`` begins in which there was anything to see."""
    if proof.boot is None or proof.boot <= window.start:
        return window.start
    # What can be read from before the boot may reach back all the same.
    if any(first <= window.start and end >= proof.boot for first, end in proof.spans):
        return window.start
    return min(proof.boot, window.now)


def coverage(proof: Proof, window: Window) -> float:
    """How much of ``window`` was seen, in percent."""
    begin = start(proof, window)
    if window.now <= begin:
        return 100.0 if proof.spans else 0.0
    seen = sum(max(0.0, min(end, window.now) - max(first, begin)) for first, end in proof.spans)
    return min(100.0, 100 * seen / (window.now - begin))


def complete(proof: Proof, window: Window) -> bool:
    """Whether no further source can add: all is seen in one piece up to minutes before now."""
    begin = start(proof, window)
    end = max(begin, window.now - FRESH)
    return bool(proof.spans) and proof.spans[-1][0] <= begin and proof.spans[-1][1] >= end


def joined(spans: Iterable[Span]) -> list[Span]:
    """The spans in order, those that touch made one."""
    made: list[Span] = []
    for first, end in sorted(span for span in spans if span[1] >= span[0]):
        if made and first <= made[-1][1]:
            made[-1] = (made[-1][0], max(made[-1][1], end))
        else:
            made.append((first, end))
    return made


def both(one: Proof, other: Proof) -> Proof:
    """What two sources prove together."""
    return Proof(
        joined([*one.spans, *other.spans]),
        joined([*one.firm, *other.firm]),
        one.boot if other.boot is None else other.boot,
        (*one.doubts, *(doubt for doubt in other.doubts if doubt not in one.doubts)),
        (*one.lacks, *other.lacks),
        (*one.evidence, *other.evidence),
    )


def inside(when: float, spans: Iterable[Span]) -> bool:
    """Whether a line stamped ``when``, in whole seconds and late by at most one, lies inside one of the spans."""
    return any(first - 1 < when <= end + 1 for first, end in spans)
