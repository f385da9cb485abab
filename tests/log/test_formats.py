"""Formats of a log line, and whose line it is."""

from __future__ import annotations

import calendar
import time
from collections.abc import Iterator

import pytest

from tcp_headroom.log import formats

NOW = calendar.timegm((2026, 11, 22, 16, 0, 0))
"""2026-11-22 16:00 UTC."""
AT = calendar.timegm((2026, 11, 22, 15, 28, 51))
ZERO = float(AT - 3001)
"""An uptime of 3001 s is ``AT``."""
HIT = "TCP: too many orphaned sockets"


@pytest.fixture(autouse=True)
def time_zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """UTC, or the zone a test names."""
    marker = request.node.get_closest_marker("zone")
    monkeypatch.setenv("TZ", marker.args[0] if marker else "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def parse(text: str, now: float = NOW) -> formats.Line:
    return formats.parse(text.encode(), now, ZERO)


@pytest.mark.parametrize(
    "text, host, level, when",
    [
        (f"Nov 22 15:28:51 web1 kernel: [3077014.450011] {HIT}", "web1", None, AT),
        (f"Nov 22 15:28:51 web1 kernel: [  179.636034] {HIT}", "web1", None, AT),
        (f"Nov 22 15:28:51 web1 kernel: {HIT}", "web1", None, AT),
        (f"Nov 22 15:28:51 web1.example.com kernel: {HIT}", "web1.example.com", None, AT),
        (f"Nov 22 15:28:51 fe80::1 kernel: {HIT}", "fe80::1", None, AT),
        (f"Nov  2 15:28:51 web1 kernel: {HIT}", "web1", None, calendar.timegm((2026, 11, 2, 15, 28, 51))),
        (f"Nov 22 15:28:51 web1 kernel: kern:info {HIT}", "web1", 6, AT),
        (f"Nov 22 15:28:51 web1 kernel:kern:warning {HIT}", "web1", 4, AT),
        (f"2026-11-22T15:28:51.411755+00:00 web1 kernel: [ 3001.5] {HIT}", "web1", None, AT + 0.411755),
        (f"2026-11-22T16:28:51.411755+01:00 web1 kernel: {HIT}", "web1", None, AT + 0.411755),
        (f"2026-11-22T15:28:51Z web1 kernel: {HIT}", "web1", None, AT),
        (f"2026-11-22 15:28:51 web1 kernel: {HIT}", "web1", None, AT),
        (f"[ 3001.000000] {HIT}", None, None, AT),
        (f"[ 3001.000000][    T1] {HIT}", None, None, AT),
        (f"<6>[ 3001.000000] {HIT}", None, 6, AT),
        (f"kern  :info  : [ 3001.000000] {HIT}", None, 6, AT),
        (f"kern  :info  : 2026-11-22T15:28:51,000000+00:00 {HIT}", None, 6, AT),
        (f"2026-11-22T15:28:51,500000+00:00 {HIT}", None, None, AT + 0.5),
        (f"[Sun Nov 22 15:28:51 2026] {HIT}", None, None, AT),
        (f"Sun Nov 22 15:28:51 2026 kern.info kernel: [104454.288966] {HIT}", None, 6, AT),
        (f"Nov 22 15:28:51 alpine kern.info kernel: [  12.5] {HIT}", "alpine", 6, AT),
        (f"Nov 22 15:28:51 alpine kern.warn kernel: [  12.5] {HIT}", "alpine", 4, AT),
        (f"<6>1 2026-11-22T15:28:51.5+00:00 web1 kernel - - - [ 12.5] {HIT}", "web1", 6, AT + 0.5),
        (f"1 2026-11-22T15:28:51+00:00 web1 kernel - - [meta x=\"1\"] {HIT}", "web1", None, AT),
        (f"<6>Nov 22 15:28:51 web1 kernel: {HIT}", "web1", 6, AT),
        (f"6,337,3001000000,-;{HIT}\n SUBSYSTEM=net", None, 6, AT),
        (f"6,337,3001000000,-,caller=T1;{HIT}", None, 6, AT),
        (f"6,337,3001000000;{HIT}", None, 6, AT),
        (f" kernel: {HIT}", None, None, None),
        (f"kernel: {HIT}", None, None, None),
        (f"\0\0\0\0Nov 22 15:28:51 web1 kernel: {HIT}", "web1", None, AT),
    ],
)  # fmt: skip
def test_the_kernels_own_lines(text: str, host: str | None, level: int | None, when: float | None) -> None:
    line = parse(text)
    assert (line.message, line.host, line.level, line.count) == (HIT, host, level, 1)
    assert line.when == (None if when is None else pytest.approx(when))


@pytest.mark.parametrize(
    "text",
    [
        f"Nov 22 15:28:51 web1 sshd[11]: Invalid user {HIT} from 192.0.2.1",
        f"Nov 22 15:28:51 web1 sshd[11]: Invalid user kernel: {HIT}",
        f"Nov 22 15:28:51 web1 su: kernel: {HIT}",
        f"Nov 22 15:28:51 web1 sshd[11]: kernel: {HIT}",
        f"Nov 22 15:28:51 web1 kernel2: {HIT}",
        f"Nov 22 15:28:51 web1 user.info kernel: {HIT}",
        f"Sun Nov 22 15:28:51 2026 user.info kernel: {HIT}",
        f"2026-11-22T15:28:51+00:00 web1 logger kernel: {HIT}",
        f"<14>1 2026-11-22T15:28:51+00:00 web1 kernel - - - {HIT}",
        f"<14>[ 3001.0] {HIT}",
        f"user  :info  : [ 3001.0] {HIT}",
        f"14,337,3001000000,-;{HIT}",
        f"Nov 22 15:28:51 web1 CRON[1]: (root) CMD (dmesg | grep '{HIT}')",
        f"a line that says {HIT}",
        HIT,
    ],
)
def test_lines_of_others(text: str) -> None:
    assert parse(text).message is None


@pytest.mark.parametrize("message", ["usb 1-1: Product: TCP: too many orphaned sockets", "eth0: up"])
def test_what_the_kernel_says_is_not_searched(message: str) -> None:
    assert parse(f"Nov 22 15:28:51 web1 kernel: [1.5] {message}").message == message


@pytest.mark.parametrize(
    "text, message, count, repeats",
    [
        (f"Nov 22 15:28:51 web1 kernel: message repeated 5 times: [ [ 3002.1] {HIT}]", HIT, 5, 0),
        (f"Nov 22 15:28:51 web1 kernel: message repeated 2 times: [ {HIT}]", HIT, 2, 0),
        ("Nov 22 15:28:51 web1 last message repeated 3 times", "last message repeated 3 times", 1, 3),
        ("Nov 22 15:28:51 web1 kernel: last message repeated 3 times", "last message repeated 3 times", 1, 3),
        (f"Nov 22 15:28:51 web1 sshd[1]: message repeated 5 times: [ {HIT}]", None, 1, 0),
    ],
)
def test_repetitions(text: str, message: str | None, count: int, repeats: int) -> None:
    line = parse(text)
    assert (line.message, line.count, line.repeats) == (message, count, repeats)


def local(year: int, month: int, day: int, hour: int, minute: int, saving: int = -1) -> float:
    return time.mktime((year, month, day, hour, minute, 0, 0, 0, saving))


@pytest.mark.parametrize(
    "stamp, now, when",
    [
        ("Dec 31 23:59:58", (2027, 1, 1, 0, 10), (2026, 12, 31, 23, 59, 58)),
        ("Jan  1 00:00:01", (2027, 1, 1, 0, 10), (2027, 1, 1, 0, 0, 1)),
        ("Jan  1 00:40:00", (2026, 12, 31, 23, 50), (2027, 1, 1, 0, 40, 0)),  # a clock ahead by an hour
        ("Feb 29 12:00:00", (2028, 2, 29, 12, 30), (2028, 2, 29, 12, 0, 0)),
        ("Feb 29 12:00:00", (2026, 11, 22, 16, 0), (2024, 2, 29, 12, 0, 0)),
        ("Nov 23 15:00:00", (2026, 11, 22, 16, 0), (2026, 11, 23, 15, 0, 0)),  # less than a day ahead
        ("Nov 23 17:00:00", (2026, 11, 22, 16, 0), (2025, 11, 23, 17, 0, 0)),  # more: last year's
    ],
)
def test_years(stamp: str, now: tuple[int, ...], when: tuple[int, ...]) -> None:
    assert parse(f"{stamp} web1 kernel: {HIT}", calendar.timegm((*now, 0))).when == calendar.timegm(when)


@pytest.mark.zone("CET-1CEST,M3.5.0,M10.5.0/3")
@pytest.mark.parametrize(
    "stamp, now, when",
    [
        # 2026-10-25 02:30 happens twice: first with daylight saving time.
        ("Oct 25 02:30:00", (2026, 10, 25, 2, 40, 1), (2026, 10, 25, 2, 30, 1)),
        ("Oct 25 02:30:00", (2026, 10, 25, 2, 10, 0), (2026, 10, 25, 2, 30, 1)),
        ("Oct 25 02:30:00", (2026, 10, 25, 2, 40, 0), (2026, 10, 25, 2, 30, 0)),
        ("Oct 25 02:30:00", (2026, 10, 25, 3, 20, 0), (2026, 10, 25, 2, 30, 0)),
        ("Oct 25 01:30:00", (2026, 10, 25, 3, 20, 0), (2026, 10, 25, 1, 30, 1)),
        # 2026-03-29 02:30 does not happen; some clock says it all the same.
        ("Mar 29 02:30:00", (2026, 3, 29, 3, 40, 1), (2026, 3, 29, 3, 30, 1)),
        ("Jul  1 12:00:00", (2026, 7, 1, 12, 30, 1), (2026, 7, 1, 12, 0, 1)),
    ],
)  # fmt: skip
def test_daylight_saving_time(stamp: str, now: tuple[int, ...], when: tuple[int, ...]) -> None:
    assert parse(f"{stamp} web1 kernel: {HIT}", local(*now)).when == local(*when)


@pytest.mark.parametrize(
    "stamp",
    ["Feb 30 12:00:00", "2026-13-01T00:00:00Z", "2026-02-29T00:00:00Z", "0000-01-01T00:00:00Z", "Foo 22 15:28:51"],
)
def test_moments_that_never_were(stamp: str) -> None:
    assert parse(f"{stamp} web1 kernel: {HIT}").when is None


def test_only_the_beginning_matters() -> None:
    assert formats.parse(f"Nov 22 15:28:51 web1 kernel: {HIT}".encode() + b"x" * 10_000_000, NOW, ZERO).when == AT
