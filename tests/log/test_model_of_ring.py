"""The log check against a model of the ring that knows the truth: no hit is lost, none is counted twice.

Random schedules of messages, clock changes, suspends, boots and checks. After each
check the whole command must report the hits of the window that were there to be
read, now or in an earlier check, and claim to have seen nothing that it had not.
"""

from __future__ import annotations

import calendar
from typing import NamedTuple

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tcp_headroom.log import kmsg
from workbench.log_model import MESSAGES, WINDOWS, Hit, Model, World, explore, judged, reported, totals, world


class Record(NamedTuple):
    """One record of the ring."""

    seq: int
    uptime: float
    message: str
    hit: Hit | None


class Ring(Model):
    """``--source kmsg`` with a small ring that wraps between checks, a clock that is set, suspends and boots."""

    def __init__(self) -> None:
        super().__init__()
        World.now = float(calendar.timegm((2026, 11, 22, 16, 0, 0)))
        self.boots = 0
        self.born: dict[Hit, float] = {}
        """When a hit was printed, on the clock that nothing sets; ``elapsed``."""
        self.elapsed = 0.0
        self.slept: list[tuple[float, float]] = []
        """When the machine was suspended, and for how long."""
        self.boot()

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
        read = list(self.records)
        if gap and len(read) > gap + 1:
            del read[1 : gap + 1]
        lines = [f"6,{record.seq},{round(record.uptime * 1e6)},-;{record.message}\n".encode() for record in read]
        World.ring = kmsg._ring(lines, None)
        output = self._command(window, "--source", "kmsg")
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
        # What several runs have seen need not be one piece, but where a hit was lost it is not the whole.
        claimed = float(output.perfdata["coverage"].partition("%")[0]) / 100 * length
        missed = {hit for hit in self.lost | {record.hit for record in self.records if record.hit} if hit not in known}
        assert claimed < length or not [hit for hit in missed if self.elapsed - self.born[hit] < length - 1], (
            output.text
        )

    def _asleep(self, hit: Hit) -> float:
        return sum(length for moment, length in self.slept if moment >= self.born[hit])


@pytest.mark.slow
def test_ring(world: None) -> None:
    explore(Ring)
