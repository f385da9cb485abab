"""The stamp at the beginning of a line: which moment it means, in seconds since the epoch.

A stamp without a year means the last such moment, one without a zone is local time.
"""

from __future__ import annotations

import calendar
import functools
import re
import time
from collections import namedtuple

_MONTHS = {name: number for number, name in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}

_MONTH = b"|".join(_MONTHS)
_WEEKDAY = rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_CLOCK = rb"[0-2][0-9]:[0-5][0-9]:[0-6][0-9]"
_FRACTION = rb"(?:\.[0-9]{1,9})?"

BSD, ISO, FULL, ASC, BRACKET, COMMA, UNIX, UPTIME = "bsd iso full asc bracket comma unix uptime".split()
"""The kinds of stamps."""

PATTERNS = {
    # syslog(3), RFC 3164; with a fraction journalctl -o short-precise. dmesg -e has no seconds and no place here.
    BSD: rb"(?P<month>" + _MONTH + rb") +(?P<day>[0-9]{1,2}) (?P<clock>" + _CLOCK + rb")" + _FRACTION,
    # dmesg --time-format=iso: a comma and six digits, where other programs that use a comma have three.
    COMMA: rb"(?P<date6>[0-9]{4}-[0-9]{2}-[0-9]{2})T(?P<clock6>"
    + _CLOCK
    + rb"),(?P<fraction6>[0-9]{6})(?P<zone6>[+-][0-9]{2}:[0-9]{2})",
    # RFC 5424, rsyslog's file format, journalctl -o short-iso; svlogd has an underscore.
    ISO: rb"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})[T _](?P<clock3>"
    + _CLOCK
    + rb")(?P<fraction>\.[0-9]{1,9})?(?P<zone>Z|[+-][0-9]{2}:?[0-9]{2})?(?![,0-9])",
    # journalctl -o short-full.
    FULL: _WEEKDAY + rb" (?P<date5>[0-9]{4}-[0-9]{2}-[0-9]{2}) (?P<clock5>" + _CLOCK + rb")" + _FRACTION
    + rb" (?P<zone5>[A-Z]{1,5}|[+-][0-9]{2,4})",
    # dmesg -T.
    BRACKET: rb"\[" + _WEEKDAY + rb" (?P<month4>" + _MONTH + rb") +(?P<day4>[0-9]{1,2}) (?P<clock4>" + _CLOCK
    + rb") (?P<year4>[0-9]{4})\]",
    # ctime(3): logread of OpenWrt, which adds the time since the epoch with -t.
    ASC: _WEEKDAY + rb" (?P<month2>" + _MONTH + rb") +(?P<day2>[0-9]{1,2}) (?P<clock2>" + _CLOCK
    + rb") (?P<year2>[0-9]{4})(?: \[[0-9]{9,11}\.[0-9]{1,9}\])?",
    # journalctl -o short-unix.
    UNIX: rb"(?P<epoch>[0-9]{9,11}\.[0-9]{6})",
    # printk: always six digits; between < and > what dmesg -d and journalctl -o short-delta add.
    UPTIME: rb"\[ *(?P<seconds>[0-9]{1,10}\.[0-9]{6})(?: <[ 0-9.]*>)?\]",
}  # fmt: skip

_DAY = 86400
EPOCH = 86400 * 365.25 * 40
"""A clock that shows an earlier moment, in 2009, was not set: no kernel of then is run without one."""


class Stamp(namedtuple("Stamp", "kind when uptime digits zoned end")):
    """What stands at the beginning of a line."""

    __slots__ = ()
    kind: str
    when: float | None
    """Seconds since the epoch; None for a moment that never was."""
    uptime: float | None
    """Seconds since boot, where that is all the stamp says."""
    digits: str
    """Month, day and time of day as written: the same in every file of one writer."""
    zoned: bool
    """Whether it needs no zone to be understood."""
    end: int


@functools.lru_cache(maxsize=None)
def _compiled() -> re.Pattern[bytes]:
    return re.compile(b"|".join(b"(?P<" + kind.encode() + b">" + text + b")" for kind, text in PATTERNS.items()))


@functools.lru_cache(maxsize=None)
def _glued() -> re.Pattern[bytes]:
    return re.compile(
        rb"[^\s\"'(\[<{=|>](?=(?:<[0-9]{1,3}>(?:1 )?)?(?:(?:"
        + _MONTH
        + rb") [ 0-9][0-9] "
        + _CLOCK
        + rb"|20[0-9]{2}-[01][0-9]-[0-3][0-9][T ]"
        + _CLOCK
        + rb"))"
    )


def inside(line: bytes) -> int:
    """Where the last stamp of a log daemon begins that follows a text with no gap; 0 for none."""
    return max((found.end() for found in _glued().finditer(line)), default=0)


