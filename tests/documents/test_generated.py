"""Tables of options, manual pages and completion are those of the parsers; pages are clean, and shells complete."""

from __future__ import annotations

import os
import pathlib
import pty
import re
import runpy
import select
import subprocess

import pytest

from workbench.command import BIN, COMMANDS, CONTRIB
from workbench.machine import program

GENERATE = runpy.run_path(str(CONTRIB / "doc/generate.py"))
MADE: dict[pathlib.Path, str] = dict(GENERATE["files"]())
PAGES = sorted(CONTRIB.glob("man/*"))
ORDER = [
    "NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "PERFORMANCE DATA", "EXIT STATUS", "FILES", "NOTES", "EXAMPLES", "SEE ALSO",
]  # fmt: skip
"""Of man-pages(7), with what only plugins have before the exit status."""


@pytest.mark.parametrize("path", MADE, ids=lambda path: str(path.relative_to(CONTRIB)))
def test_made_from_the_parsers(path: pathlib.Path) -> None:
    """After a change, tests/renew writes them again."""
    assert path.read_text() == MADE[path]


def test_there_is_no_other() -> None:
    there = {path for folder in ("man", "completion") for path in (CONTRIB / folder).rglob("*") if path.is_file()}
    assert there == set(MADE) - {CONTRIB / "doc/checks.md"}
    assert tuple(path.stem for path in PAGES) == COMMANDS == GENERATE["COMMANDS"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_sections(page: pathlib.Path) -> None:
    text = page.read_text()
    assert re.findall(r"^\.SH (.*)$", text, re.MULTILINE) == ORDER
    for code, state in enumerate(("OK", "WARNING", "CRITICAL", "UNKNOWN")):
        assert f"\n\\fB{code}\\fR, {state}\n" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_mandoc_has_nothing_to_say(page: pathlib.Path) -> None:
    mandoc = program("mandoc", "mandoc")
    done = subprocess.run([mandoc, "-T", "lint", "-W", "all", page], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_man_has_nothing_to_say(page: pathlib.Path) -> None:
    man = program("man-db", "man")
    environment = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "MANWIDTH": "80", "MANROFFSEQ": "", "MANPAGER": "cat"}
    done = subprocess.run([man, "--warnings", "-l", page], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(rf"{page.stem} +- ", done.stdout) and max(map(len, done.stdout.splitlines())) <= 80


class Shell:
    """An interactive shell on a terminal of its own, in which a test types."""

    def __init__(self, arguments: list[str], home: pathlib.Path) -> None:
        environment = {
            "PATH": f"{BIN}:{os.defpath}",
            "HOME": str(home),
            "TERM": "dumb",
            "PS1": "ready> ",
            "LC_ALL": "C",
        }
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            arguments, stdin=slave, stdout=slave, stderr=slave, cwd=home, env=environment, start_new_session=True
        )
        os.close(slave)

    def type(self, keys: str, until: str, seconds: float = 30) -> str:
        """Type, and return what the shell shows up to ``until``, a pattern; fail if it never does."""
        os.write(self.master, keys.encode())
        shown = ""
        while not re.search(until, shown):
            ready, _writing, _failed = select.select([self.master], [], [], seconds)
            assert ready, shown
            shown += os.read(self.master, 65536).decode("utf-8", "replace")
        return shown

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)


def bash(home: pathlib.Path) -> Shell:
    shell = Shell(["/bin/bash", "--norc", "--noprofile", "-i"], home)
    shell.type("for file in " + str(CONTRIB / "completion/bash") + "/*; do . $file; done; echo loa''ded\n", "loaded")
    return shell


def zsh(home: pathlib.Path) -> Shell:
    shell = Shell([program("zsh", "zsh"), "-f", "-i"], home)
    shell.type(f"unsetopt zle_bracketed_paste; fpath=({CONTRIB / 'completion/zsh'} $fpath)\n", "> ")
    shell.type("autoload -U compinit && compinit -u -D && echo loa''ded\n", "loaded")
    return shell


@pytest.mark.parametrize("start", [bash, zsh], ids=["bash", "zsh"])
def test_a_shell_completes(start: object, tmp_path: pathlib.Path) -> None:
    """Options, values of a choice, files and directories; each command knows its own."""
    (tmp_path / "wanted-file").touch()
    (tmp_path / "wanted-folder").mkdir()
    shell: Shell = start(tmp_path)  # type: ignore[operator]
    try:
        shell.type("check_tcp_orphans --max-\t", "--max-orphans ")
        shell.type("\x15check_tcp_limits --sysc\t", "--sysctl-root ")
        shell.type("\x15check_tcp_mem --tcp-\t", "--tcp-mem ")
        shell.type("\x15check_tcp_kernel_log --source jo\t", "--source journal ")
        shell.type("\x15check_tcp_kernel_log --file wanted-fi\t", "wanted-file ")
        shell.type("\x15check_tcp_kernel_log --state-dir wan\t", "wanted-folder/")
    finally:
        shell.close()
