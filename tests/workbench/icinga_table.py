"""What Icinga makes of perfdata: its normal form, and the colour that the table of Icinga DB Web gives to a label."""

from __future__ import annotations

import re
from typing import NamedTuple

NUMBER = r"[-+]?[0-9.]+"
UNITS = ("", "%", "B", "c")


class Datum(NamedTuple):
    """One label as it is printed: the value with its unit, and four numbers that may be missing."""

    value: float
    unit: str
    warning: float | None
    critical: float | None
    minimum: float | None
    maximum: float | None


def parsed(text: str) -> Datum:
    """Icinga 2's reading (PerfdataValue::Parse): of a level only a plain number."""
    head, *rest = text.split(";")
    found = re.fullmatch(f"({NUMBER})([%Bc]?)", head)
    assert found and found[2] in UNITS, text
    numbers = [float(part) if re.fullmatch(NUMBER, part) else None for part in rest]
    return Datum(float(found[1]), found[2], *numbers, *[None] * (4 - len(numbers)))


def normalised(datum: Datum, before_2_14_5: bool) -> Datum:
    """What Icinga DB is handed (PerfdataValue::Format): before 2.14.5 nothing stood behind an empty place."""
    *levels, last = datum[2:]
    if before_2_14_5:
        places = [*levels, last]
        known = places.index(None) if None in places else 4
        return Datum(*datum[:2], *places[:known], *[None] * (4 - known))
    return datum


def pie(datum: Datum) -> bool:
    """Whether there is a pie, which is what has the colour."""
    return datum.unit == "%" or None not in (datum.minimum, datum.maximum)


def colour(datum: Datum) -> int:
    """The state by which Icinga DB Web 1.0 paints and sorts (PerfData::getState): 0 green, 1 yellow, 2 red."""
    levels = (datum.critical, datum.warning)
    # Of levels in falling order it takes the alarm to be below them.
    inverted = None not in levels and levels[1] > levels[0]  # type: ignore[operator]
    for state, level in zip((2, 1), levels):
        inside = level is None or 0 <= datum.value <= level
        if inside == inverted:
            return state
    return 0
