"""What OpenVZ refused between runs: the growth of each ``failcnt`` of ``/proc/user_beancounters``."""

from __future__ import annotations

from tcp_headroom.memory import abort_growth, state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tcp_headroom.memory.abort_growth import Watch
    from tcp_headroom.proc.beancounters import Row
    from tcp_headroom.proc.clock import Clock

SECTION = "beancounters"
"""Part of the state: what ``failcnt`` was, by row. Only hosts with the file have it."""
KEPT = 90
"""Rows remembered, those that changed last."""


def watched(rows: list[Row], path: str | None, root: str, clock: Clock, start: float) -> dict[str, Watch]:
    """What is known of the growth of each ``failcnt``, by ``Row.key``; ``start``: growth before it is forgotten.

    ``path``: the directory of the state, None for no memory. Whoever asks also
    remembers, but only where a number is new: a host at rest is written once. No
    other run is waited for, and no disk: what is lost is one sample. Raises
    ``Blind`` or ``OSError`` for a state that cannot be used.
    """
    samples = [
        (row.key, abort_growth.Sample(clock.boot, f"{root} {row.key}", clock.boottime, row.failcnt)) for row in rows
    ]
    found = {key: abort_growth.watch(None, sample) for key, sample in samples}
    if path is None or not rows:
        return found
    known = _unpacked(state.peek(path))
    found = {key: abort_growth.watch(known.get(sample.namespace), sample) for key, sample in samples}
    if all(_same(known.get(watch.last.namespace), watch) for watch in found.values()):
        return found
    for held in state.opened(path, 0):
        known = _unpacked(held.values)
        for key, sample in samples:
            watch = found[key] = abort_growth.watch(known.get(sample.namespace), sample)
            if not _same(known.get(sample.namespace), watch):
                known[sample.namespace] = abort_growth.Watch(watch.since, watch.last, abort_growth.within(watch, start))
        newest = sorted(known.items(), key=lambda entry: entry[1].last.time)[-KEPT:]
        held.values[SECTION] = {name: abort_growth.pack(watch) for name, watch in newest}
        held.save(durable=False)
    return found


def _same(known: Watch | None, watch: Watch) -> bool:
    """Whether ``watch`` says no more than what is known: it began then, and nothing was refused since."""
    return known is not None and (known.since, known.last.value) == (watch.since, watch.last.value)


def _unpacked(values: dict[str, Any]) -> dict[str, Watch]:
    section = values.get(SECTION)
    watches = (
        {name: abort_growth.unpack(packed) for name, packed in section.items()} if isinstance(section, dict) else {}
    )
    return {name: watch for name, watch in watches.items() if watch}
