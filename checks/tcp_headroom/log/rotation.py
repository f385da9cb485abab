"""The rotated forms of a log file: which files are older parts of it.

That is ``.1``, ``.2.gz`` and dateext names, beside the file and in ``archive/``, as
logrotate(8) leaves them; whatever else stands there is none.
"""

from __future__ import annotations

import os
import re
import stat

from tcp_headroom.log.block_reader import COMPRESSED
from tcp_headroom.log.views import SLACK


def siblings(path: str) -> list[tuple[float, str, int]]:
    """When each rotated form of ``path`` was last written, its name and its inode; newest first."""
    folder, name = os.path.split(os.path.realpath(path))
    endings = "|".join(map(re.escape, COMPRESSED))
    rotated = re.compile(rf"{re.escape(name)}[.-][0-9][0-9._-]*(?:{endings})?", re.ASCII)
    found: list[tuple[float, str, int]] = []
    for place in (folder, os.path.join(folder, "archive")):
        try:
            with os.scandir(place) as entries:
                names = [entry for entry in entries if rotated.fullmatch(entry.name)]
        except OSError:
            continue
        for entry in names:
            try:
                status = entry.stat()
            except OSError:
                # Gone since, or a link to nothing; that is no reason to pass over the others.
                continue
            if stat.S_ISREG(status.st_mode):
                found.append((status.st_mtime, entry.path, status.st_ino))
    return sorted(found, reverse=True)


def between(path: str, start: float) -> bool:
    """Whether ``path`` was rotated away since ``start`` and no line has made a new one yet."""
    try:
        found = siblings(path)
        return not os.path.lexists(path) and bool(found) and found[0][0] >= start - SLACK
    except ValueError:
        return False
