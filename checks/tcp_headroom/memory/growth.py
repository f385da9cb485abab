"""Counters of several things between runs: the growth of each, by name, in one section of the state."""

from __future__ import annotations

from tcp_headroom.memory import abort_growth, state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tcp_headroom.memory.abort_growth import Watch
    from tcp_headroom.proc.clock import Clock

GONE = 90
"""Counters remembered in a section beside as many as there are: of containers that ended, and of other trees."""


def watched(
    section: str,
    values: dict[str, int],
    path: str | None,
    root: str,
    clock: Clock,
    start: float,
    whole: str | None = None,
) -> dict[str, Watch]:
    """What is known of the growth of each counter in ``values``, by its name; ``start``: growth before it is forgotten.

    ``path``: the directory of the state, None for no memory; ``root``: the tree the
    counters are read from; ``whole``: the name of the sum of all, if there is one, beside
    which a counter that is not known was 0. Whoever asks also remembers, but only where a number is
    new: a host at rest is written once. No other run is waited for, and no disk: what
    is lost is one sample. Raises ``Blind`` or ``OSError`` for a state that cannot be used.
    """
    samples = {
        name: abort_growth.Sample(clock.boot, f"{root} {name}", clock.boottime, value) for name, value in values.items()
    }
    found = {name: abort_growth.watch(None, sample) for name, sample in samples.items()}
    if path is None or not values:
        return found
    known = _known(state.peek(path), section, samples, whole)
    found = {name: abort_growth.watch(known.get(sample.namespace), sample) for name, sample in samples.items()}
    if all(_same(known.get(watch.last.namespace), watch) for watch in found.values()):
        return found
    for held in state.opened(path, 0):
        known = _known(held.values, section, samples, whole)
        for name, sample in samples.items():
            watch = found[name] = abort_growth.watch(known.get(sample.namespace), sample)
            if not _same(known.get(sample.namespace), watch):
                known[sample.namespace] = abort_growth.Watch(watch.since, watch.last, abort_growth.within(watch, start))
        newest = sorted(known.items(), key=lambda entry: entry[1].last.time)[-len(values) - GONE :]
        held.values[section] = {name: abort_growth.pack(watch) for name, watch in newest}
        held.save(durable=False)
    return found


def _same(known: Watch | None, watch: Watch) -> bool:
    """Whether ``watch`` says no more than what is known: it began then, and nothing was added since."""
    return known is not None and (known.since, known.last.value) == (watch.since, watch.last.value)


def _known(
    values: dict[str, Any], section: str, samples: dict[str, abort_growth.Sample], whole: str | None
) -> dict[str, Watch]:
    packed = values.get(section)
    watches = {name: abort_growth.unpack(one) for name, one in packed.items()} if isinstance(packed, dict) else {}
    found = {name: watch for name, watch in watches.items() if watch}
    total = None if whole is None else found.get(samples[whole].namespace)
    for sample in samples.values() if total else ():
        if total and sample.namespace not in found and sample.boot == total.last.boot:
            before = abort_growth.Sample(sample.boot, sample.namespace, total.last.time, 0)
            found[sample.namespace] = abort_growth.Watch(before.time, before, [])
    return found
