"""A virtual day of a boring host, with a rotation at midnight and a reboot in the morning.

The check runs as it is installed, with its default options: in a mount namespace where ``/var/log``, ``/run/log``
and ``/dev/kmsg`` are those of the host. ``python -m workbench.boring_day [--every-minute] [NAME...]`` runs the days
of the hosts whose name begins so, and prints what was wrong.
"""

from __future__ import annotations

import calendar
import contextlib
import gzip
import importlib
import lzma
import os
import pathlib
import pkgutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import tcp_headroom
from tcp_headroom.proc import netstat, reading
from workbench import journals
from workbench.boring_hosts import BURST, DAY, HOSTS, HOUR, KERN, MINUTE, File, Host
from workbench.command import Output
from workbench.log_command import Moment, at, check, total
from workbench.log_forms import render

DAWN = float(calendar.timegm((2026, 11, 21, 18, 0, 0)))
"""When the day begins."""
MIDNIGHT = DAWN + 6 * HOUR + 7
REBOOT = DAWN + 13.5 * HOUR
NOBODY = 65534
LOG, RUN, KMSG, MACHINE = "/var/log", "/run/log", "/dev/kmsg", "/etc/machine-id"
OF_MACHINE = "a" * 32
PACK = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress}
MEMORY = "TCP: out of memory -- consider tuning tcp_mem"

MODES = ("the counter is 0", "the counter is not 0", "with state")


