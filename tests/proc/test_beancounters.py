"""The limits of OpenVZ. The fixtures are written by the rules of its source, see ``workbench.openvz``."""

from __future__ import annotations

import os
import pathlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcp_headroom.blind import Blind
from tcp_headroom.memory import failcnt, growth, state
from tcp_headroom.proc import beancounters
from tcp_headroom.proc.beancounters import Row
from tcp_headroom.proc.clock import Clock
from workbench.command import FIXTURES

HEADER = "Version: 2.5\n       uid  resource  held  maxheld  barrier  limit  failcnt\n"
UNLIMITED = (1 << 63) - 1
BOOT = "b" * 32


def test_a_container() -> None:
    assert beancounters.read(str(FIXTURES / "openvz/container-sockets-refused")) == [
        Row("102", "numtcpsock", 80, 80, 80, 37),
        Row("102", "tcpsndbuf", 0, 1720320, 2703360, 0),
        Row("102", "tcprcvbuf", 0, 1720320, 2703360, 0),
    ]


def test_unlimited() -> None:
    rows = beancounters.read(str(FIXTURES / "openvz/container-many-orphans"))
    assert rows and rows[0] == Row("101", "numtcpsock", 31000, UNLIMITED, UNLIMITED, 0)


def test_a_node_shows_all_containers() -> None:
    text = HEADER + "".join(
        f"  {uid}:  kmemsize 1 1 1 1 1\n        dummy 0 0 0 0 0\n        numtcpsock {uid} 2 3 4 5\n" for uid in (0, 101)
    )
    assert beancounters.parse(text) == [Row("0", "numtcpsock", 0, 3, 4, 5), Row("101", "numtcpsock", 101, 3, 4, 5)]


def test_elsewhere_there_is_none(tmp_path: pathlib.Path) -> None:
    assert beancounters.read(str(tmp_path)) is None
    assert beancounters.read(str(tmp_path / "missing")) is None


@pytest.mark.parametrize(
    "text, reason",
    [
        ("", "user_beancounters has no header with uid resource held maxheld barrier limit failcnt"),
        ("\0" * 4096, "has no header"),
        ("Version: 3.0\n  uid resource held limit\n 1: numtcpsock 1 2\n", "has no header"),
        (HEADER + "1: numtcpsock 1 2 3 4\n", "user_beancounters has a row of numtcpsock that is damaged"),
        (HEADER + "1: numtcpsock 1 2 3 4 5 6\n", "damaged"),
        (HEADER + "1: numtcpsock\n", "damaged"),
        (HEADER + "1: tcpsndbuf -1 2 3 4 5\n", "has a row of tcpsndbuf that is damaged"),
        (HEADER + "1: tcpsndbuf 1 2 -3 4 5\n", "damaged"),
        (HEADER + "1: tcpsndbuf 1 2 3 4 -5\n", "damaged"),
        (HEADER + "1: tcprcvbuf 1 2 3 4 0x5\n", "damaged"),
        (HEADER + "1: tcprcvbuf 1 2 3 4 ٥\n", "damaged"),
        (HEADER + f"1: tcprcvbuf 1 2 3 4 {10**20}\n", "damaged"),
        (HEADER + "numtcpsock 1 2 3 4 5\n", "damaged"),
        (HEADER + "a|b: numtcpsock 1 2 3 4 5\n", "damaged"),
        (HEADER + "1\0: numtcpsock 1 2 3 4 5\n", "damaged"),
        (
            HEADER + "1: numtcpsock 1 2 3 4 5\n" * 30_001,
            "more than 10000 containers",
        ),
    ],
)
def test_hostile(text: str, reason: str) -> None:
    with pytest.raises(Blind, match=reason):
        beancounters.parse(text)


def test_what_is_not_asked_for_may_be_damaged() -> None:
    text = HEADER + "1: kmemsize x\0y\n dummy\n\n:\n\xff\ufffd\n 2: numtcpsock 1 2 3 4 5\n"
    assert beancounters.parse(text) == [Row("2", "numtcpsock", 1, 3, 4, 5)]


@given(st.text(st.sampled_from("19:.- \n\0|x"), max_size=60))
def test_any_text(text: str) -> None:
    for prefix in ("", HEADER, HEADER + "1: numtcpsock "):
        try:
            rows = beancounters.parse(prefix + text)
        except Blind as reason:
            assert str(reason).isprintable() and "|" not in str(reason)
        else:
            assert all(min(row[2:]) >= 0 and row.uid.isprintable() and "|" not in row.uid for row in rows)


def test_too_many_rows(tmp_path: pathlib.Path) -> None:
    (tmp_path / beancounters.FILE).write_text(HEADER + "1: numtcpsock 1 2 3 4 5\n" * 800_000)
    with pytest.raises(Blind, match="is longer than 16777216 bytes"):
        beancounters.read(str(tmp_path))


