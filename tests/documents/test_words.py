"""The words of everything that users read: plain ones, by the list in CONTRIBUTING.md."""

from __future__ import annotations

import ast
import importlib
import pathlib
import re
from collections.abc import Iterator

import pytest

from workbench.command import COMMANDS, CONTRIB, ROOT, TRANSCRIPTS
from workbench.documents import DOCUMENTS

TABLE = (ROOT / "CONTRIBUTING.md").read_text().partition("\n## Words\n")[2].partition("\n## ")[0]
QUAINT = [word for row in re.findall(r"^\| ([a-z][^|]*) \| [^|]+ \|$", TABLE, re.MULTILINE) if row != "not" for word in row.split(", ")]  # fmt: skip


def quaint(text: str) -> list[str]:
    """The words of the left column that are in ``text``."""
    folded = " ".join(text.lower().split())
    return [word for word in QUAINT if re.search(rf"\b{re.escape(word)}\b", folded)]


def literals(path: pathlib.Path) -> Iterator[str]:
    """The strings of a module, without its docstrings, also those below an assignment."""
    tree = ast.parse(path.read_text())
    silent = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in silent:
            yield node.value


def test_the_list() -> None:
    assert len(QUAINT) > 25
    assert quaint("It Reckoned\nthat come and\ngone") == ["reckoned", "come and gone"]
    assert quaint("recommend, shoplift that") == []


@pytest.mark.parametrize("path", sorted((ROOT / "checks").rglob("*.py")), ids=lambda path: path.stem)
def test_what_the_code_can_print(path: pathlib.Path) -> None:
    assert [(text, quaint(text)) for text in literals(path) if quaint(text)] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command: str) -> None:
    """And its groups, its examples, and that it fits a terminal."""
    text = importlib.import_module(f"tcp_headroom.commands.{command}").build_parser().format_help()
    assert quaint(text) == []
    lines = text.splitlines()
    assert len(lines) <= 45 and max(map(len, lines)) <= 80
    headings = [line for line in lines if re.fullmatch("[a-z ]+:", line)]
    assert headings == ["what to judge:", "where to read:", "memory between runs:", "output:", "examples:"]
    examples = lines[lines.index("examples:") + 1 :]
    assert len(examples) == 2 and all(line.startswith(f"  {command} -") for line in examples)


NOTES = [
    path
    for pattern in ("icinga2/*.conf", "icinga2/*.json", "*/*.cfg", "*/*.ini", "grafana/*.json", "cron/*")
    for path in CONTRIB.glob(pattern)
]
"""With what they show: the titles of graphs and dashboards."""

READ = [path for path in (*DOCUMENTS, ROOT / "CHANGELOG.md") if path.name != "CONTRIBUTING.md"]
TEXTS = [*READ, *TRANSCRIPTS.glob("*.txt"), *NOTES, *CONTRIB.glob("man/*.1")]


@pytest.mark.parametrize("path", sorted(TEXTS), ids=lambda path: str(path.relative_to(ROOT)))
def test_documents(path: pathlib.Path) -> None:
    assert [(line, quaint(line)) for line in path.read_text().split("\n\n") if quaint(line)] == []
