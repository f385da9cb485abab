"""A run of a command, and the places that tests start from."""

from __future__ import annotations

import os
import pathlib
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
        """The verdict of ``-v``: the last line, before the perfdata if there are any."""
        lines = [line for line in self.lines if not line.startswith("| ")]
        assert sum(line.startswith("Verdict: ") for line in lines) == 1
        assert lines[-1].startswith("Verdict: ") and lines[-1].isprintable() and "|" not in lines[-1]
        assert self.lines[-1] == lines[-1] or (self.lines[-2], self.lines[-1][:2]) == (lines[-1], "| ")
        return lines[-1]

    @property
    def case(self) -> str:
        """The case that the verdict names."""
        return self.verdict.removeprefix("Verdict: ").partition(" - ")[0]

    @property
    def perfdata(self) -> dict[str, str]:
        """The perfdata by label, each as printed after the equals sign."""
        _text, _bar, data = self.text.partition("| ")
        return dict(word.split("=", 1) for word in data.split())


Run = Callable[..., Output]
