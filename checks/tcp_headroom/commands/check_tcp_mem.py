"""check_tcp_mem: how close is TCP to the memory the kernel grants it?

Joins ``sockstat`` (mem), ``tcp_mem`` (levels, order, unit), ``protocols``
(pressure at this moment) and ``netstat`` (what came of it). By default the
WARNING is the kernel's own: above the pressure level, or in the pressure phase,
which outlasts it. Live sockets that starve print nothing in the kernel log, so
only this check sees them.
"""

from __future__ import annotations

import argparse
import functools

import nagiosplugin

from tcp_headroom import wording
from tcp_headroom.blind import Blind
from tcp_headroom.commands import plugin
from tcp_headroom.limits import tcp_mem
from tcp_headroom.memory import state
from tcp_headroom.proc import netstat, protocols, reading, sockstat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

NAME = "TCP MEM"

_HOLDERS = (
    "see which sockets hold it (ss -tm), and whether their programs read too slowly; raise net.ipv4.tcp_mem, "
    "three page counts, if there is memory for it"
)
NEXT_STEPS = {
    "usage": _HOLDERS,
    "pages": _HOLDERS,
    "under_pressure": _HOLDERS,
    "levels": "set net.ipv4.tcp_mem to three rising page counts",
}

COUNTERS = {
    "memory_pressures": ("TCPMemoryPressures", "times TCP entered the pressure phase"),
    "memory_pressure_ms": ("TCPMemoryPressuresChrono", "milliseconds spent in it, added when it ends"),
    "prune_called": ("PruneCalled", "receive queues squeezed, for this or for a small buffer of their own"),
    "rcvq_drop": ("TCPRcvQDrop", "segments dropped because there was no memory to queue them"),
}
"""Perfdata label: TcpExt counter, and what it counts in this network namespace."""


def build_parser() -> plugin.Parser:
    """The command's options."""
    parser = plugin.parser(
        "check_tcp_mem",
        "Compares the memory held by all TCP sockets of this machine with the levels in tcp_mem.",
        percent=True,
        default=(
            "more pages than the pressure level of tcp_mem, or the kernel says it is under pressure",
            f"{tcp_mem.NEAR_PERCENT}, of the maximum in tcp_mem in percent",
        ),
    )
    parser.add_argument(
        "--tcp-mem",
        metavar="MIN,PRESSURE,MAX",
        type=levels,
        help="the levels in pages, where tcp_mem cannot be read (in a container)",
    )
    parser.add_argument("--no-owners", action="store_true", help="with -v, do not look up who holds the memory")
    state.add_options(parser)
    return parser


def levels(text: str) -> tcp_mem.TcpMem:
    """An option's type: three page counts from 1 on, in any order the kernel would take."""
    try:
        low, pressure, high = (reading.integer(word) for word in text.split(","))
    except ValueError:
        low = pressure = high = 0
    if min(low, pressure, high) < 1:
        raise argparse.ArgumentTypeError(
            f"{wording.clean(text, 40)} is not three page counts from 1 on, like 100,200,300"
        )
    return tcp_mem.TcpMem(low, pressure, high)


