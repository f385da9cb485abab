"""A model of a log that knows the truth, and of the world that a check finds: time, clock, ring, rotation.

Time is virtual: the clock is replaced, and files get the times they would have had.
"""

from __future__ import annotations

import contextlib
import io
import os
import pathlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import nagiosplugin
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from tcp_headroom.commands import check_tcp_kernel_log
from tcp_headroom.log import block_reader, kmsg
from tcp_headroom.proc import clock
from workbench.command import Output

STEPS = 10_000
"""Least number of steps of each model in one run of the tests."""

WINDOWS = {"1h": 3600, "10m": 600}

MESSAGES = {
    "orphan_hits": "TCP: too many orphaned sockets",
    "memory_hits": "TCP: out of memory -- consider tuning tcp_mem",
    "unclear_hits": "Out of socket memory",
}
"""By the label of the perfdata that counts it."""

QUIET = settings(
    max_examples=320,
    stateful_step_count=50,
    deadline=None,
    derandomize=True,
    # To shrink a schedule takes minutes, and is for who looks for the reason.
    phases=[Phase.generate] if os.environ.get("CI") == "true" else [Phase.generate, Phase.shrink],
    database=None,
    suppress_health_check=list(HealthCheck),
)


class Hit(NamedTuple):
    """One line that counts."""

    number: int
    label: str
    when: float
    times: int


class World:
    """What the replaced functions of the suite see."""

    now = monotonic = boottime = 0.0
    boot = ""
    ring: kmsg.Ring
    during: Callable[[], None] | None = None
    """Happens while a check runs: before the file with the number ``at`` is opened."""
    at = 0

    @classmethod
    def clock(cls, _root: str) -> clock.Clock:
        return clock.Clock(cls.now, cls.monotonic, cls.boottime, cls.boot)

    @classmethod
    def opening(cls) -> None:
        if cls.during and cls.at == 0:
            during, cls.during = cls.during, None
            during()
        cls.at -= 1


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    opened = block_reader.opened

    def opening(path: str) -> Any:
        World.opening()
        return opened(path)

    monkeypatch.setattr(clock, "read", World.clock)
    monkeypatch.setattr(block_reader, "opened", opening)
    monkeypatch.setattr(kmsg, "read", lambda _path: World.ring)
    # What a power cut leaves behind is not the question here.
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    yield
    monkeypatch.undo()
    time.tzset()


def command(*arguments: str) -> Output:
    """The whole command in this process."""
    nagiosplugin.Runtime.instance = None  # type: ignore[assignment]
    printed, complaint = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(complaint):
        with pytest.raises(SystemExit) as exit:
            check_tcp_kernel_log.main(list(arguments))
    assert complaint.getvalue() == ""
    assert exit.value.code in (0, 1, 2, 3)
    assert "internal error" not in printed.getvalue(), printed.getvalue()
    return Output(exit.value.code, printed.getvalue())


def reported(output: Output) -> dict[str, int]:
    """The counts of a check, 0 for what it does not print."""
    return {label: int(output.perfdata.get(label, "0").partition(";")[0]) for label in (*MESSAGES, "suppressed")}


def totals(hits: set[Hit]) -> dict[str, int]:
    return {label: sum(hit.times for hit in hits if hit.label == label) for label in (*MESSAGES, "suppressed")}


def judged(output: Output, blind: bool) -> None:
    """The exit code fits what is counted."""
    counts = reported(output)
    if blind:
        assert output.code == 3
    elif counts["memory_hits"]:
        assert output.code == 2
    elif any(counts[label] for label in MESSAGES):
        assert output.code == 1
    else:
        # The torn end of a line with the message in it is nobody's line, and said.
        assert output.code == (3 if "socket memory stands there" in output.text else 0)


class Model(RuleBasedStateMachine):
    """What the models of a log have in common: hits that are counted, and checks of them."""

    steps = 0
    checks = 0

    def __init__(self) -> None:
        super().__init__()
        shm = "/dev/shm"
        self.place = pathlib.Path(tempfile.mkdtemp(dir=shm if os.access(shm, os.W_OK) else None))
        self.proc = self.place / "proc"
        (self.proc / "sys").mkdir(parents=True)
        World.during = None
        self.number = 0
        self.seen: dict[str, set[Hit]] = {name: set() for name in WINDOWS}
        """What the checks of each window know."""

    def teardown(self) -> None:
        shutil.rmtree(self.place)

    def _step(self) -> None:
        type(self).steps += 1

    def _command(self, window: str, *source: str) -> Output:
        """The whole command in this process."""
        type(self).checks += 1
        return command(
            *(*source, "--lookback", window, "--min-coverage", "0"),
            *("--procfs", str(self.proc), "--state-dir", str(self.place / "state")),
        )


def explore(model: type[Model]) -> None:
    """Run schedules of a model, and enough of them."""
    run_state_machine_as_test(model, settings=QUIET)
    assert model.steps >= STEPS and model.checks >= STEPS / 20, (model.steps, model.checks)
