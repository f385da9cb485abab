"""The kernel's messages about exhausted socket memory: texts, causes, kernels.

The one place that knows them. All are printed by the handling of orphans alone
(``tcp_close``, ``tcp_out_of_resources``, ``tcp_check_oom``), at level info, at
most ten lines in five seconds together with every other rate-limited network
message. Live sockets that starve print nothing.

A text is matched from the first character of a kernel message on, so a message
that quotes it further on is none; its end may be damaged, as lines are glued and
cut where a log loses data.
"""

from __future__ import annotations

import functools
import re

from tcp_headroom import wording

ORPHANS = "orphans"
"""More orphans than tcp_max_orphans, by the penalty of the socket."""
MEMORY = "memory"
"""More pages than tcp_mem[2], and an orphan that holds data, unsent or not acknowledged."""
UNCLEAR = "unclear"
"""Either of the two: the text does not say."""
CAUSES = (ORPHANS, MEMORY, UNCLEAR)


class Text:
    """One text of the family."""

    def __init__(self, pattern: str, cause: str, kernels: str) -> None:
        self.pattern = pattern
        """Regular expression for the beginning of the message."""
        self.cause = cause
        self.kernels = kernels
        """Where it is printed."""


FAMILY = (
    Text(r"TCP: too many orphaned", ORPHANS, "Linux 3.3 and later, tcp_check_oom"),
    Text(r"TCP: out of mem", MEMORY, "Linux 3.3 and later, tcp_check_oom"),
    Text(r"TCP: too many of orphaned", UNCLEAR, "Linux 2.6.11 to 3.2, tcp_close; OpenVZ adds the container"),
    Text(r"Out of socket mem", UNCLEAR, "Linux 2.6.11 to 3.2, tcp_out_of_resources"),
    Text(r"Orphaned socket dropped \(", UNCLEAR, "OpenVZ 2.6.18, tcp_out_of_resources"),
    Text(r"Fatal resource shortage: (?:numtcpsock|tcpsndbuf|tcprcvbuf)\b", UNCLEAR, "OpenVZ, user beancounters"),
    Text(r"MPTCP: too many (?:of )?orphaned", UNCLEAR, "out-of-tree MPTCP, before tcp_check_oom"),
    Text(r"MPTCP: out of memory: force clos", UNCLEAR, "out-of-tree MPTCP, tcp_check_oom says either"),
)

_SUPPRESSED = (
    # 2.6.35 and later; 2.6.27 to 2.6.32 and 2.6.26; up to 2.6.24.
    r"(?:(?:net_ratelimit|__ratelimit): ([0-9]{1,10}) callbacks suppressed"
    r"|__ratelimit: ([0-9]{1,10}) messages suppressed"
    r"|printk: ([0-9]{1,10}) messages suppressed\.)\s*$"
)

NEEDLES = (
    b"TCP: too many o",
    b"TCP: out of mem",
    b"Out of socket mem",
    b"Orphaned socket dropped (",
    b"Fatal resource shortage: ",
    b"s suppressed",
)
"""Every message that ``cause`` or ``suppressed`` accept contains one of these, whatever its end suffered.

As long as the patterns allow: the longer a needle, the faster it is searched.
"""


_CONTAINER = r"(?:TCP: too many of orphaned sockets|Orphaned socket dropped) \((?P<count>[0-9]{1,10})(?:,[0-9]{1,10})? in CT(?P<id>\w{1,36})\)"

TALKERS = {
    b"table full, dropping packet": "nf_conntrack: table full",
    b"neighbour table overflow": "neighbour table overflow",
    b"Neighbour table overflow": "neighbour table overflow",
    b"neighbor table overflow": "neighbour table overflow",
    b"ossible SYN flooding on port": "possible SYN flooding",
    b"time wait bucket table overflow": "time wait bucket table overflow",
}
"""Other messages that go through the same rate limiter, and their names: they explain suppressed lines.

``nf_conntrack`` (nf_conntrack_core.c), ``neigh_alloc`` (core/neighbour.c; ``arp_cache: neighbor table overflow!`` since
4.20), ``tcp_syn_flood_action`` (tcp_input.c), ``tcp_time_wait`` (tcp_minisocks.c, up to 2.6.36).
"""


# Compiled at the first message that may be of the family, which most runs never see.
@functools.lru_cache(maxsize=None)
def _compiled() -> tuple[re.Pattern[str], re.Pattern[str]]:
    family = "|".join(f"({text.pattern})" for text in FAMILY)
    return re.compile(family, re.ASCII), re.compile(_SUPPRESSED, re.ASCII)


def cause(message: str) -> str | None:
    """The cause named by a kernel message, None if it is not of the family."""
    match = _compiled()[0].match(message)
    return FAMILY[(match.lastindex or 1) - 1].cause if match else None


def quoted(text: str) -> bool:
    """Whether a text of the family stands anywhere in ``text``, by whomever it was written."""
    return any(re.search(text_of.pattern, text, re.ASCII) for text_of in FAMILY)


def container(message: str) -> str:
    """What OpenVZ adds to a message, as ``101, 1 orphan``: the container and its orphans; empty for none."""
    match = re.match(_CONTAINER, message, re.ASCII)
    return f"{match['id']}, {wording.count(int(match['count']), 'orphan')}" if match else ""


def suppressed(message: str) -> int | None:
    """N of the rate limiter's line about network messages, None for any other message.

    N counts attempts of any network message since the limiter last spoke, however
    long ago (``___ratelimit``, lib/ratelimit.c).
    """
    match = _compiled()[1].match(message)
    return int(match[match.lastindex or 1]) if match else None
