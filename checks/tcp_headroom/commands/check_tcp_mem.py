"""check_tcp_mem: how close is TCP to the memory the kernel grants it?

Joins ``sockstat`` (mem), ``tcp_mem`` (levels, order, unit), ``protocols``
(pressure at this moment) and ``netstat`` (what came of it). By default the
WARNING is the kernel's own: above the pressure level, or in the pressure phase,
which outlasts it. Live sockets that starve print nothing in the kernel log, so
only this check sees them.
"""

from __future__ import annotations

import nagiosplugin

from tcp_headroom import wording
from tcp_headroom.blind import Blind
from tcp_headroom.commands import options, plugin
from tcp_headroom.limits import mem_unit, tcp_mem
from tcp_headroom.proc import meminfo, protocols, sockstat, sysctl

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Generator, Iterator, Sequence

NAME = "TCP MEM"

NEAR = nagiosplugin.Range(str(tcp_mem.NEAR_PERCENT))
"""The default of -c, in percent of the maximum."""

_HOLDERS = "find who holds it (ss -tm); if memory allows, raise tcp_mem"
_HELD = ("usage", "pages", "under_pressure")
NEXT_STEPS = {
    **dict.fromkeys(_HELD, f"{_HOLDERS} (see -v)"),
    "memory_usage": "find who holds it (ss -tm); then lower net.ipv4.tcp_mem (see -v)",
    "levels": "set tcp_mem in rising order",
    "maximum": "set tcp_mem as check_tcp_limits -v says",
}

COUNTERS = {
    "memory_pressures": ("TCPMemoryPressures", "how often TCP came under memory pressure"),
    "memory_pressure_ms": ("TCPMemoryPressuresChrono", "milliseconds under memory pressure, added when it ends"),
    "prune_called": ("PruneCalled", "how often a receive queue was made smaller, also for a small buffer of its own"),
    "rcvq_drop": ("TCPRcvQDrop", "segments dropped for lack of memory"),
}
"""Perfdata label: TcpExt counter, and what it counts in this network namespace."""

EXAMPLES = """\
  check_tcp_mem -w 50 -c 80
  check_tcp_mem --tcp-mem 287832,383779,575664 -v    (in a container)"""


def build_parser() -> options.Parser:
    """The command's options."""
    parser = options.parser(
        "check_tcp_mem",
        "Compares the memory of all TCP sockets of this machine with the levels in\ntcp_mem.",
        EXAMPLES,
        percent=True,
        default=(
            "above the pressure level of tcp_mem, or under memory pressure",
            f"{tcp_mem.NEAR_PERCENT}, in percent of the maximum in tcp_mem",
        ),
    )
    parser.reading.add_argument(
        "--tcp-mem",
        metavar="MIN,PRESSURE,MAX",
        type=options.levels,
        help="the levels in pages, where tcp_mem cannot be read (in a container)",
    )
    options.add_cgroupfs(parser)
    parser.reading.add_argument(
        "--mem-unit",
        choices=[*mem_unit.CHOICES],
        help="the unit of mem, where pages are not 4 KiB and the check cannot tell",
    )
    options.add_no_memory(parser)
    options.add_no_owners(parser, "memory")
    options.add_state(parser)
    return parser


