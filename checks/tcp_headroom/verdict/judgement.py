"""One verdict on the evidence of all three checks: which case is it, and what to do next.

Nothing is read here. The cases are tried in the order of ``CASES``, the table of the
runbook: a setting that makes the rest meaningless, what hurts now, what cannot be
seen, what hurt within the window, and health last, which is only claimed for what was
seen. The counter alone is not enough for that: it knows one network namespace.

The line between ``ORPHAN_LIMIT`` and ``PENALISED`` is 50 % of the limit, as it is
between CRITICAL and WARNING of ``check_tcp_orphans``. Between a quarter and the half
a socket needs both penalties to be reset (``tcp_out_of_resources``,
net/ipv4/tcp_timer.c): an ICMP error or a lost route that no valid ACK has cleared
since (``sk_err_soft``), and no data sent for twice the longest retransmission timeout.
Whoever answers has cleared the first. Above the half one penalty is enough, and silence
can be that of a peer that is alive: what is written into a window that has been closed for so
long is reset at its first probe, though the peer acknowledges every one. So the one waits
for the morning, the other does not.

On OpenVZ of 2.6.32 the orphans are one container's, which this limit is compared with
unshifted: nobody is affected before all of it is used. The penalties fall on the share that
numtcpsock leaves for orphans.
"""

from __future__ import annotations

import math

from tcp_headroom import wording
from tcp_headroom.blind import Blind
from tcp_headroom.limits import raising, tcp_max_orphans, tcp_mem
from tcp_headroom.proc import beancounters, sysctl
from tcp_headroom.proc.sysctl import Hidden
from tcp_headroom.verdict import grants, starvation

from tcp_headroom.verdict.cases import (  # isort: skip
    BOTH, CANNOT_SAY, CONFIGURATION, CONTAINER, HIDDEN, MEMORY, NEAR, NO_SHORTAGE, NOTHING, ORPHAN_LIMIT, PENALISED, SPIKE,
    STARVED, Verdict,
)  # fmt: skip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tcp_headroom.verdict.evidence import Evidence

ROOM = 580
"""Longest text of a shortage, in characters: what else is known gives way."""

_READ_LOG = (
    "run check_tcp_kernel_log -v on that host, every few minutes, as a user who can read its kernel log, and with enough "
    "time (-t)"
)
_VALUES = "check_tcp_limits -v on the host has the value to set"
_FIND_CLOSER = "find the service that closes with unsent data (ss -tan state fin-wait-1)"
_FIND_HOLDER = "find the sockets that hold the memory (ss -tm), and programs that read too slowly"
_UNLISTED = "find what ss does not show: containers (check_tcp_mem -v), closed sockets (lsof, protocol: TCP)"


def judge(found: Evidence) -> Verdict:
    """The one verdict on this evidence."""
    return (
        _configuration(found)
        or _shortage(found)
        or _container(found)
        or _cgroup(found)
        or _unseen(found)
        or _past(found)
        or _healthy(found)
    )


def unknown(reason: str, happened: str = "") -> Verdict:
    """The verdict when it cannot be found; ``happened``: what is known of the window all the same."""
    return Verdict(
        CANNOT_SAY,
        f"{reason}{happened}",
        "run check_tcp_orphans -v and check_tcp_mem -v on that host, as a user who can read its /proc, and with more time "
        "(-t) if the time was too short",
    )


def _configuration(found: Evidence) -> Verdict | None:
    limit = None if isinstance(found.limit, Blind) else tcp_max_orphans.fault(found.limit)
    levels = None if isinstance(found.levels, Blind) else tcp_mem.fault(found.levels)
    if not limit and not levels:
        return None
    factor, starved = _passed(found), _starved(found)
    set_mem = "set net.ipv4.tcp_mem to three page counts above 0, smallest first"
    if starved and not isinstance(found.pages, Blind):
        set_mem += f", the last well above the {math.ceil(found.pages)} in use"
    acute, steps = [], []
    if limit:
        steps.append("set net.ipv4.tcp_max_orphans to 4096 for each GiB of memory, at most 262144")
    elif factor in (1, 2):
        acute.append(_orphans(found))
    if levels and levels[0]:
        # What is fatal comes before what is short.
        steps.append(set_mem)
    if acute:
        steps.append("raise net.ipv4.tcp_max_orphans")
    if levels and not levels[0]:
        steps.append(set_mem)
    if starved:
        acute.append(_memory(found) or starved)
        if not levels:
            steps.append(_FIND_HOLDER)
    told = [fault[1] for fault in (limit, levels) if fault]
    if levels and not isinstance(found.levels, Blind):
        told += tcp_mem.disorder(found.levels)
    text = "; ".join(told)
    if acute:
        text += f"; already short now: {', '.join(acute)}"
    if len(steps) > 1:
        steps[0] = f"first {steps[0]}"
    return Verdict(CONFIGURATION, text, f"{'; then '.join(steps)}; {_VALUES}")


