"""Copies of what the checks read, for the fixture trees."""

from __future__ import annotations

from . import kernel
from .checks import report

FILES = (
    "net/netstat",
    "net/protocols",
    "net/sockstat",
    "sys/kernel/osrelease",
    "sys/net/ipv4/tcp_max_orphans",
    "sys/net/ipv4/tcp_mem",
)


def capture(state: str, log: bool = False) -> None:
    """Send the files of this moment as ``state``; with ``log`` the kernel's records of the network too."""
    files = {name: (kernel.PROC / name).read_text() for name in FILES}
    if log:
        texts = (kernel.ORPHANS, kernel.MEMORY, "net_ratelimit: ")
        files["kmsg"] = "".join(record for record in kernel.ring() if record.partition(";")[2].startswith(texts))
    report(capture=state, files=files)
