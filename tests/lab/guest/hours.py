"""Scenarios that take hours of the guest's time."""

from __future__ import annotations

import random
import time

from . import checks, kernel
from .checks import CRITICAL, OK, WARNING, expect
from .logs import STATE, pass_the_limit
from .table import scenario


@scenario(12, "window-clears")
def window_clears() -> None:
    """An hour after the last hit the log check is OK again, having been WARNING at every run until then."""
    checks.log(*STATE).expect(OK)
    pass_the_limit()
    hit = time.monotonic()
    hits = kernel.lines()
    runs = 0
    while time.monotonic() - hit < 3600 - 2:
        checks.log(*STATE).expect(WARNING).expect_data(hits=hits, coverage=100)
        runs += 1
        # Every five minutes, and once just before the hour is over.
        _sleep_until(min(hit + runs * 300, hit + 3600 - 3) if time.monotonic() < hit + 3600 - 3 else hit + 3600)
    checks.log("--no-state").expect(WARNING).expect_data(hits=hits)
    _sleep_until(hit + 3602)
    checks.log(*STATE).expect(OK).expect_data(hits=0, coverage=100).expect_not("the kernel reset")
    checks.log("--no-state").expect(OK).expect_data(hits=0)
    expect(runs >= 12, f"only {runs} runs within the hour")


def _sleep_until(moment: float) -> None:
    kernel.wait(lambda: time.monotonic() >= moment, "time to pass", 2 * 3600)


@scenario(13, "six-hours", quick=False, seconds=1800)
def six_hours() -> None:
    """Six hours, a check of each kind every five minutes, spikes at random: each is reported, nothing else is."""
    dice = random.Random(13)
    reset: list[tuple[float, int]] = []
    began = time.monotonic()
    checks.log(*STATE).expect(OK)
    for turn in range(1, 6 * 12 + 1):
        if dice.random() < 0.1:
            _sleep_until(began + turn * 300 - dice.uniform(10, 290))
            count = pass_the_limit()
            reset.append((time.monotonic(), count))
        _sleep_until(began + turn * 300)
        checks.orphans().expect(OK).expect_data(aborts_on_memory=sum(count for _when, count in reset))
        checks.memory().expect(OK)
        due = [when for when, _count in reset if time.monotonic() - when < 3600]
        said = checks.log(*STATE)
        # A spike less than a few seconds from the edge of the window may be in it or not.
        if not any(abs(time.monotonic() - when - 3600) < 5 for when, _count in reset):
            said.expect(WARNING if due else OK)
        expect(bool(said.perfdata["hits"]) == (said.state == WARNING), f"hits and state differ: {said.text}")
        expect(said.state != CRITICAL, said.text)
        size = sum(path.stat().st_size for path in STATE_DIRECTORY.iterdir())
        expect(size < 64 << 10, f"the state has grown to {size} bytes")
    expect(len(reset) >= 4, f"only {len(reset)} spikes in six hours")


STATE_DIRECTORY = kernel.PROC.parent / STATE[1].lstrip("/")
