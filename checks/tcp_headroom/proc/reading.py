"""Reading a file below a /proc root, whatever stands there.

The root is ``/proc`` or a tree that looks like it (a container's view of its
host, a copy, a fixture). Nothing in it is trusted: only regular files are read,
a FIFO or a device is never waited for, and no more than ``LIMIT`` bytes are
taken. Parsing belongs to the module named after the file.
"""

from __future__ import annotations

import os
import stat

from tcp_headroom import wording
from tcp_headroom.blind import Blind

LIMIT = 1 << 20
"""Largest file accepted, in bytes; the real ones have a few thousand."""


class Missing(Blind):
    """The file, or a directory on the way to it, does not exist (ENOENT, ENOTDIR)."""


def read(root: str, name: str, limit: int = LIMIT) -> str:
    """The text of ``name`` below ``root``; bytes that are not UTF-8 become U+FFFD.

    ``limit``: the most bytes it may have. Raises ``Missing`` if it does not exist, ``Blind`` if it cannot be read.
    """
    full = os.path.join(root, name)
    shown = wording.path(full)
    try:
        # O_NONBLOCK: open() of a FIFO would wait for a writer.
        descriptor = os.open(full, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        raise Missing(f"{shown} does not exist") from None
    except OSError as error:
        raise Blind(f"cannot open {shown}: {wording.failure(error)}") from None
    except ValueError:
        raise Blind(f"cannot open {shown}: not a valid path") from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Blind(f"{shown} is not a regular file")
        chunks = []
        room = limit + 1
        while room > 0:
            chunk = os.read(descriptor, min(room, 65536))
            if not chunk:
                break
            chunks.append(chunk)
            room -= len(chunk)
    except OSError as error:
        raise Blind(f"cannot read {shown}: {wording.failure(error)}") from None
    finally:
        os.close(descriptor)
    if room <= 0:
        raise Blind(f"{shown} is longer than {limit} bytes, so it is not the file it should be")
    return b"".join(chunks).decode("utf-8", "replace")


def tree(root: str) -> None:
    """Raises ``Blind`` if ``root`` is no /proc tree, not even one that shows little."""
    # Of one that shows nothing but processes there is still the reader's own.
    if not any(os.path.lexists(os.path.join(root, entry)) for entry in ("sys", "net", "self")):
        raise Blind(f"{wording.path(root)} is not a /proc tree")


def integer(word: str) -> int:
    """A decimal number as the kernel prints it: ASCII digits, perhaps a minus sign.

    Raises ``ValueError`` otherwise, and for more than 20 characters, the longest
    that a 64-bit number has. Stricter than ``int``, which takes ``1_000`` and the
    digits of every script.
    """
    if len(word) > 20 or not wording.digits(word[word.startswith("-") :]):
        raise ValueError(f"not a number: {wording.clean(word, 40)}")
    return int(word)
