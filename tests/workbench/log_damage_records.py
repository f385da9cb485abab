"""Damaged captures of the kernel's ring, and damaged journals; see workbench.log_damage."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import random

from workbench import journals
from workbench.log_command import Moment
from workbench.log_damage import NOISE, TEXTS, WINDOWS, Hit, Plan, Step, Truth, hits_of

NOW = 1_795_363_200.0
BOOT, OTHER_BOOT = "b" * 32, "e" * 32


@dataclasses.dataclass
class Record:
    when: float
    text: str
    hit: Hit | None = None
    priority: int = 6


class Records:
    """What a kernel said since its boot, and the spans of it that are still there."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        pick = self.random
        self.window = pick.choice(list(WINDOWS))
        self.span = WINDOWS[self.window]
        self.now = NOW + pick.randrange(10**7) + pick.random()
        self.booted = self.now - pick.choice([600.0, 0.5 * self.span, self.span + 3600, 30 * 86400.0])
        self.start = max(self.booted + 1, self.now - 2 * self.span)
        self.damage: set[str] = set()
        self.hits = hits_of(pick, self.now, self.span, self.start)
        self.lines = [Record(hit.when, hit.text, hit) for hit in self.hits]
        for _noise in range(pick.randrange(3, 60)):
            self.lines.append(
                Record(pick.uniform(self.start, self.now - 3), pick.choice(NOISE), None, pick.choice([6, 5, 4, 7, 6]))
            )
        self.lines.append(Record(self.start, "Linux version 6.1.0"))
        self.lines.append(Record(self.now - pick.uniform(1, 20), "eth0: link is up"))
        self.lines.sort(key=lambda record: record.when)
        self.holes: list[tuple[float, float]] = []
        # What can be read nowhere is no gap: a log counts from the boot on.
        self.from_boot = self.start == self.booted + 1
        self.begin = float("-inf") if self.from_boot else self.start

    def chance(self, share: float, name: str) -> bool:
        done = self.random.random() < share
        if done:
            self.damage.add(name)
        return done

    def lose(self) -> None:
        """The oldest are overwritten, or some in the middle."""
        pick = self.random
        before = self.booted if self.from_boot else float("-inf")
        if self.chance(0.3, "oldest lost"):
            gone = pick.randrange(1, len(self.lines))
            self.holes.append((before, self.lines[gone].when))
        if self.chance(0.2, "some lost"):
            first = pick.randrange(0, len(self.lines) - 1)
            last = min(len(self.lines) - 1, first + pick.randrange(1, 8))
            low = self.lines[first - 1].when if first else before
            if any(low < record.when < self.lines[last].when for record in self.lines):
                self.holes.append((low, self.lines[last].when))

    def lost(self, when: float) -> bool:
        return any(low < when < high for low, high in self.holes)

    def seen(self) -> list[tuple[float, float]]:
        edges = [(self.begin, self.now)]
        for low, high in self.holes:
            edges = [
                part
                for begin, end in edges
                for part in ((begin, min(end, low)), (max(begin, high), end))
                if part[0] < part[1]
            ]
        return edges

    def truth(self, known: list[tuple[float, float]], boot: str = BOOT) -> Truth:
        hits = []
        for hit in self.hits:
            away = self.lost(hit.when)
            before = any(low <= hit.when <= high for low, high in known)
            hits.append(dataclasses.replace(hit, kept=not away, lost=away and not before))
        moment = Moment(self.now, self.now - self.booted, boot)
        return Truth(moment, self.span, hits, [*self.seen(), *known], set(self.damage))


