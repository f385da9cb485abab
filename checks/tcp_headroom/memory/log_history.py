"""What earlier runs saw of the log, joined with what this one sees.

A message seen once stays known until it leaves the window, even when the ring has
wrapped or the file was rotated away since; what the runs saw of the log adds up to
one proof; and what one run of a boot has found out about a source (that a hit would
show there, what it has from before the boot) no other has to ask again.
"""

from __future__ import annotations

from tcp_headroom import wording
from tcp_headroom.blind import Blind
from tcp_headroom.log.choice import Known
from tcp_headroom.log.proof import Proof
from tcp_headroom.log.proof import joined as joined_spans
from tcp_headroom.log.views import Event, View, believed, union
from tcp_headroom.memory import abort_growth, state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from tcp_headroom.log.choice import Look
    from tcp_headroom.log.proof import Span
    from tcp_headroom.log.views import Window
    from tcp_headroom.memory.abort_growth import Sample, Watch
    from tcp_headroom.proc.clock import Clock

LOGS, COUNTERS = "logs", "counters"
"""Parts of the state: memories by what is watched, watches by network namespace."""

LOGS_KEPT = 200
"""Memories kept, those used last: a central server has a service for each of its hosts."""
COUNTERS_KEPT = 8
"""Watches kept."""
SPANS_KEPT = 100
"""Spans remembered, the newest."""

REMEMBERED = "earlier runs"
"""The source of a view that is made of memory alone."""

KEPT = 500
"""Events remembered, the newest; there are more only where the log itself still has them."""


class Memory:
    """What one run leaves for the next. Times are seconds since the epoch."""

    def __init__(
        self,
        spans: list[Span],
        until: float,
        booted: float,
        boot: str,
        events: list[Event],
        firm: list[Span] | None = None,
        sights: frozenset[str] = frozenset(),
        before_boot: bool = False,
        legacy: bool = False,
    ) -> None:
        self.spans = spans
        """The times of which everything was seen."""
        self.until = until
        """When that run was."""
        self.booted = booted
        """When the machine was booted, by the clock of that run."""
        self.boot = boot
        self.events = events
        self.firm = firm or []
        """The spans seen in a ring or a journal."""
        self.sights = sights
        """Sources in which a hit would show, by what that run's boot has seen."""
        self.before_boot = before_boot
        """Whether the time before that boot was looked for."""
        self.legacy = legacy
        """Whether the keys of lines of files are those of offsets, as they once were."""


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


def known(path: str | None, name: str, clock: Clock) -> Known:
    """What earlier runs of this boot have found out about the sources of the log remembered under ``name``."""
    if path is None:
        return Known()
    try:
        memory = unpack(_section(state.peek(path), LOGS).get(name))
    except (Blind, OSError):
        return Known()
    if memory is None or not clock.boot or memory.boot != clock.boot:
        return Known(before_boot=False)
    return Known(memory.sights, memory.before_boot)


def consult(
    path: str | None,
    patience: float,
    name: str,
    view: View | None,
    sample: Sample | None,
    clock: Clock,
    window: Window,
    look: Look | None = None,
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
                logs[name] = pack(remember(view, clock, window, look))
            if sample:
                fresh = abort_growth.watch(abort_growth.unpack(counters.get(sample.namespace)), sample)
                counters[sample.namespace] = abort_growth.pack(fresh)
            if len(logs) > LOGS_KEPT:
                notes.append(
                    f"there is room for {LOGS_KEPT} logs in the state; the one not used for longest is forgotten"
                )
            held.values[LOGS] = _newest(logs, _until, LOGS_KEPT)
            held.values[COUNTERS] = _newest(counters, _sampled, COUNTERS_KEPT)
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


def _newest(section: dict[str, Any], age: Callable[[Any], float], number: int) -> dict[str, Any]:
    """The entries used last."""
    return dict(sorted(section.items(), key=lambda entry: age(entry[1]))[-number:])


def _until(values: Any) -> float:
    memory = unpack(values)
    return memory.until if memory else 0.0


def _sampled(values: Any) -> float:
    known = abort_growth.unpack(values)
    return known.last.time if known else 0.0


def recall(memory: Memory, view: View, clock: Clock) -> View:
    """``view`` completed by what is remembered."""
    step = _step(memory, clock)
    firm = joined_spans([*view.proof.firm, *_moved(memory.firm, step)])
    spans = joined_spans([*view.proof.spans, *_moved(memory.spans, step)])
    old = _events(memory, step)
    if memory.legacy:
        shown = {(int(event.when), event.cause) for event in view.events}
        old = [event for event in old if event.firm or (int(event.when), event.cause) not in shown]
    events = believed(union(view.events, old), firm)
    return view._replace(events=events, proof=view.proof._replace(spans=spans, firm=firm))


def _moved(spans: list[Span], step: float) -> list[Span]:
    return [(first + step, end + step) for first, end in spans]


def _remembered(memory: Memory, clock: Clock, window: Window) -> View | None:
    """The messages remembered within the window, as the view of a log that cannot be read any more."""
    events = [event for event in _events(memory, _step(memory, clock)) if event.when >= window.start]
    return View(REMEMBERED, events, Proof([], []), []) if events else None


def _step(memory: Memory, clock: Clock) -> float:
    """By how much the clock was set since: between two runs of one boot nothing else moves the time of the boot."""
    return clock.booted - memory.booted if clock.boot and memory.boot == clock.boot else 0.0


def _events(memory: Memory, step: float) -> list[Event]:
    """Stamps of the kernel follow the clock; those that a log daemon wrote stay as they are written."""
    return [event._replace(when=event.when + step) if event.firm else event for event in memory.events]


def remember(view: View, clock: Clock, window: Window, look: Look | None = None) -> Memory:
    """What to keep of a view, itself completed by ``recall``."""
    events = sorted((event for event in union(view.events) if event.when >= window.start), key=lambda event: event.when)
    spans, firm = (
        [(max(first, window.start), min(end, clock.now)) for first, end in found if end >= window.start][-SPANS_KEPT:]
        for found in (view.proof.spans, view.proof.firm)
    )
    return Memory(
        spans, clock.now, clock.booted, clock.boot, events[-KEPT:], firm,
        look.sights if look else frozenset(), look.before_boot if look else False,
    )  # fmt: skip


def pack(memory: Memory) -> list[Any]:
    """A memory as JSON values; the first five are those of the format's first day."""
    first, end = memory.spans[-1] if memory.spans else (memory.until, memory.until)
    events = [list(event) if event.container else list(event)[:4] for event in memory.events]
    return [
        first, end, memory.booted, memory.boot, events,
        memory.until, memory.spans, memory.firm, sorted(memory.sights), memory.before_boot,
    ]  # fmt: skip


def unpack(values: Any) -> Memory | None:
    """The reverse of ``pack``; None for anything that is not such."""
    try:
        since, end, booted, boot, events, *further = values
        first = (float(since), float(end))
        until, spans, firm, sights, before_boot = further or (first[1], [first], [], [], False)
        return Memory(
            [(float(begin), float(end)) for begin, end in spans],
            float(until),
            float(booted),
            str(boot),
            [_event(*event) for event in events],
            [(float(begin), float(end)) for begin, end in firm],
            frozenset(map(str, sights)),
            bool(before_boot),
            not further,
        )
    except (TypeError, ValueError, OverflowError):
        return None


def _event(when: Any, cause: Any, count: Any, key: Any, container: Any = "") -> Event:
    return Event(float(when), str(cause), max(0, int(count)), str(key), str(container))
