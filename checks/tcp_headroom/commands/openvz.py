"""What OpenVZ refuses its containers, as findings of the checks of usage; imported on its hosts alone."""

from __future__ import annotations

from tcp_headroom import wording
from tcp_headroom.blind import Blind
from tcp_headroom.memory import state
from tcp_headroom.proc import beancounters, clock
from tcp_headroom.verdict import grants

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tcp_headroom.commands.plugin import Host
    from tcp_headroom.verdict.evidence import Grant

SOCKETS = (beancounters.SOCKETS,)
BUFFERS = ("tcpsndbuf", "tcprcvbuf")

NAMES = {"numtcpsock": "TCP sockets", "tcpsndbuf": "send buffers", "tcprcvbuf": "receive buffers"}

NEXT_STEPS = {
    "numtcpsock": "find who holds the sockets (ss -tanp), then raise numtcpsock on the node",
    "tcpsndbuf": "find who holds the buffers (ss -tm), then raise tcpsndbuf on the node",
    "tcprcvbuf": "find who does not read (ss -tm), then raise tcprcvbuf on the node",
}
"""By the name of what is refused."""


def read(host: Host) -> list[Grant]:
    """What is granted, and was refused lately; nothing, with the reason in ``host``, where that cannot be read."""
    try:
        path = state.chosen(host.arguments)
    except Blind:
        path = None
    try:
        return grants.read(host.root, path, clock.read(host.root)) or []
    except Blind as reason:
        host.ungranted = str(reason)
        host.left_out.append(f"limits of the container: {reason}")
        return []


def findings(found: list[Grant], wanted: tuple[str, ...]) -> dict[str, str]:
    """What is wrong with each of ``wanted``, by its name: of several containers with the one that was refused most.

    Sockets at their barrier are, as the next is refused; buffers at theirs are not, as only those beyond the limit are.
    """
    said = {}
    for resource in wanted:
        wrong = [
            grant for grant in found
            if grant.resource == resource and (grant.grown or (resource in SOCKETS and grant.full))
        ]  # fmt: skip
        if not wrong:
            continue
        worst = max(wrong, key=lambda grant: (grant.grown, grant.failcnt))
        others = f", and of {wording.count(len(wrong) - 1, 'more container')}" if wrong[1:] else ""
        what = f"{NAMES[resource]} refused"
        if worst.grown:
            what += f" {worst.grown} times within {worst.minutes} min"
        said[resource] = f"{what}: container {worst.uid} holds {worst.held} of {worst.barrier} {resource}{others}"
    return said
