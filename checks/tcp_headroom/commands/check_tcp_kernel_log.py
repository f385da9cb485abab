"""check_tcp_kernel_log: has the kernel complained about socket memory lately?

Takes what ``choice`` finds in a lookback window, so that a hit stays visible
over soft states and clears by itself, and joins it with what earlier runs knew
(``log_history``). Whether that is OK or UNKNOWN is decided by what the log proves
(``proof``). Hits are a lower bound: the kernel prints at most ten lines in
five seconds. So they are compared with the growth of TCPAbortOnMemory
(``abort_growth``), which is exact but per network namespace; where the log proves
too little and nothing contradicts, that growth is the witness, and the status line says so.
"""

from __future__ import annotations

import argparse
import functools
import re
import time

import nagiosplugin

from tcp_headroom import wording
from tcp_headroom.blind import Blind
from tcp_headroom.commands import plugin
from tcp_headroom.log import choice, messages, proof, views
from tcp_headroom.memory import abort_growth, log_history, state
from tcp_headroom.proc import clock, netstat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

NAME = "TCP KERNEL LOG"

NEXT_STEPS = {
    "memory_hits": "see check_tcp_mem -v; find which sockets hold the memory (ss -tm), or raise net.ipv4.tcp_mem",
    "hits": "see check_tcp_orphans -v; find the service that closes with unsent data (ss -tan state fin-wait-1), "
    "or raise net.ipv4.tcp_max_orphans",
    "unexplained": "see check_tcp_orphans -v and check_tcp_mem -v; let the check read the kernel log for the cause",
}
BOTH_CAUSES = "see check_tcp_orphans -v and check_tcp_mem -v; the messages fit both limits"

LABELS = {
    messages.ORPHANS: "orphan_hits",
    messages.MEMORY: "memory_hits",
    messages.UNCLEAR: "unclear_hits",
}

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def build_parser() -> plugin.Parser:
    """The command's options."""
    parser = plugin.parser(
        "check_tcp_kernel_log",
        "Counts the kernel's messages about exhausted TCP socket memory within a lookback window.",
        percent=False,
        default=("any hit", "any hit that names tcp_mem as the cause"),
    )
    parser.add_argument(
        "--lookback", metavar="DURATION", type=duration, default="1h",
        help="how far back to look, an integer and one of s, m, h, d; default: 1h",
    )  # fmt: skip
    parser.add_argument(
        "--source",
        choices=("auto", "kmsg", "journal", "file"),
        help="where to read; default: auto, the best that can be read",
    )
    parser.add_argument("--kmsg", metavar="PATH", help="the kernel ring, or a capture of it; default: /dev/kmsg")
    parser.add_argument("--journal-file", metavar="PATH", help="read this journal file")
    parser.add_argument("--journal-dir", metavar="PATH", help="read the journal in this directory")
    parser.add_argument(
        "--file", metavar="PATH", action="append",
        help="read this log file and its rotated siblings; may be repeated: alternatives, never added up",
    )  # fmt: skip
    parser.add_argument("--log-host", metavar="NAME", help="in a log file of many hosts, count the lines of this one")
    parser.add_argument(
        "--silence", metavar="DURATION", type=duration, default="1s",
        help="how long the host of a log that is not this host's may be quiet; default: it may not",
    )  # fmt: skip
    parser.add_argument(
        "--min-coverage", metavar="PERCENT", type=percentage, default=50.0,
        help="UNKNOWN instead of OK when less of the window could be seen; default: 50",
    )  # fmt: skip
    state.add_options(parser)
    return parser


def duration(text: str) -> tuple[str, int]:
    """An option's type: a duration as written and in seconds."""
    number, unit = text[:-1], text[-1:]
    if not (number.isascii() and number.isdigit() and len(number) <= 6 and int(number) and unit in UNITS):
        raise argparse.ArgumentTypeError(f"{wording.clean(text, 40)} is not a duration; examples: 90s 15m 1h 2d")
    return text, int(number) * UNITS[unit]


def percentage(text: str) -> float:
    """An option's type: 0 to 100, a percent sign allowed."""
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,4})?%?", text, re.ASCII) or float(text.rstrip("%")) > 100:
        raise argparse.ArgumentTypeError(f"{wording.clean(text, 40)} is not a percentage from 0 to 100")
    return float(text.rstrip("%"))


def request(parser: plugin.Parser, arguments: argparse.Namespace) -> choice.Request:
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


