"""The state file: killed writers, many writers, full and hostile disks. None of it may cost the result."""

from __future__ import annotations

import fcntl
import json
import os
import pathlib
import pwd
import re
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from conftest import Output, Run
from tcp_headroom import log_file, state
from tcp_headroom.blind import Blind

HIT = "kernel: TCP: too many orphaned sockets"
QUIET = "kernel: eth0: link is up"

DIRECTORY = state.directory
"""The real one, which the fixture ``run`` replaces."""

CHECKS = pathlib.Path(log_file.__file__).parent.parent
COMMAND = [sys.executable, "-c", "from tcp_headroom.check_tcp_kernel_log import main; main()"]
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "PYTHONPATH": str(CHECKS),
    "PYTHONDONTWRITEBYTECODE": "1",
    "HOME": "/root",
    "TZ": "UTC",
}


def line(message: str, ago: float = 0) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - ago)) + f" web1 {message}\n"


class Host:
    """A log with hits and a directory for the state."""

    def __init__(self, place: pathlib.Path) -> None:
        self.log = place / "kern.log"
        self.state = place / "state"
        self.file = self.state / "state.json"
        # Another host's as far as the counter goes.
        self.procfs = place / "proc"
        self.procfs.mkdir()

    @property
    def arguments(self) -> list[str]:
        return [
            *("--file", str(self.log), "--state-dir", str(self.state), "--procfs", str(self.procfs)),
            *("--min-coverage", "0", "-v"),
        ]

    def write(self, *messages: str, ago: float = 9) -> None:
        """Begin the log anew, its first message ``ago`` seconds ago."""
        lines = [line(message, ago - number) for number, message in enumerate(messages)]
        self.log.write_text(line(QUIET, 60) + "".join(lines))

    def start(self, *before: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*before, *COMMAND, *self.arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, cwd="/",
        )  # fmt: skip


def finished(process: subprocess.Popen[str]) -> Output:
    text, complaint = process.communicate(timeout=60)
    assert complaint == ""
    return Output(process.returncode, text)


def hits(output: Output) -> int:
    found = re.search(r"\bhits=([0-9]+)", output.text)
    assert found and "internal error" not in output.text, output.text
    count = int(found[1])
    assert output.code == (1 if count else 0), output.text
    return count


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Host:
    return Host(tmp_path)


@pytest.fixture
def seen(host: Host, run: Run) -> Host:
    """A host whose state remembers one hit that the log has lost since, for another one."""
    host.write(HIT, ago=30)
    assert hits(run("check_tcp_kernel_log", *host.arguments)) == 1
    host.write("kernel: x", HIT)
    return host


def check(host: Host, run: Run) -> Output:
    return run("check_tcp_kernel_log", *host.arguments)


def forgets(host: Host, run: Run, reason: str) -> None:
    """The result is that of the log alone, and -v says why."""
    for _run in range(2):
        output = check(host, run)
        assert hits(output) == 1
        assert re.search("nothing is remembered between runs: .*" + reason, output.text), output.text


def test_what_was_seen_stays(seen: Host, run: Run) -> None:
    assert hits(check(seen, run)) == 2
    seen.write()
    output = check(seen, run)
    assert hits(output) == 2
    assert "remembered" not in output.text and "was damaged" not in output.text
    assert not (seen.state / "state.json.new").exists()


