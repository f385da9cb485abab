"""A log file and its rotated siblings, read from the end as far as the window reaches.

The blocks of ``block_reader`` are searched for the few byte strings that every wanted
line contains; only lines found so are parsed by ``formats``, so the cost is that of
the bytes inside the window, whatever the size of the file. Where the file does not
reach back over the window, what ``rotation`` lists is read on.

A message is known by its stamp and its offset in the file. Both survive a rename,
a copy and a compression, so what stands in ``kern.log``, ``kern.log.1`` and
``kern.log.1.gz`` at the same moment is one message.
"""

from __future__ import annotations

import os
import zlib

from tcp_headroom import wording
from tcp_headroom.blind import Blind
from tcp_headroom.log import block_reader, formats, messages, rotation
from tcp_headroom.log.block_reader import LONGEST
from tcp_headroom.log.views import SLACK, Event, View, classify, union

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tcp_headroom.log.block_reader import Block
    from tcp_headroom.log.views import Window
    from tcp_headroom.proc.clock import Clock

DEFAULTS = ("/var/log/kern.log", "/var/log/messages", "/var/log/syslog")
"""Tried in this order: what holds only the kernel's lines cannot be forged with logger."""

SEARCHED = 64 << 20
"""How far back, in bytes, a kernel record is looked for where the window has none."""
ATTEMPTS = 3
"""How often the rotated files are read while each reading finds that they were renamed meanwhile."""
NEIGHBOURS = 50
"""How many lines are tried for one with a stamp."""
INFO = 6
"""The level of the family."""

_REPEATED = b"last message repeated "
"""In the line that counts repetitions of the line before it, without saying what that was."""


class Scan:
    """What has been found in a file and its siblings so far."""

    def __init__(self, clock: Clock, window: Window, host: str | None) -> None:
        self.clock = clock
        self.window = window
        self.host = host
        self.events: list[Event] = []
        self.hosts: set[str] = set()
        self.newest: formats.Line | None = None
        self.since = clock.now
        self.reached = False
        """Whether lines from before the window were met."""
        self.kernel = False
        """Whether a kernel record was met at all."""
        self.info = False
        """Whether one was met that is of level info or lower, or of unknown level."""

    @property
    def done(self) -> bool:
        """Whether nothing older can add to what is known."""
        return self.reached and self.info


def view(path: str, clock: Clock, window: Window, host: str | None = None) -> View:
    """What ``path`` and its rotated siblings show of ``window``, limited to lines of ``host`` if given.

    Raises ``Blind`` if the file cannot be read, or if a message of level info by
    the kernel would not show there as far as can be told.
    """
    scan = Scan(clock, window, host)
    notes: list[str] = []
    seen: set[tuple[int, int]] = set()
    try:
        with block_reader.opened(path) as file:
            status = os.fstat(file.fileno())
            seen.add((status.st_dev, status.st_ino))
            _read(block_reader.backward(file.fileno(), status.st_size), status.st_mtime, scan)
    except Blind:
        if not rotation.between(path, window.start):
            raise
    if not scan.done:
        _read_rotated(path, seen, scan, notes)
    _refuse_sightless(wording.path(path), scan)
    others = sorted(name for name in scan.hosts if name != host)
    if others:
        notes.append("hosts seen: " + ", ".join(wording.clean(name, 60) for name in others[:10]))
    return View(path, scan.events, window.start if scan.reached else scan.since, notes)


def _refuse_sightless(shown: str, scan: Scan) -> None:
    if not scan.kernel:
        raise Blind(f"{shown} holds no kernel message, so a hit would not show there")
    if not scan.info:
        raise Blind(
            f"{shown} holds no kernel message of level info, which a hit has", remedy="check the filter of syslog"
        )
    newest = scan.newest
    if newest and newest.when and newest.when < scan.clock.booted and newest.host == os.uname().nodename:
        raise Blind(f"{shown} has no line since this host was booted", remedy="check syslog")


def _read_rotated(path: str, seen: set[tuple[int, int]], scan: Scan, notes: list[str]) -> None:
    """Read the rotated files; those in ``seen``, by device and inode, have been read."""
    listed: set[tuple[str, int]] = set()
    for attempt in range(ATTEMPTS + 1):
        siblings = rotation.siblings(path)
        # A rotation under the reader renames what was listed; listing again finds it. Writing to one is no rotation.
        before, listed = listed, {(name, inode) for _time, name, inode in siblings}
        if listed == before:
            return
        if attempt < ATTEMPTS:
            _read_siblings(siblings, seen, scan, notes)
    notes.append(f"the rotated files of {wording.path(path)} were renamed too often while they were read")


