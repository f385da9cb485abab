"""The kernel's own records, captured on every kernel of the lab, through check_tcp_kernel_log."""

from __future__ import annotations

import pathlib
import shutil

import pytest

from workbench.command import FIXTURES, Run

CAPTURES = sorted(FIXTURES.glob("kernel-*/*/kmsg"))
ORPHANS = ";TCP: too many orphaned sockets\n"
MEMORY = ";TCP: out of memory -- consider tuning tcp_mem\n"


def test_every_kernel_of_the_lab_has_both_causes() -> None:
    names = {str(path.parent.relative_to(FIXTURES)) for path in CAPTURES}
    for kernel in ("5.10", "6.1", "6.12", "7.2"):
        assert f"kernel-{kernel}/15-orphans-over-limit-killed" in names
        assert f"kernel-{kernel}/24-mem-above-max-after-close" in names


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: str(path.parent.relative_to(FIXTURES)))
def test_capture(run: Run, tmp_path: pathlib.Path, path: pathlib.Path) -> None:
    # A copy is written now, so its last record is of this moment.
    capture = shutil.copyfile(path, tmp_path / "kmsg")
    orphans, memory = (path.read_text().count(text) for text in (ORPHANS, MEMORY))
    output = run("check_tcp_kernel_log", "--kmsg", capture, "--procfs", path.parent / "host", "--no-state")
    assert output.code == (2 if memory else 1)
    assert output.perfdata["orphan_hits"].split(";")[0] == str(orphans)
    assert output.perfdata["memory_hits"].split(";")[0] == str(memory)
    assert output.perfdata["hits"].split(";")[0] == str(orphans + memory)
