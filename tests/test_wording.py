"""Foreign text and numbers on their way into a status line."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcp_headroom import wording


@pytest.mark.parametrize(
    "text, cleaned",
    [
        ("TCP: too many orphaned sockets", "TCP: too many orphaned sockets"),
        ("two\nlines\tand  blanks ", "two lines and blanks"),
        ("a|b=1;2;3", "a?b=1;2;3"),
        ("\x1b[31mred\x1b[0m", "?[31mred?[0m"),
        ("nul\0", "nul?"),
        ("`id` $(id) ~ & <b> 'x' \"y\"", "?id? ?(id) ? ? ?b? ?x? ?y?"),
        ("right\u202eleft", "right?left"),
        ("lone \udcff surrogate", "lone ? surrogate"),
        ("Größe", "Größe"),
        ("x" * 200, "x" * 200),
        ("x" * 201, "x" * 197 + "..."),
        (" " * 10000 + "x", ""),
    ],
)
def test_clean(text: str, cleaned: str) -> None:
    assert wording.clean(text) == cleaned


@given(st.text(st.characters()), st.integers(4, 300))
def test_clean_is_harmless(text: str, limit: int) -> None:
    cleaned = wording.clean(text, limit)
    assert len(cleaned) <= limit
    assert cleaned.isprintable()
    assert not set(cleaned) & set(wording.ILLEGAL)
    assert wording.clean(cleaned, limit) == cleaned


@pytest.mark.parametrize(
    "value, text",
    [
        (0, "0"), (-5180, "-5180"), (2**64, "18446744073709551616"), (0.0, "0"), (-0.00001, "0"),
        (25.0, "25"), (32.90405, "32.904"), (1e-7, "0"), (1e20, "100000000000000000000"), (0.30000000000000004, "0.3"),
    ],
)  # fmt: skip
def test_number(value: float, text: str) -> None:
    assert wording.number(value) == text


@given(st.one_of(st.integers(), st.floats(-1e22, 1e22)))
def test_number_has_only_the_characters_of_perfdata(value: float) -> None:
    text = wording.number(value)
    assert re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text)
    assert float(text) == pytest.approx(value, rel=1e-12, abs=0.00005001)


@pytest.mark.parametrize(
    "count, text",
    [
        (0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (12889604096, "12.0 GiB"), (1024**2 - 1, "1.0 MiB"),
        (1024**6, "1024.0 PiB"),
    ],
)  # fmt: skip
def test_size(count: int, text: str) -> None:
    assert wording.size(count) == text


@pytest.mark.parametrize(
    "seconds, text",
    [
        (-5, "now"), (0.9, "now"), (59.9, "59 s ago"), (60, "1 min ago"), (3599, "59 min ago"), (3600, "1 h ago"),
        (2 * 86400 - 1, "47 h ago"), (2 * 86400, "2 days ago"),
    ],
)  # fmt: skip
def test_age(seconds: float, text: str) -> None:
    assert wording.age(seconds) == text


def test_count() -> None:
    assert [wording.count(number, "orphan") for number in (0, 1, 2)] == ["0 orphans", "1 orphan", "2 orphans"]
