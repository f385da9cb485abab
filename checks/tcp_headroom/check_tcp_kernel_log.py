"""check_tcp_kernel_log: has the kernel complained about socket memory lately?

Takes what ``kernel_log`` found in a lookback window, so that a hit stays visible
over soft states and clears by itself, and adds TCPAbortOnMemory from
``netstat``. Hits are a lower bound: the kernel prints at most ten lines in five
seconds.
"""

from __future__ import annotations

import argparse
import re

from tcp_headroom import clock, kernel_log, kernel_messages, log_view, netstat, plugin, wording
from tcp_headroom.blind import Blind

import nagiosplugin  # after plugin, which says when it is missing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

NAME = "TCP KERNEL LOG"

NEXT_STEPS = {
    "memory_hits": "see check_tcp_mem -v; find which sockets hold the memory (ss -tm), or raise net.ipv4.tcp_mem",
    "hits": "see check_tcp_orphans -v; find the service that closes with unsent data (ss -tan state fin-wait-1), "
    "or raise net.ipv4.tcp_max_orphans",
}

LABELS = {
    kernel_messages.ORPHANS: "orphan_hits",
    kernel_messages.MEMORY: "memory_hits",
    kernel_messages.UNCLEAR: "unclear_hits",
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
        "--source", choices=("auto", "kmsg", "journal", "file"), help="where to read; default: auto, the best that can be read"
    )
    parser.add_argument("--kmsg", metavar="PATH", help="the kernel ring, or a capture of it; default: /dev/kmsg")
    parser.add_argument("--journal-file", metavar="PATH", help="read this journal file")
    parser.add_argument("--journal-dir", metavar="PATH", help="read the journal in this directory")
    parser.add_argument(
        "--file", metavar="PATH", action="append",
        help="read this log file and its rotated siblings; may be repeated, the first that can be read counts",
    )  # fmt: skip
    parser.add_argument("--log-host", metavar="NAME", help="in a log file of many hosts, count the lines of this one")
    parser.add_argument(
        "--min-coverage", metavar="PERCENT", type=percentage, default=50.0,
        help="UNKNOWN instead of OK when less of the window could be seen; default: 50",
    )  # fmt: skip
    return parser


def duration(text: str) -> tuple[str, int]:
    """An option's type: a duration as written and in seconds."""
    match = re.fullmatch("([0-9]{1,6})([smhd])", text, re.ASCII)
    if not match or int(match[1]) < 1:
        raise argparse.ArgumentTypeError(f"{wording.clean(text, 40)} is not a duration; examples: 90s 15m 1h 2d")
    return text, int(match[1]) * UNITS[match[2]]


def percentage(text: str) -> float:
    """An option's type: 0 to 100, a percent sign allowed."""
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,4})?%?", text, re.ASCII) or float(text.rstrip("%")) > 100:
        raise argparse.ArgumentTypeError(f"{wording.clean(text, 40)} is not a percentage from 0 to 100")
    return float(text.rstrip("%"))


def request(parser: plugin.Parser, arguments: argparse.Namespace) -> kernel_log.Request:
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
    return kernel_log.Request(source, arguments.kmsg or "/dev/kmsg", journal, arguments.file or [], arguments.log_host)


class KernelLog(nagiosplugin.Resource):
    """What the log and the counter say; what could not be read is None."""

    def __init__(self, root: str, asked: kernel_log.Request, lookback: tuple[str, int], min_coverage: float) -> None:
        self.root = root
        self.asked = asked
        self.lookback, self.seconds = lookback
        self.min_coverage = min_coverage
        self.clock = clock.read()
        self.view: log_view.View | None = None
        self.aborts: int | None = None
        self.refused: list[str] = []
        self.left_out: list[str] = []

    @property
    def window(self) -> log_view.Window:
        return log_view.Window(self.clock.now - self.seconds, self.clock.now)

    @property
    def coverage(self) -> float:
        """Share of the window that was seen, in percent."""
        return log_view.coverage(self.view, self.window) if self.view else 0.0

    def total(self, *causes: str) -> int:
        """The messages seen of these causes."""
        return sum(event.count for event in self.view.events if event.cause in causes) if self.view else 0

    def probe(self) -> Generator[nagiosplugin.Metric, None, None]:
        try:
            self.aborts = netstat.read(self.root)["TCPAbortOnMemory"]
            yield nagiosplugin.Metric("aborts_on_memory", self.aborts, "c", context="gauge")
        except KeyError:
            self.left_out.append(f"aborts_on_memory: {netstat.FILE} has no TCPAbortOnMemory")
        except Blind as reason:
            self.left_out.append(f"aborts_on_memory: {reason}")
        try:
            self.view, self.refused = kernel_log.look(self.asked, self.clock, self.window)
        except Blind as reason:
            self.refused = reason.args[1]
            yield plugin.blind(f"cannot see the kernel log: {reason.args[0]}")
            return
        except nagiosplugin.Timeout as limit:
            yield plugin.blind(f"gave up after {limit} while reading the kernel log; allow more time with -t, or shorten --lookback")
            return
        yield nagiosplugin.Metric("hits", self.total(*kernel_messages.CAUSES), min=0, context="hits")
        for cause in kernel_messages.CAUSES:
            context = "memory_hits" if cause == kernel_messages.MEMORY else "gauge"
            yield nagiosplugin.Metric(LABELS[cause], self.total(cause), min=0, context=context)
        yield nagiosplugin.Metric("suppressed", self.total(log_view.SUPPRESSED), min=0, context="gauge")
        yield nagiosplugin.Metric("coverage", self.coverage, "%", min=0, max=100, context="coverage")