class TestKilled:
    """kill -9 before every system call of the process, from the one that first touches the state."""

    TRACED = "%file,%desc,flock,exit_group"

    def traced(self, host: Host, log: pathlib.Path) -> list[tuple[str, int, str]]:
        """Name, number among those of its name, and text of each system call of a run."""
        process = host.start("strace", "-qq", "-o", str(log), "-e", f"trace={self.TRACED}")
        assert hits(finished(process)) == 2
        counts: dict[str, int] = {}
        calls = []
        for text in log.read_text().splitlines():
            name = text.partition("(")[0]
            if re.fullmatch("[a-z0-9_]+", name):
                counts[name] = counts.get(name, 0) + 1
                calls.append((name, counts[name], text))
        return calls

    def test_at_every_system_call(self, seen: Host, tmp_path: pathlib.Path) -> None:
        old = seen.file.read_bytes()
        trace = tmp_path / "trace"
        calls = self.traced(seen, trace)
        new = json.loads(seen.file.read_bytes())
        first = next(number for number, call in enumerate(calls) if f'"{seen.state}"' in call[2])
        killed = []
        outcomes = set()
        for name, number, _text in calls[first:]:
            seen.file.write_bytes(old)
            process = seen.start(
                "strace",
                "-qq",
                "-o",
                str(trace),
                "-e",
                f"trace={name}",
                "-e",
                f"inject={name}:signal=KILL:when={number}",
            )
            process.communicate(timeout=60)
            # Which call it was may differ by one where a cache is warm; that the process died may not.
            assert process.returncode in (-9, 137), (name, number)
            killed.append(trace.read_text().splitlines()[-2])
            left = json.loads(seen.file.read_bytes())
            outcomes.add(seen.file.read_bytes() == old)
            assert left["logs"].keys() == new["logs"].keys() and left["format"] == new["format"]
            assert [len(memory[4]) for memory in left["logs"].values()] in ([1], [2])
            assert hits(finished(seen.start())) == 2
            assert sorted(os.listdir(seen.state)) == ["state.json"]
            assert [len(memory[4]) for memory in json.loads(seen.file.read_bytes())["logs"].values()] == [2]
        text = "\n".join(killed)
        for needed in ("flock(", '"state.json.new", O_WRONLY', "fchmod(", "write(", "fsync(", "rename", "exit_group("):
            assert needed in text, f"never killed at {needed}: {text}"
        assert outcomes == {True, False}


class TestTogether:
    def test_no_update_is_lost(self, tmp_path: pathlib.Path) -> None:
        """Many processes that count in one state at once."""
        add = (
            "import sys\n"
            "from tcp_headroom import state\n"
            "for _ in range(20):\n"
            "    for held in state.opened(sys.argv[1], 60):\n"
            "        held.values['count'] = held.values.get('count', 0) + 1\n"
            "        held.save(durable=False)\n"
        )
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", add, str(tmp_path / "state")], env=ENVIRONMENT, stderr=subprocess.PIPE
            )
            for _ in range(8)
        ]
        for process in processes:
            _nothing, complaint = process.communicate(timeout=120)
            assert (process.returncode, complaint) == (0, b"")
        assert state.peek(str(tmp_path / "state")) == {"count": 160}

    def test_checks_of_several_logs(self, tmp_path: pathlib.Path, run: Run) -> None:
        hosts = []
        for number in range(6):
            place = tmp_path / str(number)
            place.mkdir()
            host = Host(place)
            host.state = tmp_path / "state"
            host.write(*[HIT] * (number + 1))
            hosts.append(host)
        for process, number in [(host.start(), number) for number, host in enumerate(hosts)]:
            assert hits(finished(process)) == number + 1
        for number, host in enumerate(hosts):
            host.write()
            assert hits(check(host, run)) == number + 1

    def test_a_holder_that_never_lets_go(self, seen: Host, run: Run) -> None:
        before = seen.file.read_bytes()
        holder = os.open(seen.state, os.O_RDONLY)
        try:
            fcntl.flock(holder, fcntl.LOCK_EX)
            began = time.monotonic()
            output = run("check_tcp_kernel_log", *seen.arguments, "-t", "4")
            assert 0.9 < time.monotonic() - began < 3.5
        finally:
            os.close(holder)
        assert hits(output) == 1
        assert "nothing is remembered between runs: another run holds the state" in output.text
        assert seen.file.read_bytes() == before
        assert hits(check(seen, run)) == 2