class Memory(plugin.Host):
    """What the files say; what could not be read is None."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        super().__init__(arguments)
        self.override: tcp_mem.TcpMem | None = arguments.tcp_mem
        self.levels: tcp_mem.TcpMem | None = self.override
        self.page = tcp_mem.page_size()
        self.units = mem_unit.candidates(self.root, self.page, arguments.mem_unit)
        """What the unit of mem may be; the first is the one taken."""
        self.ambiguous = False
        """Whether it depends on the unit what the state is."""
        self.mem: int | None = None
        self.memory: meminfo.Meminfo | None = None
        """The memory of the machine, of which network buffers have a part."""
        # Levels that are given are of a machine that meminfo may know nothing of.
        self.by_memory = not (arguments.no_memory or self.override or meminfo.foreign(self.root))
        self.pressure: bool | None = None
        self.no_flag: Blind | None = None
        """Why the pressure flag cannot be seen."""
        # Levels are given where those of the host cannot be seen, so the steps are for the host.
        elsewhere = dict.fromkeys(_HELD, f"on the host: {_HOLDERS}") if self.override else {}
        self.steps = {**NEXT_STEPS, **elsewhere}
        self.contexts: tuple[nagiosplugin.Context, ...] = ()
        """What judges the metrics."""

    @property
    def unit(self) -> mem_unit.Unit:
        return self.units[0]

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

    @property
    def memory_usage(self) -> float | None:
        """Share of the memory that network buffers can come from that TCP holds, in percent; None without both."""
        return None if self.bytes is None or not self.memory else 100 * self.bytes / self.memory.buffers

    def probe(self) -> Generator[nagiosplugin.Metric, None, None]:
        self.mem = self.needed(lambda: sockstat.read(self.root).mem)
        if self.levels is None:
            self.levels = self.needed(lambda: tcp_mem.read(self.root))
        yield from self.enrichment()
        yield from self.refused()
        if self.mem is not None and len(self.units) > 1:
            self.units = mem_unit.believable(self.units, self.mem, self.page, self.levels, self.pressure)
            self.ambiguous = len(set(map(self.state, self.units))) > 1
            if self.ambiguous:
                self.unseen.append(mem_unit.unknown(self.units, self.mem, self.page, self.levels))
        self.judge_without_flag()
        yield from self.blinds()
        for metric in self.gauges():
            # Perfdata go on, but nothing is judged by a number that may be another.
            yield metric._replace(context="gauge") if self.ambiguous else metric
        if self.levels is not None:
            yield from plugin.fault("levels" if self.levels.max > 0 else "maximum", tcp_mem.fault(self.levels))

    def gauges(self) -> Iterator[nagiosplugin.Metric]:
        """What depends on the unit of mem."""
        top = self.levels.max if self.levels and self.levels.max >= 0 else None
        if self.pages is not None:
            most = None if top is None else top * self.page
            pages, size = ("pages", "bytes") if self.levels else ("gauge", "gauge")
            yield nagiosplugin.Metric("pages", self.pages, min=0, max=top, context=pages)
            yield nagiosplugin.Metric("bytes", self.bytes, "B", min=0, max=most, context=size)
        if self.usage is not None:
            yield nagiosplugin.Metric("usage", self.usage, "%", min=0, context="usage")
        if self.memory_usage is not None:
            yield nagiosplugin.Metric("memory_usage", self.memory_usage, "%", min=0, context="memory_usage")

    def state(self, unit: mem_unit.Unit) -> int:
        """The exit code if ``unit`` is that of mem."""
        units, self.units = self.units, [unit]
        judges = {context.name: context for context in self.contexts}
        metrics = [*self.gauges(), nagiosplugin.Metric("under_pressure", int(self.pressure or 0), context="pressure")]
        states = [judges[metric.context].evaluate(metric, self).state for metric in metrics if metric.context in judges]
        self.units = units
        return max(state.code for state in states if state)

    def judge_without_flag(self) -> None:
        """Without the pressure flag, what lies between min and pressure may be under memory pressure or not."""
        if self.no_flag and self.levels and self.levels.in_order and self.levels.min < (self.pages or 0):
            if self.arguments.warning is None and not self.state(self.unit):
                said = f"memory pressure cannot be seen: {self.no_flag.reason}"
                self.unseen.append(Blind(said, remedy=self.no_flag.remedy))

    def refused(self) -> Iterator[nagiosplugin.Metric]:
        """What OpenVZ refuses."""
        if not self.openvz:
            return
        from tcp_headroom.commands import openvz

        found = openvz.findings(openvz.read(self), openvz.BUFFERS)
        if found:
            # An alarm of its own, beside which it is no matter what a container cannot see.
            self.left_out += map(str, self.unseen)
            self.unseen.clear()
        self.steps.update(openvz.NEXT_STEPS)
        for name, sentence in found.items():
            yield from plugin.fault(name, (False, sentence))

    def enrichment(self) -> Generator[nagiosplugin.Metric, None, None]:
        """The pressure flag and the counters; each may be absent on some kernel or tree."""
        try:
            self.pressure = protocols.read(self.root)
            yield nagiosplugin.Metric("under_pressure", int(self.pressure), min=0, max=1, context="pressure")
        except Blind as reason:
            self.left_out.append(f"under_pressure: {reason}")
            self.no_flag = reason
        try:
            self.memory = meminfo.read(self.root)
        except Blind as reason:
            self.left_out.append(f"memory_usage: {reason}")
        yield from self.count({label: name for label, (name, _meaning) in COUNTERS.items()}, "this kernel has no")


class Held(plugin.Judged):
    """What TCP holds, with the levels of -w and -c, or what they replace, in the unit of the metric."""

    def performance(self, metric: nagiosplugin.Metric, resource: nagiosplugin.Resource) -> nagiosplugin.Performance:
        assert isinstance(resource, Memory)
        levels, warning, critical = resource.levels, self.limits[0], self.limits[1] or NEAR
        if levels and metric.name == "usage":
            self.warning, self.critical = warning or 100 * levels.pressure / levels.max, critical
        elif levels:
            size = resource.page if metric.name == "bytes" else 1
            self.warning = plugin.share(warning, levels.max, size) if warning else levels.pressure * size
            self.critical = plugin.share(critical, levels.max, size)
        return super().performance(metric, resource)


class Pages(Held):
    """Judges the default WARNING, usage above the pressure level."""

    def evaluate(self, metric: nagiosplugin.Metric, resource: nagiosplugin.Resource) -> nagiosplugin.Result:
        assert isinstance(resource, Memory)
        if self.limits[0] is not None or not resource.levels or metric.value <= resource.levels.pressure:
            return nagiosplugin.Result(nagiosplugin.Ok, None, metric)
        # Not said beside what is graver: usage has no share of a maximum that refuses all.
        graver = resource.pressure or resource.usage is None or resource.usage > tcp_mem.NEAR_PERCENT
        text = None if graver else f"above the pressure level: {figure(resource)}"
        return nagiosplugin.Result(nagiosplugin.Warn, text, metric)


class Usage(Held):
    """Judges the share of the maximum by -w, by -c, and by the default of -c."""

    def evaluate(self, metric: nagiosplugin.Metric, resource: nagiosplugin.Resource) -> nagiosplugin.Result:
        assert isinstance(resource, Memory)
        warning, critical = self.limits
        result = plugin.judge(metric, warning, critical or NEAR, figure(resource))
        if result.state == nagiosplugin.Ok:
            return result
        if metric.value > 100:
            hint = "memory is refused"
        elif critical is None and result.state == nagiosplugin.Critical:
            hint = f"over {tcp_mem.NEAR_PERCENT} %, memory is refused at 100 %"
        else:
            return result
        return nagiosplugin.Result(result.state, f"{hint}: {figure(resource)}", metric)


class MemoryUsage(plugin.Gauge):
    """Judges the share of the memory of the machine, by fixed levels."""

    def __init__(self, name: str, judged: bool) -> None:
        super().__init__(name, *((tcp_mem.MUCH_PERCENT, tcp_mem.TOO_MUCH_PERCENT) if judged else ()))
        self.judged = judged

    def evaluate(self, metric: nagiosplugin.Metric, resource: nagiosplugin.Resource) -> nagiosplugin.Result:
        if not self.judged or metric.value <= tcp_mem.MUCH_PERCENT:
            return nagiosplugin.Result(nagiosplugin.Ok, None, metric)
        assert isinstance(resource, Memory) and resource.memory
        memory, level, state = resource.memory, tcp_mem.MUCH_PERCENT, nagiosplugin.Warn
        if metric.value > tcp_mem.TOO_MUCH_PERCENT:
            level, state = tcp_mem.TOO_MUCH_PERCENT, nagiosplugin.Critical
        share = f"{wording.percent(metric.value)} of {wording.size(memory.buffers)}"
        text = f"TCP holds over {level} % of the {memory.noun} of this machine: {wording.size(resource.bytes or 0)}, {share}"
        return nagiosplugin.Result(state, text, metric)


class Pressure(plugin.Gauge):
    """Judges the kernel's own flag: WARNING while TCP is in the pressure phase, unless -w is given."""

    def __init__(self, name: str, judged: bool) -> None:
        super().__init__(name, 0 if judged else None)
        self.judged = judged

    def evaluate(self, metric: nagiosplugin.Metric, resource: nagiosplugin.Resource) -> nagiosplugin.Result:
        if not (self.judged and metric.value):
            return nagiosplugin.Result(nagiosplugin.Ok, None, metric)
        assert isinstance(resource, Memory)
        text = ": ".join(filter(None, ["under memory pressure", figure(resource)]))
        return nagiosplugin.Result(nagiosplugin.Warn, text, metric)


