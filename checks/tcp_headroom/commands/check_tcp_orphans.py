"""check_tcp_orphans: how far are the orphaned TCP sockets from being too many?

Joins ``sockstat`` (orphans), ``tcp_max_orphans`` (tcp_max_orphans, margins) and
``netstat`` (TCPAbortOnMemory), and keeps the peak of the day (``orphan_peak``). Judged is the share of the limit in use; its
defaults, 25 and 50 %, are the points where a socket with two penalties and with
one is reset.
"""

from __future__ import annotations

import time

import nagiosplugin

from tcp_headroom import wording
from tcp_headroom.blind import Blind
from tcp_headroom.commands import options, plugin
from tcp_headroom.limits import tcp_max_orphans
from tcp_headroom.limits.tcp_max_orphans import FACTORS
from tcp_headroom.memory import orphan_peak, state
from tcp_headroom.proc import netstat, sockstat, sysctl

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Generator, Iterator, Sequence

    from tcp_headroom.verdict.evidence import Grant

NAME = "TCP ORPHANS"

SHARES = {1: "100 %", 2: "50 %", 4: "25 %"}
"""Of the limit, by how often the kernel counts an orphan: above it that kind is reset."""

REASONS = {
    1: "over 100 %, every closed socket is reset",
    2: "over 50 %, live peers at risk",
    4: "over 25 %, only dead peers at risk",
}
"""What is said of the worst margin passed."""

LEVELS = ("25", "50")
"""Percent from which a socket with both penalties and with one is reset: the defaults of -w and -c."""
UNSHIFTED_LEVELS = ("50", "90")
"""The defaults where the kernel knows no penalty for this limit."""

NEXT_STEPS = {
    "usage": "find the service: ss -tan state fin-wait-1",
    "container_usage": "find the service (ss -tan state fin-wait-1), then raise numtcpsock on the node",
    "limit": "set net.ipv4.tcp_max_orphans to 4096 for each GiB of memory, at most 262144",
}

LASTING = f"if it lasts, {NEXT_STEPS['usage']}"
"""The step where nobody who still answers loses data."""
URGENT = "if memory allows, raise the limit; find the service: ss -tan state fin-wait-1"
"""The step where peers that still answer lose data."""

EXAMPLES = """\
  check_tcp_orphans -w 20 -c 40
  check_tcp_orphans --max-orphans 65536 -v    (in a container)"""


def build_parser() -> options.Parser:
    """The command's options."""
    parser = options.parser(
        "check_tcp_orphans",
        "Compares the orphaned TCP sockets of this machine with tcp_max_orphans, and\n"
        "with 50 % and 25 % of it: from there on the kernel resets some of them.",
        EXAMPLES,
        percent=True,
        default=("25, in percent of tcp_max_orphans", "50"),
    )
    parser.reading.add_argument(
        "--max-orphans",
        metavar="N",
        type=options.whole(most=2**63 - 1),
        help="the limit, where tcp_max_orphans cannot be read (in a container)",
    )
    options.add_no_owners(parser, "orphans")
    options.add_peak_days(parser)
    options.add_state(parser)
    return parser


