"""The runbook has an entry for every status text, with all that a night demands, and none that no text leads to."""

from __future__ import annotations

import ast
import pathlib
import re
import time
from collections.abc import Iterator

import pytest

from lab.guest import resets
from tcp_headroom.verdict import cases
from workbench import kernel_log_host, limits_host
from workbench.command import ROOT, TRANSCRIPTS, Run
from workbench.documents import DOC, Entry, entries_of, runbook, section

LINES = sorted(
    {
        line.partition(" | ")[0]
        for path in TRANSCRIPTS.glob("*.txt")
        for line in path.read_text().splitlines()
        if re.match(r"TCP [A-Z ]+ (OK|WARNING|CRITICAL|UNKNOWN) - ", line)
    }
)
PARTS = ("Means", "First", "Fix", "Wake someone")


@pytest.mark.parametrize("line", LINES)
def test_every_text_has_an_entry(line: str) -> None:
    """Those of the transcripts here; every other line that a test holds to the grammar is held to this as well."""
    assert None not in entries_of(line)


def test_a_text_without_an_entry_is_noticed() -> None:
    assert entries_of("TCP MEM CRITICAL - the moon is full: 1 moon; memory is refused. Next: wait")[0] is None
    assert entries_of("TCP MEM OK - memory is refused") == [None]
    assert entries_of("TCP LIMITS WARNING - memory is refused") == [None]


def spoken() -> str:
    """All that the package can say: its strings, what is put into them shown as dots."""
    texts = []
    for path in (ROOT / "checks").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                texts.append("".join(part.value if isinstance(part, ast.Constant) else "..." for part in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return "\n".join(texts)


SPOKEN = spoken()


def of_limits(host: limits_host.Host) -> Iterator[str]:
    """Settings of a machine that is otherwise as its kernel made it."""
    for limit, options in ((131072, []), (10000, []), (90000, ["-w", "80:"]), (131072, ["-w", "10"]), (0, [])):
        host.put("sys/net/ipv4/tcp_max_orphans", f"{limit}\n")
        yield host.text(*options)
    host.put("sys/net/ipv4/tcp_max_orphans", "131072\n")
    host.peak(100000)
    yield host.text()
    host.peak(1)
    low, pressure, most = limits_host.levels(24 * limits_host.GIB)
    for levels, options in (
        ((low // 5, pressure // 5, most // 5), []),
        ((low * 3 // 4, pressure * 3 // 4, most * 3 // 4), ["-w", "80:"]),
        ((most, pressure, low), []),
        ((0, 0, 0), []),
        ((1 << 22, 1 << 23, 1 << 24), []),
        ((low, 1 << 22, 5 << 20), []),
        ((4096, 131072, 6291456), []),
    ):
        host.levels(*levels)
        yield host.text(*options)
    host.levels(low, pressure, most)
    host.persist("net.ipv4.tcp_max_orphans = 4096\n")
    yield host.text()
    host.levels(low - 1, pressure, most)
    host.persist("x" * (2 << 20), "/etc/sysctl.d/60-more.conf")
    yield host.text()


def of_the_log(host: kernel_log_host.Host) -> Iterator[str]:
    """What a kernel says, and what may not be read."""
    host.sleep(-4 * 3600)
    host.say("eth0: up")
    host.sleep(4 * 3600)
    yield host.check_ring().status
    for message in (kernel_log_host.ORPHAN, kernel_log_host.OF_OLD, kernel_log_host.MEMORY):
        host.say(message)
        yield host.check_ring(state=False).status
    yield host.check_ring("-w", "9", "-c", "9", state=False).status
    yield host.check_ring("-w", "9:", state=False).status
    host.readable = False
    yield host.check_ring(state=False).status
    yield host.check(state=False).status


def test_every_entry_has_a_text(tmp_path: pathlib.Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that leads to it, or words that the code has."""
    (tmp_path / "log").mkdir()
    lines = [*LINES, *of_the_log(kernel_log_host.Host(run, tmp_path / "log", monkeypatch))]
    monkeypatch.setattr(time, "time", lambda: limits_host.NOON + 3 * 3600)
    lines += of_limits(limits_host.Host(tmp_path / "limits", run))
    lines += [run("check_tcp_mem", *options).status for options in (["-w", "20"], ["-w", "@0:20"], ["-x"])]
    reached = {entry for line in lines for entry in entries_of(line)}
    assert None not in reached
    silent = [entry.heading for entry in runbook() if entry not in reached and not worded(entry.heading)]
    assert silent == []
    assert len(reached) > len(runbook()) / 2


def worded(heading: str) -> bool:
    """Whether each piece is in a string of the code, or in two, of which one is put into the other."""
    pieces = [piece.strip(" ,:;-") for piece in heading.split("...")]
    return all(
        piece in SPOKEN or any(piece[:at] in SPOKEN and piece[at:] in SPOKEN for at in range(8, len(piece) - 7))
        for piece in pieces
    )


@pytest.mark.parametrize("entry", runbook(), ids=lambda entry: f"{entry.section}: {entry.heading}")
def test_every_entry_says_what_a_night_demands(entry: Entry) -> None:
    assert tuple(re.findall(r"^\* \*\*([\w ]+):\*\* \S", entry.text, re.MULTILINE)) == PARTS
    first = entry.text.partition("**First:**")[2].partition("**Fix:**")[0]
    assert "`" in first or entry.section == "OK" or "the check with" in first
    assert re.search(r"\*\*Wake someone:\*\* (yes|no|only if|as )", entry.text)


def test_headings_are_different() -> None:
    headings = [entry.heading for entry in runbook()]
    assert len(headings) == len(set(headings)) > 40


def test_cases_of_the_verdict() -> None:
    table = section((DOC / "runbook.md").read_text(), "The verdict of -v")
    assert tuple(re.findall(r"^\| ([A-Za-z0-9 ,:%_]+) \|", table, re.MULTILINE)[1:]) == cases.CASES


def test_the_recipe_is_the_one_that_the_lab_has_run() -> None:
    block = section((DOC / "runbook.md").read_text(), "Who is being reset").split("```")[1]
    assert f"mount -t tracefs tracefs {resets.TRACING} " in block
    assert [f"echo {value} > {resets.EVENT}" in block for value in (1, 0)] == [True, True]
    assert f"grep {resets.REASON} {resets.TRACING}/trace_pipe" in block