class Hits(plugin.Gauge):
    """Judges a number of hits by ranges."""

    def __init__(self, name: str, warning: nagiosplugin.Range | None, critical: nagiosplugin.Range | None) -> None:
        super().__init__(name, warning, critical)
        self.limits = (warning, critical)

    def evaluate(self, metric: nagiosplugin.Metric, resource: nagiosplugin.Resource) -> nagiosplugin.Result:
        state = plugin.judge(metric, *self.limits).state
        return nagiosplugin.Result(state, None, metric)


class Coverage(plugin.Gauge):
    """UNKNOWN when too little of the window was seen and nothing found in it."""

    def evaluate(self, metric: nagiosplugin.Metric, resource: nagiosplugin.Resource) -> nagiosplugin.Result:
        assert isinstance(resource, KernelLog)
        if metric.value >= resource.min_coverage or resource.total(*kernel_messages.CAUSES):
            return nagiosplugin.Result(nagiosplugin.Ok, None, metric)
        return nagiosplugin.Result(
            nagiosplugin.Unknown,
            f"that is less than the {wording.number(resource.min_coverage)} % of --min-coverage; shorten --lookback, enlarge "
            "the ring (log_buf_len), or let the check read the journal",
            metric,
        )


def facts(seen: KernelLog) -> str:
    """The first sentence of the status line."""
    if not seen.view:
        return ""
    hits = seen.total(*kernel_messages.CAUSES)
    window = f"in the last {seen.lookback}"
    if hits:
        latest = max(event.when for event in seen.view.events if event.cause != log_view.SUPPRESSED)
        causes = [f"{seen.total(cause)} {cause}" for cause in kernel_messages.CAUSES if seen.total(cause)]
        ago = wording.age(seen.clock.now - latest)
        text = f"at least {wording.count(hits, 'message')} about socket memory {window}, cause: {', '.join(causes)}; the last {ago}"
    else:
        text = f"no message about socket memory {window}"
    text += f"; read from {wording.path(seen.view.source)}"
    if seen.coverage < 100:
        text += f", which shows {wording.percent(seen.coverage)} of that time"
    swallowed = seen.total(log_view.SUPPRESSED)
    if swallowed:
        text += f"; {wording.count(swallowed, 'further kernel network message')}, of any kind, swallowed by the rate limit"
    return text


def explanation(seen: KernelLog) -> Iterator[str]:
    """The further lines of ``-v``."""
    if seen.view:
        yield (
            "Hits are a lower bound: the kernel prints at most ten such lines in five seconds, shared with all its other "
            "network messages. Each stands for at least one connection that was reset."
        )
        for note in seen.view.notes:
            yield f"{wording.path(seen.view.source)}: {note}"
    for reason in seen.refused:
        yield f"not used: {reason}"
    if seen.aborts is not None:
        yield (
            f"TCPAbortOnMemory is {seen.aborts}: so many orphans of this network namespace were reset since it began; "
            "unlike the log it misses none, but it does not see other namespaces."
        )
    for reason in seen.left_out:
        yield f"left out, {reason}"


@plugin.guarded(NAME)
def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of the command; exits with the state."""
    parser = build_parser()
    arguments = parser.parse_args(argv)
    seen = KernelLog(arguments.procfs, request(parser, arguments), arguments.lookback, arguments.min_coverage)
    none = nagiosplugin.Range("0")
    plugin.run(
        NAME,
        arguments,
        seen,
        plugin.Gauge("gauge"),
        Hits("hits", arguments.warning or none, arguments.critical),
        Hits("memory_hits", None, None if arguments.critical else none),
        Coverage("coverage"),
        plugin.Wording(lambda: facts(seen), lambda: explanation(seen), NEXT_STEPS),
    )
