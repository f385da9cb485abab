"""The journal, read from real journal files by the real journalctl."""

from __future__ import annotations

import calendar
import os
import pathlib
import shutil
import subprocess
import sys
import time

import pytest

from tcp_headroom.blind import Blind
from tcp_headroom.log import journal, writer
from tcp_headroom.log.views import SUPPRESSED, View, Window
from tcp_headroom.proc.clock import Clock
from workbench import journals
from workbench.journals import entry, kernel
from workbench.machine import program

pytestmark = pytest.mark.skipif(bool(journals.MISSING), reason=journals.MISSING)

NOW = float(calendar.timegm((2026, 11, 22, 16, 0, 0)))
BOOT, BEFORE = "b" * 32, "a" * 32
UPTIME = 10 * 86400.0
CLOCK = Clock(NOW, UPTIME, UPTIME, BOOT)
HOUR = Window(NOW - 3600, NOW)
HIT = "TCP: too many orphaned sockets"
MEMORY = "TCP: out of memory -- consider tuning tcp_mem"


def at(ago: float, message: str | bytes = HIT, **fields: str | bytes) -> dict[str, str | bytes]:
    """A kernel record of this boot, ``ago`` seconds before ``NOW``, received at once."""
    return kernel(NOW - ago, UPTIME - ago, BOOT, message, **fields)


OLD = at(3 * 3600, "eth0: link is up")


def look(tmp_path: pathlib.Path, *entries: dict[str, str | bytes], clock: Clock = CLOCK) -> View:
    path = journals.write(tmp_path / "system.journal", entries)
    return journal.view(clock, Window(clock.now - 3600, clock.now), [f"--file={path}"])


def hits(view: View, cause: str = "orphans") -> int:
    return sum(event.count for event in view.events if event.cause == cause)


def test_hits_in_the_window(tmp_path: pathlib.Path) -> None:
    view = look(
        tmp_path,
        OLD,
        at(3600.1),
        at(3599.9),
        at(1800, MEMORY),
        at(9, "net_ratelimit: 14 callbacks suppressed"),
        at(1),
        at(1),
    )
    assert (hits(view), hits(view, "memory"), hits(view, SUPPRESSED)) == (3, 1, 14)
    assert view.proof.since <= HOUR.start


@pytest.mark.parametrize(
    "message, count",
    [
        (HIT.encode() + b" \xff\xfe", 1),
        (b"\xff" + HIT.encode(), 0),
        (HIT + " " * 5000, 0),  # null: journalctl shows no field above 4096 bytes
        (f"usb 1-1: Product: {HIT}", 0),
        ("two\nlines " + HIT, 0),
    ],
)
def test_messages_of_every_kind(tmp_path: pathlib.Path, message: str | bytes, count: int) -> None:
    encoded = message.encode() if isinstance(message, str) and "\n" in message else message
    assert hits(look(tmp_path, OLD, at(60, encoded))) == count


def test_only_the_kernel_counts(tmp_path: pathlib.Path) -> None:
    forged = [
        # Written to /dev/kmsg: journald strips the identifier.
        kernel(NOW - 5, UPTIME - 5, BOOT, "too many orphaned sockets", SYSLOG_IDENTIFIER="TCP", SYSLOG_FACILITY="1"),
        # The same, by one who chose the identifier.
        kernel(NOW - 5, UPTIME - 5, BOOT, HIT, SYSLOG_FACILITY="1"),
        entry(NOW - 5, UPTIME - 5, BOOT, _TRANSPORT="syslog", SYSLOG_IDENTIFIER="kernel", SYSLOG_FACILITY="0", MESSAGE=HIT, PRIORITY="6"),
        entry(NOW - 5, UPTIME - 5, BOOT, _TRANSPORT="stdout", SYSLOG_IDENTIFIER="kernel", MESSAGE=HIT, PRIORITY="6"),
    ]  # fmt: skip
    assert look(tmp_path, OLD, *forged).events == []
    # journald of old stored no facility for what the kernel itself said.
    assert hits(look(tmp_path, OLD, at(5, SYSLOG_FACILITY=""))) == 1


def test_a_restarted_journald(tmp_path: pathlib.Path) -> None:
    """Records taken in late carry the time of reception; what counts is printk's."""
    late = [
        kernel(NOW - 60, UPTIME - 60, BOOT, HIT, _SOURCE_MONOTONIC_TIMESTAMP=str(round((UPTIME - ago) * 1e6)))
        for ago in (7200, 3601, 3599, 100)
    ]
    assert hits(look(tmp_path, OLD, *late)) == 2


def test_two_boots(tmp_path: pathlib.Path) -> None:
    """Booted 10 minutes ago: hits of the boot before are in the window, too."""
    clock = Clock(NOW, 600.0, 600.0, BOOT)
    before = [kernel(NOW - ago, 5000 - ago, BEFORE, HIT) for ago in (4000, 3000, 900)]
    old = kernel(NOW - 9000, 10.0, BEFORE, "Linux version")
    boot = [kernel(NOW - 595, 5.0, BOOT, "Linux version"), kernel(NOW - 60, 540.0, BOOT, HIT)]
    view = look(tmp_path, old, *before, *boot, clock=clock)
    assert hits(view) == 3
    assert view.proof.since <= HOUR.start
    assert len({event.key for event in view.events}) == 3


