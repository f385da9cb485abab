"""Each form of a kernel log of the wild, with each message and without one; see workbench.log_forms.

No form is OK with the message in it, and none alarms without.
"""

from __future__ import annotations

import calendar
import os
import pathlib
import re

import pytest

from workbench.command import Output
from workbench.log_command import LABELS, Moment, at, check, counted, no_counter
from workbench.log_forms import FORMS, MAY, READ, RECORDS, TIMELESS, Form, render, stamps

NOW = calendar.timegm((2026, 11, 22, 16, 0, 0)) + 0.25
UPTIME = 500_000.0
BOOTED = NOW - UPTIME

MESSAGES = {
    "TCP: too many orphaned sockets": ("orphan_hits", 1),
    "TCP: out of memory -- consider tuning tcp_mem": ("memory_hits", 2),
    "TCP: too many of orphaned sockets": ("unclear_hits", 1),
    "Out of socket memory": ("unclear_hits", 1),
}
"""The label that counts it, and the exit code. Kernels before 3.3 do not tell the causes apart."""


def look(folder: pathlib.Path, form: Form, message: str | None) -> Output:
    """The check of a log of three lines, or two: long before the window, ten minutes ago, now."""
    lines = [(9000.0, "Linux version 6.1.0"), (600.0, message), (5.0, "usb 1-1: new high-speed USB device")]
    log = folder / "some.log"
    log.write_bytes(b"".join(render(form.line, x, NOW - ago, BOOTED) + b"\n" for ago, x in lines if x))
    os.utime(log, (NOW - 5,) * 2)
    with at(Moment(NOW, UPTIME)):
        return check("--file", log, "--procfs", no_counter(folder), "--no-state")


def test_enough_forms() -> None:
    assert len({form.line for form in FORMS}) >= 80
    assert len({form.system for form in FORMS}) == len(FORMS)
    assert sum(form.grade == READ for form in FORMS) >= 60


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.system)
class TestForm:
    def test_with_the_message(self, tmp_path: pathlib.Path, form: Form) -> None:
        for message, (label, code) in MESSAGES.items():
            output = look(tmp_path, form, message)
            if form.grade == TIMELESS or (form.grade == MAY and output.code == 3):
                assert output.code == 3 and not sum(counted(output).values()), output.text
                assert says_why(output, form), output.text
            else:
                expected = {name: int(name == label) for name in LABELS}
                assert (output.code, counted(output)) == (code, expected), output.text

    def test_without_the_message(self, tmp_path: pathlib.Path, form: Form) -> None:
        output = look(tmp_path, form, None)
        assert output.code in ((0,) if form.grade == READ else (0, 3)), output.text
        assert not sum(counted(output).values())


@pytest.mark.parametrize("form", RECORDS.values(), ids=RECORDS)
def test_record(tmp_path: pathlib.Path, form: str) -> None:
    """The same of /dev/kmsg, in a capture that ends now."""
    capture = tmp_path / "kmsg"
    for message, (label, code) in {**MESSAGES, "": ("", 0)}.items():
        lines = [(9000.0, "Linux version 6.1.0"), (600.0, message), (0.0, "usb 1-1: new")]
        told = [
            form.format_map({**stamps(NOW - ago, BOOTED), "seq": 500 + number, "x": x})
            for number, (ago, x) in enumerate([(ago, x) for ago, x in lines if x])
        ]
        capture.write_text("\n".join([*told, f"6,{500 + len(told)},{round(UPTIME * 1e6)},-;eth0: up", ""]))
        os.utime(capture, (NOW, NOW))
        with at(Moment(NOW, UPTIME)):
            output = check("--kmsg", capture, "--procfs", no_counter(tmp_path), "--no-state")
        assert (output.code, counted(output)) == (code, {name: int(name == label) for name in LABELS}), output.text


def says_why(output: Output, form: Form) -> bool:
    """UNKNOWN names the file and, where the time is missing, that."""
    status = output.text.partition(" | ")[0]
    assert status.startswith("TCP KERNEL LOG UNKNOWN - ")
    timed = form.grade != TIMELESS or re.search(r"\b(time|times|stamp|stamps)\b", status)
    return "some.log" in status and bool(timed)
