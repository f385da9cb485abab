"""Makes real orphaned sockets, says so, keeps them until its standard input ends, and clears them away.

    python3 orphans.py [--own-loopback] [--port PORT]... [--ipv6] [--by-server] [--closed N] [--small]
        COUNT

An orphan needs no rights: one side fills the buffers of another that does not
read, and closes; its socket then waits in FIN_WAIT1 with unsent data. They vanish
at once when the other side closes with data unread, which resets the connection.

--own-loopback  bring up ``lo`` first, in a network namespace of one's own
--port PORT     serve this port, not any; repeated: COUNT orphans of each
--ipv6          connect to ::1
--by-server     the server closes, not the client
--small         with small send buffers, to make thousands
--closed N      beside them N clients of each port that were closed in the ordinary way, in FIN_WAIT2: no orphans
"""

from __future__ import annotations

import argparse
import fcntl
import resource
import socket
import struct
import sys
import time

SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
FIN_WAIT1, FIN_WAIT2 = "04", "05"


def bring_up_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        flags = struct.unpack("16sh", fcntl.ioctl(control, SIOCGIFFLAGS, struct.pack("16sh", b"lo", 0)))[1]
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh", b"lo", flags | IFF_UP))


def abandoned(port: int, state: str) -> int:
    """Sockets of this namespace with ``port`` at one end, in ``state``, that no process holds."""
    rows = []
    for family in ("tcp", "tcp6"):
        with open(f"/proc/self/net/{family}") as table:
            rows += [line.split() for line in table][1:]
    ending = f":{port:04X}"
    return sum(
        (row[1].endswith(ending) or row[2].endswith(ending)) and row[3] == state and row[9] == "0" for row in rows
    )


def wait_for(port: int, count: int, state: str = FIN_WAIT1) -> None:
    deadline = time.monotonic() + 30
    while abandoned(port, state) != count:
        if time.monotonic() > deadline:
            sys.exit(f"{abandoned(port, state)} sockets of port {port} in state {state} instead of {count}")
        time.sleep(0.01)


def fill_and_close(connection: socket.socket) -> None:
    connection.setblocking(False)
    try:
        while True:
            connection.send(b"x" * 65536)
    except BlockingIOError:
        connection.close()


def orphaned(options: argparse.Namespace, port: int) -> tuple[int, list[socket.socket]]:
    """Make those of one port; returns it, and what keeps them."""
    family = socket.AF_INET6 if options.ipv6 else socket.AF_INET
    address = "::1" if options.ipv6 else "127.0.0.1"
    server = socket.socket(family)
    kept = [server]
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    server.bind((address, port))
    server.listen(options.count)
    port = server.getsockname()[1]
    for number in range(options.count + options.closed):
        client = socket.socket(family)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        if options.small:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)
        client.connect((address, port))
        accepted = server.accept()[0]
        if number >= options.count:
            client.close()
            kept.append(accepted)
        elif options.by_server:
            fill_and_close(accepted)
            kept.append(client)
        else:
            fill_and_close(client)
            kept.append(accepted)
    wait_for(port, options.count)
    wait_for(port, options.closed, FIN_WAIT2)
    return port, kept


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--own-loopback", action="store_true")
    parser.add_argument("--port", type=int, action="append")
    parser.add_argument("--ipv6", action="store_true")
    parser.add_argument("--by-server", action="store_true")
    parser.add_argument("--closed", type=int, default=0)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("count", type=int)
    options = parser.parse_args()
    if options.own_loopback:
        bring_up_loopback()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    made = [orphaned(options, port) for port in options.port or [0]]
    print(f"{options.count * len(made)} orphans", flush=True)
    sys.stdin.read()
    for port, kept in made:
        for connection in kept:
            connection.close()
        wait_for(port, 0)
    print("0 orphans", flush=True)


if __name__ == "__main__":
    main()
