"""A log file and its rotated parts, read from the end as far as the window reaches, and what they prove.

Where the file does not reach back over the window, what ``rotation`` lists is read on, until lines from before the
window are met or no part is left. How a file is read is the matter of ``scan``.

A message is known by its stamp and its host. Both survive a rename, a copy, a compression and the loss of the file's
head, so what stands in ``kern.log``, ``kern.log.1`` and ``kern.log.1.gz`` at the same moment is one message.
"""

from __future__ import annotations

import os
import time

from tcp_headroom import wording
from tcp_headroom.blind import Blind
from tcp_headroom.log import block_reader, formats, losses, rotation, samples, scan, zones
from tcp_headroom.log.block_reader import Block
from tcp_headroom.log.file_proof import SEARCHED, Reading, concluded
from tcp_headroom.log.samples import Wanted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import IO

    from tcp_headroom.log.proof import Window
    from tcp_headroom.log.rotation import Part
    from tcp_headroom.log.scan import Found
    from tcp_headroom.log.views import View
    from tcp_headroom.proc.clock import Clock

DEFAULTS = ("/var/log/kern.log", "/var/log/messages", "/var/log/syslog")
"""Tried in this order: what holds only the kernel's lines cannot be forged with logger."""

PROBE = 256 << 10
"""How far before a place of old stamps others must be old, too: longer than what one boot writes."""
ATTEMPTS = 3
"""How often the rotated files are read while each reading finds that they were renamed meanwhile."""
SHORTEST = 22 * 3600
"""No part that is rotated by the day has less time in it, in seconds; a day has 23 hours when the clocks change."""


def view(
    path: str,
    clock: Clock,
    window: Window,
    host: str | None = None,
    usual: bool = False,
    sighted: bool = False,
    silence: float = 0.0,
) -> View:
    """What ``path`` and its rotated parts show of ``window``, limited to lines of ``host`` if given.

    ``usual``: whether the path is one that this host's own log has. ``sighted``: whether an earlier run has seen in
    this boot that a hit would show there. ``silence``: how long, in seconds, another host may be quiet. Raises
    ``Blind`` if the file cannot be read.
    """
    accepts, name, local = _whose(path, window, host, usual, clock.booted)
    wanted = Wanted(window, accepts, name, clock.booted - 1 if local else None)
    reading = Reading(path, clock, wanted, sighted)
    status = None
    seen: set[tuple[int, int]] = set()
    try:
        with block_reader.opened(path) as file:
            status = os.fstat(file.fileno())
            seen.add((status.st_dev, status.st_ino))
            _read_plain(file, status, reading, path)
    except Blind:
        if not rotation.between(path, window.start - samples.DISORDER):
            raise
    if not reading.done:
        _read_rotated(path, seen, reading)
    return concluded(path, status, local, silence, reading)


def _whose(
    path: str, window: Window, host: str | None, usual: bool, booted: float
) -> tuple[Callable[[str | None], bool], str, bool]:
    """Which hosts' lines count, which name to look for in a log of many, and whether the log is this host's own.

    It is by its path, or because its newest lines carry this host's name.
    """
    own = os.uname().nodename
    if host is not None:
        local = formats.name_matches(own, host) or formats.name_matches(host, own)
        return lambda name: formats.name_matches(name, host), host, local
    newest = _newest_hosts(path, window)
    short = own.partition(".")[0]
    others = newest - {own, "localhost"}
    if not usual or (own not in newest and not (others and _speaks(path, short, window, booted))):
        # Beside the lines of others nothing of this host, its counter, its daemon or its boot, speaks for them.
        return lambda name: True, "", usual or (own in newest and not others)
    # On a host that takes in the logs of others, too, its own lines alone are of this host.
    return (
        lambda name: name is None or formats.name_matches(name, short) or formats.name_matches(name, "localhost"),
        short if others else "",
        True,
    )


