"""A run of a command, and the places that tests start from."""

from __future__ import annotations

import os
import pathlib
import re
import sys
from collections.abc import Callable
from typing import NamedTuple

ROOT = pathlib.Path(__file__).parents[2]
CONTRIB = ROOT / "contrib"
FIXTURES = ROOT / "tests" / "fixtures"
TRANSCRIPTS = ROOT / "tests" / "transcripts"
BIN = pathlib.Path(sys.executable).parent
CI = os.environ.get("CI") == "true"

COMMANDS = ("check_tcp_kernel_log", "check_tcp_limits", "check_tcp_mem", "check_tcp_orphans")


class Output(NamedTuple):
    """What a monitoring server gets of a command."""

    code: int
    text: str

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @property
    def verdict(self) -> str:
        """The verdict of ``-v``: the first of the further lines."""
        line = self.lines[1]
        assert line.startswith("Verdict: ") and line.isprintable() and "|" not in line
        assert sum(line.startswith("Verdict: ") for line in self.lines) == 1
        return line

    @property
    def case(self) -> str:
        """The case that the verdict names."""
        return self.verdict.removeprefix("Verdict: ").partition(" - ")[0]

    @property
    def perfdata(self) -> dict[str, str]:
        """The perfdata by label, each as printed after the equals sign."""
        _text, _bar, data = self.text.partition("| ")
        return dict(word.split("=", 1) for word in data.split())

    @property
    def status(self) -> str:
        """The status line without the perfdata."""
        return self.lines[0].partition(" | ")[0]


Run = Callable[..., Output]


def assert_grammar(text: str) -> None:
    """A status line has state, reason and number where a phone shows them, the step where a list does, and a length."""
    assert len(text.encode()) <= 250, text
    start = re.match(r"TCP (?:ORPHANS|MEM|LIMITS|KERNEL LOG) (OK|WARNING|CRITICAL|UNKNOWN) - (?=[^ :;.])", text)
    assert start, text
    if start[1] in ("WARNING", "CRITICAL"):
        # A refused setting need not be a number.
        assert re.search("[0-9]|refuses a setting", text[start.end() : 80]), text
        reason, _colon, figure = text[start.end() :].partition(". Next: ")[0].partition(": ")
        assert not (figure and re.search("[0-9]{4}", reason)), text
    if start[1] != "OK":
        assert 0 <= text.find(". Next: ") < 160 - len(". ") and "Next: ." not in text, text
    # What Nagios drops from a notification.
    assert not set(text) & set("`~$&|'\"<>"), text
    assert all(len(word.strip("(),.:;")) <= 40 for word in text.split() if "/" in word), text


def numbers(perfdata: str) -> list[float | None]:
    """Value, warning, critical, minimum and maximum of one perfdatum, the text after the equals sign.

    None where nothing is printed, and for a range, which Icinga 2 drops.
    """
    parts = [re.sub("[B%c]$", "", part) for part in perfdata.split(";")]
    found = [float(part) if re.fullmatch("-?[0-9.]+", part) else None for part in parts]
    return found + [None] * (len(FIELDS) - len(found))


FIELDS = ("value", "warn", "crit", "min", "max")
"""What Icinga 2's writers call ``numbers``."""
