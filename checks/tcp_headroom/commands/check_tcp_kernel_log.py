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
from tcp_headroom.commands.kernel_log import UNREADABLE, KernelLog
from tcp_headroom.log import choice, messages, proof, views

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NAME = "TCP KERNEL LOG"

REASONS = {
    messages.MEMORY: "out of TCP memory",
    messages.ORPHANS: "too many orphans",
    messages.UNCLEAR: "too many orphans or out of TCP memory",
}
"""What the messages of a cause say, the gravest first."""

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
        help="read this log file and its rotated files; may be repeated",
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
        source, arguments.kmsg or views.DEVICE, journal, arguments.file or [], arguments.log_host,
        arguments.silence[1], arguments.timeout / 2,
    )  # fmt: skip


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


def resets(seen: KernelLog) -> str:
    """What the counter says, beside what the log says."""
    total = sum(span.count for span in seen.growth)
    when = seen.clock.booted + seen.growth[0].start
    since = moment(when, seen.clock.now)
    if seen.by_counter:
        return f"sockets were reset: {total} since {since}, by the counter alone"
    return f"more resets than messages: {total} since {since}, {seen.hits(since=when - 1)} in the log"


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
        yield f"{UNREADABLE}: {seen.unreadable}"
        if seen.remedy:
            yield seen.remedy
        return
    if not seen.view:
        return
    if seen.witnessed:
        # Before anything that may have no room: the line names what its OK rests on.
        yield "No socket reset, by the counter of this network namespace"
    source = f"Read from {seen.view.shown}"
    if round(seen.coverage, 1) < 100 and not proof.complete(seen.view.proof, seen.window):
        source += f", which shows {wording.percent(seen.coverage)} of that time"
    boot = proof.start(seen.view.proof, seen.window)
    if boot > seen.window.start:
        source += f", since the boot {wording.age(seen.clock.now - boot)}"
    yield source
    if seen.witnessed:
        why = seen.lack.reason if seen.lack else "it does not go back far enough"
        yield f"The log alone does not prove it: {why}"
    containers = sorted({event.container for event in seen.view.events if event.container})
    if containers:
        yield f"Of container {wording.clean(' and container '.join(containers[:3]), 120)}"
    causes = [f"{seen.hits(cause)} {cause}" for cause in messages.CAUSES if seen.hits(cause)]
    if len(causes) > 1:
        yield f"By cause: {', '.join(causes)}"
    suppressed = seen.hits(views.SUPPRESSED)
    if suppressed:
        yield f"{wording.count(suppressed, 'more message')} of the network code suppressed"


def explanation(seen: KernelLog) -> Iterator[str]:
    """The further lines of ``-v``."""
    if seen.view:
        yield (
            "The real number of resets may be larger: the kernel prints at most ten network messages in five seconds. "
            "Each message stands for at least one connection that was reset."
        )
        shown = seen.view.shown
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
            f"TCPAbortOnMemory: {wording.count(seen.sample.value, 'orphan')} reset in this network namespace since it began. "
            "This counter misses no reset, but it does not see other network namespaces (containers)."
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
        Hits("memory_hits", *((None, None) if arguments.critical else (none, none))),
        Unexplained("unexplained"),
        Coverage("coverage"),
    )
