"""The README is short and true: what it shows is what runs print, what it says to type works on files that exist."""

from __future__ import annotations

import configparser
import re

from workbench.command import COMMANDS, CONTRIB, ROOT
from workbench.documents import section

README = (ROOT / "README.md").read_text()


def test_ten_minutes() -> None:
    assert 200 <= len(README.splitlines()) <= 260
    assert len(README.split()) < 2400


def test_every_check_is_in_the_table_and_has_a_manual_page() -> None:
    table = section(README, "The four checks")
    assert tuple(sorted(re.findall(r"^\| `(check_\w+)` \|", table, re.MULTILINE))) == COMMANDS
    for state in ("WARNING", "CRITICAL", "UNKNOWN"):
        assert state in table.splitlines()[1]


def test_every_alarm_is_on_the_screen_of_the_night() -> None:
    screen = section(README, "When it fires")
    for name in ("ORPHANS", "MEM", "KERNEL LOG"):
        for state in ("WARNING", "CRITICAL"):
            assert re.search(rf"^\| `TCP {name} {state}", screen, re.MULTILINE)
    assert len(re.sub("```.*?```", "", screen, flags=re.DOTALL).splitlines()) < 35


def test_blocks_copy_what_exists_to_where_the_platforms_read_it() -> None:
    """Directories are those of the tables in platforms.md, whose names and content the platforms' own programs prove."""
    platforms = (CONTRIB / "doc/platforms.md").read_text()
    copies = re.findall(r"^cp (.*) (/\S+/)$", section(README, "Plug it in"), re.MULTILINE)
    assert len(copies) == 7
    for files, place in copies:
        for name in files.split():
            path = ROOT / name
            assert path.is_file(), name
            assert re.search(rf"`[\w/.-]*{re.escape(path.name)}`.*`{re.escape(place)}", platforms), (name, place)


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
