"""``/dev/kmsg``: the kernel's ring buffer, one record a read.

A record is ``prio,seq,usec,flags[,more];text`` and perhaps lines ``\\n KEY=value``
(Documentation/ABI/testing/dev-kmsg; readable since 3.5, without flags then).
``prio`` is facility * 8 + level; nothing but the kernel can write facility 0.
``usec`` is ``local_clock()``, which stands still during suspend. Sequence
numbers have no gaps within one boot, so a first number other than 0 says that
the ring has wrapped.

A regular file in the place of the device is taken for a capture of such records.
"""

from __future__ import annotations

import errno
import os
import re
import stat

from tcp_headroom import wording
from tcp_headroom.blind import Blind
from tcp_headroom.log import messages
from tcp_headroom.log.proof import FUTURE, Proof
from tcp_headroom.log.views import DEVICE, KERNEL_STAMP, Event, View, classify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tcp_headroom.log.views import Window
    from tcp_headroom.proc.clock import Clock

DEVICE_NUMBER = (1, 11)

RECORD = 8192
"""Room for one record in bytes; the kernel says EINVAL to less than it needs."""
CAPTURE = 64 << 20
"""Most that is read of a capture, in bytes; rings have 16 KiB to 32 MiB."""


class Record:
    """One record of the ring."""

    def __init__(self, priority: int, seq: int, usec: int, text: str) -> None:
        self.priority = priority
        self.seq = seq
        self.usec = usec
        """Microseconds since boot, suspend not counted."""
        self.text = text

    @property
    def from_kernel(self) -> bool:
        """Whether the kernel wrote it: facility 0."""
        return self.priority < 8


def parse(line: bytes) -> Record | None:
    """The record that ``line`` begins with, None if it is none.

    Bytes escaped as ``\\xNN`` are restored; what is not UTF-8 becomes U+FFFD.
    """
    head, semicolon, text = line.partition(b";")
    numbers = head.split(b",", 3)[:3]
    if not semicolon or len(numbers) < 3 or not all(number.isdigit() and len(number) <= 20 for number in numbers):
        return None
    text = text.partition(b"\n")[0]
    if b"\\x" in text:
        text = re.sub(rb"\\x([0-9a-fA-F]{2})", lambda code: bytes((int(code[1], 16),)), text)
    priority, seq, usec = map(int, numbers)
    return Record(priority, seq, usec, text.decode("utf-8", "replace"))


class Ring:
    """What was read."""

    def __init__(
        self,
        first: Record | None,
        last: Record | None,
        records: list[Record],
        complete: bool,
        capture_time: float | None,
        lines: list[bytes] | None = None,
        earlier: list[list[bytes]] | None = None,
    ) -> None:
        self.first = first
        """The oldest record after which none is missing; None in an empty ring."""
        self.last = last
        """The newest record."""
        self.records = records
        """Those, in the order of the ring, that may be of the family; by whomever written."""
        self.complete = complete
        """Whether ``first`` is the oldest there is: no gap, nothing overwritten while it was read."""
        self.capture_time = capture_time
        """For a capture, when the file was last written, in seconds since the epoch; None for the device."""
        self.lines = lines or []
        """All records as they were read."""
        self.earlier = earlier or []
        """In a capture, those of the boots before, oldest first."""


def read(path: str) -> Ring:
    """All records from the oldest on. Raises ``Blind`` with the remedy for a device that cannot be read."""
    shown = wording.path(path)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise Blind(f"cannot open {shown}: {wording.failure(error)}", remedy=remedy(error.errno, path)) from None
    except ValueError:
        raise Blind(f"cannot open {shown}: not a valid path") from None
    try:
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode):
            return _ring(list(_capture(descriptor)), status.st_mtime)
        number = (os.major(status.st_rdev), os.minor(status.st_rdev))
        if not stat.S_ISCHR(status.st_mode) or number != DEVICE_NUMBER:
            raise Blind(f"{shown} is not the kernel log (character device 1:11) and not a capture of it")
        return _ring(list(_device(descriptor)), None)
    except OSError as error:
        raise Blind(f"cannot read {shown}: {wording.failure(error)}", remedy=remedy(error.errno, path)) from None
    finally:
        os.close(descriptor)


def _device(descriptor: int) -> Iterator[bytes]:
    while True:
        try:
            data = os.read(descriptor, RECORD)
        except BlockingIOError:
            return
        except BrokenPipeError:
            # Overwritten under the reader; the position has moved on to the oldest record left.
            continue
        if not data:
            return
        yield data


def _capture(descriptor: int) -> Iterator[bytes]:
    with os.fdopen(os.dup(descriptor), "rb") as file:
        room = CAPTURE
        while room > 0:
            line = file.readline(min(room, RECORD))
            if not line:
                return
            room -= len(line)
            if line[:1].isdigit():
                yield line


