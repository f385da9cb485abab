"""CONTRIBUTING.md names what exists, and its commands do what it says."""

from __future__ import annotations

import re
import subprocess

import pytest

from workbench.command import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text()
BLOCK = TEXT.partition("## How to run and renew")[2].split("```")[1]
LINES = [line.partition("  #")[0].strip() for line in BLOCK.strip().splitlines()]

ELSEWHERE = {
    "tests/run": "this run",
    "tests/run --quick": "tests/roots/run, in every root",
    "tests/roots/run": ".ci/run",
    "contrib/venv test": "tests/run calls it",
    ".venv/bin/ruff format .": "tests/test_structure.py, with --check",
    ".venv/bin/ruff check .": "tests/test_structure.py",
    ".venv/bin/mypy": "tests/test_structure.py",
}
"""What is shown to work by other means, as it is slow or would write into the checkout."""

SHORTER = {
    "tests/run --hypothesis-profile=explore": "tests/run tests/log/test_messages.py --hypothesis-profile=explore -q -p no:cacheprovider",
    "tests/run tests/log -x -q": "tests/run tests/log/test_messages.py -x -q -p no:cacheprovider",
    ".venv/bin/python tests/benchmark startup 10": ".venv/bin/python tests/benchmark startup 1",
}


def test_every_command_is_there() -> None:
    assert len(LINES) == 12 and set(ELSEWHERE) | set(SHORTER) < set(LINES)


@pytest.mark.slow
@pytest.mark.parametrize("line", [line for line in LINES if line not in ELSEWHERE])
def test_command(line: str) -> None:
    before = {path: path.read_bytes() for path in (ROOT / "tests/transcripts").iterdir()}
    done = subprocess.run(SHORTER.get(line, line).split(), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert before == {path: path.read_bytes() for path in (ROOT / "tests/transcripts").iterdir()}


def test_what_is_named_exists() -> None:
    """Files from the top of the checkout or of the package, and names in them."""
    package = ROOT / "checks/tcp_headroom"
    named = re.findall(r"`((?:[\w.-]+/)*[\w*-]+\.(?:py|cfg|toml|md))`", TEXT)
    assert len(named) > 20
    for name in named:
        assert (ROOT / name).exists() or (package / name).exists(), name
    for folder in re.findall(r"`((?:tests|contrib|commands|proc)/[\w/]*)`", TEXT):
        assert (ROOT / folder).exists() or (package / folder).exists(), folder
    for symbol, place in re.findall(r"`([A-Z]{4,})`[^`]*?(?:of|in)\s+`([\w/.]+\.py)`", TEXT):
        path = ROOT / place if (ROOT / place).exists() else package / place
        assert re.search(rf"^{symbol}\b", path.read_text(), re.MULTILINE), (symbol, place)


def test_two_screens() -> None:
    text = TEXT.partition("\n## Words\n")[0]
    assert len(text.splitlines()) <= 100
    assert max(map(len, text.splitlines())) <= 125