def ring(seed: int, folder: pathlib.Path) -> Plan:
    """A capture of the ring whose file is as old as its newest record; two runs, between them it loses more."""
    records = Records(seed)
    pick = records.random
    capture = folder / "kmsg"
    new_fields = pick.choice(["-", "-,caller=T39", "c", "-,caller=C0,more=1"])

    def lay() -> None:
        lines = []
        for number, record in enumerate(records.lines):
            if records.lost(record.when):
                continue
            usec = round((record.when - records.booted) * 1e6)
            lines.append(f"{record.priority},{number},{usec},{new_fields};{record.text}\n")
            if number % 7 == 0:
                lines.append(" SUBSYSTEM=net\n DEVICE=n2\n")
            lines += forged.get(number, [])
        capture.write_text("".join(lines))
        newest = max((record.when for record in records.lines if not records.lost(record.when)), default=records.now)
        os.utime(capture, (newest, newest))

    # Records of user space share the numbers; the kernel's never have their priority.
    forged: dict[int, list[str]] = {}
    if pick.random() < 0.3:
        place = pick.randrange(len(records.lines))
        text, priority = pick.choice(TEXTS["memory_hits"]), pick.choice([8, 12, 14, 30])
        records.lines.insert(place + 1, Record(records.lines[place].when, text, None, priority))
    if pick.random() < 0.5:
        records.lose()
    first = records.truth([])
    steps = [Step(lay, first, ["--kmsg", str(capture)])]
    holes = list(records.holes)

    def before() -> None:
        records.holes[:] = holes
        lay()

    steps[0].prepare = before
    records.lose()
    all_holes = list(records.holes)
    second = records.truth(first.seen)

    def after() -> None:
        records.holes[:] = all_holes
        lay()

    steps.append(Step(after, second, ["--kmsg", str(capture)]))
    return Plan(seed, "ring", records.window, steps)


def journal(seed: int, folder: pathlib.Path) -> Plan:
    """A directory of journal files, read by the real journalctl."""
    records = Records(seed)
    pick = records.random
    place = folder / "journal"
    this = {"_MACHINE_ID": "a" * 32, "_HOSTNAME": "web1"}
    if pick.random() < 0.5:
        records.lose()
    entries = []
    before = records.booted if records.from_boot else float("-inf")
    told: set[tuple[float, float]] = set()
    for record in records.lines:
        monotonic = record.when - records.booted
        if records.lost(record.when):
            hole = next((low, high) for low, high in records.holes if low < record.when < high)
            if hole[0] > before and hole not in told:
                # journald says so when the ring was faster than it.
                told.add(hole)
                missed = {"MESSAGE": "Missed 7 kernel messages", "MESSAGE_ID": "e9bf28e6e834481bb6f48f548ad13606"}
                entries.append((hole[1] - 0.001, {"_TRANSPORT": "driver", "PRIORITY": "5", **missed, **this}))
            continue
        fields = journals.kernel(record.when, monotonic, BOOT, record.text, PRIORITY=str(record.priority), **this)
        entries.append((record.when, fields))
    if pick.random() < 0.3:
        forged = {
            "_TRANSPORT": "syslog",
            "SYSLOG_IDENTIFIER": "kernel",
            "MESSAGE": TEXTS["memory_hits"][0],
            "PRIORITY": "6",
        }
        entries.append((records.now - 60, {**forged, "SYSLOG_FACILITY": "1", "_UID": "1000", **this}))
    system = [
        fields if "_BOOT_ID" in fields else journals.entry(when, when - records.booted, BOOT, **fields)
        for when, fields in sorted(entries, key=lambda each: each[0])
    ]
    oldest = pick.random() < 0.4

    def lay() -> None:
        journals.write(place / "system.journal", system)
        if oldest:
            # What a user's services say reaches back further than the system's.
            user = {"_TRANSPORT": "stdout", "MESSAGE": "x", "_UID": "1000", "SYSLOG_IDENTIFIER": "app", **this}
            when = records.now - 3 * records.span
            journals.write(place / "user-1000.journal", [journals.entry(when, 1.0, OTHER_BOOT, **user)])

    truth = records.truth([])
    return Plan(seed, "journal", records.window, [Step(lay, truth, ["--journal-dir", str(place)])])
