"""What earlier runs saw of the log, joined with what this one sees.

A message seen once stays known until it leaves the window, even when the ring has
wrapped or the file was rotated away since; and what two runs saw of the log adds
up to one coverage where nothing lies between them.
"""

from __future__ import annotations

from tcp_headroom import wording
from tcp_headroom.blind import Blind
from tcp_headroom.log.views import KERNEL_STAMP, Event, View, coverage, union
from tcp_headroom.memory import abort_growth, state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from tcp_headroom.log.views import Window
    from tcp_headroom.memory.abort_growth import Sample, Watch
    from tcp_headroom.proc.clock import Clock

LOGS, COUNTERS = "logs", "counters"
"""Parts of the state: memories by what is watched, watches by network namespace."""

SECTIONS = 8
"""Entries kept in each part, those used last."""

REMEMBERED = "earlier runs"
"""The source of a view that is made of memory alone."""

KEPT = 500
"""Events remembered, the newest; there are more only where the log itself still has them."""


class Memory:
    """What one run leaves for the next. Times are seconds since the epoch."""

    def __init__(self, since: float, until: float, booted: float, boot: str, events: list[Event]) -> None:
        self.since = since
        """From here on everything was seen, up to ``until``."""
        self.until = until
        self.booted = booted
        """When the machine was booted, by the clock of that run."""
        self.boot = boot
        self.events = events


class Recollection:
    """What this run and the earlier ones know together."""

    def __init__(self, view: View | None, watch: Watch | None, notes: list[str]) -> None:
        self.view = view
        self.watch = watch
        self.notes = notes
        """What ``-v`` should say of the memory itself."""


def earliest(path: str | None, sample: Sample | None, start: float) -> float:
    """Since when, on CLOCK_BOOTTIME, the log is wanted: ``start``, or the first span of growth that reaches past it."""
    if path is None or sample is None:
        return start
    try:
        known = abort_growth.unpack(_section(state.peek(path), COUNTERS).get(sample.namespace))
    except (Blind, OSError):
        return start
    # Whatever was reset since the last sample belongs to a span, too.
    spans = abort_growth.within(abort_growth.watch(known, sample), start)
    return min([start, *(span.start for span in spans)])


def consult(
    path: str | None, patience: float, name: str, view: View | None, sample: Sample | None, clock: Clock, window: Window
) -> Recollection:
    """Join ``view`` and ``sample`` with what is remembered under ``name``, and remember both.

    ``path``: the directory of the state, None for no memory. ``patience``: seconds
    to wait for another run. A view that is None, because no log can be read, becomes
    one of the messages remembered, if there are any in the window.
    """
    fresh = abort_growth.watch(None, sample) if sample else None
    if path is None:
        return Recollection(view, fresh, [])
    notes = []
    try:
        for held in state.opened(path, patience):
            if held.values.pop("damaged", None):
                notes.append(f"the state in {wording.path(path)} was damaged; it is written new")
            logs, counters = _section(held.values, LOGS), _section(held.values, COUNTERS)
            view = joined(unpack(logs.get(name)), view, clock, window)
            if view and view.source != REMEMBERED:
                logs[name] = pack(remember(view, clock, window))
            if sample:
                fresh = abort_growth.watch(abort_growth.unpack(counters.get(sample.namespace)), sample)
                counters[sample.namespace] = abort_growth.pack(fresh)
            held.values[LOGS], held.values[COUNTERS] = _newest(logs, _until), _newest(counters, _sampled)
            # What has no message and no growth in it is not worth waiting for a disk.
            held.save(durable=bool((view and view.events) or (fresh and fresh.spans)))
    except (Blind, OSError) as reason:
        notes.append(state.loss(reason, path))
    return Recollection(view, fresh, notes)


class Glance:
    """What is remembered, as far as it could be read."""

    def __init__(self, memory: Memory | None, watch: Watch | None, loss: str) -> None:
        self.memory = memory
        self.watch = watch
        """The growth of the counter, the present sample included; None if nothing could be read of it."""
        self.loss = loss
        """Why nothing is remembered; empty if the state can be read, also if it holds nothing."""


