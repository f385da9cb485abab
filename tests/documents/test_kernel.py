"""kernel.md and lab.md: each claim has its source and its kernels, and what the lab shows the lab has."""

from __future__ import annotations

import re

from lab.__main__ import SCENARIOS
from workbench.documents import DOC

KERNEL = (DOC / "kernel.md").read_text()


def test_every_claim_has_a_source_and_kernels() -> None:
    rows = [
        [cell.strip() for cell in line.split(" | ")]
        for table in re.findall(r"^\| claim \|.*\n\|[ -|]*\n((?:\|.*\n)+)", KERNEL, re.MULTILINE)
        for line in table.splitlines()
    ]
    assert len(rows) > 40
    for row in rows:
        assert len(row) == 3 and re.search("read|measured", row[1]) and row[2].strip(" |"), row


def test_what_is_said_of_silence_is_shown_by_the_lab() -> None:
    """Each row of the table names a scenario; a penalty is never claimed of one that shows there is none."""
    rows = re.findall(r"^\|.*\| (yes|no)\b[^|]*\|[^|]*\| `([a-z-]+)` \|$", KERNEL, re.MULTILINE)
    assert len(rows) == 7
    assert {name for _silent, name in rows} <= set(SCENARIOS)
    silent = {name for penalised, name in rows if penalised == "yes"}
    assert silent == {"idle-then-closed", "window-long-closed", "raised-tcp-orphan-retries"}


def test_the_lab_has_the_scenarios_that_are_named() -> None:
    text = (DOC / "lab.md").read_text()
    assert f" {sum(scenario.quick for scenario in SCENARIOS.values())} scenarios each" in text
    assert set(re.findall(r"--scenario ([a-z-]+)", text)) <= set(SCENARIOS)
