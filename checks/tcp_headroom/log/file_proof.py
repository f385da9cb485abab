"""What the files of one log have said, and what that proves.

The five questions of ``proof``, answered for a log file and its rotated parts.
"""

from __future__ import annotations

import time

from tcp_headroom import wording
from tcp_headroom.blind import Blind
from tcp_headroom.log import proof, samples, writer
from tcp_headroom.log.proof import Proof
from tcp_headroom.log.scan import Found, Scan
from tcp_headroom.log.views import Event, View, union

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os

    from tcp_headroom.log.losses import Loss
    from tcp_headroom.log.samples import Wanted
    from tcp_headroom.proc.clock import Clock

SEARCHED = 64 << 20
"""How far back, in bytes, a kernel record is looked for where the window has none."""
TWINS = 2.0
"""How many seconds the stamps of two writers of one message lie apart."""
STARTED = 600.0
"""How many seconds after the boot a log daemon takes in the ring, at most."""


class Reading:
    """What the files of one log have said so far."""

    def __init__(self, path: str, clock: Clock, wanted: Wanted, sighted: bool) -> None:
        self.path = path
        self.clock = clock
        self.wanted = wanted
        self.scan = Scan()
        self.sighted = sighted
        """Whether an earlier run has seen that a hit would show."""
        self.found: list[list[Found]] = [[]]
        """By copies: what stands in one file once, however often that was copied."""
        self.heads: list[bytes] = []
        """How each file read begins."""
        self.since: float | None = None
        """From when on the lines are connected with the newest."""
        self.reached = False
        """Whether lines from before the window were met."""
        self.broken: Blind | None = None
        """Why nothing older is connected; None as long as it is."""
        self.pace: float | None = None
        """The longest time between lines at that place; None where there are too few to tell."""
        self.due: float | None = None
        """When the part being read should have been followed by another."""
        self.boots = False
        """Whether the oldest line that is connected is the kernel's first of a boot."""
        self.forbidden = False
        """Whether the next older part is there, but not for this user."""
        self.undated = False
        """Whether nobody knows in which time zone its stamps are."""
        self.searched = 0
        self.notes: list[str] = []

    @property
    def done(self) -> bool:
        """Whether nothing older can add to what is known."""
        seen = self.sighted or self.scan.sight is not None or self.searched > SEARCHED
        return self.reached and (seen or self.scan.silent_since_boot(self.wanted))

    @property
    def limit(self) -> float:
        """What is older than this is older than the window, even if lines run backwards."""
        return float(self.wanted.window.start - samples.DISORDER)


def concluded(path: str, status: os.stat_result | None, local: bool, silence: float, reading: Reading) -> View:
    """The view that the reading amounts to."""
    shown, window, state = wording.path(path), reading.wanted.window, reading.scan
    evidence: list[str] = []
    lacks: list[Blind] = []
    since, until = reading.since, state.newest
    if not (reading.sighted or state.sight):
        lacks.append(_sightless(shown, reading, local))
    else:
        evidence.append(_sight(reading, local))
    boot = None
    if local and reading.boots and not reading.reached and (reading.forbidden or not reading.broken):
        # Its first line is the kernel's first, taken from the ring when the daemon was started.
        if since is not None and -1 <= since - reading.clock.booted <= STARTED:
            since = boot = reading.clock.booted
    if until is not None and until < window.now - proof.FRESH:
        if local:
            alive = writer.beside(path, reading.wanted, state.kernel)
            if alive and alive[0] > until:
                until = alive[0]
                evidence.append(f"its daemon still writes {wording.path(alive[1])}")
            if until < window.now - proof.FRESH and status and writer.holds_open(status):
                until = window.now
                evidence.append("its daemon runs and has it open")
        elif silence:
            until = window.now if window.now - until <= silence else until
    until = None if until is None else min(until, window.now)
    if state.loss and since is not None and since < state.loss.until:
        since = state.loss.until
        lacks.append(_lossy(shown, state.loss))
        evidence.append(f"its daemon says: {state.loss.said}")
    if reading.broken and boot is None and not (since is not None and since <= window.start):
        lacks.append(reading.broken)
    if until is None or until < window.now - proof.FRESH:
        lacks.append(_quiet(shown, local, until, reading.wanted.name))
    spans = []
    seen = (reading.sighted or state.sight) and not reading.undated
    if not (since is None or until is None) and seen and since <= until:
        spans = [(since, until)]
    others = sorted(name for name in state.hosts if name != reading.wanted.name)
    notes = list(reading.notes)
    if others:
        notes.append("hosts seen: " + ", ".join(wording.clean(name, 60) for name in others[:10]))
    refused = sorted(name for name, accepted in state.hosts.items() if not accepted and not reading.wanted.name)
    if refused:
        notes.append("not counted, as of other hosts: " + ", ".join(wording.clean(name, 60) for name in refused[:10]))
    if state.talkers:
        notes.append("the same rate limit was used by: " + ", ".join(sorted(state.talkers)))
    proven = Proof(spans, [], boot, tuple(f"{shown}: {doubt}" for doubt in state.doubts), tuple(lacks), tuple(evidence))
    sighted = state.sight is not None and state.speaks
    return View(path, _events(reading), proven, notes, None, sighted, state.kernel if local else None)


