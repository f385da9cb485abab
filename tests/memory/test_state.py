"""The state between runs: killed writers, many writers, and where it is kept. None of it may cost the result."""

from __future__ import annotations

import fcntl
import json
import os
import pathlib
import pwd
import re
import stat
import subprocess
import sys
import time

import pytest

from tcp_headroom.blind import Blind
from tcp_headroom.memory import state
from workbench.command import Run
from workbench.machine import program
from workbench.states import ENVIRONMENT, HIT, Host, check, finished, hits, host, seen

DIRECTORY = state.directory
"""The real one, which the fixture ``run`` replaces."""


def test_what_was_seen_stays(seen: Host, run: Run) -> None:
    assert hits(check(seen, run)) == 2
    seen.write()
    output = check(seen, run)
    assert hits(output) == 2
    assert "remembered" not in output.text and "was damaged" not in output.text
    assert not (seen.state / "state.json.new").exists()


class TestKilled:
    """kill -9 before and after every system call that touches the state: no other call changes what is left."""

    TRACED = "%file,%desc,flock,exit_group"

    def traced(self, host: Host, log: pathlib.Path) -> list[tuple[str, int, str]]:
        """Name, number among those of its name, and text of each system call of a run."""
        process = host.start(program("strace", "strace"), "-qq", "-y", "-o", str(log), "-e", f"trace={self.TRACED}")
        assert hits(finished(process)) == 2
        counts: dict[str, int] = {}
        calls = []
        for text in log.read_text().splitlines():
            name = text.partition("(")[0]
            if re.fullmatch("[a-z0-9_]+", name):
                counts[name] = counts.get(name, 0) + 1
                calls.append((name, counts[name], text))
        return calls

    @pytest.mark.slow
    def test_at_every_system_call(self, seen: Host, tmp_path: pathlib.Path) -> None:
        old = seen.file.read_bytes()
        trace = tmp_path / "trace"
        calls = self.traced(seen, trace)
        new = json.loads(seen.file.read_bytes())
        touching = [n for n, (name, _, text) in enumerate(calls) if str(seen.state) in text and name != "execve"]
        wanted = {*touching, *(number + 1 for number in touching), len(calls) - 1}
        killed = []
        outcomes = set()
        for name, nth, _text in (calls[number] for number in sorted(wanted)):
            seen.file.write_bytes(old)
            process = seen.start(
                program("strace", "strace"),
                "-qq",
                "-o",
                str(trace),
                "-e",
                f"trace={name}",
                "-e",
                f"inject={name}:signal=KILL:when={nth}",
            )
            process.communicate(timeout=60)
            # Which call it was may differ by one where a cache is warm; that the process died may not.
            assert process.returncode in (-9, 137), (name, nth)
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
            "from tcp_headroom.memory import state\n"
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
        assert "nothing is remembered between runs: another run has locked the state" in output.text
        assert seen.file.read_bytes() == before
        assert hits(check(seen, run)) == 2


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

    def test_shared(self, home: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        shared = pathlib.Path(state.SHARED)
        shared.mkdir()
        assert state.directory(None) == str(shared)
        if os.geteuid() == 0:
            os.chown(shared, 65534, 65534)
        else:
            monkeypatch.setattr(state, "SHARED", "/")
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
        assert "nothing is remembered between runs: this user has no home directory" in output.text

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
