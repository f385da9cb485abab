"""``/proc/PID/mountinfo``: which directory of which file system is the root of a process?

Everybody may read that of every process (``mounts_open_common``, fs/proc_namespace.c), unless /proc hides processes.
A mount namespace of its own, as a unit of systemd has it, keeps the root; a container and a chroot have another.
"""

from __future__ import annotations

from tcp_headroom.proc import reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    Root = tuple[str, str]


LIMIT = 64 << 20
"""Largest file accepted, in bytes: an overlay of a container names all its layers, in a line of kilobytes."""


def read(root: str, process: str) -> Root | None:
    """``parse`` of the file of ``process``, a number or self, below ``root``. Raises ``Blind``."""
    return parse(reading.read(root, f"{process}/mountinfo", LIMIT))


def parse(text: str) -> Root | None:
    """Device and directory of what is mounted at ``/``; None where nothing is, as in a chroot. The last mount covers the others."""
    found = None
    for line in text.splitlines():
        words = line.split(" ", 5)
        if len(words) > 4 and words[4] == "/":
            found = words[2], words[3]
    return found
