"""How the package is built: which part may import which, names that say what is inside, types, format and lint."""

from __future__ import annotations

import ast
import pathlib
import re
import subprocess
import sys

import pytest

import tcp_headroom
from lab import initramfs
from lab.mutations import MUTATIONS
from workbench.command import COMMANDS, ROOT

PACKAGE = ROOT / "checks/tcp_headroom"
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
"""Every module by its name below the package; a package's own module by the name of the package."""

ORDER = re.findall(r"^``(\w+)``  ", tcp_headroom.__doc__ or "", re.MULTILINE)
"""The packages as the package's docstring lists them, from the top down."""

GROUND = ("wording", "blind")


def imports(module: str) -> set[str]:
    """The modules of the project that ``module`` imports, anywhere in it and for types alone, too."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "tcp_headroom":
            below = (node.module or "").partition(".")[2]
            for alias in node.names:
                name = ".".join(filter(None, [below, alias.name]))
                found.add(name if name in MODULES else below)
        elif isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[2] for alias in node.names if alias.name.startswith("tcp_headroom.")}
    return found - {""}


GRAPH = {module: imports(module) for module in MODULES}


def package(module: str) -> str:
    return module.partition(".")[0]


def between_packages() -> dict[str, set[str]]:
    """Which package imports which other."""
    found: dict[str, set[str]] = {name: set() for name in ORDER}
    for module, wanted in GRAPH.items():
        if package(module) in found:
            found[package(module)] |= {package(other) for other in wanted} - {package(module)}
    return found


def test_every_package_is_on_the_map() -> None:
    assert len(ORDER) == len(set(ORDER)) > 5
    assert {package(module) for module in MODULES} == {*ORDER, *GROUND, "__init__"}


def test_imports_lead_down(capsys: pytest.CaptureFixture[str]) -> None:
    found = between_packages()
    with capsys.disabled():
        print("\nimports by package, from the top down")
        for name in ORDER:
            print(f"  {name:10}{' '.join(sorted(found[name] - set(GROUND), key=ORDER.index)) or '-'}")
    for name, others in found.items():
        below = {*ORDER[ORDER.index(name) + 1 :], *GROUND}
        assert others <= below, f"{name} imports {others - below}"
    assert GRAPH["blind"] == GRAPH["wording"] == set()


@pytest.mark.parametrize("name", ORDER)
def test_a_package_says_what_it_may_import(name: str) -> None:
    """And does import that: neither more nor less."""
    said = re.search(r"It (?:may import (?P<some>.*?)|imports none of them)\.\n|it may (?P<all>import every other one)", MODULES[name].read_text(), re.DOTALL)  # fmt: skip
    assert said, name
    allowed = set(ORDER) - {name} if said["all"] else set(re.findall(r"``(\w+)``", said["some"] or ""))
    assert between_packages()[name] - set(GROUND) == allowed


def test_no_circle() -> None:
    left = {module: set(wanted) for module, wanted in GRAPH.items()}
    while True:
        done = {module for module, wanted in left.items() if not wanted & set(left)}
        if not done:
            break
        left = {module: wanted for module, wanted in left.items() if module not in done}
    assert not left, f"imports run in a circle: {left}"


def test_nothing_imports_a_command() -> None:
    wanted = set().union(*GRAPH.values())
    assert not {f"commands.{command}" for command in COMMANDS} & wanted


def test_names_say_what_is_inside() -> None:
    for module in MODULES:
        folder, _dot, name = module.rpartition(".")
        assert name not in {"utils", "util", "helpers", "helper", "common", "misc"}
        assert not folder or not name.startswith((folder, folder.rstrip("s") + "_")), module
        if folder:
            assert f"``{name}``" in MODULES[folder].read_text() or folder in ("proc", "commands"), module


def test_no_module_asks_more_than_one_question() -> None:
    assert {module for module, path in MODULES.items() if len(path.read_text().splitlines()) > 400} == set()


def tool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True)


def test_types() -> None:
    """mypy --strict, configured in setup.cfg."""
    done = tool("mypy")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


@pytest.mark.parametrize("arguments", [["format", "--check"], ["check"]], ids=" ".join)
def test_ruff(arguments: list[str], tmp_path: pathlib.Path) -> None:
    """Format and lint, configured in pyproject.toml."""
    done = tool("ruff", *arguments, "--quiet", "--cache-dir", str(tmp_path), ".")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_fault_of_the_lab_can_be_put_in() -> None:
    """A change of the source must take its mutation along, and the lab would say so only after half an hour."""
    package = initramfs.package()
    for mutation in MUTATIONS:
        assert mutation.apply(package) != package, mutation.name
