"""What one of mem is: the bytes that the kernel charges its sockets, as sock_diag lists them, over mem."""

from __future__ import annotations

import math
import socket
import struct
import sys

from . import kernel, sockets
from .checks import expect, report

NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST_DUMP = 4, 20, 0x301
INET_DIAG_SKMEMINFO = 7
DONE = 3
CHARGED = (0, 4, 5)
"""SK_MEMINFO_RMEM_ALLOC, _FWD_ALLOC and _WMEM_QUEUED (linux/sock_diag.h): what ``sk_mem_charge`` was asked for, and what is left."""


def charged() -> int:
    """Bytes charged to the TCP sockets of IPv4 in this network namespace."""
    total = 0
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as link:
        ask = bytes([socket.AF_INET, socket.IPPROTO_TCP, 1 << (INET_DIAG_SKMEMINFO - 1), 0]) + b"\xff" * 4 + bytes(48)
        header = (16 + len(ask)).to_bytes(4, sys.byteorder) + SOCK_DIAG_BY_FAMILY.to_bytes(2, sys.byteorder)
        link.send(header + NLM_F_REQUEST_DUMP.to_bytes(2, sys.byteorder) + bytes(8) + ask)
        while True:
            data = link.recv(1 << 18)
            while data:
                length, kind = struct.unpack_from("IH", data)
                expect(kind in (SOCK_DIAG_BY_FAMILY, DONE), f"sock_diag answers with a message of type {kind}")
                if kind == DONE:
                    return total
                # struct inet_diag_msg has 72 bytes.
                total += sum(_attribute(data[16 + 72 : length]))
                data = data[-(-length // 4) * 4 :]


def _attribute(data: bytes) -> list[int]:
    while data:
        length, kind = struct.unpack_from("HH", data)
        if kind == INET_DIAG_SKMEMINFO:
            numbers = struct.unpack_from("9I", data, 4)
            return [numbers[place] for place in CHARGED]
        data = data[-(-length // 4) * 4 :]
    return []


def measure() -> None:
    """Set ``kernel.unit``; where pages have 4 KiB nothing is to be measured, as both readings are the same.

    In a network namespace of its own, so that the counters of this one stay as they are.
    """
    if kernel.PAGE == 4096 or not kernel.list_sockets():
        return
    with kernel.child_namespace():
        sink = sockets.Sink(receive=0, send=0)
        before = kernel.mem()
        sink.connect(6)
        sink.fill()
        risen, bytes_charged = kernel.mem() - before, charged()
        sink.release()
    kernel.wait(lambda: kernel.mem() <= max(before, (kernel.CPUS << 20) // 4096) and not kernel.orphans(), "the memory")
    kernel.hide_sockets()
    report(charged=bytes_charged, mem=risen)
    # Of mem each CPU may keep a reserve, which nobody is charged.
    kernel.unit = 1 << round(math.log2(bytes_charged / risen))
