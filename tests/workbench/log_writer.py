"""Writing a log file, as one half of its model: every kind of line there is, whole and in pieces."""

from __future__ import annotations

import calendar
import os
import time
from typing import NamedTuple

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from tcp_headroom.log import block_reader
from workbench.log_model import MESSAGES, Hit, Model, World

BLOCK, LEAD = block_reader.BLOCK, block_reader.LEAD
"""As they are; small ones bring the borders of blocks into small files."""

NEEDED = {
    "orphan_hits": len("TCP: too many orphaned"),
    "memory_hits": len("TCP: out of mem"),
    "unclear_hits": len("Out of socket mem"),
}
"""So much of a message must be there to be known for what it is."""


class Real:
    """One file on the disk: what stands in it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.hits: set[Hit] = set()
        self.size = 0
        self.last: Hit | None = None
        """The hit that a repetition at the end of the file would repeat."""
        self.repetitions = 0
        """How many of them stand there already."""

    def copy(self, name: str) -> Real:
        other = Real(name)
        other.hits, other.size, other.last = set(self.hits), self.size, self.last
        return other


class Half(NamedTuple):
    """The part of a line that is not written yet."""

    rest: bytes
    hit: Hit | None
    file: Real
    size: int


class Writer(Model):
    """A daemon that writes a log file, in one of its styles, and stamps by a clock that is set back at times."""

    def __init__(self) -> None:
        super().__init__()
        self.log = self.place / "log/kern.log"
        self.log.parent.mkdir()
        World.boot = "b" * 32
        self.used: dict[float, int] = {}
        self.generation = 0
        self.stepped = 0
        self.half: Half | None = None

    @initialize(
        start=st.sampled_from([(2026, 11, 22, 16, 0, 0), (2026, 12, 31, 23, 40, 0), (2028, 2, 28, 23, 30, 0)]),
        style=st.sampled_from(["traditional", "iso", "5424"]),
        dated=st.booleans(),
        ending=st.sampled_from([".gz", ".xz", ".bz2"]),
        block=st.sampled_from([64, 257, 1000, 1 << 20]),
    )
    def begin(self, start: tuple[int, ...], style: str, dated: bool, ending: str, block: int) -> None:
        World.now = float(calendar.timegm(start))
        World.monotonic = World.boottime = 30 * 86400.0
        self.style, self.dated, self.ending = style, dated, ending
        block_reader.BLOCK, block_reader.LEAD = block, 900
        self.current: Real | None = Real("kern.log")
        self.writer = self.current
        self.descriptor = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._put(self._line("Linux version 6.1.0"), None)

    def teardown(self) -> None:
        block_reader.BLOCK, block_reader.LEAD = BLOCK, LEAD
        if hasattr(self, "descriptor"):
            os.close(self.descriptor)
        super().teardown()

    # Writing

    def _line(self, message: str, tag: str = "kernel: ") -> bytes:
        moment = time.gmtime(World.now)
        if self.style == "traditional":
            return (time.strftime("%b %e %H:%M:%S", moment) + f" web1 {tag}{message}\n").encode()
        if self.style == "iso":
            return (time.strftime("%Y-%m-%dT%H:%M:%S.000000+00:00", moment) + f" web1 {tag}{message}\n").encode()
        return (time.strftime("<6>1 %Y-%m-%dT%H:%M:%SZ", moment) + f" web1 kernel - - - {message}\n").encode()

    def _distinct(self, further: int = 0) -> None:
        """Let seconds pass until the stamp is not one of an earlier file; see above."""
        while self.used.setdefault(World.now, self.generation) != self.generation:
            self._pass(1)

    def _hit(self, label: str, count: int = 1) -> Hit:
        self.number += 1
        return Hit(self.number, label, World.now, count)

    def _put(self, data: bytes, hit: Hit | None) -> None:
        written = os.write(self.descriptor, data)
        assert written == len(data)
        os.utime(self.descriptor, (World.now, World.now))
        self.writer.size += len(data)
        self.writer.last = hit if hit and hit.label in MESSAGES else None
        self.writer.repetitions = 0
        if hit:
            self.writer.hits.add(hit)

    def _pass(self, seconds: float) -> None:
        World.now += seconds
        World.monotonic += abs(seconds)
        World.boottime += abs(seconds)

    @precondition(lambda self: not self.half)
    @rule(label=st.sampled_from(list(MESSAGES)), times=st.integers(1, 3))
    def write_hits(self, label: str, times: int) -> None:
        self._step()
        for _ in range(times):
            self._distinct()
            self._put(self._line(MESSAGES[label]), self._hit(label))

    @precondition(lambda self: not self.half)
    @rule(
        message=st.sampled_from(
            [
                "eth0: link is up",
                "usb 1-1: Product: TCP: too many orphaned sockets",
                "x" * 300,
                "Out of memory: Killed process 7",
            ]
        ),
        seconds=st.integers(0, 2),
    )
    def write_noise(self, message: str, seconds: int) -> None:
        self._step()
        self._pass(seconds)
        self._put(self._line(message), None)

    @precondition(lambda self: not self.half)
    @rule(count=st.integers(1, 300))
    def write_limiter(self, count: int) -> None:
        self._step()
        self._distinct()
        self._put(self._line(f"net_ratelimit: {count} callbacks suppressed"), self._hit("suppressed", count))

    @precondition(lambda self: not self.half and self.writer.last and self.writer.repetitions < 5)
    @rule(count=st.integers(1, 30), seconds=st.integers(0, 30))
    def write_last_repeated(self, count: int, seconds: int) -> None:
        self._step()
        assert self.writer.last
        self._pass(seconds)
        self._distinct()
        if self.style == "5424":
            return
        repetitions = self.writer.repetitions + 1
        self._put(self._line(f"last message repeated {count} times", tag=""), self._hit(self.writer.last.label, count))
        self.writer.repetitions = repetitions

    @precondition(lambda self: not self.half)
    @rule(count=st.integers(2, 30), label=st.sampled_from(list(MESSAGES)))
    def write_message_repeated(self, count: int, label: str) -> None:
        self._step()
        self._distinct()
        self._put(self._line(f"message repeated {count} times: [ {MESSAGES[label]}]"), self._hit(label, count))
        self.writer.last = None

    @precondition(lambda self: not self.half)
    @rule(label=st.sampled_from(list(MESSAGES)))
    def write_unstamped(self, label: str) -> None:
        """A line without a stamp, which has that of the line before it."""
        self._step()
        before = self._line("a line")
        self._distinct(len(before))
        before = self._line("a line")
        self._put(before + f"kernel: {MESSAGES[label]}\n".encode(), self._hit(label))
        self.writer.last = None

    @precondition(lambda self: not self.half)
    @rule(label=st.sampled_from(list(MESSAGES)), early=st.booleans(), place=st.integers(3, 9))
    def write_half(self, label: str, early: bool, place: int) -> None:
        """The first part of a line: within its stamp, or with so much of its message that it is known."""
        self._step()
        self._distinct()
        line = self._line(MESSAGES[label])
        if self.style == "5424":
            place += 4
        cut = place if early else line.index(MESSAGES[label].encode()) + NEEDED[label]
        hit = self._hit(label)
        self._put(line[:cut], None if early else hit)
        self.half = Half(line[cut:], hit if early else None, self.writer, self.writer.size)
        self.writer.last = None

    @precondition(lambda self: self.half)
    @rule()
    def write_rest(self) -> None:
        self._step()
        assert self.half
        # Torn by a truncation, the rest is the end of no line.
        whole = self.half.file is self.writer and self.half.size == self.writer.size
        self._put(self.half.rest, self.half.hit if whole else None)
        self.writer.last = None
        self.half = None

    @rule(seconds=st.sampled_from([1, 7, 60, 300, 599, 600, 601, 1800, 3599, 3600, 3601, 9000]))
    def wait(self, seconds: int) -> None:
        self._step()
        self._pass(seconds)

    # What is stamped further ahead is the subject of other tests: it counts only if a neighbour dates it.
    @precondition(lambda self: self.stepped < 200)
    @rule(seconds=st.integers(1, 90))
    def set_clock_back(self, seconds: int) -> None:
        self._step()
        self.stepped += seconds
        World.now -= seconds