class Orphans(plugin.Host):
    """What the three files say; what could not be read is None."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        super().__init__(arguments)
        self.override: int | None = arguments.max_orphans
        self.orphans: int | None = None
        self.limit: int | None = self.override
        self.place = "" if self.override is None else "on the host: "
        """Where a step can be taken: what a limit that is given is of, is elsewhere."""
        self.steps = {**NEXT_STEPS, "usage": self.place + NEXT_STEPS["usage"]}
        self.grants: list[Grant] = []
        self.whose = "machine"
        """Whose orphans sockstat shows, as of ``beancounters.orphans_of``."""
        if self.openvz:
            from tcp_headroom.commands import openvz
            from tcp_headroom.proc import beancounters

            self.whose = beancounters.orphans_of(self.root)
            self.grants = openvz.read(self)
            self.steps.update(openvz.NEXT_STEPS)
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
        return tcp_max_orphans.margins(self.orphans, self.limit, FACTORS[:1] if self.own else FACTORS)

    @property
    def own(self) -> bool:
        """Whether the orphans are those of one container of OpenVZ, compared with the limit as they are."""
        return self.whose == "own"

    @property
    def share(self) -> int | None:
        """How many orphans numtcpsock leaves this container of OpenVZ; None for any number, and where it is not known."""
        if not self.own or not self.grants:
            return None
        from tcp_headroom.verdict import grants

        barrier = grants.barrier(self.grants)
        return None if barrier is None else tcp_max_orphans.share(barrier)

    @property
    def share_margins(self) -> list[tcp_max_orphans.Margin]:
        if self.orphans is None or self.share is None:
            return []
        return tcp_max_orphans.margins(self.orphans, self.share)

    def counted(self) -> int:
        """The orphans. Raises ``Blind``."""
        if self.whose != "nobody":
            return sockstat.read(self.root).orphans
        from tcp_headroom.proc import beancounters

        instead = beancounters.hidden()
        try:
            sockstat.read(self.root)
        except Blind as empty:
            raise Blind(empty.reason, remedy=instead.remedy) from None
        raise instead

    def remember(self, orphans: int) -> None:
        """Note the peak of the day; without a state the result is the same."""
        path = ""
        try:
            path = state.chosen(self.arguments) or ""
            if path:
                patience = min(orphan_peak.PATIENCE, self.arguments.timeout / 4)
                orphan_peak.note(path, self.root, orphans, self.arguments.peak_days, time.time(), patience)
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
        yield from self.count({"aborts_on_memory": netstat.ABORTS}, f"{netstat.FILE} has no")
        self.orphans = self.needed(self.counted)
        if self.orphans is not None:
            self.remember(self.orphans)
        if self.limit is None:
            self.limit = self.needed(lambda: tcp_max_orphans.read(self.root))
        yield from self.refused()
        yield from self.blinds()
        if self.orphans is not None:
            top = self.limit if self.limit and self.limit > 0 else None
            yield nagiosplugin.Metric("orphans", self.orphans, min=0, max=top, context="orphans" if top else "gauge")
        for margin in self.margins:
            yield nagiosplugin.Metric(f"headroom_{margin.factor}x", margin.left, context="gauge")
        if self.limit is not None:
            yield from plugin.fault("limit", tcp_max_orphans.fault(self.limit))
        if self.usage is not None:
            yield nagiosplugin.Metric("usage", self.usage, "%", min=0, context="usage")
        for margin in self.share_margins:
            yield nagiosplugin.Metric(f"container_headroom_{margin.factor}x", margin.left, context="gauge")
        if self.orphans is not None and self.share:
            yield nagiosplugin.Metric(
                "container_usage", 100 * self.orphans / self.share, "%", min=0, context="container_usage"
            )

    def refused(self) -> Iterator[nagiosplugin.Metric]:
        """What OpenVZ refuses: an alarm of its own, which what cannot be seen beside it does not make UNKNOWN."""
        if not self.grants:
            return
        from tcp_headroom.commands import openvz

        found = openvz.findings(self.grants, openvz.SOCKETS)
        if found:
            self.left_out += map(str, self.unseen)
            self.unseen.clear()
        for name, sentence in found.items():
            yield from plugin.fault(name, (False, sentence))


class Count(plugin.Judged):
    """The number of orphans, with the levels of ``Usage`` in orphans; it judges nothing."""

    def performance(self, metric: nagiosplugin.Metric, resource: nagiosplugin.Resource) -> nagiosplugin.Performance:
        assert isinstance(resource, Orphans) and resource.limit
        self.warning, self.critical = (plugin.share(limits, resource.limit) for limits in self.limits)
        return super().performance(metric, resource)


class Usage(plugin.Judged):
    """Judges the share of the limit by -w and -c, and says what the margins passed mean."""

    def evaluate(self, metric: nagiosplugin.Metric, resource: nagiosplugin.Resource) -> nagiosplugin.Result:
        assert isinstance(resource, Orphans)
        result = plugin.judge(metric, *self.limits, figure(resource))
        if result.state == nagiosplugin.Ok:
            return result
        passed = [margin.factor for margin in resource.margins if margin.left < 0]
        if passed:
            resource.steps["usage"] = resource.place + (URGENT if passed[0] < 4 else LASTING)
            return nagiosplugin.Result(result.state, f"{REASONS[passed[0]]}: {figure(resource)}", metric)
        if resource.own:
            resource.steps["usage"] = resource.place + URGENT
            # Without penalties nothing happens before all of it is used.
            level = UNSHIFTED_LEVELS[result.state == nagiosplugin.Critical]
            if metric.value > int(level):
                hint = f"over {level} %, every closed socket is reset at 100 %: {figure(resource)}"
                return nagiosplugin.Result(result.state, hint, metric)
        return result


class ContainerUsage(plugin.Judged):
    """Judges what of the share that numtcpsock leaves for orphans is used, by the margins of the kernel."""

    def evaluate(self, metric: nagiosplugin.Metric, resource: nagiosplugin.Resource) -> nagiosplugin.Result:
        assert isinstance(resource, Orphans)
        passed = [margin.factor for margin in resource.share_margins if margin.left < 0]
        if not passed:
            return nagiosplugin.Result(nagiosplugin.Ok, None, metric)
        state = nagiosplugin.Warn if passed[0] == 4 else nagiosplugin.Critical
        orphans = wording.count(resource.orphans or 0, "orphan")
        share = f"the {resource.share} that numtcpsock leaves the container"
        return nagiosplugin.Result(
            state, f"{REASONS[passed[0]]}: {orphans}, {wording.percent(metric.value)} of {share}", metric
        )


def figure(seen: Orphans) -> str:
    """How many orphans there are, of how many."""
    if seen.orphans is None:
        return ""
    text = wording.count(seen.orphans, "orphan")
    if seen.usage is None:
        return text
    source = "--max-orphans" if seen.override else "tcp_max_orphans"
    return f"{text}, {wording.percent(seen.usage)} of {source} {seen.limit}"


def rest(seen: Orphans) -> Iterator[str]:
    """The margins: by how much the worst is passed, and what is left of the others."""
    if seen.usage is None:
        return
    margins, whole = seen.margins, ""
    if any(margin.left < 0 for margin in seen.share_margins) and all(margin.left >= 0 for margin in margins):
        margins, whole = seen.share_margins, f" of the {seen.share}"
    passed = [margin for margin in margins if margin.left < 0]
    left = [margin for margin in margins[::-1] if margin.left >= 0]
    over = [f"{-margin.left} over the {line(margin.factor)}" for margin in passed[:1]]
    below = [f"{margin.left} below {SHARES[margin.factor]}" for margin in left]
    yield "; ".join(filter(None, [*over, ", ".join(below)])) + whole
    if passed and seen.counters.get("aborts_on_memory") == 0:
        yield "none reset so far in this network namespace"
    if seen.ungranted:
        yield f"the limit numtcpsock is not seen: {seen.ungranted}"


def line(factor: int) -> str:
    """The name of a margin."""
    return f"{SHARES[factor]} line" + (f" ({factor}x penalty)" if factor > 1 else "")


def explanation(seen: Orphans) -> Iterator[str]:
    """The further lines of ``-v``."""
    idle = f"{sysctl.silence_ms(seen.root) / 1000:g}"
    concerns = {
        1: "every socket that is closed, and every orphan at its next timer",
        2: f"an orphan that got an ICMP error, lost its route, or sent no data for {idle} s",
        4: f"an orphan that has both: an ICMP error or a lost route, and no data sent for {idle} s",
    }
    for margin in seen.margins:
        place = f"{-margin.left} over it" if margin.left < 0 else f"{margin.left} below it"
        yield (
            f"{margin.factor}x: above {margin.limit} orphans ({SHARES[margin.factor]}) the kernel would reset {concerns[margin.factor]}; {place}"
        )
    for margin in seen.share_margins:
        place = f"{-margin.left} over it" if margin.left < 0 else f"{margin.left} below it"
        yield (
            f"numtcpsock, {margin.factor}x: above {margin.limit} orphans ({SHARES[margin.factor]} of a quarter of its "
            f"barrier) the kernel would reset {concerns[margin.factor]}; {place}"
        )
    if seen.share_margins or (seen.margins and not seen.own):
        yield from silence(seen.root, idle)
    counted = {
        "own": " Only orphans of this container count.",
        "machine": " All orphans of the machine count, those of containers included.",
    }
    if seen.orphans is not None and any(margin.left < 0 for margin in seen.margins):
        from tcp_headroom.limits import raising  # for -v alone

        yield raising.orphans(seen.root, seen.orphans, seen.place)
    yield (
        "An orphan is a socket that its program has closed, but that still has data or its FIN to send."
        f"{counted.get(seen.whose, '')} TIME_WAIT sockets do not count."
    )
    for aborts in seen.counters.values():
        yield (
            f"TCPAbortOnMemory: {wording.count(aborts, 'orphan')} reset in this network namespace since it began, "
            "because of tcp_max_orphans or tcp_mem."
        )
    if seen.lookup_seconds:
        from tcp_headroom.sockets import owners

        yield from owners.of_orphans(seen.orphans, seen.lookup_seconds)
    peak = seen.peak
    if peak:
        span = wording.count(seen.arguments.peak_days, "day")
        yield f"Peak of {span}: {wording.count(peak.orphans, 'orphan')}, {wording.age(time.time() - peak.when)}"
    yield from seen.gaps()


def silence(root: str, idle: str) -> Iterator[str]:
    """Whom silence reaches, and whom not."""
    from tcp_headroom.proc import osrelease  # for -v alone

    yield (
        "The kernel asks when a retransmission or a window probe is due. Silence counts from the last data sent, also before "
        f"the close: most silent orphans are connections idle for {idle} s, then closed to a peer that is gone. Data "
        "written into a window closed for as long is silent, too, though the peer answers."
    )
    retries = sysctl.orphan_retries(root)
    end = "ends by time-out before it is silent for so long"
    if retries > 0:
        end = f"may live until it is silent, too: tcp_orphan_retries is {retries}"
    elif (osrelease.read(root) or tcp_max_orphans.GIVES_UP_FIRST) < tcp_max_orphans.GIVES_UP_FIRST:
        end = "is silent, too, if it lives for so long"
    yield f"An orphan whose window closed on waiting data {end}."


def conclusion(seen: Orphans, alarm: bool, stop: Blind | None) -> str:
    """The verdict; the parameters are those of ``plugin.Wording.conclusion``."""
    from tcp_headroom.verdict import conclusion as verdict  # for -v alone

    memory = verdict.memory(seen.arguments)
    return verdict.conclusion(seen.root, memory, orphans=seen.orphans, limit=seen.limit, alarm=alarm, stop=stop)


@plugin.guarded(NAME)
def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of the command; exits with the state."""
    arguments = build_parser().parse_args(argv)
    seen = Orphans(arguments)
    levels = map(nagiosplugin.Range, UNSHIFTED_LEVELS if seen.own else LEVELS)
    warning, critical = (given or level for given, level in zip((arguments.warning, arguments.critical), levels))
    plugin.run(
        NAME,
        arguments,
        plugin.Wording(seen, figure, rest, explanation, seen.steps, conclusion),
        seen,
        Count("orphans", warning, critical),
        Usage("usage", warning, critical),
        ContainerUsage("container_usage", *map(nagiosplugin.Range, LEVELS)),
    )
