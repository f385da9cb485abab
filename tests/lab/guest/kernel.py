"""The kernel's own numbers, read without any help of the package under test, and its knobs."""

from __future__ import annotations

import os
import pathlib
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PROC = pathlib.Path("/proc")

PAGE = os.sysconf("SC_PAGE_SIZE")
CPUS = os.cpu_count() or 1

MODULES = sorted(map(str, pathlib.Path("/lab/modules").glob("*_diag.ko")))
"""What the kernel needs to list its TCP sockets; none if it came without."""

ORPHANS = "TCP: too many orphaned sockets"
MEMORY = "TCP: out of memory -- consider tuning tcp_mem"


def sockstat(key: str) -> int:
    """A number of the TCP line of sockstat."""
    (line,) = [line for line in (PROC / "net/sockstat").read_text().splitlines() if line.startswith("TCP:")]
    words = line.split()
    return int(words[words.index(key) + 1])


def orphans() -> int:
    return sockstat("orphan")


unit = PAGE
"""Bytes that one of ``mem`` stands for: measured where that is not sure, see ``unit.measure``."""


def mem() -> int:
    """What sockstat says that all TCP sockets hold."""
    return sockstat("mem")


def held() -> int:
    """Bytes held by all TCP sockets."""
    return mem() * unit


def pages() -> int:
    """Pages held by all TCP sockets, as the levels of tcp_mem."""
    return -(-held() // PAGE)


def pressure() -> bool:
    """The flag of the pressure phase."""
    (line,) = [line for line in (PROC / "net/protocols").read_text().splitlines() if line.startswith("TCP ")]
    return line.split()[4] == "yes"


def counter(name: str, process: str = "self") -> int:
    """A counter of TcpExt, in the network namespace of ``process``; 0 where this kernel lacks it."""
    lines = (PROC / process / "net/netstat").read_text().splitlines()
    names, values = (line.split() for line in lines if line.startswith("TcpExt:"))
    return int(dict(zip(names[1:], values[1:])).get(name, 0))


def aborts(process: str = "self") -> int:
    """Orphans reset for want of memory, since the namespace began."""
    return counter("TCPAbortOnMemory", process)


def retransmissions() -> int:
    """Segments sent again, those of a FIN included."""
    names, values = (line.split() for line in (PROC / "net/snmp").read_text().splitlines() if line.startswith("Tcp:"))
    return int(values[names.index("RetransSegs")])


def list_sockets() -> bool:
    """Load what this kernel needs to list its TCP sockets; whether it can."""
    for module in MODULES:
        subprocess.run(["insmod", module], check=True)
    return bool(MODULES) or " tcp_diag_dump\n" in (PROC / "kallsyms").read_text()


def hide_sockets() -> None:
    """Take that away again."""
    for module in reversed(MODULES):
        subprocess.run(["rmmod", pathlib.Path(module).stem.partition("-")[2]], check=True)


def sysctl(name: str) -> str:
    return (PROC / "sys" / name).read_text().strip()


def set_sysctl(name: str, value: object) -> None:
    (PROC / "sys" / name).write_text(f"{value}\n")


def limit(value: int) -> None:
    """Set tcp_max_orphans."""
    set_sysctl("net/ipv4/tcp_max_orphans", value)


def levels(low: int, pressure: int, high: int) -> None:
    """Set tcp_mem."""
    set_sysctl("net/ipv4/tcp_mem", f"{low} {pressure} {high}")


def ring() -> list[str]:
    """All records of the kernel's log, as /dev/kmsg hands them out."""
    records = []
    descriptor = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    try:
        while True:
            try:
                records.append(os.read(descriptor, 8192).decode("utf-8", "replace"))
            except BlockingIOError:
                return records
            except BrokenPipeError:
                continue
    finally:
        os.close(descriptor)


def stamps(*texts: str) -> list[float]:
    """When the kernel itself logged lines that begin with one of ``texts``, by default those of the family.

    In seconds since boot, from what the ring still holds.
    """
    found = []
    for record in ring():
        head, _semicolon, message = record.partition(";")
        priority, _number, microseconds = head.split(",")[:3]
        if int(priority) < 8 and message.startswith(texts or (ORPHANS, MEMORY)):
            found.append(int(microseconds) / 1e6)
    return found


def lines(*texts: str) -> int:
    """How many lines the kernel itself logged that begin with one of ``texts``, by default those of the family."""
    return len(stamps(*texts))


def wait(condition: Callable[[], object], what: str, seconds: float = 60) -> None:
    """Return once ``condition`` holds; ``seconds`` of the guest's time are the most it may take."""
    began = time.monotonic()
    while not condition():
        waited = time.monotonic() - began
        if waited > seconds:
            raise TimeoutError(f"waited {seconds} s in vain for: {what}")
        # The guest's time is cheap, a look is not.
        time.sleep(max(0.05, waited / 20))


@contextmanager
def child_namespace() -> Iterator[None]:
    """Within it, this process is in a network namespace of its own, with its loopback up."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    clone_newnet = 0x40000000
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    if libc.unshare(clone_newnet):
        raise OSError(ctypes.get_errno(), "unshare")
    try:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        yield
    finally:
        if libc.setns(home, clone_newnet):
            raise OSError(ctypes.get_errno(), "setns")
        os.close(home)
