"""Logs that are written damaged, by one who knows the truth: what happened, what was removed, shifted and planted.

Nothing here reads a log back. ``python -m workbench.log_damage N [FIRST [KIND]]`` checks N seeds, from FIRST on, of
files and rings, or of one kind (files, ring, journal), and prints the figures; the tests check some.
"""

from __future__ import annotations

import collections
import dataclasses
import os
import pathlib
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable

from workbench.command import Output
from workbench.log_command import LABELS, Moment, at, check, counted, coverage, no_counter

TEXTS = {
    "orphan_hits": ["TCP: too many orphaned sockets"],
    "memory_hits": ["TCP: out of memory -- consider tuning tcp_mem"],
    "unclear_hits": ["TCP: too many of orphaned sockets", "Out of socket memory"],
}
NOISE = [
    "usb 1-1: new high-speed USB device number 4", "eth0: link is up", "audit: type=1400 audit(1.1:2): apparmor=DENIED",
    "IN=eth0 OUT= SRC=192.0.2.1", "Out of memory: Killed process 7 (java)", "usb 1-1: Product: TCP: too many orphaned sockets",
    "EXT4-fs (sda1): re-mounted", "TCP: request_sock_TCP: Possible SYN flooding on port 80.", "x" * 300,
]  # fmt: skip
WINDOWS = {"1h": 3600.0, "6h": 21600.0, "1d": 86400.0}
MARGIN = 150.0
"""Seconds: no hit lies nearer to the start of a window, where stamps and rounding may decide."""
MINUTES = 310.0
"""Seconds: a log is complete to minutes before now, so this much of the end may be claimed unseen."""


@dataclasses.dataclass
class Hit:
    """A message of the kernel, and what became of it."""

    when: float
    label: str
    text: str
    kept: bool = True
    """Its line stands, whole and in a form that is understood, where the check looks."""
    lost: bool = False
    """Its line was removed together with what stood around it, which has to be said."""
    forgotten: bool = False
    """Its line was not understood for sure, and is gone: a run may know of it or not."""


@dataclasses.dataclass
class Truth:
    """What happened, and what can be known of it, at a moment."""

    moment: Moment
    window: float
    hits: list[Hit]
    seen: list[tuple[float, float]]
    """Spans, in seconds since the epoch, in which a hit would stand in the log, or an earlier run saw that."""
    damage: set[str]
    """Names of what was done; empty for a log that is as it should be and whose writer has just written."""

    def inside(self) -> list[Hit]:
        return [hit for hit in self.hits if self.moment.now - self.window <= hit.when <= self.moment.now]

    def share(self) -> float:
        """Percent of the window that was seen."""
        start, end = self.moment.now - self.window, self.moment.now
        reached, length = start, 0.0
        for begin, stop in sorted(self.seen):
            begin, stop = max(begin, reached), min(stop, end)
            if stop > begin:
                length, reached = length + stop - begin, stop
        return 100 * length / self.window


@dataclasses.dataclass
class Step:
    """A moment at which the check runs: the truth, the options, and what has to be done to the disk before."""

    prepare: Callable[[], None]
    truth: Truth
    options: list[str]


@dataclasses.dataclass
class Plan:
    """A log's life: what a seed stands for."""

    seed: int
    kind: str
    window: str
    steps: list[Step]
    zone: str = "UTC"


Maker = Callable[[int, pathlib.Path], Plan]


def broken(truth: Truth, output: Output) -> Iterable[str]:
    """The properties that a result breaks, in words."""
    inside = truth.inside()
    reported = counted(output)
    known = [hit for hit in inside if not hit.forgotten]
    unsaid = [hit for hit in known if not hit.lost]
    if output.code == 0 and unsaid:
        yield f"OK with {len(unsaid)} hits in the window"
    if output.code == 0 and known and coverage(output) > 99.9:
        yield f"OK and complete with {len(known)} hits in the window"
    for label in LABELS:
        there = sum(hit.label == label for hit in inside)
        if reported[label] > there:
            yield f"{reported[label]} {label}, but {there} in truth"
        kept = sum(hit.label == label and hit.kept for hit in inside)
        if output.code in (1, 2) and not truth.damage and reported[label] < kept:
            yield f"{reported[label]} {label}, but {kept} stand there"
    if output.code in (1, 2) and not inside:
        yield "an alarm without a hit"
    if coverage(output) > truth.share() + 100 * MINUTES / truth.window + 0.1:
        yield f"coverage {coverage(output):.1f} %, but {truth.share():.1f} % in truth"
    if not truth.damage and output.code == 3:
        yield "UNKNOWN, and nothing is wrong with the log"


