"""Trees that are made to mislead or to exhaust: nothing outside is read, everything is bounded, and doubts are said."""

from __future__ import annotations

import os
import pathlib
import socket
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from tcp_headroom.blind import Blind
from tcp_headroom.boot import host_root, sysctl_files, tuned
from tcp_headroom.boot.sysctl_rules import NOTES, PATTERNS, SYSTEMD
from workbench.sysctl_trees import INITS, plant

ORPHANS, MEM = sysctl_files.NAMES
D = "/etc/sysctl.d"
BOTH = f"{MEM} = 1 2 3\n{ORPHANS} = 7\n"


@pytest.fixture
def tree(tmp_path: pathlib.Path) -> pathlib.Path:
    """A tree that systemd boots; a file that sets the limits is beside it."""
    plant(tmp_path, {"outside/a.conf": BOTH, "a.conf": BOTH})
    return plant(tmp_path / "root", {**INITS[SYSTEMD], f"{D}/": ""})


def read(tree: pathlib.Path) -> sysctl_files.Found:
    return sysctl_files.read(str(tree))


def answers(found: sysctl_files.Found) -> dict[str, str]:
    return {name: f"{setting.value} {setting.path}:{setting.line}" for name, setting in found.settings.items()}


class TestNothingLeadsOut:
    @pytest.mark.parametrize(
        "files",
        [
            {f"{D}/a.conf": "-> ../../../a.conf"},
            {f"{D}/a.conf": "-> ../../../../../../../../{beside}/a.conf"},
            {f"{D}/a.conf": "-> {beside}/a.conf"},
            {f"{D}/a.conf": "-> /../..{beside}/a.conf"},
            {f"{D}/a.conf": "-> /proc/self/root{beside}/a.conf", "proc": "-> /proc"},
            {f"{D}/a.conf": "-> ../b", "etc/b": "-> ../../a.conf"},
            {"usr/lib/sysctl.d": "-> ../../../outside"},
            {"usr/lib/sysctl.d": "-> {beside}/outside"},
            {"usr/local": "-> ../..", "lib/sysctl.d/a.conf": "-> /usr/local/a.conf"},
        ],
    )
    def test_links(self, files: dict[str, str], tree: pathlib.Path) -> None:
        plant(tree, {path: target.replace("{beside}", str(tree.parent)) for path, target in files.items()})
        found = read(tree)
        assert found.settings == {}
        assert found.blind == []

    def test_what_the_links_mean_within(self, tree: pathlib.Path) -> None:
        plant(tree, {"a.conf": BOTH, f"{D}/a.conf": "-> ../../../../a.conf"})
        assert answers(read(tree)) == {MEM: f"1 2 3 {D}/a.conf:1", ORPHANS: f"7 {D}/a.conf:2"}

    def test_a_directory_swapped_for_a_link(self, tree: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Between a look at a name and the next step nothing can be put in its place."""
        plant(tree, {f"{D}/a.conf": "x=1\n"})
        stat = os.fstat

        def swap(descriptor: int) -> os.stat_result:
            status = stat(descriptor)
            place = os.readlink(f"/proc/self/fd/{descriptor}")
            if place == f"{tree}{D}":
                os.rename(place, f"{place}.was")
                os.symlink(tree.parent / "outside", place)
            return status

        monkeypatch.setattr(os, "fstat", swap)
        assert read(tree).settings == {}
        assert (tree / D[1:]).is_symlink()


@pytest.mark.parametrize("chain", [1, 41])
def test_a_loop_of_directories(chain: int, tree: pathlib.Path) -> None:
    names = [f"l{number}" for number in range(chain)]
    plant(tree, {**{name: f"-> /{names[(at + 1) % chain]}" for at, name in enumerate(names)}, "lib": "-> l0"})
    assert read(tree).blind == ["cannot read /lib/sysctl.d: Too many levels of symbolic links"]


def test_as_many_links_as_the_kernel_follows(tree: pathlib.Path) -> None:
    plant(tree, {f"l{number}": f"-> /l{number + 1}" for number in range(40)})
    plant(tree, {"l40": BOTH, f"{D}/a.conf": "-> /l1"})
    assert MEM in read(tree).settings
    with host_root.Root(str(tree)) as root:
        assert root.kind("/l0") == host_root.FILE
        plant(tree, {"l": "-> l0"})
        with pytest.raises(OSError, match="Too many levels"):
            root.kind("/l")


def test_all_descriptors_are_closed(tree: pathlib.Path) -> None:
    plant(
        tree,
        {f"{D}/a.conf": "-> a.conf", f"{D}/b.conf": "-> ../../usr/../sbin/x", f"{D}/c.conf": BOTH, "lib": "-> lib"},
    )
    before = os.listdir("/proc/self/fd")
    read(tree)
    assert os.listdir("/proc/self/fd") == before


def make_device(path: pathlib.Path) -> None:
    try:
        os.mknod(path, 0o020666, os.makedev(1, 5))
    except PermissionError:
        os.mkfifo(path)


def make_socket(path: pathlib.Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"/proc/self/fd/{os.open(path.parent, os.O_RDONLY)}/{path.name}")


@pytest.mark.parametrize("make", [os.mkfifo, make_device, make_socket])
def test_no_regular_file(make: Callable[[pathlib.Path], None], tree: pathlib.Path) -> None:
    """Is neither opened nor waited for; a tool that reads it may get anything."""
    make(tree / D[1:] / "a.conf")
    found = read(tree)
    assert found.blind == [f"cannot read {D}/a.conf: it is neither a file nor a directory"]


CLOSED = {
    f"{D}/a.conf": f"cannot read {D}/a.conf: Permission denied",
    D: f"cannot read {D}: Permission denied",
    "/etc/own": f"cannot read {D}/b.conf: Permission denied",
    "/usr/local": "cannot read /usr/local/lib/sysctl.d: Permission denied",
    "/etc/tuned/active_profile": "cannot read the active profile of tuned: Permission denied",
    "/etc/ufw": "cannot read what ufw sets: Permission denied",
    "/run/sysctl.d": None,
    "/etc/sysctl.conf": None,
    "/run/credentials/@system": None,
}


@pytest.fixture(params=CLOSED)
def closed(request: pytest.FixtureRequest) -> Iterator[tuple[pathlib.Path, str]]:
    """A tree where anybody may look, but not at the one path, and that path."""
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        root.chmod(0o755)
        plant(root, {**INITS[SYSTEMD], f"{D}/a.conf": BOTH, f"{D}/b.conf": "-> ../own/x", "etc/own/x": f"{MEM}=1\n"})
        plant(root, {"usr/local/lib/sysctl.d/c.conf": "", "run/sysctl.d/a.conf": BOTH, "etc/sysctl.conf": BOTH})
        plant(root, {"run/credentials/@system/sysctl.extra": BOTH, "etc/tuned/active_profile": "", "etc/ufw/": ""})
        plant(root, {"etc/default/ufw": ""})
        path = root / request.param[1:]
        path.chmod(0)
        # For the tests that may look everywhere; a credential is said if it can be seen.
        if request.param != "/run/credentials/@system":
            (root / "run/credentials/@system/sysctl.extra").unlink()
        yield root, request.param
        path.chmod(0o700)


def test_unreadable(closed: tuple[pathlib.Path, str], powerless: None) -> None:
    """What the user may not read may say anything, if it counts at all."""
    tree, path = closed
    doubt = CLOSED[path]
    assert read(tree).blind == ([doubt] if doubt else [])


def test_a_way_that_cannot_be_gone(closed: tuple[pathlib.Path, str], powerless: None) -> None:
    tree, _path = closed
    (tree / "run/systemd").mkdir()
    (tree / "run/systemd").chmod(0)
    with pytest.raises(Blind) as error:
        read(tree)
    assert str(error.value) == "cannot read /run/systemd/system: Permission denied"


def test_a_doubt_that_later_files_settle(tree: pathlib.Path) -> None:
    os.mkfifo(tree / D[1:] / "50.conf")
    plant(tree, {f"{D}/40.conf": BOTH})
    assert len(read(tree).blind) == 1
    plant(tree, {f"{D}/60.conf": f"{MEM}=4\n"})
    assert len(read(tree).blind) == 1, "the other may still be set"
    plant(tree, {f"{D}/70.conf": "net.ipv4.tcp_max_*=4\n"})
    assert len(read(tree).blind) == 1, "what names it would win over a pattern"
    plant(tree, {f"{D}/80.conf": f"{ORPHANS}=4\n"})
    assert read(tree).blind == []


class TestBounds:
    def test_a_huge_file(self, tree: pathlib.Path) -> None:
        path = tree / D[1:] / "a.conf"
        path.write_text(BOTH + "#" * (sysctl_files.LIMIT - len(BOTH) - 10) + f"\n{MEM} = 987654321\n")
        with path.open("ab") as file:
            file.truncate(100 << 20)
        begun = time.process_time()
        tracemalloc.start()
        found = read(tree)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 16 << 20
        assert time.process_time() - begun < 5
        assert answers(found) == {MEM: f"1 2 3 {D}/a.conf:1", ORPHANS: f"7 {D}/a.conf:2"}, "the line cut off is none"
        assert found.blind == [f"{D}/a.conf was read up to byte {sysctl_files.LIMIT} only"]

    def test_a_file_of_just_the_limit(self, tree: pathlib.Path) -> None:
        text = "#" * (sysctl_files.LIMIT - len(BOTH) - 1) + "\n" + BOTH
        plant(tree, {f"{D}/a.conf": text})
        assert answers(read(tree)) == {MEM: f"1 2 3 {D}/a.conf:2", ORPHANS: f"7 {D}/a.conf:3"}
        assert read(tree).blind == []

    def test_many_long_files(self, tree: pathlib.Path) -> None:
        plant(tree, {f"{D}/{number}.conf": "x" * 1000000 + "\n" + BOTH for number in range(6)})
        found = read(tree)
        assert answers(found)[MEM] == f"1 2 3 {D}/3.conf:2"
        left = sysctl_files.TOTAL - 4 * (1000001 + len(BOTH))
        assert found.blind == [
            f"{D}/4.conf was read up to byte {left} only",
            f"{D}/5.conf was read up to byte {left} only",
        ]

    @pytest.mark.slow
    def test_many_entries(self, tree: pathlib.Path) -> None:
        plant(tree, {f"{D}/{number}.conf": "" for number in range(host_root.ENTRIES + 1)})
        begun = time.process_time()
        found = read(tree)
        assert time.process_time() - begun < 5
        assert found.blind == [
            f"{D} has more than {host_root.ENTRIES} entries, and not all were looked at",
            f"there are {host_root.ENTRIES + 1} files of sysctls, and only the last {sysctl_files.FILES} were read",
        ]

    def test_many_files(self, tree: pathlib.Path) -> None:
        plant(tree, {f"{D}/{number:04}.conf": f"{MEM}={number}\n" for number in range(sysctl_files.FILES + 1)})
        found = read(tree)
        assert found.settings[MEM].value == "1000"
        assert found.blind == ["there are 1001 files of sysctls, and only the last 1000 were read"]
        plant(tree, {f"{D}/z.conf": BOTH})
        assert read(tree).blind == [], "what was left out comes before what names every limit"

    def test_many_patterns(self, tree: pathlib.Path) -> None:
        stars = "*a" * 7
        plant(tree, {f"{D}/a.conf": BOTH + "".join(f"net.ipv4.{n:05}{stars}*b=1\n" for n in range(PATTERNS + 1))})
        begun = time.process_time()
        found = read(tree)
        assert time.process_time() - begun < 5
        assert found.blind == [f"{D}/a.conf was not read to its end: there are too many patterns"]

    def test_long_keys_and_values(self, tree: pathlib.Path) -> None:
        plant(tree, {f"{D}/{number}.conf": "net.ipv4." + "[t]" * 340000 + "=1\n" for number in range(3)})
        plant(tree, {f"{D}/9.conf": f"{MEM}= 1 {'2' * 10000}\n"})
        begun = time.process_time()
        found = read(tree)
        assert time.process_time() - begun < 2
        assert len(found.settings[MEM].value) == 4096
        assert found.blind == []

    def test_many_lines_that_make_no_sense(self, tree: pathlib.Path) -> None:
        plant(tree, {f"{D}/a.conf": f"{MEM}\n" * 50000})
        found = read(tree)
        assert len(found.notes) == sysctl_files.SENTENCES + 1
        assert found.notes[-1] == f"and {NOTES - sysctl_files.SENTENCES} more of this kind"

    def test_many_profiles_of_tuned(self, tree: pathlib.Path) -> None:
        include = "[main]\ninclude=" + " ".join(f"p{number}" for number in range(9000)) + "\n"
        plant(tree, {f"/etc/tuned/p{number}/tuned.conf": include for number in range(200)})
        plant(tree, {"/etc/tuned/active_profile": "gone " * 10 + "p0\n"})
        begun = time.process_time()
        found = read(tree)
        assert time.process_time() - begun < 5
        assert found.blind == ["the active profile of tuned includes too many others, and only 100 were read"]

    def test_a_long_profile_of_tuned(self, tree: pathlib.Path) -> None:
        text = "#" * tuned.LIMIT
        plant(tree, {"/etc/tuned/active_profile": "p\n", "/etc/tuned/p/tuned.conf": text})
        assert read(tree).blind == []
        plant(tree, {"/etc/tuned/p/tuned.conf": text + "\n"})
        reason = f"/etc/tuned/p/tuned.conf is longer than {tuned.LIMIT} bytes"
        assert read(tree).blind == [f"cannot read the active profile of tuned: {reason}"]

    def test_a_name_that_cannot_be_printed(self, tree: pathlib.Path) -> None:
        name = os.fsdecode(b"a|\xff\x1b[2J" + b"x" * 200 + b".conf")
        (tree / D[1:] / name).write_text(f"{MEM}=1\n{ORPHANS} 7\n")
        found = read(tree)
        path = f"{D}/a???[2J" + "x" * 176 + "..."
        assert answers(found) == {MEM: f"1 {path}:1"}
        assert found.notes == [f"{path} line 2 names {ORPHANS}, but systemd ignores the line"]


@pytest.mark.parametrize("count, last", [(20, "20"), (21, "and 1 more of this kind"), (25, "and 5 more of this kind")])
def test_the_first_sentences_are_told(count: int, last: str) -> None:
    told = sysctl_files._few([str(number) for number in range(1, count + 1)])
    assert (told[19], told[-1]) == ("20", last)
