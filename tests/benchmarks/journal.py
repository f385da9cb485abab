"""Journals, real ones made by systemd-journal-remote: the check beside the journalctl it calls."""

from __future__ import annotations

import pathlib
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from unittest import mock

from benchmarks import measure
from benchmarks.measure import KERNEL_LOG, LIBRARY, Command, Cost

RUNS = 10
REMOTE = shutil.which("systemd-journal-remote", path="/usr/lib/systemd:/lib/systemd")
BOOT = "c0ffee" * 5 + "00"
HOUR = 3600
DAY = 86400
HIT = "TCP: too many orphaned sockets"
HITS = 20
ENTRY = """\
__REALTIME_TIMESTAMP={received}
__MONOTONIC_TIMESTAMP={uptime}
_BOOT_ID={boot}
_MACHINE_ID=00112233445566778899aabbccddeeff
_HOSTNAME=web1
PRIORITY=6
"""
KERNEL = (
    ENTRY
    + """\
_TRANSPORT=kernel
SYSLOG_FACILITY=0
SYSLOG_IDENTIFIER=kernel
_SOURCE_MONOTONIC_TIMESTAMP={uptime}
MESSAGE={message}

"""
)
SERVICE = (
    ENTRY
    + """\
_TRANSPORT=stdout
SYSLOG_FACILITY=3
SYSLOG_IDENTIFIER=shop
_PID=812
_SYSTEMD_UNIT=shop.service
MESSAGE=request {number} answered in {milliseconds} ms

"""
)


def write(folder: pathlib.Path, entries: int) -> None:
    """A journal of the last three hours: nine of ten entries lie in the last hour, and each ninth is the kernel's."""
    assert REMOTE
    folder.mkdir()
    maker = subprocess.Popen(
        [REMOTE, f"--output={folder}/made.journal", "-"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert maker.stdin
    now = time.time() - 5
    for number in range(entries):
        ago = entries - number
        seconds = ago * HOUR / (0.9 * entries) if ago <= 0.9 * entries else HOUR + (ago / entries - 0.9) * 20 * HOUR
        values = {"received": round((now - seconds) * 1e6), "uptime": round((DAY - seconds) * 1e6), "boot": BOOT}
        if number % 9:
            maker.stdin.write(SERVICE.format(**values, number=number, milliseconds=number % 1000))
        else:
            message = f"device veth{number}: entered promiscuous mode" if ago > 9 * HITS else HIT
            maker.stdin.write(KERNEL.format(**values, message=message))
    maker.stdin.close()
    if maker.wait():
        sys.exit("systemd-journal-remote failed")


def call(folder: pathlib.Path) -> Sequence[str]:
    """The journalctl call that the check makes."""
    from tcp_headroom.log import journal
    from tcp_headroom.log.views import Window
    from tcp_headroom.proc import clock

    with mock.patch("subprocess.Popen", side_effect=InterruptedError) as popen:
        try:
            journal.view(clock.read("/proc"), Window(time.time() - HOUR, time.time()), [f"--directory={folder}"])
        except InterruptedError:
            pass
    argv: Sequence[str] = popen.call_args.args[0]
    return argv


def compared(folder: pathlib.Path, title: str, runs: int) -> dict[str, Cost]:
    """The costs of the check, of the call it makes, and of that call limited to the window."""
    argv = call(folder)
    commands = [
        Command("library", LIBRARY),
        Command("journalctl", argv, HIT),
        Command("journalctl --since", [*argv, f"--since=@{int(time.time()) - HOUR}"], HIT),
        Command("check", [*KERNEL_LOG, "--lookback", "1h", "--journal-dir", str(folder)], f"orphan_hits={HITS}"),
    ]
    return measure.table(title, commands, runs, "journalctl", "journalctl --since")


def main(runs: int) -> None:
    if not REMOTE or not shutil.which("journalctl"):
        print("\nnot measured: journals, which need journalctl and systemd-journal-remote")
        return
    with measure.workplace(1) as folder:
        write(folder / "small", 3000)
        costs = compared(folder / "small", "a journal of 3000 entries, 300 the kernel's in the window", 2 * runs)
        measure.target("check / (journalctl + library)", costs["check"], [costs["journalctl"], costs["library"]], 1.15)
        write(folder / "large", 1_000_000)
        costs = compared(folder / "large", "a journal of 1 000 000 entries, 100 000 the kernel's in the window", runs)
        measure.target("check / journalctl", costs["check"], [costs["journalctl"]], 1.5)
        # The check stops reading where the window begins; so does this call.
        measure.target("check / journalctl --since", costs["check"], [costs["journalctl --since"]], 1.5)