class TestDisk:
    def mounted(self, host: Host, options: str, fill: str = "true", user: bool = False) -> Output:
        """A check in a mount namespace of its own, with a small file system for the state; run twice, the second counts."""
        script = f'set -e; mount -t tmpfs -o "{options}" none "$0"; {fill}; "$@" >/dev/null || test $? -lt 2; exec "$@"'
        namespace = ["unshare", "-Urm"] if user else ["unshare", "-m"]
        host.state.mkdir(mode=0o700, exist_ok=True)
        return finished(host.start(*namespace, "sh", "-c", script, str(host.state)))

    @pytest.mark.parametrize(
        "fill",
        [
            "head -c 1M /dev/zero 2>/dev/null >$0/ballast || true",
            "cp $0.old $0/state.json; head -c 1M /dev/zero 2>/dev/null >$0/ballast || true",
        ],
    )
    @pytest.mark.parametrize("user", [False, True])
    def test_full(self, seen: Host, fill: str, user: bool) -> None:
        shutil.copy(seen.file, f"{seen.state}.old")
        output = self.mounted(seen, "size=16k,mode=0700", f"{fill}", user)
        assert "No space left on device" in output.text
        # What is remembered can still be read where it cannot be written.
        assert hits(output) == (2 if "state.json" in fill else 1), output.text

    def test_no_inode_left(self, seen: Host) -> None:
        output = self.mounted(seen, "nr_inodes=1,mode=0700")
        assert hits(output) == 1
        assert "No space left on device" in output.text

    def test_room_for_part_of_the_file(self, seen: Host) -> None:
        """The first writes succeed, the last does not: the old state stays."""
        shutil.copy(seen.file, f"{seen.state}.old")
        seen.write(*[HIT] * 3)
        seen.log.write_text(seen.log.read_text() + line(HIT) * 400)
        fill = 'cp $0.old $0/state.json; "$@" >/dev/null || true; cmp $0.old $0/state.json; test ! -e $0/state.json.new'
        output = self.mounted(seen, "size=8k,mode=0700", fill)
        assert hits(output) == 404
        assert "No space left on device" in output.text

    @pytest.mark.parametrize("user", [False, True])
    def test_read_only_file_system(self, seen: Host, user: bool) -> None:
        fill = "cp $0.old $0/state.json; mount -o remount,ro $0"
        shutil.copy(seen.file, f"{seen.state}.old")
        output = self.mounted(seen, "size=64k,mode=0700", fill, user)
        assert "Read-only file system" in output.text
        assert hits(output) == 2

    def test_read_only_directory(self, seen: Host, run: Run, nobody: None) -> None:
        given_away(seen)
        seen.state.chmod(0o500)
        output = check(seen, run)
        assert "Permission denied" in output.text
        assert hits(output) == 2

    def test_directory_that_cannot_be_made(self, host: Host, run: Run) -> None:
        host.write(HIT)
        (host.state.parent / "parent").write_text("a file")
        host.state = host.state.parent / "parent/state"
        forgets(host, run, "(Not a directory|File exists)")

    def test_directory_that_cannot_be_searched(self, seen: Host, run: Run, nobody: None) -> None:
        given_away(seen)
        seen.state.chmod(0o200)
        forgets(seen, run, "Permission denied")


def given_away(host: Host) -> None:
    """Make everything the effective user's, who is not the real one."""
    user, group = os.geteuid(), os.getegid()
    os.seteuid(os.getuid())
    try:
        for path in (host.log.parent, *host.log.parent.rglob("*")):
            os.chown(path, user, group)
        # pytest's directories keep others out.
        for parent in host.log.parents:
            if parent.stat().st_uid == os.getuid() and parent.name.startswith("pytest-"):
                parent.chmod(0o755)
    finally:
        os.seteuid(user)


