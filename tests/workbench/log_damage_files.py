"""Damaged log files: their daemons, parts, clocks and hosts; see workbench.log_damage."""

from __future__ import annotations

import bz2
import calendar
import dataclasses
import gzip
import lzma
import os
import pathlib
import random
import time

from workbench.log_command import Moment
from workbench.log_damage import NOISE, TEXTS, WINDOWS, Hit, Plan, Step, Truth, hits_of
from workbench.log_forms import render

STYLES = {
    "imklog": "{bsd} %s kernel: [{up}] {x}",
    "imjournal": "{bsd} %s kernel: {x}",
    "iso": "{iso_us} %s kernel: [{up}] {x}",
    "23format": "<6>1 {iso_us_z} %s kernel - - - {x}",
    "busybox": "{bsd} %s kern.info kernel: [{up}] {x}",
}
PROGRAMS = {
    "imklog": "{bsd} %s %s[7]: {x}",
    "imjournal": "{bsd} %s %s[7]: {x}",
    "iso": "{iso_us} %s %s[7]: {x}",
    "23format": "<78>1 {iso_us_z} %s %s 7 - - {x}",
    "busybox": "{bsd} %s cron.info %s[7]: {x}",
}
SHIFTABLE = ("imklog", "imjournal", "busybox")
"""Styles whose stamps name no zone."""
HOSTS = ["web1", "web1", "web1", "_gateway", "shop.info", "2001:db8::7", "192.0.2.7", "web1.example.org", "src@web9"]
PACK = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress, ".bz2": bz2.compress}
ZONES = {"Europe/Berlin": 3600.0, "Asia/Kolkata": 19800.0, "America/New_York": -18000.0, "UTC": 0.0}


@dataclasses.dataclass
class Line:
    """What the daemon wrote in one go, at the true time ``when``."""

    when: float
    data: bytes
    hit: Hit | None = None
    stray: bool = False
    """Its stamp has nothing to do with that time."""