def glance(path: str | None, name: str, sample: Sample | None) -> Glance:
    """What is remembered under ``name``, and of the counter of ``sample``; nothing is written, no other run waited for."""
    if path is None:
        return Glance(None, None, "nothing is remembered between runs")
    try:
        values = state.peek(path)
    except (Blind, OSError) as error:
        reason = wording.failure(error) if isinstance(error, OSError) else str(error)
        return Glance(None, None, f"nothing is remembered between runs: {wording.path(path)}, {reason}")
    watch = None
    if sample:
        watch = abort_growth.watch(abort_growth.unpack(_section(values, COUNTERS).get(sample.namespace)), sample)
    return Glance(unpack(_section(values, LOGS).get(name)), watch, "")


def joined(memory: Memory | None, view: View | None, clock: Clock, window: Window) -> View | None:
    """What the log shows together with what is remembered of it; None if there is neither."""
    if memory and view:
        return recall(memory, view, clock)
    return _remembered(memory, clock, window) if memory else view


def _section(values: dict[str, Any], name: str) -> dict[str, Any]:
    section = values.get(name)
    return section if isinstance(section, dict) else {}


def _newest(section: dict[str, Any], age: Callable[[Any], float]) -> dict[str, Any]:
    """The ``SECTIONS`` entries used last."""
    return dict(sorted(section.items(), key=lambda entry: age(entry[1]))[-SECTIONS:])


def _until(values: Any) -> float:
    memory = unpack(values)
    return memory.until if memory else 0.0


def _sampled(values: Any) -> float:
    known = abort_growth.unpack(values)
    return known.last.time if known else 0.0


def recall(memory: Memory, view: View, clock: Clock) -> View:
    """``view`` completed by what is remembered."""
    step = _step(memory, clock)
    old = _events(memory, step)
    same = [event for event in old if _stamped(event) == view.kernel_stamps]
    # A message has another key in another kind of source: what the present one covers, it shows itself.
    other = [event for event in old if _stamped(event) != view.kernel_stamps and event.when < view.since]
    connected = memory.since + step <= view.since <= memory.until + step
    return view._replace(events=union(view.events, same, other), since=memory.since + step if connected else view.since)


def _remembered(memory: Memory, clock: Clock, window: Window) -> View | None:
    """The messages remembered within the window, as the view of a log that cannot be read any more."""
    events = [event for event in _events(memory, _step(memory, clock)) if event.when >= window.start]
    return View(REMEMBERED, events, window.now, []) if events else None


def _step(memory: Memory, clock: Clock) -> float:
    """By how much the clock was set since: between two runs of one boot nothing else moves the time of the boot."""
    return clock.booted - memory.booted if clock.boot and memory.boot == clock.boot else 0.0


def _events(memory: Memory, step: float) -> list[Event]:
    """Stamps of the kernel follow the clock; those that a log daemon wrote stay as they are written."""
    return [event._replace(when=event.when + step) if _stamped(event) else event for event in memory.events]


def remember(view: View, clock: Clock, window: Window) -> Memory:
    """What to keep of a view, itself completed by ``recall``."""
    events = sorted((event for event in union(view.events) if event.when >= window.start), key=lambda event: event.when)
    since = window.start if coverage(view, window) == 100 else view.since
    until = clock.now if view.until is None else min(view.until, clock.now)
    return Memory(since, until, clock.booted, clock.boot, events[-KEPT:])


def _stamped(event: Event) -> bool:
    return event.key.startswith(KERNEL_STAMP)


def pack(memory: Memory) -> list[Any]:
    """A memory as JSON values."""
    return [memory.since, memory.until, memory.booted, memory.boot, [list(event) for event in memory.events]]


def unpack(values: Any) -> Memory | None:
    """The reverse of ``pack``; None for anything that is not such."""
    try:
        since, until, booted, boot, events = values
        return Memory(
            float(since), float(until), float(booted), str(boot),
            [Event(float(when), str(cause), max(0, int(count)), str(key)) for when, cause, count, key in events],
        )  # fmt: skip
    except (TypeError, ValueError, OverflowError):
        return None
