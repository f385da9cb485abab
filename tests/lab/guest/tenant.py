"""A tenant of a node: holds socket memory in a cgroup and a network namespace of its own, and keeps it until its input ends.

    python3 tenant.py [--cgroup DIR] [--own-network] [--tcp N] [--unaccepted N] [--udp N] [--closed N] [--send KIB]

Prints ``ready`` once it holds what it should. Each socket has KIB unread.

--cgroup DIR    move there first
--own-network   make a network namespace, and bring its loopback up
--tcp N         connections, accepted and not read
--unaccepted N  connections that nobody accepts
--udp N         sockets with datagrams that nobody reads
--closed N      accepted connections that the peer resets, their descriptors kept
--flood         instead, send on all connections, and read slowly, until the input ends
--fight FILE    instead, touch every page of FILE over and over, until the input ends
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import fcntl
import mmap
import os
import select
import socket
import struct
import sys
import time

SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
CLONE_NEWNET = 0x40000000
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of a socket whose close resets the connection."""


def own_network() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    bring_up_loopback()


def bring_up_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        flags = struct.unpack("16sh", fcntl.ioctl(control, SIOCGIFFLAGS, struct.pack("16sh", b"lo", 0)))[1]
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh", b"lo", flags | IFF_UP))


def connections(number: int, accepting: bool = True) -> tuple[list[socket.socket], list[socket.socket]]:
    """Clients, and with ``accepting`` their other ends, else the listener."""
    server = socket.create_server(("127.0.0.1", 0), backlog=4096)
    clients, others = [], []
    for _ in range(number):
        clients.append(socket.create_connection(server.getsockname()))
        if accepting:
            others.append(server.accept()[0])
    return clients, others if accepting else [server]


def datagrams(number: int, size: int) -> list[socket.socket]:
    sockets = []
    for _ in range(number):
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        receiver.bind(("127.0.0.1", 0))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for _part in range(size // 1024):
                sender.sendto(bytes(1024), receiver.getsockname())
        sockets.append(receiver)
    return sockets


def flood(clients: list[socket.socket], servers: list[socket.socket]) -> None:
    """Keep every queue full, and each window moving."""
    for one in clients + servers:
        one.setblocking(False)
    data = bytes(65536)
    while not select.select([sys.stdin], [], [], 0)[0]:
        for client in clients:
            with contextlib.suppress(OSError):
                client.send(data)
        for server in servers:
            with contextlib.suppress(OSError):
                server.recv(512)
        time.sleep(0.01)


def fight(path: str) -> None:
    """Use more mapped pages than fit: the kernel finds each one used that it would take away."""
    with open(path, "rb") as file:
        size = os.lseek(file.fileno(), 0, os.SEEK_END)
        with mmap.mmap(file.fileno(), size, prot=mmap.PROT_READ) as pages:
            while not select.select([sys.stdin], [], [], 0)[0]:
                for _turn in range(20):
                    for at in range(0, size, 4096):
                        pages[at]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cgroup")
    parser.add_argument("--own-network", action="store_true")
    for kind in ("--tcp", "--unaccepted", "--udp", "--closed"):
        parser.add_argument(kind, type=int, default=0)
    parser.add_argument("--send", type=int, default=64)
    parser.add_argument("--flood", action="store_true")
    parser.add_argument("--fight")
    options = parser.parse_args()
    if options.cgroup:
        with open(os.path.join(options.cgroup, "cgroup.procs"), "w", encoding="ascii") as procs:
            procs.write(str(os.getpid()))
    if options.flood or options.fight:
        # The kernel shall refuse memory, and not end the process.
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as adjustment:
            adjustment.write("-1000")
    if options.own_network:
        own_network()
    if options.fight:
        print("ready", flush=True)
        fight(options.fight)
        return
    data = bytes(options.send << 10)
    kept: list[object] = []
    for number, accepting in ((options.tcp, True), (options.unaccepted, False)):
        clients, others = connections(number, accepting)
        kept += [clients, others]
        if options.flood:
            print("ready", flush=True)
            flood(clients, others)
            return
        for client in clients:
            client.sendall(data)
    clients, others = connections(options.closed)
    for client in clients:
        client.sendall(data)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        client.close()
    kept += [others, datagrams(options.udp, options.send << 10)]
    print("ready", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
