"""The bytes of a log file in blocks of whole lines, from its end on or, if compressed, from its beginning.

The file is untrusted: only regular files are opened (a symbolic link to one is
followed) and read in blocks of bounded size; of a line of megabytes the beginning is
kept. NULs at the beginning of a line, the hole that a writer leaves behind whose file
was truncated, are no part of it, and cost nothing where the file system knows the hole.

Offsets count decompressed bytes, so a line keeps its own through rename, copy and
compression.
"""

from __future__ import annotations

import errno
import os
import stat
import zlib
from collections import namedtuple

from tcp_headroom import wording
from tcp_headroom.blind import Blind
from tcp_headroom.proc.reading import Missing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

BLOCK = 1 << 20
"""Bytes read at a time."""
LEAD = 8192
"""Bytes before a block that are at hand for the line before its first."""
LONGEST = 4096
"""Bytes of a line that matter: stamp, tag and the beginning of the message."""

COMPRESSED = {".gz": "gzip", ".xz": "lzma", ".bz2": "bz2", ".zst": "", ".lz4": ""}
"""Module that reads a compressed part, empty where Python has none."""
PROGRAMS = {".zst": ("/usr/bin/zstd", "/bin/zstd"), ".lz4": ("/usr/bin/lz4", "/bin/lz4")}
"""Program that reads it then."""


class Block(namedtuple("Block", "offset lead data")):
    """Some whole lines of a file."""

    __slots__ = ()
    offset: int
    """Where ``data`` begins in the file, in bytes, decompressed."""
    lead: int
    """How many bytes at the beginning of ``data`` belong to lines before the block."""
    data: bytes


def opened(path: str) -> IO[bytes]:
    """The regular file at ``path``, for reading. Raises ``Blind`` with the remedy for one that cannot be read."""
    shown = wording.path(path)
    try:
        # O_NONBLOCK: open() of a FIFO would wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError:
        remedy = "add this user to the group of the file, often adm"
        raise Blind(f"this user cannot read {shown}", remedy=remedy) from None
    except FileNotFoundError:
        raise Missing(f"cannot open {shown}: No such file or directory") from None
    except OSError as error:
        raise Blind(f"cannot open {shown}: {wording.clean(error.strerror or '')}") from None
    except ValueError:
        raise Blind(f"cannot open {shown}: not a valid path") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Blind(f"{shown} is not a regular file")
    return os.fdopen(descriptor, "rb")


def backward(descriptor: int, size: int) -> Iterator[Block]:
    """The blocks of a file from its end on, each with its lines in order."""
    end = size
    # The beginning of a line longer than a block, which goes with the block that it begins in.
    tail = b""
    while end > 0:
        start = max(0, end - BLOCK)
        lead = min(LEAD, start)
        data = os.pread(descriptor, lead + end - start, start - lead)
        if len(data) < lead + end - start:
            # Truncated under the reader; what is gone stands in a rotated copy, if anywhere.
            tail = b""
        if not start:
            yield Block(0, 0, data + tail)
            return
        cut = data.find(b"\n", lead) + 1
        if data[lead : lead + 1] == b"\0":
            # The hole that a writer leaves behind whose file was truncated: a line begins after it.
            cut = len(data) - len(data[lead:].lstrip(b"\0"))
        if cut and (cut < len(data) or tail):
            yield Block(start - lead + cut, cut, data + tail)
            tail = b""
        if 0 < cut < len(data):
            # The next block ends with the line that this one cuts; joining its pieces would copy both blocks.
            end = start - lead + cut
        else:
            tail = (data[lead:].lstrip(b"\0") + tail)[:LONGEST]
            # Without a tail the block was nothing but NULs, so it may lie in a hole, which is asked only then.
            end = start if tail else _over_hole(descriptor, start)


def _over_hole(descriptor: int, end: int) -> int:
    """From where on to read backwards instead of from ``end``: past the blocks that lie in a hole whole.

    As many blocks are left out as would have been read as NULs, which yields nothing;
    the first of the file never is. lseek(2) looks ahead only, so where the hole begins
    is found by bisection. A file system that knows no holes says that all is data.
    """
    inside, outside = 0, (end - 1) // BLOCK + 1
    while outside - inside > 1:
        middle = (inside + outside) // 2
        try:
            hole = os.lseek(descriptor, end - middle * BLOCK, os.SEEK_DATA) >= end
        except OSError as error:
            # Nothing but a hole up to the end of the file; anything else means that it cannot be told.
            hole = error.errno == errno.ENXIO
        inside, outside = (middle, outside) if hole else (inside, middle)
    return end - inside * BLOCK


def forward(file: IO[bytes], name: str) -> Iterator[Block]:
    """The blocks of a compressed file from its beginning on. Raises ``Blind`` for a damaged one."""
    from importlib import import_module

    shown = wording.path(name)
    ending = os.path.splitext(name)[1]
    module = COMPRESSED[ending]
    if not module:
        yield from _by_program(file, shown, ending)
        return
    try:
        codec = import_module(module)
    except ImportError:
        raise Blind(f"{shown} cannot be read: this Python has no module {module}") from None
    damaged: tuple[type[BaseException], ...] = (
        OSError,
        EOFError,
        ValueError,
        zlib.error,
        getattr(codec, "LZMAError", OSError),
    )
    try:
        with codec.open(file, "rb") as stream:
            yield from _whole_lines(stream)
    except damaged as error:
        raise Blind(f"{shown} cannot be decompressed: {wording.clean(str(error))}") from None


def _by_program(file: IO[bytes], shown: str, ending: str) -> Iterator[Block]:
    """The same through the program that made the file."""
    import subprocess

    program = next((path for path in PROGRAMS[ending] if os.path.exists(path)), None)
    if not program:
        raise Blind(f"{shown} is compressed in a way Python cannot read, and there is no {PROGRAMS[ending][0]}")
    try:
        process = subprocess.Popen(
            [program, "-d", "-c", "-q"], stdin=file, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={}
        )
    except OSError as error:
        raise Blind(f"{shown} is compressed, and {program} cannot be run: {wording.failure(error)}") from None
    assert process.stdout
    try:
        yield from _whole_lines(process.stdout)
        if process.wait():
            raise Blind(f"{shown} cannot be decompressed: {program} says so")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _whole_lines(stream: IO[bytes]) -> Iterator[Block]:
    offset = 0
    lead = rest = b""
    inside = False
    while True:
        data = stream.read(BLOCK)
        text = rest + data
        cut = text.rfind(b"\n") + 1 if data else len(text)
        if not cut:
            # A line of megabytes: its beginning is what matters.
            cut = len(text) if len(text) >= 2 * BLOCK else 0
        if cut:
            # What goes on with such a line is the beginning of none.
            begin = (text.find(b"\n", 0, cut) + 1 or cut) if inside else 0
            if begin < cut:
                yield Block(offset + begin, len(lead), lead + text[begin:cut])
            inside = not text.endswith(b"\n", 0, cut)
            offset += cut
            lead = b"" if inside else text[:cut][-LEAD:]
        rest = text[cut:]
        if not data:
            return
