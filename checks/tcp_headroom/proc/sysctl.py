"""``/proc/sys``: reading a setting, and saying why one is not there.

``tcp_max_orphans`` and ``tcp_mem`` belong to the initial network namespace
(``ipv4_table``, net/ipv4/sysctl_net_ipv4.c): elsewhere the files do not exist,
while sockstat goes on showing the numbers of the whole machine. The sysctl tree
follows the namespace of the reader (net/sysctl_net.c), so a mounted /proc of the
host does not help. From 3.3 to 3.12 a child namespace has a ``tcp_mem`` that the
kernel does not use; only ``tcp_max_orphans`` tells the two apart in every version.
"""

from __future__ import annotations

import os

from tcp_headroom import wording
from tcp_headroom.blind import Blind
from tcp_headroom.proc import reading

MAX_ORPHANS = "sys/net/ipv4/tcp_max_orphans"
MEM = "sys/net/ipv4/tcp_mem"
RTO_MAX_MS = "sys/net/ipv4/tcp_rto_max_ms"
BYPASS = "net.core.bypass_prot_mem"
ORPHAN_RETRIES = "sys/net/ipv4/tcp_orphan_retries"
LOCAL_PORTS = "sys/net/ipv4/ip_local_port_range"


class Hidden(Blind):
    """A limit that exists, but cannot be seen from here: in a container, or with a part of /proc."""


def read(root: str, name: str, override: str | None) -> str:
    """The text of the limit ``name`` below ``root``.

    Raises ``Hidden`` if it is not there, or if this is a child network namespace,
    where it would mean nothing, and ``Blind`` if it cannot be read; the sentence of
    ``Hidden`` names ``override``, the option that supplies the value instead, if there is one.
    """
    instead = f", or give {override}" if override else ""
    ipv4 = os.path.join(root, os.path.dirname(MAX_ORPHANS))
    if os.path.isdir(ipv4) and not os.path.lexists(os.path.join(root, MAX_ORPHANS)):
        raise Hidden(
            f"{os.path.basename(name)} cannot be seen in a container (a child network namespace)",
            remedy=f"run the check on the host{instead}",
        )
    try:
        return reading.read(root, name)
    except reading.Missing:
        reading.tree(root)
        tree = wording.path(os.path.join(root, "sys"))
        raise Hidden(
            f"{os.path.basename(name)} cannot be seen: {tree} is hidden or not complete, or this is a container",
            remedy=f"remove ProcSubset=pid from the systemd unit, run the check on the host{instead}",
        ) from None


def rto_max_ms(root: str) -> int:
    """The longest retransmission timeout of a TCP socket, in milliseconds.

    ``tcp_rto_max_ms`` where the kernel has it (between 6.12 and 6.17), else
    ``TCP_RTO_MAX``, 120 s. Sockets may set their own.
    """
    try:
        return max(1000, reading.integer(reading.read(root, RTO_MAX_MS).strip()))
    except (Blind, ValueError):
        return 120_000


def silence_ms(root: str) -> int:
    """How long an orphan may send no data before the kernel counts it twice, in milliseconds.

    Twice the longest timeout (``tcp_out_of_resources``, net/ipv4/tcp_timer.c): 240 s where nobody has set it.
    """
    return 2 * rto_max_ms(root)


def orphan_retries(root: str) -> int:
    """How often an orphan tries when its timeout is at its longest, ``tcp_orphan_retries``; 0, the default, if unknown."""
    try:
        return reading.integer(reading.read(root, ORPHAN_RETRIES).strip())
    except (Blind, ValueError):
        return 0


def ephemeral_ports(root: str) -> range:
    """The ports that the kernel gives to sockets which ask for none, ``ip_local_port_range``; for IPv6, too.

    32768 to 60999, the default since 4.2, where it cannot be read.
    """
    try:
        low, high = (reading.integer(word) for word in reading.read(root, LOCAL_PORTS).split())
    except (Blind, ValueError):
        low, high = 32768, 60999
    return range(max(0, min(low, 65535)), max(0, min(high, 65535)) + 1)


def bypasses(root: str) -> bool:
    """Whether sockets that are made now are not counted in ``mem``, ``bypass_prot_mem``; False where there is no such setting.

    Since 6.19, for each network namespace. A socket takes it over when it is made, its
    children with it (``sk_alloc``, net/core/sock.c), and keeps it; it counts for its cgroup alone.
    """
    try:
        return reading.read(root, f"sys/{BYPASS.replace('.', '/')}").strip() not in ("", "0")
    except Blind:
        return False
