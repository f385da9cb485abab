"""The log check against a model that knows the truth: no hit is lost, none is counted twice.

Random schedules of writing, rotation in every stage, truncation, clock changes and
checks. After each check the whole command must report exactly the hits that lie in
the window and were there to be read, now or in an earlier check. Time is virtual:
the clock is replaced, and files get the times they would have had.

One case nothing can tell apart: a line written in the same second and at the same
offset as a line of an earlier file of that name. The model lets a second pass there.
A repetition ("last message repeated") is written only behind its message, in one file.
"""

from __future__ import annotations

import bz2
import calendar
import contextlib
import gzip
import io
import lzma
import os
import pathlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import nagiosplugin
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from conftest import Output
from tcp_headroom import check_tcp_kernel_log, clock, kmsg, log_blocks

STEPS = 10_000
"""Least number of steps of each model in one run of the tests."""

BLOCK, LEAD = log_blocks.BLOCK, log_blocks.LEAD
"""As they are; small ones bring the borders of blocks into small files."""

WINDOWS = {"1h": 3600, "10m": 600}

MESSAGES = {
    "orphan_hits": "TCP: too many orphaned sockets",
    "memory_hits": "TCP: out of memory -- consider tuning tcp_mem",
    "unclear_hits": "Out of socket memory",
}
"""By the label of the perfdata that counts it."""

NEEDED = {
    "orphan_hits": len("TCP: too many orphaned"),
    "memory_hits": len("TCP: out of mem"),
    "unclear_hits": len("Out of socket mem"),
}
"""So much of a message must be there to be known for what it is."""

QUIET = settings(
    max_examples=320,
    stateful_step_count=50,
    deadline=None,
    derandomize=True,
    # To shrink a schedule takes minutes, and is for who looks for the reason.
    phases=[Phase.generate] if os.environ.get("CI") == "true" else [Phase.generate, Phase.shrink],
    database=None,
    suppress_health_check=list(HealthCheck),
)


class Hit(NamedTuple):
    """One line that counts."""

    number: int
    label: str
    when: float
    times: int


class World:
    """What the replaced functions of the suite see."""

    now = monotonic = boottime = 0.0
    boot = ""
    ring: kmsg.Ring
    during: Callable[[], None] | None = None
    """Happens while a check runs: before the file with the number ``at`` is opened."""
    at = 0

    @classmethod
    def clock(cls, _root: str) -> clock.Clock:
        return clock.Clock(cls.now, cls.monotonic, cls.boottime, cls.boot)

    @classmethod
    def opening(cls) -> None:
        if cls.during and cls.at == 0:
            during, cls.during = cls.during, None
            during()
        cls.at -= 1


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    opened = log_blocks.opened

    def opening(path: str) -> Any:
        World.opening()
        return opened(path)

    monkeypatch.setattr(clock, "read", World.clock)
    monkeypatch.setattr(log_blocks, "opened", opening)
    monkeypatch.setattr(kmsg, "read", lambda _path: World.ring)
    # What a power cut leaves behind is not the question here.
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    yield
    monkeypatch.undo()
    time.tzset()


def command(*arguments: str) -> Output:
    """The whole command in this process."""
    nagiosplugin.Runtime.instance = None  # type: ignore[assignment]
    printed, complaint = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(complaint):
        with pytest.raises(SystemExit) as exit:
            check_tcp_kernel_log.main(list(arguments))
    assert complaint.getvalue() == ""
    assert exit.value.code in (0, 1, 2, 3)
    assert "internal error" not in printed.getvalue(), printed.getvalue()
    return Output(exit.value.code, printed.getvalue())


def reported(output: Output) -> dict[str, int]:
    """The counts of a check, 0 for what it does not print."""
    return {label: int(output.perfdata.get(label, "0").partition(";")[0]) for label in (*MESSAGES, "suppressed")}


def totals(hits: set[Hit]) -> dict[str, int]:
    return {label: sum(hit.times for hit in hits if hit.label == label) for label in (*MESSAGES, "suppressed")}


def judged(output: Output, blind: bool) -> None:
    """The exit code fits what is counted."""
    counts = reported(output)
    if blind:
        assert output.code == 3
    elif counts["memory_hits"]:
        assert output.code == 2
    elif any(counts[label] for label in MESSAGES):
        assert output.code == 1
    else:
        assert output.code == 0


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


