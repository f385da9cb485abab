"""Which cgroups hold socket memory: trees of files, against sums made by plain arithmetic."""

from __future__ import annotations

import pathlib
import random
import re
import time

import pytest

from tcp_headroom.cgroups import holders, tree
from tcp_headroom.proc import reading
from workbench.cgroup_trees import CONTAINER, HOSTILE, UID, Tree, v1

MIB = 1 << 20
HEAD = "Socket memory by cgroup, {} in all (UDP included, tasks of the root cgroup not; all network namespaces):"


def lines(root: pathlib.Path, patience: float = 5) -> list[str]:
    return list(holders.lines(str(root), patience))


def test_leaves_and_a_parents_rest(tmp_path: pathlib.Path) -> None:
    """Each counted once: the slice has what its children leave of its number, that of a removed cgroup for instance."""
    host = Tree(tmp_path)
    host.add(f"system.slice/docker-{CONTAINER}.scope", 12 * MIB).add("system.slice/shop.service", 3 * MIB)
    host.add("system.slice", MIB).add("user.slice/user-0.slice", 0)
    assert lines(tmp_path) == [
        HEAD.format("16.0 MiB"),
        "cgroup docker 0123456789ab: 12.0 MiB, 75.0 %",
        "cgroup shop.service: 3.0 MiB, 18.8 %",
        "cgroup system.slice, without those below it: 1.0 MiB, 6.2 %",
    ]


def test_units_of_4096_bytes_are_no_pages(tmp_path: pathlib.Path) -> None:
    """With 64 KiB pages 5.10 tells sixteen times as much as is held: measured."""
    Tree(tmp_path).add("system.slice/shop.service", 48 * MIB).add("user.slice", 16 * MIB)
    said = [
        HEAD.format("4.0 MiB"),
        "cgroup shop.service: 3.0 MiB, 75.0 %",
        "cgroup user.slice: 1.0 MiB, 25.0 %",
    ]
    assert list(holders.lines(str(tmp_path), 5, 65536, [4096])) == said
    # EL 9 has 5.14 in its name and may count pages: what is not settled is said.
    other = "if mem is in units of 65536 bytes: 64.0 MiB in all"
    assert list(holders.lines(str(tmp_path), 5, 65536, [4096, 65536])) == [*said, other]


def test_the_five_largest_are_named(tmp_path: pathlib.Path) -> None:
    host = Tree(tmp_path)
    for number in range(1, 9):
        host.add(f"kubepods/burstable/pod{UID}/{number}", number * MIB)
    assert lines(tmp_path)[1:-1] == [
        f"cgroup pod 1a2b3c4d/{number}: {number}.0 MiB, {share} %"
        for number, share in ((8, "22.2"), (7, "19.4"), (6, "16.7"), (5, "13.9"), (4, "11.1"))
    ]
    assert lines(tmp_path)[-1] == "further cgroups: 6.0 MiB, 16.7 %"


def test_nothing_held_is_no_line(tmp_path: pathlib.Path) -> None:
    Tree(tmp_path).add("system.slice/shop.service", 0)
    assert lines(tmp_path) == []


def test_a_container_sees_itself(tmp_path: pathlib.Path) -> None:
    Tree(tmp_path).add("", 2 * MIB).add("init.scope", MIB)
    (tmp_path / "memory.current").write_text("4194304\n")
    assert lines(tmp_path) == [
        HEAD.format("3.0 MiB"),
        "this container, without those below it: 2.0 MiB, 66.7 %",
        "cgroup init.scope: 1.0 MiB, 33.3 %",
    ]


def test_removed_cgroups(tmp_path: pathlib.Path) -> None:
    """Sockets outlive their cgroup; the root of a host, whose tasks do not count, has nothing else of its own."""
    Tree(tmp_path).add("", 2 * MIB).add("init.scope", MIB)
    assert lines(tmp_path)[1:] == ["cgroups that were removed: 2.0 MiB, 66.7 %", "cgroup init.scope: 1.0 MiB, 33.3 %"]


def test_a_root_without_a_number(tmp_path: pathlib.Path) -> None:
    Tree(tmp_path).add("a", 2 * MIB).add("b", MIB)
    (tmp_path / "memory.stat").unlink()
    assert lines(tmp_path) == [HEAD.format("3.0 MiB"), "cgroup a: 2.0 MiB, 66.7 %", "cgroup b: 1.0 MiB, 33.3 %"]


