"""Connections that provoke: orphans that stay, orphans that nobody answers, sockets that hoard memory."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import select
import socket
import struct
import subprocess
import termios
import threading
from collections.abc import Iterator

from . import kernel

_ports = itertools.count(5000)


class Sink:
    """A server that accepts connections in the kernel and reads nothing, and the clients that fill them."""

    def __init__(
        self, address: str = "127.0.0.1", client: str = "127.0.0.1", receive: int = 4096, send: int = 8192
    ) -> None:
        self.address = address
        self.client = client
        self.send = send
        self.port = next(_ports)
        self.clients: list[socket.socket] = []
        self.listener = socket.socket()
        if receive:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        self.listener.bind((address, self.port))
        self.listener.listen(4096)

    def connect(self, number: int) -> None:
        """Open connections without sending."""
        for _ in range(number):
            client = socket.socket()
            if self.send:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self.send)
            client.bind((self.client, 0))
            client.connect((self.address, self.port))
            client.setblocking(False)
            self.clients.append(client)

    def fill(self) -> None:
        """Send on every connection until its buffers are full."""
        for client in self.clients:
            with contextlib.suppress(BlockingIOError):
                while client.send(bytes(65536)):
                    pass

    def close_windows(self) -> None:
        """Send on every connection just what its window takes, so that it is closed and nothing waits."""
        for client in self.clients:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while window := _window(client):
                client.send(bytes(window))
                kernel.wait(lambda: not _queued(client), "what was sent to be acknowledged")

    def orphan(self, number: int) -> None:
        """Open, fill and close connections: so many orphans more, that live for minutes."""
        self.connect(number)
        self.fill()
        self.close()

    def close(self) -> None:
        """Close the clients; what they had sent makes them orphans."""
        for client in self.clients:
            client.close()
        self.clients.clear()

    def release(self) -> None:
        """End it all: the kernel resets what nobody accepted, and both sides are gone."""
        self.close()
        self.listener.close()


def _window(client: socket.socket) -> int:
    """The window that the peer has advertised, tcpi_snd_wnd (linux/tcp.h)."""
    return int(struct.unpack_from("=I", client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256), 228)[0])


def _queued(client: socket.socket) -> int:
    """Bytes not acknowledged yet, SIOCOUTQ."""
    return int(struct.unpack("i", fcntl.ioctl(client, termios.TIOCOUTQ, bytes(4)))[0])


@contextlib.contextmanager
def orphans(number: int) -> Iterator[Sink]:
    """Within it, ``number`` more orphans, against a closed window; after it, they are gone."""
    before = kernel.orphans()
    sink = Sink()
    try:
        sink.orphan(number)
        yield sink
    finally:
        sink.release()
        kernel.wait(lambda: kernel.orphans() <= before, "the orphans to be gone", 300)


class Remote:
    """A host with a server that reads nothing, and connections to it; from one moment on it is gone, behind a router."""

    def __init__(self, number: int, receive: int = 0, send: int = 0) -> None:
        self.here, self.there = "10.1.0.1", "10.1.0.2"
        for address in (self.here, self.there):
            _ip("address", "add", f"{address}/32")
        self.sink = Sink(self.there, self.here, receive, send)
        self.sink.connect(number)
        self.router: Router | None = None

    def send(self, size: int) -> None:
        """Send so many bytes on every connection."""
        for client in self.sink.clients:
            client.send(bytes(size))

    def vanish(self) -> Router:
        """No longer local, the address is routed to where its packets are dropped; the router answers once told to."""
        _ip("address", "del", f"{self.there}/32")
        _ip("route", "add", f"{self.there}/32")
        self.router = Router(self.here, self.there)
        return self.router

    def release(self) -> None:
        """It is back, and everything ends; then both addresses go."""
        if self.router:
            self.router.stop()
            _ip("route", "del", f"{self.there}/32")
            _ip("address", "add", f"{self.there}/32")
        self.sink.release()
        kernel.wait(lambda: kernel.orphans() == 0, "all orphans to be gone", 600)
        for address in (self.here, self.there):
            _ip("address", "del", f"{address}/32")


def _ip(noun: str, verb: str, what: str) -> None:
    subprocess.run(["ip", noun, verb, what, "dev", "lo"], check=True)


@contextlib.contextmanager
def remote(number: int) -> Iterator[Remote]:
    """Within it, a ``Remote`` with ``number`` connections."""
    host = Remote(number)
    try:
        yield host
    finally:
        host.release()


class Router:
    """Answers packets for a silent host, once told to, with ICMP "communication administratively prohibited"."""

    def __init__(self, here: str, there: str) -> None:
        self.here = here
        self.there = socket.inet_aton(there)
        self.answers = 0
        self.stopped = threading.Event()
        ethertype_ip = 0x0800
        self.ear = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ethertype_ip))
        self.ear.bind(("lo", ethertype_ip))
        self.mouth = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        self.thread = threading.Thread(target=self._serve)

    def answer(self) -> None:
        """Begin to answer."""
        self.thread.start()

    def stop(self) -> None:
        self.stopped.set()
        if self.thread.is_alive():
            self.thread.join()
        self.ear.close()
        self.mouth.close()

    def _serve(self) -> None:
        while not self.stopped.is_set():
            if not select.select([self.ear], [], [], 0.5)[0]:
                continue
            packet = self.ear.recv(65535)
            if packet[9] == socket.IPPROTO_TCP and packet[16:20] == self.there:
                # Type 3, code 13, then the IP header and the first 8 bytes of TCP: ports and sequence number.
                quoted = packet[: (packet[0] & 15) * 4 + 8]
                blank = struct.pack("!BBHI", 3, 13, 0, 0)
                message = struct.pack("!BBHI", 3, 13, _checksum(blank + quoted), 0) + quoted
                self.mouth.sendto(message, (self.here, 0))
                self.answers += 1


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF
