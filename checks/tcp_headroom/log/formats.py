"""One line of a log file: when it was written, by which host, and what the kernel said in it.

The formats are those of syslog daemons (RFC 3164 with and without the kernel's
``[secs.usecs]``, ISO 8601, RFC 5424, BusyBox and OpenWrt with ``kern.info``), of
dmesg in its variants, and of /dev/kmsg itself. A line is the kernel's if the tag
in its place is ``kernel`` or the format has no other speaker; text further on
never makes it so.
"""

from __future__ import annotations

import calendar
import functools
import re
import time
from collections import namedtuple

from tcp_headroom.log import kmsg, views

_MONTHS = {name: number for number, name in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}
_LEVELS = {
    b"emerg": 0, b"panic": 0, b"alert": 1, b"crit": 2, b"err": 3, b"error": 3, b"warn": 4, b"warning": 4,
    b"notice": 5, b"info": 6, b"debug": 7,
}  # fmt: skip

_MONTH = b"(?P<month>" + b"|".join(_MONTHS) + b")"
_CLOCK = rb"(?P<clock>[0-2][0-9]:[0-5][0-9]:[0-6][0-9])"
_UPTIME = rb"\[ *(?P<uptime>[0-9]{1,10}\.[0-9]{1,9})\]"

_STAMP = (
    rb"[\0 ]*(?:<(?P<pri>[0-9]{1,3})>)?(?:(?P<version>1) )?"
    rb"(?:(?P<facility>[a-z0-9]+) *:(?P<level>[a-z]+) *: )?"
    rb"(?:"
    rb"(?P<traditional>" + _MONTH + rb" +(?P<day>[0-9]{1,2}) " + _CLOCK + rb"(?:\.[0-9]{1,9})?)"
    rb"|(?P<bracket>\[)?(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) (?P<month2>" + b"|".join(_MONTHS) + rb") +(?P<day2>[0-9]{1,2}) "
    rb"(?P<clock2>[0-2][0-9]:[0-5][0-9]:[0-6][0-9]) (?P<year2>[0-9]{4})\]?"
    rb"|(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})[T ](?P<clock3>[0-2][0-9]:[0-5][0-9]:[0-6][0-9])"
    rb"(?:(?P<comma>[.,])(?P<fraction>[0-9]{1,9}))?(?P<zone>Z|[+-][0-9]{2}:?[0-9]{2})?"
    rb"|" + _UPTIME + rb"(?:\[ *[TC][0-9]+\])?"
    rb")"
)

_HOST = rb"(?![a-z0-9]+\.(?:" + b"|".join(_LEVELS) + rb") )(?P<host>[A-Za-z0-9](?:[A-Za-z0-9_.:-]{0,253}[A-Za-z0-9_])?)"
_TAG = rb"kernel(?:\[[0-9]+\])?: ?(?:kern:(?P<level2>[a-z]+):? ?)?"
_PRINTK = rb"(?:<[0-7]>)?(?:\[ *[0-9]{1,10}\.[0-9]{1,9}\](?:\[ *[TC][0-9]+\])? ?)?"

_SPEAKER = (
    rb" (?:" + _HOST + rb" )?(?:(?P<facility>[a-z0-9]+)\.(?P<level>[a-z]+) )?"
    rb"(?:" + _TAG + _PRINTK + rb"|(?=last message repeated))(?P<message>.*)"
)
_SPEAKER_5424 = (
    rb" " + _HOST + rb" kernel [^ ]+ [^ ]+ (?:-|\[[^\]]*\])(?: |\Z)(?:\xef\xbb\xbf)?" + _PRINTK + rb"(?P<message>.*)"
)
_SPEAKER_UNSTAMPED = rb"[\0 ]*" + _TAG + _PRINTK + rb"(?P<message>.*)"

_REPEATED = rb"message repeated ([0-9]{1,9}) times: \[ ?" + _PRINTK + rb"(.*?)\]?\s*\Z"
_LAST_REPEATED = rb"last message repeated ([0-9]{1,9}) times?\b"

_DAY = 86400


# Compiled at the first line that needs it: no log needs all, and one that cannot be opened needs none.
@functools.cache
def _compiled(pattern: bytes) -> re.Pattern[bytes]:
    return re.compile(pattern, re.DOTALL)