def test_a_hybrid_host(tmp_path: pathlib.Path) -> None:
    """v1 counts where a limit is set: a parent with one, and a child."""
    v1(tmp_path, {"": 3 * MIB, "docker": 3 * MIB, f"docker/{CONTAINER}": 2 * MIB})
    assert lines(tmp_path) == [
        "Socket memory by cgroup, 3.0 MiB in all (UDP included, tasks of the root cgroup not; all network namespaces; "
        "cgroup v1: only where memory.kmem.tcp.limit_in_bytes is set):",
        "cgroup docker 0123456789ab: 2.0 MiB, 66.7 %",
        "cgroup docker, without those below it: 1.0 MiB, 33.3 %",
    ]


def test_v1_without_a_limit(tmp_path: pathlib.Path) -> None:
    v1(tmp_path, {"": 0, "docker": 0})
    assert lines(tmp_path) == [
        "not shown, cgroups: cgroup v1 counts socket memory only where memory.kmem.tcp.limit_in_bytes is set"
    ]


def test_v1_where_each_counts_for_itself(tmp_path: pathlib.Path) -> None:
    """Without use_hierarchy nothing of a child is in a number above; with it below, as usual."""
    usage = {
        "": 0,
        "lxc": 0,
        "lxc/web": 5 * MIB,
        "lxc/web/shop": 4 * MIB,
        "docker": 3 * MIB,
        f"docker/{CONTAINER}": 2 * MIB,
    }
    v1(tmp_path, usage)
    for path in usage:
        (tmp_path / "memory" / path / "memory.use_hierarchy").write_text(f"{int('docker' in path)}\n")
    head, *named = lines(tmp_path)
    assert head.startswith("Socket memory by cgroup, 12.0 MiB in all (")
    assert named == [
        "cgroup LXC web: 5.0 MiB, 41.7 %",
        "cgroup LXC web/shop: 4.0 MiB, 33.3 %",
        "cgroup docker 0123456789ab: 2.0 MiB, 16.7 %",
        "cgroup docker, without those below it: 1.0 MiB, 8.3 %",
    ]


@pytest.mark.parametrize("there", [True, False])
def test_no_tree(tmp_path: pathlib.Path, there: bool) -> None:
    root = tmp_path if there else tmp_path / "no"
    assert lines(root) == [f"not shown, cgroups: no cgroup tree at {root} accounts for the memory of sockets"]


