"""Scenarios that take hours of the guest's time."""

from __future__ import annotations

import pathlib
import random
import time

from . import checks, kernel
from .checks import OK, WARNING, expect
from .logs import STATE, pass_the_limit
from .table import scenario


@scenario("window-clears")
def window_clears() -> None:
    """An hour after the last hit the log check is OK again, having been WARNING at every run until then."""
    checks.log(*STATE).expect(OK)
    pass_the_limit()
    hit, hits = kernel.stamps()[-1], kernel.lines()
    for minutes in range(0, 60, 5):
        _sleep_until(hit + 60 * minutes)
        checks.log(*STATE).expect(WARNING).expect_data(hits=hits, coverage=100)
    _sleep_until(hit + 3600 - 3)
    checks.log(*STATE).expect(WARNING).expect_data(hits=hits, coverage=100)
    checks.log("--no-state").expect(WARNING).expect_data(hits=hits)
    checks.verdict(checks.SPIKE, f"at least {hits} reset", commands=checks.BY_ORPHANS, state=STATE)
    _sleep_until(hit + 3600 + 1)
    checks.log(*STATE).expect(OK).expect_data(hits=0, coverage=100).expect_not("more resets than")
    checks.log("--no-state").expect(OK).expect_data(hits=0)
    checks.verdict(checks.NOTHING, commands=checks.BY_ORPHANS, state=STATE)


def _sleep_until(moment: float) -> None:
    """Sleep until so many seconds after boot."""
    time.sleep(max(0, moment - time.monotonic()))


LOOKBACK = 14 * 60
"""So short in the long scenario that the check has time to be OK between the spikes; no multiple of five minutes."""


@scenario("six-hours", quick=False, seconds=3600)
def six_hours() -> None:
    """Six hours, a check of each kind every five minutes, spikes at random: each is reported, nothing else is."""
    dice = random.Random(13)
    turns = range(1, 6 * 12 + 1)
    spikes = {turn: dice.uniform(20, 280) for turn in dice.sample(turns, 8)}
    hits: list[float] = []
    counted: list[float] = []
    reset = 0
    states = []
    began = time.monotonic()
    checks.log(*STATE, "--lookback", f"{LOOKBACK}s").expect(OK)
    for turn in turns:
        if turn in spikes:
            _sleep_until(began + turn * 300 - spikes[turn])
            reset += pass_the_limit()
            hits.append(kernel.stamps()[-1])
            counted.append(began + turn * 300)
        _sleep_until(began + turn * 300)
        checks.orphans().expect(OK).expect_data(aborts_on_memory=reset)
        checks.memory().expect(OK)
        said = checks.log(*STATE, "--lookback", f"{LOOKBACK}s")
        start = time.monotonic() - LOOKBACK
        # Resets without a line may have been as late as the run that counted them.
        said.expect(WARNING if any(when > start for when in hits + counted) else OK)
        if not any(abs(when - start) < 10 for when in hits):
            expect(bool(said.perfdata["hits"]) == any(when > start for when in hits), f"wrong hits: {said.text}")
        states.append(said.state)
        size = sum(path.stat().st_size for path in pathlib.Path(STATE[1]).iterdir())
        expect(size < 64 << 10, f"the state has grown to {size} bytes")
    expect(states.count(OK) > 12 and states.count(WARNING) > 12, f"too much the same: {states}")