def figure(seen: Memory) -> str:
    """How much memory TCP holds, of how much."""
    if seen.bytes is None or seen.ambiguous:
        return ""
    held = wording.size(seen.bytes)
    if seen.levels is None or seen.usage is None:
        return f"{held} of TCP memory in use"
    top = wording.size(seen.levels.max * seen.page)
    share = wording.percent(seen.usage)
    return f"{held}, {share} of the {top} {'of --tcp-mem' if seen.override else 'allowed'}"


def rest(seen: Memory) -> Iterator[str]:
    """The margins to the two levels that matter."""
    if sysctl.bypasses(seen.root):
        yield f"not counted: sockets that {sysctl.BYPASS} exempts"
    if seen.ungranted:
        yield f"the limits of tcpsndbuf and tcprcvbuf are not seen: {seen.ungranted}"
    if seen.levels is None or seen.pages is None or seen.usage is None or seen.ambiguous:
        return
    places = (("the pressure level", seen.levels.pressure), ("the maximum", seen.levels.max))
    yield ", ".join(
        f"{wording.size(abs(level - seen.pages) * seen.page)} {'over' if seen.pages > level else 'below'} {name}"
        for name, level in places
    )


def explanation(seen: Memory) -> Iterator[str]:
    """The further lines of ``-v``."""
    from tcp_headroom.commands import holders  # these are for -v alone
    from tcp_headroom.limits import raising

    for unit in seen.units if seen.mem is not None else ():
        held = tcp_mem.pages(seen.mem or 0, unit.size, seen.page)
        condition = f", if mem is in units of {unit.size} bytes" if len(seen.units) > 1 else ""
        yield f"TCP holds {wording.count(held, 'page')}, {wording.size((seen.mem or 0) * unit.size)}{condition}"
    if seen.levels is not None:
        low, pressure, most = seen.levels
        meanings = (
            ("min", low, "below it memory pressure ends"),
            ("pressure", pressure, "above it TCP slows down: windows stop growing, queues are made smaller"),
            ("max", most, "above it memory is refused, data is dropped, and orphans that hold data are reset"),
        )
        pages = None if seen.ambiguous else seen.pages
        for name, level, meaning in meanings:
            place = "" if pages is None else f"; TCP is {'above' if pages > level else 'not above'} it"
            yield f"{name}: {wording.count(level, 'page')}, {wording.size(max(0, level) * seen.page)}; {meaning}{place}"
        yield from tcp_mem.disorder(seen.levels)
    units = "; or of ".join(f"{unit.size} bytes ({unit.why})" for unit in seen.units)
    inexact = mem_unit.reserve(seen.root, seen.page)
    yield (
        f"One page has {seen.page} bytes. The kernel counts mem in units of {units}, for the whole machine, containers "
        "included." + (f" It is not exact: for each CPU up to {wording.size(inexact)} more or less." if inexact else "")
    )
    if seen.levels is not None and not seen.override:
        raised = raising.read(seen.root, seen.levels, seen.page)
        if raised:
            yield raising.line(raised)
    if seen.pressure is not None:
        yield f"under_pressure: the kernel says {'yes' if seen.pressure else 'no'} now"
    for label, value in seen.counters.items():
        yield f"{label} is {value}: {COUNTERS[label][1]}, in this network namespace since it began"
    total = None if seen.ambiguous else seen.bytes
    yield from holders.lines(seen.arguments, total, inexact, seen.page, [unit.size for unit in seen.units])
    yield from seen.gaps()