def _read_siblings(
    siblings: list[tuple[float, str, int]], seen: set[tuple[int, int]], scan: Scan, notes: list[str]
) -> None:
    """Read the rotated files that were written to within the window, newest first."""
    names = {name for _time, name, _inode in siblings}
    for written, name, _inode in siblings:
        outside = written < scan.window.start - SLACK
        scan.reached = scan.reached or outside
        if outside and scan.info:
            continue
        stem, ending = os.path.splitext(name)
        # While it is being compressed, the complete file stands beside the incomplete one.
        if ending in block_reader.COMPRESSED and stem in names:
            continue
        try:
            with block_reader.opened(name) as file:
                status = os.fstat(file.fileno())
                if (status.st_dev, status.st_ino) in seen:
                    continue
                if ending in block_reader.COMPRESSED:
                    uptime = _newest_uptime(block_reader.forward(file, name), scan.clock.now)
                    file.seek(0)
                    zero = _uptime_zero(uptime, status.st_mtime, scan.clock)
                    _read(block_reader.forward(file, name), status.st_mtime, scan, zero)
                else:
                    _read(block_reader.backward(file.fileno(), status.st_size), status.st_mtime, scan)
                seen.add((status.st_dev, status.st_ino))
        except Blind as reason:
            if os.path.lexists(name) and str(reason) not in notes:
                notes.append(str(reason))
            # Whatever is older is not connected with what was seen.
            return


def _read(blocks: Iterator[Block], written: float, scan: Scan, zero: float | None = None) -> None:
    """Take in one file, last written at ``written``, from its end until it has no more to add.

    ``zero``: when the uptime in its stamps was 0, for a file whose blocks come from its beginning on.
    """
    from_end = zero is None
    events: list[Event] = []
    newest: formats.Line | None = None
    since = scan.since
    reached = False
    searched = 0
    try:
        for block in blocks:
            if zero is None:
                zero = _uptime_zero(_edges(block, scan.clock.now, 0.0)[1].uptime, written, scan.clock)
            first, last = _edges(block, scan.clock.now, zero)
            if newest is None or not from_end:
                newest = last
            if not (reached and from_end):
                events += _events(block, written, zero, scan)
            if not scan.info:
                _look_for_kernel(block, zero, scan, (first, last))
                searched += len(block.data)
            if first.when is not None:
                since = min(since, first.when)
                reached = reached or first.when < scan.window.start - SLACK
            if from_end and reached and (scan.info or searched > SEARCHED):
                break
    finally:
        # The messages before the place where a file is damaged count, but it has not been seen.
        scan.events = union(scan.events, events)
    scan.newest = scan.newest or newest
    scan.since = since
    scan.reached = scan.reached or reached


def _lines(data: bytes, start: int, step: int) -> Iterator[bytes]:
    """Up to ``NEIGHBOURS`` lines of ``data`` from ``start`` on, forwards or backwards."""
    for _line in range(NEIGHBOURS):
        if step > 0:
            if start >= len(data):
                return
            end = data.find(b"\n", start)
            end = len(data) if end < 0 else end
            yield data[start : min(end, start + LONGEST)]
            start = end + 1
        else:
            if start <= 0:
                return
            begin = data.rfind(b"\n", 0, start - 1) + 1
            yield data[begin : min(start, begin + LONGEST)].rstrip(b"\n")
            start = begin


def _edges(block: Block, now: float, zero: float) -> tuple[formats.Line, formats.Line]:
    """The first and the last line with a stamp, ``NOTHING`` where there is none near."""
    edges = []
    for start, step in ((block.lead, 1), (len(block.data), -1)):
        parsed = (formats.parse(line, now, zero) for line in _lines(block.data, start, step))
        edges.append(next((line for line in parsed if line.when is not None), formats.NOTHING))
    return edges[0], edges[1]


def _newest_uptime(blocks: Iterator[Block], now: float) -> float | None:
    """The last uptime of a file read from its beginning on; of one with dates no more than a block is read."""
    newest = None
    try:
        for block in blocks:
            uptime = _edges(block, now, 0.0)[1].uptime
            if newest is None and uptime is None:
                break
            newest = newest if uptime is None else uptime
    except Blind:
        # The last that can be read makes messages look too young, never too old; reading them meets the damage again.
        pass
    return newest