class Writer:
    """One daemon, one file, one life; and what was done to it."""

    def __init__(self, seed: int, folder: pathlib.Path) -> None:
        self.random = random.Random(seed)
        self.folder = folder / "log"
        self.folder.mkdir()
        self.seed = seed
        pick = self.random
        self.window = pick.choice(list(WINDOWS))
        self.span = WINDOWS[self.window]
        year, month, day = pick.choice([(2026, 11, 22), (2027, 1, 1), (2028, 2, 29), (2026, 7, 5)])
        self.now = calendar.timegm((year, month, day, pick.randrange(24), pick.randrange(60), 0)) + pick.random()
        self.start = self.now - self.span - pick.choice([7200.0, 86400.0, 5 * 86400.0])
        self.booted = self.start - pick.choice([60.0, 86400.0, 90 * 86400.0])
        self.style = pick.choice(list(STYLES))
        self.host = pick.choice(HOSTS)
        self.damage: set[str] = set()
        self.zone, self.shift = "UTC", 0.0
        self.stop = self.now
        self.seldom = False
        """Whether programs write so few lines that a day without one is nothing strange."""
        self.dropped: tuple[float, float] | None = None
        """When the daemon stored nothing, as it says at the end of it."""
        self.name = pick.choice(["kern.log", "messages", "syslog", "local.log"])

    def chance(self, share: float, name: str) -> bool:
        """Whether a damage is done."""
        done = self.random.random() < share
        if done:
            self.damage.add(name)
        return done

    # What is written

    def kernel(self, when: float, text: str, hit: Hit | None = None, host: str = "") -> Line:
        form = STYLES[self.style] % (host or self.host)
        return Line(when, render(form, text, when + self.shift, self.booted + self.shift) + b"\n", hit)

    def program(self, when: float, text: str = "(root) CMD (job)", tag: str = "CRON") -> Line:
        form = PROGRAMS[self.style] % (self.host, tag)
        return Line(when, render(form, text, when + self.shift, self.booted + self.shift) + b"\n")

    def write(self) -> None:
        """The life of the log as it would have been, the shape of its clock and hosts apart."""
        pick = self.random
        if self.style in SHIFTABLE and self.chance(0.15, "zone"):
            self.zone = pick.choice(list(ZONES))
            self.shift = pick.choice([x for x in ZONES.values() if x != ZONES[self.zone]])
        elif self.style in SHIFTABLE:
            self.zone = pick.choice(list(ZONES)) if pick.random() < 0.3 else "UTC"
            self.shift = ZONES[self.zone]
            if self.shift and calendar.timegm((2026, 6, 1, 0, 0, 0)) < self.now < calendar.timegm(
                (2026, 9, 1, 0, 0, 0)
            ):
                self.zone, self.shift = "UTC", 0.0  # Summer time is no subject here.
        if self.chance(0.2, "stopped"):
            self.stop = self.now - pick.choice([600.0, 2000.0, 0.4 * self.span, 0.9 * self.span, 3 * self.span])
            self.stop = max(self.stop, self.start + 60)
        self.hits = hits_of(pick, self.now, self.span, self.start)
        lines = [self.kernel(self.start, "Linux version 6.1.0")]
        lines += [self.kernel(hit.when, hit.text, hit, self._any_host()) for hit in self.hits]
        for _noise in range(pick.randrange(3, 30)):
            lines.append(self.kernel(pick.uniform(self.start, self.now - 3), pick.choice(NOISE)))
        if not self.chance(0.15, "kernel lines only"):
            step = pick.choice([300.0, 900.0, 1700.0]) * self.span / 3600
            self.seldom = step > 1800
            moment = self.start + pick.uniform(1, step)
            while moment < self.now - 2:
                lines.append(self.program(moment))
                moment += step
            lines.append(self.program(self.now - pick.uniform(1, 240)))
        if pick.random() < 0.3:
            lines.append(self.program(pick.uniform(self.start, self.now - 9), TEXTS["memory_hits"][0], "app"))
        lines.sort(key=lambda line: line.when)
        self.lines = [line for line in lines if line.when <= self.stop]
        for hit in self.hits:
            if hit.when > self.stop:
                hit.kept, hit.lost = False, True

    def _any_host(self) -> str:
        return self.random.choice(HOSTS) if self.random.random() < 0.15 else ""

    # What is done to it

    def hurt(self) -> None:
        pick = self.random
        # A zone shows in the newest stamp and the file's own time: both are right where it is the question.
        if "zone" not in self.damage and self.chance(0.15, "stray stamps"):
            self._stray(pick.randrange(1, 6))
        if "zone" not in self.damage and self.chance(0.1, "stamps of the future"):
            self._future()
        if self.chance(0.1, "torn lines"):
            self._tear()
        if self.style == "imjournal" and self.chance(0.3, "two daemons"):
            self._double()
        if self.chance(0.1, "strange shapes"):
            self._strange()
        if self.chance(0.08, "messages lost"):
            self._drop()

    def _drop(self) -> None:
        """A rate limit, or a ring that was overwritten: what was lost is not there, and the daemon says so."""
        begin = self.random.uniform(self.start + 1, self.stop)
        end = begin + self.random.choice([5.0, 90.0, 600.0, 0.2 * self.span])
        if end > self.stop:
            return
        self.dropped = begin, end
        for line in self.lines:
            if line.hit and begin <= line.when <= end:
                line.hit.kept, line.hit.lost = False, True
        said = self.random.choice([
            ("imjournal: 406 messages lost due to rate-limiting (20000 allowed within 600 seconds)", "rsyslogd"),
            ("Missed 1427 kernel messages", "systemd-journald"),
        ])  # fmt: skip
        self.lines = [line for line in self.lines if not begin <= line.when <= end]
        self.lines.append(self.program(end, *said))
        self.lines.sort(key=lambda line: line.when)

    def _place(self) -> int:
        """Between the first line and the last."""
        return self.random.randrange(1, len(self.lines)) if len(self.lines) > 1 else 1

    def _stray(self, number: int) -> None:
        """Stamps of long ago, as syslog-ng's summaries and boots with a dead clock have them."""
        for _line in range(number):
            place = self._place()
            when = self.lines[place - 1].when
            ago = self.now - self.random.choice([30, 100, 300]) * 86400.0
            line = self.program(ago, "Last message 'x' repeated 2 times", "app")
            self.lines.insert(place, Line(when, line.data, stray=True))

    def _future(self) -> None:
        for _line in range(self.random.randrange(1, 3)):
            place = self._place()
            ahead = self.now + self.random.choice([2, 10, 40]) * 86400.0
            line = self.kernel(ahead, self.random.choice(NOISE), host="switch7")
            self.lines.insert(place, Line(self.lines[place - 1].when, line.data))
        # A hit with such a stamp: nobody can tell when it was, so it is no clean OK.
        inside = [line for line in self.lines if line.hit and line.hit.when > self.now - self.span]
        if inside and self.random.random() < 0.5:
            line = self.random.choice(inside)
            assert line.hit
            line.data = self.kernel(self.now + 864000.0, line.hit.text, host="switch7").data
            line.hit.kept = False

    def _tear(self) -> None:
        """Power is lost, or the disk is full, in a line that says nothing; what comes next stands on the same line."""
        for _line in range(self.random.randrange(1, 3)):
            place = self._place() % len(self.lines)
            line, following = self.lines[place], (self.lines[place + 1 :] or [None])[0]
            if not line.hit and following and following.hit and self.random.random() < 0.5:
                # A cut at a gap looks as if a program quoted the line.
                line.data = line.data[: self.random.randrange(3, 45)].rstrip()
                following.hit.kept = False
            elif not line.hit:
                line.data = line.data[: self.random.randrange(3, 25)] + bytes(self.random.choice([0, 0, 1, 700, 4096]))
                if not line.data.endswith(b"\0"):
                    line.data += b"\n"

    def _double(self) -> None:
        """imklog and imjournal both write what the kernel says."""
        both = []
        for line in self.lines:
            both.append(line)
            tag = b" kernel: "
            if tag in line.data and line.data.endswith(b"\n") and b"switch7" not in line.data:
                stamp = f"[{line.when - self.booted:12.6f}] ".encode()
                both.append(Line(line.when, line.data.replace(tag, tag + stamp, 1), line.hit))
        self.lines = both

    def _strange(self) -> None:
        """A hit in a shape that nobody has seen before."""
        for line in self.lines:
            if line.hit and self.random.random() < 0.5:
                up = f"[{line.when - self.booted:12.6f}]"
                line.data = self.random.choice([
                    f"web1 login: {up} {line.hit.text}\n", f"?? {up} kern {line.hit.text}\n", f"{up}: {line.hit.text}\n",
                ]).encode()  # fmt: skip
                line.hit.kept = False

    # On the disk

    def split(self, end: float) -> None:
        """When the file was rotated, by number or by date, and what happened to the parts."""
        pick = self.random
        self.dated = pick.random() < 0.3
        if self.dated:
            midnight = end - (end % 86400)
            self.cuts = sorted(midnight - 86400 * day for day in range(12) if midnight - 86400 * day > self.start)[-3:]
        else:
            self.cuts = sorted(pick.uniform(self.start, self.stop) for _part in range(pick.choice([0, 0, 1, 2, 3])))
        self.packing = pick.choice(list(PACK))
        self.gone: set[int] = set()
        self.begin = self.start
        self.old_times = bool(self.cuts) and "zone" not in self.damage and self.chance(0.1, "old modification times")
        # A log is not rotated while it is empty: where lines are few, or the kernel's alone, no date need be there.
        tells = not (self.dated and (self.seldom or "kernel lines only" in self.damage))
        if self.cuts and tells and self.chance(0.15, "missing part"):
            # Number 0 is the oldest.
            self.gone = {pick.randrange(len(self.cuts))}
        if self.chance(0.2, "trimmed"):
            self.begin = self.now - pick.choice([0.2, 0.45, 0.7, 1.1]) * self.span

    def lay(self, upto: float, begin: float) -> None:
        """The files as they are at ``upto``, without what was written before ``begin``."""
        for path in self.folder.iterdir():
            path.unlink()
        cuts = [cut for cut in self.cuts if cut <= upto]
        edges = [float("-inf"), *cuts, float("inf")]
        for number, (low, high) in enumerate(zip(edges, edges[1:])):
            lines = [line for line in self.lines if low <= line.when < high and begin <= line.when <= upto]
            last = number == len(edges) - 2
            if number in self.gone and not last:
                continue
            if high <= begin and not last:
                continue
            if number == 0 or number - 1 in self.gone or low <= begin:
                # What comes first has no neighbour before it by which it could be known as astray.
                while lines and lines[0].stray:
                    del lines[0]
            path, pack = self._part(len(edges) - 2 - number, high)
            data = b"".join(line.data for line in lines)
            path.write_bytes(PACK[pack](data))
            written = lines[-1].when if lines else low if low > 0 else upto
            if self.old_times and not last:
                written -= 10 * 86400
            os.utime(path, (written, written))

    def _part(self, age: int, until: float) -> tuple[pathlib.Path, str]:
        if not age:
            return self.folder / self.name, ""
        # logrotate's delaycompress leaves the youngest part plain.
        pack = self.packing if age > 1 else ""
        if self.dated:
            return self.folder / f"{self.name}-{time.strftime('%Y%m%d', time.gmtime(until))}{pack}", pack
        return self.folder / f"{self.name}.{age}{pack}", pack

    def seen(self, upto: float, begin: float) -> list[tuple[float, float]]:
        """The spans in which what the kernel said stands in the files."""
        edges = [self.start, *[cut for cut in self.cuts if cut <= upto], upto]
        spans = []
        for number, (low, high) in enumerate(zip(edges, edges[1:])):
            if not (number in self.gone and number < len(edges) - 2):
                spans.append((max(low, begin), min(high, self.stop)))
        if self.dropped:
            begin, end = self.dropped
            spans = [part for low, high in spans for part in ((low, min(high, begin)), (max(low, end), high))]
        return [(low, high) for low, high in spans if low < high]

    def truth(self, now: float, begin: float, known: list[tuple[float, float]]) -> Truth:
        seen = self.seen(now, begin)
        hits = []
        for hit in self.hits:
            there = any(low <= hit.when <= high for low, high in seen)
            before = any(low <= hit.when <= high for low, high in known)
            # What a run saw is kept by the memory between runs, wherever its line has gone.
            forgotten = not there and not hit.kept and not hit.lost
            lost = hit.lost or not (there or before)
            hits.append(dataclasses.replace(hit, kept=hit.kept and there, lost=lost, forgotten=forgotten))
        moment = Moment(now, now - self.booted)
        return Truth(moment, self.span, [hit for hit in hits if hit.when <= now], [*seen, *known], set(self.damage))


def plan(seed: int, folder: pathlib.Path) -> Plan:
    """Two runs, minutes apart; between them the log is rotated, or loses its head."""
    writer = Writer(seed, folder)
    writer.write()
    writer.hurt()
    writer.split(writer.now)
    earlier = writer.now - writer.random.choice([60.0, 300.0, 900.0])
    later = writer.begin
    if writer.random.random() < 0.3:
        later = max(later, writer.now - writer.random.uniform(0.1, 1.2) * writer.span)
        writer.damage.add("trimmed between the runs")
    options = ["--file", str(writer.folder / writer.name)]
    first = writer.truth(earlier, writer.begin, [])
    second = writer.truth(writer.now, later, first.seen)
    # At the first run its newest line may be older than a log that is alive would have it.
    first.damage.add("first run")
    return Plan(
        seed, "files", writer.window,
        [
            Step(lambda: writer.lay(earlier, writer.begin), first, options),
            Step(lambda: writer.lay(writer.now, later), second, options),
        ],
        writer.zone,
    )  # fmt: skip
