"""What the log, the counter and earlier runs say together of a lookback window, and whether that proves an OK."""

from __future__ import annotations

import nagiosplugin

from tcp_headroom.blind import Blind
from tcp_headroom.commands import plugin
from tcp_headroom.log import choice, messages, proof, views
from tcp_headroom.memory import abort_growth, log_history, state
from tcp_headroom.proc import clock, netstat, reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Generator

UNREADABLE = "no kernel log"
_ORPHANS, _MEMORY = "check_tcp_orphans -v", "check_tcp_mem -v"
STEPS = {
    messages.MEMORY: (_MEMORY,),
    messages.ORPHANS: (_ORPHANS,),
    messages.UNCLEAR: (_ORPHANS, _MEMORY),
}

LABELS = {
    messages.ORPHANS: "orphan_hits",
    messages.MEMORY: "memory_hits",
    messages.UNCLEAR: "unclear_hits",
}


class KernelLog(plugin.Host):
    """What the log, the counter and earlier runs say; what could not be read is None."""

    def __init__(self, arguments: argparse.Namespace, asked: choice.Request) -> None:
        super().__init__(arguments)
        self.asked = asked
        lookback: tuple[str, int] = arguments.lookback
        self.lookback, self.seconds = lookback
        self.min_coverage: float = arguments.min_coverage
        self.path: str | None = None
        self.patience = arguments.timeout / 4
        self.clock = clock.read(self.root)
        self.view: views.View | None = None
        self.sample: abort_growth.Sample | None = None
        self.watch: abort_growth.Watch | None = None
        self.unreadable = self.remedy = self.late = ""
        self.own = asked.local
        """Whether the log is this host's own, as far as paths and lines tell."""
        self.steps: dict[str, str] = {}
        self.notes: list[str] = []

    @property
    def window(self) -> views.Window:
        return views.Window(self.clock.now - self.seconds, self.clock.now)

    @property
    def start(self) -> float:
        """The beginning of the window on CLOCK_BOOTTIME; negative where the boot lies inside."""
        return float(self.clock.boottime - self.seconds)

    @property
    def by_counter(self) -> bool:
        """Whether the counter stands in for a log that cannot be read."""
        return bool(self.unreadable) and self.asked.source == "auto" and self.sample is not None

    @property
    def counted(self) -> float:
        """Share of the window of which the counter knows all, in percent."""
        if not (self.sample and self.watch):
            return 0.0
        # Nothing was reset since boot, or all since a boot inside the window: both need no second sample.
        if self.sample.value == 0 or self.start <= 0:
            return 100.0
        return min(100.0, 100 * float(self.clock.boottime - self.watch.since) / self.seconds)

    @property
    def coverage(self) -> float:
        """Share of the window that was seen, in percent."""
        if self.by_counter:
            return self.counted
        return proof.coverage(self.view.proof, self.window) if self.view else 0.0

    @property
    def lack(self) -> Blind | None:
        """What the log does not prove, if anything, and the remedy."""
        return self.view.proof.lacks[0] if self.view and self.view.proof.lacks else None

    @property
    def doubt(self) -> str:
        """What contradicts an OK; empty if nothing does."""
        return str(self.view.proof.doubts[0]) if self.view and self.view.proof.doubts else ""

    @property
    def proven(self) -> bool:
        """Whether it is proven that there is nothing but what was found."""
        return not self.doubt and (self.coverage >= self.min_coverage or self.witnessed)

    @property
    def witnessed(self) -> bool:
        """Whether the counter alone shows that nothing happened, where the log only proves too little."""
        if self.by_counter or not self.view or self.doubt or not self.comparable:
            return False
        return self.coverage < self.min_coverage and self.counted >= 100 and not self.growth and not self.hits()

    @property
    def comparable(self) -> bool:
        """Whether log and counter belong to one host, as far as options and lines tell."""
        return self.own if self.root == "/proc" else not self.asked.local

    @property
    def growth(self) -> list[abort_growth.Span]:
        """The resets counted in spans that reach into the window."""
        if self.sample is None or self.watch is None:
            return []
        alone = self.by_counter or (self.comparable and self.coverage < self.min_coverage)
        if alone and self.start <= 0 and self.sample.value:
            return [abort_growth.Span(0.0, self.clock.boottime, self.sample.value)]
        return abort_growth.within(self.watch, self.start)

    def hits(self, *causes: str, since: float | None = None) -> int:
        """The messages seen of these causes, of all if none is named, since the window began or since ``since``."""
        start = self.window.start if since is None else since
        wanted = causes or messages.CAUSES
        events = self.view.events if self.view else []
        return sum(event.count for event in events if event.cause in wanted and event.when >= start)

    @property
    def alarms(self) -> bool:
        """Whether the hits are outside the ranges of -w and -c."""
        warning, critical = self.arguments.warning or nagiosplugin.Range("0"), self.arguments.critical
        if critical is None and self.hits(messages.MEMORY):
            return True
        return any(limits is not None and not limits.match(self.hits()) for limits in (warning, critical))

    @property
    def unexplained(self) -> int:
        """Resets counted that the log has no message for."""
        if not self.growth or not (self.comparable or self.by_counter):
            return 0
        # A message is printed just before its reset is counted.
        logged = self.hits(since=self.clock.booted + self.growth[0].start - 1)
        return max(0, sum(span.count for span in self.growth) - logged)

    def probe(self) -> Generator[nagiosplugin.Metric, None, None]:
        yield from self.count({"aborts_on_memory": netstat.ABORTS}, f"{netstat.FILE} has no")
        for value in self.counters.values():
            self.sample = abort_growth.Sample(self.clock.boot, netstat.namespace(self.root), self.clock.boottime, value)
        try:
            self.look()
        except nagiosplugin.Timeout as limit:
            self.late = f"the check gave up after {limit} while reading the kernel log"
            remedy = "allow more time with -t, or shorten --lookback"
            yield plugin.blind(Blind(f"gave up after {limit} while reading the kernel log", remedy=remedy))
            return
        if self.root != "/proc" and not self.hits():
            # A tree that is named is meant to be read, even if the log alone would do.
            self.needed(lambda: reading.tree(self.root))
            yield from self.blinds()
        if self.unreadable and not self.by_counter:
            yield plugin.blind(Blind(f"{UNREADABLE}: {self.unreadable}", remedy=self.remedy))
        if self.view:
            yield nagiosplugin.Metric("hits", self.hits(), min=0, context="hits")
            for cause, label in LABELS.items():
                context = "memory_hits" if cause == messages.MEMORY else "gauge"
                yield nagiosplugin.Metric(label, self.hits(cause), min=0, context=context)
            yield nagiosplugin.Metric("suppressed", self.hits(views.SUPPRESSED), min=0, context="gauge")
        self.steps.update(steps(self))
        if self.view or self.by_counter:
            yield nagiosplugin.Metric("coverage", self.coverage, "%", min=0, max=100, context="coverage")
            yield nagiosplugin.Metric("unexplained", self.unexplained, context="unexplained")

    def look(self) -> None:
        """Read the log, and join it and the counter with what earlier runs knew."""
        try:
            self.path = state.chosen(self.arguments)
        except Blind as reason:
            self.notes.append(state.loss(reason))
        begin = log_history.earliest(self.path, self.sample, self.start)
        reach = views.Window(self.clock.now - (self.clock.boottime - begin), self.clock.now)
        refused: list[str] = []
        chosen: choice.Look | None = None
        name = f"{self.lookback} {self.asked.key}"
        try:
            known = log_history.known(self.path, name, self.clock)
            chosen = choice.look(self.asked, self.clock, self.window, reach, known)
            self.view, refused, self.own = chosen.view, chosen.refused, chosen.own
        except Blind as reason:
            self.unreadable, refused = reason.args
            named = self.asked.option
            step = f"check {named}, and the rights of this user" if named else "name a log of this host with --file"
            self.remedy = reason.remedy or step
        self.notes += [f"not used: {reason}" for reason in refused]
        found = log_history.consult(
            self.path, self.patience, name, self.view, self.sample, self.clock, self.window, chosen
        )
        self.view, self.watch = found.view, found.watch
        self.notes += found.notes


def steps(seen: KernelLog) -> dict[str, str]:
    """What to do, by the metric that is found wrong."""
    wanted = dict.fromkeys(step for cause, some in STEPS.items() if seen.hits(cause) for step in some)
    look = "run " + " and ".join(wanted or (_ORPHANS, _MEMORY))
    remedy = seen.lack.remedy if seen.lack else ""
    if seen.doubt:
        remedy = "look at that line in the log"
    return {
        "hits": look,
        "memory_hits": look,
        "unexplained": look,
        "coverage": f"wait for more runs, or {seen.remedy or plugin.LOOK}"
        if seen.by_counter
        else remedy or "shorten --lookback, or let the check read a log that goes back further",
    }