class KernelLog(nagiosplugin.Resource):
    """What the log, the counter and earlier runs say; what could not be read is None."""

    def __init__(self, arguments: argparse.Namespace, asked: choice.Request) -> None:
        self.root: str = arguments.procfs
        self.asked = asked
        lookback: tuple[str, int] = arguments.lookback
        self.lookback, self.seconds = lookback
        self.min_coverage: float = arguments.min_coverage
        self.arguments = arguments
        self.path: str | None = None
        self.patience = arguments.timeout / 4
        self.clock = clock.read(self.root)
        self.view: views.View | None = None
        self.sample: abort_growth.Sample | None = None
        self.watch: abort_growth.Watch | None = None
        self.unreadable = self.late = ""
        self.own = asked.local
        """Whether the log is this host's own, as far as paths and lines tell."""
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
    def gap(self) -> str:
        """Why this is no OK, though nothing was found; empty if it is proven."""
        if self.view and self.view.proof.doubts:
            return str(self.view.proof.doubts[0])
        if self.coverage >= self.min_coverage:
            return ""
        if self.by_counter:
            remedy = "wait for more runs, or " + self.unreadable.rpartition("; ")[2]
        elif self.view and self.view.proof.lacks:
            remedy = self.view.proof.lacks[0]
        else:
            remedy = "shorten --lookback, or let the check read a log that reaches further back"
        return f"that is less than the {wording.number(self.min_coverage)} % of --min-coverage; {remedy}"

    @property
    def witnessed(self) -> bool:
        """Whether the counter alone shows that nothing happened, where the log only proves too little."""
        if self.by_counter or not self.view or self.view.proof.doubts or not self.comparable:
            return False
        return self.coverage < self.min_coverage and self.counted >= 100 and not self.growth and not self.hits()

    @property
    def comparable(self) -> bool:
        """Whether log and counter belong to one host, as far as options and lines tell."""
        if self.root == "/proc":
            return self.own
        return not self.asked.local

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
        try:
            value = netstat.read(self.root, [netstat.ABORTS])[netstat.ABORTS]
            self.sample = abort_growth.Sample(self.clock.boot, netstat.namespace(self.root), self.clock.boottime, value)
            yield nagiosplugin.Metric("aborts_on_memory", value, "c", context="gauge")
        except KeyError:
            self.notes.append(f"left out, aborts_on_memory: {netstat.FILE} has no TCPAbortOnMemory")
        except Blind as reason:
            self.notes.append(f"left out, aborts_on_memory: {reason}")
        try:
            self.look()
        except nagiosplugin.Timeout as limit:
            self.late = f"the check gave up after {limit} while reading the kernel log"
            yield plugin.blind(
                f"gave up after {limit} while reading the kernel log; allow more time with -t, or shorten --lookback"
            )
            return
        if self.unreadable and not self.by_counter:
            yield plugin.blind(f"cannot see the kernel log: {self.unreadable}")
        if self.view:
            yield nagiosplugin.Metric("hits", self.hits(), min=0, context="hits")
            for cause, label in LABELS.items():
                context = "memory_hits" if cause == messages.MEMORY else "gauge"
                yield nagiosplugin.Metric(label, self.hits(cause), min=0, context=context)
            yield nagiosplugin.Metric("suppressed", self.hits(views.SUPPRESSED), min=0, context="gauge")
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
        self.notes += [f"not used: {reason}" for reason in refused]
        found = log_history.consult(
            self.path, self.patience, name, self.view, self.sample, self.clock, self.window, chosen
        )
        self.view, self.watch = found.view, found.watch
        self.notes += found.notes


class Hits(plugin.Gauge):
    """Judges a number of hits by ranges."""

    def __init__(self, name: str, warning: nagiosplugin.Range | None, critical: nagiosplugin.Range | None) -> None:
        super().__init__(name, warning, critical)
        self.limits = (warning, critical)

    def evaluate(self, metric: nagiosplugin.Metric, resource: nagiosplugin.Resource) -> nagiosplugin.Result:
        return nagiosplugin.Result(plugin.judge(metric, *self.limits).state, None, metric)


class Unexplained(nagiosplugin.Context):
    """WARNING when sockets were reset that the log has no message for."""

    def evaluate(self, metric: nagiosplugin.Metric, resource: nagiosplugin.Resource) -> nagiosplugin.Result:
        assert isinstance(resource, KernelLog)
        if not metric.value:
            return nagiosplugin.Result(nagiosplugin.Ok, None, metric)
        return nagiosplugin.Result(nagiosplugin.Warn, None if resource.by_counter else resets(resource), metric)


class Coverage(plugin.Gauge):
    """UNKNOWN where no hit alarms and the log proves too little, unless the counter is a witness."""

    def evaluate(self, metric: nagiosplugin.Metric, resource: nagiosplugin.Resource) -> nagiosplugin.Result:
        assert isinstance(resource, KernelLog)
        if resource.alarms or resource.unexplained or resource.witnessed or not resource.gap:
            return nagiosplugin.Result(nagiosplugin.Ok, None, metric)
        return nagiosplugin.Result(nagiosplugin.Unknown, resource.gap, metric)


def moment(when: float, now: float) -> str:
    """A time of day, with the date where it is not within the last day, in local time."""
    return time.strftime("%H:%M" if 0 <= now - when < 86400 else "%Y-%m-%d %H:%M", time.localtime(when))