def conclusion(seen: Memory, alarm: bool, stop: Blind | None) -> str:
    """The verdict; the parameters are those of ``plugin.Wording.conclusion``."""
    from tcp_headroom.verdict import conclusion as verdict  # for -v alone

    return verdict.conclusion(
        seen.root,
        verdict.memory(seen.arguments),
        # Of several possible units the verdict goes by the levels of the kernel.
        pages=seen.bytes / seen.page if len(seen.units) == 1 and seen.bytes is not None else None,
        levels=seen.levels,
        under_pressure=seen.pressure,
        cgroupfs=seen.arguments.cgroupfs,
        with_memory=seen.by_memory,
        alarm=alarm,
        stop=stop,
    )


@plugin.guarded(NAME)
def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of the command; exits with the state."""
    arguments = build_parser().parse_args(argv)
    seen = Memory(arguments)
    seen.contexts = (
        Pages("pages", arguments.warning, arguments.critical),
        Held("bytes", arguments.warning, arguments.critical),
        Usage("usage", arguments.warning, arguments.critical),
        MemoryUsage("memory_usage", judged=seen.by_memory),
        Pressure("pressure", judged=arguments.warning is None),
    )
    plugin.run(
        NAME,
        arguments,
        plugin.Wording(seen, figure, rest, explanation, seen.steps, conclusion),
        seen,
        *seen.contexts,
    )
