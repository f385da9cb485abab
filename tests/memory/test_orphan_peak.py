"""The peak of orphans between runs: kept by the day, written only when it rises, never at the cost of the result."""

from __future__ import annotations

import fcntl
import json
import os
import pathlib
import time
from collections.abc import Iterator

import pytest

from tcp_headroom.memory import orphan_peak, state
from workbench.command import Output, Run

DAY = 86400.0
NOON = time.mktime((2026, 3, 25, 12, 0, 0, 0, 0, -1))


class Host:
    """A /proc tree with as many orphans as wanted, and a state."""

    def __init__(self, folder: pathlib.Path, run: Run) -> None:
        self.tree = folder / "proc"
        (self.tree / "net").mkdir(parents=True)
        (self.tree / "sys/net/ipv4").mkdir(parents=True)
        (self.tree / "sys/net/ipv4/tcp_max_orphans").write_text("65536\n")
        self.folder = folder / "state"
        self.file = self.folder / "peaks.json"
        self.run = run

    def check(self, orphans: int, *options: str) -> Output:
        (self.tree / "net/sockstat").write_text(f"TCP: inuse 1 orphan {orphans} tw 0 alloc 1 mem 1\n")
        return self.run("check_tcp_orphans", "--procfs", self.tree, "--state-dir", self.folder, *options)

    @property
    def peaks(self) -> dict[str, list[float]]:
        peaks: dict[str, list[float]] = json.loads(self.file.read_text())[orphan_peak.SECTION][str(self.tree)]
        return peaks

    @property
    def counts(self) -> list[float]:
        return [orphans for orphans, _when in self.peaks.values()]


@pytest.fixture
def host(tmp_path: pathlib.Path, run: Run) -> Host:
    return Host(tmp_path, run)


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> object:
    def set_clock(when: float) -> None:
        monkeypatch.setattr(time, "time", lambda: when)

    set_clock(NOON)
    return set_clock


def test_one_peak_a_day(host: Host, at: object) -> None:
    for orphans in (5, 40, 7):
        host.check(orphans)
    assert host.peaks == {"2026-03-25": [40, NOON]}
    at(NOON + DAY)  # type: ignore[operator]
    host.check(3)
    assert host.peaks == {"2026-03-25": [40, NOON], "2026-03-26": [3, NOON + DAY]}
    assert "\nPeak of 14 days: 40 orphans, 24 h ago\n" in host.check(2, "-v").text
    assert "\nPeak of 1 day: 3 orphans, now\n" in host.check(2, "-v", "--peak-days", "1").text


def test_a_quiet_day_is_a_day_that_was_watched(host: Host) -> None:
    host.check(0)
    assert host.counts == [0]


