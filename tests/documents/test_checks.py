"""checks.md has every state and label of every check, and no other."""

from __future__ import annotations

import pathlib
import re
import shutil

import pytest

from tcp_headroom.boot.sysctl_rules import SYSTEMD
from workbench.command import COMMANDS, FIXTURES, ROOT, Run
from workbench.documents import DOC, section
from workbench.sysctl_trees import INITS, plant

CHECKS = (DOC / "checks.md").read_text()


def column(command: str, heading: str) -> list[str]:
    """The names in the first column of a table of the command's section."""
    table = re.search(rf"^\| {heading} \|.*\n\|[ -|]*\n((?:\|.*\n)*)", section(CHECKS, command), re.MULTILINE)
    assert table
    return [name for row in table[1].splitlines() for name in re.findall(r"`([^`]+)`|^\| ([A-Z]+) \|", row.split(" | ")[0] + " |") for name in name if name]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_states(command: str) -> None:
    assert column(command, "state") == ["OK", "WARNING", "CRITICAL", "UNKNOWN"]


@pytest.mark.parametrize("command", COMMANDS)
def test_options_have_their_place(command: str) -> None:
    """The tables themselves are held by test_generated."""
    assert f"<!-- options of {command} -->\n| option |" in section(CHECKS, command)


@pytest.mark.parametrize("command", COMMANDS)
def test_perfdata(run: Run, command: str, tmp_path: pathlib.Path) -> None:
    tree = FIXTURES / "kernel-6.18/00-idle/host"
    more: list[str | pathlib.Path] = []
    if command == "check_tcp_kernel_log":
        more = ["--kmsg", "kernel-6.18/15-orphans-over-limit-killed/kmsg"]
    if command in ("check_tcp_limits", "check_tcp_mem"):
        tree = shutil.copytree(tree, tmp_path / "proc")
        (tree / "meminfo").write_text("MemTotal: 24684084 kB\n")
    if command == "check_tcp_limits":
        more = ["--state-dir", tmp_path / "state", "--sysctl-root", plant(tmp_path / "root", INITS[SYSTEMD])]
        run("check_tcp_orphans", "--procfs", tree, *more[:2])
    labels = run(command, "--procfs", tree, *more).perfdata
    assert len(labels) > 4
    assert set(column(command, "perfdata")) == set(labels)


@pytest.mark.parametrize("command", COMMANDS)
def test_files_are_those_that_the_code_names(command: str) -> None:
    code = "".join(path.read_text() for path in (ROOT / "checks").rglob("*.py"))
    named = column(command, "file")
    assert len(named) > 3
    for name in named:
        path = pathlib.PurePath(name)
        assert name.removeprefix("/proc/") in code or (path.name in code and str(path.parent) in code), name
