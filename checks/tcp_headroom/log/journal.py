"""The systemd journal, read through ``journalctl``, and what it proves.

Kernel records are matched by ``_TRANSPORT=kernel`` (not ``-k``, which means the
current boot only), read newest first, and judged by printk's own stamp: their
reception may lie long after it, since journald imports the whole ring when it
starts. One call does as a rule: the first record from before the window proves
that the journal reaches back over it, and ends the reading; so does the kernel's
first record of this boot in a journal that has none before it.
"""

from __future__ import annotations

import os
import re
import time

from tcp_headroom import wording
from tcp_headroom.blind import Blind
from tcp_headroom.log import journalctl, messages, writer
from tcp_headroom.log.proof import FRESH, Proof, joined
from tcp_headroom.log.views import KERNEL_STAMP, Event, View, classify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from tcp_headroom.log.views import Window
    from tcp_headroom.proc.clock import Clock

NAME = "the journal"
PROGRAMS = ("/usr/bin/journalctl", "/bin/journalctl")
FIELDS = "MESSAGE,MESSAGE_ID,PRIORITY,SYSLOG_FACILITY,SYSLOG_IDENTIFIER,_BOOT_ID,_SOURCE_MONOTONIC_TIMESTAMP"
MISSED = "e9bf28e6e834481bb6f48f548ad13606"
"""MESSAGE_ID of journald's own line "Missed N kernel messages"."""
DAEMON = "systemd-journal"
"""What the kernel calls journald: the first 15 characters of its name (``TASK_COMM_LEN``)."""
UNIT = "systemd-journald.service"
DISORDER = 3600.0
"""How far, in seconds, receptions may run backwards without a record being lost."""
SPOKEN = 300
"""How many of the newest kernel records are compared with another source."""

_BYTES = (b'"MESSAGE":[', b'"MESSAGE" : [')
"""How journalctl, new and old, writes a message that is not UTF-8: as an array of byte values."""
_NEEDLES = (*messages.NEEDLES, MISSED.encode(), *_BYTES)
_REALTIME = re.compile(rb'"__REALTIME_TIMESTAMP" ?: ?"([0-9]{1,20})"')
_INFO = re.compile(rb'"PRIORITY" ?: ?"[67]"')
_HARMLESS = ("is truncated", "ignoring", "corrupt", "Bad message", "No such file", "Failed to open", "not supported")
"""Complaints that are known: a file that they name was left out."""


class Reading:
    """What the records of one call say."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.missed: float | None = None
        """When journald last said that it missed records."""
        self.reached = False
        """Whether a record from before the window was met."""
        self.sight = False
        """Whether one of level info or lower was met."""
        self.own_sight = False
        """Whether one of those was of this host's present boot."""
        self.own = False
        """Whether any is of this host's present boot."""
        self.newest: float | None = None
        """When the newest of them was said."""
        self.oldest: dict[str, Any] = {}
        self.talkers: set[str] = set()
        self.notes: list[str] = []


def view(
    clock: Clock,
    window: Window,
    place: Sequence[str] = (),
    sighted: bool = False,
    silence: float = 0.0,
    patience: float = 60.0,
) -> View:
    """What the journal shows of ``window``.

    ``place``: further options of journalctl, ``--file=`` or ``--directory=``. ``sighted``: whether an earlier run of
    this boot saw that a hit would show. ``silence``: how long, in seconds, another host may be quiet. ``patience``:
    seconds for all calls. Raises ``Blind`` if it cannot be read.
    """
    deadline = time.monotonic() + patience
    reading = Reading()
    broken = 0.0
    for attempt in (1, 2):
        reading = Reading()
        call = _call([*place, "--reverse", "_TRANSPORT=kernel", "+", f"MESSAGE_ID={MISSED}"], deadline)
        _read(call, clock, window, reading)
        broken, again = _complaints(call, window, reading, attempt == 1)
        if not again:
            break
    local = not place or reading.own
    if not (sighted or (reading.own_sight if local else reading.sight)):
        reason = _sightless(place, clock.boot if local else "", deadline)
        if reason:
            return View(NAME, reading.events, Proof([], [], None, (), (reason,)), reading.notes)
    since, boot = window.start, None
    if not reading.reached:
        since, boot = _begins(place, clock, local, reading, deadline)
    since = max(since, reading.missed or since, broken or since)
    evidence = [
        "kernel messages of level info are stored" if reading.sight else "an earlier run saw that they are stored"
    ]
    until, lacks = _ends(place, clock, local, silence, reading, since, deadline)
    if reading.talkers:
        reading.notes.append("the same rate limit was used by: " + ", ".join(sorted(reading.talkers)))
    spans = joined([(since, until)])
    proven = Proof(spans, spans, boot, (), tuple(lacks), tuple(evidence))
    records = (lambda start: _spoken(place, clock, start, deadline)) if local else None
    return View(NAME, reading.events, proven, reading.notes, records, True, reading.newest if local else None)