class Line(namedtuple("Line", "when host level message count repeats uptime")):
    """What one line says."""

    __slots__ = ()
    when: float | None
    """Seconds since the epoch; None for a line without a stamp."""
    host: str | None
    level: int | None
    """The kernel's level 0 to 7, where the format stores it."""
    message: str | None
    """What the kernel said, None if the line is not the kernel's."""
    count: int
    """How often it said it."""
    repeats: int
    """How often this line repeats the message of the line before it; 0 for a line of its own."""
    uptime: float | None
    """Seconds since boot, where that is all the stamp says."""


NOTHING = Line(None, None, None, None, 1, 0, None)
"""A line that says nothing of use."""


def parse(line: bytes, now: float, uptime_zero: float) -> Line:
    """Read one line, of which only the first 4096 bytes matter.

    ``now`` settles the year where a stamp has none; ``uptime_zero`` is when, in
    seconds since the epoch, the uptime in a stamp was 0.
    """
    line = line[:4096]
    record = kmsg.parse(line)
    if record:
        text = record.text if record.from_kernel else None
        seconds = record.usec / 1e6
        return NOTHING._replace(when=uptime_zero + seconds, level=record.priority % 8, message=text, uptime=seconds)
    stamp = _compiled(_STAMP).match(line)
    if not stamp:
        speaker = _compiled(_SPEAKER_UNSTAMPED).match(line)
        if speaker:
            return _said(NOTHING, speaker["message"])
        # Without stamp and tag only a message of the family itself is known for the kernel's.
        bare = line.lstrip(b"\0")
        return _said(NOTHING, bare) if views.classify(bare.decode("utf-8", "replace")) else NOTHING
    uptime = float(stamp["uptime"]) if stamp["uptime"] else None
    silent = NOTHING._replace(when=_when(stamp, now, uptime_zero), uptime=uptime)
    rest = line[stamp.end() :]
    if stamp["uptime"] or stamp["bracket"] or stamp["comma"] == b",":
        # dmesg: nothing but the message follows.
        found = {"host": None, "message": rest.removeprefix(b" ")}
    else:
        speaker = (_compiled(_SPEAKER_5424).match(rest) if stamp["date"] else None) or _compiled(_SPEAKER).match(rest)
        if not speaker:
            return silent
        found = speaker.groupdict()
    priority = int(stamp["pri"]) if stamp["pri"] else None
    facility = stamp["facility"] or found.get("facility") or b"kern"
    if facility != b"kern" or (priority or 0) >= 8:
        return silent
    level = _LEVELS.get(stamp["level"] or found.get("level") or found.get("level2") or b"", priority)
    host = found["host"]
    return _said(silent._replace(host=host.decode("ascii") if host else None, level=level), found["message"] or b"")


def _said(line: Line, message: bytes) -> Line:
    """``line`` with the kernel's message in it, one-line repetitions counted."""
    if b"message repeated " in message:
        repeated = _compiled(_REPEATED).match(message)
        last = _compiled(_LAST_REPEATED).match(message)
        if repeated:
            line = line._replace(count=int(repeated[1]))
            message = repeated[2]
        elif last:
            line = line._replace(repeats=int(last[1]))
    return line._replace(message=message.decode("utf-8", "replace").rstrip())


def _when(stamp: re.Match[bytes], now: float, uptime_zero: float) -> float | None:
    try:
        if stamp["uptime"]:
            return uptime_zero + float(stamp["uptime"])
        if stamp["traditional"]:
            return _without_year(_MONTHS[stamp["month"]], int(stamp["day"]), _clock(stamp["clock"]), now)
        if stamp["year2"]:
            return _local(
                int(stamp["year2"]), _MONTHS[stamp["month2"]], int(stamp["day2"]), _clock(stamp["clock2"]), now
            )
        year, month, day = (int(part) for part in stamp["date"].split(b"-"))
        fraction = float(b"0." + stamp["fraction"]) if stamp["fraction"] else 0.0
        clock = _clock(stamp["clock3"])
        if stamp["zone"]:
            return _utc(year, month, day, clock) - _offset(stamp["zone"]) + fraction
        return _local(year, month, day, clock, now) + fraction
    except (ValueError, OverflowError):
        return None


def _clock(text: bytes) -> tuple[int, int, int]:
    hour, minute, second = (int(part) for part in text.split(b":"))
    return hour, minute, second


def _offset(zone: bytes) -> int:
    if zone == b"Z":
        return 0
    digits = zone[1:].replace(b":", b"")
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
