"""What the checks remember between runs: small private files in one directory for each user.

A file is JSON with a format number. It is written whole beside the old one and
renamed, so a reader finds the one or the other, whatever kills the writer; runs at
the same time take turns by a lock on the directory. Nothing in here can cost a
result: whatever is wrong with directory or file is raised as ``Blind`` or ``OSError``,
and the caller goes on without memory.

Directory and file must belong to the user and be writable by nobody else, and must
not be symbolic links: an agent's state decides what an administrator is told.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import time

from tcp_headroom import wording
from tcp_headroom.blind import Blind

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator
    from typing import Any

SHARED = "/var/lib/tcp-headroom"
"""Used where it exists and belongs to the effective user."""

FILE = "state.json"
"""What the log and the counters leave; a command whose every run needs one number keeps it in a file of its own."""

FORMAT = 1
MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""From a format to the one after it."""

LIMIT = 16 << 20
"""Largest file read, in bytes; what the checks write stays far below."""


def chosen(arguments: argparse.Namespace) -> str | None:
    """The directory these options mean; None: nothing shall be remembered. Raises ``Blind``."""
    if arguments.no_state or (arguments.state_dir is None and arguments.procfs != "/proc"):
        return None
    return directory(arguments.state_dir)


def directory(option: str | None) -> str:
    """Where the state lives: ``option``, else ``SHARED``, else below the user's home.

    The home is that of the password database: a plugin under Icinga 2 runs as
    nagios with HOME=/root. Raises ``Blind`` if the user has none.
    """
    if option is not None:
        return option
    try:
        if os.stat(SHARED).st_uid == os.geteuid():
            return SHARED
    except OSError:
        pass
    import pwd

    try:
        home = pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        raise Blind("this user has no home directory", remedy="give a directory with --state-dir") from None
    return os.path.join(home, ".local", "state", "tcp-headroom")


def loss(reason: Blind | OSError, path: str = "") -> str:
    """The sentence of ``-v`` that says why nothing is remembered."""
    if isinstance(reason, OSError):
        return f"nothing is remembered between runs: {wording.path(path)}, {wording.failure(reason)}"
    return f"nothing is remembered between runs: {reason}"


class State:
    """The remembered values while the lock is held; see ``opened``."""

    def __init__(self, folder: int, file: str, values: dict[str, Any]) -> None:
        self._folder = folder
        self._file = file
        self.values = values

    def save(self, durable: bool) -> None:
        """Write ``values``. ``durable``: wait until the disk has them. Raises ``OSError``."""
        new = self._file + ".new"
        data = json.dumps({"format": FORMAT, **self.values}, separators=(",", ":")).encode()
        try:
            # A killed run's; or a link or a FIFO, which would be written through or waited for.
            os.unlink(new, dir_fd=self._folder)
        except FileNotFoundError:
            pass
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(new, flags, 0o600, dir_fd=self._folder)
        try:
            try:
                os.fchmod(descriptor, 0o600)
                view = memoryview(data)
                while view:
                    view = view[os.write(descriptor, view) :]
                if durable:
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.rename(new, self._file, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        except OSError:
            try:
                os.unlink(new, dir_fd=self._folder)
            except OSError:
                pass
            raise
        if durable:
            os.fsync(self._folder)


def peek(path: str, file: str = FILE) -> dict[str, Any]:
    """The values in ``file`` as they are, without a lock; empty where there are none.

    Raises ``Blind`` or ``OSError`` for a state that must not or cannot be read.
    """
    try:
        folder = _open_folder(path, create=False)
    except FileNotFoundError:
        return {}
    try:
        return _load(folder, file)
    finally:
        os.close(folder)


def opened(path: str, patience: float, file: str = FILE) -> Iterator[State]:
    """A generator of one ``State``, locked until it is closed; makes the directory if need be.

    Waits at most ``patience`` seconds for another run. Raises ``Blind`` or ``OSError``.
    """
    folder = _open_folder(path, create=True)
    try:
        _lock(folder, patience)
        yield State(folder, file, _load(folder, file))
    finally:
        os.close(folder)


def _open_folder(path: str, create: bool) -> int:
    if create:
        # Parents keep the user's umask; the directory itself is private.
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        before = os.umask(0o077)
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            pass
        finally:
            os.umask(before)
    try:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise Blind(f"{wording.path(path)} is a link or a file, not a directory") from None
        raise
    try:
        _refuse_unsafe(os.fstat(folder), wording.path(path))
    except Blind:
        os.close(folder)
        raise
    return folder


def _refuse_unsafe(status: os.stat_result, shown: str) -> None:
    if status.st_uid != os.geteuid():
        raise Blind(f"{shown} belongs to another user")
    if status.st_mode & 0o022:
        raise Blind(f"{shown} can be written by others", remedy="remove that right: chmod go-w")


def _lock(folder: int, patience: float) -> None:
    import fcntl  # not for a run that only reads

    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise Blind("another run has locked the state") from None
            time.sleep(0.02)


def _load(folder: int, file: str) -> dict[str, Any]:
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return {}
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Blind(f"{file} is a symbolic link") from None
        raise
    with os.fdopen(descriptor, "rb") as opened_file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise Blind(f"{file} is not a regular file")
        _refuse_unsafe(status, file)
        data = opened_file.read(LIMIT + 1)
    return _understood(data, file)


def _understood(data: bytes, file: str) -> dict[str, Any]:
    """The values in a state file, brought to the present format.

    A file that makes no sense counts as none, with the key ``damaged``: the next
    save replaces it. Raises ``Blind`` for a newer format, which is left alone.
    """
    try:
        values = json.loads(data) if len(data) <= LIMIT else None
    except (ValueError, RecursionError):
        values = None
    version = values.get("format") if isinstance(values, dict) else None
    if not isinstance(values, dict) or type(version) is not int or not 1 <= version <= 9999:
        return {"damaged": True}
    if version > FORMAT:
        raise Blind(f"{file} was written by a later version of this suite, format {version}, and is not changed")
    while version < FORMAT:
        values = MIGRATIONS[version](values)
        version += 1
    values.pop("format", None)
    values.pop("damaged", None)
    return values