class Day:
    """The machine that a host is, moved forward in time."""

    def __init__(self, host: Host, mode: str, place: pathlib.Path) -> None:
        self.host, self.mode = host, mode
        self.place = place
        self.booted = DAWN - host.up
        self.boots = 0
        self.counter = 0 if mode == MODES[0] else 7
        self.ring: list[tuple[int, int, float, str]] = []
        self.seq = 0
        self.last_line = 0.0
        """When a daemon last wrote a line that the check's user may read."""
        self.stopped = False
        """The syslog daemon runs no more, so nothing comes into its files."""
        self.files_without_kernel = False
        """The daemon writes none of the kernel's lines any more."""
        self.waiting: list[dict[str, str | bytes]] = []
        self.journal: pathlib.Path | None = None
        for path in (LOG, RUN):
            for old in pathlib.Path(path).iterdir():
                subprocess.run(["rm", "-rf", old], check=True)
        if host.journal:
            root = LOG if host.journal == "persistent" else RUN
            self.journal = pathlib.Path(root, "journal", OF_MACHINE, "system.journal")
            self.journal.parent.mkdir(parents=True)
        for file in host.files:
            self._create(file, self.booted)
        self.events = sorted(self._events(), key=lambda event: event[0])

    def _events(self) -> Iterator[tuple[float, str, str]]:
        """What happens from the boot before the day to its end."""
        host = self.host
        yield self.booted, "boot", ""
        yield REBOOT, "boot", ""
        yield from ((DAWN - ago, "rotate", "") for ago in host.rotated)
        yield MIDNIGHT, "rotate", ""
        began = max(self.booted, DAWN - 8 * DAY)
        if host.cron_every:
            yield from ((moment, "cron", "") for moment in self._times(began, host.cron_every))
        if host.kernel_every:
            for number, moment in enumerate(self._times(max(began, DAWN - 2 * HOUR), host.kernel_every)):
                yield moment, "kernel", host.kernel_text.format(n=number % 251)

    def _times(self, began: float, every: float) -> Iterator[float]:
        moment = began + 0.4 * every + 60
        while moment < DAWN + DAY:
            # While the machine is down nothing is written.
            if not REBOOT - 1 < moment < REBOOT + MINUTE:
                yield moment
            moment += every

    # What the host does

    def forward(self, now: float) -> None:
        """Let everything happen up to ``now``."""
        while self.events and self.events[0][0] <= now:
            when, what, text = self.events.pop(0)
            if what == "boot":
                self._boot(when)
            elif what == "rotate":
                for file in self.host.files:
                    self._rotate(file, when)
            elif what == "cron":
                self._program(when)
            else:
                self.kernel(when, text, self.host.kernel_level, quiet=True)
        if self.journal and self.waiting:
            journals.write(self.journal, self.waiting)
            self.journal.chmod(0o644 if self.host.reads_journal else 0o600)
            self.waiting = []
        self._write_ring(now)

    def _boot(self, when: float) -> None:
        if self.boots:
            self.counter = 0
        self.boots += 1
        self.booted, self.ring, self.seq = when, [], 0
        if self.journal and self.host.journal == "volatile":
            self.journal.unlink(missing_ok=True)
            self.waiting = []
        dead = self.host.dead_clock and self.boots > 1
        for number, text in enumerate(BURST):
            self.kernel(when + 0.4 * number, text, 5 if number else 6, stamped=3.0 if dead else when + 8)
        self._program(when + 9)

    def kernel(self, when: float, text: str, level: int, quiet: bool = False, stamped: float = 0) -> None:
        """A record of the kernel: into the ring, and from there into what else reads it."""
        self.ring.append((level, self.seq, when, text))
        self.seq += 1
        del self.ring[: -self.host.ring]
        if quiet and self.host.ring_alone:
            return
        if self.journal:
            fields = {"PRIORITY": str(level), "_HOSTNAME": "web1", "_MACHINE_ID": OF_MACHINE}
            entry = journals.kernel(max(when, stamped), when - self.booted, self._boot_id(), text, **fields)
            self.waiting.append(entry)
            self._wrote(when, self.host.reads_journal)
        if (quiet and self.host.dropped) or self.files_without_kernel:
            return
        for file in self.host.files:
            # printk's own stamp is right whatever the clock of the day shows.
            line = render(self.host.line, text, stamped or when, (stamped or when) - (when - self.booted))
            self._append(file, line, max(when, stamped))

    def _program(self, when: float) -> None:
        if self.journal:
            fields = {
                "_TRANSPORT": "syslog",
                "SYSLOG_IDENTIFIER": "CRON",
                "MESSAGE": "job",
                "PRIORITY": "6",
                "_UID": "0",
            }
            entry = journals.entry(when, when - self.booted, self._boot_id(), _MACHINE_ID=OF_MACHINE, **fields)
            self.waiting.append(entry)
            self._wrote(when, self.host.reads_journal)
        for file in self.host.files:
            if file.facilities != KERN:
                self._append(file, render(self.host.program, "", when, self.booted), when)
                if self.host.stray:
                    name = pathlib.Path(LOG, file.path)
                    with open(name, "ab") as log:
                        log.write(b"Dec 31 23:59:58 web1 syslog-ng[7]: Last message 'x' repeated 2 times\n")
                    os.utime(name, (when, when))

    def _append(self, file: File, line: bytes, when: float) -> None:
        if self.stopped:
            return
        path = pathlib.Path(LOG, file.path)
        with open(path, "ab") as log:
            log.write(line + b"\n")
        os.utime(path, (when, when))
        self._wrote(when, not file.root_alone)

    def _wrote(self, when: float, readable: bool) -> None:
        if readable or not self.host.agent:
            self.last_line = when

    def _create(self, file: File, when: float) -> None:
        path = pathlib.Path(LOG, file.path)
        path.touch()
        path.chmod(0o600 if file.root_alone else 0o644)
        os.utime(path, (when, when))

    def _rotate(self, file: File, when: float) -> None:
        """As logrotate does, the youngest part left plain; busybox has but one."""
        path = pathlib.Path(LOG, file.path)
        if not path.stat().st_size and not file.empty:
            return
        mode = path.stat().st_mode
        if file.dated:
            young = path.with_name(f"{file.path}-{time.strftime('%Y%m%d', time.gmtime(when))}{file.pack}")
            self._move(path, young, file.pack)
            for old in sorted(path.parent.glob(f"{file.path}-*"))[:-4]:
                old.unlink()
        else:
            for number in range(4, file.first - 1, -1):
                for pack in {"", file.pack}:
                    old = path.with_name(f"{file.path}.{number}{pack}")
                    if old.exists() and (number == 4 or not file.first):
                        old.unlink()
                    elif old.exists():
                        self._move(
                            old, path.with_name(f"{file.path}.{number + 1}{file.pack}"), "" if pack else file.pack
                        )
            self._move(path, path.with_name(f"{file.path}.{file.first}"), "")
        self._create(file, when)
        path.chmod(mode)

    @staticmethod
    def _move(path: pathlib.Path, to: pathlib.Path, pack: str) -> None:
        known = path.stat()
        if pack:
            to.write_bytes(PACK[pack](path.read_bytes()))
            to.chmod(known.st_mode)
            path.unlink()
        else:
            path.rename(to)
        os.utime(to, (known.st_mtime, known.st_mtime))

    def _boot_id(self) -> str:
        return str(self.boots) * 32

    def _write_ring(self, now: float) -> None:
        """A file takes the place of the device: its last record, one of user space, tells how old the others are."""
        records = [*self.ring, (14, self.seq, now, "agent: alive")]
        lines = [f"{level},{seq},{round((when - self.booted) * 1e6)},-;{text}\n" for level, seq, when, text in records]
        path = self.place / "kmsg"
        path.write_text("".join(lines))
        path.chmod(0o644 if self.host.reads_ring or not self.host.agent else 0o600)
        os.utime(path, (now, now))

    # The check

    def check(self, now: float) -> Output:
        state = ["--state-dir", str(self.place / "state")] if self.mode == MODES[2] else ["--no-state"]
        with at(Moment(now, now - self.booted, self._boot_id())), user(self.host.agent):
            return check(*state)

    def bound(self, now: float) -> bool:
        """Whether the result has to be OK now."""
        if self.mode == MODES[1]:
            return self.counter == 0 or (self.host.proven and now - self.last_line < 1800)
        return self.mode == MODES[0] or now > DAWN + 2 * HOUR