def _shortage(found: Evidence) -> Verdict | None:
    factor, starved = _passed(found), _starved(found)
    parts, steps = [], []
    if factor == 1:
        parts.append(f"{_orphans(found)}: every socket that is closed is reset")
        steps.append(f"if memory allows, raise net.ipv4.tcp_max_orphans; then {_FIND_CLOSER}")
    elif factor == 2:
        parts.append(
            f"{_orphans(found)}, over the 50 % line: an orphan with one penalty (ICMP error, lost route, long silence) would "
            f"be reset, even if its peer answers; with {_left(found)} more orphans every closed socket is reset"
        )
        steps.append(f"{_FIND_CLOSER}; if it needs so many and memory allows, raise net.ipv4.tcp_max_orphans")
    if starved:
        parts.append(": ".join(filter(None, [_memory(found), starved])))
        steps.append(f"{_UNLISTED if _unlisted(found) else _FIND_HOLDER}; {raising.step(found.raising)}")
    if not parts:
        return None
    if starved and factor == 4:
        parts.append(_orphans(found))
    case = BOTH if len(steps) > 1 else MEMORY if starved else ORPHAN_LIMIT
    text = "; ".join(parts)
    for more in (
        _resets(found), grants.shortage(found, bool(_resets(found))), starvation.text(found.starved), _unlisted(found) if starved else "",
        _unread(found),
    ):  # fmt: skip
        if more and len(text) + len(more) < ROOM:
            text += f"; {more}"
    return Verdict(case, text, f"{'; for the memory, '.join(steps)}; {_VALUES}")


def _container(found: Evidence) -> Verdict | None:
    text = grants.shortage(found, bool(_resets(found)))
    if not text:
        return None
    rest = "".join(f"; {more}" for more in (grants.refused_once(found), _resets(found)) if more)
    return Verdict(
        CONTAINER,
        text + rest,
        "find who holds the sockets (ss -tanp) and the buffers (ss -tm); do not change tcp_max_orphans or tcp_mem, they do not "
        "help here; if the service needs so many, raise the barrier and limit named, on the node (vzctl set CTID --tcpsndbuf "
        "BARRIER:LIMIT --save; --tcprcvbuf and --numtcpsock work alike)",
    )


def _cgroup(found: Evidence) -> Verdict | None:
    text = starvation.text(found.starved)
    rest = "".join(f"; {more}" for more in (_orphans(found), _memory(found)) if more)
    return Verdict(STARVED, text + rest, starvation.STEP) if text else None


def _unseen(found: Evidence) -> Verdict | None:
    missing = [value for value in (found.orphans, found.limit, found.pages, found.levels) if isinstance(value, Blind)]
    resets = _resets(found)
    happened = f"; but in the last {found.window} {resets}" if resets else _ever(found)
    known = "".join(f"; {text}" for text in (_orphans(found), _memory(found)) if text) if missing else ""
    if missing and all(isinstance(value, Hidden) for value in missing):
        hidden = _hidden(found)
        return Verdict(
            HIDDEN,
            f"{' and '.join(hidden) or 'something'} cannot be seen from here: this is a container (a child network namespace), or "
            f"/proc/sys is hidden{known}{happened}",
            f"run the checks on the host, or give them its limits: {', '.join(hidden.values())}",
        )
    if missing:
        reasons = list(dict.fromkeys(map(_quoted, missing)))
        return unknown("; ".join(reasons[:2]), known + happened)
    if isinstance(found.under_pressure, Blind) and not found.below_min:
        return unknown(f"{_quoted(found.under_pressure)}; {_memory(found)}, perhaps under memory pressure", happened)
    return None