@pytest.mark.parametrize("kind, reason", [("fifo", "is not a regular file"), ("directory", "is not a regular file"), ("loop", "Too many levels")])  # fmt: skip
def test_what_is_no_file(tmp_path: pathlib.Path, kind: str, reason: str) -> None:
    path = tmp_path / beancounters.FILE
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to(path)
    with pytest.raises(Blind, match=reason):
        beancounters.read(str(tmp_path))


@pytest.fixture
def private(tmp_path: pathlib.Path) -> str:
    """A tree whose file is root's alone, as on many hosts."""
    path = tmp_path / beancounters.FILE
    path.write_text(HEADER)
    path.chmod(0)
    return str(tmp_path)


def test_without_rights(private: str, powerless: None) -> None:
    with pytest.raises(Blind, match="cannot open .*/user_beancounters: Permission denied"):
        beancounters.read(private)


class Container:
    """A container whose failcnt, clock and memory the test moves."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.state = folder / "state"
        self.now = 10_000.0
        self.boot = BOOT

    def ask(self, *counts: int, path: str | None = "") -> list[tuple[float, int]]:
        """Since when each row has been watched, and what it grew by within the last hour."""
        rows = [Row("101", f"resource{number}", 1, 2, 3, count) for number, count in enumerate(counts)]
        clock = Clock(0, 0, self.now, self.boot)
        start = self.now - 3600
        watches = failcnt.watched(rows, str(self.state) if path == "" else path, "/proc", clock, start)
        found = [watches[row.key] for row in rows]
        return [(watch.since, sum(span.count for span in watch.spans if span.end >= start)) for watch in found]

    @property
    def written(self) -> int:
        """What changes with every save."""
        return (self.state / state.FILE).stat().st_ino


@pytest.fixture
def container(tmp_path: pathlib.Path) -> Container:
    return Container(tmp_path)


def test_growth(container: Container) -> None:
    assert container.ask(5) == [(10_000, 0)]
    container.now += 600
    assert container.ask(7) == [(10_000, 2)]
    container.now += 600
    assert container.ask(7) == [(10_000, 2)]
    container.now += 3001
    assert container.ask(7) == [(10_000, 0)]


def test_without_memory(container: Container) -> None:
    container.ask(5, path=None)
    assert container.ask(7, path=None) == [(10_000, 0)]
    assert not container.state.exists()


def test_a_host_at_rest_is_written_once(container: Container) -> None:
    container.ask(0, 5)
    written = container.written
    # The old file stays, so that a new one cannot have its number.
    with open(container.state / state.FILE):
        for _run in range(3):
            container.now += 300
            container.ask(0, 5)
            assert container.written == written
        container.ask(0, 6)
        assert container.written != written


@pytest.mark.parametrize("event", ["restart", "reboot"])
def test_what_is_no_growth(container: Container, event: str) -> None:
    container.ask(9)
    container.now += 300
    container.boot = "c" * 32 if event == "reboot" else BOOT
    assert container.ask(3 if event == "restart" else 12) == [(10_300, 0)]
    assert container.ask(3 if event == "restart" else 12) == [(10_300, 0)]


def test_a_reboot_is_remembered_though_the_number_is_the_same(container: Container) -> None:
    """Else no run would ever have watched a whole hour."""
    container.ask(9)
    container.now, container.boot = 100.0, "c" * 32
    assert container.ask(9) == [(100, 0)]
    container.now += 4000
    assert container.ask(9) == [(100, 0)]


def test_others_keep_what_they_remember(container: Container) -> None:
    for held in state.opened(str(container.state), 1):
        held.values["logs"] = {"x": 1}
        held.save(durable=False)
    container.ask(5)
    assert state.peek(str(container.state))["logs"] == {"x": 1}


@pytest.mark.parametrize(
    "damage", [7, [], {"/proc 101 resource0": 1}, {"/proc 101 resource0": [1, ["b", "n", "x", 1], []]}]
)
def test_damaged_memory_counts_as_none(container: Container, damage: object) -> None:
    for held in state.opened(str(container.state), 1):
        held.values[failcnt.SECTION] = damage
        held.save(durable=False)
    assert container.ask(5) == [(10_000, 0)]
    container.now += 60
    assert container.ask(6) == [(10_000, 1)]


def test_memory_is_bounded(container: Container) -> None:
    """All that are there are remembered, and some that are gone."""
    container.ask(*range(600))
    container.now += 1
    assert container.ask(*range(1, 601))[599] == (10_000, 1)
    assert len(state.peek(str(container.state))[failcnt.SECTION]) == 600
    container.now += 1
    container.ask(2)
    assert len(state.peek(str(container.state))[failcnt.SECTION]) == 1 + growth.GONE
    for run in range(300):
        container.now += 1
        container.ask(run)
    packed = state.peek(str(container.state))[failcnt.SECTION]["/proc 101 resource0"]
    assert len(packed[2]) == 100


def test_another_run_is_not_waited_for(container: Container) -> None:
    container.ask(5)
    for _held in state.opened(str(container.state), 1):
        began = time.monotonic()
        with pytest.raises(Blind, match="another run has locked the state"):
            container.ask(6)
        assert time.monotonic() - began < 1
