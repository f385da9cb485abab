"""The most orphans seen on each day, kept by check_tcp_orphans for check_tcp_limits.

A limit is judged by the peak of days, not by the moment; what came on one day alone is told
from what came on several, since one sample may have hit one short burst. Days are local, so the file
holds a handful of numbers for each /proc tree; it is written only when the day's
peak rises, without waiting for the disk, since a peak that is lost comes again. What is
wrong with it costs the peak, never the result. It is apart from the rest of the state,
which may be a thousand times as long, because every run of check_tcp_orphans reads it.
"""

from __future__ import annotations

import time

from tcp_headroom import namedtuple
from tcp_headroom.memory import state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FILE = "peaks.json"
SECTION = "orphan_peaks"
"""Part of the file, and of the rest of the state as 0.1 wrote it: day as YYYY-MM-DD, to number and time, by /proc tree."""

TREES = 8
"""Trees kept, those seen last."""

PATIENCE = 1.0
"""Seconds to wait for another run that holds the state; the peak can be noted a minute later as well."""


class Peak(namedtuple("Peak", "orphans when usual", defaults=[0])):
    """The most orphans of a day, or of several."""

    __slots__ = ()
    orphans: int
    when: float
    """Seconds since the epoch, of the run that saw so many first."""
    usual: int
    """Of several days: so many were reached on at least two of them."""


def note(path: str, tree: str, orphans: int, count: int, now: float, patience: float = PATIENCE) -> None:
    """Remember ``orphans`` if it is the most of this day so far, and forget days before the last ``count``.

    Waits at most ``patience`` seconds for another run. Raises ``Blind`` or ``OSError`` if the state cannot be read or
    written.
    """
    day = _day(now)
    known = _peaks(_peek(path), tree).get(day)
    if known and known.orphans >= orphans:
        return
    for held in state.opened(path, patience, FILE):
        if not held.values:
            held.values.update(_earlier(path))
        held.values.pop("damaged", None)
        peaks = _peaks(held.values, tree)
        known = peaks.get(day)
        if known and known.orphans >= orphans:
            return
        peaks[day] = Peak(orphans, now)
        trees = held.values.get(SECTION)
        trees = trees if isinstance(trees, dict) else {}
        # Put last, so that the trees not seen for longest come first.
        trees.pop(tree, None)
        trees[tree] = {name: [peak.orphans, peak.when] for name, peak in _within(peaks, count, now).items()}
        held.values[SECTION] = dict(list(trees.items())[-TREES:])
        held.save(durable=False)


def highest(path: str, tree: str, count: int, now: float) -> Peak | None:
    """The peak of the last ``count`` days; None if none is known. Raises ``Blind`` or ``OSError``."""
    peaks = _within(_peaks(_peek(path), tree), count, now)
    if not peaks:
        return None
    first, *others = sorted(peaks.values(), key=lambda peak: -peak.orphans)
    return first._replace(usual=max((peak.orphans for peak in others), default=0))


def _peek(path: str) -> dict[str, Any]:
    return state.peek(path, FILE) or _earlier(path)


def _earlier(path: str) -> dict[str, Any]:
    """The peaks as 0.1 kept them, for as long as there is no file of their own."""
    values = state.peek(path)
    return {SECTION: values[SECTION]} if SECTION in values else {}


def _within(peaks: dict[str, Peak], count: int, now: float) -> dict[str, Peak]:
    """Those of the last ``count`` days, today included; what a clock that ran ahead left behind is not among them."""
    today = time.localtime(now)
    # At noon, as days have 23 or 25 hours where the clocks change.
    noon = time.mktime((today.tm_year, today.tm_mon, today.tm_mday - count + 1, 12, 0, 0, 0, 0, -1))
    return {day: peak for day, peak in peaks.items() if _day(noon) <= day <= _day(now)}


def _day(when: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(when))


def _peaks(values: dict[str, Any], tree: str) -> dict[str, Peak]:
    """What the state holds for a tree, as far as it makes sense."""
    trees = values.get(SECTION)
    days = trees.get(tree) if isinstance(trees, dict) else None
    found = {}
    for day, entry in days.items() if isinstance(days, dict) else ():
        try:
            peak = Peak(int(entry[0]), float(entry[1]))
        except (TypeError, ValueError, OverflowError, IndexError, KeyError):
            continue
        # What no kernel counts and no calendar has is not taken from a file.
        if 0 <= peak.orphans < 1 << 31 and 0 <= peak.when < 1e11:
            found[day] = peak
    return found
