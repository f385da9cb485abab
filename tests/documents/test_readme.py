"""The README names everything there is, and shows nothing that is not so."""

from __future__ import annotations

import configparser
import importlib
import pathlib
import re
import shlex
import shutil

import pytest

from tcp_headroom.boot.sysctl_rules import SYSTEMD
from workbench.command import COMMANDS, FIXTURES, ROOT, Run
from workbench.sysctl_trees import INITS, plant

README = (ROOT / "README.md").read_text()


def section(command: str) -> str:
    """The part about one command, with the part about all."""
    own = README.partition(f"\n## {command}\n")[2].partition("\n## ")[0]
    return own + README.partition("\n## All checks\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("command", COMMANDS)
def test_options(command: str) -> None:
    parser = importlib.import_module(f"tcp_headroom.commands.{command}").build_parser()
    for action in parser._actions:
        for option in action.option_strings:
            assert f"`{option}" in section(command), option


@pytest.mark.parametrize("command", COMMANDS)
def test_states(command: str) -> None:
    for state in ("OK", "WARNING", "CRITICAL", "UNKNOWN"):
        assert f"\n| {state} | " in section(command)


@pytest.mark.parametrize("command", COMMANDS)
def test_perfdata(run: Run, command: str, tmp_path: pathlib.Path) -> None:
    tree = FIXTURES / "kernel-6.18/00-idle/host"
    more: list[str | pathlib.Path] = []
    if command == "check_tcp_kernel_log":
        more = ["--kmsg", "kernel-6.18/15-orphans-over-limit-killed/kmsg"]
    elif command == "check_tcp_limits":
        tree = shutil.copytree(tree, tmp_path / "proc")
        (tree / "meminfo").write_text("MemTotal: 24684084 kB\n")
        more = ["--state-dir", tmp_path / "state", "--sysctl-root", plant(tmp_path / "root", INITS[SYSTEMD])]
        run("check_tcp_orphans", "--procfs", tree, *more[:2])
    labels = run(command, "--procfs", tree, *more).perfdata
    assert len(labels) > 4
    named = re.findall(r"`([a-z0-9_]+)`", "\n".join(line.split("|")[1] for line in section(command).splitlines() if line.startswith("| `")))  # fmt: skip
    assert set(named) == set(labels)


SHOWN = re.findall(r"```\n\$ (check_[^\n]*)\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("line, output", SHOWN)
def test_shown_output(run: Run, line: str, output: str) -> None:
    command, *arguments = shlex.split(line)
    relative = [argument.replace("tests/fixtures/", "") for argument in arguments]
    assert run(command, *relative).text.replace("article/", "tests/fixtures/article/") == output


def test_something_is_shown() -> None:
    assert len(SHOWN) == 3


def test_files_exist() -> None:
    prose = re.sub(r"```\n\$.*?```", "", README, flags=re.DOTALL)
    for path in re.findall(r"(?:contrib|tests)/[\w./-]*\w", prose):
        assert (ROOT / path).exists(), path


def test_links_inside() -> None:
    headings = {line.lstrip("# ") for line in README.splitlines() if line.startswith("##")}
    for target in re.findall(r"\]\(#([\w-]+)\)", README):
        assert target in {heading.lower().replace(" ", "-") for heading in headings}


def test_every_command_is_installed() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    lines = setup["options.entry_points"]["console_scripts"].split("\n")[1:]
    assert sorted(lines) == [f"{command} = tcp_headroom.commands.{command}:main" for command in COMMANDS]


def packages(text: str) -> set[str]:
    """The words of the longest line that installs packages with apt-get, joined where it is broken."""
    lines = re.findall(r"apt-get (?:-qq )?install (.*)", text.replace("\\\n", " "))
    return {word for word in max(lines, key=len).split() if re.match("[a-z]", word) and word != "dev"}


def test_packages_for_the_tests() -> None:
    """What a skip names is in the README, and CI installs all of that."""
    listed = packages(README)
    for path in (ROOT / "tests").rglob("*.py"):
        text = path.read_text()
        named = re.findall(r"program\(\s*\"([a-z0-9 +-]+)\"", text) + re.findall(r"apt-get install ([a-z0-9 -]+)", text)
        assert {word for names in named for word in names.split()} <= listed | {"debootstrap"}, path.name
    # An sdist has no .ci.
    if (ROOT / ".ci/run").exists():
        assert listed <= packages((ROOT / ".ci/run").read_text())