def _past(found: Evidence) -> Verdict | None:
    resets, factor = _resets(found), _passed(found)
    if _near(found):
        return Verdict(
            NEAR,
            f"{_orphans(found)}, of this container alone: nobody is reset before 100 %, then every socket that is closed",
            f"{_FIND_CLOSER}; if it needs so many and memory allows, raise net.ipv4.tcp_max_orphans ({_VALUES})",
        )
    if factor == 4 and not found.log.memory:
        text = (
            f"{_orphans(found)}: only orphans with both penalties would be reset; no peer that still answers loses data"
        )
        if resets:
            text += f"; in the last {found.window} {resets}, which fits unless there was a short peak"
        return Verdict(
            PENALISED,
            text,
            f"nothing now; if it lasts, {_FIND_CLOSER}; a limit of four times the usual peak keeps all margins ({_VALUES})",
        )
    if not resets:
        return None
    text = (
        f"in the last {found.window} {resets}; now there are few, as usual after a spike: {_orphans(found)}; "
        f"{_memory(found)}"
    )
    if found.log.orphans and found.log.memory:
        step = "compare the graphs of orphans and pages: both limits were reached"
    elif found.log.orphans:
        step = "look at the graph of orphans; find what closed many connections at once"
    elif found.log.memory:
        step = "look at the graph of pages; find what took the memory (ss -tm)"
    else:
        step = "compare the graphs of orphans and pages at that time; check_tcp_kernel_log -v may show the cause"
    return Verdict(SPIKE, text, f"{step}; if the spike comes back, raise the limit that was reached ({_VALUES})")


def _healthy(found: Evidence) -> Verdict:
    now = f"{_orphans(found)}; {_memory(found)}"
    gaps, own, steps = [], [], []
    if found.log.gap:
        gaps.append(_quoted(found.log.gap, 260))
        steps.append(_READ_LOG)
    elif found.log.suppressed:
        gaps.append(f"{found.log.suppressed} messages of unknown kind were suppressed by the rate limit")
        steps.append("look at aborts_on_memory of check_tcp_orphans in each container, which misses no reset")
    if isinstance(found.grants, Blind) and str(found.grants) != found.log.gap:
        own.append(f"the limits of this container are not known: {_quoted(found.grants, 100)}")
        steps.append(f"run this as a user who can read {beancounters.FILE}")
    elif grants.refused_once(found):
        own.append(grants.refused_once(found))
        steps.append("run this again with -v: the second run sees whether failcnt rises")
    if found.alarm:
        steps.append("check -w and -c: they are stricter than the kernel, and only they raise this alarm")
    step = "; ".join(steps)
    if not gaps and not own:
        text = f"no shortage now, and none in the log of the last {found.window}: {now}"
        return Verdict(NOTHING, text, step or "nothing to do")
    if found.counter.gap and gaps:
        own.append(_quoted(found.counter.gap, 100))
    because = "; ".join(dict.fromkeys(gaps + own))
    if own:
        text = f"{now}; the last {found.window} is not fully known: {because}"
    else:
        text = (
            f"{now}; no reset in this network namespace in the last {found.window}; containers are not known: {because}"
        )
    return Verdict(NO_SHORTAGE, text, step)


def _passed(found: Evidence) -> int:
    """The worst margin the orphans have passed, 1, 2 or 4; 0 for none, and where it cannot be said."""
    if isinstance(found.orphans, Blind) or isinstance(found.limit, Blind) or found.limit < 1:
        return 0
    factors = tcp_max_orphans.FACTORS[: 1 if found.own else None]
    margins = tcp_max_orphans.margins(found.orphans, found.limit, factors)
    return next((margin.factor for margin in margins if margin.left < 0), 0)


def _near(found: Evidence) -> bool:
    """Whether more than half of a limit is used that knows no penalties."""
    if isinstance(found.orphans, Blind) or isinstance(found.limit, Blind):
        return False
    return bool(found.own and 2 * found.orphans > found.limit)


def _left(found: Evidence) -> int:
    """How many orphans may still come before there are more than the limit, and one."""
    assert not isinstance(found.orphans, Blind) and not isinstance(found.limit, Blind)
    return found.limit - found.orphans + 1


