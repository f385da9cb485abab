"""``tcp_max_orphans`` and the arithmetic of the penalty.

The kernel asks when it closes a socket, and when the retransmission or the probe timer of an orphan ends
(``tcp_check_oom``, net/ipv4/tcp.c; ``tcp_out_of_resources``, net/ipv4/tcp_timer.c), never at the keepalive timer
of FIN_WAIT2: is ``orphans << shift > tcp_max_orphans``? If so it resets that socket. The comparison is
strict: as many orphans as the limit are tolerated, and passing a margin resets nobody by itself.

``shift`` is 0 for a socket that is closed. An orphan gets 1 for an ICMP error or a lost route that no valid ACK has
cleared since (``sk_err_soft``), and 1 more for having sent no data for twice the longest retransmission timeout
(``lsndtime``). That silence counts from the last segment with data, also before the close; a FIN or a window probe does not
end it, a retransmission of data does. With the settings of the kernel it reaches

* a connection idle for so long, then closed, whose peer does not acknowledge the FIN: the usual case, a keep-alive
  connection closed towards a client that has vanished;
* data written into a window that had been closed for so long, though the peer answers each probe.

It does not reach a window that closes on waiting data: ``tcp_probe_timer`` gives such an orphan up before it
asks, since 4.0 and unless ``tcp_orphan_retries`` keeps it alive.
"""

from __future__ import annotations

from collections import namedtuple

from tcp_headroom.blind import Blind
from tcp_headroom.proc import reading, sysctl

FACTORS = (1, 2, 4)
"""By how much the kernel multiplies the orphans before it compares: 1 << shift."""

GIVES_UP_FIRST = (4, 0)
"""The release since which ``tcp_probe_timer`` ends an orphan by time-out before it asks (between 3.13 and 4.0.5)."""


class Margin(namedtuple("Margin", "factor limit left")):
    """How far the orphans are from being too many for a socket with one penalty."""

    __slots__ = ()
    factor: int
    """1, 2 or 4."""
    limit: int
    """The largest number of orphans at which such a socket is spared."""
    left: int
    """Orphans that may still come; negative once the limit is passed, 0 is not past it."""


def read(root: str, override: str | None = "--max-orphans N") -> int:
    """``tcp_max_orphans`` below ``root``. Raises ``Blind``, naming ``override``, the option that gives it instead."""
    return parse(sysctl.read(root, sysctl.MAX_ORPHANS, override))


def parse(text: str) -> int:
    """The limit, which may be 0 or negative: the kernel has no bounds (``proc_dointvec``).

    Raises ``Blind`` if it is not one number.
    """
    try:
        return reading.integer(text.strip())
    except ValueError:
        raise Blind(f"{sysctl.MAX_ORPHANS} is not a number") from None


def fault(limit: int) -> tuple[bool, str] | None:
    """What is wrong with a limit whatever the usage, and whether it is fatal: ``(True, sentence)``, else None."""
    return (True, f"every orphan is reset: tcp_max_orphans is {limit}") if limit < 1 else None


def margins(orphans: int, limit: int, factors: tuple[int, ...] = FACTORS) -> list[Margin]:
    """The margins at 1x, 2x and 4x, in that order.

    ``orphans << shift > limit`` and ``orphans > limit // (1 << shift)`` say the same of
    whole numbers.
    """
    return [Margin(factor, limit // factor, limit // factor - orphans) for factor in factors]


def share(barrier: int) -> int | None:
    """The limit that OpenVZ adds for one container, a quarter of its barrier of numtcpsock; None for no limit.

    ``orphans << shift >= barrier >> 2`` is too many (``__ub_too_many_orphans``, kernel/bc/net.c of 2.6.32-042stab113), and
    is asked before tcp_max_orphans, with which the orphans are compared unshifted there
    (``ub_too_many_orphans``, include/bc/sock_orphan.h). The kernel counts in an int, which an unlimited
    barrier is far beyond.
    """
    quarter = barrier >> 2
    return quarter - 1 if quarter < 1 << 31 else None


COST = 4096
"""What an orphan takes at least, in bytes, beside its data: ``struct tcp_sock`` and what hangs on it (slab)."""


def enough(orphans: int) -> int:
    """The smallest power of two that is a limit with which so many orphans pass no margin, as far as an int goes."""
    return min((1 << 31) - 1, 1 << (FACTORS[-1] * max(1, orphans) - 1).bit_length())
