"""Does a log file's writer still live? Signs of life beside the lines of the file itself.

A file for the kernel's lines alone is quiet for days on a healthy host. That its daemon lives is shown by newer lines
of other kinds in a file beside it, or by the daemon having it open, which only root and the daemon's own user can see.
"""

from __future__ import annotations

import os
import re

from tcp_headroom.blind import Blind
from tcp_headroom.log import block_reader, samples

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tcp_headroom.log.samples import Wanted

BESIDE = (
    "syslog", "messages", "auth.log", "secure", "cron", "cron.log", "daemon.log", "user.log", "maillog", "mail.log",
    "debug",
)  # fmt: skip
"""Where the usual daemons put what is not the kernel's."""

DAEMONS = ("rsyslogd", "syslog-ng", "syslogd", "klogd", "metalog", "busybox", "in:imklog")

SERVICES = tuple(f"/sys/fs/cgroup/{place}system.slice" for place in ("", "unified/", "systemd/"))
"""Where systemd keeps the cgroups of services: unified, hybrid and legacy (systemd.io, "Control Group APIs and Delegation")."""

LATE = 120.0
"""A kernel record so many seconds newer than the newest here should stand here too."""
SEVERAL = 3
"""How many different records must be missing: one kind alone may be filtered."""


def word(message: str) -> str:
    """What a kernel record is about: messages that differ in numbers and names only have one word."""
    found = re.match(r"[^A-Za-z]*([A-Za-z_-]+)", message)
    return found[1].lower() if found else ""


def missing(records: list[tuple[float, str]], newest: float | None, now: float) -> set[str]:
    """What the kernel has spoken of elsewhere since ``newest`` and long enough ago, if it is several things."""
    words = {
        word(text)
        for when, text in records
        if when > (newest if newest is not None else 0.0) + LATE and when < now - LATE
    }
    return words if len(words) >= SEVERAL else set()


def beside(path: str, wanted: Wanted, kernel: float | None) -> tuple[float, str] | None:
    """The newest line that a file beside ``path`` has of the same daemon, and that file.

    None if there is none, or if that file has kernel records of several kinds which ``path`` has not.
    """
    folder, name = os.path.split(os.path.realpath(path))
    best: tuple[float, str] | None = None
    for other in BESIDE:
        if other == name:
            continue
        place = os.path.join(folder, other)
        try:
            if os.stat(place).st_mtime < wanted.window.start:
                continue
            with block_reader.opened(place) as file:
                size = os.fstat(file.fileno()).st_size
                data = os.pread(file.fileno(), min(size, 1 << 16), max(0, size - (1 << 16)))
        except (OSError, Blind):
            continue
        near = samples.samples(data, len(data), -1, wanted, 0.0, samples.NEIGHBOURS)
        found = [line for line in near if wanted.accepts(line.host)]
        spoken = [(line.when, line.message) for line in found if line.when is not None and line.message]
        if missing(spoken, kernel, wanted.window.now):
            return None
        newest = max(samples.trusted([line for line in found if line.message is None], wanted), default=None)
        if newest is not None and (best is None or newest > best[0]):
            best = newest, place
    return best


def runs(daemon: str, unit: str) -> bool:
    """Whether a process of that name runs, or ``unit`` of systemd has one, as far as this user can see.

    /proc may hide the processes of others (``hidepid``, ``ProtectProc=``), ``cgroup.procs`` does not.
    """
    return any(name == daemon for _process, name in _processes()) or any(
        _has_process(f"{at}/{unit}") for at in SERVICES
    )


def _has_process(cgroup: str) -> bool:
    try:
        with open(f"{cgroup}/cgroup.procs", "rb") as file:
            return bool(file.read(64).strip())
    except OSError:
        return False


def _processes() -> Iterator[tuple[str, str]]:
    """The processes and their names, those of the boot first."""
    try:
        processes = sorted((entry for entry in os.listdir("/proc") if entry.isdigit()), key=int)
    except OSError:
        return
    for process in processes:
        try:
            with open(f"/proc/{process}/comm", encoding="utf-8", errors="replace") as file:
                yield process, file.read(64).strip()
        except OSError:
            continue


def holds_open(status: os.stat_result) -> bool:
    """Whether a log daemon has the file open, as far as this user can see."""
    for process, name in _processes():
        if name not in DAEMONS:
            continue
        try:
            with os.scandir(f"/proc/{process}/fd") as descriptors:
                for descriptor in descriptors:
                    held = os.stat(descriptor.path)
                    if (held.st_dev, held.st_ino) == (status.st_dev, status.st_ino):
                        return True
        except OSError:
            continue
    return False
