"""check_tcp_orphans: how far are the orphaned TCP sockets from being too many?

Joins ``sockstat`` (orphans), ``tcp_max_orphans`` (tcp_max_orphans, margins) and
``netstat`` (TCPAbortOnMemory), and keeps the peak of the day (``orphan_peak``). Judged is the share of the limit in use; its
defaults, 25 and 50 %, are the points where a socket with two penalties and with
one is reset.
"""

from __future__ import annotations

import argparse
import functools
import time

import nagiosplugin

from tcp_headroom import wording
from tcp_headroom.blind import Blind
from tcp_headroom.commands import plugin
from tcp_headroom.limits import tcp_max_orphans
from tcp_headroom.memory import orphan_peak, state
from tcp_headroom.proc import netstat, reading, sockstat, sysctl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

NAME = "TCP ORPHANS"

NEXT_STEPS = {
    "usage": "find the service that closes with unsent data (ss -tan state fin-wait-1), or raise "
    "net.ipv4.tcp_max_orphans if there is memory for it, up to 64 KiB an orphan",
    "limit": "set net.ipv4.tcp_max_orphans to the default of the kernel, 4096 for each GiB of memory, at most 262144",
}


def build_parser() -> plugin.Parser:
    """The command's options."""
    parser = plugin.parser(
        "check_tcp_orphans",
        "Compares the orphaned TCP sockets of this machine with tcp_max_orphans, and with the half "
        "and the quarter of it where the kernel begins to reset penalised ones.",
        percent=True,
        default=("25, of tcp_max_orphans in percent: the 4x margin is gone", "50: the 2x margin is gone"),
    )
    parser.add_argument(
        "--max-orphans",
        metavar="N",
        type=limit,
        help="the limit, where tcp_max_orphans cannot be read (in a container)",
    )
    parser.add_argument("--no-owners", action="store_true", help="with -v, do not look up who holds the orphans")
    orphan_peak.add_option(parser)
    state.add_options(parser)
    return parser