def _newest_hosts(path: str, window: Window) -> set[str]:
    """The hosts of the last lines, this one by the name that it gives itself."""
    try:
        with block_reader.opened(path) as file:
            size = os.fstat(file.fileno()).st_size
            data = os.pread(file.fileno(), min(size, block_reader.LEAD), max(0, size - block_reader.LEAD))
    except (OSError, Blind):
        return set()
    own = os.uname().nodename
    hosts = {formats.parse(text, window.now, 0.0).host for text in samples.lines(data, len(data), -1)}
    return {own if formats.name_matches(host, own.partition(".")[0]) else host for host in hosts if host}


def _speaks(path: str, name: str, window: Window, booted: float) -> bool:
    """Whether a line of this host stands further back, there or in the newest rotated part: others may have written since.

    A line of a boot before tells nothing: a daemon that starts before the host has its name keeps the name it found.
    """
    parts = [part.path for part in rotation.parts(path)[:1] if not part.path.endswith(tuple(block_reader.COMPRESSED))]
    signs = [f" {name}{end}".encode("utf-8", "replace") for end in " ."]
    room = SEARCHED
    for place in (path, *parts):
        try:
            with block_reader.opened(place) as file:
                for block in block_reader.backward(file.fileno(), os.fstat(file.fileno()).st_size):
                    if any(_named(block, sign, name, window, booted) for sign in signs):
                        return True
                    room -= len(block.data)
                    if room < 0:
                        return False
        except (OSError, Blind):
            continue
    return False


def _named(block: Block, sign: bytes, name: str, window: Window, booted: float) -> bool:
    """Whether the last line of a block that is of the host ``name``, in which ``sign`` stands, is of this boot."""
    place = len(block.data)
    for _attempt in range(samples.NEIGHBOURS):
        place = block.data.rfind(sign, block.lead, place)
        if place < 0:
            return False
        start = block.data.rfind(b"\n", 0, place) + 1
        text = block.data[start : min(samples.end_of(block.data, place), start + block_reader.LONGEST)]
        line = formats.parse(text, window.now, 0.0)
        if formats.name_matches(line.host, name):
            return line.when is None or line.when >= booted - 1
        place = start
    return False


def _read_plain(file: IO[bytes], status: os.stat_result, reading: Reading, path: str) -> None:
    """Take in a file that is not compressed, from its end until it has no more to add. Raises ``Blind`` at an error."""
    descriptor = file.fileno()
    current = reading.scan.newest is None and not any(reading.heads)
    try:
        head = os.pread(descriptor, 256, 0)
        blocks = block_reader.backward(descriptor, status.st_size)
        _read(blocks, head, status.st_mtime, reading, lambda block: _confirmed(descriptor, block, reading), current)
    except OSError as error:
        raise Blind(f"{wording.path(path)} cannot be read on: {wording.failure(error)}") from None


def _confirmed(descriptor: int, block: Block, reading: Reading) -> bool:
    """Whether the lines well before ``block``, too, are older than the window."""
    if not block.offset:
        return False
    place = max(0, block.offset - PROBE)
    data = os.pread(descriptor, block_reader.LEAD, place)
    start = 0 if not place else data.find(b"\n") + 1
    return samples.before(Block(place, start, data), reading.wanted, 0.0)


