"""Which source of kernel messages to believe: the ring, the journal or a file.

``look`` asks the sources in the order of their rank (kmsg cannot be forged, a
file with all facilities can) and takes the first that shows the whole window,
else the one that shows most. A source that is readable but would not show a hit
is refused like one that cannot be read.
"""

from __future__ import annotations

import functools

from tcp_headroom.blind import Blind
from tcp_headroom.log.views import View, coverage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tcp_headroom.log.views import Window
    from tcp_headroom.proc.clock import Clock

DEVICE = "/dev/kmsg"
"""The kernel's ring."""

BOOT_TIME = 300.0
"""Within so many seconds after the boot a log daemon has taken in the ring since the boot."""


class Request:
    """What the user asked for."""

    def __init__(self, source: str, kmsg: str, journal: Sequence[str], files: Sequence[str], host: str | None) -> None:
        self.source = source
        """``auto``, ``kmsg``, ``journal`` or ``file``."""
        self.kmsg = kmsg
        """Path of the ring or of a capture."""
        self.journal = journal
        """Options of journalctl that name a journal; none for that of this host."""
        self.files = files
        """Log files, alternatives in this order; none for the usual ones."""
        self.host = host
        """In files, count only lines of this host."""

    @property
    def local(self) -> bool:
        """Whether the log is this host's own: nothing was named that may be another's."""
        return self.kmsg == DEVICE and not (self.journal or self.files or self.host)

    @property
    def key(self) -> str:
        """The same for the same request."""
        return repr((self.source, self.kmsg, self.journal, self.files, self.host))


class Look:
    """The view chosen, and why others were not."""

    def __init__(self, view: View, refused: list[str]) -> None:
        self.view = view
        self.refused = refused
        """One sentence for each source passed over."""


def look(request: Request, clock: Clock, window: Window, reach: Window) -> Look:
    """The view to believe about ``window``, with what it shows of ``reach``, which may begin earlier.

    Raises ``Blind`` if no source can be believed; its first argument is the reason
    for the status line, its second a list of all.
    """
    best: View | None = None
    refused: list[str] = []
    first: Blind | None = None
    for source in _sources(request, clock, reach):
        try:
            view = source()
        except Blind as reason:
            first = first or reason
            refused.append(str(reason))
            continue
        if best is None or view.since < best.since - BOOT_TIME:
            best, view = view, best or view
        if view is not best:
            refused.append(f"{view.source} shows {coverage(view, window):.0f} % of that time")
        if best.since <= window.start:
            break
    if best is None:
        assert first
        raise Blind(first.reason, refused, remedy=first.remedy)
    return Look(best, refused)


def _sources(request: Request, clock: Clock, window: Window) -> Iterator[Callable[[], View]]:
    # Each module is imported only when its turn comes: mostly the first is enough.
    if request.source in ("auto", "kmsg"):
        from tcp_headroom.log import kmsg

        yield functools.partial(kmsg.view, request.kmsg, clock, window)
    if request.source in ("auto", "journal"):
        from tcp_headroom.log import journal

        yield lambda: _from_boot(journal.view(clock, window, request.journal), clock, not request.journal)
    if request.source in ("auto", "file"):
        from tcp_headroom.log import files

        for path in request.files or files.DEFAULTS:
            view = functools.partial(files.view, path, clock, window, request.host)
            yield functools.partial(lambda view: _from_boot(view(), clock, not request.files), view)


def _from_boot(view: View, clock: Clock, local: bool) -> View:
    """Mark a view of this host's own log that begins with its boot."""
    return view._replace(from_boot=local and clock.booted - BOOT_TIME <= view.since <= clock.booted + BOOT_TIME)