def test_clock_set_back_between_message_and_check(tmp_path: pathlib.Path) -> None:
    """journald stamped it by a clock an hour ahead; by its uptime it is 50 minutes old."""
    assert [event.when for event in look(tmp_path, OLD, kernel(NOW + 600, UPTIME - 3000, BOOT, HIT)).events] == [
        NOW - 3000
    ]


class TestCoverage:
    def test_begins_with_the_first_entry_of_the_system(self, tmp_path: pathlib.Path) -> None:
        """A user's own entries may be kept for longer."""
        other = entry(NOW - 3000, UPTIME - 3000, BOOT, _TRANSPORT="syslog", _UID="0", MESSAGE="x", PRIORITY="6")
        users = entry(NOW - 3300, UPTIME - 3300, BOOT, _TRANSPORT="syslog", _UID="1000", MESSAGE="x", PRIORITY="6")
        assert look(tmp_path, users, other, at(60, "eth0: up")).proof.since == NOW - 3000

    def test_first_record_waited_in_the_ring(self, tmp_path: pathlib.Path) -> None:
        """journald was started 5 minutes ago and took in all since the boot 50 minutes ago."""
        clock = Clock(NOW, 3000.0, 3000.0, BOOT)
        ring = [
            kernel(NOW - 300, 2700, BOOT, message, _SOURCE_MONOTONIC_TIMESTAMP=str(round(uptime * 1e6)))
            for uptime, message in ((0.0, "Linux version"), (1200.0, HIT), (2600.0, "eth0: up"))
        ]
        view = look(tmp_path, *ring, clock=clock)
        assert [event.when for event in view.events] == [NOW - 1800]
        assert view.proof.since == clock.booted

    def test_missed_messages(self, tmp_path: pathlib.Path) -> None:
        missed = entry(NOW - 1200, UPTIME - 1200, BOOT, _TRANSPORT="driver", MESSAGE_ID=journal.MISSED, MESSAGE="Missed 12 kernel messages", PRIORITY="4")  # fmt: skip
        view = look(tmp_path, OLD, at(3000), missed, at(60))
        assert hits(view) == 2
        assert view.proof.since == NOW - 1200
        assert view.notes == ["journald says: Missed 12 kernel messages"]


