"""Hosts that look boring in one place, while another shows or hides a message; what the check has to say of each.

``python -m workbench.faulty_days [NAME]``, in a mount namespace of its own, prints what was wrong; see boring_day.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

from workbench.boring_day import DAWN, MEMORY, MINUTE, MODES, REBOOT, Day, begun, namespace
from workbench.boring_hosts import BSD, BSD_CRON, DEBIAN, HOUR, File, Host
from workbench.command import Output
from workbench.log_command import total

NOON = DAWN + 5 * HOUR
ZERO, OTHER, STATE = MODES
OTHERS = [
    "usb 2-1: USB disconnect, device number 4",
    "eth0: link down",
    "eth0: link up",
    "md0: data-check done",
    "sda: write cache on",
]

ROOT = Host("root", DEBIAN, BSD, BSD_CRON, agent=False)
SMALL_RING = ROOT._replace(ring=4)
BOTH = Host("agent in both groups", DEBIAN, BSD, BSD_CRON, journal="persistent", reads_ring=False)
JOURNAL = BOTH._replace(files=())
ADM = Host("agent in adm", DEBIAN, BSD, BSD_CRON, reads_ring=False)


def stop(day: Day, ago: float = 3 * HOUR) -> None:
    """The syslog daemon dies ``ago`` seconds before noon."""
    day.forward(NOON - ago)
    day.stopped = True


def hits(day: Day, number: int, ago: float = 600.0) -> None:
    day.forward(NOON - ago)
    for _hit in range(number):
        day.kernel(NOON - ago, MEMORY, 6)
    day.counter += number


def others(day: Day, ago: float = 240.0) -> None:
    """The kernel says various things, which a small ring does not outlast."""
    for number, text in enumerate(OTHERS):
        day.kernel(NOON - ago + 30 * number, text, 6)
    day.forward(NOON - 60)


def seen_in_the_ring(day: Day) -> list[Output]:
    stop(day)
    hits(day, 3)
    return [look(day)]


def seen_in_the_ring_and_remembered(day: Day) -> list[Output]:
    stop(day)
    hits(day, 3)
    outputs = [look(day, NOON - 300)]
    others(day)
    return [*outputs, look(day)]


def seen_in_the_journal(day: Day) -> list[Output]:
    stop(day)
    hits(day, 2)
    return [look(day)]


def lost_from_the_ring(day: Day) -> list[Output]:
    stop(day)
    hits(day, 3)
    others(day)
    return [look(day)]


def stale_beside_the_ring(day: Day) -> list[Output]:
    """cron goes on in the files, but what the kernel says no longer comes there."""
    day.forward(NOON - 3 * HOUR)
    day.files_without_kernel = True
    day.forward(NOON - 900)
    others(day, 900.0)
    return [look(day)]


def filtered(day: Day) -> list[Output]:
    """No line of the kernel of this boot has come into the files, though the daemon lives."""
    day.forward(REBOOT - 60)
    day.files_without_kernel = True
    day.forward(REBOOT + 3 * HOUR)
    day.counter = 3
    return [day.check(REBOOT + 3 * HOUR)]


def before_the_boot(day: Day) -> list[Output]:
    """The ring begins with the boot, ten minutes ago; a file has the hit of half an hour ago."""
    day.forward(REBOOT - 20 * MINUTE)
    day.kernel(REBOOT - 20 * MINUTE, MEMORY, 6)
    day.forward(REBOOT + 10 * MINUTE)
    first = day.check(REBOOT + 10 * MINUTE)
    day.forward(REBOOT + 15 * MINUTE)
    return [first, day.check(REBOOT + 15 * MINUTE)]


@contextlib.contextmanager
def journalctl(day: Day, script: str) -> Iterator[None]:
    """Within, journalctl is a shell script, in which ``$real`` is the real one."""
    path = os.path.realpath("/usr/bin/journalctl")
    real, fake = day.place / "real-journalctl", day.place / "fake-journalctl"
    day.place.chmod(0o755)
    shutil.copy(path, real)
    fake.write_text(f"#!/bin/sh\nreal={real}\n{script}\n")
    fake.chmod(0o755)
    subprocess.run(["mount", "--bind", fake, path], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", path], check=True)


def with_journalctl(script: str, number: int = 2) -> Callable[[Day], list[Output]]:
    """A life in which the kernel speaks ``number`` times, and the check finds this journalctl."""

    def life(day: Day) -> list[Output]:
        hits(day, number)
        day.forward(NOON)
        with journalctl(day, script):
            return [day.check(NOON)]

    return life


def torn(day: Day) -> list[Output]:
    """A machine that lost power last month has left half a journal behind."""
    day.forward(NOON)
    assert day.journal
    left = day.journal.with_name("system@0005a1b2c3d4e5f6-1122334455667788.journal~")
    left.write_bytes(day.journal.read_bytes()[:5000] + bytes(3000))
    os.utime(left, (NOON - 30 * 86400, NOON - 30 * 86400))
    left.chmod(0o644)
    quiet = day.check(NOON)
    hits(day, 2, -60.0)
    return [quiet, look(day, NOON + 120)]


def look(day: Day, now: float = NOON) -> Output:
    day.forward(now)
    return day.check(now)


class Case(NamedTuple):
    name: str
    host: Host
    mode: str
    life: Callable[[Day], list[Output]]
    allowed: set[tuple[int, int]]
    """Exit code and number of hits, of each run."""
    words: str = ""
    """What each status line says."""


CRITICAL, UNKNOWN = 2, 3
NO_OK = {(1, 0), (UNKNOWN, 0)}
MUCH = 'i=0; while [ $i -lt 4000 ]; do echo "Journal file is one of which nobody has ever heard, $i" >&2; i=$((i+1)); done; exec $real "$@"'
OF_219 = """for word; do case $word in --output-fields*) echo "$0: unrecognized option '$word'" >&2; exit 1;; esac; done; exec $real "$@\""""

