"""The alarm of nagiosplugin, and what else goes wrong, at any point of the long output: the result stays."""

from __future__ import annotations

import gc
import os
import pathlib
import random
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import nagiosplugin
import pytest

import tcp_headroom
from tcp_headroom.commands import plugin
from tcp_headroom.log import choice
from tcp_headroom.proc import clock, reading
from workbench.command import Output, Run

COMMANDS = ("check_tcp_orphans", "check_tcp_mem", "check_tcp_kernel_log")
EVERY = pytest.mark.parametrize("command", COMMANDS)
OURS = os.path.dirname(tcp_headroom.__file__)
VERBOSE = plugin.Wording.verbose


class Striker:
    """Raises in a line of this project that is run while the further lines are collected, if told so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wanted: int | None = None
        self.count = 0
        self.error: Callable[[], Exception] = lambda: nagiosplugin.Timeout("8s")
        monkeypatch.setattr(plugin.Wording, "verbose", lambda wording, results: self.traced(wording, results))

    def traced(self, wording: plugin.Wording, results: nagiosplugin.Results) -> list[str]:
        before = sys.gettrace()
        self.count = 0
        sys.settrace(self.trace)
        try:
            return VERBOSE(wording, results)
        finally:
            sys.settrace(before)

    def trace(self, frame: FrameType, event: str, _argument: Any) -> Any:
        if not frame.f_code.co_filename.startswith(OURS):
            return None
        if event == "line" and not (frame.f_code is VERBOSE.__code__ and not self.guarded(frame)):
            self.count += 1
            if self.count == self.wanted:
                # No other follows: an alarm rings once.
                sys.settrace(None)
                raise self.error()
        return self.trace

    @staticmethod
    def guarded(frame: FrameType) -> bool:
        """Whether the ``try`` of ``verbose`` has begun."""
        return "alarm" in frame.f_locals


def result(output: Output) -> tuple[int, str, str]:
    """What must stay: exit code, status line, and the perfdata, but for counters and numbers that move by themselves."""
    return output.code, output.lines[0].partition(" - ")[0], " ".join(sorted(output.perfdata))


@pytest.fixture
def leftovers() -> Iterator[None]:
    """What a run leaves when it is struck in the very line that would have closed it goes before the next test."""
    yield
    gc.collect()


# No Python code closes a file or ends a child when the alarm rings in that line: the end of the process does, and journalctl
# then ends by its pipe.
STRUCK = pytest.mark.filterwarnings("ignore::ResourceWarning")


@EVERY
@STRUCK
@pytest.mark.slow
@pytest.mark.usefixtures("leftovers")
def test_alarm_at_many_points(run: Run, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    striker = Striker(monkeypatch)
    whole = run(command, "-v")
    points = striker.count
    assert points > 100
    chosen = random.Random(1).sample(range(1, points), 60)
    given_up = 0
    for striker.wanted in [*range(1, 12), *chosen, *range(points - 12, points)]:
        output = run(command, "-v")
        assert result(output) == result(whole), striker.wanted
        assert output.verdict and "internal error" not in output.text
        gave_up = next((line for line in output.lines[2:] if "gave up after 8s" in line), "")
        given_up += gave_up == "not shown, the rest: the check gave up after 8s; allow more time with -t"
    assert given_up


@EVERY
@STRUCK
@pytest.mark.slow
@pytest.mark.usefixtures("leftovers")
def test_error_at_many_points(run: Run, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    striker = Striker(monkeypatch)
    striker.error = lambda: RuntimeError("oh\n\x1b|no")
    whole = run(command, "-v")
    points = striker.count
    for striker.wanted in [*range(1, 12), *random.Random(2).sample(range(1, points), 30)]:
        output = run(command, "-v")
        assert result(output) == result(whole), striker.wanted
        assert output.verdict
        assert "internal error, RuntimeError: oh ??no" in output.text


def test_lines_until_then_are_kept(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    """The verdict is that on what the command has read; nothing is read any more."""

    def late(*_arguments: object) -> None:
        raise nagiosplugin.Timeout("8s")

    monkeypatch.setattr("tcp_headroom.memory.orphan_peak.highest", late)
    read: list[str] = []
    monkeypatch.setattr("tcp_headroom.limits.tcp_mem.read", lambda root: read.append(root))
    output = run("check_tcp_orphans", "-v", "--procfs", "kernel-6.18/13-orphans-60pct/host", "--state-dir", tmp_path)
    assert output.code == 2 and output.perfdata["orphans"] == "100;41;83;0;166"
    assert output.lines[2] == "None reset so far in this network namespace"
    assert [line.partition(":")[0] for line in output.lines[3:6]] == ["1x", "2x", "4x"]
    assert output.lines[-2] == "not shown, the rest: the check gave up after 8s; allow more time with -t"
    assert output.verdict.startswith("Verdict: over 50 %: live peers at risk - 100 orphans, ")
    assert "; the rest is not known: the check gave up after 8s. Next: " in output.verdict
    assert not read


@EVERY
def test_nothing_is_read_after_the_alarm(run: Run, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """No other would end it."""
    read: list[str] = []

    def record(_root: str, name: str) -> str:
        read.append(name)
        raise reading.Blind(name)

    def explanation(seen: object) -> Iterator[str]:
        monkeypatch.setattr(reading, "read", record)
        monkeypatch.setattr(choice, "look", lambda *_arguments: read.append("log"))
        yield "a"
        raise nagiosplugin.Timeout("8s")

    monkeypatch.setattr(f"tcp_headroom.commands.{command}.explanation", explanation)
    output = run(command, "-v")
    assert output.lines[2:4] == ["a", "not shown, the rest: the check gave up after 8s; allow more time with -t"]
    assert output.case == "not known"
    assert set(read) <= {clock.BOOT_ID}


def test_no_alarm_rings_after_the_last_line() -> None:
    """What is done then takes no time, and would lose the result."""
    results = nagiosplugin.Results(nagiosplugin.Result(nagiosplugin.Ok))
    before = signal.signal(signal.SIGALRM, signal.SIG_IGN)
    try:
        signal.alarm(60)
        wording = plugin.Wording(None, str, lambda _: [], lambda _: ["a"], {}, lambda _, alarm, stop: f"{alarm} {stop}")
        assert wording.verbose(results) == ["False None", "a"]
        assert signal.alarm(0) == 0
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_traceback_is_for_those_who_ask(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: object) -> None:
        raise ValueError("a|b")

    monkeypatch.setattr("tcp_headroom.proc.sysctl.silence_ms", broken)
    said = (
        "not shown, the rest: internal error, ValueError: a?b; send the output of -vvv to whoever maintains this plugin on "
        "this host"
    )
    for option, shown in (("-v", False), ("-vvv", True)):
        output = run("check_tcp_orphans", option)
        assert output.code == 0 and output.lines[2] == said and output.perfdata
        assert ("Traceback (most recent call last):" in output.lines) == shown
        assert "|" not in "".join(line for line in output.lines if not line.startswith("| "))
