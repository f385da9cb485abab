"""The rotated forms of a log file: which files are older parts of it, in which order, and which is missing.

That is ``.1``, ``.2.gz`` and dateext names, before the ending of the name with ``extension``, beside the file and in
the usual ``olddir``, as logrotate(8) leaves them, ``.0`` of savelog(8), and for a current file
that itself has a date in its name those of other dates. Whatever else stands
there is none. Parts with neighbouring numbers are continuous, so are those with neighbouring dates.
"""

from __future__ import annotations

import os
import re
import stat
import time

from tcp_headroom import namedtuple
from tcp_headroom.log.block_reader import COMPRESSED

_DATE = r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}"
_HOUR = r"(?:(?:[-_T.]?[0-9]{2}){1,2}(?![0-9]|\.[0-9]))?"
"""What may follow a date in a name that changes by the hour, or the minute; no address does."""

OLD = ("archive", "archives", "old", "old.d", "rotated")
"""Folders beside a log in which its parts are looked for."""


class Part(namedtuple("Part", "path written inode hole due", defaults=[None])):
    """One rotated file."""

    __slots__ = ()
    path: str
    written: float
    """When it was last written, by its own time."""
    inode: int
    hole: bool
    """Whether a part is missing between this one and the newer one before it."""
    due: float | None
    """When the next rotation was to be expected, by the dates of the others; None if they tell nothing."""


def _pattern(name: str) -> re.Pattern[str]:
    endings = "|".join(map(re.escape, COMPRESSED))
    dated = re.search(_DATE + _HOUR, name, re.ASCII)
    stem = re.escape(name)
    if dated:
        # The date moves on; the rest of the name stays.
        stem = f"(?:{stem}|{re.escape(name[: dated.start()])}(?P<day>{_DATE}{_HOUR}){re.escape(name[dated.end() :])})"
    behind = rf"{stem}(?:(?P<mark>[.-])(?P<digits>[0-9][0-9._-]*))?"
    root, ending = os.path.splitext(name)
    # A number behind a dash belongs to the name of another log. A log that is named by an address has no ending.
    ending = "" if ending[1:].isdigit() else ending
    inside = rf"{re.escape(root)}(?:\.(?P<number>[0-9]{{1,3}})|[.-](?P<date>{_DATE}[0-9._-]*)){re.escape(ending)}"
    return re.compile(rf"(?:{behind}{'|' + inside if ending else ''})(?:{endings})?", re.ASCII)


def parts(path: str) -> list[Part]:
    """The older parts of ``path``, newest first: those beside it or in a folder for them, wherever the newest is.

    The others are what another way of rotating has left, or copies.
    """
    folder, name = os.path.split(os.path.realpath(path))
    pattern = _pattern(name)
    places = (_listed(place, pattern, name) for place in (folder, *(os.path.join(folder, other) for other in OLD)))
    return max(places, key=lambda found: max((part.written for part in found), default=0.0))


def _listed(place: str, pattern: re.Pattern[str], name: str) -> list[Part]:
    """Those in one folder."""
    numbered: list[tuple[int, str, os.stat_result]] = []
    dated: list[tuple[str, str, os.stat_result]] = []
    current = re.search(_DATE + _HOUR, name, re.ASCII)
    newest = re.sub("[^0-9]", "", current[0]) if current else ""
    for full, found, status in _regular(place, pattern):
        if os.path.basename(full) == name:
            continue
        names = found.groupdict()
        day, digits = names.get("day"), names["digits"] or names.get("number") or names.get("date")
        if day or not digits or found["mark"] == "-" or len(digits) > 4:
            own = re.sub("[^0-9]", "", day or "")
            if own > newest:
                continue
            if digits or day:
                dated.append((own + re.sub("[^0-9]", "", digits or ""), full, status))
        elif digits.isdigit():
            numbered.append((int(digits), full, status))
    return _ordered(numbered, dated)


def _regular(place: str, pattern: re.Pattern[str]) -> list[tuple[str, re.Match[str], os.stat_result]]:
    try:
        with os.scandir(place) as entries:
            matching = [(entry, match) for entry in entries for match in [pattern.fullmatch(entry.name)] if match]
    except (OSError, ValueError):
        return []
    found = []
    for entry, match in matching:
        try:
            status = entry.stat()
        except OSError:
            # Gone since, or a link to nothing; that is no reason to pass over the others.
            continue
        if stat.S_ISREG(status.st_mode):
            found.append((entry.path, match, status))
    return found


def _ordered(
    numbered: list[tuple[int, str, os.stat_result]], dated: list[tuple[str, str, os.stat_result]]
) -> list[Part]:
    dated.sort(reverse=True)
    days = [_day(key) for key, _path, _status in dated]
    if not all(days):
        # The day or the month comes first, or it is another number.
        dated.sort(key=lambda part: -part[2].st_mtime)
        days = [None for _part in dated]
    steps = [newer - older for newer, older in zip(days, days[1:]) if newer and older and newer > older]
    step = min(steps, default=86400.0)
    made = [
        Part(path, status.st_mtime, status.st_ino, False, day + step if day else None)
        for (_key, path, status), day in zip(dated, days)
    ]
    before: int | None = None
    places: list[Part] = []
    for number, path, status in sorted(numbered):
        # The first is 1, or 0; a part and its unfinished compression have the same number.
        hole = number > 1 if before is None else number > before + 1
        places.append(Part(path, status.st_mtime, status.st_ino, hole and not (before is None and made)))
        before = number
    if not made or not places:
        return places or made
    # From the one way of naming to the other: by their own times.
    return sorted(made + places, key=lambda part: -part.written)


def _day(key: str) -> float | None:
    """The beginning of a day, by the first eight digits of a name; None if they are none."""
    found = re.match("((?:19|20)[0-9]{2})(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])", key)
    return time.mktime((*map(int, found.groups()), 0, 0, 0, 0, 0, -1)) if found else None  # type: ignore[arg-type]


def between(path: str, start: float) -> bool:
    """Whether ``path`` was rotated away since ``start`` and no line has made a new one yet."""
    try:
        found = parts(path)
        return not os.path.lexists(path) and any(part.written >= start for part in found)
    except ValueError:
        return False
