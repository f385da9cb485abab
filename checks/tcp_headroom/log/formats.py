"""One line of a log file: when it was written, by which host, and what the kernel said in it.

``FORMS`` is the table of what is understood: after which stamp stands what, and which system writes it so. A line
is the kernel's if it has one of these forms exactly; text further on never makes it so, and a line in no form at
all says nothing. To add a format, add a row, and its lines to the corpus of the tests.
"""

from __future__ import annotations

import functools
import re
from collections import namedtuple

from tcp_headroom.log import kmsg, stamps
from tcp_headroom.log.stamps import ASC, BRACKET, BSD, COMMA, FULL, ISO, UNIX, UPTIME

LEVELS = {
    b"emerg": 0, b"panic": 0, b"alert": 1, b"crit": 2, b"err": 3, b"error": 3, b"warn": 4, b"warning": 4,
    b"notice": 5, b"info": 6, b"debug": 7,
}  # fmt: skip

# The longest first: warning is no warn with something behind it.
_LEVEL = rb"(?:" + b"|".join(sorted(LEVELS, reverse=True)) + rb")"
_FACILITY = rb"(?:kern|user|mail|daemon|auth|syslog|lpr|news|uucp|cron|authpriv|ftp|ntp|security|console|local[0-7])"
_PRIORITY = rb"(?P<facility>" + _FACILITY + rb")\.(?P<level>" + _LEVEL + rb")"
# What a daemon puts there: a name, an address, with the source or the relay of syslog-ng. A tag ends in a colon.
_HOST = (
    rb"(?P<host>(?!" + _FACILITY + rb"\." + _LEVEL + rb":? )"
    rb"(?:\[[0-9A-Fa-f:.%a-z]{2,60}\]|[0-9A-Fa-f:]{1,40}::|[^\s\[\]:][^\s\[\]]{0,253}(?<!:)|[^\s\[\]:]|::[0-9A-Fa-f:.]{1,40}))"
)
_PRINTK = rb" {0,2}(?:<[0-7]>)?(?:\[ *(?P<printk>[0-9]{1,10}\.[0-9]{1,9})\] ?)?(?:\[ *[TC][0-9]+\] ?)?(?P<message>.*)"
_CALLER = rb"(?: ?\[ *[TC][0-9]+\])?"
_PLAIN = _CALLER + rb"(?: |\Z)(?P<message>.*)"
_TAG = rb"kernel(?:\[[0-9]+\])?(?::(?:[ ]?kern:(?P<level2>" + _LEVEL + rb"):?)?| (?=\[ *[0-9]{1,10}\.[0-9]{6}\]))"
_DATA = rb"(?:-|(?:\[(?:[^\]\\\"]|\\.|\"(?:[^\"\\]|\\.)*\")*\])+)"
_PROGRAM = rb"[^\s:\[\]]{1,60}(?:\[[0-9]{0,10}\])?:"
_SYSLOG = (BSD, ISO, FULL, UNIX)


class Form(namedtuple("Form", "stamps pattern systems")):
    """One form of the kernel's lines."""

    __slots__ = ()
    stamps: tuple[str, ...]
    """The kinds of stamps that it follows."""
    pattern: bytes
    """Regular expression of all that follows."""
    systems: str
    """Who writes it."""


FORMS = (
    Form(
        (ISO,), rb" " + _HOST + rb" kernel [^ ]+ [^ ]+ " + _DATA + rb"(?: |\Z)(?:\xef\xbb\xbf)?" + _PRINTK,
        "RFC 5424: rsyslog RSYSLOG_SyslogProtocol23Format, syslog-ng flags(syslog-protocol), sysklogd 2",
    ),
    Form(
        _SYSLOG, rb" (?:" + _HOST + rb" )?(?:" + _PRIORITY + rb" )?" + _TAG + _PRINTK,
        "rsyslog, syslog-ng, sysklogd, inetutils, busybox syslogd, journalctl -o short and its relatives",
    ),
    Form(
        _SYSLOG, rb" " + _HOST + rb" (?:" + _PRIORITY + rb" )?(?P<message>last message repeated [0-9]{1,9} times?)\s*",
        "sysklogd, rsyslog with RepeatedMsgReduction, busybox syslogd",
    ),
    Form((BSD,), rb" (?:" + _HOST + rb" )?\[kernel\]" + _PRINTK, "metalog"),
    Form((ISO,), rb" " + _PRIORITY + rb": " + _PRINTK, "socklog of Void Linux, through svlogd -tt"),
    Form((ASC,), rb" " + _PRIORITY + rb" " + _TAG + _PRINTK, "logread of OpenWrt"),
    Form((UPTIME,), rb" " + _HOST + rb" kernel: " + _PRINTK, "journalctl -o short-monotonic, -o short-delta"),
    Form((UPTIME,), rb"(?! [^\s\[\]:]+ [^\s\[\]:]+\[[0-9]+\]:)" + _PLAIN, "dmesg, dmesg -d, a serial console"),
    Form((BRACKET,), rb"(?! \[" + _LEVEL + rb"\] )" + _PLAIN, "dmesg -T; not the error log of Apache 2.2"),
    Form((COMMA,), rb"(?! [^\s:]+ kernel: )" + _PLAIN, "dmesg --time-format=iso; not a log daemon's line"),
)  # fmt: skip

