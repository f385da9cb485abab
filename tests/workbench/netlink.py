"""A kernel that answers a sock_diag dump with what a test wants; no socket of the system is made."""

from __future__ import annotations

import _socket
import errno
import os
import socket
import struct
from collections.abc import Iterable, Iterator

import pytest


def header(length: int, kind: int, flags: int = 2, sequence: int = 1) -> bytes:
    return struct.pack("=IHHII", length, kind, flags, sequence, 0)


def done(code: int = 0, flags: int = 2) -> bytes:
    return header(20, 3, flags) + struct.pack("=i", code)


def error(code: int) -> bytes:
    """NLMSG_ERROR, which quotes the header of the request."""
    return header(36, 2, 0) + struct.pack("=i", -code) + header(72, 20)


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def message(
    state: int,
    here: int,
    there: int,
    peer: str = "10.1.2.3",
    inode: int = 0,
    timer: int = 1,
    attributes: bytes = b"",
    flags: int = 2,
) -> bytes:
    family = socket.AF_INET6 if ":" in peer else socket.AF_INET
    remote = socket.inet_pton(family, peer).ljust(16, b"\0")
    fixed = struct.pack("!BBBBHH16s16s12x", family, state, timer, 0, here, there, bytes(16), remote)
    rest = struct.pack("=5I", 0, 0, 0, 0, inode) + attributes
    return header(16 + len(fixed) + len(rest), 20, flags) + fixed + rest


def memory(received: int, reserve: int, queued: int) -> bytes:
    """The attribute of a socket's memory, its other numbers as misleading as can be."""
    return attribute(8, b"\3") + attribute(7, struct.pack("=9i", received, 1, 10**9, 2, reserve, queued, 10**9, 3, 4))


def timing(silent: int, backoff: int = 0, timeout: int = 200) -> bytes:
    """The attribute of a socket's timers, times in milliseconds, the rest of it as misleading as can be."""
    flags = b"\xff" * 4 + bytes([backoff]) + b"\xff" * 3
    words = [1000 * timeout, *(0xFFFFFFFF,) * 8, silent, *(0xFFFFFFFF,) * 14]
    return attribute(2, flags + struct.pack(f"={len(words)}I", *words))


class Kernel:
    """In place of ``_socket.socket``; each call is a new socket, with the next of the answers."""

    def __init__(self, *answers: Iterable[bytes], sender: object = (0, 0), says: int = 0) -> None:
        self.answers = list(answers)
        self.sender = sender
        self.says = says
        """The size that a datagram claims to have; 0: the true one."""
        self.asked: list[bytes] = []
        self.open = 0

    def __call__(self, *arguments: object) -> Kernel:
        self.current: Iterator[bytes] = iter(self.answers[min(len(self.asked), len(self.answers) - 1)])
        self.open += 1
        return self

    def close(self) -> None:
        self.open -= 1

    def settimeout(self, seconds: float) -> None:
        assert seconds > 0

    def sendto(self, request: bytes, address: tuple[int, int]) -> None:
        assert address == (0, 0)
        self.asked.append(request)

    def recvfrom_into(self, buffer: memoryview, size: int, flags: int) -> tuple[int, object]:
        assert flags == socket.MSG_TRUNC
        data = next(self.current, None)
        if data is None:
            # Nothing more comes: a wait would end with the time-out.
            raise socket.timeout("timed out")
        buffer[: len(data)] = data
        return self.says or len(data), self.sender


class Refusing(Kernel):
    """Fails with an error number at the creation of a socket."""

    def __init__(self, code: int) -> None:
        super().__init__([])
        self.code = code

    def __call__(self, *arguments: object) -> Kernel:
        raise OSError(self.code, os.strerror(self.code))


class Losing(Kernel):
    """Gives its answers, and then reports that further ones were lost."""

    def recvfrom_into(self, buffer: memoryview, size: int, flags: int) -> tuple[int, object]:
        try:
            return super().recvfrom_into(buffer, size, flags)
        except socket.timeout:
            raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS)) from None


class Silent(_socket.socket):
    """A netlink socket of the real kernel, which is never asked and so never answers."""

    def sendto(self, *arguments: object) -> int:
        return 0


def install(monkeypatch: pytest.MonkeyPatch, kernel: object) -> None:
    monkeypatch.setattr("tcp_headroom.sockets.sock_diag._socket.socket", kernel)