@contextlib.contextmanager
def user(agent: bool) -> Iterator[None]:
    """Within, files are opened with the rights of an agent."""
    if agent:
        os.setegid(NOBODY)
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


STEPS = {MODES[0]: (120, 5), MODES[1]: (47, 1), MODES[2]: (30, 5)}
"""Minutes between two runs: at most times, and around what happens."""


def minutes(mode: str, every: bool) -> Iterator[float]:
    """When the check runs: most often around what happens, else as time allows."""
    seldom, often = (1, 1) if every else STEPS[mode]
    for minute in range(24 * 60):
        now = DAWN + 60 * minute + 30
        near = -5 * MINUTE < now - MIDNIGHT < 10 * MINUTE or -2 * MINUTE < now - REBOOT < 14 * MINUTE
        if not minute % (often if near else seldom) and not REBOOT <= now < REBOOT + MINUTE:
            yield now


@contextlib.contextmanager
def begun(host: Host, mode: str, place: pathlib.Path) -> Iterator[Day]:
    """The day of a host, at its dawn; the ring and the counter are the host's."""
    place.mkdir()
    owner = NOBODY if host.agent else 0
    (place / "state").mkdir(mode=0o700)
    os.chown(place / "state", owner, owner)
    day = Day(host, mode, place)
    day.forward(DAWN)
    subprocess.run(["mount", "--bind", place / "kmsg", KMSG], check=True)
    inner = reading.read

    def read(root: str, name: str) -> str:
        if name == netstat.FILE:
            return f"TcpExt: A TCPAbortOnMemory\nTcpExt: 5 {day.counter}\n"
        return inner(root, name)

    reading.read = read
    try:
        yield day
    finally:
        reading.read = inner
        subprocess.run(["umount", KMSG], check=True)


def live(host: Host, mode: str, every: bool, place: pathlib.Path) -> list[str]:
    """One day: the results that are wrong."""
    wrong = []
    with begun(host, mode, place) as day:
        for now in minutes(mode, every):
            day.forward(now)
            output = shown = day.check(now)
            if output.code in (1, 2) or (output.code and day.bound(now)):
                told = time.strftime("%H:%M", time.gmtime(now))
                wrong.append(f"{host.name}, {mode}, {told}: {output.text.strip()}")
        # Such a host is not blind: a message is seen at once.
        day.kernel(now + 60, MEMORY, 6)
        day.counter += 1
        day.forward(now + 90)
        output = day.check(now + 90)
        if "--show" in sys.argv:
            print(f"{host.name}, {mode}: {shown.text.strip()}\n    with a message: {output.text.strip()}")
        if (output.code, total(output)) != (2, 1):
            wrong.append(f"{host.name}, {mode}, with a message: {output.text.strip()}")
    return wrong


@contextlib.contextmanager
def namespace() -> Iterator[pathlib.Path]:
    """Logs of a machine of its own, for a process in a mount namespace of its own; and a place for the rest."""
    # All at once: an agent may be unable to read this checkout.
    for module in pkgutil.walk_packages(tcp_headroom.__path__, "tcp_headroom."):
        importlib.import_module(module.name)
    with tempfile.TemporaryDirectory() as temporary:
        place = pathlib.Path(temporary)
        place.chmod(0o755)
        for path in (LOG, RUN):
            os.makedirs(path, exist_ok=True)
            subprocess.run(["mount", "-t", "tmpfs", "none", path], check=True)
        (place / "machine-id").write_text(OF_MACHINE + "\n")
        subprocess.run(["mount", "--bind", place / "machine-id", MACHINE], check=True)
        yield place


def main() -> None:
    """Run the days, in a mount namespace of its own."""
    names = [name for name in sys.argv[1:] if not name.startswith("--")]
    every = "--every-minute" in sys.argv
    wrong = 0
    with namespace() as place:
        for number, host in enumerate(HOSTS):
            if names and not any(host.name == name for name in names):
                continue
            for mode in MODES:
                begun = time.perf_counter()
                found = live(host, mode, every, place / f"{number}-{MODES.index(mode)}")
                wrong += len(found)
                for line in found[:2]:
                    print(line)
                if len(found) > 2:
                    print(f"{host.name}, {mode}: and {len(found) - 2} more")
                if "--times" in sys.argv:
                    print(f"{host.name}, {mode}: {time.perf_counter() - begun:.1f} s")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
