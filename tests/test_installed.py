"""The installed commands, each as a process of its own as a monitoring agent would start it."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

from workbench.command import BIN, COMMANDS, ROOT


def start(command: str, *arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    arguments = (*arguments, "--no-state")
    settings: dict[str, object] = {
        "env": {},
        "cwd": "/",
        "stdin": subprocess.DEVNULL,
        "capture_output": True,
        "text": True,
    }
    return subprocess.run([BIN / command, *arguments], **(settings | options))  # type: ignore[call-overload,no-any-return]


@pytest.mark.parametrize("command", COMMANDS)
def test_empty_environment(command: str) -> None:
    done = start(command)
    assert done.returncode in (0, 1, 2, 3)
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1 and done.stdout.endswith("\n")
    assert done.stdout.startswith(command.removeprefix("check_").replace("_", " ").upper())


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "options",
    [
        {"stdin": None, "preexec_fn": lambda: os.close(0)},
        {"env": {"LC_ALL": "C", "PYTHONUTF8": "0"}},
        {"env": {"LC_ALL": "C.UTF-8"}},
        {"preexec_fn": lambda: os.umask(0o777)},
    ],
    ids=["stdin-closed", "ascii", "utf-8", "umask"],
)
def test_surroundings(command: str, options: dict[str, object]) -> None:
    done = start(command, "-vvv", "--procfs", "/nonexistent/Größe", **options)
    assert (done.returncode, done.stderr) == (3, "") or command == "check_tcp_kernel_log"
    assert done.stderr == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_without_the_library(command: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "nagiosplugin.py").write_text("raise ImportError('no such | library')\n")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from tcp_headroom.commands.{command} import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(ROOT / "checks")}, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout == (
        f"TCP UNKNOWN - the Python library nagiosplugin cannot be imported by {sys.executable} (no such ? library); "
        "install it with: pip install nagiosplugin, or with the package python3-nagiosplugin\n"
    )


def test_the_plain_run_imports_little() -> None:
    """Start-up time is a feature: what is heavy is imported when needed."""
    code = (
        "import sys; before = set(sys.modules); import argparse, nagiosplugin; library = set(sys.modules)\n"
        "import tcp_headroom.commands.check_tcp_orphans, tcp_headroom.commands.check_tcp_mem, tcp_headroom.commands.check_tcp_kernel_log\n"
        "print(sorted(name for name in set(sys.modules) - library if not name.startswith('tcp_headroom')))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
