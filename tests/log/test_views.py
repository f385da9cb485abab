"""Joining readings of one log: every message once, as often as it was there."""

from __future__ import annotations

import itertools

import pytest

from tcp_headroom.log.views import Event, union

A, B = "at/1/100", "at/2/200"


def event(when: float, count: int = 1, key: str = A, cause: str = "orphans") -> Event:
    return Event(when, cause, count, key)


@pytest.mark.parametrize(
    "readings, expected",
    [
        ([], []),
        ([[], []], []),
        ([[event(5)], []], [event(5)]),
        # Of one reading they add up; between readings the larger sum counts.
        ([[event(5), event(5, 3)]], [event(5, 4)]),
        ([[event(5, 2)], [event(5, 7)]], [event(5, 7)]),
        ([[event(5, 2), event(5, 2)], [event(5, 3)]], [event(5, 4)]),
        ([[event(5, 1)], [event(5, 9)], [event(5, 4)]], [event(5, 9)]),
        # Between readings the earlier time.
        ([[event(9)], [event(5)], [event(7)]], [event(5)]),
        ([[event(9, 3)], [event(5, 1)]], [event(5, 3)]),
        # Another key or another cause is another message.
        ([[event(5)], [event(5, 2, B)]], [event(5), event(5, 2, B)]),
        ([[event(5)], [event(5, 2, cause="memory")]], [event(5), event(5, 2, cause="memory")]),
        ([[event(5), event(6, 2, B)], [event(6, 1, B), event(5, 8)]], [event(5, 8), event(6, 2, B)]),
    ],
)
def test_union(readings: list[list[Event]], expected: list[Event]) -> None:
    """The order of the readings makes no difference."""
    for order in itertools.permutations(readings):
        assert sorted(union(*order)) == sorted(expected)