CASES = [
    Case("three hits in the ring, kern.log has stopped before", ROOT, OTHER, seen_in_the_ring, {(CRITICAL, 3)}),
    Case("the same with state", ROOT, STATE, seen_in_the_ring, {(CRITICAL, 3)}),
    Case("hits that only a former run saw in the ring", SMALL_RING, STATE, seen_in_the_ring_and_remembered, {(CRITICAL, 3)}),
    Case("hits in the journal, kern.log has stopped before", BOTH, OTHER, seen_in_the_journal, {(CRITICAL, 2)}),
    Case("hits lost from the ring, kern.log has stopped before", SMALL_RING, OTHER, lost_from_the_ring, NO_OK),
    Case("records of the ring that kern.log should hold", SMALL_RING, OTHER, stale_beside_the_ring, NO_OK),
    Case("files that get no line of the kernel", ADM, OTHER, filtered, NO_OK),
    Case("the same, one file", ADM._replace(files=(File("messages"),)), OTHER, filtered, NO_OK),
    Case("a hit from before the boot, in a file", ROOT, STATE, before_the_boot, {(CRITICAL, 1)}),
    Case("a hit from before the boot, in the journal", BOTH._replace(agent=False), STATE, before_the_boot, {(CRITICAL, 1)}),
    Case("a journalctl that complains at length", JOURNAL, OTHER, with_journalctl(MUCH), {(CRITICAL, 2)}),
    Case("a journalctl of systemd 219", JOURNAL, OTHER, with_journalctl(OF_219), {(CRITICAL, 2)}),
    Case("a journalctl of systemd 219, nothing to find", JOURNAL, ZERO, with_journalctl(OF_219, 0), {(0, 0)}),
    Case("a journalctl that hangs, beside a kern.log", BOTH, OTHER, with_journalctl("exec sleep 60"), {(CRITICAL, 2)}),
    Case("a torn journal of last month", JOURNAL, OTHER, torn, {(0, 0), (CRITICAL, 2)}),
    Case("a hit from before the boot, no state", ROOT, OTHER, before_the_boot, {(0, 0)}, "since the boot"),
]  # fmt: skip


def main() -> None:
    wrong = 0
    with namespace() as place:
        for number, case in enumerate(CASES):
            if sys.argv[1:] not in ([], [case.name]):
                continue
            with begun(case.host, case.mode, place / str(number)) as day:
                outputs = case.life(day)
            for output in outputs:
                status = output.text.partition(" | ")[0].strip()
                if (output.code, total(output)) not in case.allowed or case.words not in status:
                    wrong += 1
                    print(f"{case.name}: {output.code}, {total(output)} hits: {status}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
