"""check_tcp_kernel_log: has the kernel complained about socket memory lately?

Takes what ``choice`` finds in a lookback window, so that a hit stays visible
over soft states and clears by itself, and joins it with what earlier runs knew
(``log_history``). Hits are a lower bound: the kernel prints at most ten lines in
five seconds. So they are compared with the growth of TCPAbortOnMemory
(``abort_growth``), which is exact but per network namespace; where no log can be
read, that growth alone is judged, and the status line says so.
"""

from __future__ import annotations

import argparse
import time

import nagiosplugin

from tcp_headroom import wording
from tcp_headroom.blind import Blind
from tcp_headroom.commands import options, plugin
from tcp_headroom.log import choice, messages, views
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
    return choice.Request(source, arguments.kmsg or choice.DEVICE, journal, arguments.file or [], arguments.log_host)


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
    def coverage(self) -> float:
        """Share of the window that was seen, in percent."""
        if self.by_counter and self.sample and self.watch:
            # Nothing was reset since boot, or all since a boot inside the window: both need no second sample.
            if self.sample.value == 0 or self.start <= 0:
                return 100.0
            return min(100.0, 100 * float(self.clock.boottime - self.watch.since) / self.seconds)
        return views.coverage(self.view, self.window) if self.view else 0.0

    @property
    def comparable(self) -> bool:
        """Whether log and counter belong to one host, as far as the options tell."""
        return bool(self.asked.local == (self.root == "/proc"))

    @property
    def growth(self) -> list[abort_growth.Span]:
        """The resets counted in spans that reach into the window."""
        if self.sample is None or self.watch is None:
            return []
        if self.by_counter and self.start <= 0 and self.sample.value:
            return [abort_growth.Span(0.0, self.clock.boottime, self.sample.value)]
        return abort_growth.within(self.watch, self.start)

    def hits(self, *causes: str, since: float | None = None) -> int:
        """The messages seen of these causes, of all if none is named, since the window began or since ``since``."""
        start = self.window.start if since is None else since
        wanted = causes or messages.CAUSES
        events = self.view.events if self.view else []
        return sum(event.count for event in events if event.cause in wanted and event.when >= start)

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
        try:
            chosen = choice.look(self.asked, self.clock, self.window, reach)
            self.view, refused = chosen.view, chosen.refused
        except Blind as reason:
            self.unreadable, refused = reason.args
            self.remedy = reason.remedy
        self.notes += [f"not used: {reason}" for reason in refused]
        name = f"{self.lookback} {self.asked.key}"
        found = log_history.consult(self.path, self.patience, name, self.view, self.sample, self.clock, self.window)
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
    """UNKNOWN when too little of the window was seen, and nothing was found in it."""

    def evaluate(self, metric: nagiosplugin.Metric, resource: nagiosplugin.Resource) -> nagiosplugin.Result:
        assert isinstance(resource, KernelLog)
        if metric.value >= resource.min_coverage or resource.hits() or resource.unexplained:
            return nagiosplugin.Result(nagiosplugin.Ok, None, metric)
        seen, least = wording.percent(resource.coverage), wording.number(resource.min_coverage)
        text = f"only {seen} of the last {resource.lookback} seen, {least} % needed"
        return nagiosplugin.Result(nagiosplugin.Unknown, text, metric)


def moment(when: float, now: float) -> str:
    """A time of day, with the date where it is not within the last day, in local time."""
    return time.strftime("%H:%M" if 0 <= now - when < 86400 else "%Y-%m-%d %H:%M", time.localtime(when))


def steps(seen: KernelLog) -> dict[str, str]:
    """What to do, by the metric that is found wrong."""
    wanted = dict.fromkeys(step for cause, some in STEPS.items() if seen.hits(cause) for step in some)
    look = "run " + " and ".join(wanted or (_ORPHANS, _MEMORY))
    return {
        "hits": look,
        "memory_hits": look,
        "unexplained": look,
        "coverage": f"wait for more runs, or {seen.remedy or plugin.LOOK}"
        if seen.by_counter
        else "shorten --lookback, or let the check read a log that goes back further",
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
    if round(seen.coverage, 1) < 100:
        source += f", which shows {wording.percent(seen.coverage)} of that time"
    yield source
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
        yield f"{shown} has seen everything since {moment(seen.view.since, seen.clock.now)}"
        for note in seen.view.notes:
            yield f"{shown}: {note}"
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
