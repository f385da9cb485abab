"""check_tcp_kernel_log: has the kernel complained about socket memory lately?

Takes what ``choice`` finds in a lookback window, so that a hit stays visible
over soft states and clears by itself, and joins it with what earlier runs knew
(``log_history``). Whether it is OK or UNKNOWN is decided by what the log proves
(``proof``). Hits are a lower bound: the kernel prints at most ten lines in five
seconds. So they are compared with the growth of TCPAbortOnMemory (``abort_growth``),
which is exact but per network namespace; where the log proves too little and nothing
contradicts, that growth is the witness, and the status line says so.
"""

from __future__ import annotations

import argparse
import time

import nagiosplugin

from tcp_headroom import wording
from tcp_headroom.blind import Blind
from tcp_headroom.commands import options, plugin
from tcp_headroom.log import choice, messages, proof, views
from tcp_headroom.memory import abort_growth, log_history, state
from tcp_headroom.proc import clock, netstat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

NAME = "TCP KERNEL LOG"

REASONS = {
    messages.MEMORY: "out of TCP memory",
    messages.ORPHANS: "too many orphans",
    messages.UNCLEAR: "too many orphans or out of TCP memory",
}
"""What the messages of a cause say, the gravest first."""

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

UNREADABLE = "no kernel log"


EXAMPLES = """\
  check_tcp_kernel_log --lookback 2h
  check_tcp_kernel_log --file /var/log/remote/all.log --log-host web1"""


def build_parser() -> options.Parser:
    """The command's options."""
    parser = options.parser(
        "check_tcp_kernel_log",
        "Counts what the kernel said in the last hour about too little TCP memory or too\nmany orphans.",
        EXAMPLES,
        percent=False,
        default=("any message", "any out-of-memory one"),
    )
    judging, reading = parser.judging, parser.reading
    judging.add_argument(
        "--lookback", metavar="DURATION", type=options.duration, default="1h",
        help="look so far back, a whole number and one of s, m, h, d; default: 1h",
    )  # fmt: skip
    judging.add_argument(
        "--min-coverage", metavar="PERCENT", type=options.percentage, default=50.0,
        help="UNKNOWN if less of that time was seen; default: 50",
    )  # fmt: skip
    reading.add_argument(
        "--source",
        choices=("auto", "kmsg", "journal", "file"),
        help="read this kind of log; default: auto, the best that can be read",
    )
    reading.add_argument("--kmsg", metavar="PATH", help="the kernel ring, or a copy of it; default: /dev/kmsg")
    reading.add_argument("--journal-file", metavar="PATH", help="read this journal file")
    reading.add_argument("--journal-dir", metavar="PATH", help="read the journal in this directory")
    reading.add_argument(
        "--file", metavar="PATH", action="append",
        help="read this log file and its rotated files; if repeated, only the best of them counts",
    )  # fmt: skip
    reading.add_argument("--log-host", metavar="NAME", help="in a log of many hosts, count the lines of this one")
    reading.add_argument(
        "--silence", metavar="DURATION", type=options.duration, default="1s",
        help="the host of a log that is not this host's may be quiet for so long; default: not at all",
    )  # fmt: skip
    options.add_state(parser)
    return parser


def request(parser: options.Parser, arguments: argparse.Namespace) -> choice.Request:
    """The sources asked for; a usage error if two kinds are, or one that contradicts --source."""
    named = {
        "kmsg": arguments.kmsg is not None,
        "journal": arguments.journal_file is not None or arguments.journal_dir is not None,
        "file": arguments.file is not None,
    }
    kinds = {kind for kind, given in named.items() if given} | ({arguments.source} if arguments.source else set())
    if len(kinds) > 1:
        parser.error(f"these name more than one source: {', '.join(sorted(kinds))}")
    journal = []
    if arguments.journal_file is not None:
        journal.append(f"--file={arguments.journal_file}")
    if arguments.journal_dir is not None:
        journal.append(f"--directory={arguments.journal_dir}")
    if len(journal) > 1:
        parser.error("--journal-file and --journal-dir name two journals")
    source = kinds.pop() if kinds else "auto"
    return choice.Request(
        source, arguments.kmsg or choice.DEVICE, journal, arguments.file or [], arguments.log_host,
        arguments.silence[1], arguments.timeout / 2,
    )  # fmt: skip


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
            self.remedy = reason.remedy
        self.notes += [f"not used: {reason}" for reason in refused]
        found = log_history.consult(
            self.path, self.patience, name, self.view, self.sample, self.clock, self.window, chosen
        )
        self.view, self.watch = found.view, found.watch
        self.notes += found.notes


