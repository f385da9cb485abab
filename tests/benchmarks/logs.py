"""Log files and captures of the ring: what the bytes outside and inside the window cost."""

from __future__ import annotations

import pathlib
import shutil
import sys
import time
from collections.abc import Iterator

from benchmarks import measure
from benchmarks.measure import KERNEL_LOG, LIBRARY, Command

RUNS = 10
MIB = 1 << 20
HIT = "TCP: too many orphaned sockets"
CHECK_LOGFILES = "/usr/lib/nagios/plugins/check_logfiles"
LOGTAIL = "/usr/sbin/logtail2"

STAMP = b"Mmm dd hh:mm:ss"
ROUTINE = (
    "web1 kernel: [{0:12.6f}] [UFW BLOCK] IN=eth0 OUT= MAC=52:54:00:12:34:56 SRC=198.51.100.{1} DST=192.0.2.10 LEN=60 "
    "TTL=51 ID={0:.0f} DF PROTO=TCP SPT=51544 DPT=23 WINDOW=29200 SYN URGP=0",
    "web1 kernel: [{0:12.6f}] device veth{1}: entered promiscuous mode",
    'web1 kernel: [{0:12.6f}] audit: type=1400 audit({0:.3f}:{1}): apparmor="DENIED" name="/proc/{1}/net"',
    "web1 kernel: [{0:12.6f}] EXT4-fs (sdb1): mounted filesystem with ordered data mode. Quota mode: none.",
)


def parts(lines: int, hits: int) -> list[bytes]:
    """The lines of an hour, stamps yet to be written, minute by minute; ``hits`` of them of the family."""
    made = []
    for number in range(lines):
        text = ROUTINE[number % len(ROUTINE)].format(100000 + number / 1000, number % 250)
        if number * hits // lines != (number + 1) * hits // lines:
            text = f"web1 kernel: [{100000 + number / 1000:12.6f}] {HIT}"
        made.append(STAMP + b" " + text.encode() + b"\n")
    return [b"".join(made[minute * lines // 60 : (minute + 1) * lines // 60]) for minute in range(60)]


def hour(minutes: list[bytes], end: float) -> bytes:
    """The lines of ``parts``, written in the hour that ends at ``end``."""
    stamps = (time.strftime("%b %e %H:%M:%S", time.localtime(end - 3600 + 60 * minute)) for minute in range(60))
    return b"".join(part.replace(STAMP, stamp.encode()) for part, stamp in zip(minutes, stamps))


def write(path: pathlib.Path, minutes: list[bytes], hours: int) -> list[str]:
    """A log of so many hours up to now, and the command that checks the last of them."""
    now = time.time() - 5
    with path.open("wb") as file:
        for number in reversed(range(hours)):
            file.write(hour(minutes, now - 3600 * number))
    return [*KERNEL_LOG, "--lookback", "1h", "--file", str(path)]


def peers(folder: pathlib.Path, log: pathlib.Path, whole: bool) -> Iterator[Command]:
    """Log checks of others on ``log``: all of it at once, or nothing new since the run before."""
    state = folder / f"peers-{log.name}"
    state.mkdir(exist_ok=True)
    forget = f"rm -f {state}/*; " if whole else ""
    what = "all of it" if whole else "nothing new"
    if shutil.which(CHECK_LOGFILES):
        options = f"--logfile={log} --criticalpattern='{HIT}' --seekfilesdir={state} --allyoucaneat --noprotocol"
        call = f"{CHECK_LOGFILES} {options}"
        yield Command(f"check_logfiles, {what}", ["/bin/sh", "-c", f"{forget}{call}"], "lines")
    else:
        print(f"\nnot measured: check_logfiles, which is not installed ({CHECK_LOGFILES})")
    if shutil.which(LOGTAIL):
        call = f"{LOGTAIL} -f {log} -o {state}/offset | grep -c '{HIT}'"
        yield Command(f"logtail2 | grep -c, {what}", ["/bin/sh", "-c", f"{forget}{call}"])
    else:
        print(f"\nnot measured: logtail, which is not installed ({LOGTAIL})")


def large(folder: pathlib.Path, runs: int) -> None:
    """1 GiB of which the last hour matters, beside that hour alone."""
    minutes = parts(MIB // 155, hits=60)
    scale = MIB / sum(map(len, minutes))
    minutes = parts(int(MIB // 155 * scale), hits=60)
    small = write(folder / "small.log", minutes, 1)
    big = write(folder / "kern.log", minutes, 1024)
    commands = [
        Command("library", LIBRARY),
        Command("1 MiB", small, "messages in the last"),
        Command("1 GiB", big, "messages in the last"),
        *peers(folder, folder / "kern.log", whole=False),
    ]
    costs = measure.table("kern.log of 1 GiB, the last 1 MiB within the window", commands, runs, "library", "1 MiB")
    measure.target("1 GiB / 1 MiB", costs["1 GiB"], [costs["1 MiB"]], 1.5)
    measure.memory_target("1 GiB, 1 MiB", costs["1 GiB"], costs["1 MiB"], 10)


def full(folder: pathlib.Path, runs: int) -> None:
    """A million lines, all within the window."""
    log = folder / "full.log"
    check = write(log, parts(1_000_000, hits=600), 1)
    loop = f"print(sum(b{HIT!r} in line for line in open({str(log)!r}, 'rb')))"
    commands = [
        Command("library", LIBRARY),
        Command("loop", [sys.executable, "-I", "-c", loop], "600"),
        Command("check", check, "messages in the last"),
        *peers(folder, log, whole=True),
    ]
    title = "1 000 000 lines, all within the window (loop: in on each line)"
    costs = measure.table(title, commands, runs, "loop", "check")
    measure.target("check / loop", costs["check"], [costs["loop"]], 1)


def ring(folder: pathlib.Path, runs: int) -> None:
    """A ring of 10 000 records, as a capture of it."""
    routine = ROUTINE[0].partition("] ")[2]
    for name, records in (("one", 1), ("ring", 10_000)):
        lines = (
            f"6,{number},{number * 1000},-;{HIT if number % 1000 == 999 else routine.format(number, number % 250)}\n"
            for number in range(records)
        )
        (folder / name).write_text("".join(lines))
    commands = [
        Command("library", LIBRARY),
        Command("1 record", [*KERNEL_LOG, "--kmsg", str(folder / "one")], "orphan_hits=0"),
        Command("10 000 records", [*KERNEL_LOG, "--kmsg", str(folder / "ring")], "orphan_hits=10"),
    ]
    measure.table("a ring of 10 000 records", commands, runs, "library", "1 record")


def main(runs: int) -> None:
    with measure.workplace(1.3) as folder:
        large(folder, runs)
        (folder / "kern.log").unlink()
        full(folder, runs)
        ring(folder, runs)
