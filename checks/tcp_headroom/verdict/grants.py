"""What OpenVZ grants the TCP sockets of containers, and what it has refused lately."""

from __future__ import annotations

import math

from tcp_headroom import wording
from tcp_headroom.blind import Blind
from tcp_headroom.limits import tcp_max_orphans
from tcp_headroom.memory import abort_growth, failcnt
from tcp_headroom.proc import beancounters
from tcp_headroom.verdict.evidence import SECONDS, Grant

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tcp_headroom.proc.clock import Clock
    from tcp_headroom.verdict.evidence import Evidence

NODE = "0"
"""The id of the node itself among its containers."""


def read(root: str, state_dir: str | None, now: Clock) -> list[Grant] | None:
    """All of them, with what was refused within the last hour; None on every host but those of OpenVZ.

    ``state_dir``: the directory of the state, None for no memory. Raises ``Blind``.
    """
    rows = beancounters.read(root)
    if rows is None:
        return None
    start = now.boottime - SECONDS
    try:
        watches = failcnt.watched(rows, state_dir, root, now, start)
    except (Blind, OSError):
        # The reason is that of the counter or of the peak, too, which names it.
        watches = failcnt.watched(rows, None, root, now, start)
    grants = []
    for row in rows:
        watch = watches[row.key]
        spans = abort_growth.within(watch, start)
        grown = sum(span.count for span in spans)
        span = minutes(now.boottime - spans[0].start) if spans else 0
        known = watch.since <= start or not row.failcnt
        grants.append(Grant(row.uid, row.resource, row.held, row.barrier, row.failcnt, grown, span, known))
    return grants


def minutes(seconds: float) -> int:
    """In whole minutes, at least one."""
    return max(1, math.ceil(seconds / 60))


def barrier(grants: list[Grant]) -> int | None:
    """The barrier of numtcpsock where ``beancounters.OWN`` orphans are shown; None if it is not among ``grants``."""
    sockets = {grant.uid: grant.barrier for grant in grants if grant.resource == beancounters.SOCKETS}
    return next(iter(sockets.values())) if len(sockets) == 1 else sockets.get(NODE)


def shortage(found: Evidence, reset: bool) -> str:
    """What OpenVZ refuses the container now or refused it within the window, the most telling only; empty for nothing.

    ``reset``: whether something was reset within the window.
    """
    if not isinstance(found.grants, list):
        return ""
    for grant in found.grants:
        if grant.grown:
            return (
                f"{_name(grant)} was refused {grant.grown} times within {grant.minutes} min (failcnt {grant.failcnt}; "
                f"held {grant.held}, barrier {grant.barrier})"
            )
    for grant in found.grants:
        if grant.full:
            return f"{_name(grant)} has reached its barrier: {grant.held} of {grant.barrier} held, more is refused"
    if found.own:
        return _share_text(found.orphans, found.grants)
    sockets = [grant for grant in found.grants if grant.resource == beancounters.SOCKETS]
    if len(sockets) != 1 or isinstance(found.orphans, Blind):
        # Of several containers the number of orphans says nothing.
        return ""
    share = sockets[0].barrier // 4
    least = 4 if reset else 2
    if found.orphans * least < share:
        return ""
    return (
        f"container {sockets[0].uid} may have {share} orphans, 25 % of its barrier {sockets[0].barrier} of {beancounters.SOCKETS}; from there on "
        f"orphans are reset, those with a penalty from 50 % or 25 % of that on; sockstat shows {found.orphans}, perhaps of "
        "the whole node"
    )


def _share_text(orphans: int | Blind, found: list[Grant]) -> str:
    """What the share of numtcpsock means for the orphans of the container, once a margin of it is passed."""
    granted = barrier(found)
    share = None if granted is None else tcp_max_orphans.share(granted)
    if share is None or isinstance(orphans, Blind):
        return ""
    passed = [margin for margin in tcp_max_orphans.margins(orphans, share) if margin.left < 0]
    if not passed:
        return ""
    whom = {
        1: "every socket that is closed is reset",
        2: "an orphan with one penalty is reset at its next timer",
        4: "only orphans with both penalties are reset",
    }
    return (
        f"{wording.count(orphans, 'orphan')} of the {share} that {beancounters.SOCKETS} leaves this container, a quarter of its "
        f"barrier {granted}: {whom[passed[0].factor]}"
    )


def refused_once(found: Evidence) -> str:
    """What was refused at a time that nobody knows, as there is no earlier sample."""
    if not isinstance(found.grants, list):
        return ""
    once = [f"{_name(grant)} {grant.failcnt} times" for grant in found.grants if not grant.watched and not grant.grown]
    return f"refused at an unknown time since its start: {', '.join(once[:3])}" if once else ""


def _name(grant: Grant) -> str:
    return f"{grant.resource} of container {grant.uid}"