def parse(line: bytes, place: int, now: float, uptime_zero: float) -> Stamp | None:
    """The stamp that begins at ``place``; None if there is none."""
    found = _compiled().match(line, place)
    if not found:
        return None
    kind = found.lastgroup or ""
    # The last group that closes is the outermost, which has the name of its kind.
    uptime = float(found["seconds"]) if kind == UPTIME else None
    try:
        when, digits, zoned = _read(kind, found, now, uptime_zero)
    except (ValueError, OverflowError):
        when, digits, zoned = None, found[0].decode(), True
    return Stamp(kind, when, uptime, digits, zoned, found.end())


def _read(kind: str, found: re.Match[bytes], now: float, uptime_zero: float) -> tuple[float, str, bool]:
    if kind == UPTIME:
        return uptime_zero + float(found["seconds"]), found["seconds"].decode(), True
    if kind == UNIX:
        when = float(found["epoch"])
        return when, time.strftime("%m%d%H%M%S", time.localtime(when)), True
    if kind == BSD:
        month, day, clock = _MONTHS[found["month"]], int(found["day"]), _clock(found["clock"])
        return _without_year(month, day, clock, now), _digits(month, day, clock), False
    if kind in (ASC, BRACKET):
        tail = "2" if kind == ASC else "4"
        month, day, clock = _MONTHS[found["month" + tail]], int(found["day" + tail]), _clock(found["clock" + tail])
        return _local(int(found["year" + tail]), month, day, clock, now), _digits(month, day, clock), False
    tail = {ISO: "", FULL: "5", COMMA: "6"}[kind]
    year, month, day = (int(part) for part in found["date" + tail].split(b"-"))
    clock = _clock(found["clock" + (tail or "3")])
    text = found["fraction" + tail] if kind != FULL else None
    fraction = float(b"0." + text.lstrip(b".")) if text else 0.0
    zone = found["zone" + tail]
    if zone and (kind != FULL or zone in (b"UTC", b"GMT")):
        when = _utc(year, month, day, clock) - _offset(zone)
    else:
        when = _local(year, month, day, clock, now)
    return when + fraction, _digits(month, day, clock), bool(zone)


def _digits(month: int, day: int, clock: tuple[int, int, int]) -> str:
    return "".join(f"{part:02}" for part in (month, day, *clock))


def unset(when: float, now: float) -> bool:
    """Whether a stamp looks like that of a clock that was not set, or of no moment at all.

    Such a clock begins with the epoch or with a January; without a year 31 December
    and 1 January are what is left of both in any time zone. On those days of any year
    every stamp is suspicious, until its neighbours support it or the day is now.
    """
    if when < EPOCH:
        return True
    if now - when < 2 * _DAY:
        return False
    _year, month, day, hour = time.gmtime(when)[:4]
    return (month, day) == (1, 1) and hour < 15 or (month, day) == (12, 31) and hour >= 9


def _clock(text: bytes) -> tuple[int, int, int]:
    hour, minute, second = (int(part) for part in text.split(b":"))
    return hour, minute, second


def _offset(zone: bytes) -> int:
    if zone in (b"Z", b"UTC", b"GMT"):
        return 0
    digits = zone[1:].replace(b":", b"").ljust(4, b"0")
    seconds = int(digits[:2]) * 3600 + int(digits[2:]) * 60
    return -seconds if zone[:1] == b"-" else seconds


def _utc(year: int, month: int, day: int, clock: tuple[int, int, int]) -> float:
    if not (1970 <= year <= 9999 and 1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1]):
        raise ValueError("no such day")
    return calendar.timegm((year, month, day, *clock))


def _local(year: int, month: int, day: int, clock: tuple[int, int, int], now: float) -> float:
    """Local time as seconds since the epoch.

    An hour that the end of daylight saving time repeats has two readings: the
    later is taken unless it lies ahead of ``now``, so a line may be held too
    young by an hour, never too old.
    """
    _utc(year, month, day, clock)
    guess = time.mktime((year, month, day, *clock, 0, 0, -1))
    # Clocks are put back by an hour, on Lord Howe Island by half of one.
    readings = [
        moment
        for moment in (guess + 3600, guess + 1800, guess, guess - 1800, guess - 3600)
        if time.localtime(moment)[:6] == (year, month, day, *clock)
    ]
    # A moment that daylight saving time leaves out has none.
    return next((moment for moment in readings if moment <= now), readings[-1] if readings else guess)


def _without_year(month: int, day: int, clock: tuple[int, int, int], now: float) -> float:
    """The last such moment that is not more than a day ahead of ``now``; 29 February finds its leap year."""
    this_year = time.localtime(now).tm_year
    # Only a day in January can be one of the year to come.
    for year in range(this_year + (month == 1), this_year - 9, -1):
        try:
            moment = _local(year, month, day, clock, now)
        except ValueError:
            continue
        if moment <= now + _DAY:
            return moment
    raise ValueError("no such day in the last nine years")
