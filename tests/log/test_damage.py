"""Thousands of logs that are written damaged by one who knows the truth: no result claims more than it."""

from __future__ import annotations

import collections
import pathlib
import tempfile

import pytest

from workbench import journals, log_damage, log_damage_files, log_damage_records

pytestmark = pytest.mark.slow

CHUNK = 200
LOGS = {"files": 4000, "ring": 800}
JOURNALS = 200
MAKERS = {"files": log_damage_files.plan, "ring": log_damage_records.ring}
CHUNKS = [(kind, first) for kind, number in LOGS.items() for first in range(0, number, CHUNK)]


def explore(maker: log_damage.Maker, seeds: range) -> collections.Counter[int]:
    """No property is broken; a failure shows the first seeds, which ``python -m workbench.log_damage 1 SEED KIND`` repeats."""
    with tempfile.TemporaryDirectory(dir=log_damage.MEMORY) as place:
        complaints, codes = log_damage.explore(maker, seeds, pathlib.Path(place))
    assert not complaints, f"{len(complaints)} of {len(seeds)}:\n" + "\n".join(complaints[:5])
    return codes


def test_enough() -> None:
    assert sum(LOGS.values()) + JOURNALS >= 5000 and JOURNALS >= 200


@pytest.mark.parametrize("kind, first", CHUNKS)
def test_claims_no_more_than_the_truth(kind: str, first: int) -> None:
    codes = explore(MAKERS[kind], range(first, first + CHUNK))
    # A check that is always UNKNOWN, or never, would break little.
    assert min(codes[0], codes[1] + codes[2], codes[3]) > CHUNK / 20, codes


@pytest.mark.parametrize("first", range(0, JOURNALS, 50))
def test_real_journals(first: int) -> None:
    if journals.MISSING:
        pytest.skip(journals.MISSING)
    explore(log_damage_records.journal, range(first, first + 50))