class Hits(plugin.Judged):
    """Judges a number of hits by ranges."""

    def evaluate(self, metric: nagiosplugin.Metric, resource: nagiosplugin.Resource) -> nagiosplugin.Result:
        assert isinstance(resource, KernelLog)
        state = plugin.judge(metric, *self.limits).state
        return nagiosplugin.Result(state, None if state == nagiosplugin.Ok else found(resource), metric)


class Unexplained(nagiosplugin.Context):
    """WARNING when sockets were reset that the log has no message for."""

    def evaluate(self, metric: nagiosplugin.Metric, resource: nagiosplugin.Resource) -> nagiosplugin.Result:
        assert isinstance(resource, KernelLog)
        if not metric.value:
            return nagiosplugin.Result(nagiosplugin.Ok, None, metric)
        return nagiosplugin.Result(nagiosplugin.Warn, resets(resource), metric)


class Coverage(plugin.Gauge):
    """UNKNOWN where no hit alarms and the log proves too little, unless the counter is a witness."""

    def evaluate(self, metric: nagiosplugin.Metric, resource: nagiosplugin.Resource) -> nagiosplugin.Result:
        assert isinstance(resource, KernelLog)
        if resource.alarms or resource.unexplained or resource.proven:
            return nagiosplugin.Result(nagiosplugin.Ok, None, metric)
        if resource.doubt:
            return nagiosplugin.Result(nagiosplugin.Unknown, resource.doubt, metric)
        seen, least = wording.percent(resource.coverage), wording.number(resource.min_coverage)
        text = f"only {seen} of the last {resource.lookback} seen, {least} % needed"
        if resource.lack and not resource.by_counter:
            text += f": {resource.lack.reason}"
        return nagiosplugin.Result(nagiosplugin.Unknown, text, metric)


def moment(when: float, now: float) -> str:
    """A time of day, with the date where it is not within the last day, in local time."""
    return time.strftime("%H:%M" if 0 <= now - when < 86400 else "%Y-%m-%d %H:%M", time.localtime(when))


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


def resets(seen: KernelLog) -> str:
    """What the counter says, beside what the log says."""
    total = sum(span.count for span in seen.growth)
    when = seen.clock.booted + seen.growth[0].start
    since = moment(when, seen.clock.now)
    if seen.by_counter:
        return f"sockets were reset: {total} since {since}, by the counter alone"
    text = wording.count(total, "socket")
    return f"more resets than messages: {text} reset since {since}, {seen.hits(since=when - 1)} in the log"


def found(seen: KernelLog) -> str:
    """What the messages say, and how many they are."""
    view = seen.view
    latest = max((event.when for event in view.events if event.cause != views.SUPPRESSED), default=0.0) if view else 0.0
    reason = next((text for cause, text in REASONS.items() if seen.hits(cause)), "messages")
    text = f"{wording.count(seen.hits(), 'message')} in the last {seen.lookback}"
    return f"{reason}: {text}, the last {wording.age(seen.clock.now - latest)}" if seen.hits() else text


def figure(seen: KernelLog) -> str:
    """How many messages, or resets where no log can be read."""
    if seen.by_counter and seen.growth:
        return resets(seen)
    if seen.hits():
        return found(seen)
    if seen.by_counter:
        return f"no socket reset in the last {seen.lookback}, by the counter alone"
    return f"no message about TCP memory or orphans in the last {seen.lookback}" if seen.view else ""