def _starved(found: Evidence) -> str:
    """What TCP memory suffers now, empty if nothing is known of it."""
    levels, pages = found.levels, found.pages
    if not isinstance(levels, Blind) and not isinstance(pages, Blind) and levels.max >= 1:
        if pages > levels.max:
            return "memory is refused, data is dropped, and orphans that hold data are reset"
        said = []
        if pages > levels.pressure:
            said.append(
                f"above pressure {levels.pressure}, so TCP slows down: windows stop growing, queues are made smaller"
            )
        if 100 * pages > tcp_mem.NEAR_PERCENT * levels.max:
            said.append(f"above {tcp_mem.NEAR_PERCENT} % of the maximum; at 100 % memory is refused")
        if said:
            return "; ".join(said)
    share = found.memory_share
    if share is not None and share > tcp_mem.MUCH_PERCENT:
        return f"that is {wording.percent(share)} of the {found.noun} of this machine, which runs out before tcp_mem refuses any"
    if found.under_pressure is True:
        return "the kernel is under memory pressure, so TCP slows down until usage is below min"
    return ""


def _orphans(found: Evidence) -> str:
    if isinstance(found.orphans, Blind):
        return ""
    text = wording.count(found.orphans, "orphan")
    if isinstance(found.limit, Blind) or found.limit < 1:
        return text
    text += f", {wording.percent(100 * found.orphans / found.limit)} of the limit {found.limit}"
    return f"{text}, over the 25 % line (4x penalty)" if _passed(found) == 4 else text


def _memory(found: Evidence) -> str:
    if isinstance(found.pages, Blind):
        return ""
    text = f"TCP holds {wording.count(math.ceil(found.pages), 'page')}"
    if not isinstance(found.levels, Blind) and found.levels.max >= 1:
        text += f", {wording.percent(100 * found.pages / found.levels.max)} of the maximum {found.levels.max}"
    return f"{text}, without sockets that {sysctl.BYPASS} exempts" if found.bypass else text


def _unlisted(found: Evidence) -> str:
    """What no list shows, where that is most of the sockets."""
    least, _most, alloc = found.unlisted
    return f"{least} of {alloc} TCP sockets are in no list here" if 2 * least > alloc else ""


def _resets(found: Evidence) -> str:
    """What log and counter say of the window; empty if neither shows a reset."""
    log, counter = found.log, found.counter
    said = []
    if log.hits:
        causes = [(log.orphans, "orphans"), (log.memory, "memory"), (log.unclear, "unclear")]
        named = ", ".join(f"{number} {cause}" for number, cause in causes if number)
        said.append(f"the log shows at least {wording.count(log.hits, 'reset')} (cause: {named})")
    if counter.grown:
        said.append(
            f"the counter of this network namespace shows {wording.count(counter.grown, 'reset')} within "
            f"{counter.minutes} min"
        )
    return " and ".join(said)


def _ever(found: Evidence) -> str:
    """The counter where nobody knows since when: in a container often all there is."""
    value = found.counter.value
    return f"; {wording.count(value, 'orphan')} of this network namespace reset since it began" if value else ""


def _unread(found: Evidence) -> str:
    """The other gauge, where it could not be judged."""
    hidden = _hidden(found)
    if hidden:
        return f"{' and '.join(hidden)} cannot be seen from here"
    missing = next((value for value in found[:4] if isinstance(value, Blind)), None)
    return f"the rest is not known: {_quoted(missing)}" if missing else ""


def _hidden(found: Evidence) -> dict[str, str]:
    """The limits that are not visible, and the options that give them instead."""
    limit = {"tcp_max_orphans": "check_tcp_orphans --max-orphans N"} if isinstance(found.limit, Hidden) else {}
    levels = {"tcp_mem": "check_tcp_mem --tcp-mem MIN,PRESSURE,MAX"} if isinstance(found.levels, Hidden) else {}
    return {**limit, **levels}


def _quoted(reason: Blind | str, limit: int = 180) -> str:
    """A reason in so many characters: several must fit in a line."""
    return wording.clean(reason.reason if isinstance(reason, Blind) else reason, limit)
