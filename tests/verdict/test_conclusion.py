"""The verdict as the commands print it: over several runs, and when something goes wrong in it."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
from typing import Any

import pytest

from tcp_headroom.cgroups import tree
from tcp_headroom.log import choice, files, journal, kmsg
from tcp_headroom.log.proof import Proof
from tcp_headroom.log.views import SUPPRESSED, Event, View, Window
from tcp_headroom.memory import abort_growth, orphan_peak, state
from tcp_headroom.proc import beancounters, clock, protocols, reading, sockstat
from tcp_headroom.verdict import conclusion, evidence, judgement
from workbench.command import FIXTURES, Run

GAUGES = ("check_tcp_orphans", "check_tcp_mem")
WITH_VERDICT = (*GAUGES, "check_tcp_kernel_log")
ORPHAN = "TCP: too many orphaned sockets"
MEMORY = "TCP: out of memory -- consider tuning tcp_mem"


class Host:
    """This machine as the commands see it, at /proc: a tree, a ring and clocks that the test moves."""

    def __init__(self, run: Run, folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.run = run
        self.tree = folder / "proc"
        shutil.copytree(FIXTURES / "kernel-6.18/00-idle/host", self.tree)
        self.now, self.uptime = 1_800_000_000.0, 500_000.0
        self.lines = [b"6,0,1000000,-;Linux version\n"]
        self.readable = True
        read = reading.read
        monkeypatch.setattr(
            reading, "read", lambda root, name, *limit: read(str(self.tree) if root == "/proc" else root, name, *limit)
        )
        monkeypatch.setattr(clock, "read", lambda root: clock.Clock(self.now, self.uptime, self.uptime, "b" * 32))
        monkeypatch.setattr(kmsg, "read", self.ring)
        monkeypatch.setattr(journal, "PROGRAMS", ())
        monkeypatch.setattr(files, "DEFAULTS", ())
        monkeypatch.setattr(tree, "DEFAULT", str(folder / "cgroup"))

    def ring(self, path: str) -> kmsg.Ring:
        if not self.readable:
            raise kmsg.Blind("cannot open /dev/kmsg: Operation not permitted; ask for a group")
        return kmsg._ring(self.lines, None)

    def say(self, *messages: str) -> None:
        for message in messages:
            self.lines.append(f"6,{len(self.lines)},{round(self.uptime * 1e6)},-;{message}\n".encode())

    def wrap(self) -> None:
        """The ring holds nothing older than now."""
        self.lines = [f"6,1000,{round(self.uptime * 1e6)},-;noise\n".encode()]

    def sleep(self, seconds: float) -> None:
        self.now, self.uptime = self.now + seconds, self.uptime + seconds

    def count(self, value: int) -> None:
        (self.tree / "net/netstat").write_text(f"TcpExt: A TCPAbortOnMemory\nTcpExt: 5 {value}\n")

    def refuse(self, times: int) -> None:
        shutil.copy(FIXTURES / "openvz/container/user_beancounters", self.tree)
        path = self.tree / beancounters.FILE
        path.write_text(path.read_text().replace("2703360                    0", f"2703360 {times}", 1))

    def say_all(self) -> dict[str, str]:
        """The verdict of each command."""
        return {command: self.run(command, "-v").verdict for command in WITH_VERDICT}

    def agreed(self) -> str:
        """The verdict, which must be the same whichever command is asked."""
        self.run("check_tcp_kernel_log")
        said = set(self.say_all().values())
        assert len(said) == 1
        return said.pop()


@pytest.fixture
def host(run: Run, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(run, tmp_path, monkeypatch)


AT_REST = "0 orphans, 0.0 % of the limit 131072; TCP holds 309 pages, 0.1 % of the maximum 575664"


def test_nothing_wrong(host: Host) -> None:
    assert host.agreed() == (
        f"Verdict: nothing wrong - no shortage now, and none in the log of the last 1h: {AT_REST}. Next: nothing to do"
    )


def test_a_hit_in_the_log(host: Host) -> None:
    host.say(ORPHAN, ORPHAN)
    host.sleep(3600)
    assert "in the last 1h the log shows at least 2 resets (cause: 2 orphans); now there are few" in host.agreed()
    host.sleep(1)
    assert host.agreed().startswith("Verdict: nothing wrong - ")


def test_growth_of_the_counter_is_remembered(host: Host) -> None:
    host.count(5)
    assert host.agreed().startswith("Verdict: nothing wrong - ")
    host.sleep(600)
    host.count(12)
    shown = "the counter of this network namespace shows 7 resets within 10 min; now there are few"
    for command in GAUGES:
        # The sample of now is compared with the one remembered, and not kept.
        assert shown in host.run(command, "-v").verdict
    assert shown in host.agreed()
    host.sleep(3601)
    assert host.agreed().startswith("Verdict: nothing wrong - ")


def test_hits_that_the_ring_has_lost_are_remembered(host: Host) -> None:
    host.say(MEMORY)
    host.run("check_tcp_kernel_log")
    host.sleep(600)
    host.wrap()
    assert "in the last 1h the log shows at least 1 reset (cause: 1 memory); now there are few" in host.agreed()


def test_the_window_ends_where_it_begins() -> None:
    """The log check reads further back where the growth of the counter reaches further back."""
    window = Window(100.0, 200.0)
    events = [
        Event(when, cause, 2, "x") for when in (99.9, 100.0) for cause in ("orphans", "memory", "unclear", SUPPRESSED)
    ]
    assert conclusion.log_of(View("x", events, Proof([(0.0, 200.0)], [])), window, "") == evidence.Log(2, 2, 2, 2, "")


def test_another_tree_is_not_remembered(run: Run) -> None:
    for command in GAUGES:
        run(command, "-v", "--procfs", "openvz/container-sockets-refused")
    assert not os.path.exists(state.directory(None))


def test_the_usage_checks_write_nothing(host: Host) -> None:
    for command in GAUGES:
        host.run(command, "-v")
    folder = pathlib.Path(state.directory(None))
    # The peak of the day is not the verdict's.
    assert os.listdir(folder) == [orphan_peak.FILE]
    host.count(5)
    host.run("check_tcp_kernel_log")
    before = (folder / state.FILE).read_bytes()
    host.sleep(60)
    host.count(9)
    for command in GAUGES:
        host.run(command, "-v")
    assert (folder / state.FILE).read_bytes() == before


def test_a_ring_that_shows_a_part(host: Host) -> None:
    host.wrap()
    host.sleep(900)
    assert ": /dev/kmsg shows 25.0 % of that time. Next" in host.run("check_tcp_orphans", "-v").verdict


@pytest.mark.parametrize("share, said", [(75.0, "x shows 75.0 % of that time"), (99.94, "x shows 99.9 % of that time"), (99.96, "")])  # fmt: skip
def test_a_log_that_shows_a_part(share: float, said: str) -> None:
    window = Window(0.0, 100.0)
    assert conclusion.log_of(View("x", [], Proof([(100 - share, 100.0)], [])), window, "").gap == said


@pytest.mark.parametrize(
    "since, own, start, expected",
    [
        # Watched from the very beginning of the window on, and not.
        (1000.0, True, 1000.0, evidence.Counter(9, 4, 2)),
        (1000.5, True, 1000.0, evidence.Counter(9, 4, 2, "it is not known when TCPAbortOnMemory rose to 9 before the last 8 min")),
        # The boot within the window explains the counter of its own machine only.
        (1000.5, True, 0.0, evidence.Counter(9, 9, 25)),
        (1000.5, False, 0.0, evidence.Counter(9, 4, 2, "it is not known when TCPAbortOnMemory rose to 9 before the last 8 min")),
    ],
)  # fmt: skip
def test_growth_of_the_counter(since: float, own: bool, start: float, expected: evidence.Counter) -> None:
    sample = abort_growth.Sample("b", "n", 1480.0, 9)
    watch = abort_growth.Watch(since, sample, [abort_growth.Span(1390.0, 1480.0, 4)])
    assert conclusion.counter_of(sample, watch, start, own, "") == expected


@pytest.mark.parametrize("command", GAUGES)
@pytest.mark.parametrize("option, code", [("-w", 1), ("-c", 2)])
def test_an_alarm_of_strict_thresholds(host: Host, command: str, option: str, code: int) -> None:
    """The verdict does not contradict the state."""
    output = host.run(command, "-v", option, "1:")
    assert (output.code, output.case) == (code, judgement.NOTHING)
    assert (
        ". Next: check -w and -c: they are stricter than the kernel, and only they raise this alarm" in output.verdict
    )
    assert output.verdict.startswith(host.run(command, "-v").verdict.removesuffix("nothing to do"))


def test_without_a_log(host: Host) -> None:
    host.readable = False
    assert host.agreed() == (
        f"Verdict: no shortage now, earlier not known - {AT_REST}; no reset in this network namespace in the last 1h; "
        "containers are not known: no kernel log: cannot open /dev/kmsg: Operation not permitted; ask for a group. Next: "
        "run check_tcp_kernel_log -v on that host, every few minutes, as a user who can read its kernel log, and with enough "
        "time (-t)"
    )
    host.count(4)
    assert " shows 4 resets within 1 min; now there are few" in host.agreed()


def test_a_counter_without_a_history(host: Host) -> None:
    host.readable = False
    host.count(4)
    assert (
        "; the last 1h is not fully known: no kernel log: cannot open /dev/kmsg: Operation not permitted; ask for a group; "
        "it is not known when TCPAbortOnMemory rose to 4. Next"
    ) in host.agreed()
    host.sleep(1200)
    assert "rose to 4 before the last 20 min. Next" in host.agreed()


def test_a_boot_within_the_hour(host: Host) -> None:
    host.readable = False
    host.uptime = 600
    host.count(7)
    assert " shows 7 resets within 10 min; now there are few" in host.agreed()


def test_a_state_that_cannot_be_read(host: Host) -> None:
    host.count(7)
    host.wrap()
    folder = pathlib.Path(state.directory(None))
    folder.mkdir(mode=0o700)
    (folder / state.FILE).write_text('{"format": 99}')
    assert "rose to 7: nothing is remembered between runs: " in host.run("check_tcp_mem", "-v").verdict


def test_a_user_without_a_home(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless(option: str | None) -> str:
        raise state.Blind("no home")

    monkeypatch.setattr(state, "directory", homeless)
    assert host.run("check_tcp_mem", "-v").case == judgement.NOTHING


def test_openvz(host: Host) -> None:
    host.refuse(0)
    assert host.agreed().startswith("Verdict: nothing wrong - ")
    host.sleep(600)
    host.refuse(3)
    shown = "tcpsndbuf of container 101 was refused 3 times within 10 min (failcnt 3; held 0, barrier 1720320). Next"
    assert shown in host.run("check_tcp_orphans", "-v").verdict
    assert shown in host.agreed()
    host.sleep(3601)
    assert host.agreed().startswith("Verdict: nothing wrong - ")


def test_openvz_seen_for_the_first_time(host: Host) -> None:
    host.refuse(3)
    assert host.agreed().startswith("Verdict: no shortage now, earlier not known - ")
    assert "refused at an unknown time since its start: tcpsndbuf of container 101 3 times" in host.agreed()


def test_openvz_without_rights(host: Host) -> None:
    (host.tree / beancounters.FILE).mkdir()
    assert ": the limits of this container are not known: " in host.agreed()


@pytest.mark.parametrize("command", GAUGES)
@pytest.mark.parametrize("slow", [(choice, "look"), (beancounters, "read")], ids=["log", "gauges"])
def test_time_out(host: Host, monkeypatch: pytest.MonkeyPatch, command: str, slow: tuple[Any, str]) -> None:
    """It costs the rest of the evidence, and no part of the result."""
    # The sockets are those of the real machine, which change.
    quick = host.run(command, "-v", "--no-owners")

    def endless(*arguments: object) -> None:
        while True:
            pass

    def unwanted(*arguments: object) -> None:
        raise AssertionError("read after the alarm")

    monkeypatch.setattr(choice, "look", unwanted)
    monkeypatch.setattr(*slow, endless)
    began = time.monotonic()
    output = host.run(command, "-v", "--no-owners", "-t", "1")
    assert 0.9 < time.monotonic() - began < 3
    assert output.code == quick.code
    assert output.perfdata == quick.perfdata
    assert (output.lines[0], output.lines[2:]) == (quick.lines[0], quick.lines[2:])
    assert output.case == judgement.NO_SHORTAGE
    assert ": the check gave up after 1s. Next" in output.verdict


def test_time_out_where_a_gauge_is_read(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    (host.tree / "sys/net/ipv4/tcp_mem").write_text("1 2000 3000\n")

    def endless(root: str) -> None:
        while True:
            pass

    monkeypatch.setattr(protocols, "read", endless)
    output = host.run("check_tcp_orphans", "-v", "-t", "1")
    assert output.code == 0
    assert output.verdict.startswith("Verdict: not known - the check gave up after 1s; TCP holds 309 pages")


def test_time_out_of_the_log_check(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(*arguments: object) -> None:
        while True:
            pass

    def unwanted(root: str) -> None:
        raise AssertionError("read after the alarm")

    monkeypatch.setattr(choice, "look", endless)
    monkeypatch.setattr(sockstat, "read", unwanted)
    output = host.run("check_tcp_kernel_log", "-v", "-t", "1")
    assert output.code == 3
    assert output.lines[0].startswith(
        "TCP KERNEL LOG UNKNOWN - gave up after 1s while reading the kernel log. Next: allow"
    )
    assert output.verdict.startswith("Verdict: not known - the check gave up after 1s while reading the kernel log.")


@pytest.mark.parametrize("command", WITH_VERDICT)
def test_internal_error(host: Host, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    plain = host.run(command)

    def broken(found: object) -> None:
        raise RuntimeError("oh\n\x1b|no")

    monkeypatch.setattr(judgement, "judge", broken)
    output = host.run(command, "-v")
    assert (output.code, output.perfdata) == (plain.code, plain.perfdata)
    expected = "Verdict: not known - internal error, RuntimeError: oh ??no. Next: run "
    assert output.verdict.startswith(expected)


def test_a_log_of_another_host(host: Host, tmp_path: pathlib.Path) -> None:
    """Neither gauges nor counter are judged beside it."""
    host.say(ORPHAN)
    capture = tmp_path / "kmsg"
    capture.write_bytes(b"".join(host.lines))
    os.utime(capture, (host.now, host.now))
    apart = "Verdict: not known - this log may be from another host than the numbers in /proc; but in the last "
    host.count(5)
    for options in (["--kmsg", str(capture)], ["--procfs", str(host.tree)]):
        output = host.run("check_tcp_kernel_log", "-v", "--lookback", "2h", *options)
        assert output.verdict.startswith(f"{apart}2h the log shows at least 1 reset (cause: 1 orphans). Next: ")


@pytest.mark.parametrize(
    "tree, imported",
    [
        ("kernel-6.18/00-idle/host", []),
        ("openvz/container", ["tcp_headroom.proc.beancounters", "tcp_headroom.verdict.grants"]),
    ],
)
def test_a_plain_run_imports_none_of_it(tree: str, imported: list[str]) -> None:
    """But on OpenVZ, whose limits are judged in any case."""
    code = (
        "import importlib, sys\n"
        "for name in sys.argv[2:]:\n"
        "    try: importlib.import_module('tcp_headroom.commands.' + name).main(['--procfs', sys.argv[1]])\n"
        "    except SystemExit: pass\n"
        "print(sorted({'tcp_headroom.' + name for name in ('verdict.conclusion', 'verdict.judgement', 'verdict.grants', 'proc.beancounters')} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, FIXTURES / tree, *WITH_VERDICT],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == str(imported)
    assert len(done.stdout.splitlines()) == 4


def test_a_kernel_without_boot_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before 2.6.39, as on hosts of OpenVZ."""
    monkeypatch.undo()

    def unknown(number: int) -> float:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(time, "clock_gettime", unknown)
    now = clock.read("/proc")
    assert now.boottime == now.monotonic