class TestEnd:
    """Until when this host's own journal shows all: as long as journald is seen to live."""

    def test_journald_is_dead(self, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(journal, "DAEMON", "none of that name")
        monkeypatch.setattr(journal, "UNIT", "none of that name")
        proof = look(tmp_path, OLD, at(2000, "usb 1-1: x"), at(1500, "usb 1-1: y")).proof
        assert proof.spans == [(NOW - 3600, NOW - 1500)]
        assert [(lack.reason, lack.remedy) for lack in proof.lacks] == [
            (
                f"the last entry of the journal is from {time.strftime('%Y-%m-%d %H:%M', time.localtime(NOW - 1500))}, "
                "and journald is not seen to run",
                "check systemd-journald",
            )
        ]

    def test_the_newest_entry_is_anybodys(self, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(journal, "DAEMON", "none of that name")
        monkeypatch.setattr(journal, "UNIT", "none of that name")
        other = entry(NOW - 200, UPTIME - 200, BOOT, _TRANSPORT="syslog", _UID="1000", MESSAGE="x", PRIORITY="6")
        proof = look(tmp_path, OLD, at(1500, "usb 1-1: y"), other).proof
        assert (proof.spans, proof.lacks) == ([(NOW - 3600, NOW)], ())

    def test_journald_lives_on_a_quiet_host(self, tmp_path: pathlib.Path) -> None:
        """A process of that name, as this kernel shows it."""
        name = tmp_path / "systemd-journald"
        shutil.copy(shutil.which("sleep") or "", name)
        with subprocess.Popen([name, "60"]) as process:
            try:
                proof = look(tmp_path, OLD, at(1500, "usb 1-1: y")).proof
            finally:
                process.kill()
        assert (proof.spans, proof.lacks) == ([(NOW - 3600, NOW)], ())

    @pytest.mark.parametrize("processes, seen", [("212\n", True), ("0\n", True), ("", False)])
    def test_journald_where_proc_hides_it(
        self, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, processes: str, seen: bool
    ) -> None:
        """The cgroup of its unit has a process, be it one that this PID namespace has no number for."""
        monkeypatch.setattr(journal, "DAEMON", "none of that name")
        monkeypatch.setattr(writer, "SERVICES", (str(tmp_path / "nothing"), str(tmp_path)))
        (tmp_path / journal.UNIT).mkdir()
        (tmp_path / journal.UNIT / "cgroup.procs").write_text(processes)
        proof = look(tmp_path, OLD, at(1500, "usb 1-1: y")).proof
        assert (proof.until, proof.lacks == ()) == (NOW if seen else NOW - 1500, seen)


class TestRefusals:
    def test_no_kernel_record(self, tmp_path: pathlib.Path) -> None:
        proof = look(tmp_path, entry(NOW - 5, UPTIME, BOOT, _TRANSPORT="syslog", MESSAGE="x", PRIORITY="6")).proof
        assert proof.spans == []
        assert str(proof.lacks[0]).startswith("the journal has no kernel message; check that --journal-dir or")

    def test_no_record_of_level_info(self, tmp_path: pathlib.Path) -> None:
        proof = look(tmp_path, at(60, "careful", PRIORITY="4"), at(9000, "careful", PRIORITY="4")).proof
        assert proof.spans == []
        assert "no kernel message of level info, which a hit has; check MaxLevelStore" in str(proof.lacks[0])

    def test_level_info_may_be_older_than_what_is_read(self, tmp_path: pathlib.Path) -> None:
        assert (
            look(
                tmp_path, at(800000, "fine"), at(9000, "careful", PRIORITY="4"), at(60, "careful", PRIORITY="4")
            ).events
            == []
        )

    def test_no_file(self, tmp_path: pathlib.Path) -> None:
        with pytest.raises(Blind, match="journalctl cannot read the journal: .*No such file or directory"):
            journal.view(CLOCK, HOUR, [f"--file={tmp_path}/none.journal"])

    def test_no_journal(self, tmp_path: pathlib.Path) -> None:
        proof = journal.view(CLOCK, HOUR, [f"--directory={tmp_path}"]).proof
        assert not proof.spans and "the journal has no kernel message" in str(proof.lacks[0])

    @pytest.mark.parametrize("user, remedy", [(0, "check systemd-journald"), (65534, "add this user to group")])
    def test_nothing_is_shown(self, monkeypatch: pytest.MonkeyPatch, user: int, remedy: str) -> None:
        """The journal of this machine, which shows nothing; root needs no group."""
        monkeypatch.setattr(os, "geteuid", lambda: user)
        monkeypatch.setattr(journal, "PROGRAMS", ("/bin/true",))
        (lack,) = journal.view(CLOCK, HOUR).proof.lacks
        assert lack.remedy.startswith(remedy)

    def test_no_journalctl(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(journal, "PROGRAMS", ("/nonexistent/journalctl",))
        with pytest.raises(Blind, match="there is no journalctl on this host"):
            journal.view(CLOCK, HOUR)

    def test_journalctl_cannot_be_run(self, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        program = tmp_path / "journalctl"
        program.write_text("")
        monkeypatch.setattr(journal, "PROGRAMS", (str(program),))
        with pytest.raises(
            Blind, match="^cannot run .*journalctl: Permission denied; use --source kmsg or --source file"
        ):
            journal.view(CLOCK, HOUR)

    def test_damaged_file(self, tmp_path: pathlib.Path) -> None:
        path = tmp_path / "system.journal"
        path.write_bytes(b"LPKSHHRH" + bytes(range(256)) * 40)
        with pytest.raises(Blind):
            journal.view(CLOCK, HOUR, [f"--file={path}"])


def test_directory(tmp_path: pathlib.Path) -> None:
    journals.write(tmp_path / ("c" * 32) / "system.journal", [OLD, at(5)])
    assert hits(journal.view(CLOCK, HOUR, [f"--directory={tmp_path}"])) == 1


def test_journalctl_is_ended_with_the_reading(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would print a hundred thousand entries; after the first from before the window nobody reads on."""
    started: list[subprocess.Popen[bytes]] = []
    original = subprocess.Popen

    def noted(*arguments: object, **options: object) -> subprocess.Popen[bytes]:
        started.append(original(*arguments, **options))  # type: ignore[call-overload]
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", noted)
    look_at = [at(90000 - n, "noise") for n in range(20000)] + [at(5)]
    assert hits(look(tmp_path, *look_at)) == 1
    assert len(started) == 2  # systemd-journal-remote and one journalctl
    assert started[-1].returncode == -9


def test_running_journald(tmp_path: pathlib.Path) -> None:
    """journald over the ring of this machine, in a mount namespace of its own, where root may do that."""
    daemon = program("systemd", "/lib/systemd/systemd-journald", "/usr/lib/systemd/systemd-journald")
    if os.geteuid() != 0:
        pytest.skip("needs root, to run systemd-journald")
    if not os.path.exists("/etc/machine-id"):
        pytest.skip("this machine has no /etc/machine-id")
    script = f"""
        mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal /run/log/journal
        {daemon} & journald=$!
        for attempt in $(seq 300); do
            journalctl -D /run/log/journal -n1 _TRANSPORT=kernel -o cat 2>/dev/null | grep -q . && break
            sleep 0.1
        done
        "$@"
        kill $journald; wait $journald
    """
    options = ["-v", "--no-state", "--journal-dir", "/run/log/journal"]
    code = f"from tcp_headroom.commands.check_tcp_kernel_log import main; main({options!r})"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", sys.executable, "-c", code], capture_output=True, text=True
    )
    assert "Read from the journal" in done.stdout, done
    assert "the journal has seen everything since" in done.stdout
