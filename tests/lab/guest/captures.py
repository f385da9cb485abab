"""Copies of what the checks read, for the fixture trees."""

from __future__ import annotations

from . import kernel
from .checks import report

FILES = (
    "cmdline",
    "meminfo",
    "net/netstat",
    "net/protocols",
    "net/sockstat",
    "sys/kernel/osrelease",
    "sys/net/core/mem_pcpu_rsv",
    "sys/net/ipv4/tcp_ehash_entries",
    "sys/net/ipv4/tcp_max_orphans",
    "sys/net/ipv4/tcp_mem",
)
"""Those that this kernel has."""


def capture(state: str, log: bool = False) -> None:
    """Send the files of this moment as ``state``; with ``log`` the kernel's records of the network too."""
    files = {name: (kernel.PROC / name).read_text() for name in FILES if (kernel.PROC / name).exists()}
    if log:
        texts = (kernel.ORPHANS, kernel.MEMORY, "net_ratelimit: ")
        files["kmsg"] = "".join(record for record in kernel.ring() if record.partition(";")[2].startswith(texts))
    report(capture=state, files=files)