def resets(seen: KernelLog) -> str:
    """What the counter says, beside what the log says."""
    total = sum(span.count for span in seen.growth)
    when = seen.clock.booted + seen.growth[0].start
    text = f"the kernel reset {wording.count(total, 'socket')} for lack of memory since {moment(when, seen.clock.now)}"
    return text if seen.by_counter else f"{text}, the log shows {seen.hits(since=when - 1)}"


def next_step(seen: KernelLog, name: str) -> str | None:
    """What to do about the metric ``name``; both checks where the messages do not say which limit it was."""
    causes = [cause for cause in messages.CAUSES if seen.hits(cause)]
    if name in ("hits", "memory_hits") and (len(causes) > 1 or causes == [messages.UNCLEAR]):
        return BOTH_CAUSES
    return NEXT_STEPS.get(name)


def facts(seen: KernelLog) -> str:
    """The first sentence of the status line."""
    window = f"in the last {seen.lookback}"
    if seen.by_counter:
        text = resets(seen) if seen.growth else f"no socket was reset for lack of memory {window}"
        text += ", judged by the counter of this network namespace"
        if round(seen.coverage, 1) < 100:
            text += f", watched for {wording.percent(seen.coverage)} of that time"
        if seen.hits():
            text += f"; earlier runs saw {wording.count(seen.hits(), 'message')} about socket memory"
        # With the remedy: a check that cannot see its log must not look healthy.
        return f"{text}; the kernel log is not readable: {seen.unreadable}"
    if not seen.view:
        return ""
    hits = seen.hits()
    if hits:
        latest = max(event.when for event in seen.view.events if event.cause != views.SUPPRESSED)
        causes = ", ".join(f"{seen.hits(cause)} {cause}" for cause in messages.CAUSES if seen.hits(cause))
        text = (
            f"at least {wording.count(hits, 'message')} about socket memory {window}, the last "
            f"{wording.age(seen.clock.now - latest)}; cause: {causes}"
        )
        named = sorted({event.container for event in seen.view.events if event.container})
        if named:
            text += f"; of container {wording.clean(' and container '.join(named[:3]), 120)}"
    else:
        text = f"no message about socket memory {window}"
    text += f"; read from {wording.path(seen.view.source)}"
    if round(seen.coverage, 1) < 100 and not proof.complete(seen.view.proof, seen.window):
        text += f", which shows {wording.percent(seen.coverage)} of that time"
    boot = proof.start(seen.view.proof, seen.window)
    if boot > seen.window.start:
        text += f", since the boot {wording.age(seen.clock.now - boot)}"
    if seen.witnessed:
        lacks = seen.view.proof.lacks or ("it no longer holds what is older",)
        text += (
            f"; no socket was reset in that time, by the counter of this network namespace; what the log does not prove: "
            f"{lacks[0]}"
        )
    swallowed = seen.hits(views.SUPPRESSED)
    if swallowed:
        text += (
            f"; {wording.count(swallowed, 'further kernel network message')}, of any kind, swallowed by the rate limit"
        )
    return text


def explanation(seen: KernelLog) -> Iterator[str]:
    """The further lines of ``-v``."""
    if seen.view:
        yield (
            "Hits are a lower bound: the kernel prints at most ten such lines in five seconds, shared with all its "
            "other network messages. Each stands for at least one connection that was reset."
        )
        shown = wording.path(seen.view.source)
        now = seen.clock.now
        for first, end in reversed(seen.view.proof.spans[-3:]):
            until = "" if end > now - 1 else f" until {moment(end, now)}"
            yield f"{shown} has seen everything since {moment(first, now)}{until}"
        for text in (*seen.view.proof.evidence, *seen.view.notes):
            yield f"{shown}: {text}"
        for text in (*seen.view.proof.doubts, *seen.view.proof.lacks):
            yield f"not proven: {text}"
    if seen.sample:
        yield (
            f"TCPAbortOnMemory is {seen.sample.value}: so many orphans of this network namespace were reset since it "
            "began; unlike the log it misses none, but it does not see other namespaces."
        )
        if seen.growth:
            yield resets(seen)
        if not seen.comparable:
            yield "the counter is not compared with this log, which may be that of another host"
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
        apart = Blind("the gauges at hand may be those of another host than this log")
    why = seen.late or (seen.unreadable and f"the kernel log is not readable: {seen.unreadable}")
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
        seen,
        plugin.Gauge("gauge"),
        Hits("hits", arguments.warning or none, arguments.critical),
        Hits("memory_hits", None, None if arguments.critical else none),
        Unexplained("unexplained"),
        Coverage("coverage"),
        plugin.Wording(
            lambda: facts(seen),
            lambda: explanation(seen),
            functools.partial(next_step, seen),
            functools.partial(conclusion, seen),
        ),
    )
