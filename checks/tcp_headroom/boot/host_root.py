"""A file system below a directory, as the machine sees it whose root that is.

Links are followed as after chroot(2): an absolute target starts at the root and
``..`` stops there, so nothing in the tree, which may be a container's, leads out
of it. Every step is taken from the descriptor of the one before (openat(2),
O_NOFOLLOW), so a directory that is swapped for a link meanwhile does not either.
Nothing but a regular file is read; a FIFO or a device is never opened.
"""

from __future__ import annotations

import errno
import itertools
import os
import stat

from tcp_headroom import wording
from tcp_headroom.blind import Blind

FILE = "file"
DIRECTORY = "directory"
NOTHING = "nothing"
"""What a path leads to if it does not exist, or leads to the null device; nothing can be read from it."""
OTHER = "neither a file nor a directory"

LINKS = 40
"""Most links on a way, as in the kernel (MAXSYMLINKS, include/linux/namei.h)."""

ENTRIES = 20000
"""Most entries of a directory that are looked at."""

_STEP = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class Root:
    """The tree below ``path``; a context manager. Raises ``Blind`` if that is no directory one may enter."""

    def __init__(self, path: str) -> None:
        try:
            self._top = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise Blind(f"cannot open the root {wording.path(path)}: {reason(error)}") from None
        except ValueError:
            raise Blind(f"cannot open the root {wording.path(path)}: not a valid path") from None

    def __enter__(self) -> Root:
        return self

    def __exit__(self, *_error: object) -> None:
        os.close(self._top)

    def leads_to(self, path: str) -> str:
        """``path`` without the links in it; what the last of them names need not exist.

        Raises ``OSError`` for a loop, and where the way cannot be gone.
        """
        place, name = self._walk(path)
        if place is not None:
            os.close(place)
        return name

    def kind(self, path: str) -> str:
        """``FILE``, ``DIRECTORY``, ``NOTHING`` or ``OTHER``. Raises ``OSError``."""
        place, _name = self._walk(path)
        if place is None:
            return NOTHING
        try:
            return _kind(place)
        finally:
            os.close(place)

    def read(self, path: str, limit: int) -> bytes:
        """The first ``limit`` bytes of a regular file, none of ``NOTHING``.

        Raises ``OSError``; EISDIR for a directory, EINVAL for what is no file.
        """
        place, _name = self._walk(path)
        if place is None:
            return b""
        try:
            kind = _kind(place)
            if kind == NOTHING:
                return b""
            if kind != FILE:
                code = errno.EISDIR if kind == DIRECTORY else errno.EINVAL
                raise OSError(code, f"it is {'a directory' if kind == DIRECTORY else kind}")
            # The descriptor of the file that was looked at, and none put in its place since.
            with open(f"/proc/self/fd/{place}", "rb", buffering=0) as file:
                chunks = []
                while limit > 0:
                    chunk = file.read(min(limit, 1 << 20))
                    if not chunk:
                        break
                    chunks.append(chunk)
                    limit -= len(chunk)
                return b"".join(chunks)
        finally:
            os.close(place)

    def names(self, path: str) -> list[str]:
        """At most ``ENTRIES`` + 1 names in a directory; none if it does not exist. Raises ``OSError``."""
        place, _name = self._walk(path)
        if place is None:
            return []
        try:
            readable = os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        finally:
            os.close(place)
        try:
            with os.scandir(readable) as entries:
                return [entry.name for entry in itertools.islice(entries, ENTRIES + 1)]
        finally:
            os.close(readable)

    def _walk(self, path: str) -> tuple[int | None, str]:
        """An O_PATH descriptor of what ``path`` leads to, None if it does not exist, and its path without links."""
        trail = [(os.dup(self._top), "")]
        todo = path.split("/")[::-1]
        links = 0
        try:
            while todo:
                name = todo.pop()
                if name in ("", "."):
                    continue
                if name == "..":
                    if len(trail) > 1:
                        os.close(trail.pop()[0])
                    continue
                try:
                    place = os.open(name, _STEP, dir_fd=trail[-1][0])
                except (FileNotFoundError, NotADirectoryError):
                    rest = [name, *(part for part in todo[::-1] if part not in ("", "."))]
                    return None, "/".join([part for _place, part in trail] + rest)
                if not stat.S_ISLNK(os.fstat(place).st_mode):
                    trail.append((place, name))
                    continue
                os.close(place)
                links += 1
                if links > LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                target = os.readlink(name, dir_fd=trail[-1][0])
                if target.startswith("/"):
                    while len(trail) > 1:
                        os.close(trail.pop()[0])
                todo += target.split("/")[::-1]
            return os.dup(trail[-1][0]), "/".join(part for _place, part in trail) or "/"
        except ValueError:
            # A NUL in the path; no file has such a name.
            return None, path
        finally:
            for place, _part in trail:
                os.close(place)


def reason(error: OSError) -> str:
    """Why, in words fit to print."""
    return wording.clean(error.strerror or str(error))


def _kind(place: int) -> str:
    status = os.fstat(place)
    if stat.S_ISREG(status.st_mode):
        return FILE
    if stat.S_ISDIR(status.st_mode):
        return DIRECTORY
    if stat.S_ISCHR(status.st_mode) and status.st_rdev == os.makedev(1, 3):
        return NOTHING
    return OTHER