def _read(
    blocks: Iterator[Block],
    head: bytes,
    written: float,
    reading: Reading,
    confirmed: Callable[[Block], bool],
    current: bool,
) -> None:
    """Take in the blocks of one file, newest first."""
    wanted, state = reading.wanted, reading.scan
    events: list[Found] = []
    zero: float | None = None
    after: float | None = None
    first: Block | None = None
    stopped = False
    try:
        for block in blocks:
            if zero is None:
                zero = _zero(block, written, reading, current)
                tail = samples.samples(block.data, len(block.data), -1, wanted, zero)
                newest = max(samples.trusted(tail, wanted), default=None)
                if newest is not None and not reading.broken and _skipped(newest, _pace(tail, wanted), reading):
                    reading.broken = Blind(
                        f"a rotated part between this and the next older one of {wording.path(reading.path)} is missing"
                    )
                # The newer part began before the window, and this one ends there.
                ended = reading.since is not None and reading.since < reading.limit
                reading.reached = reading.reached or (ended and newest is not None and newest < reading.limit)
            zeros = [(0, zero)]
            uptimes = samples.samples(block.data, len(block.data), -1, wanted, zero, 1)
            if uptimes and uptimes[0].uptime is not None:
                zeros = samples.segments(block, zero, after) or zeros
                zero = zeros[-1][1]
                after = next(
                    (line.uptime for line in samples.samples(block.data, block.lead, 1, wanted, zero, 1)), after
                )
            if not reading.reached or first is None:
                events += scan.found(block, written, zeros, wanted, state)
                state.loss = state.loss or losses.newest(block, wanted, zeros[0][1])
            if state.newest is None:
                state.newest = samples.alive(block.data, wanted, zeros[0][1])
            if not (reading.sighted or state.sight) or state.kernel is None:
                scan.look_for_kernel(block, wanted, zeros[0][1], state)
                reading.searched += len(block.data)
            first = block
            state.after = next(
                iter(samples.trusted(samples.samples(block.data, block.lead, 1, wanted, zero, 1), wanted)), state.after
            )
            reading.reached = reading.reached or (samples.before(block, wanted, zero) and confirmed(block))
            if reading.done or (reading.reached and reading.searched > SEARCHED):
                stopped = True
                break
    finally:
        # The messages before the place where a file is damaged count, but it has not been seen.
        copy = any(head[: len(other)] == other[: len(head)] and head for other in reading.heads)
        if copy:
            reading.found.append(events)
        else:
            reading.found[0] += events
        reading.heads.append(head)
    if reading.reached and not reading.broken:
        reading.since = min(wanted.window.start, wanted.window.start if reading.since is None else reading.since)
    elif not stopped and first is not None and not reading.broken:
        _begins(first, zero or 0.0, reading)


def _begins(first: Block, zero: float, reading: Reading) -> None:
    """Note when the oldest line of a file that was read whole was written."""
    lines = samples.samples(first.data, first.lead, 1, reading.wanted, zero)
    began = samples.beginning(lines, reading.wanted)
    if began is None:
        return
    reading.since = began if reading.since is None else min(began, reading.since)
    reading.pace = _pace(lines, reading.wanted)
    reading.boots = any(
        (line.message or "").startswith("Linux version ") or float(line.printk or line.uptime or 9) < 1
        for line in lines
    )


def _pace(lines: list[formats.Line], wanted: Wanted) -> float | None:
    """The longest time between these lines; None for too few to tell, the burst of a boot and the kernel's alone."""
    times = samples.trusted(lines, wanted)
    if len(times) < 3 or max(times) - min(times) < zones.QUARTER or not any(line.other for line in lines):
        return None
    return max(abs(second - first) for first, second in zip(times, times[1:]))


def _skipped(newest: float, pace: float | None, reading: Reading) -> bool:
    """Whether a dated part is missing between what was read and one that ends at ``newest``, with lines of that pace.

    It should be there by the others' dates, which may be those of another zone than this one's. But an empty log is
    not rotated, so only one that is never quiet for so long has lost it.
    """
    pace = reading.pace or pace
    if reading.due is None or reading.since is None or reading.since < reading.due - zones.ZONES or pace is None:
        return False
    return reading.since - newest > max(2 * pace, SHORTEST)


def _zero(block: Block, written: float, reading: Reading, current: bool) -> float:
    """When the uptime in the stamps of a file was 0, by that of its newest line, which is as old as the file.

    In the current file the newest stamp against the file's own time shows the zone of its writer, too.
    """
    lines = samples.samples(block.data, len(block.data), -1, reading.wanted, 0.0, samples.NEIGHBOURS)
    uptimes = [line.uptime for line in lines if line.uptime is not None]
    # A single one among dates is a line of another kind.
    if 2 * len(uptimes) > len(lines):
        return written - uptimes[0]
    if current and lines:
        _find_zone([line for line in lines if line.uptime is None], written, reading)
    return reading.clock.of_uptime(0)