class Memory(nagiosplugin.Resource):
    """What the files say; what could not be read is None."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.root: str = arguments.procfs
        self.override: tcp_mem.TcpMem | None = arguments.tcp_mem
        # Another tree tells of another machine, whose sockets cannot be listed.
        self.patience = 0 if arguments.no_owners or self.root != "/proc" else arguments.timeout / 4
        self.levels: tcp_mem.TcpMem | None = self.override
        self.page = tcp_mem.page_size()
        self.unit = tcp_mem.read_unit(self.root, self.page)
        self.mem: int | None = None
        self.pressure: bool | None = None
        self.counters: dict[str, int] = {}
        self.left_out: list[str] = []

    @property
    def pages(self) -> int | None:
        """Usage in pages of PAGE_SIZE, rounded up."""
        return None if self.mem is None else tcp_mem.pages(self.mem, self.unit.size, self.page)

    @property
    def bytes(self) -> int | None:
        """Usage in bytes."""
        return None if self.mem is None else self.mem * self.unit.size

    @property
    def usage(self) -> float | None:
        """Share of the maximum in use, in percent; None without both or for a maximum below 1."""
        if self.bytes is None or self.levels is None or self.levels.max < 1:
            return None
        return 100 * self.bytes / (self.levels.max * self.page)

    def probe(self) -> Generator[nagiosplugin.Metric, None, None]:
        yield from self.enrichment()
        try:
            self.mem = sockstat.read(self.root).mem
        except Blind as reason:
            yield plugin.blind(reason)
        try:
            if self.levels is None:
                self.levels = tcp_mem.read(self.root)
        except Blind as reason:
            yield plugin.blind(reason)
        top = self.levels.max if self.levels and self.levels.max >= 0 else None
        if self.pages is not None:
            yield nagiosplugin.Metric("pages", self.pages, min=0, max=top, context="pages")
            yield nagiosplugin.Metric(
                "bytes", self.bytes, "B", min=0, max=None if top is None else top * self.page, context="gauge"
            )
        if self.usage is not None:
            yield nagiosplugin.Metric("usage", self.usage, "%", min=0, context="usage")
        if self.levels is not None:
            yield from plugin.fault("levels", tcp_mem.fault(self.levels))

    def enrichment(self) -> Generator[nagiosplugin.Metric, None, None]:
        """The pressure flag and the counters; each may be absent on some kernel or tree."""
        try:
            self.pressure = protocols.read(self.root)
            yield nagiosplugin.Metric("under_pressure", int(self.pressure), min=0, max=1, context="pressure")
        except Blind as reason:
            self.left_out.append(f"under_pressure: {reason}")
        try:
            counters = netstat.read(self.root, [name for name, _meaning in COUNTERS.values()])
        except Blind as reason:
            self.left_out.append(f"{', '.join(COUNTERS)}: {reason}")
            return
        for label, (name, _meaning) in COUNTERS.items():
            if name in counters:
                self.counters[label] = counters[name]
                yield nagiosplugin.Metric(label, counters[name], "c", context="gauge")
            else:
                self.left_out.append(f"{label}: this kernel has no {name}")


class Pages(plugin.Gauge):
    """Judges the default WARNING, usage above the pressure level; prints both levels in pages."""

    def __init__(self, name: str, warning: nagiosplugin.Range | None, critical: nagiosplugin.Range | None) -> None:
        super().__init__(name)
        self.limits = (warning, critical)

    def evaluate(self, metric: nagiosplugin.Metric, resource: nagiosplugin.Resource) -> nagiosplugin.Result:
        assert isinstance(resource, Memory)
        above = resource.levels is not None and metric.value > resource.levels.pressure
        if self.limits[0] is not None or not above:
            return nagiosplugin.Result(nagiosplugin.Ok, None, metric)
        return nagiosplugin.Result(nagiosplugin.Warn, "above the pressure level, where TCP slows down", metric)

    def performance(self, metric: nagiosplugin.Metric, resource: nagiosplugin.Resource) -> nagiosplugin.Performance:
        assert isinstance(resource, Memory)
        self.warning = self.critical = None
        if resource.levels is not None:
            bounds = [plugin.upper_bound(limits) for limits in self.limits]
            counts = [None if bound is None else int(bound * resource.levels.max // 100) for bound in bounds]
            self.warning, self.critical = counts
            if self.limits[0] is None:
                self.warning = resource.levels.pressure
            if self.limits[1] is None:
                self.critical = tcp_mem.NEAR_PERCENT * resource.levels.max // 100
        return super().performance(metric, resource)


class Usage(plugin.Gauge):
    """Judges the share of the maximum by -w, by -c, and by the default of -c; prints those given."""

    def __init__(self, name: str, warning: nagiosplugin.Range | None, critical: nagiosplugin.Range | None) -> None:
        super().__init__(name, warning, critical)
        self.limits = (warning, critical)

    def evaluate(self, metric: nagiosplugin.Metric, resource: nagiosplugin.Resource) -> nagiosplugin.Result:
        warning, critical = self.limits
        result = plugin.judge(metric, warning, critical or nagiosplugin.Range(str(tcp_mem.NEAR_PERCENT)))
        if result.state == nagiosplugin.Ok:
            return result
        if metric.value > 100:
            hint = "above the maximum: the kernel refuses memory, data is dropped and orphans are reset"
        elif critical is None and result.state == nagiosplugin.Critical:
            hint = f"above {tcp_mem.NEAR_PERCENT} % of the maximum, beyond which the kernel refuses memory"
        else:
            return result
        return nagiosplugin.Result(result.state, hint, metric)


class Pressure(plugin.Gauge):
    """Judges the kernel's own flag: WARNING while TCP is in the pressure phase, unless -w is given."""

    def __init__(self, name: str, judged: bool) -> None:
        super().__init__(name)
        self.judged = judged

    def evaluate(self, metric: nagiosplugin.Metric, resource: nagiosplugin.Resource) -> nagiosplugin.Result:
        if not (self.judged and metric.value):
            return nagiosplugin.Result(nagiosplugin.Ok, None, metric)
        return nagiosplugin.Result(nagiosplugin.Warn, "the kernel says TCP is under memory pressure now", metric)


