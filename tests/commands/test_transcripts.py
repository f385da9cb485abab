"""Whole runs, to be read beside the fixture trees: command, exact output, exit code.

A transcript is in ``transcripts/``, one file a command. Every fixture tree occurs
in each; those of the older captures, without ``meminfo``, not in that of
check_tcp_limits. The hosts in ``settings/`` have a test of their own.
"""

from __future__ import annotations

import re
import shlex
from typing import NamedTuple

import pytest

from workbench.command import FIXTURES, TRANSCRIPTS, Run, assert_grammar


class Call(NamedTuple):
    command: str
    arguments: str
    output: str
    code: int


def calls(command: str) -> list[Call]:
    """The calls of one transcript, in order."""
    found = []
    for block in (TRANSCRIPTS / f"{command}.txt").read_text().split("\n$ ")[0:]:
        lines = [line for line in block.splitlines() if line and not line.startswith("#")]
        name, _, arguments = lines[0].removeprefix("$ ").partition(" ")
        assert name == command
        code = lines[-1].removeprefix("exit ")
        found.append(Call(command, arguments, "\n".join(lines[1:-1]) + "\n", int(code)))
    return found


CALLS = [*calls("check_tcp_orphans"), *calls("check_tcp_mem"), *calls("check_tcp_limits")]
OLDER = ("kernel-6.18/", "openvz/")
TREES = {str(limit.relative_to(FIXTURES).parent.parent) for limit in FIXTURES.glob("[!s]*/**/net/sockstat")}


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.command} {call.arguments}")
def test_transcript(run: Run, call: Call) -> None:
    output = run(call.command, *shlex.split(call.arguments))
    assert output == (call.code, call.output)


@pytest.mark.parametrize("command", ["check_tcp_orphans", "check_tcp_mem", "check_tcp_limits"])
def test_every_tree_occurs(command: str) -> None:
    wanted = {tree for tree in TREES if not tree.startswith(OLDER)} if command == "check_tcp_limits" else TREES
    assert {shlex.split(call.arguments)[1] for call in calls(command)} == wanted
    assert len(TREES) == 3 + 2 * 13 + 2 + 4 * 7 + 6


def test_what_a_phone_shows(capsys: pytest.CaptureFixture[str]) -> None:
    """The first 80 characters of every status line there is, as one table to be read in review."""
    lines = {call.output.splitlines()[0].partition(" | ")[0] for call in CALLS}
    with capsys.disabled():
        print("\n" + "\n".join(sorted({line[:80] for line in lines})))
    for line in lines:
        assert_grammar(line)
        assert not re.search(r"[:;,] ?[:;,.]|\. ?[:;,]|  ", line.replace("...", "")), line


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.command} {call.arguments}")
def test_status_line_survives_notifications(call: Call) -> None:
    text, _bar, _perfdata = call.output.splitlines()[0].partition(" | ")
    assert not set(text) & set("`~$&|'\"<>")