def _call(arguments: Sequence[str], deadline: float) -> journalctl.Call:
    return journalctl.Call(PROGRAMS, FIELDS, arguments, deadline)


def _read(call: journalctl.Call, clock: Clock, window: Window, reading: Reading) -> None:
    oldest = b""
    own = clock.boot.encode()
    for block in call.blocks():
        for entry in _wanted(block):
            if entry.get("MESSAGE_ID") == MISSED:
                if reading.missed is None:
                    reading.missed = _number(entry, "__REALTIME_TIMESTAMP")
                    reading.notes.append(f"journald says: {wording.clean(_message(entry), 60)}")
                continue
            event = _event(entry, clock)
            if event and event.when >= window.start:
                reading.events.append(event)
        if any(event.cause not in messages.CAUSES for event in reading.events):
            reading.talkers |= {name for text, name in messages.TALKERS.items() if text in block}
        reading.own = reading.own or bool(own and own in block)
        if reading.newest is None:
            for entry in _parsed(block[: block.find(b"\n")]):
                reading.newest = _stamp(entry, clock)[1]
        reading.sight = reading.sight or bool(_INFO.search(block))
        if not reading.own_sight and reading.own:
            reading.own_sight = any(own in line for line in _info_lines(block))
        oldest = block[block.rfind(b"\n", 0, len(block) - 1) + 1 :]
        received_first = _REALTIME.search(oldest)
        if received_first and int(received_first[1]) / 1e6 < window.start - DISORDER:
            reading.reached = True
            break
    reading.oldest = next(_parsed(oldest), {})


def _info_lines(block: bytes) -> Iterator[bytes]:
    for match in _INFO.finditer(block):
        yield block[block.rfind(b"\n", 0, match.start()) + 1 : block.find(b"\n", match.end())]


def _complaints(call: journalctl.Call, window: Window, reading: Reading, first: bool) -> tuple[float, bool]:
    """Until when records may be missing, 0 for no time, and whether to read once more, by what journalctl complains."""
    broken = 0.0
    for complaint in call.complaints()[:20]:
        name = journalctl.named(complaint)
        known = name and any(text in complaint for text in _HARMLESS)
        shown = wording.clean(complaint, 120)
        if not known:
            reading.notes.append(f"journalctl says: {shown}")
            continue
        try:
            written = os.stat(name).st_mtime
        except OSError:
            # Renamed by a rotation during the call, after which all files can be read.
            if first:
                return 0.0, True
            written = window.now
        if written >= window.start - DISORDER:
            broken = max(broken, min(written, window.now))
            reading.notes.append(f"journalctl says: {shown}; records up to then may be missing")
        else:
            reading.notes.append(f"journalctl says: {shown}; the file is older than the window")
    return broken, False


def _begins(
    place: Sequence[str], clock: Clock, local: bool, reading: Reading, deadline: float
) -> tuple[float, float | None]:
    """Since when a journal that does not reach over the window shows all, and the boot, if it shows nothing older."""
    stamp, when = _stamp(reading.oldest, clock) if reading.oldest else (0.0, clock.now)
    first = stamp < 1 or _message(reading.oldest).startswith("Linux version ")
    if local and reading.oldest.get("_BOOT_ID") == clock.boot and first:
        # The ring of this boot from its beginning on, and no record of another boot before it.
        return clock.booted, clock.booted
    return min(_oldest(place, deadline), when), None


def _ends(
    place: Sequence[str], clock: Clock, local: bool, silence: float, reading: Reading, since: float, deadline: float
) -> tuple[float, list[Blind]]:
    """Until when the journal shows all, by the life of journald or by the newest entry, and what is to be said of it."""
    if local and (clock.now - (reading.newest or 0) <= FRESH or writer.runs(DAEMON, UNIT)):
        return clock.now, []
    newest = max(_newest(place, deadline), since)
    if clock.now - newest <= max(silence, FRESH if local else 0):
        return clock.now, []
    if newest >= clock.now - (FRESH if local else DISORDER):
        return newest, []
    last = f"the last entry of the journal is from {time.strftime('%Y-%m-%d %H:%M', time.localtime(newest))}"
    if local:
        return newest, [Blind(f"{last}, and journald is not seen to run", remedy="check systemd-journald")]
    return newest, [Blind(last, remedy="say with --silence how long it may be quiet")]


def _event(entry: dict[str, Any], clock: Clock) -> Event | None:
    # Whoever may write /dev/kmsg can choose the identifier, but not facility 0; journald of
    # old stores no facility for the kernel's own records.
    if entry.get("SYSLOG_IDENTIFIER") != "kernel" or entry.get("SYSLOG_FACILITY", "0") != "0":
        return None
    text = _message(entry)
    found = classify(text)
    if not found:
        return None
    stamp, when = _stamp(entry, clock)
    return Event(when, *found, f"{KERNEL_STAMP}{entry.get('_BOOT_ID')}/{stamp * 1e6:.0f}", messages.container(text))


