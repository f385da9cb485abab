"""The verdict of ``-v``: gathers the ``evidence`` of all three checks and has ``judgement`` judge it.

Imported for ``-v`` alone, after the result is certain: whatever fails, and the
time-out, costs a part of the evidence and is named in the verdict. Values that the
command has read are handed in; the rest is read, what is quick first and the log of
this host last. Nothing is remembered but the failures of OpenVZ (``failcnt``) and ``sock_throttled`` of cgroups;
the memory of ``check_tcp_kernel_log`` is only looked at.
"""

from __future__ import annotations

import nagiosplugin

from tcp_headroom import wording
from tcp_headroom.blind import Blind
from tcp_headroom.cgroups import tree
from tcp_headroom.limits import mem_unit, raising, tcp_max_orphans, tcp_mem
from tcp_headroom.log import messages, proof, views
from tcp_headroom.memory import abort_growth, log_history, state
from tcp_headroom.proc import beancounters, clock, meminfo, netstat, protocols, sockstat, sockstat6, sysctl
from tcp_headroom.proc.sockstat6 import Unlisted
from tcp_headroom.verdict import grants, judgement, starvation
from tcp_headroom.verdict.evidence import LOOKBACK, SECONDS, Counter, Evidence, Log, Past

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from typing import TypeVar

    from tcp_headroom.limits.tcp_mem import TcpMem
    from tcp_headroom.log.views import View, Window
    from tcp_headroom.memory.abort_growth import Sample, Watch
    from tcp_headroom.proc.clock import Clock

    Value = TypeVar("Value")


def conclusion(
    root: str,
    state_dir: str | None,
    *,
    orphans: int | None = None,
    limit: int | None = None,
    pages: float | None = None,
    levels: TcpMem | None = None,
    under_pressure: bool | None = None,
    past: Past | None = None,
    cgroupfs: str | None = None,
    with_memory: bool = True,
    alarm: bool = False,
    stop: Blind | None = None,
) -> str:
    """The first further line of ``-v``: the verdict on the host whose /proc tree is ``root``.

    ``state_dir``: the directory of the state, None for no memory. ``with_memory``: whether
    meminfo is of the machine whose levels these are. What the command
    has not read, None, is read here, unless ``stop`` says why it must not be: the time
    is over, or what lies below ``root`` may be another host's than ``past``. ``cgroupfs``:
    where the cgroups of that host are, by default those of this one for its own /proc. Raises
    nothing but ``nagiosplugin.Timeout``.
    """
    try:
        place = cgroupfs or (tree.DEFAULT if root == "/proc" else None)
        found = gather(root, state_dir, orphans, limit, pages, levels, under_pressure, past, stop, place)
        if with_memory and not stop:
            found = _beside_memory(root, found)
        return str(judgement.judge(found._replace(alarm=alarm)))
    except nagiosplugin.Timeout:
        raise
    except Exception as error:
        text = wording.clean(f"{type(error).__name__}: {error}")
        return str(judgement.unknown(f"internal error, {text}"))


def memory(arguments: argparse.Namespace) -> str | None:
    """Where these options have the state; None for no memory, also for that of a user without a home."""
    try:
        return state.chosen(arguments)
    except Blind:
        return None


class _Reader:
    """Reads one thing after the other until the time-out, which ends the reading: no further alarm would.

    What was read until then is not lost for the verdict.
    """

    def __init__(self, over: Blind | None) -> None:
        self.over = over
        """Why nothing more is read; None as long as there is time."""

    def __call__(self, read: Callable[[], Value]) -> Value | Blind:
        if self.over:
            return self.over
        try:
            return read()
        except Blind as reason:
            return reason
        except nagiosplugin.Timeout as over:
            self.over = Blind(f"the check gave up after {over}")
            return self.over


def gather(
    root: str,
    state_dir: str | None,
    orphans: int | None = None,
    limit: int | None = None,
    pages: float | None = None,
    levels: TcpMem | None = None,
    under_pressure: bool | None = None,
    past: Past | None = None,
    stop: Blind | None = None,
    cgroupfs: str | None = None,
) -> Evidence:
    """The evidence; the parameters are those of ``conclusion``."""
    reader = _Reader(stop)
    now = clock.read(root)
    usage = reader(lambda: sockstat.read(root))
    starved = reader(lambda: starvation.read(cgroupfs, state_dir, now))
    borders = reader(lambda: tcp_mem.read(root)) if levels is None else levels
    pressed = reader(lambda: protocols.read(root)) if under_pressure is None else under_pressure
    whose = beancounters.orphans_of(root) if beancounters.present(root) else beancounters.MACHINE
    found = Evidence(
        orphans=_of(usage, lambda read: _orphans(read, whose)) if orphans is None else orphans,
        limit=reader(lambda: tcp_max_orphans.read(root)) if limit is None else limit,
        pages=_of(usage, lambda read: _pages(root, read.mem, borders, pressed)) if pages is None else pages,
        levels=borders,
        under_pressure=pressed,
        grants=reader(lambda: grants.read(root, state_dir, now)),
        own=whose == beancounters.OWN,
        log=Log(),
        counter=Counter(),
        bypass=reader(lambda: sysctl.bypasses(root)) is True,
        unlisted=Unlisted() if isinstance(usage, Blind) else sockstat6.unlisted(root, usage),
        starved=None if isinstance(starved, Blind) else starved,
    )
    if past:
        return found._replace(window=past.window, log=past.log, counter=past.counter)
    log, counter = _past(reader, root, state_dir, now)
    return found._replace(log=log, counter=counter)