def test_written_only_when_the_peak_rises(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.check(40)
    written = os.stat(host.file)
    monkeypatch.setattr(os, "rename", lambda *_arguments, **_options: pytest.fail("written"))
    for orphans in (40, 39, 0):
        host.check(orphans)
    now = os.stat(host.file)
    assert (now.st_ino, now.st_mtime_ns) == (written.st_ino, written.st_mtime_ns)
    monkeypatch.undo()
    host.check(41)
    assert host.counts == [41]


def test_no_wait_for_the_disk(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: pytest.fail("waited for the disk"))
    host.check(40)
    assert host.counts == [40]


def test_days_past_are_forgotten(host: Host, at: object) -> None:
    for day in range(20):
        at(NOON + day * DAY)  # type: ignore[operator]
        host.check(100 - day, "--peak-days", "3")
    assert list(host.peaks) == ["2026-04-11", "2026-04-12", "2026-04-13"]
    assert host.counts == [83, 82, 81]


@pytest.mark.parametrize("hour, minute", [(0, 5), (12, 0), (23, 55)])
@pytest.mark.parametrize("month, day", [(3, 29), (3, 30), (10, 25), (10, 26)])
def test_days_are_those_of_the_calendar(
    host: Host, at: object, monkeypatch: pytest.MonkeyPatch, month: int, day: int, hour: int, minute: int
) -> None:
    """Around the nights of 2026 in which Berlin has an hour less and one more."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        for back in (2, 1, 0):
            at(time.mktime((2026, month, day - back, hour, minute, 0, 0, 0, -1)))  # type: ignore[operator]
            host.check(100 - back, "--peak-days", "2")
        assert host.counts == [99, 100]
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_clock_that_ran_ahead_leaves_no_peak(host: Host, at: object) -> None:
    at(NOON + 100 * DAY)  # type: ignore[operator]
    host.check(5000)
    at(NOON)  # type: ignore[operator]
    host.check(5)
    assert host.counts == [5]
    assert "\nPeak of 14 days: 5 orphans, now\n" in host.check(5, "-v").text


def test_trees_are_kept_apart(host: Host) -> None:
    host.check(40)
    others = {f"/other/{number}": {"2026-03-25": [1, NOON]} for number in range(orphan_peak.TREES + 3)}
    values = json.loads(host.file.read_text())
    # Seen longer ago than any other, until now.
    values[orphan_peak.SECTION] = {**values[orphan_peak.SECTION], **others}
    values["logs"] = {"kept": [1]}
    host.file.write_text(json.dumps(values))
    host.check(50)
    found = json.loads(host.file.read_text())
    assert found["logs"] == {"kept": [1]}
    assert list(found[orphan_peak.SECTION])[-2:] == ["/other/10", str(host.tree)]
    assert len(found[orphan_peak.SECTION]) == orphan_peak.TREES
    assert host.counts == [50]


@pytest.mark.parametrize(
    "section",
    [
        None, 5, [], "x", {"T": 5}, {"T": []}, {"T": {"D": 5}}, {"T": {"D": []}}, {"T": {"D": ["x", 1]}},
        {"T": {"D": [9000, "nan"]}}, {"T": {"D": [9000, 1e300]}}, {"T": {"D": [9000, -1]}}, {"T": {"D": [-5, 1]}},
        {"T": {"D": [2**31, 1]}}, {"T": {"D": {"0": 1}}}, {"T": {"D": [None, None]}}, {"T": {"x\n|y": [9000, 1]}},
    ],
)  # fmt: skip
def test_a_section_that_makes_no_sense(host: Host, section: object) -> None:
    host.check(0)
    today = time.strftime("%Y-%m-%d")
    text = json.dumps({"format": 1, orphan_peak.SECTION: section})
    host.file.write_text(text.replace('"T"', json.dumps(str(host.tree))).replace('"D"', f'"{today}"'))
    assert "\nPeak of 14 days: 7 orphans, now\n" in host.check(7, "-v").text
    assert host.counts == [7]


class TestWithoutAState:
    """The line is the same, whatever the state suffers."""

    def same(self, host: Host, reason: str) -> None:
        whole = host.check(40, "--no-state")
        assert host.check(40) == whole
        verbose = host.check(40, "-v").lines
        assert verbose[0] == whole.text.partition(" |")[0]
        line = next(line for line in verbose if line.startswith("not shown, the peak: "))
        assert reason in line

    def test_none_wanted(self, host: Host) -> None:
        assert "peak" not in host.check(40, "-v", "--no-state").text
        assert not host.folder.exists()

    def test_another_tree_has_none_by_itself(self, host: Host) -> None:
        host.check(40)
        assert "peak" not in host.run("check_tcp_orphans", "--procfs", host.tree, "-v").text

    def test_forbidden(self, host: Host) -> None:
        host.folder = pathlib.Path("/proc/none/state")
        self.same(host, "nothing is remembered between runs: /proc/none/state, ")

    def test_a_link(self, host: Host, tmp_path: pathlib.Path) -> None:
        host.folder.symlink_to(tmp_path)
        self.same(host, f"{host.folder} is a link or a file, not a directory")

    def test_of_a_later_version(self, host: Host) -> None:
        host.check(0)
        host.file.write_text('{"format": 99}')
        self.same(host, "was written by a later version of this suite, format 99, and is not changed")

    def test_held_by_another_run(self, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
        assert orphan_peak.PATIENCE <= 1, "the check itself gives up after 8 seconds"
        monkeypatch.setattr(orphan_peak, "PATIENCE", 0.05)
        host.check(0)
        folder = os.open(host.folder, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            self.same(host, "another run has locked the state")
        finally:
            os.close(folder)
        host.check(40)
        assert host.counts == [40]

    def test_held_by_another_run_for_longer_than_the_check_has(self, host: Host) -> None:
        """The wait for the lock is a part of --timeout, and never all of it."""
        host.check(0)
        folder = os.open(host.folder, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            output = host.check(40, "-t", "1", "-v")
            assert output.code == 0 and "headroom_1x" in output.perfdata
            assert any(line.endswith("another run has locked the state") for line in output.lines)
        finally:
            os.close(folder)

    def test_damaged_is_written_new(self, host: Host) -> None:
        host.check(0)
        host.file.write_bytes(b"\0" * 100)
        host.check(40)
        assert host.counts == [40]
        assert list(json.loads(host.file.read_text())) == ["format", orphan_peak.SECTION]

    def test_another_run_saw_more_meanwhile(self, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
        """Between the look at the state and the lock on it."""
        opened = state.opened

        def overtaken(path: str, patience: float, file: str) -> Iterator[state.State]:
            monkeypatch.setattr(state, "opened", opened)
            host.check(50)
            yield from opened(path, patience, file)

        host.check(0)
        monkeypatch.setattr(state, "opened", overtaken)
        host.check(40)
        assert host.counts == [50]


def test_the_file_of_the_first_version(host: Host, at: object) -> None:
    """It kept the peaks among the hits of the log: they are read there, and taken along once."""
    host.check(40)
    earlier = host.folder / "state.json"
    earlier.write_text(json.dumps({**json.loads(host.file.read_text()), "logs": {"x": 1}}))
    earlier.chmod(0o600)
    host.file.unlink()
    assert "\nPeak of 14 days: 40 orphans" in host.check(30, "-v").text
    assert not host.file.exists()
    at(NOON + DAY)  # type: ignore[operator]
    host.check(50)
    assert host.counts == [40, 50]
    assert list(json.loads(host.file.read_text())) == ["format", orphan_peak.SECTION]


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "x", "", "3651", "99999", "٣"])
def test_days_that_are_none(run: Run, text: str) -> None:
    output = run("check_tcp_orphans", f"--peak-days={text}")
    assert output.code == 3
    assert "is not a whole number of days from 1 to 3650" in output.text