class TestHostile:
    @pytest.fixture
    def target(self, tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
        """What a link leads to, and what must stay as it is."""
        path = tmp_path / "precious"
        path.write_text('{"format":1,"precious":true}')
        path.chmod(0o600)
        yield path
        assert path.read_text() == '{"format":1,"precious":true}'
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_link_for_the_directory(self, seen: Host, run: Run, tmp_path: pathlib.Path) -> None:
        seen.state.rename(tmp_path / "elsewhere")
        before = (tmp_path / "elsewhere/state.json").read_bytes()
        seen.state.symlink_to(tmp_path / "elsewhere")
        forgets(seen, run, "not a directory of its own")
        assert (tmp_path / "elsewhere/state.json").read_bytes() == before

    def test_link_to_nothing_for_the_directory(self, seen: Host, run: Run, tmp_path: pathlib.Path) -> None:
        shutil.rmtree(seen.state)
        seen.state.symlink_to(tmp_path / "nowhere")
        forgets(seen, run, "not a directory of its own")
        assert not (tmp_path / "nowhere").exists()

    def test_file_for_the_directory(self, seen: Host, run: Run) -> None:
        shutil.rmtree(seen.state)
        seen.state.write_text("")
        forgets(seen, run, "not a directory of its own")

    def test_link_for_the_file(self, seen: Host, run: Run, target: pathlib.Path) -> None:
        seen.file.unlink()
        seen.file.symlink_to(target)
        forgets(seen, run, "state.json is a symbolic link")

    @pytest.mark.parametrize("kind", ["link", "dangling", "hard link", "fifo", "folder"])
    def test_in_place_of_the_new_file(self, seen: Host, run: Run, target: pathlib.Path, kind: str) -> None:
        new = seen.state / "state.json.new"
        if kind == "link":
            new.symlink_to(target)
        elif kind == "dangling":
            new.symlink_to(seen.state.parent / "nowhere")
        elif kind == "hard link":
            os.link(target, new)
        elif kind == "fifo":
            os.mkfifo(new, 0o600)
        else:
            new.mkdir()
        began = time.monotonic()
        assert hits(check(seen, run)) == 2
        assert time.monotonic() - began < 3
        assert not (seen.state.parent / "nowhere").exists()
        assert hits(check(seen, run)) == 2

    @pytest.mark.parametrize("kind", ["file", "link", "hard link", "fifo"])
    def test_put_there_before_the_new_file_is_made(
        self, seen: Host, run: Run, target: pathlib.Path, monkeypatch: pytest.MonkeyPatch, kind: str
    ) -> None:
        """What comes in between the removal of an old file and the making of the new one is not written to."""
        unlink = os.unlink
        new = seen.state / "state.json.new"
        before = seen.file.read_bytes()

        def unlinked_and_taken(path: str, *, dir_fd: int | None = None) -> None:
            try:
                unlink(path, dir_fd=dir_fd)
            finally:
                if path == "state.json.new":
                    if kind == "file":
                        new.write_text("another's")
                    elif kind == "link":
                        new.symlink_to(target)
                    elif kind == "hard link":
                        os.link(target, new)
                    else:
                        os.mkfifo(new, 0o600)

        monkeypatch.setattr(os, "unlink", unlinked_and_taken)
        output = check(seen, run)
        monkeypatch.undo()
        assert hits(output) == 2
        assert re.search(r"nothing is remembered between runs: .*File exists", output.text), output.text
        assert seen.file.read_bytes() == before
        assert kind != "file" or new.read_text() == "another's"

    @pytest.mark.parametrize("kind", ["fifo", "folder", "device"])
    def test_no_file_in_place_of_the_file(self, seen: Host, run: Run, kind: str) -> None:
        seen.file.unlink()
        if kind == "fifo":
            os.mkfifo(seen.file, 0o600)
        elif kind == "folder":
            seen.file.mkdir()
        else:
            os.mknod(seen.file, 0o600 | stat.S_IFCHR, os.makedev(1, 5))
        forgets(seen, run, "not a regular file|Is a directory")

    @pytest.mark.parametrize("mode", [0o720, 0o702, 0o777, 0o1777, 0o2770])
    def test_directory_others_can_write(self, seen: Host, run: Run, mode: int) -> None:
        before = seen.file.read_bytes()
        seen.state.chmod(mode)
        forgets(seen, run, "can be written by others")
        assert seen.file.read_bytes() == before

    @pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
    def test_file_others_can_write(self, seen: Host, run: Run, mode: int) -> None:
        before = seen.file.read_bytes()
        seen.file.chmod(mode)
        forgets(seen, run, "state.json can be written by others")
        assert seen.file.read_bytes() == before

    @pytest.mark.parametrize("which", ["directory", "file"])
    def test_belongs_to_another(self, seen: Host, run: Run, which: str) -> None:
        os.chown(seen.state if which == "directory" else seen.file, 65534, 65534)
        forgets(seen, run, "belongs to another user")


class TestContent:
    DAMAGED = {
        "empty": b"",
        "blank": b" \n",
        "zeros": b"\0" * 5000,
        "no JSON": b"\x89PNG\r\n\x1a\n",
        "not UTF-8": b'{"format":1,"x":"\xff\xfe"}',
        "cut": b'{"format":1,"logs":{"1h',
        "two": b'{"format":1}{"format":1}',
        "list": b"[]",
        "number": b"7",
        "null": b"null",
        "no format": b'{"logs":{}}',
        "format of text": b'{"format":"1"}',
        "format true": b'{"format":true}',
        "format 1.0": b'{"format":1.0}',
        "format 0": b'{"format":0}',
        "format -1": b'{"format":-1}',
        "format null": b'{"format":null}',
        "huge": b'{"format":1,"x":"' + b"x" * (4 << 20) + b'"}',
        "huge blank": b" " * (64 << 20),
        "deep": b'{"format":1,"x":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        "long number": b'{"format":' + b"1" * 5000 + b"}",
    }

    @pytest.mark.parametrize("name", DAMAGED)
    def test_damaged(self, seen: Host, run: Run, name: str) -> None:
        seen.file.write_bytes(self.DAMAGED[name])
        output = check(seen, run)
        assert hits(output) == 1
        assert f"the state in {seen.state}"[:60] in output.text and "was damaged and is begun anew" in output.text
        seen.write()
        output = check(seen, run)
        assert hits(output) == 1
        assert "was damaged" not in output.text

    @pytest.mark.parametrize("depth", range(900, 1001, 4))
    def test_as_deep_as_can_be_read(self, seen: Host, run: Run, depth: int) -> None:
        """Near Python's limit what can be read might be too deep to be written."""
        seen.file.write_bytes(b'{"format":1,"x":' + b"[" * depth + b"]" * depth + b"}")
        assert hits(check(seen, run)) == 1
        assert hits(check(seen, run)) == 1

    def spoilt(self) -> Iterator[Any]:
        """Values that are JSON and not what they should be."""
        yield from (None, 0, "x", [], [[]], {"x": 1}, {"": None}, True, float("nan"), float("inf"), 10**400, "\ud800")

    def test_foreign_values(self, seen: Host, run: Run) -> None:
        """Each part of the state, in turn, made something else: at worst it is forgotten."""
        good = json.loads(seen.file.read_bytes())
        (name,) = good["logs"]

        def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
            yield path
            if isinstance(value, (dict, list)):
                for key in value if isinstance(value, dict) else range(len(value)):
                    yield from places(value[key], (*path, key))

        for place in places(good["logs"]):
            for part in self.spoilt():
                values = json.loads(json.dumps({"at": good}))
                holder: Any = values["at"]
                way: tuple[Any, ...] = ("logs", *place)
                for key in way[:-1]:
                    holder = holder[key]
                holder[way[-1]] = part
                seen.file.write_text(json.dumps(values["at"]))
                output = check(seen, run)
                assert re.search(r"\bhits=[0-9]+", output.text) and "internal error" not in output.text, (
                    way,
                    part,
                    output.text,
                )
                # The count of an event is the one number that is believed.
                if way[-1] != 2:
                    assert hits(output) in (1, 2), (way, part)

    def test_any_end_cut_off(self, seen: Host, run: Run) -> None:
        whole = seen.file.read_bytes()
        for size in range(0, len(whole), 7):
            seen.file.write_bytes(whole[:size])
            assert hits(check(seen, run)) == 1

    def test_newer_format(self, seen: Host, run: Run) -> None:
        newer = b'{"format": 2,\n "logs": "something else"}\n'
        seen.file.write_bytes(newer)
        forgets(seen, run, "was written by a later version of this suite, format 2; it is left alone")
        assert seen.file.read_bytes() == newer
        assert os.listdir(seen.state) == ["state.json"]

    def test_older_format(self, seen: Host, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        """Two formats back: both steps are taken, and the messages stay."""
        values = json.loads(seen.file.read_bytes())
        seen.file.write_text(json.dumps({"format": 1, "memories": values["logs"]}))
        monkeypatch.setattr(state, "FORMAT", 3)
        monkeypatch.setattr(
            state,
            "MIGRATIONS",
            {1: lambda old: {"history": old["memories"]}, 2: lambda old: {"logs": old["history"], "added": 7}},
        )
        output = check(seen, run)
        assert hits(output) == 2 and "remembered" not in output.text
        after = json.loads(seen.file.read_bytes())
        assert (after["format"], after["added"]) == (3, 7) and "memories" not in after

    def test_bounded(self, host: Host, run: Run) -> None:
        """Thousands of hits and many different requests leave a small file."""
        host.write()
        host.log.write_text(host.log.read_text() + line(HIT) * 3000)
        for number in range(1, 21):
            output = run("check_tcp_kernel_log", *host.arguments, "--lookback", f"{number}h")
            assert hits(output) == 3000
        assert host.file.stat().st_size < 400_000


class TestPlace:
    @pytest.mark.parametrize("mask", [0, 0o022, 0o077, 0o277, 0o777])
    def test_private_under_any_umask(self, host: Host, run: Run, mask: int) -> None:
        host.write(HIT)
        before = os.umask(mask)
        try:
            assert hits(check(host, run)) == 1
        finally:
            os.umask(before)
        assert stat.S_IMODE(host.state.stat().st_mode) == 0o700
        assert stat.S_IMODE(host.file.stat().st_mode) == 0o600

    @pytest.fixture
    def home(self, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> pathlib.Path:
        """The home that the password database gives."""
        home = tmp_path / "home"
        home.mkdir()
        entry = pwd.getpwuid(os.geteuid())
        monkeypatch.setattr(pwd, "getpwuid", lambda _user: pwd.struct_passwd([*entry[:5], str(home), entry[6]]))
        monkeypatch.setattr(state, "directory", DIRECTORY)
        monkeypatch.setenv("HOME", str(tmp_path / "not this"))
        monkeypatch.setattr(state, "SHARED", str(tmp_path / "shared"))
        return home

    def test_option(self, home: pathlib.Path) -> None:
        assert state.directory("/some/where") == "/some/where"

    def test_home(self, home: pathlib.Path) -> None:
        assert state.directory(None) == str(home / ".local/state/tcp-headroom")

    def test_shared(self, home: pathlib.Path) -> None:
        shared = pathlib.Path(state.SHARED)
        shared.mkdir()
        assert state.directory(None) == str(shared)
        os.chown(shared, 65534, 65534)
        assert state.directory(None) == str(home / ".local/state/tcp-headroom")

    def test_no_home(self, home: pathlib.Path, monkeypatch: pytest.MonkeyPatch, host: Host, run: Run) -> None:
        def unknown(user: int) -> None:
            raise KeyError(user)

        monkeypatch.setattr(pwd, "getpwuid", unknown)
        with pytest.raises(Blind, match="no home directory"):
            state.directory(None)
        host.write(HIT)
        output = run("check_tcp_kernel_log", "--file", host.log, "-v", "--min-coverage", "0")
        assert hits(output) == 1
        assert "this user has no home directory to keep a state in" in output.text

    def test_by_default(self, home: pathlib.Path, host: Host, run: Run) -> None:
        host.write(HIT)
        run("check_tcp_kernel_log", "--file", host.log)
        made = home / ".local/state/tcp-headroom"
        assert [stat.S_IMODE(path.stat().st_mode) for path in (made, made / "state.json")] == [0o700, 0o600]

    @pytest.mark.parametrize(
        "further",
        [["--no-state"], ["--procfs", "PROCFS"], ["--procfs", "PROCFS", "--no-state", "--state-dir", "STATE"]],
    )
    def test_remembers_nothing(self, home: pathlib.Path, host: Host, run: Run, further: list[str]) -> None:
        """Another tree is another host, unless a directory is given for it."""
        host.write(HIT)
        names = {"PROCFS": str(host.procfs), "STATE": str(host.state)}
        run("check_tcp_kernel_log", "--file", host.log, *(names.get(word, word) for word in further))
        assert list(home.iterdir()) == [] and not host.state.exists()
