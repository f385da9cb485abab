"""How often memory limits slowed sockets down: sums of the first level, own parts below."""

from __future__ import annotations

import pathlib

import pytest

from tcp_headroom.blind import Blind
from tcp_headroom.cgroups import throttled
from workbench.cgroup_trees import HOSTILE, Tree, v1


def test_the_first_level_and_the_parts(tmp_path: pathlib.Path) -> None:
    host = Tree(tmp_path).add("system.slice/shop.service", throttled=9).add("system.slice/quiet.service", throttled=0)
    host.add("user.slice", throttled=2).add("system.slice", throttled=1)
    assert throttled.read(str(tmp_path)) == {
        "": 12, "system.slice/shop.service": 9, "user.slice": 2, "system.slice": 1
    }  # fmt: skip


def test_before_6_19_nothing_is_counted(tmp_path: pathlib.Path) -> None:
    Tree(tmp_path).add("system.slice/shop.service", 4096)
    (tmp_path / "system.slice/memory.events").write_text("low 0\nhigh 0\nmax 7\noom 1\n")
    assert throttled.read(str(tmp_path)) == {}


def test_an_idle_host(tmp_path: pathlib.Path) -> None:
    Tree(tmp_path).add("system.slice/shop.service", throttled=0)
    assert throttled.read(str(tmp_path)) == {"": 0}


def test_at_its_limit_is_no_sign(tmp_path: pathlib.Path) -> None:
    Tree(tmp_path).add("a", throttled=0)
    (tmp_path / "a/memory.events").write_text("low 0\nhigh 900\nmax 123456\noom 0\nsock_throttled 0\n")
    assert throttled.read(str(tmp_path)) == {"": 0}


def test_a_container_is_its_own_root(tmp_path: pathlib.Path) -> None:
    """It has the file, which the root of a host has not."""
    Tree(tmp_path).add("init.scope", throttled=2)
    (tmp_path / "memory.events").write_text("max 3\nsock_throttled 5\n")
    assert throttled.read(str(tmp_path)) == {"": 5, "init.scope": 2}


def test_no_v2(tmp_path: pathlib.Path) -> None:
    v1(tmp_path, {"": 0})
    assert throttled.read(str(tmp_path)) == {}
    with pytest.raises(Blind, match="no cgroup tree at /nonexistent accounts"):
        throttled.read("/nonexistent")


def test_bounded(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttled, "MOST", 50)
    host = Tree(tmp_path)
    for number in range(100):
        host.add(f"s/{number}", throttled=number)
    found = throttled.read(str(tmp_path))
    assert found[""] == sum(range(100)) and len(found) <= 1 + throttled.KEPT


@pytest.mark.parametrize("part", HOSTILE, ids=map(ascii, range(len(HOSTILE))))
def test_hostile_names_are_kept_as_they_are(tmp_path: pathlib.Path, part: str) -> None:
    """To be cleaned where they are printed."""
    Tree(tmp_path).add(f"s/{part}", throttled=3)
    assert throttled.read(str(tmp_path)) == {"": 3, f"s/{part}": 3}


@pytest.mark.parametrize("text", ["", "sock_throttled\n", "sock_throttled -\n", "sock_throttled " + "9" * 40, "\0\n"])
def test_damaged(tmp_path: pathlib.Path, text: str) -> None:
    Tree(tmp_path).add("a", throttled=3).add("b", throttled=1)
    (tmp_path / "a/memory.events").write_text(text)
    assert throttled.read(str(tmp_path)) == {"": 1, "b": 1}