def facts(seen: Memory) -> str:
    """The first sentence of the status line."""
    if seen.bytes is None:
        return ""
    text = f"TCP holds {wording.size(seen.bytes)} ({wording.count(seen.pages or 0, 'page')})"
    if seen.levels is None:
        return text
    source = "--tcp-mem" if seen.override else "tcp_mem"
    if seen.usage is None:
        return text
    top = f"{wording.size(seen.levels.max * seen.page)} ({wording.count(seen.levels.max, 'page')})"
    return f"{text}, {wording.percent(seen.usage)} of the {top} that {source} allows"


def explanation(seen: Memory) -> Iterator[str]:
    """The further lines of ``-v``."""
    if seen.levels is not None:
        meanings = (
            ("min", seen.levels.min, "below it TCP is never under pressure"),
            (
                "pressure",
                seen.levels.pressure,
                "above it windows stop growing and queues are squeezed, until usage is below min again",
            ),
            (
                "max",
                seen.levels.max,
                "above it memory is refused, data is dropped, and orphans with unsent data are reset",
            ),
        )
        for name, level, meaning in meanings:
            place = "" if seen.pages is None else f"; usage is {'above' if seen.pages > level else 'not above'} it"
            yield f"{name}: {wording.count(level, 'page')}, {wording.size(max(0, level) * seen.page)}; {meaning}{place}"
    yield (
        f"One page has {seen.page} bytes; the kernel counts mem in units of {seen.unit.size} bytes ({seen.unit.why}). "
        "It is counted for the whole machine, all containers included, and not to the page: some MiB per CPU are kept "
        "in reserve."
    )
    if seen.pressure is not None:
        yield f"under_pressure: the kernel says {'yes' if seen.pressure else 'no'} at this moment"
    for label, value in seen.counters.items():
        yield f"{label} is {value}: {COUNTERS[label][1]}, in this network namespace since it began"
    if seen.patience:
        from tcp_headroom.sockets import owners

        yield from owners.of_memory(seen.bytes, seen.patience)
    for reason in seen.left_out:
        yield f"left out, {reason}"


def conclusion(seen: Memory, alarm: bool, stop: Blind | None) -> str:
    """The verdict, which ends the lines of ``-v``; the parameters are those of ``plugin.Wording.conclusion``."""
    from tcp_headroom.verdict import conclusion as verdict  # for -v alone

    return verdict.conclusion(
        seen.root,
        verdict.memory(seen.arguments),
        pages=seen.pages,
        levels=seen.levels,
        under_pressure=seen.pressure,
        alarm=alarm,
        stop=stop,
    )


@plugin.guarded(NAME)
def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of the command; exits with the state."""
    arguments = build_parser().parse_args(argv)
    seen = Memory(arguments)
    plugin.run(
        NAME,
        arguments,
        seen,
        plugin.Gauge("gauge"),
        Pages("pages", arguments.warning, arguments.critical),
        Usage("usage", arguments.warning, arguments.critical),
        Pressure("pressure", judged=arguments.warning is None),
        plugin.Wording(
            lambda: facts(seen), lambda: explanation(seen), NEXT_STEPS.get, functools.partial(conclusion, seen)
        ),
    )
