"""The case of every fixture tree and capture, as each command that can see it names it."""

from __future__ import annotations

import pathlib
import shutil

import pytest

from tcp_headroom.verdict import judgement
from workbench.command import FIXTURES, Run

GAUGES = ("check_tcp_orphans", "check_tcp_mem")

AWAY, LIMIT, MEM, QUIET, SPIKE = (
    judgement.HIDDEN, judgement.ORPHAN_LIMIT, judgement.MEMORY, judgement.NO_SHORTAGE, judgement.SPIKE
)  # fmt: skip
FEW = judgement.PENALISED

LAB = {
    "00-idle/host": QUIET,
    "12-orphans-over-25pct/host": FEW,
    "13-orphans-over-50pct/host": LIMIT,
    "15-orphans-over-limit-killed/host": QUIET,
    "22-mem-above-pressure/host": MEM,
    "23-mem-above-max-live-sockets/host": MEM,
    "24-mem-above-max-after-close/host": MEM,
}
TREES = {
    **{f"kernel-{kernel}/{scene}": case for kernel in ("5.10", "6.1", "6.12", "7.2") for scene, case in LAB.items()},
    "article/front-end-32g": FEW,
    "article/max-64-mib": MEM,
    "article/pressure-above-max": judgement.CONFIGURATION,
    "child-namespace": AWAY,
    "child-namespace-3.10": AWAY,
    "kernel-6.18/00-idle/host": QUIET,
    "kernel-6.18/00-idle/netns": AWAY,
    "kernel-6.18/10-orphans-default-limit/host": QUIET,
    "kernel-6.18/10-orphans-default-limit/netns": AWAY,
    "kernel-6.18/11-orphans-24pct/host": QUIET,
    "kernel-6.18/11-orphans-24pct/netns": AWAY,
    "kernel-6.18/12-orphans-30pct/host": FEW,
    "kernel-6.18/12-orphans-30pct/netns": AWAY,
    "kernel-6.18/13-orphans-60pct/host": LIMIT,
    "kernel-6.18/13-orphans-60pct/netns": AWAY,
    "kernel-6.18/14-orphans-97pct/host": LIMIT,
    "kernel-6.18/14-orphans-97pct/netns": AWAY,
    "kernel-6.18/15-orphans-over-limit-killed/host": QUIET,
    "kernel-6.18/15-orphans-over-limit-killed/netns": AWAY,
    "kernel-6.18/16-max-orphans-zero/host": judgement.CONFIGURATION,
    "kernel-6.18/16-max-orphans-zero/netns": AWAY,
    "kernel-6.18/20-mem-below-min/host": QUIET,
    "kernel-6.18/20-mem-below-min/netns": AWAY,
    "kernel-6.18/21-mem-between-min-and-pressure/host": QUIET,
    "kernel-6.18/21-mem-between-min-and-pressure/netns": AWAY,
    # The flag of the pressure phase is seen in a container, too.
    "kernel-6.18/22-mem-above-pressure/host": MEM,
    "kernel-6.18/22-mem-above-pressure/netns": MEM,
    "kernel-6.18/23-mem-above-max-live-sockets/host": MEM,
    "kernel-6.18/23-mem-above-max-live-sockets/netns": MEM,
    "kernel-6.18/24-mem-above-max-after-close/host": MEM,
    "kernel-6.18/24-mem-above-max-after-close/netns": MEM,
    "openvz/container": QUIET,
    "openvz/container-2.6.18": judgement.CANNOT_SAY,
    "openvz/container-2.6.18-full": judgement.CONTAINER,
    "openvz/container-few-penalised": judgement.CONTAINER,
    "openvz/container-many-orphans": QUIET,
    "openvz/container-sockets-refused": judgement.CONTAINER,
    **{
        str(path.relative_to(FIXTURES)): MEM
        if path.parent.name in ("above-memory-in-use-6.1", "nearly-full-6.1")
        else QUIET
        for path in FIXTURES.glob("settings/*/proc")
    },
}
CAPTURES = {
    **{
        f"kernel-{kernel}/15-orphans-over-limit-killed/kmsg": SPIKE for kernel in ("5.10", "6.1", "6.12", "6.18", "7.2")
    },
    **{f"kernel-{kernel}/24-mem-above-max-after-close/kmsg": MEM for kernel in ("5.10", "6.1", "6.12", "7.2")},
}
CAUSES = {SPIKE: "(cause: 10 orphans)", MEM: " memory)"}


def test_every_tree_and_capture_has_a_row() -> None:
    found = {str(path.parent.parent.relative_to(FIXTURES)) for path in FIXTURES.glob("**/net/sockstat")}
    assert set(TREES) == found
    assert set(CAPTURES) == {str(path.relative_to(FIXTURES)) for path in FIXTURES.glob("**/kmsg")}


@pytest.mark.parametrize("command", GAUGES)
@pytest.mark.parametrize("tree", TREES)
def test_tree(run: Run, command: str, tree: str) -> None:
    assert run(command, "--procfs", tree, "-v").case == TREES[tree]


@pytest.mark.parametrize("path", CAPTURES)
def test_capture(run: Run, tmp_path: pathlib.Path, path: str) -> None:
    # A copy is written now, so its last record is of this moment.
    capture = shutil.copyfile(FIXTURES / path, tmp_path / "kmsg")
    tree = path.replace("kmsg", "host")
    output = run("check_tcp_kernel_log", "--procfs", tree, "--kmsg", capture, "--no-state", "-v")
    assert output.case == CAPTURES[path]
    assert CAUSES[CAPTURES[path]] in output.verdict


@pytest.mark.parametrize("command", GAUGES)
def test_a_limit_given_is_judged(run: Run, command: str) -> None:
    options = {"check_tcp_orphans": ["--max-orphans", "150"], "check_tcp_mem": ["--tcp-mem", "100,200,1076"]}[command]
    given = {"check_tcp_orphans": LIMIT, "check_tcp_mem": MEM}[command]
    output = run(command, "--procfs", "child-namespace", *options, "-v")
    assert output.case == given
    other = {"check_tcp_orphans": "tcp_mem", "check_tcp_mem": "tcp_max_orphans"}[command]
    assert f"; {other} cannot be seen from here. Next: " in output.verdict