class Files(RuleBasedStateMachine):
    """``--file`` with a log that is rotated."""

    steps = 0
    checks = 0

    def __init__(self) -> None:
        super().__init__()
        shm = "/dev/shm"
        self.place = pathlib.Path(tempfile.mkdtemp(dir=shm if os.access(shm, os.W_OK) else None))
        self.log = self.place / "log/kern.log"
        self.log.parent.mkdir()
        World.boot, World.during = "b" * 32, None
        self.number = 0
        self.used: dict[tuple[float, int], int] = {}
        self.generation = 0
        self.stepped = 0
        self.half: Half | None = None
        self.copying: Real | None = None
        self.packing: Real | None = None
        self.rotated: list[Real] = []
        """Newest first."""
        self.seen: dict[str, set[Hit]] = {name: set() for name in WINDOWS}

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
        log_blocks.BLOCK, log_blocks.LEAD = block, 900
        self.current: Real | None = Real("kern.log")
        self.writer = self.current
        self.descriptor = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._put(self._line("Linux version 6.1.0"), None)

    def teardown(self) -> None:
        log_blocks.BLOCK, log_blocks.LEAD = BLOCK, LEAD
        if hasattr(self, "descriptor"):
            os.close(self.descriptor)
        shutil.rmtree(self.place)

    # Writing

    def _line(self, message: str, tag: str = "kernel: ") -> bytes:
        moment = time.gmtime(World.now)
        if self.style == "traditional":
            return (time.strftime("%b %e %H:%M:%S", moment) + f" web1 {tag}{message}\n").encode()
        if self.style == "iso":
            return (time.strftime("%Y-%m-%dT%H:%M:%S.000000+00:00", moment) + f" web1 {tag}{message}\n").encode()
        return (time.strftime("<6>1 %Y-%m-%dT%H:%M:%SZ", moment) + f" web1 kernel - - - {message}\n").encode()

    def _distinct(self, further: int = 0) -> None:
        """Let seconds pass until stamp and offset are new; see above."""
        place = self.writer.size + further
        while self.used.setdefault((World.now, place), self.generation) != self.generation:
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

    def _step(self) -> None:
        type(self).steps += 1

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

    @precondition(lambda self: self.stepped < 3000)
    @rule(seconds=st.integers(1, 1000))
    def set_clock_back(self, seconds: int) -> None:
        self._step()
        self.stepped += seconds
        World.now -= seconds

    # Rotation

    def _shift(self) -> str:
        """Make room for the newest rotated file; its name."""
        if self.dated:
            day = time.strftime("%Y%m%d", time.gmtime(World.now))
            self.number += 1
            return f"kern.log-{day}-{self.number:06d}"
        for place in range(len(self.rotated), 0, -1):
            file = self.rotated[place - 1]
            _stem, ending = os.path.splitext(file.name)
            name = f"kern.log.{place + 1}{ending if ending == self.ending else ''}"
            os.rename(self.log.parent / file.name, self.log.parent / name)
            file.name = name
        return "kern.log.1"

    def _rename(self, create: bool) -> None:
        assert self.current
        if self.packing:
            self._pack()
        self.current.name = self._shift()
        os.rename(self.log, self.log.parent / self.current.name)
        self.rotated.insert(0, self.current)
        self.current = None
        if create:
            self._create()

    def _create(self) -> None:
        os.close(os.open(self.log, os.O_WRONLY | os.O_CREAT))
        os.utime(self.log, (World.now, World.now))
        self.current = Real("kern.log")

    @precondition(lambda self: self.current and not self.copying)
    @rule(create=st.booleans())
    def rename(self, create: bool) -> None:
        """The daemon goes on writing into the old file."""
        self._step()
        self._rename(create)

    @precondition(lambda self: self.current is not self.writer)
    @rule()
    def reopen(self) -> None:
        """The daemon writes into the new file; half a line goes to the old one whole."""
        self._step()
        if self.half:
            self.write_rest()
        if not self.current:
            self._create()
        assert self.current
        self.writer = self.current
        self.generation += 1
        os.close(self.descriptor)
        self.descriptor = os.open(self.log, os.O_WRONLY | os.O_APPEND)

    @precondition(lambda self: self.current is self.writer and not self.copying and not self.packing)
    @rule()
    def copy(self) -> None:
        """The first half of copytruncate."""
        self._step()
        assert self.current
        name = self._shift()
        self.copying = self.current.copy(name)
        self.rotated.insert(0, self.copying)
        shutil.copyfile(self.log, self.log.parent / name)
        os.utime(self.log.parent / name, (World.now, World.now))

    def _truncate(self) -> None:
        os.truncate(self.log, 0)
        os.utime(self.log, (World.now, World.now))
        self.writer.hits, self.writer.size, self.writer.last = set(), 0, None
        self.generation += 1

    @precondition(lambda self: self.copying)
    @rule()
    def truncate_copied(self) -> None:
        self._step()
        self._truncate()
        self.copying = None

    @precondition(lambda self: self.current is self.writer and not self.copying)
    @rule()
    def truncate_in_place(self) -> None:
        self._step()
        self._truncate()

    def _packable(self) -> list[Real]:
        return [
            file
            for file in self.rotated
            if not file.name.endswith(self.ending) and file is not self.writer and file is not self.copying
        ]

    @precondition(lambda self: not self.packing and self._packable())
    @rule(share=st.integers(0, 99), data=st.data())
    def begin_compression(self, share: int, data: st.DataObject) -> None:
        """An incomplete file stands beside the complete one."""
        self._step()
        self.packing = data.draw(st.sampled_from(self._packable()))
        packed = self._packed(self.packing)
        target = self.log.parent / (self.packing.name + self.ending)
        target.write_bytes(packed[: len(packed) * share // 100])
        os.utime(target, (World.now, World.now))

    def _packed(self, file: Real) -> bytes:
        data = (self.log.parent / file.name).read_bytes()
        pack: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".xz": lzma.compress, ".bz2": bz2.compress}
        return pack[self.ending](data)

    @precondition(lambda self: self.packing)
    @rule()
    def end_compression(self) -> None:
        self._step()
        self._pack()

    def _pack(self) -> None:
        assert self.packing
        source = self.log.parent / self.packing.name
        target = self.log.parent / (self.packing.name + self.ending)
        target.write_bytes(self._packed(self.packing))
        written = source.stat().st_mtime
        os.utime(target, (written, written))
        source.unlink()
        self.packing.name += self.ending
        self.packing = None

    @precondition(
        lambda self: self.rotated and not self.packing and self.rotated[-1] not in (self.writer, self.copying)
    )
    @rule()
    def remove_oldest(self) -> None:
        self._step()
        (self.log.parent / self.rotated.pop().name).unlink()

    @precondition(lambda self: self.rotated)
    @rule(name=st.sampled_from(["kern.log.77", "kern.log-20200101"]), kind=st.sampled_from(["link", "folder", "loop"]))
    def litter(self, name: str, kind: str) -> None:
        """What looks like a rotated file and is none."""
        self._step()
        path = self.log.parent / name
        if os.path.lexists(path):
            return
        if kind == "folder":
            path.mkdir()
        else:
            path.symlink_to("nowhere" if kind == "link" else name)

    # Checking

    @rule(window=st.sampled_from(list(WINDOWS)))
    def check(self, window: str) -> None:
        self._step()
        self._check(window)

    @precondition(lambda self: self.packing or (self.current and not self.copying))
    @rule(window=st.sampled_from(list(WINDOWS)), at=st.integers(0, 3), create=st.booleans())
    def check_under_rotation(self, window: str, at: int, create: bool) -> None:
        """A file is renamed, or its compression ends, while the check runs."""
        self._step()
        World.at = at
        World.during = self._pack if self.packing else lambda: self._rename(create)
        self._check(window)
        World.during = None

    def _check(self, window: str) -> None:
        type(self).checks += 1
        start = World.now - WINDOWS[window]
        visible: set[Hit] = set().union(*(file.hits for file in (*self.rotated, self.current) if file))
        output = command(
            *("--file", str(self.log), "--lookback", window, "--min-coverage", "0"),
            *("--procfs", str(self.place), "--state-dir", str(self.place / "state")),
        )
        known = {hit for hit in visible | self.seen[window] if hit.when >= start}
        assert reported(output) == totals(known), output.text
        blind = "cannot see the kernel log" in output.text
        judged(output, blind)
        if blind:
            self.seen[window] |= visible
        else:
            self.seen[window] = known


def test_rotated_files(world: None) -> None:
    run_state_machine_as_test(Files, settings=QUIET)
    assert Files.steps >= STEPS and Files.checks >= STEPS / 20, (Files.steps, Files.checks)


class Record(NamedTuple):
    """One record of the ring."""

    seq: int
    uptime: float
    message: str
    hit: Hit | None


class Ring(RuleBasedStateMachine):
    """``--source kmsg`` with a small ring that wraps between checks, a clock that is set, suspends and boots."""

    steps = 0
    checks = 0

    def __init__(self) -> None:
        super().__init__()
        shm = "/dev/shm"
        self.place = pathlib.Path(tempfile.mkdtemp(dir=shm if os.access(shm, os.W_OK) else None))
        World.now, World.during = float(calendar.timegm((2026, 11, 22, 16, 0, 0))), None
        World.monotonic = World.boottime = 0.0
        self.boots = self.number = 0
        self.born: dict[Hit, float] = {}
        """When a hit was printed, on the clock that nothing sets; ``elapsed``."""
        self.elapsed = 0.0
        self.slept: list[tuple[float, float]] = []
        """When the machine was suspended, and for how long."""
        self.seen: dict[str, set[Hit]] = {name: set() for name in WINDOWS}
        self.boot()

    def teardown(self) -> None:
        shutil.rmtree(self.place)

    def _step(self) -> None:
        type(self).steps += 1

    def _print(self, label: str | None, count: int = 1) -> None:
        self.number += 1
        hit = None
        message = f"eth{self.number}: link is up"
        if label:
            hit = Hit(self.number, label, 0.0, count)
            self.born[hit] = self.elapsed
            message = MESSAGES.get(label, f"net_ratelimit: {count} callbacks suppressed")
        # Printed half a second before the full one, so never at an edge of the window.
        self._advance(0.5)
        self.records.append(Record(self.next, World.monotonic, message, hit))
        if hit:
            self.born[hit] = self.elapsed
        self._advance(0.5)
        self.next += 1
        for record in self.records[: -self.room]:
            if record.hit:
                self.lost.add(record.hit)
        del self.records[: -self.room]

    def _advance(self, seconds: float) -> None:
        World.now += seconds
        World.monotonic += seconds
        World.boottime += seconds
        self.elapsed += seconds

    def boot(self) -> None:
        self.boots += 1
        World.boot = f"{self.boots:032x}"
        World.monotonic = World.boottime = 0.0
        self.records: list[Record] = []
        self.lost: set[Hit] = set()
        """Hits of this boot that have left the ring."""
        self.next = 0
        self.room = 8
        self._print(None)

    @rule(labels=st.lists(st.sampled_from([*MESSAGES, None]), min_size=1, max_size=6))
    def write(self, labels: list[str | None]) -> None:
        self._step()
        for label in labels:
            self._print(label)

    @rule(count=st.integers(1, 300))
    def write_limiter(self, count: int) -> None:
        self._step()
        self._print("suppressed", count)

    @rule(seconds=st.sampled_from([1, 60, 299, 300, 599, 600, 1800, 3600, 9000]))
    def wait(self, seconds: int) -> None:
        self._step()
        self._advance(seconds)

    @rule(seconds=st.integers(1, 4000))
    def suspend(self, seconds: int) -> None:
        self._step()
        World.now += seconds
        World.boottime += seconds
        self.slept.append((self.elapsed, seconds))
        self.elapsed += seconds

    @precondition(lambda self: self.boots == 1)
    @rule(seconds=st.integers(-100_000, 100_000))
    def set_clock(self, seconds: int) -> None:
        """What was printed before an earlier boot does not follow; so only within the first.

        And only with a check behind it: a clock that is set just before a boot leaves no trace.
        """
        self._step()
        World.now += seconds
        for window in WINDOWS:
            self.check(window, 0)

    @rule()
    def reboot(self) -> None:
        self._step()
        World.now += 60
        self.elapsed += 60
        self.boot()

    @rule(window=st.sampled_from(list(WINDOWS)), gap=st.sampled_from([0, 0, 0, 1, 2]))
    def check(self, window: str, gap: int) -> None:
        """``gap``: so many records are overwritten under the reader."""
        self._step()
        type(self).checks += 1
        read = list(self.records)
        if gap and len(read) > gap + 1:
            del read[1 : gap + 1]
        lines = [f"6,{record.seq},{round(record.uptime * 1e6)},-;{record.message}\n".encode() for record in read]
        World.ring = kmsg._ring(lines, None)
        output = command(
            *("--source", "kmsg", "--lookback", window, "--min-coverage", "0"),
            *("--procfs", str(self.place), "--state-dir", str(self.place / "state")),
        )
        visible = {record.hit for record in read if record.hit}
        known = visible | self.seen[window]
        length = WINDOWS[window]
        certain = {hit for hit in known if self.elapsed - self.born[hit] <= length}
        # A suspend makes what was printed before it look younger, by its own length.
        possible = {hit for hit in known if self.elapsed - self.born[hit] - self._asleep(hit) <= length}
        counts, least, most = reported(output), totals(certain), totals(possible)
        assert all(least[label] <= counts[label] <= most[label] for label in counts), (least, output.text, most)
        judged(output, blind=False)
        self.seen[window] = possible
        # What it claims to have seen holds no hit that was lost.
        claimed = float(output.perfdata["coverage"].partition("%")[0]) / 100 * length
        missed = {hit for hit in self.lost | {record.hit for record in self.records if record.hit} if hit not in known}
        assert not [hit for hit in missed if self.elapsed - self.born[hit] < claimed - 1], output.text

    def _asleep(self, hit: Hit) -> float:
        return sum(length for moment, length in self.slept if moment >= self.born[hit])


def test_ring(world: None) -> None:
    run_state_machine_as_test(Ring, settings=QUIET)
    assert Ring.steps >= STEPS and Ring.checks >= STEPS / 20, (Ring.steps, Ring.checks)