def _stamp(entry: dict[str, Any], clock: Clock) -> tuple[float, float]:
    """printk's stamp in seconds since boot, and the time since the epoch that it means."""
    received, monotonic = _number(entry, "__REALTIME_TIMESTAMP"), _number(entry, "__MONOTONIC_TIMESTAMP")
    if "_SOURCE_MONOTONIC_TIMESTAMP" not in entry:
        return monotonic, received
    stamp = _number(entry, "_SOURCE_MONOTONIC_TIMESTAMP")
    if entry.get("_BOOT_ID") == clock.boot:
        # As for the ring: no step of the clock since can move it.
        return stamp, clock.of_uptime(stamp)
    return stamp, received - max(0.0, monotonic - stamp)


def _sightless(place: Sequence[str], boot: str, deadline: float) -> Blind | None:
    """Why a hit would not show; None if the journal has a kernel record of level info or debug, of ``boot`` if given."""
    of_boot = [f"_BOOT_ID={boot}"] if boot else []
    kernel = [*place, "--lines=1", "_TRANSPORT=kernel"]
    if any(_call([*kernel, *of_boot, "PRIORITY=6", "PRIORITY=7"], deadline).blocks()):
        return None
    if any(_call([*kernel, *of_boot], deadline).blocks()):
        return Blind(
            "the journal holds no kernel message of level info, which a hit has",
            remedy="check MaxLevelStore in journald.conf",
        )
    if boot and any(_call(kernel, deadline).blocks()):
        return Blind("the journal has no kernel message since this host was booted", remedy="check systemd-journald")
    if place:
        return Blind("the journal has no kernel message", remedy="check that --journal-dir or --journal-file is right")
    if os.geteuid() == 0:
        return Blind(
            "the journal has no kernel message", remedy="check systemd-journald, and ReadKMsg in journald.conf"
        )
    return Blind(
        "the journal shows this user no kernel message",
        remedy="add this user to group systemd-journal, or check ReadKMsg in journald.conf",
    )


def _oldest(place: Sequence[str], deadline: float) -> float:
    """When the first entry of the kernel or the system was received: a user's own may be much older."""
    return _first([*place, "_TRANSPORT=kernel", "+", "_UID=0", "+", "_TRANSPORT=driver"], deadline)


def _newest(place: Sequence[str], deadline: float) -> float:
    """When the last entry of any kind was received."""
    return _first([*place, "--lines=1"], deadline)


def _first(arguments: Sequence[str], deadline: float) -> float:
    for block in _call(arguments, deadline).blocks():
        first = _REALTIME.search(block)
        if first:
            return int(first[1]) / 1e6
    raise Blind("the journal holds no entry")


def _spoken(place: Sequence[str], clock: Clock, start: float, deadline: float) -> list[tuple[float, str]]:
    """The newest kernel records of level info or graver since ``start``."""
    spoken = []
    levels = [f"PRIORITY={level}" for level in range(7)]
    try:
        for block in _call([*place, f"--lines={SPOKEN}", "_TRANSPORT=kernel", *levels], deadline).blocks():
            for line in block.splitlines():
                for entry in _parsed(line):
                    when = _stamp(entry, clock)[1]
                    if when >= start and entry.get("SYSLOG_FACILITY", "0") == "0":
                        spoken.append((when, _message(entry)))
    except Blind:
        return []
    return spoken


def _wanted(block: bytes) -> Iterator[dict[str, Any]]:
    """The entries of a block of lines that may be of interest."""
    starts = set()
    for needle in _NEEDLES:
        place = block.find(needle)
        while place >= 0:
            starts.add(block.rfind(b"\n", 0, place) + 1)
            end = block.find(b"\n", place)
            place = block.find(needle, end) if end >= 0 else -1
    for start in sorted(starts):
        yield from _parsed(block[start : block.find(b"\n", start)])


def _parsed(line: bytes) -> Iterator[dict[str, Any]]:
    """The entry on a line, if it is one."""
    import json

    try:
        entry = json.loads(line.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return
    if isinstance(entry, dict):
        yield entry


def _message(entry: dict[str, Any]) -> str:
    message = entry.get("MESSAGE")
    if isinstance(message, list):
        try:
            return bytes(message).decode("utf-8", "replace")
        except (TypeError, ValueError):
            return ""
    return message if isinstance(message, str) else ""


def _number(entry: dict[str, Any], name: str) -> float:
    """A timestamp in seconds, 0 where there is none."""
    value = entry.get(name)
    return int(value) / 1e6 if isinstance(value, str) and re.fullmatch("[0-9]{1,20}", value) else 0.0
