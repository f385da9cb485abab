"""Which sources of kernel messages to ask: the ring, the journal and files, and what they say together.

``look`` asks the sources in the order of their rank (kmsg cannot be forged, a file with all facilities can) until what
they prove together is complete. Every source that was asked contributes; a line of a file counts only where no ring
and no journal has seen the same time.
"""

from __future__ import annotations

import functools

from tcp_headroom import namedtuple, wording
from tcp_headroom.blind import Blind
from tcp_headroom.log import proof
from tcp_headroom.log.views import AND, DEVICE, View, believed, union
from tcp_headroom.proc.reading import Missing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tcp_headroom.log.views import Window
    from tcp_headroom.proc.clock import Clock


class Request:
    """What the user asked for."""

    def __init__(
        self,
        source: str,
        kmsg: str,
        journal: Sequence[str],
        files: Sequence[str],
        host: str | None,
        silence: float = 0.0,
        patience: float = 4.0,
    ) -> None:
        self.source = source
        """``auto``, ``kmsg``, ``journal`` or ``file``."""
        self.kmsg = kmsg
        """Path of the ring or of a capture."""
        self.journal = journal
        """Options of journalctl that name a journal; none for that of this host."""
        self.files = files
        """Log files, all of which are read; none for the usual ones, of which the first that is complete will do."""
        self.host = host
        """In files, count only lines of this host."""
        self.silence = silence
        """How long, in seconds, another host may be quiet."""
        self.patience = patience
        """Seconds to wait for journalctl."""

    @property
    def local(self) -> bool:
        """Whether the log is this host's own: nothing was named that may be another's."""
        return self.kmsg == DEVICE and not (self.journal or self.files or self.host)

    @property
    def option(self) -> str:
        """The option that named the source; empty for the usual ones."""
        if self.journal:
            return "--journal-file" if self.journal[0].startswith("--file=") else "--journal-dir"
        if self.files:
            return "--file"
        return "" if self.kmsg == DEVICE else "--kmsg"

    @property
    def key(self) -> str:
        """The same for the same request."""
        return repr((self.source, self.kmsg, self.journal, self.files, self.host))


class Known(namedtuple("Known", "sights before_boot", defaults=[frozenset(), True])):
    """What earlier runs of this boot have found out, so that it need not be asked again."""

    __slots__ = ()
    sights: frozenset[str]
    """Sources in which a hit would show."""
    before_boot: bool
    """Whether the time before the boot was looked for already, or cannot be remembered."""


class Look:
    """What the sources show together, and why others do not."""

    def __init__(self, view: View, refused: list[str], sights: frozenset[str], before_boot: bool, own: bool) -> None:
        self.view = view
        self.refused = refused
        """One sentence for each source that shows nothing."""
        self.sights = sights
        self.before_boot = before_boot
        """As in ``Known``, after this look."""
        self.own = own
        """Whether the log is this host's own, as far as paths and lines tell."""


def look(request: Request, clock: Clock, window: Window, reach: Window, known: Known | None = None) -> Look:
    """What is to be believed about ``window``, with what it shows of ``reach``, which may begin earlier.

    Raises ``Blind`` if no source shows anything; its first argument is the reason
    for the status line, its second a list of all.
    """
    known = known or Known()
    views: list[View] = []
    refused: list[str] = []
    reasons: list[Blind] = []
    proven: proof.Proof | None = None
    before_boot, further = known.before_boot, False
    for source in _sources(request, clock, reach, known):
        try:
            view = source()
        except Blind as reason:
            reasons.append(reason)
            refused.append(str(reason))
            continue
        if not (view.proof.spans or view.events or view.proof.doubts):
            lack = view.proof.lacks[0] if view.proof.lacks else Blind(f"{view.source} shows nothing")
            reasons.append(lack)
            refused.append(str(lack))
            continue
        view = _fed(view, views, clock)
        views.append(view)
        proven = proof.both(proven, view.proof) if proven else view.proof
        if further:
            break
        # Who names several files means all of them.
        if proof.complete(proven, window) and not request.files:
            boot = proof.start(proven, window) > window.start
            if not boot or before_boot:
                break
            further = True
    if not views or proven is None:
        # That a host has no kern.log is nothing wrong; what its syslog lacks is.
        first = next((reason for reason in reasons if not isinstance(reason, Missing)), reasons[0])
        raise Blind(first.reason, refused, remedy=first.remedy)
    sights = known.sights | {view.source for view in views if view.sighted}
    whole = _together(views, proven)
    return Look(whole, refused, sights, before_boot or further, request.local or any(view.kernel for view in views))


def _sources(request: Request, clock: Clock, window: Window, known: Known) -> Iterator[Callable[[], View]]:
    # Each module is imported only when its turn comes: mostly the first is enough.
    if request.source in ("auto", "kmsg"):
        from tcp_headroom.log import kmsg

        yield functools.partial(kmsg.view, request.kmsg, clock, window)
    if request.source in ("auto", "journal"):
        from tcp_headroom.log import journal

        sighted = journal.NAME in known.sights
        yield functools.partial(
            journal.view, clock, window, request.journal, sighted, request.silence, request.patience
        )
    if request.source in ("auto", "file"):
        from tcp_headroom.log import files

        usual = files.DEFAULTS
        for path in request.files or usual:
            yield functools.partial(
                files.view, path, clock, window, request.host, path in usual, path in known.sights, request.silence
            )


def _fed(view: View, views: list[View], clock: Clock) -> View:
    """``view``, which ends with its newest kernel record if another source shows that it is no longer fed."""
    if view.kernel is None:
        return view
    from tcp_headroom.log import writer

    for other in views:
        words = writer.missing(other.records(view.kernel), view.kernel, clock.now) if other.records else set()
        if words:
            end = view.kernel
            spans = [(first, min(until, end)) for first, until in view.proof.spans if first <= end]
            said = ", ".join(wording.clean(word, 20) for word in sorted(words)[:3])
            lack = Blind(
                f"{view.shown} lacks kernel messages that {other.shown} has, about {said}",
                remedy="check syslog",
            )
            return view._replace(proof=view.proof._replace(spans=spans, lacks=(lack, *view.proof.lacks)))
    return view


def _together(views: list[View], proven: proof.Proof) -> View:
    """One view of all."""
    if len(views) == 1:
        return views[0]
    events = believed(union(*(view.events for view in views)), proven.firm)
    shown = [view for view in views if view.proof.spans or any(event in events for event in view.events)] or views
    notes = [f"{view.shown}: {note}" for view in views for note in view.notes]
    evidence = tuple(f"{view.shown}: {text}" for view in views for text in view.proof.evidence)
    source = AND.join(view.source for view in shown)
    return View(source, events, proven._replace(evidence=evidence), notes)