def _sight(reading: Reading, local: bool) -> str:
    line = reading.scan.sight
    if line is None:
        return "an earlier run of this boot saw that kernel messages of level info are stored"
    if line.level is None:
        return "kernel messages are stored; the format has no level, so any of them serves as proof"
    return "kernel messages of level info are stored"


def _sightless(shown: str, reading: Reading, local: bool) -> Blind:
    if not reading.scan.speaks:
        name = wording.clean(reading.wanted.name, 60)
        remedy = "let syslog write kern.* there" if local else "name a log with lines of the kernel"
        if name and not local:
            remedy = "check --log-host, and the syslog of that host"
        of = f" of {name}" if name else ""
        return Blind(f"{shown} holds no kernel message{of}, so a hit would not show there", remedy=remedy)
    if local and reading.scan.kernel is not None and reading.scan.kernel < reading.clock.booted - 1:
        return Blind(f"{shown} has no kernel message since this host was booted", remedy="check syslog")
    return Blind(f"{shown} holds no kernel message of level info, which a hit has", remedy="check the filter of syslog")


def _lossy(shown: str, loss: Loss) -> Blind:
    until = time.strftime("%Y-%m-%d %H:%M", time.localtime(loss.until))
    return Blind(f"messages before {until} were lost, says {shown}", remedy=loss.remedy)


def _quiet(shown: str, local: bool, until: float | None, name: str) -> Blind:
    of = f" of {wording.clean(name, 60)}" if name else ""
    last = f"{shown} has no line{of} with a time"
    if until is not None:
        last = f"the last line{of} in {shown} is from {time.strftime('%Y-%m-%d %H:%M', time.localtime(until))}"
    if local:
        return Blind(f"{last}, and nothing shows that it is still written", remedy="check syslog")
    remedy = "let its syslog write marks (mark), or say with --silence how long it may be quiet"
    return Blind(last, remedy=remedy)


def _events(reading: Reading) -> list[Event]:
    """Every message once: copies of a file, and two writers that write every message."""
    return union(*(map(_event, _of_one_writer(found)) for found in reading.found))


def _event(found: Found) -> Event:
    return Event(found.when, found.cause, found.count, f"at/{found.digits}/{found.host}", found.container)


def _of_one_writer(found: list[Found]) -> list[Found]:
    """Without the messages that a second writer has written, too: one of the two knows printk's stamp, the other not."""
    stamped = [one for one in found if one.printk]
    if not stamped or len(stamped) == len(found):
        return found
    kept = list(stamped)
    free: dict[tuple[str, str], list[float]] = {}
    for one in stamped:
        free.setdefault((one.cause, one.host), []).append(one.when)
    for one in found:
        if one.printk:
            continue
        times = free.get((one.cause, one.host), [])
        twin = next((time for time in times if abs(time - one.when) <= TWINS), None)
        if twin is None:
            kept.append(one)
        else:
            times.remove(twin)
    return kept