OTHERS = (
    Form(_SYSLOG, rb" (?:" + _HOST + rb" )?(?:" + _PRIORITY + rb" )?" + _PROGRAM + rb"(?: |\Z)", "any program, by syslog"),
    Form((ISO,), rb" " + _HOST + rb" [^ ]+ [^ ]+ [^ ]+ " + _DATA + rb"(?: |\Z)", "any program, RFC 5424"),
    Form((BSD,), rb" (?:" + _HOST + rb" )?\[[^\]]+\] ", "any program, metalog"),
    Form((ISO,), rb" " + _PRIORITY + rb": ", "any program, socklog"),
    Form((ASC,), rb" " + _PRIORITY + rb" ", "any program, OpenWrt"),
    Form((UPTIME,), rb" [^\s\[\]:]+ [^\s\[\]:]+\[[0-9]+\]: ", "any program, journalctl -o short-monotonic"),
)  # fmt: skip
"""Forms in which other programs' lines stand beside them."""

_LEAD = rb"[\0 ]*(?:<(?P<pri>[0-9]{1,3})>)?(?:(?P<version>1) )?(?:(?P<facility>[a-z0-9]+) *:(?P<level>[a-z]+) *: )?"
_LIKE_THE_KERNEL = (
    # A text of the family without a tag looks as if TCP were the program; printk's stamp, the head of a record that
    # netconsole sends, and a facility or a device before the tag, as if something else were.
    rb" (?:[^ ]+ )?(?:(?:MP)?TCP: |\[ *[0-9]{1,10}\.[0-9]{6}\]|(?:[^ ,;]+,)?[0-9]{1,3},[0-9]+,[0-9]+,[^;]*;"
    rb"|\[" + _FACILITY + rb"\." + _LEVEL + rb"\] kernel: |[^ ]+: kernel: \[ *[0-9]{1,10}\.)"
)
"""What is no other program's line, though it has the form of one."""
_UNSTAMPED = rb"[\0 ]*kernel(?:\[[0-9]+\])?: ?(?:kern:(?P<level2>" + _LEVEL + rb"):? ?)?" + _PRINTK

_REPEATED = rb"message repeated ([0-9]{1,9}) times: \[ ?(?:<[0-7]>)?(?:\[ *[0-9]{1,10}\.[0-9]{1,9}\] ?)?(.*)"
_LAST_REPEATED = rb"last message repeated ([0-9]{1,9}) times?\b"


# Compiled at the first line that needs it: no log needs all, and one that cannot be opened needs none.
@functools.lru_cache(maxsize=None)
def _compiled(pattern: bytes) -> re.Pattern[bytes]:
    return re.compile(pattern, re.DOTALL)


class Line(namedtuple("Line", "when host level message count repeats uptime other printk digits zoned")):
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
    other: bool
    """Whether the line is another program's; if it is not the kernel's either, its form is not known."""
    printk: str
    """printk's own stamp beside that of the log daemon; empty where there is none."""
    digits: str
    """The stamp, for the key of an event."""
    zoned: bool
    """Whether the stamp needs no zone to be understood."""


NOTHING = Line(None, None, None, None, 1, 0, None, False, "", "", True)
"""A line that says nothing of use."""