def _ring(lines: list[bytes], capture_time: float | None) -> Ring:
    earlier: list[list[bytes]] = []
    if capture_time is not None:
        *earlier, lines = _boots(lines)
    # Most rings hold nothing of interest: parsing all records would cost more than reading them.
    everything = b"\n".join(lines)
    needles = [needle for needle in messages.NEEDLES if needle in everything]
    wanted = (line for line in lines if any(needle in line for needle in needles)) if needles else ()
    records = [record for record in map(parse, wanted) if record]
    last = next((record for record in map(parse, reversed(lines)) if record), None)
    first = next((record for record in map(parse, lines) if record), None)
    complete = first is None or last is None or last.seq - first.seq + 1 == len(lines)
    if not complete and last:
        first = last
        for record in map(parse, reversed(lines[:-1])):
            if record is None or record.seq != first.seq - 1:
                break
            first = record
    return Ring(first, last, records, complete, capture_time, lines, earlier)


def _boots(lines: list[bytes]) -> list[list[bytes]]:
    """The records of a capture by boots: with each the numbers begin anew."""
    before: int | None = None
    made: list[list[bytes]] = [[]]
    for line in lines:
        number = line.split(b",", 2)[1:2]
        seq = int(number[0]) if number and number[0].isdigit() and len(number[0]) <= 20 else None
        if before is not None and seq is not None and seq < before:
            made.append([])
        made[-1].append(line)
        before = before if seq is None else seq
    return made


def remedy(number: int | None, path: str) -> str:
    """What lets an unprivileged user see the kernel log at ``path``, by the error met; empty if that is another's affair."""
    if path != DEVICE and number != errno.EPERM:
        return ""
    if number in (errno.EPERM, errno.EACCES):
        if _restricted() == 0:
            return "look for ProtectKernelLogs in the systemd unit, a container, or printk_devkmsg=off"
        return "add this user to group systemd-journal, or adm for /var/log (dmesg_restrict is 1)"
    if number in (errno.ENOENT, errno.ENXIO, errno.ENODEV):
        return "run the check on the host, without PrivateDevices in the systemd unit"
    return "use --source journal or --source file"


def _restricted() -> int | None:
    try:
        with open("/proc/sys/kernel/dmesg_restrict", "rb") as file:
            return int(file.read(8))
    except (OSError, ValueError):
        return None


def view(path: str, clock: Clock, window: Window) -> View:
    """What the ring or capture at ``path`` shows of ``window``. Raises ``Blind``.

    It has seen everything since its oldest record after which none is missing; that
    is the first of the boot where the ring has not wrapped.
    A capture has no clock of its own: its newest record is taken to be as old as
    the file, and nothing after it was seen, nor anything before its last boot.
    """
    ring = read(path)
    if ring.first is None or ring.last is None:
        raise Blind(f"{wording.path(path)} holds no kernel record", remedy=remedy(None, path))
    zero = clock.of_uptime(0)
    until = clock.now
    boot = clock.boot
    if ring.capture_time is not None:
        if ring.capture_time > clock.now + FUTURE:
            reason = f"{wording.path(path)} has a time in the future, so the age of its records is not known"
            raise Blind(reason, remedy="compare the clocks of both hosts, or copy the ring again")
        zero, until = ring.capture_time - ring.last.usec / 1e6, min(ring.capture_time, clock.now)
        # One whose clock is this boot's has the records that the journal has.
        boot = clock.boot if abs(zero - clock.of_uptime(0)) < 2 else "capture"
    events = list(_events(ring.records, zero, boot, window))
    behind, began = ring.first, zero
    for number, lines in enumerate(reversed(ring.earlier)):
        # How long the machine was off is not written: what was said before is dated as if it had not been.
        records = [record for record in map(parse, lines) if record]
        if not records:
            continue
        began += (behind.usec - records[-1].usec) / 1e6
        behind = records[0]
        events += _events(records, began, f"{boot}-{number}", window)
    since, booted = zero + ring.first.usec / 1e6, None
    if ring.first.seq == 0 and not ring.earlier:
        since = booted = clock.booted if ring.capture_time is None else min(since, zero)
    evidence = ["the ring holds all since the boot" if booted else "the ring has overwritten what is older"]
    notes = [] if ring.complete else ["some of the older records are missing"]
    if any(event.cause not in messages.CAUSES for event in events):
        everything = b"\n".join(ring.lines)
        notes += [
            f"the same rate limit was used by: {name}"
            for name in sorted({name for text, name in messages.TALKERS.items() if text in everything})
        ]
    spans = [(since, until)] if since <= until else []
    proven = Proof(spans, spans, booted, (), (), tuple(evidence))
    return View(path, events, proven, notes, lambda start: _spoken(ring, zero, start), True)


def _events(records: list[Record], zero: float, boot: str, window: Window) -> Iterator[Event]:
    for record in records:
        found = classify(record.text) if record.from_kernel else None
        when = zero + record.usec / 1e6
        if found and when >= window.start:
            yield Event(when, *found, f"{KERNEL_STAMP}{boot}/{record.usec}", messages.container(record.text))


def _spoken(ring: Ring, zero: float, start: float) -> list[tuple[float, str]]:
    """The kernel's own records of level info or graver since ``start``."""
    spoken = []
    for line in reversed(ring.lines):
        record = parse(line)
        if record is None:
            continue
        if zero + record.usec / 1e6 < start:
            break
        if record.priority <= 6:
            spoken.append((zero + record.usec / 1e6, record.text))
    return spoken