def limit(text: str) -> int:
    """An option's type: a limit from 1 on."""
    try:
        value = reading.integer(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{wording.clean(text, 40)} is not a whole number from 1 on")
    return value


class Orphans(nagiosplugin.Resource):
    """What the three files say; what could not be read is None."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.root: str = arguments.procfs
        self.override: int | None = arguments.max_orphans
        # Another tree tells of another machine, whose sockets cannot be listed.
        self.patience = 0 if arguments.no_owners or self.root != "/proc" else arguments.timeout / 4
        self.orphans: int | None = None
        self.limit: int | None = self.override
        self.aborts: int | None = None
        self.left_out: list[str] = []
        self.state = ""
        """The directory of the state, where it can be used."""

    @property
    def usage(self) -> float | None:
        """Share of the limit in use, in percent; None without both or for a limit below 1."""
        if self.orphans is None or self.limit is None or self.limit < 1:
            return None
        return 100 * self.orphans / self.limit

    @property
    def margins(self) -> list[tcp_max_orphans.Margin]:
        if self.orphans is None or self.limit is None:
            return []
        return tcp_max_orphans.margins(self.orphans, self.limit)

    def remember(self, orphans: int) -> None:
        """Note the peak of the day; without a state the result is the same."""
        path = ""
        try:
            path = state.chosen(self.arguments) or ""
            if path:
                orphan_peak.note(path, self.root, orphans, self.arguments.peak_days, time.time())
                self.state = path
        except (Blind, OSError) as reason:
            self.left_out.append(f"the peak: {state.loss(reason, path)}")

    @property
    def peak(self) -> orphan_peak.Peak | None:
        """The most orphans seen in ``--peak-days``; None if nothing is remembered."""
        if not self.state:
            return None
        try:
            return orphan_peak.highest(self.state, self.root, self.arguments.peak_days, time.time())
        except (Blind, OSError):
            return None

    def probe(self) -> Generator[nagiosplugin.Metric, None, None]:
        try:
            self.aborts = netstat.read(self.root, [netstat.ABORTS])[netstat.ABORTS]
            yield nagiosplugin.Metric("aborts_on_memory", self.aborts, "c", context="gauge")
        except KeyError:
            self.left_out.append(f"aborts_on_memory: {netstat.FILE} has no TCPAbortOnMemory")
        except Blind as reason:
            self.left_out.append(f"aborts_on_memory: {reason}")
        try:
            self.orphans = sockstat.read(self.root).orphans
            self.remember(self.orphans)
        except Blind as reason:
            yield plugin.blind(reason)
        try:
            if self.limit is None:
                self.limit = tcp_max_orphans.read(self.root)
        except Blind as reason:
            yield plugin.blind(reason)
        if self.orphans is not None:
            top = self.limit if self.limit and self.limit > 0 else None
            yield nagiosplugin.Metric("orphans", self.orphans, min=0, max=top, context="gauge")
        for margin in self.margins:
            yield nagiosplugin.Metric(f"headroom_{margin.factor}x", margin.left, context="gauge")
        if self.limit is not None:
            yield from plugin.fault("limit", tcp_max_orphans.fault(self.limit))
        if self.usage is not None:
            yield nagiosplugin.Metric("usage", self.usage, "%", min=0, context="usage")


class Usage(plugin.Gauge):
    """Judges the share of the limit by -w and -c, and says what the margins passed mean."""

    def __init__(self, name: str, warning: nagiosplugin.Range, critical: nagiosplugin.Range) -> None:
        super().__init__(name, warning, critical)
        self.limits = (warning, critical)

    def evaluate(self, metric: nagiosplugin.Metric, resource: nagiosplugin.Resource) -> nagiosplugin.Result:
        assert isinstance(resource, Orphans)
        result = plugin.judge(metric, *self.limits)
        if result.state == nagiosplugin.Ok:
            return result
        passed = [margin.factor for margin in resource.margins if margin.left < 0]
        if 1 in passed:
            hint = "the kernel resets every socket that is closed"
        elif 2 in passed:
            hint = "the kernel resets orphans with one penalty (an ICMP error, a lost route, or long silence)"
        elif 4 in passed:
            hint = "the kernel resets orphans with both penalties (an ICMP error or a lost route, and long silence)"
        else:
            return result
        return nagiosplugin.Result(result.state, hint, metric)


def facts(seen: Orphans) -> str:
    """The first sentence of the status line."""
    if seen.orphans is None:
        return ""
    text = wording.count(seen.orphans, "orphan")
    if seen.limit is None:
        return text
    source = f"the limit {seen.limit} given by --max-orphans" if seen.override else f"tcp_max_orphans {seen.limit}"
    if seen.usage is None:
        return f"{text}, {source}"
    text += f", {wording.percent(seen.usage)} of {source}"
    passed = [f"{margin.factor}x margin passed by {-margin.left}" for margin in seen.margins[::-1] if margin.left < 0]
    left = ", ".join(f"{margin.factor}x {margin.left}" for margin in seen.margins[::-1] if margin.left >= 0)
    return "; ".join([text, *passed, *([f"left: {left}"] if left else [])])


def explanation(seen: Orphans) -> Iterator[str]:
    """The further lines of ``-v``."""
    idle = 2 * sysctl.rto_max_seconds(seen.root)
    concerns = {
        1: "any socket that is closed, and any orphan whose timer runs out",
        2: f"an orphan that got an ICMP error, lost its route, or has sent no data for {idle} s",
        4: f"an orphan that did both: an ICMP error or a lost route, and no data for {idle} s",
    }
    for margin in seen.margins:
        state = f"passed by {-margin.left}" if margin.left < 0 else f"{margin.left} left"
        yield f"{margin.factor}x: reset above {margin.limit} orphans, {state}; concerns {concerns[margin.factor]}"
    yield (
        "Orphans are sockets their program has closed while data or the goodbye is still under way; "
        "they are counted for the whole machine, all containers included. TIME_WAIT sockets are not among them."
    )
    if seen.aborts is not None:
        yield (
            f"TCPAbortOnMemory is {seen.aborts}: so many orphans of this network namespace were reset since it "
            "began, for this limit or for tcp_mem."
        )
    if seen.patience:
        from tcp_headroom.sockets import owners

        yield from owners.of_orphans(seen.orphans, seen.patience)
    peak = seen.peak
    if peak:
        span = wording.count(seen.arguments.peak_days, "day")
        yield f"The peak of {span}: {wording.count(peak.orphans, 'orphan')}, {wording.age(time.time() - peak.when)}"
    for reason in seen.left_out:
        yield f"left out, {reason}"


def conclusion(seen: Orphans, alarm: bool, stop: Blind | None) -> str:
    """The verdict, which ends the lines of ``-v``; the parameters are those of ``plugin.Wording.conclusion``."""
    from tcp_headroom.verdict import conclusion as verdict  # for -v alone

    memory = verdict.memory(seen.arguments)
    return verdict.conclusion(seen.root, memory, orphans=seen.orphans, limit=seen.limit, alarm=alarm, stop=stop)


@plugin.guarded(NAME)
def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of the command; exits with the state."""
    arguments = build_parser().parse_args(argv)
    seen = Orphans(arguments)
    warning = arguments.warning or nagiosplugin.Range("25")
    critical = arguments.critical or nagiosplugin.Range("50")
    plugin.run(
        NAME,
        arguments,
        seen,
        plugin.Gauge("gauge"),
        Usage("usage", warning, critical),
        plugin.Wording(
            lambda: facts(seen), lambda: explanation(seen), NEXT_STEPS.get, functools.partial(conclusion, seen)
        ),
    )
