"""check_tcp_kernel_log as a whole: states, options, the counter, and what it cannot read."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from tcp_headroom.log import files, kmsg, views
from tcp_headroom.proc import netstat
from workbench.command import FIXTURES, Run, assert_grammar
from workbench.kernel_log_host import LIMITER, MEMORY, OF_OLD, ORPHAN, Host, hits, host, text

NEXT_ORPHANS = ". Next: run check_tcp_orphans -v"


class TestVerdict:
    def test_nothing(self, host: Host) -> None:
        assert host.check_ring() == (
            0,
            "TCP KERNEL LOG OK - no message about TCP memory or orphans in the last 1h. Read from /dev/kmsg | aborts_on_memory=0c "
            "coverage=100%;;;0;100 hits=0;0;;0 memory_hits=0;0;0;0 orphan_hits=0;;;0 suppressed=0;;;0 unclear_hits=0;;;0\n",
        )

    def test_orphans(self, host: Host) -> None:
        host.sleep(-300)
        host.say(LIMITER, *[ORPHAN] * 10)
        host.sleep(300)
        assert host.check_ring() == (
            1,
            f"TCP KERNEL LOG WARNING - too many orphans: 10 messages in the last 1h, the last 5 min ago{NEXT_ORPHANS}. Read from "
            "/dev/kmsg. 22 more messages of the network code suppressed | aborts_on_memory=0c coverage=100%;;;0;100 hits=10;0;;0 memory_hits=0;0;0;0 orphan_hits=10;;;0 "
            "suppressed=22;;;0 unclear_hits=0;;;0\n",
        )

    @pytest.mark.parametrize("said, code", [([ORPHAN], 1), ([MEMORY], 2), ([], 3)])
    def test_a_tree_that_is_missing_hides_no_alarm(self, host: Host, said: list[str], code: int) -> None:
        host.say(*said)
        output = host.check_ring("--procfs", "/nonexistent")
        assert output.code == code
        assert ("/nonexistent is not a /proc tree. Next: check --procfs" in output.text) == (code == 3)

    def test_memory(self, host: Host) -> None:
        host.say(ORPHAN, MEMORY, OF_OLD)
        output = host.check_ring()
        assert output.code == 2
        assert text(output) == (
            "TCP KERNEL LOG CRITICAL - out of TCP memory: 3 messages in the last 1h, the last now. Next: run check_tcp_mem -v "
            "and check_tcp_orphans -v. Read from /dev/kmsg. By cause: 1 orphans, 1 memory, 1 unclear"
        )

    @pytest.mark.parametrize(
        "messages, options, code",
        [
            ([OF_OLD], [], 1),
            ([ORPHAN] * 5, ["-w", "5"], 0),
            ([ORPHAN] * 6, ["-w", "5"], 1),
            ([ORPHAN] * 6, ["-c", "5"], 2),
            ([MEMORY] * 5, ["-c", "5"], 1),
            ([MEMORY] * 5, ["-w", "9", "-c", "5"], 0),
            ([MEMORY], ["-w", "9"], 2),
            ([LIMITER] * 3, [], 0),
        ],
    )
    def test_thresholds(self, host: Host, messages: list[str], options: list[str], code: int) -> None:
        host.say(*messages)
        output = host.check_ring(*options)
        assert output.code == code
        assert ("network code suppressed" in output.text) == (LIMITER in messages)

    @pytest.mark.parametrize("lookback, seconds", [("90s", 90), ("15m", 900), ("1h", 3600), ("2d", 172800)])
    def test_the_edge_belongs_to_the_window(self, host: Host, lookback: str, seconds: int) -> None:
        host.ring.clear()
        host.sleep(-seconds - 10)
        host.say("eth0: up")
        host.sleep(10)
        host.say(ORPHAN)
        host.sleep(seconds)
        assert hits(host.check_ring("--lookback", lookback, state=False)) == 1
        host.sleep(0.001)
        assert hits(host.check_ring("--lookback", lookback, state=False)) == 0

    def test_forged_records(self, host: Host) -> None:
        for priority in (8, 12, 14, 30):
            host.say(ORPHAN, priority=priority)
        host.say(f"usb 1-1: Product: {ORPHAN}", "Out of memory: Killed process 1 (x)")
        assert host.check_ring().code == 0

    def test_capture_from_a_kernel(self, run: Run, tmp_path: pathlib.Path) -> None:
        """Real records of Linux 6.18, in a file whose time is that of its last record."""
        capture = tmp_path / "kmsg"
        capture.write_bytes((FIXTURES / "kernel-6.18/15-orphans-over-limit-killed/kmsg").read_bytes())
        os.utime(capture, (time.time() - 1800,) * 2)
        output = run("check_tcp_kernel_log", "--kmsg", capture)
        assert output.code == 1
        assert " - too many orphans: 10 messages in the last 1h, the last 30 min ago. Next: " in output.text
        assert (output.perfdata["orphan_hits"], output.perfdata["suppressed"]) == ("10;;;0", "22;;;0")
        os.utime(capture, (time.time() - 7200,) * 2)
        assert run("check_tcp_kernel_log", "--kmsg", capture, "--no-state").code == 3
        os.utime(capture, (time.time() + 7200,) * 2)
        output = run("check_tcp_kernel_log", "--kmsg", capture, "--no-state")
        assert output.code == 3
        assert "has a time in the future, so the age of its records is not known. Next: compare the" in output.text


class TestOptions:
    @pytest.mark.parametrize("bad", ["", "1", "h", "0h", "1.5h", "1w", "-1h", "1h ", "1234567s", "١h"])
    def test_duration(self, run: Run, bad: str) -> None:
        output = run("check_tcp_kernel_log", f"--lookback={bad}")
        assert output.code == 3
        assert "is not a duration; examples: 90s 15m 1h 2d" in output.text

    @pytest.mark.parametrize("bad", ["", "x", "101", "-1", "1e1", "50%%"])
    def test_percentage(self, run: Run, bad: str) -> None:
        assert "is not a percentage" in run("check_tcp_kernel_log", f"--min-coverage={bad}").text

    @pytest.mark.parametrize(
        "options",
        [
            ["--file", "x", "--kmsg", "y"],
            ["--file", "x", "--journal-dir", "y"],
            ["--kmsg", "x", "--journal-file", "y"],
            ["--source", "kmsg", "--file", "x"],
            ["--source", "auto", "--file", "x"],
            ["--source", "journal", "--kmsg", "x"],
        ],
    )
    def test_two_sources(self, run: Run, options: list[str]) -> None:
        output = run("check_tcp_kernel_log", *options)
        assert output.code == 3
        assert "check_tcp_kernel_log UNKNOWN - these name more than one source: " in output.text

    def test_two_journals(self, run: Run) -> None:
        output = run("check_tcp_kernel_log", "--journal-file", "x", "--journal-dir", "y")
        assert "--journal-file and --journal-dir name two journals" in output.text

    def test_files_are_alternatives(self, host: Host) -> None:
        host.write(ORPHAN)
        assert hits(host.check("--file", "/nonexistent", "--file", str(host.log), "--file", str(host.log))) == 1

    def test_log_host(self, host: Host) -> None:
        host.write(ORPHAN)
        assert hits(host.check_file("--log-host", "web1")) == 1
        output = host.check_file("--log-host", "web2")
        assert output.code == 3 and "holds no kernel message of web2" in output.text


class TestCounter:
    """TCPAbortOnMemory beside the log."""

    def test_growth_that_the_log_does_not_explain(self, host: Host) -> None:
        host.count(100)
        assert host.check_ring("--kmsg", "/dev/kmsg2").code == 0  # a foreign ring: comparable with a foreign /proc
        host.sleep(300)
        host.count(383)
        host.say(*[ORPHAN] * 10)
        output = host.check_ring("--kmsg", "/dev/kmsg2")
        assert output.code == 1
        assert "; more resets than messages: 283 since 16:00, 10 in the log. Next: " in output.text

    def test_growth_without_any_message(self, host: Host) -> None:
        options = ("--kmsg", "/dev/kmsg2")
        host.check_ring(*options)
        host.sleep(300)
        host.count(5)
        codes = []
        for _run in range(14):
            codes.append(host.check_ring(*options).code)
            host.sleep(300)
        assert codes == [1] * 13 + [0]

    def test_growth_that_the_log_explains(self, host: Host) -> None:
        options = ("--kmsg", "/dev/kmsg2", "-w", "100")
        host.check_ring(*options)
        host.sleep(300)
        host.count(10)
        host.say(*[ORPHAN] * 10)
        assert host.check_ring(*options).code == 0
        host.count(11)
        assert host.check_ring(*options).code == 1

    def test_growth_explained_before_the_window(self, host: Host) -> None:
        """The last sample is a day old: the log is read back to it."""
        options = ("--kmsg", "/dev/kmsg2")
        host.check_ring(*options)
        host.sleep(3600)
        host.say(*[ORPHAN] * 3)
        host.sleep(82800)
        host.count(3)
        assert host.check_ring(*options).code == 0
        host.count(4)
        output = host.check_ring(*options)
        assert output.code == 1
        assert "more resets than messages: 4 since 2026-11-22 16:00, 3 in the log" in output.text

    @pytest.mark.parametrize("event", ["reboot", "wrap", "namespace", "future"])
    def test_what_is_no_growth(self, host: Host, event: str, monkeypatch: pytest.MonkeyPatch) -> None:
        options = ("--kmsg", "/dev/kmsg2")
        host.count(1000)
        host.check_ring(*options)
        host.sleep(300)
        host.count(2000)
        if event == "reboot":
            host.reboot()
        elif event == "wrap":
            host.count(5)
        elif event == "namespace":
            monkeypatch.setattr(netstat, "namespace", lambda root: "another")
        else:
            host.sleep(-600)
        assert host.check_ring(*options).code == 0

    def test_not_compared_with_a_log_that_may_be_anothers(self, host: Host) -> None:
        """This host's ring beside another's /proc."""
        host.check_ring()
        host.sleep(300)
        host.count(5)
        output = host.check_ring("-v")
        assert output.code == 0
        assert "the counter is not compared with this log, which may be from another host" in output.lines


class TestCounterAlone:
    """No log can be read, and none was named."""

    @pytest.fixture(autouse=True)
    def blind(self, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
        from tcp_headroom.log import journal

        host.readable = False
        monkeypatch.setattr(journal, "PROGRAMS", ())
        monkeypatch.setattr(files, "DEFAULTS", (str(host.folder / "none"),))

    def test_zero_is_complete(self, host: Host) -> None:
        assert host.check() == (
            0,
            "TCP KERNEL LOG OK - no socket reset in the last 1h, by the counter alone. No kernel log: cannot open /dev/kmsg: "
            "Operation not permitted; ask for a group. Name a log of this host with --file | "
            "aborts_on_memory=0c coverage=100%;;;0;100\n",
        )

    def test_a_boot_inside_the_window_is_complete(self, host: Host) -> None:
        host.reboot()
        host.sleep(600)
        host.count(7)
        output = host.check()
        assert output.code == 1
        assert "sockets were reset: 7 since 16:00, by the counter alone. Next: " in output.text

    def test_otherwise_it_must_be_watched(self, host: Host) -> None:
        host.count(7)
        codes = []
        for _run in range(8):
            output = host.check()
            codes.append(output.code)
            host.sleep(300)
        assert codes == [3, 3, 3, 3, 3, 3, 0, 0]
        assert output.perfdata["coverage"] == "58.3333%;;;0;100"
        assert "Counter watched for 58.3 % of that time. No kernel log: cannot open" in output.text
        host.count(9)
        output = host.check()
        assert output.code == 1
        assert "sockets were reset: 2 since 16:35, by the counter alone. Next: " in output.text

    def test_without_state_it_cannot_be_watched(self, host: Host) -> None:
        host.count(7)
        for _run in range(3):
            assert host.check(state=False).code == 3
            host.sleep(3600)

    def test_hits_of_earlier_runs_stay(self, host: Host) -> None:
        host.readable = True
        host.say(MEMORY)
        assert host.check().code == 2
        host.readable = False
        output = host.check()
        assert output.code == 2
        assert "Earlier runs saw 1 message. No kernel log: " in output.text
        host.sleep(3601)
        assert host.check().code == 0

    def test_a_source_that_was_named_is_needed(self, host: Host) -> None:
        for source in ("kmsg", "journal", "file"):
            output = host.check("--source", source)
            assert (output.code, output.perfdata) == (3, {"aborts_on_memory": "0c"})
            assert "TCP KERNEL LOG UNKNOWN - no kernel log: " in output.text

    def test_without_a_counter(self, host: Host) -> None:
        (host.procfs / "net/netstat").unlink()
        output = host.check("-v")
        assert output.code == 3
        assert "UNKNOWN - no kernel log: cannot open /dev/kmsg" in output.text
        assert any(line.startswith("not shown, aborts_on_memory: ") for line in output.lines)


@pytest.mark.parametrize(
    "number, restricted, remedy",
    [
        (
            1,
            1,
            "add this user to group systemd-journal, or adm for /var/log (dmesg_restrict is 1)",
        ),
        (
            13,
            1,
            "add this user to group systemd-journal, or adm for /var/log (dmesg_restrict is 1)",
        ),
        (
            1,
            0,
            "look for ProtectKernelLogs in the systemd unit, a container, or printk_devkmsg=off",
        ),
        (2, 1, "run the check on the host, without PrivateDevices in the systemd unit"),
        (5, 1, "use --source journal or --source file"),
    ],
)
def test_remedies(monkeypatch: pytest.MonkeyPatch, number: int, restricted: int, remedy: str) -> None:
    monkeypatch.setattr(kmsg, "_restricted", lambda: restricted)
    assert kmsg.remedy(number, views.DEVICE) == remedy


@pytest.mark.parametrize("kind", ["missing", "console", "directory", "fifo", "empty"])
def test_what_is_no_ring(run: Run, tmp_path: pathlib.Path, kind: str) -> None:
    path = tmp_path / "kmsg"
    if kind == "console":
        path.symlink_to("/dev/null")
    elif kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "empty":
        path.touch()
    output = run("check_tcp_kernel_log", "--kmsg", path)
    assert output.code == 3
    expected = {"missing": "No such file or directory", "empty": "holds no kernel record"}
    assert expected.get(kind, "is not the kernel log (character device 1:11)") in output.text
    assert ". Next: check --kmsg, and the rights of this user" in output.text


@pytest.mark.parametrize("option", ["--kmsg", "--file", "--journal-file", "--journal-dir"])
def test_what_is_named_and_missing(run: Run, tmp_path: pathlib.Path, option: str) -> None:
    """The answer is about the path given, never what helps with the usual source."""
    if option.startswith("--journal") and not os.path.exists("/usr/bin/journalctl"):
        pytest.skip("no journalctl: apt-get install systemd")
    output = run("check_tcp_kernel_log", option, tmp_path / "typo")
    assert output.code == 3
    assert "No such file or direc" in output.status
    assert output.status.endswith(f". Next: check {option}, and the rights of this user")


def test_a_capture_that_is_private(powerless: None, run: Run, tmp_path: pathlib.Path) -> None:
    (tmp_path / "kmsg").touch(0)
    output = run("check_tcp_kernel_log", "--kmsg", tmp_path / "kmsg")
    assert "Permission denied. Next: check --kmsg, and the rights of this user" in output.text


def test_the_time_out_ends_journalctl(tmp_path: pathlib.Path) -> None:
    """A journalctl that never ends, in the place of the real one."""
    fake = tmp_path / "journalctl"
    fake.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 1000\n")
    fake.chmod(0o755)
    code = (
        f"from tcp_headroom.log import journal; journal.PROGRAMS = ({str(fake)!r},)\n"
        "from tcp_headroom.commands.check_tcp_kernel_log import main; main(['--source', 'journal', '-t', '1', '--no-state'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout.startswith(
        "TCP KERNEL LOG UNKNOWN - no kernel log: journalctl did not answer in time. Next: check the load of this host"
    )
    assert "| aborts_on_memory=" in done.stdout
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGCONT)


def test_status_line_fits_in_every_state(host: Host) -> None:
    deep = host.folder / ("x" * 200)
    deep.mkdir()
    host.log = deep / "kern.log"
    host.sleep(-60)
    host.write(*[LIMITER, ORPHAN, MEMORY, OF_OLD] * 500)
    host.sleep(60)
    host.count(0)
    host.check_file()
    host.count(2**64 - 1)
    for options in (
        [],
        ["--lookback", "999999d"],
        ["-w", "@0:999999999999999.999999", "-c", "@0:999999999999999.999999"],
    ):
        output = host.check_file(*options)
        assert len(output.lines) == 1
        assert len(output.text.encode()) <= 1023
        assert_grammar(output.status)
        assert not set(text(output)) & set("`~$&|'\"<>")