def _uptime_zero(uptime: float | None, written: float, clock: Clock) -> float:
    """When the uptime in the stamps of a file was 0, by that of its newest line.

    A file of uptimes has no clock of its own: its newest line is taken to be as
    old as the file.
    """
    return clock.of_uptime(0) if uptime is None else written - uptime


def _look_for_kernel(block: Block, zero: float, scan: Scan, edges: tuple[formats.Line, ...]) -> None:
    """Note whether the kernel speaks in this block, and at level info."""
    found = [line for line in edges if line.message is not None]
    data = block.data
    place = data.find(b"kernel")
    # Bounded: a line that only mentions the kernel is parsed in vain.
    for _attempt in range(1000):
        if place < 0 or any(line.level is None or line.level >= INFO for line in found):
            break
        start = data.rfind(b"\n", 0, place) + 1
        line = formats.parse(data[start : start + LONGEST].partition(b"\n")[0], scan.clock.now, zero)
        if line.message is not None:
            found.append(line)
        end = data.find(b"\n", place)
        place = data.find(b"kernel", end) if end >= 0 else -1
    scan.kernel = scan.kernel or bool(found)
    scan.info = any(line.level is None or line.level >= INFO for line in found)


def _events(block: Block, written: float, zero: float, scan: Scan) -> Iterator[Event]:
    """The messages of the family, and the rate limiter's, within the window."""
    data = block.data
    now = scan.clock.now
    for start, end in _wanted(block):
        raw = data[start : min(end, start + LONGEST)]
        line = formats.parse(raw, now, zero)
        said = line
        if line.repeats:
            # A daemon says so again while the message goes on.
            earlier = (formats.parse(text, now, zero) for text in _lines(data, start, -1))
            said = next((before for before in earlier if not before.repeats), formats.NOTHING)
            if said.host != line.host:
                continue
        found = None if said.message is None else classify(said.message)
        if not found:
            continue
        if line.host:
            scan.hosts.add(line.host)
        if scan.host and not _same_host(line.host, scan.host):
            continue
        when, named = line.when, raw
        if when is None:
            before, after = (_stamped(_lines(data, *place), now, zero) for place in ((start, -1), (end + 1, 1)))
            when = (before or after or (written, raw))[0]
            # What follows may be missing in one reading and there in the next, so it gives no name.
            named = before[1] if before else raw
        if when < scan.window.start:
            continue
        cause, count = found
        if line.uptime is not None:
            key = f"up/{line.uptime:.6f}"
        else:
            key = f"at/{zlib.crc32(named[:24]):x}/{block.offset + start - block.lead}"
        yield Event(when, cause, count * (line.repeats or said.count), key)


def _stamped(lines: Iterator[bytes], now: float, zero: float) -> tuple[float, bytes] | None:
    """The first of ``lines`` with a stamp, and when that is."""
    for line in lines:
        when = formats.parse(line, now, zero).when
        if when is not None:
            return when, line
    return None


def _wanted(block: Block) -> list[tuple[int, int]]:
    """Begin and end, within ``data``, of the lines that contain a needle, and of those that repeat such a line."""
    data = block.data
    found = {}
    for needle in messages.NEEDLES:
        place = data.find(needle, block.lead)
        while place >= 0:
            end = _end(data, place)
            start = max(block.lead, data.rfind(b"\n", 0, place) + 1)
            if data[start] == 0:
                start = place - len(data[start:place].lstrip(b"\0"))
            found[start] = end
            place = data.find(needle, end)
    # The line before the first of the block may be such a line, too.
    for start in (block.lead, *(end + 1 for end in found.values())):
        while data.find(_REPEATED, start, end := _end(data, start)) >= 0:
            found[start] = end
            start = end + 1
    return sorted(found.items())


def _end(data: bytes, place: int) -> int:
    """Where the line around ``place`` ends."""
    end = data.find(b"\n", place)
    return len(data) if end < 0 else end


def _same_host(host: str | None, wanted: str) -> bool:
    """Whether a line's host is the one wanted; a name without a domain matches it with any."""
    if host is None:
        return False
    return host == wanted or ("." not in wanted and host.partition(".")[0] == wanted)