def rest(seen: KernelLog) -> Iterator[str]:
    """What the figure is taken from, and what it may miss."""
    if seen.by_counter:
        if round(seen.coverage, 1) < 100:
            yield f"Counter watched for {wording.percent(seen.coverage)} of that time"
        if seen.hits():
            yield f"Earlier runs saw {wording.count(seen.hits(), 'message')}"
        # With the remedy: a check that cannot see its log must not look healthy.
        yield f"{UNREADABLE}: {'; '.join(filter(None, [seen.unreadable, seen.remedy]))}"
        return
    if not seen.view:
        return
    source = f"Read from {wording.path(seen.view.source)}"
    if round(seen.coverage, 1) < 100 and not proof.complete(seen.view.proof, seen.window):
        source += f", which shows {wording.percent(seen.coverage)} of that time"
    boot = proof.start(seen.view.proof, seen.window)
    if boot > seen.window.start:
        source += f", since the boot {wording.age(seen.clock.now - boot)}"
    yield source
    if seen.witnessed:
        why = seen.lack.reason if seen.lack else "it does not go back far enough"
        yield f"No socket reset, by the counter of this network namespace; the log alone does not prove it: {why}"
    containers = sorted({event.container for event in seen.view.events if event.container})
    if containers:
        yield f"Of container {wording.clean(' and container '.join(containers[:3]), 120)}"
    causes = [f"{seen.hits(cause)} {cause}" for cause in messages.CAUSES if seen.hits(cause)]
    if len(causes) > 1:
        yield f"By cause: {', '.join(causes)}"
    suppressed = seen.hits(views.SUPPRESSED)
    if suppressed:
        yield f"{wording.count(suppressed, 'more message')} of the kernel's network code suppressed"


def explanation(seen: KernelLog) -> Iterator[str]:
    """The further lines of ``-v``."""
    if seen.view:
        yield (
            "The real number of resets may be larger: the kernel prints at most ten network messages in five seconds. "
            "Each message stands for at least one connection that was reset."
        )
        shown = wording.path(seen.view.source)
        now = seen.clock.now
        for first, end in reversed(seen.view.proof.spans[-3:]):
            until = "" if end > now - 1 else f" until {moment(end, now)}"
            yield f"{shown} has seen everything since {moment(first, now)}{until}"
        for text in (*seen.view.proof.evidence, *seen.view.notes):
            yield f"{shown}: {text}"
        for lack in (*seen.view.proof.doubts, *seen.view.proof.lacks):
            yield f"not proven: {lack}"
        if any(event.container.endswith(", 1 orphan") for event in seen.view.events):
            yield "A container that had 1 orphan cannot have passed tcp_max_orphans."
    if seen.sample:
        yield (
            f"TCPAbortOnMemory is {seen.sample.value}: so many orphans of this network namespace were reset since it "
            "began. This counter misses no reset, but it does not see other network namespaces (containers)."
        )
        if seen.growth:
            yield resets(seen)
        if not seen.comparable:
            yield "the counter is not compared with this log, which may be from another host"
    yield from seen.gaps()
    yield from seen.notes


def conclusion(seen: KernelLog, alarm: bool, stop: Blind | None) -> str:
    """The verdict, by this window and by the gauges beside it, unless they may be another host's.

    The parameters are those of ``plugin.Wording.conclusion``.
    """
    from tcp_headroom.verdict import conclusion as verdict  # for -v alone
    from tcp_headroom.verdict.evidence import Past

    apart = None
    if seen.late:
        apart = Blind(seen.late)
    elif seen.view and not seen.comparable:
        apart = Blind("this log may be from another host than the numbers in /proc")
    why = seen.late or (seen.unreadable and f"{UNREADABLE}: {seen.unreadable}")
    log = verdict.log_of(seen.view, seen.window, why)
    sample = None if apart else seen.sample
    counter = verdict.counter_of(sample, seen.watch, seen.start, seen.root == "/proc", str(apart))
    past = Past(seen.lookback, log, counter)
    return verdict.conclusion(seen.root, seen.path, past=past, alarm=alarm, stop=apart or stop)


@plugin.guarded(NAME)
def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of the command; exits with the state."""
    parser = build_parser()
    arguments = parser.parse_args(argv)
    seen = KernelLog(arguments, request(parser, arguments))
    none = nagiosplugin.Range("0")
    plugin.run(
        NAME,
        arguments,
        plugin.Wording(seen, figure, rest, explanation, seen.steps, conclusion),
        seen,
        Hits("hits", arguments.warning or none, arguments.critical),
        Hits("memory_hits", None, None if arguments.critical else none),
        Unexplained("unexplained"),
        Coverage("coverage"),
    )