def _find_zone(lines: list[formats.Line], written: float, reading: Reading) -> None:
    """Note by how much the stamps of the last lines miss the file's own time, and whose have to be shifted."""
    shift = zones.shift(lines, written)
    if not shift:
        return
    here = zones.here(lines, shift)
    if shift < 0 or here or shift == time.localtime(written).tm_gmtoff:
        reading.wanted.shift = float(shift)
        reading.wanted.shifted = {line.host for line in lines} - here if here else None
        minutes = abs(shift) // 60
        side = "behind" if shift > 0 else "ahead of"
        reading.notes.append(
            f"its stamps are {minutes} min {side} the file's own time, so of another time zone: shifted"
        )
    else:
        reading.undated = True
        reading.scan.doubts.append(
            f"its newest stamp is {shift // 60} min older than the file: its writer may live in another time zone"
        )


def _read_rotated(path: str, seen: set[tuple[int, int]], reading: Reading) -> None:
    """Read the rotated parts; those in ``seen``, by device and inode, have been read."""
    listed: set[tuple[str, int]] = set()
    for attempt in range(ATTEMPTS + 1):
        parts = rotation.parts(path)
        # A rotation under the reader renames what was listed; listing again finds it. Writing to one is no rotation.
        before, listed = listed, {(part.path, part.inode) for part in parts}
        if listed == before:
            return
        if attempt < ATTEMPTS:
            reading.broken = None
            _read_parts(parts, seen, reading)
    reading.notes.append("the rotated files were renamed too often while they were read")
    reading.broken = Blind("the rotated files were renamed while they were read", remedy="wait for the next run")


def _read_parts(parts: list[Part], seen: set[tuple[int, int]], reading: Reading) -> None:
    """Read the rotated parts that may reach into the window, newest first."""
    names = {part.path for part in parts}
    for part in parts:
        stem, ending = os.path.splitext(part.path)
        # While it is being compressed, the complete file stands beside the incomplete one.
        if ending in block_reader.COMPRESSED and stem in names:
            continue
        if part.hole and not reading.broken:
            reading.broken = Blind(f"a rotated part before {wording.path(part.path)} is missing")
        reading.due = part.due
        packed = ending in block_reader.COMPRESSED
        # Behind a hole its own lines tell how old it is.
        if part.written < reading.limit and reading.since is not None and reading.since < reading.limit:
            reading.reached = True
        if reading.done:
            return
        try:
            with block_reader.opened(part.path) as file:
                status = os.fstat(file.fileno())
                if (status.st_dev, status.st_ino) in seen:
                    continue
                if packed:
                    _read_compressed(file, status, reading, part.path)
                else:
                    _read_plain(file, status, reading, part.path)
                seen.add((status.st_dev, status.st_ino))
        except Blind as reason:
            if not os.path.lexists(part.path):
                return
            if str(reason) not in reading.notes:
                reading.notes.append(str(reason))
            # Whatever is older is not connected with what was seen.
            reading.forbidden = reading.forbidden or (not reading.broken and not os.access(part.path, os.R_OK))
            reading.broken = reading.broken or reason


def _read_compressed(file: IO[bytes], status: os.stat_result, reading: Reading, path: str) -> None:
    """Take in a compressed part, whose blocks come from its beginning on."""
    blocks: list[Block] = []
    kept = 0
    damage: Blind | None = None
    try:
        for block in block_reader.forward(file, path):
            blocks.append(Block(block.offset, block.lead, block.data))
            kept += len(block.data)
            while kept > SEARCHED and len(blocks) > 1:
                # What unpacks to more is believed from its newest lines on.
                kept -= len(blocks.pop(0).data)
    except Blind as reason:
        damage = reason
    if damage and not reading.broken:
        reading.broken = damage
    head = blocks[0].data[blocks[0].lead :][:256] if blocks else b""
    _read(iter(reversed(blocks)), head, status.st_mtime, reading, lambda block: block is not blocks[0], False)
    if damage:
        raise damage
