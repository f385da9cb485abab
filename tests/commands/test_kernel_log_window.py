"""What check_tcp_kernel_log sees of its window: coverage, what one run leaves for the next, files that move."""

from __future__ import annotations

import gzip
import pathlib

import pytest

from tcp_headroom.log.views import Event, Window
from tcp_headroom.memory import log_history
from tcp_headroom.proc.clock import Clock
from workbench import journals
from workbench.kernel_log_host import BOOT, MEMORY, ORPHAN, Host, hits, host, text


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
        assert text(output).endswith("Read from /dev/kmsg, which shows 75.0 % of that time")

    def test_too_little(self, host: Host) -> None:
        self.wrapped(host, 1799)
        output = host.check_ring(state=False)
        assert output.code == 3
        assert text(output) == (
            "TCP KERNEL LOG UNKNOWN - only 50.0 % of the last 1h seen, 50 % needed. Next: shorten --lookback, or let the check "
            "read a log that goes back further. No message about TCP memory or orphans in the last 1h"
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
        assert "/dev/kmsg: some of the older records are missing" in output.lines

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
        assert output.perfdata["coverage"] == "91.6667%;;;0;100"
        assert "which shows 91.7 % of that time" in output.text
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
        from tcp_headroom.log import journal as module

        original = module.view
        monkeypatch.setattr(
            module, "view", lambda clock, window, *_rest: original(clock, window, [f"--file={journal}"])
        )
        output = host.check()
        assert "Read from the journal" in output.text
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
        from tcp_headroom.memory import state

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
            assert "no kernel log: cannot open " in output.text

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


def test_what_is_older_than_the_window_is_no_view() -> None:
    """Where no log can be read any more, one is made of what is remembered within the window only."""
    clock, window = Clock(1000.0, 500.0, 500.0, "b"), Window(900.0, 1000.0)
    for when, expected in ((899.9, None), (900.0, [900.0])):
        memory = log_history.Memory(0.0, 950.0, 500.0, "b", [Event(when, "orphans", 1, "x")])
        view = log_history.joined(memory, None, clock, window)
        assert (view and [event.when for event in view.events]) == expected
