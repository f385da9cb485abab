"""The forms that the tools of this machine write: every output of journalctl, and of dmesg, read back as a file."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import time

import pytest

from workbench import journals
from workbench.command import Output
from workbench.log_command import LABELS, Moment, at, check, counted, no_counter
from workbench.machine import program

MESSAGES = {
    "TCP: too many orphaned sockets": ("orphan_hits", 1),
    "TCP: out of memory -- consider tuning tcp_mem": ("memory_hits", 2),
    "TCP: too many of orphaned sockets": ("unclear_hits", 1),
    "Out of socket memory": ("unclear_hits", 1),
}
LONG_AGO, AGO, NEWEST = 9000.0, 600.0, 5.0

JOURNALCTL = [
    "short", "short-precise", "short-iso", "short-iso-precise", "short-full", "short-monotonic", "short-unix",
    "json", "export", "with-unit", "verbose", "json-pretty", "json-sse", "json-seq", "short-delta", "cat",
]  # fmt: skip
MUST = JOURNALCTL[:10]
"""These have to be read; of the others UNKNOWN is enough."""

DMESG: dict[str, list[str]] = {
    "plain": [],
    "times of day": ["-T"],
    "decoded": ["-x"],
    "decoded, times of day": ["-x", "-T"],
    "raw": ["-r"],
    "iso": ["--time-format", "iso"],
    "decoded, iso": ["-x", "--time-format", "iso"],
    "delta": ["-d"],
    "reltime": ["-e"],
    "json": ["-J"],
    "without time": ["-t"],
}
DMESG_MUST = list(DMESG)[:7]


@pytest.fixture
def moment() -> Moment:
    """Now and the real uptime: dmesg knows no other, so the times before the window are those of a boot before."""
    return Moment(time.time(), time.clock_gettime(time.CLOCK_BOOTTIME))


def look(folder: pathlib.Path, moment: Moment, written: bytes) -> Output:
    log = folder / "some.log"
    log.write_bytes(written)
    os.utime(log, (moment.now - NEWEST,) * 2)
    # Such a file does not say that it is of this host, so it has to cover the window, however young the boot is.
    lookback = f"{min(3600, int(moment.uptime * 1.5))}s"
    with at(moment):
        return check("--file", log, "--procfs", no_counter(folder), "--no-state", "--lookback", lookback)


def judge(folder: pathlib.Path, moment: Moment, written: dict[str | None, bytes], must: bool, timeless: bool) -> None:
    """The hit is found, or UNKNOWN says why not, and there is no alarm without one."""
    for message, data in written.items():
        output = look(folder, moment, data)
        if message is None:
            assert output.code in ((0,) if must else (0, 3)), (output.text, data)
        elif timeless or (not must and output.code == 3):
            assert output.code == 3 and "some.log" in output.text, (output.text, data)
            assert not timeless or re.search(r"\b(time|times|stamp|stamps)\b", output.text), output.text
        else:
            label, code = MESSAGES[message]
            assert (output.code, counted(output)) == (code, {x: int(x == label) for x in LABELS}), (output.text, data)


@pytest.mark.parametrize("form", JOURNALCTL)
def test_journalctl(tmp_path: pathlib.Path, moment: Moment, form: str) -> None:
    if journals.MISSING:
        pytest.skip(journals.MISSING)
    moment.uptime = 500_000.0
    written: dict[str | None, bytes] = {}
    for number, message in enumerate([*MESSAGES, None]):
        lines = [(LONG_AGO, "Linux version 6.1.0"), (AGO, message), (NEWEST, "usb 1-1: new")]
        journal = journals.write(
            tmp_path / f"{number}.journal",
            [
                journals.kernel(moment.now - ago, moment.uptime - ago, moment.boot, x, _HOSTNAME="web1")
                for ago, x in lines
                if x
            ],
        )
        shown = subprocess.run(
            ["journalctl", "--file", journal, "-o", form, "--no-pager"],
            env={"PATH": os.environ["PATH"], "TZ": "UTC", "LC_ALL": "C"}, check=True, capture_output=True,
        )  # fmt: skip
        assert not message or message.encode() in shown.stdout
        written[message] = shown.stdout
    judge(tmp_path, moment, written, form in MUST, form == "cat")


@pytest.mark.parametrize("caller", ["", "[   T39]"], ids=["", "caller"])
@pytest.mark.parametrize("name", DMESG)
def test_dmesg(tmp_path: pathlib.Path, moment: Moment, name: str, caller: str) -> None:
    dmesg = program("util-linux", "dmesg")
    written: dict[str | None, bytes] = {}
    ring = tmp_path / "ring"
    for message in [*MESSAGES, None]:
        stamps = [
            (0.0, "Linux version 6.1.0"),
            (max(1.0, moment.uptime - AGO), message),
            (moment.uptime - NEWEST, "usb"),
        ]
        ring.write_text("".join(f"<6>[{stamp:12.6f}]{caller} {x}\n" for stamp, x in stamps if x))
        shown = subprocess.run(
            [dmesg, "-F", ring, *DMESG[name]],
            env={"PATH": os.environ["PATH"], "TZ": "UTC", "LC_ALL": "C"}, capture_output=True,
        )  # fmt: skip
        if b"invalid option" in shown.stderr:
            pytest.skip(f"dmesg of this util-linux has no {DMESG[name][0]}")
        shown.check_returncode()
        written[message] = shown.stdout
    judge(tmp_path, moment, written, name in DMESG_MUST, name == "without time" and not caller)