def _beside_memory(root: str, found: Evidence) -> Evidence:
    """The evidence, with the memory of the machine and what tcp_mem may be set to, as far as they are known."""
    page = tcp_mem.page_size()
    try:
        if meminfo.foreign(root):
            return found
        seen = meminfo.read(root)
        found = found._replace(memory=seen.buffers // page, noun=seen.noun)
    except Blind:
        return found
    return found if isinstance(found.levels, Blind) else found._replace(raising=raising.read(root, found.levels, page))


def _of(usage: sockstat.Sockstat | Blind, part: Callable[[sockstat.Sockstat], Value]) -> Value | Blind:
    try:
        return usage if isinstance(usage, Blind) else part(usage)
    except Blind as reason:
        return reason


def _orphans(usage: sockstat.Sockstat, whose: str) -> int:
    if whose == beancounters.NOBODY:
        raise beancounters.hidden()
    return usage.orphans


def _pages(root: str, mem: int, levels: TcpMem | Blind, pressure: bool | Blind) -> float:
    known = None if isinstance(levels, Blind) else levels
    return mem_unit.held(root, mem, tcp_mem.page_size(), known, None if isinstance(pressure, Blind) else pressure)


def _past(reader: _Reader, root: str, state_dir: str | None, now: Clock) -> tuple[Log, Counter]:
    """What log and counter say of the last hour, by what ``check_tcp_kernel_log`` would read by default."""
    start = now.boottime - SECONDS
    value = reader(lambda: netstat.read(root, [netstat.ABORTS]).get(netstat.ABORTS))
    if value is None:
        value = Blind(f"{netstat.FILE} has no {netstat.ABORTS}")
    known = value if isinstance(value, int) else None
    sample = None if known is None else abort_growth.Sample(now.boot, netstat.namespace(root), now.boottime, known)
    if root != "/proc":
        # The clocks are those of this host, and so is its log.
        return Log(gap="the kernel log of that host cannot be read here"), counter_of(
            sample, None, start, False, str(value)
        )

    from tcp_headroom.log import choice

    asked = choice.Request("auto", views.DEVICE, [], [], None)
    window = views.Window(now.now - SECONDS, now.now)
    remembered = reader(lambda: log_history.glance(state_dir, f"{LOOKBACK} {asked.key}", sample))
    if isinstance(remembered, Blind):
        remembered = log_history.Glance(None, None, str(remembered))
    told = log_history.known(state_dir, f"{LOOKBACK} {asked.key}", now)
    seen = reader(lambda: choice.look(asked, now, window, window, told._replace(before_boot=True)).view)
    why = f"no kernel log: {seen.reason}" if isinstance(seen, Blind) else ""
    if reader.over:
        why = str(reader.over)
    view = log_history.joined(remembered.memory, None if isinstance(seen, Blind) else seen, now, window)
    return log_of(view, window, why), counter_of(sample, remembered.watch, start, True, str(value), remembered.loss)


def log_of(view: View | None, window: Window, why: str) -> Log:
    """A view as evidence; ``why``: why the log itself cannot be read, or empty."""
    counts = dict.fromkeys((*messages.CAUSES, views.SUPPRESSED), 0)
    for event in view.events if view else ():
        if event.when >= window.start:
            counts[event.cause] = counts.get(event.cause, 0) + event.count
    gap = why
    if view and not why:
        share = proof.coverage(view.proof, window)
        if view.proof.doubts:
            gap = view.proof.doubts[0]
        elif round(share, 1) < 100 and not proof.complete(view.proof, window):
            gap = f"{view.shown} shows {wording.percent(share)} of that time"
    return Log(
        counts[messages.ORPHANS],
        counts[messages.MEMORY],
        counts[messages.UNCLEAR],
        counts[views.SUPPRESSED],
        gap,
    )


def counter_of(
    sample: Sample | None, watch: Watch | None, start: float, own: bool, why: str, loss: str = ""
) -> Counter:
    """The counter as evidence: ``sample`` is of now, ``watch`` what is known of its growth, itself included.

    ``start``: the beginning of the window on CLOCK_BOOTTIME. ``own``: whether that
    clock is of the counter's machine. ``why``: why there is no sample. ``loss``: why
    nothing is remembered, or empty.
    """
    if sample is None:
        return Counter(gap=why)
    if not sample.value:
        return Counter()
    if own and start <= 0:
        # The boot lies within the window, and so does all that was counted.
        watch = abort_growth.Watch(start, sample, [abort_growth.Span(0.0, sample.time, sample.value)])
    spans = abort_growth.within(watch, start) if watch else []
    grown = sum(span.count for span in spans)
    minutes = grants.minutes(sample.time - spans[0].start) if spans else 0
    if watch and watch.since <= start:
        return Counter(sample.value, grown, minutes)
    gap = f"it is not known when TCPAbortOnMemory rose to {sample.value}"
    if watch and watch.since < sample.time:
        gap += f" before the last {grants.minutes(sample.time - watch.since)} min"
    return Counter(sample.value, grown, minutes, f"{gap}: {loss}" if loss else gap)
