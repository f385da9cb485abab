"""All documents: links and anchors resolve, what is named exists, what is shown is what a run prints."""

from __future__ import annotations

import pathlib
import re
import shlex

import pytest

from tcp_headroom.commands import check_tcp_kernel_log, check_tcp_limits, check_tcp_mem, check_tcp_orphans
from workbench.command import COMMANDS, CONTRIB, ROOT, Run
from workbench.documents import DOC, DOCUMENTS, anchor, anchors, links, prose

PARSERS = {
    module.__name__.rpartition(".")[2]: module.build_parser()
    for module in (check_tcp_kernel_log, check_tcp_limits, check_tcp_mem, check_tcp_orphans)
}


def name(path: pathlib.Path) -> str:
    return str(path.relative_to(ROOT))


each = pytest.mark.parametrize("path", DOCUMENTS, ids=name)


def test_anchor() -> None:
    """As the web pages of code hosts make them."""
    assert anchor("over 50 %, slow peers affected too") == "over-50--slow-peers-affected-too"
    assert anchor("The verdict of -v") == "the-verdict-of--v"
    assert anchor("`check_tcp_mem`: what?") == "check_tcp_mem-what"


@each
def test_links(path: pathlib.Path) -> None:
    for link in links(path.read_text()):
        if link.startswith("https://"):
            continue
        target, _hash, place = link.partition("#")
        file = (path.parent / target).resolve() if target else path
        assert file.exists(), link
        assert not place or place in anchors(file.read_text()), link


@each
def test_anchors_are_different(path: pathlib.Path) -> None:
    assert len(set(anchors(path.read_text()))) == len(anchors(path.read_text()))


def test_every_document_is_linked() -> None:
    linked = {
        (path.parent / link.partition("#")[0]).resolve() for path in DOCUMENTS for link in links(path.read_text())
    }
    assert set(DOC.glob("*.md")) <= linked
    readme = {ROOT / link.partition("#")[0] for link in links((ROOT / "README.md").read_text())}
    assert set(DOC.glob("*.md")) <= readme


@each
def test_files_exist(path: pathlib.Path) -> None:
    text = re.sub(r"```\n\$.*?```", "", path.read_text(), flags=re.DOTALL)
    for file in re.findall(r"(?<![\w/])(?:contrib|tests)/[\w./-]*\w", text):
        assert (ROOT / file).exists() or list(ROOT.glob(f"{file}*")), file


@each
def test_options_exist(path: pathlib.Path) -> None:
    """Each command line of the checks is one that its parser takes."""
    blocks = re.findall(r"^```\n(.*?)^```$", path.read_text(), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    lines += re.findall(r"`([^`\n]+)`", prose(path.read_text()))
    for line in lines:
        found = re.match(r"(?:\$ |time )?(?:/\S+/)?(check_tcp_\w+)( [^|`]*)?$", line)
        if found and found[1] in COMMANDS and re.match(r" -", found[2] or ""):
            arguments = [re.sub(r"^N$", "1", word) for word in shlex.split(found[2])]
            PARSERS[found[1]].parse_args([word for word in arguments if word != "MIN,PRESSURE,MAX"])


SHOWN = [
    (path, line, output)
    for path in DOCUMENTS
    for line, output in re.findall(r"```\n\$ (check_[^\n]*)\n(.*?)```", path.read_text(), re.DOTALL)
]


@pytest.mark.parametrize("path, line, output", SHOWN)
def test_shown_output(run: Run, path: pathlib.Path, line: str, output: str) -> None:
    command, *arguments = shlex.split(line)
    relative = [argument.replace("tests/fixtures/", "") for argument in arguments]
    assert run(command, *relative).text.replace("article/", "tests/fixtures/article/") == output


def test_something_is_shown() -> None:
    assert len(SHOWN) == 2


def test_notes_lead_to_the_runbook() -> None:
    """The address is the user's; what follows it is a section of the runbook."""
    there = anchors((DOC / "runbook.md").read_text())
    found = []
    for file in (*CONTRIB.glob("icinga2/*.conf"), *CONTRIB.glob("nagios/*.cfg")):
        text = file.read_text()
        found += re.findall(r'TcpHeadroomRunbook \+ "#(\w+)"|\$_SERVICERUNBOOK\$#(\w+)', text)
    assert sorted(one or other for one, other in found) == sorted(2 * COMMANDS)
    assert set(COMMANDS) <= set(there)
