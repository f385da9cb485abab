"""check_tcp_kernel_log as a whole: states, coverage, the counter, and what one run leaves for the next."""

from __future__ import annotations

import calendar
import gzip
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

import journals
from conftest import FIXTURES, Output, Run
from tcp_headroom import clock, kmsg, netstat

NOW = float(calendar.timegm((2026, 11, 22, 16, 0, 0)))
UPTIME = 10 * 86400.0
BOOT = "b" * 32
ORPHAN = "TCP: too many orphaned sockets"
MEMORY = "TCP: out of memory -- consider tuning tcp_mem"
OF_OLD = "Out of socket memory"
LIMITER = "net_ratelimit: 22 callbacks suppressed"

NEXT_ORPHANS = (
    ". Next: see check_tcp_orphans -v; find the service that closes with unsent data (ss -tan state fin-wait-1), "
    "or raise net.ipv4.tcp_max_orphans"
)


class Host:
    """A host whose clock, counter, ring and log file the test moves."""

    def __init__(self, run: Run, folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.run = run
        self.folder = folder
        self.log = folder / "log" / "kern.log"
        self.log.parent.mkdir()
        self.state = folder / "state"
        self.procfs = folder / "proc"
        (self.procfs / "net").mkdir(parents=True)
        self.now, self.uptime, self.boottime, self.boot = NOW, UPTIME, UPTIME, BOOT
        self.ring: list[kmsg.Record] = []
        self.seq = 1000
        self.readable = True
        self.count(0)
        monkeypatch.setenv("TZ", "UTC")
        time.tzset()
        monkeypatch.setattr(clock, "read", lambda root: clock.Clock(self.now, self.uptime, self.boottime, self.boot))
        monkeypatch.setattr(kmsg, "read", self.read_ring)

    def count(self, value: int) -> None:
        """Set TCPAbortOnMemory."""
        (self.procfs / "net/netstat").write_text(f"TcpExt: A TCPAbortOnMemory\nTcpExt: 5 {value}\n")

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now, self.uptime, self.boottime = self.now + seconds, self.uptime + seconds, self.boottime + seconds

    def reboot(self) -> None:
        """A new boot, a new ring."""
        self.uptime = self.boottime = 0.0
        self.boot = "c" * 32 if self.boot == BOOT else "d" * 32
        self.seq, self.ring = 0, []
        self.say("Linux version 6.1")

    def say(self, *messages: str, priority: int = 6) -> None:
        """The kernel says something: into the ring."""
        for message in messages:
            self.ring.append(kmsg.Record(priority, self.seq, round(self.uptime * 1e6), message))
            self.seq += 1

    def write(self, *messages: str, tag: str = "kernel:") -> None:
        """syslog writes something into the file."""
        stamp = time.strftime("%b %e %H:%M:%S", time.gmtime(self.now))
        with open(self.log, "a") as file:
            file.writelines(f"{stamp} web1 {tag} {message}\n" for message in messages)
        self.touch(self.log)

    def touch(self, path: pathlib.Path) -> None:
        os.utime(path, (self.now, self.now))

    def read_ring(self, path: str) -> kmsg.Ring:
        if not self.readable:
            raise kmsg.Blind("cannot open /dev/kmsg: Operation not permitted; ask for a group")
        lines = [f"{record.priority},{record.seq},{record.usec},-;{record.text}\n".encode() for record in self.ring]
        return kmsg._ring(lines, None)

    def check(self, *options: str, state: bool = True) -> Output:
        memory = ["--state-dir", str(self.state)] if state else ["--no-state"]
        return self.run("check_tcp_kernel_log", "--procfs", self.procfs, *memory, *options)

    def check_ring(self, *options: str, state: bool = True) -> Output:
        return self.check("--source", "kmsg", *options, state=state)

    def check_file(self, *options: str, state: bool = True) -> Output:
        return self.check("--file", str(self.log), *options, state=state)


@pytest.fixture
def host(run: Run, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host(run, tmp_path, monkeypatch)
    made.sleep(-4 * 3600)
    made.say("eth0: up")
    made.write("eth0: up")
    made.sleep(4 * 3600)
    return made


def hits(output: Output) -> int:
    return int(output.perfdata["hits"].partition(";")[0])


def text(output: Output) -> str:
    return output.text.partition(" | ")[0]


class TestVerdict:
    def test_nothing(self, host: Host) -> None:
        assert host.check_ring() == (
            0,
            "TCP KERNEL LOG OK - no message about socket memory in the last 1h; read from /dev/kmsg | aborts_on_memory=0c "
            "coverage=100%;;;0;100 hits=0;0;;0 memory_hits=0;;0;0 orphan_hits=0;;;0 suppressed=0;;;0 unclear_hits=0;;;0\n",
        )

    def test_orphans(self, host: Host) -> None:
        host.sleep(-300)
        host.say(LIMITER, *[ORPHAN] * 10)
        host.sleep(300)
        assert host.check_ring() == (
            1,
            "TCP KERNEL LOG WARNING - at least 10 messages about socket memory in the last 1h, the last 5 min ago; cause: "
            "10 orphans; read from /dev/kmsg; 22 further kernel network messages, of any kind, swallowed by the rate limit"
            f"{NEXT_ORPHANS} | aborts_on_memory=0c coverage=100%;;;0;100 hits=10;0;;0 memory_hits=0;;0;0 orphan_hits=10;;;0 "
            "suppressed=22;;;0 unclear_hits=0;;;0\n",
        )

    def test_memory(self, host: Host) -> None:
        host.say(ORPHAN, MEMORY, OF_OLD)
        output = host.check_ring()
        assert output.code == 2
        assert "cause: 1 orphans, 1 memory, 1 unclear; read from" in output.text
        assert text(output).endswith(
            ". Next: see check_tcp_mem -v; find which sockets hold the memory (ss -tm), or raise net.ipv4.tcp_mem"
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
        assert ("swallowed by the rate limit" in output.text) == (LIMITER in messages)

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
        assert (
            "at least 10 messages about socket memory in the last 1h, the last 30 min ago; cause: 10 orphans"
            in output.text
        )
        assert (output.perfdata["orphan_hits"], output.perfdata["suppressed"]) == ("10;;;0", "22;;;0")
        os.utime(capture, (time.time() - 7200,) * 2)
        assert run("check_tcp_kernel_log", "--kmsg", capture, "--no-state").code == 3


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
        assert hits(host.check_file("--log-host", "web2")) == 0


class TestCoverage:
    def wrapped(self, host: Host, ago: float) -> None:
        """A ring whose oldest record is of ``ago`` seconds before now."""
        host.ring.clear()
        host.sleep(-ago)
        host.say("noise")
        host.sleep(ago)
        host.say("noise")

    def test_said(self, host: Host) -> None:
        self.wrapped(host, 2700)
        output = host.check_ring(state=False)
        assert (output.code, output.perfdata["coverage"]) == (0, "75%;;;0;100")
        assert text(output).endswith("read from /dev/kmsg, which shows 75.0 % of that time")

    def test_too_little(self, host: Host) -> None:
        self.wrapped(host, 1799)
        output = host.check_ring(state=False)
        assert output.code == 3
        assert text(output).endswith(
            "which shows 50.0 % of that time; that is less than the 50 % of --min-coverage; shorten --lookback, or let the "
            "check read a log that reaches further back"
        )
        assert host.check_ring("--min-coverage", "49%", state=False).code == 0
        assert host.check_ring("--min-coverage", "100", "--lookback", "1799s", state=False).code == 0

    @pytest.mark.parametrize("message, code", [(ORPHAN, 1), (MEMORY, 2)])
    def test_never_hides_a_hit(self, host: Host, message: str, code: int) -> None:
        self.wrapped(host, 1)
        host.say(message)
        assert host.check_ring(state=False).code == code

    def test_gap(self, host: Host) -> None:
        host.say("noise")
        host.seq += 5
        host.sleep(60)
        host.say("noise")
        host.sleep(60)
        output = host.check_ring("-v", state=False)
        assert (output.code, output.perfdata["coverage"]) == (3, "1.6667%;;;0;100")
        assert "/dev/kmsg: records are missing among the older ones" in output.lines

    def test_a_fresh_boot_does_not_cry(self, host: Host) -> None:
        host.reboot()
        host.sleep(60)
        assert host.check_ring(state=False).code == 0

    def test_a_ring_that_wrapped_since_the_boot(self, host: Host) -> None:
        host.reboot()
        host.sleep(60)
        del host.ring[0]
        host.say("noise")
        assert host.check_ring(state=False).code == 3


class TestBetweenRuns:
    """Memory: seen once, shown until it leaves the window, counted once."""

    def test_ring_that_wraps_between_two_runs(self, host: Host) -> None:
        host.say(*[ORPHAN] * 3)
        assert hits(host.check_ring()) == 3
        host.sleep(300)
        host.say("noise", ORPHAN)
        assert hits(host.check_ring()) == 4
        host.sleep(300)
        host.ring.clear()
        host.say("noise", ORPHAN)
        output = host.check_ring()
        assert hits(output) == 5
        # The last run lies before the oldest record: what was between them is lost, and said.
        assert output.perfdata["coverage"] == "0%;;;0;100"
        assert "which shows 0.0 % of that time" in output.text
        assert hits(host.check_ring(state=False)) == 1

    def test_coverage_adds_up(self, host: Host) -> None:
        """Each run finds a ring of ten minutes; together they saw all."""
        for _run in range(20):
            host.ring = host.ring[-3:]
            host.say("noise")
            output = host.check_ring()
            host.sleep(300)
        assert output.perfdata["coverage"] == "100%;;;0;100"

    def test_leaves_with_the_window(self, host: Host) -> None:
        host.say(ORPHAN)
        host.check_ring()
        host.ring.clear()
        host.sleep(1)
        host.say("noise")
        codes = []
        for _run in range(13):
            codes.append(host.check_ring().code)
            host.sleep(300)
        assert codes == [1] * 12 + [0]

    def test_equal_stamps(self, host: Host) -> None:
        """Old kernels stamp by the tick: part of a group is overwritten, none is lost, none doubled."""
        host.say(*[ORPHAN] * 10)
        assert hits(host.check_ring()) == 10
        del host.ring[:-4]
        assert hits(host.check_ring()) == 10

    def test_reboot_inside_the_window(self, host: Host) -> None:
        host.say(*[ORPHAN] * 2)
        host.check_ring()
        host.sleep(60)
        host.reboot()
        host.sleep(60)
        host.say(ORPHAN)
        output = host.check_ring()
        assert (hits(output), output.perfdata["coverage"]) == (3, "100%;;;0;100")

    def test_clock_set_back_and_forth(self, host: Host) -> None:
        host.say(ORPHAN)
        for step in (-3500, 7000, -86400, 86400):
            host.check_ring()
            host.now += step
            host.sleep(60)
            assert hits(host.check_ring()) == 1, step
        host.sleep(3600)
        assert hits(host.check_ring()) == 0

    def test_suspend(self, host: Host) -> None:
        """printk's clock stands still meanwhile; who saw the hit before knows how old it is."""
        host.say(ORPHAN)
        host.check_ring()
        host.now, host.boottime = host.now + 7200, host.boottime + 7200
        assert hits(host.check_ring(state=False)) == 1
        assert hits(host.check_ring()) == 0

    def test_from_the_ring_to_the_journal(self, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
        """One message has one stamp in both."""
        if journals.MISSING:
            pytest.skip(journals.MISSING)
        host.say(*[ORPHAN] * 2)
        entries = [journals.kernel(host.now, host.uptime, BOOT, ORPHAN) for _message in range(2)]
        old = journals.kernel(host.now - 9000, host.uptime - 9000, BOOT, "eth0: up")
        journal = journals.write(host.folder / "system.journal", [old, *entries])
        assert hits(host.check()) == 2
        host.sleep(60)
        host.readable = False
        from tcp_headroom import journal as module

        original = module.view
        monkeypatch.setattr(module, "view", lambda clock, window, place: original(clock, window, [f"--file={journal}"]))
        output = host.check()
        assert "read from the journal" in output.text
        assert hits(output) == 2

    def test_lookbacks_do_not_disturb_each_other(self, host: Host) -> None:
        host.say(ORPHAN)
        host.check_ring("--lookback", "2h")
        host.ring.clear()
        host.sleep(1800)
        host.say("noise")
        for _run in range(3):
            assert hits(host.check_ring("--lookback", "15m")) == 0
            assert hits(host.check_ring("--lookback", "2h")) == 1

    def test_another_procfs_remembers_nothing_by_itself(self, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
        from tcp_headroom import state

        monkeypatch.setattr(state, "directory", lambda option: pytest.fail("no state was asked for"))
        host.run("check_tcp_kernel_log", "--procfs", host.procfs, "--source", "kmsg")


class TestLogTable:
    """What other log checks get wrong, each row with consecutive runs."""

    def test_hit_in_the_unread_tail_of_the_renamed_file(self, host: Host) -> None:
        assert host.check_file().code == 0
        host.sleep(60)
        host.write(ORPHAN)
        host.log.rename(f"{host.log}.1")
        host.write("eth0: up")
        assert [hits(host.check_file()) for _run in range(2)] == [1, 1]

    def test_copytruncate_regrown_past_the_old_offset(self, host: Host) -> None:
        host.write(*["eth0: up"] * 10)
        assert host.check_file().code == 0
        host.sleep(60)
        copy = pathlib.Path(f"{host.log}.1")
        copy.write_bytes(host.log.read_bytes())
        host.touch(copy)
        host.log.write_bytes(b"")
        host.write(*[ORPHAN] * 2, *["eth0: up"] * 30)
        assert [hits(host.check_file()) for _run in range(2)] == [2, 2]

    def test_hit_line_written_in_two_halves(self, host: Host) -> None:
        host.write(ORPHAN)
        whole = host.log.read_bytes()
        for cut in range(len(whole) - 60, len(whole)):
            host.log.write_bytes(whole[:cut])
            host.touch(host.log)
            assert hits(host.check_file()) in (0, 1)
            host.log.write_bytes(whole)
            host.touch(host.log)
            assert [hits(host.check_file()) for _run in range(2)] == [1, 1]

    def test_burst_around_a_check_within_one_second_then_silence(self, host: Host) -> None:
        host.write(*[ORPHAN] * 3)
        assert hits(host.check_file()) == 3
        host.write(*[ORPHAN] * 4)
        assert hits(host.check_file()) == 7
        host.sleep(600)
        assert hits(host.check_file()) == 7

    def test_quiet_run_after_a_hit(self, host: Host) -> None:
        host.write(ORPHAN)
        codes = []
        for _run in range(14):
            codes.append(host.check_file().code)
            host.sleep(300)
        assert codes == [1] * 13 + [0]

    @pytest.mark.parametrize(
        "garbage", [b"", b"{", b"\0" * 100, b"[]", b'{"format": 1, "logs": [1], "counters": {"x": 3}}', b"[" * 100000]
    )
    def test_state_corrupted_then_a_hit(self, host: Host, garbage: bytes) -> None:
        assert host.check_file().code == 0
        (host.state / "state.json").write_bytes(garbage)
        host.write(ORPHAN)
        assert [hits(host.check_file()) for _run in range(2)] == [1, 1]

    def test_invalid_utf_8_before_a_hit(self, host: Host) -> None:
        with open(host.log, "ab") as file:
            file.write(b"Nov 22 15:59:00 web1 x: \xff\xfe\xc3 \x80\n")
        host.write(ORPHAN)
        assert [hits(host.check_file()) for _run in range(2)] == [1, 1]

    def test_log_file_gone(self, host: Host) -> None:
        host.write(ORPHAN)
        assert host.check_file().code == 1
        host.log.unlink()
        for _run in range(2):
            output = host.check_file()
            assert output.code == 3
            assert "cannot see the kernel log: cannot open " in output.text

    def test_rotated_away(self, host: Host) -> None:
        """Beyond the table: seen once, then the file is deleted with all its siblings."""
        host.write(*[ORPHAN] * 3)
        host.check_file()
        host.log.write_bytes(b"")
        host.sleep(1)
        host.write("eth0: up")
        assert [hits(host.check_file()) for _run in range(2)] == [3, 3]

    def test_every_stage_of_a_rotation(self, host: Host) -> None:
        host.write(*[ORPHAN] * 2)
        first, second = pathlib.Path(f"{host.log}.1"), pathlib.Path(f"{host.log}.2.gz")
        assert hits(host.check_file()) == 2
        host.log.rename(first)
        assert hits(host.check_file()) == hits(host.check_file(state=False)) == 2
        host.sleep(10)
        host.write(ORPHAN)
        assert hits(host.check_file()) == 3
        middle = pathlib.Path(f"{host.log}.2")
        first.rename(middle)
        host.log.rename(first)
        host.sleep(10)
        host.write(MEMORY)
        packed = gzip.compress(middle.read_bytes())
        for length in (0, 10, len(packed) - 1, len(packed)):
            second.write_bytes(packed[:length])
            host.touch(second)
            assert hits(host.check_file()) == hits(host.check_file(state=False)) == 4
        middle.unlink()
        assert hits(host.check_file()) == hits(host.check_file(state=False)) == 4


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
        assert "; the kernel reset 283 sockets for lack of memory since 16:00, the log shows 10. Next: " in output.text

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
        assert "the kernel reset 4 sockets for lack of memory since 2026-11-22 16:00, the log shows 3" in output.text

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
        assert "the counter is not compared with this log, which may be that of another host" in output.lines


class TestCounterAlone:
    """No log can be read, and none was named."""

    @pytest.fixture(autouse=True)
    def blind(self, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
        from tcp_headroom import journal, log_file

        host.readable = False
        monkeypatch.setattr(journal, "PROGRAMS", ())
        monkeypatch.setattr(log_file, "DEFAULTS", (str(host.folder / "none"),))

    def test_zero_is_complete(self, host: Host) -> None:
        assert host.check() == (
            0,
            "TCP KERNEL LOG OK - no socket was reset for lack of memory in the last 1h, judged by the counter of this network "
            "namespace; the kernel log is not readable: cannot open /dev/kmsg: Operation not permitted; ask for a group | "
            "aborts_on_memory=0c coverage=100%;;;0;100\n",
        )

    def test_a_boot_inside_the_window_is_complete(self, host: Host) -> None:
        host.reboot()
        host.sleep(600)
        host.count(7)
        output = host.check()
        assert output.code == 1
        assert "the kernel reset 7 sockets for lack of memory since 16:00, judged by the counter" in output.text

    def test_otherwise_it_must_be_watched(self, host: Host) -> None:
        host.count(7)
        codes = []
        for _run in range(8):
            output = host.check()
            codes.append(output.code)
            host.sleep(300)
        assert codes == [3, 3, 3, 3, 3, 3, 0, 0]
        assert output.perfdata["coverage"] == "58.3333%;;;0;100"
        assert "watched for 58.3 % of that time; the kernel log is not readable" in output.text
        host.count(9)
        output = host.check()
        assert output.code == 1
        assert "the kernel reset 2 sockets for lack of memory since 16:35, judged by the counter" in output.text

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
        assert "earlier runs saw 1 message about socket memory" in output.text
        host.sleep(3601)
        assert host.check().code == 0

    def test_a_source_that_was_named_is_needed(self, host: Host) -> None:
        for source in ("kmsg", "journal", "file"):
            output = host.check("--source", source)
            assert (output.code, output.perfdata) == (3, {"aborts_on_memory": "0c"})
            assert "TCP KERNEL LOG UNKNOWN - cannot see the kernel log: " in output.text

    def test_without_a_counter(self, host: Host) -> None:
        (host.procfs / "net/netstat").unlink()
        output = host.check("-v")
        assert output.code == 3
        assert "cannot see the kernel log: cannot open /dev/kmsg" in output.text
        assert any(line.startswith("left out, aborts_on_memory: ") for line in output.lines)


@pytest.mark.parametrize(
    "number, restricted, remedy",
    [
        (
            1,
            1,
            "dmesg_restrict keeps it from this user; add the user to group systemd-journal, or adm for files in /var/log",
        ),
        (
            13,
            1,
            "dmesg_restrict keeps it from this user; add the user to group systemd-journal, or adm for files in /var/log",
        ),
        (
            1,
            0,
            "dmesg_restrict is 0, so a sandbox forbids it: ProtectKernelLogs in the systemd unit, a container, or printk_devkmsg=off",
        ),
        (2, 1, "a sandbox hides it: PrivateDevices in the systemd unit, or a container; run the check on the host"),
        (5, 1, "use --source journal or --source file"),
    ],
)
def test_remedies(monkeypatch: pytest.MonkeyPatch, number: int, restricted: int, remedy: str) -> None:
    monkeypatch.setattr(kmsg, "_restricted", lambda: restricted)
    assert kmsg.remedy(number) == remedy


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


def test_the_time_out_ends_journalctl(tmp_path: pathlib.Path) -> None:
    """A journalctl that never ends, in the place of the real one."""
    fake = tmp_path / "journalctl"
    fake.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 1000\n")
    fake.chmod(0o755)
    code = (
        f"from tcp_headroom import journal; journal.PROGRAMS = ({str(fake)!r},)\n"
        "from tcp_headroom.check_tcp_kernel_log import main; main(['--source', 'journal', '-t', '1', '--no-state'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout.startswith(
        "TCP KERNEL LOG UNKNOWN - gave up after 1s while reading the kernel log; allow more time with -t"
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
        assert not set(text(output)) & set("`~$&|'\"<>")