def judge(plan: Plan, folder: pathlib.Path, state: bool = True) -> tuple[list[str], list[Output]]:
    """Run a plan: each step twice, the second time with nothing new. What is broken, and the outputs."""
    complaints, outputs = [], []
    memory = ["--state-dir", str(folder / "state")] if state else ["--no-state"]
    for number, step in enumerate(plan.steps):
        step.prepare()
        arguments = [*step.options, "--lookback", plan.window, "--procfs", str(no_counter(folder)), *memory]
        with at(step.truth.moment, plan.zone):
            output = check(*arguments)
            again = check(*arguments) if state and number == len(plan.steps) - 1 else output
        found = list(broken(step.truth, output))
        if counted(again) != counted(output) or again.code != output.code:
            found.append(f"the next run says {again.text!r}")
        outputs.append(output)
        if found:
            told = ", ".join(sorted(step.truth.damage)) or "nothing"
            complaints.append(
                f"{plan.kind} seed {plan.seed}, run {number + 1}, damage: {told}: {'; '.join(found)}: {output.text.strip()}"
            )
    return complaints, outputs


def hits_of(random: random.Random, now: float, window: float, since: float) -> list[Hit]:
    """Hits, some in the window and some long before it; several of one text in one second at times."""
    made: list[Hit] = []
    groups = random.choice([0, 0, 1, 1, 2, 3])
    for _group in range(groups):
        start = max(now - window + MARGIN, since + 1)
        if start < now - 30:
            when = random.uniform(start, now - 20)
            label = random.choice(list(TEXTS))
            text = random.choice(TEXTS[label])
            made += [Hit(when, label, text) for _equal in range(random.choice([1, 1, 1, 2, 3, 10]))]
    if random.random() < 0.3 and now - window - 20 * MARGIN > since:
        label = random.choice(list(TEXTS))
        made.append(Hit(random.uniform(since, now - window - 10 * MARGIN), label, TEXTS[label][0]))
    return made


def explore(maker: Maker, seeds: Iterable[int], place: pathlib.Path) -> tuple[list[str], collections.Counter[int]]:
    """Make and judge the logs of ``seeds`` below ``place``: what is broken, and how often each state came."""
    complaints: list[str] = []
    codes: collections.Counter[int] = collections.Counter()
    for seed in seeds:
        folder = place / str(seed)
        folder.mkdir()
        found, outputs = judge(maker(seed, folder), folder)
        complaints += found
        codes.update(output.code for output in outputs)
        shutil.rmtree(folder)
    return complaints, codes


MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""Where thousands of files cost least; none for the usual place of temporary files."""


def main() -> None:
    """Check as many logs as the first argument says, from the seed on that is the second, of the kind that is the third."""
    from workbench import log_damage_files, log_damage_records

    number, first = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    makers = {
        "files": (log_damage_files.plan, 0.8), "ring": (log_damage_records.ring, 0.2),
        "journal": (log_damage_records.journal, 0.0),
    }  # fmt: skip
    if len(sys.argv) > 3:
        makers = {sys.argv[3]: (makers[sys.argv[3]][0], 1.0)}
    begun = time.monotonic()
    complaints: list[str] = []
    codes: collections.Counter[int] = collections.Counter()
    with tempfile.TemporaryDirectory(dir=MEMORY) as place:
        for maker, share in makers.values():
            found, seen = explore(maker, range(first, first + round(number * share)), pathlib.Path(place))
            complaints += found
            codes += seen
    for complaint in complaints[:40]:
        print(complaint)
    told = ", ".join(f"{codes[code]} {name}" for code, name in enumerate(("OK", "WARNING", "CRITICAL", "UNKNOWN")))
    print(f"{number} logs, {told}; {len(complaints)} broken; {time.monotonic() - begun:.0f} s")
    sys.exit(bool(complaints))


if __name__ == "__main__":
    main()
