"""Makes real orphaned sockets, says so, keeps them until its standard input ends, and clears them away.

    python3 orphans.py [--own-loopback] COUNT

An orphan needs no rights: a client fills the buffers of a server that does not
read, and closes; its socket then waits in FIN_WAIT1 with unsent data. They vanish
at once when the server closes with data unread, which resets the connection.
``--own-loopback``: bring up ``lo`` first, in a network namespace of one's own.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import sys
import time

SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
FIN_WAIT1 = "04"


def bring_up_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        flags = struct.unpack("16sh", fcntl.ioctl(control, SIOCGIFFLAGS, struct.pack("16sh", b"lo", 0)))[1]
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh", b"lo", flags | IFF_UP))


def own_orphans(port: int) -> int:
    """Sockets of this namespace in FIN_WAIT1 towards ``port`` that no process holds."""
    with open("/proc/self/net/tcp") as table:
        rows = [line.split() for line in table][1:]
    return sum(row[2].endswith(f":{port:04X}") and row[3] == FIN_WAIT1 and row[9] == "0" for row in rows)


def wait_for(port: int, count: int) -> None:
    deadline = time.monotonic() + 30
    while own_orphans(port) != count:
        if time.monotonic() > deadline:
            sys.exit(f"{own_orphans(port)} orphans instead of {count}")
        time.sleep(0.01)


def main() -> None:
    if sys.argv[1] == "--own-loopback":
        bring_up_loopback()
    count = int(sys.argv[-1])
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        server.bind(("127.0.0.1", 0))
        server.listen(count)
        port = server.getsockname()[1]
        accepted = []
        for _ in range(count):
            client = socket.create_connection(("127.0.0.1", port))
            accepted.append(server.accept()[0])
            client.setblocking(False)
            try:
                while True:
                    client.send(b"x" * 65536)
            except BlockingIOError:
                client.close()
        wait_for(port, count)
        print(f"{count} orphans", flush=True)
        sys.stdin.read()
        for connection in accepted:
            connection.close()
        wait_for(port, 0)
        print("0 orphans", flush=True)


if __name__ == "__main__":
    main()