# A line is looked at again as the neighbour of every message near it.
@functools.lru_cache(maxsize=512)
def parse(line: bytes, now: float, uptime_zero: float) -> Line:
    """Read one line, of which only the first 4096 bytes matter.

    ``now`` settles the year where a stamp has none; ``uptime_zero`` is when, in
    seconds since the epoch, the uptime in a stamp was 0.
    """
    line = line[:4096]
    record = kmsg.parse(line)
    if record:
        return _record(record, uptime_zero)
    if line[:1] == b"{" or line[:2] == b"\x1e{":
        return _entry(line)
    if line.startswith(b"__REALTIME_TIMESTAMP="):
        # The stamp of an entry of journalctl -o export, whose fields stand on lines of their own.
        return fields({"__REALTIME_TIMESTAMP": line[21:].decode("ascii", "replace").strip()})
    lead = _compiled(_LEAD).match(line)
    assert lead
    stamp = stamps.parse(line, lead.end(), now, uptime_zero)
    if not stamp:
        speaker = _compiled(_UNSTAMPED).match(line)
        return _said(NOTHING, speaker) if speaker else NOTHING
    priority = int(lead["pri"]) if lead["pri"] else None
    level = LEVELS.get(lead["level"] or b"", None if priority is None else priority % 8)
    silent = NOTHING._replace(when=stamp.when, uptime=stamp.uptime, level=level, digits=stamp.digits, zoned=stamp.zoned)
    if (priority or 0) >= 8 or lead["facility"] not in (None, b"kern"):
        return silent._replace(other=True)
    for form in FORMS:
        speaker = _compiled(form.pattern).match(line, stamp.end) if stamp.kind in form.stamps else None
        if speaker:
            said = speaker.groupdict()
            if said.get("facility") not in (None, b"kern"):
                # klogd of busybox before 1.17 has no facility of its own, so nobody knows whose that is.
                return silent._replace(other=(said["facility"], said["level"]) != (b"user", b"info"))
            return _said(silent, speaker)
    found = [form for form in OTHERS if stamp.kind in form.stamps and _compiled(form.pattern).match(line, stamp.end)]
    other = bool(found) and not re.match(_LIKE_THE_KERNEL, line[stamp.end :])
    return silent._replace(other=other, host=_host(line, stamp))


def _host(line: bytes, stamp: stamps.Stamp) -> str | None:
    """The host of another program's line, where it stands behind the stamp."""
    found = _compiled(rb" " + _HOST + rb" ").match(line, stamp.end) if stamp.kind in _SYSLOG else None
    return found["host"].decode("utf-8", "replace") if found else None


def _said(line: Line, speaker: re.Match[bytes]) -> Line:
    """``line`` with what the kernel says in it, one-line repetitions counted."""
    found = speaker.groupdict()
    host, printk, message = found.get("host"), found.get("printk"), found["message"]
    level = LEVELS.get(found.get("level") or found.get("level2") or b"", line.level)
    if b"message repeated " in message:
        repeated = _compiled(_REPEATED).match(message)
        last = _compiled(_LAST_REPEATED).match(message)
        if repeated:
            line = line._replace(count=int(repeated[1]))
            message = repeated[2].rstrip()
            message = message[:-1] if message.endswith(b"]") else message
        elif last:
            line = line._replace(repeats=int(last[1]))
    return line._replace(
        host=host.decode("utf-8", "replace") if host else None,
        level=level,
        printk=printk.decode() if printk else "",
        message=message.decode("utf-8", "replace").rstrip(),
    )


def _record(record: kmsg.Record, uptime_zero: float) -> Line:
    """A record of /dev/kmsg that was stored as it is."""
    seconds = record.usec / 1e6
    text = record.text if record.from_kernel else None
    level = record.priority % 8
    return NOTHING._replace(
        when=uptime_zero + seconds, level=level, message=text, uptime=seconds, other=text is None,
        digits=f"{seconds:.6f}",
    )  # fmt: skip


def _entry(line: bytes) -> Line:
    """An entry of journalctl -o json."""
    import json

    try:
        entry = json.loads(line.lstrip(b"\x1e").decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return NOTHING
    return fields(entry) if isinstance(entry, dict) else NOTHING


def fields(entry: dict[str, object]) -> Line:
    """An entry of the journal, by its fields as text."""
    received, message, level = (entry.get(name) for name in ("__REALTIME_TIMESTAMP", "MESSAGE", "PRIORITY"))
    if not isinstance(received, str) or not re.fullmatch("[0-9]{1,18}", received):
        return NOTHING
    when = int(received) / 1e6
    host = entry.get("_HOSTNAME")
    kernel = entry.get("_TRANSPORT") == "kernel" and entry.get("SYSLOG_IDENTIFIER", "kernel") == "kernel"
    kernel = kernel and entry.get("SYSLOG_FACILITY", "0") == "0" and isinstance(message, str)
    return NOTHING._replace(
        when=when,
        host=host if isinstance(host, str) else None,
        level=int(level) if isinstance(level, str) and re.fullmatch("[0-7]", level) else None,
        message=str(message).rstrip() if kernel else None,
        other=not kernel,
        digits=received,
    )


def name_matches(host: str | None, wanted: str) -> bool:
    """Whether a line's host is the one wanted, case ignored; a name without a domain matches it with any.

    syslog-ng writes the source before the host (``src@host``) and the relays behind it (``host/relay``).
    """
    if host is None:
        return False
    name = host.rpartition("@")[2].partition("/")[0].strip("[]").lower()
    wanted = wanted.strip("[]").lower()
    return name == wanted or ("." not in wanted and ":" not in wanted and name.partition(".")[0] == wanted)