def test_v2_without_the_memory_controller(tmp_path: pathlib.Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu io\n")
    assert lines(tmp_path) == [f"not shown, cgroups: no cgroup tree at {tmp_path} accounts for the memory of sockets"]


@pytest.mark.parametrize("part", HOSTILE, ids=map(ascii, range(len(HOSTILE))))
def test_hostile_names(tmp_path: pathlib.Path, part: str) -> None:
    Tree(tmp_path).add(f"system.slice/{part}", MIB)
    (_head, line) = lines(tmp_path)
    assert line.isprintable() and "|" not in line and len(line) < 140


@pytest.mark.parametrize("text", ["", "sock\n", "sock x\n", "sock -5\n", "sock 1e9\n", "sock " + "9" * 30 + "\n", "\0"])
def test_damaged_numbers(tmp_path: pathlib.Path, text: str) -> None:
    Tree(tmp_path).add("good", MIB).add("bad", 0)
    (tmp_path / "bad/memory.stat").write_text(text)
    assert lines(tmp_path)[1:] == ["cgroup good: 1.0 MiB, 100.0 %"]


def test_a_parent_of_less_than_its_children(tmp_path: pathlib.Path) -> None:
    """Numbers that moved while they were read: no share is negative, and none above 100 %."""
    host = Tree(tmp_path).add("a/b", 4 * MIB)
    host.held["a"] = MIB
    host.write("a")
    assert lines(tmp_path)[1:] == ["cgroups that were removed: 3.0 MiB, 75.0 %", "cgroup a/b: 1.0 MiB, 25.0 %"]


def test_no_time(tmp_path: pathlib.Path) -> None:
    Tree(tmp_path).add("a/b", 4 * MIB)
    assert lines(tmp_path, -1) == [
        HEAD.format("4.0 MiB"),
        "all cgroups: 4.0 MiB, 100.0 %",
        "not shown, further cgroups: the time was too short; allow more with -t",
    ]


def test_too_many(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not looked into is said to be so, and nothing is counted twice."""
    monkeypatch.setattr(holders, "MOST", 11)
    host = Tree(tmp_path)
    for number in range(10):
        host.add(f"many/{number}", MIB)
    host.add("few/a", 5 * MIB).add("few/b", 4 * MIB)
    assert [re.sub("many/.", "many/#", line) for line in lines(tmp_path)] == [
        HEAD.format("19.0 MiB"),
        "cgroup few, with those below it: 9.0 MiB, 47.4 %",
        "cgroup many/#, with those below it: 1.0 MiB, 5.3 %",
        "cgroup many/#, with those below it: 1.0 MiB, 5.3 %",
        "cgroup many/#, with those below it: 1.0 MiB, 5.3 %",
        "cgroup many/#, with those below it: 1.0 MiB, 5.3 %",
        "further cgroups: 6.0 MiB, 31.6 %",
        "not shown, further cgroups: there are more than 11",
    ]


def test_too_many_siblings(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest of those that were read are named, and that there are more."""
    monkeypatch.setattr(holders, "MOST", 7)
    host = Tree(tmp_path)
    for number in range(10):
        host.add(f"job{number}", MIB)
    head, *named, rest, more = lines(tmp_path)
    assert head == HEAD.format("10.0 MiB") and len(named) == holders.TOP
    assert all(re.fullmatch("cgroup job., with those below it: 1.0 MiB, 10.0 %", line) for line in named)
    assert (rest, more) == ("further cgroups: 5.0 MiB, 50.0 %", "not shown, further cgroups: there are more than 7")


def test_what_may_not_be_read(tmp_path: pathlib.Path, request: pytest.FixtureRequest) -> None:
    """It is in the number of the cgroup above, and was not removed."""
    host = Tree(tmp_path).add("", MIB).add("secret", 4 * MIB).add("open/secret", 3 * MIB).add("open/shop", 2 * MIB)
    closed = [host.root / "secret", host.root / "open/secret"]
    for folder in closed:
        folder.chmod(0)
    request.getfixturevalue("powerless")
    said = lines(tmp_path)
    for folder in closed:
        folder.chmod(0o755)
    assert said == [
        HEAD.format("10.0 MiB"),
        "cgroups that cannot be read, or were removed: 5.0 MiB, 50.0 %",
        "cgroup open, with those below it that cannot be read: 3.0 MiB, 30.0 %",
        "cgroup open/shop: 2.0 MiB, 20.0 %",
    ]


def test_any_tree(tmp_path: pathlib.Path) -> None:
    """The five are those of plain sorting, whatever was left unread."""
    dice = random.Random(16)
    for turn in range(40):
        host = Tree(tmp_path / str(turn))
        own: dict[str, int] = {}
        paths = ["r"]
        for number in range(dice.randrange(1, 40)):
            paths.append(f"{dice.choice(paths)}/c{number}")
        for path in paths:
            own[path] = dice.choice([0, dice.randrange(1, 1 << 30)])
            host.add(path, own[path])
        ranking = holders.Ranking(tree.Tree(str(host.root), True), time.monotonic() + 60)
        largest = sorted(((held, path) for path, held in own.items() if held), key=lambda one: (-one[0], one[1]))[:5]
        assert [(held, path) for held, path, _part in ranking.largest()] == largest
        assert ranking.total == sum(own.values())


def test_what_is_small_is_not_read(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 300 cgroups those that can be among the largest."""
    host = Tree(tmp_path)
    for number in range(300):
        host.add(f"slice{number // 30}/unit{number}", (number + 1) * MIB if number >= 270 else 1)
    looked = []
    real = reading.read
    monkeypatch.setattr(reading, "read", lambda root, name: (looked.append(name), real(root, name))[1])
    assert lines(tmp_path)[1] == "cgroup slice9/unit299: 300.0 MiB, 3.5 %"
    assert len(looked) < 50


def test_links_are_not_followed(tmp_path: pathlib.Path) -> None:
    Tree(tmp_path).add("a", MIB)
    (tmp_path / "a/loop").symlink_to(tmp_path)
    assert lines(tmp_path)[1:] == ["cgroup a: 1.0 MiB, 100.0 %"]
