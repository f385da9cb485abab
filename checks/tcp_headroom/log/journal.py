"""The systemd journal, read through ``journalctl``.

Kernel records are matched by ``_TRANSPORT=kernel`` (not ``-k``, which means the
current boot only), read newest first, and judged by printk's own stamp: their
reception may lie long after it, since journald imports the whole ring when it
starts. One call does as a rule: the first record from before the window proves
that the journal reaches back over it, and ends the reading.
"""

from __future__ import annotations

import os
import re

from tcp_headroom import wording
from tcp_headroom.blind import Blind
from tcp_headroom.log import messages
from tcp_headroom.log.views import KERNEL_STAMP, SLACK, Event, View, classify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from tcp_headroom.log.views import Window
    from tcp_headroom.proc.clock import Clock

PROGRAMS = ("/usr/bin/journalctl", "/bin/journalctl")
FIELDS = "MESSAGE,MESSAGE_ID,PRIORITY,SYSLOG_FACILITY,SYSLOG_IDENTIFIER,_BOOT_ID,_SOURCE_MONOTONIC_TIMESTAMP"
MISSED = "e9bf28e6e834481bb6f48f548ad13606"
"""MESSAGE_ID of journald's own line "Missed N kernel messages"."""
BLOCK = 1 << 16

_BYTES = (b'"MESSAGE":[', b'"MESSAGE" : [')
"""How journalctl, new and old, writes a message that is not UTF-8: as an array of byte values."""
_NEEDLES = (*messages.NEEDLES, MISSED.encode(), *_BYTES)
_REALTIME = re.compile(rb'"__REALTIME_TIMESTAMP" ?: ?"([0-9]{1,20})"')
_INFO = re.compile(rb'"PRIORITY" ?: ?"[67]"')


def view(clock: Clock, window: Window, place: Sequence[str] = ()) -> View:
    """What the journal shows of ``window``.

    ``place``: further options of journalctl, ``--file=`` or ``--directory=``.
    Raises ``Blind`` if it cannot be read, or stores no kernel record of level info.
    """
    events: list[Event] = []
    notes: list[str] = []
    missed: float | None = None
    oldest = b""
    info = reached = False
    for block in _blocks([*place, "--reverse", "_TRANSPORT=kernel", "+", f"MESSAGE_ID={MISSED}"]):
        for entry in _wanted(block):
            if entry.get("MESSAGE_ID") == MISSED:
                if missed is None:
                    missed = _number(entry, "__REALTIME_TIMESTAMP")
                    notes.append(f"journald says: {wording.clean(_message(entry), 60)}")
                continue
            event = _event(entry, clock)
            if event and event.when >= window.start:
                events.append(event)
        info = info or bool(_INFO.search(block))
        oldest = block[block.rfind(b"\n", 0, len(block) - 1) + 1 :]
        received_first = _REALTIME.search(oldest)
        if received_first and int(received_first[1]) / 1e6 < window.start - SLACK:
            reached = True
            break
    if not info:
        _refuse_sightless(place)
    since = window.start
    if not reached:
        # The first kernel record may have waited in the ring for journald to start.
        since = min([_oldest(place), *(_stamp(entry, clock)[1] for entry in _parsed(oldest))])
    return View("the journal", events, max(since, missed or since), notes, True)


def _event(entry: dict[str, Any], clock: Clock) -> Event | None:
    # Whoever may write /dev/kmsg can choose the identifier, but not facility 0; journald of
    # old stores no facility for the kernel's own records.
    if entry.get("SYSLOG_IDENTIFIER") != "kernel" or entry.get("SYSLOG_FACILITY", "0") != "0":
        return None
    found = classify(_message(entry))
    if not found:
        return None
    stamp, when = _stamp(entry, clock)
    return Event(when, *found, f"{KERNEL_STAMP}{entry.get('_BOOT_ID')}/{stamp * 1e6:.0f}")


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


def _refuse_sightless(place: Sequence[str]) -> None:
    """Raise ``Blind`` unless the journal has a kernel record of level info or debug."""
    if any(_blocks([*place, "--lines=1", "_TRANSPORT=kernel", "PRIORITY=6", "PRIORITY=7"])):
        return
    if any(_blocks([*place, "--lines=1", "_TRANSPORT=kernel"])):
        raise Blind(
            "the journal holds no kernel message of level info, which a hit has",
            remedy="check MaxLevelStore in journald.conf",
        )
    raise Blind(
        "the journal shows this user no kernel message",
        remedy="add this user to group systemd-journal, or check ReadKMsg in journald.conf",
    )


def _oldest(place: Sequence[str]) -> float:
    """When the journal's first entry was received, in seconds since the epoch."""
    for block in _blocks([*place]):
        first = _REALTIME.search(block)
        if first:
            return int(first[1]) / 1e6
    raise Blind("the journal holds no entry")


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


def _blocks(arguments: Sequence[str]) -> Iterator[bytes]:
    """Whole lines of journalctl's JSON output. Ends the process when the caller has enough.

    Raises ``Blind`` if there is no journalctl, or if it fails or finds no journal.
    """
    import subprocess

    program = next((path for path in PROGRAMS if os.path.exists(path)), None)
    if not program:
        raise Blind("there is no journalctl on this host", remedy="use --source kmsg or --source file")
    process = None
    try:
        process = subprocess.Popen(
            [program, "--no-pager", "--output=json", f"--output-fields={FIELDS}", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
        )
        assert process.stdout and process.stderr
        rest = b""
        while True:
            data = os.read(process.stdout.fileno(), BLOCK)
            if not data:
                break
            cut = data.rfind(b"\n") + 1
            if cut:
                yield rest + data[:cut]
                rest = data[cut:]
            else:
                rest += data
        complaint = process.stderr.read(4096).decode("utf-8", "replace")
        if process.wait() != 0 or "No journal files" in complaint:
            raise _refusal(complaint)
    finally:
        if process:
            with process:
                process.kill()


def _refusal(complaint: str) -> Blind:
    if "systemd-journal" in complaint:
        remedy = "add this user to group systemd-journal"
        return Blind("journalctl cannot read the journal: this user may not see it", remedy=remedy)
    reason = wording.clean(complaint.removesuffix("\n"), 120) or "it says nothing"
    return Blind(f"journalctl cannot read the journal: {reason}")
