"""check_tcp_limits: are the limits themselves right, and will they survive a reboot?

Judges what changes rarely, so that it can be acknowledged apart from usage. Reads
``tcp_max_orphans``, ``tcp_mem``, ``kernel_defaults``, the peak that check_tcp_orphans
remembers (``orphan_peak``) and what a reboot sets (``sysctl_files``); ``review``
calculates. Nothing is changed: the commands that would are printed with ``-v``.
"""

from __future__ import annotations

import time

import nagiosplugin

from tcp_headroom import wording
from tcp_headroom.blind import Blind
from tcp_headroom.commands import options, plugin
from tcp_headroom.limits import drift, kernel_defaults, raising, tcp_max_orphans, tcp_mem
from tcp_headroom.limits.advice import commands, listed, next_steps, place, where
from tcp_headroom.limits.findings import findings, usual_levels, usual_orphans
from tcp_headroom.limits.review import ABSURD, MAX_ORPHANS, MEM, OFF, Review
from tcp_headroom.memory import orphan_peak, state
from tcp_headroom.proc import reading, sysctl

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Generator, Iterator, Sequence

    from nagiosplugin.state import ServiceState

    from tcp_headroom.boot.sysctl_rules import Setting

NAME = "TCP LIMITS"

STATES = {OFF: nagiosplugin.Warn, ABSURD: nagiosplugin.Critical}

COUNTS = {MAX_ORPHANS: 1, MEM: 3}
"""How many numbers each has."""


EXAMPLES = """\
  check_tcp_limits -v
  check_tcp_limits --sysctl-root /host    (in a container, with the host's root)"""


def build_parser() -> options.Parser:
    """The command's options."""
    parser = options.parser(
        "check_tcp_limits",
        "Checks the limits tcp_max_orphans and tcp_mem themselves: against the defaults\n"
        "of the kernel, the peak of orphans, and what a reboot would set.",
        EXAMPLES,
        percent=True,
        default=("50:, in percent of the kernel's default", "10:"),
    )
    parser.judging.add_argument("--no-drift", action="store_true", help="do not check what a reboot would set")
    options.add_no_memory(parser)
    parser.reading.add_argument(
        "--sysctl-root", metavar="DIR",
        help="the root of the host, for the sysctl files that a reboot reads; default: /, none with another --procfs",
    )  # fmt: skip
    options.add_peak_days(parser)
    options.add_state(parser)
    return parser


class Limits(plugin.Host):
    """Reads everything; what could not be read is None in the review."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        super().__init__(arguments)
        self.doubt = ""
        """Why what a reboot sets may be another value than the one that was read."""
        self.notes: list[str] = []
        self.ranges = (arguments.warning or nagiosplugin.Range("50:"), arguments.critical or nagiosplugin.Range("10:"))
        self.findings: dict[str, tuple[ServiceState, str]] = {}
        self.steps: dict[str, str] = {}
        self.unread: dict[str, Setting] = {}
        """What stands in a file that a reboot does not read."""

    def read(self) -> None:
        """Read everything and judge it."""
        limit, levels = self.read_limits()
        defaults = kernel_defaults.read(self.root)
        peak = settings = None
        # Without a limit there is nothing to hold against the rest.
        if limit is not None or levels is not None:
            if defaults.memory.known is None:
                self.unseen.append(Blind(f"the kernel default cannot be calculated: {'; '.join(defaults.reasons)}"))
            else:
                self.notes += defaults.reasons
                if None in (defaults.orphans, defaults.levels(tcp_mem.page_size())):
                    remedy = "leave this check out on that host"
                    self.unseen.append(Blind("the defaults of this old kernel are not all known", remedy=remedy))
            peak, settings = self.read_peak(), self.read_settings()
        self.buffers = [pair for pair in map(self.read_buffers, ("tcp_rmem", "tcp_wmem")) if pair]
        self.review = Review(
            limit, levels, tcp_mem.page_size(), defaults, peak, settings, self.ranges, self.buffers,
            not self.arguments.no_memory, self.unread,
        )  # fmt: skip
        found = findings(self.review, not self.doubt, self.live_tuner())
        self.findings = {name: (STATES[how], text) for name, (how, text) in found.items()}
        self.steps.update(next_steps(self.review))

    def live_tuner(self) -> str:
        """What shows that a program may have changed what the boot has set; empty where there is no drift."""
        if not self.review.drifts:
            return ""
        from tcp_headroom.boot import live_tuners

        sign = live_tuners.sign(self.arguments.sysctl_root or "/", self.root)
        if sign:
            self.notes.append(f"{sign}: it changes such settings while the machine runs")
        return sign or ""

    def read_buffers(self, name: str) -> tuple[str, tuple[int, ...]] | None:
        """The bytes that each socket may have, and by what sysctl; only to compare with, so it may be missing."""
        try:
            return name, tuple(map(reading.integer, reading.read(self.root, f"sys/net/ipv4/{name}").split()))
        except (Blind, ValueError):
            return None

    def read_limits(self) -> tuple[int | None, tcp_mem.TcpMem | None]:
        limit = self.needed(lambda: tcp_max_orphans.read(self.root, None))
        levels = self.needed(lambda: tcp_mem.read(self.root, None))
        # What hides both is said once.
        if len(self.unseen) > 1 and isinstance(self.unseen[-1], sysctl.Hidden):
            self.unseen.pop()
        return limit, levels

    def read_peak(self) -> orphan_peak.Peak | None:
        """The peak that check_tcp_orphans left, if it did."""
        path = ""
        try:
            path = state.chosen(self.arguments) or ""
            peak = orphan_peak.highest(path, self.root, self.arguments.peak_days, time.time()) if path else None
        except (Blind, OSError) as reason:
            self.left_out.append(f"orphans_peak: {state.loss(reason, path)}")
            return None
        if not peak:
            tree = "" if self.root == "/proc" else f" --procfs {wording.path(self.root)}"
            place = f"check_tcp_orphans{tree} has kept none in {wording.path(path)}" if path else "no state is read"
            self.left_out.append(f"orphans_peak: {place}")
        return peak

    def read_settings(self) -> dict[str, Setting] | None:
        """What a reboot would set, unless nobody wants to know."""
        root: str | None = self.arguments.sysctl_root
        if self.arguments.no_drift:
            return None
        if root is None and self.root != "/proc":
            remedy = "give its root with --sysctl-root DIR, or use --no-drift"
            self.unseen.append(Blind("what a reboot sets is not known with another --procfs", remedy=remedy))
            return None
        from tcp_headroom.boot import sysctl_files

        try:
            found = sysctl_files.read("/" if root is None else root, self.root, (MAX_ORPHANS, MEM), root is None)
        except Blind as reason:
            remedy = f"{reason.remedy or 'see why with -v'}, or use --no-drift"
            self.unseen.append(Blind(f"what a reboot sets cannot be seen: {reason.reason}", remedy=remedy))
            return None
        self.notes += found.notes
        self.unread = found.unread
        if found.blind:
            first, *more = found.blind
            self.doubt = first
            self.notes += (f"not certain: {doubt}" for doubt in more)
            remedy = "see why with -v, or use --no-drift"
            self.unseen.append(Blind(f"what a reboot sets is not certain: {first}", remedy=remedy))
        return found.settings

    def probe(self) -> Generator[nagiosplugin.Metric, None, None]:
        self.read()
        review = self.review
        if self.unseen and not self.findings:
            # Something found wrong is worth more than what could not be seen.
            yield from self.blinds()
        for name in self.findings:
            yield nagiosplugin.Metric(name, None, context="finding")
        if review.orphans_share is not None:
            yield nagiosplugin.Metric("orphans_limit_pct", review.orphans_share, "%", min=0, context="share")
        if review.mem_share is not None:
            yield nagiosplugin.Metric("mem_limit_pct", review.mem_share, "%", min=0, context="share")
        if review.peak is not None:
            top = review.limit if review.peak_level is not None else None
            yield nagiosplugin.Metric("orphans_peak", review.peak.orphans, min=0, max=top, context="peak")
        if review.recommended is not None:
            yield nagiosplugin.Metric("orphans_recommended", review.recommended, min=0, context="gauge")
        if review.settings is not None:
            yield nagiosplugin.Metric("drift", len(review.drifts), min=0, context="gauge")


class Peak(plugin.Gauge):
    """The peak, with the level above which the limit is too low for it."""

    def performance(self, metric: nagiosplugin.Metric, resource: nagiosplugin.Resource) -> nagiosplugin.Performance:
        assert isinstance(resource, Limits)
        self.warning = resource.review.peak_level
        return super().performance(metric, resource)


class Judged(nagiosplugin.Context):
    """Takes the state from ``findings``; the metric's name says which."""

    def evaluate(self, metric: nagiosplugin.Metric, resource: nagiosplugin.Resource) -> nagiosplugin.Result:
        assert isinstance(resource, Limits)
        state, text = resource.findings[metric.name]
        return nagiosplugin.Result(state, text, metric)


def figure(seen: Limits) -> str:
    """Both limits, and how they stand to the kernel's defaults; of one that is wrong its finding says so."""
    review, parts = seen.review, []
    if review.limit is not None and not seen.findings.keys() & {"limit", "off_limit", "grown"}:
        exact = review.defaults.entries is not None
        parts.append(
            f"tcp_max_orphans {review.limit}" + share(review.orphans_share, exact, review.at_default(MAX_ORPHANS))
        )
    if review.levels is not None and not seen.findings.keys() & {"levels", "off_levels", "high", "grown"}:
        most = wording.size(max(0, review.levels.max) * review.page)
        parts.append(f"tcp_mem max {most}" + share(review.mem_share, False, review.at_default(MEM)))
    return ", ".join(parts)


def rest(seen: Limits) -> Iterator[str]:
    """The peak, and whether the limits survive a reboot."""
    review = seen.review
    if review.peak:
        day = time.strftime("%Y-%m-%d %H:%M", time.localtime(review.peak.when))
        yield f"Peak {wording.count(review.peak.orphans, 'orphan')} on {day}"
    if review.settings is not None and not seen.unseen:
        count = len(review.drifts)
        if count and not any(name.startswith("drift") for name in seen.findings):
            yield f"A reboot changes {wording.count(count, 'setting')}"
        elif not count and not review.uncertain:
            yield "Both limits survive a reboot"


def share(percent: float | None, exact: bool, at_default: bool) -> str:
    """How that stands to the kernel's default: a share of an estimate is no fact, and within its span it says nothing."""
    if percent is None:
        return ""
    about = "" if exact else "about "
    if at_default:
        return f" ({about}the default)"
    times = f"{percent / 100:.0f} times" if percent >= 1000 else f"{wording.percent(percent)} of"
    return f" ({about}{times} the default)"


def explanation(seen: Limits) -> Iterator[str]:
    """The further lines of ``-v``."""
    review = seen.review
    defaults, memory = review.defaults, review.defaults.memory
    orphans, levels = defaults.orphans, defaults.levels(review.page)
    if orphans:
        source = "half the entries of its hash table" if defaults.entries else "an estimate, from the memory"
        yield f"{MAX_ORPHANS}: the kernel's default is {usual_orphans(review)} ({source})"
    if levels and memory.known:
        by_meminfo = memory.total is not None and memory.known + memory.movable == memory.total
        by = "meminfo" if by_meminfo else "the size of its hash table"
        apart = memory.movable + memory.plugged
        movable = f", without {wording.size(apart)} of ZONE_MOVABLE" if apart else ""
        yield (
            f"{MEM}: the kernel's default is about {listed(levels)} (an estimate, {usual_levels(review)}; {memory.whole} "
            f"{wording.size(memory.known)}, by {by}{movable})"
        )
    yield from costs(seen)
    for name, setting in sorted((review.settings or {}).items()):
        refused = "" if drift.numbers(setting.value, COUNTS[name], memory.bits) else ", which the kernel refuses"
        yield f"{name}: a reboot sets {wording.clean(setting.value, 60)} ({where(setting)}){refused}"
    for one in review.drifts:
        if not one.setting:
            known = "no file that was read" if seen.doubt else "no file"
            keep = f"to keep it, in {place(review, one.name)}: {one.name} = {listed(one.running)}"
            low = "" if review.sound(one.name, one.boot) else f", which is too low for the peak; {keep}"
            yield f"{one.name} = {listed(one.running)} is in {known}: a reboot sets the kernel's default, {listed(one.boot)}{low}"
    for name in review.uncertain:
        yield f"{name}: what a reboot sets is not known: no file has all of it, and the kernel's default is not certain"
    yield from commands(review)
    yield from seen.notes
    yield from seen.gaps()
    for reason in seen.unseen if seen.findings else ():
        yield f"not shown, {reason}"


def costs(seen: Limits) -> Iterator[str]:
    """What the limits allow, beside the memory."""
    review = seen.review
    levels, page = review.levels, review.page
    if levels is None:
        return
    most = wording.size(max(0, levels.max) * page)
    each = dict(seen.buffers).get("tcp_wmem", ())
    held = f"an orphan holds up to {wording.size(each[2])} (tcp_wmem), " if len(each) == 3 and each[2] > 0 else ""
    memory = review.defaults.memory
    part = max(1, memory.total - max(memory.huge, memory.movable)) if memory.total else 0
    share = wording.percent(100 * max(0, levels.max) * page / part) if part else ""
    of = f", {share} of the {memory.noun}" if share else ""
    yield f"worst case: {held}all of TCP, orphans included, {most}{of}"
    if levels.max > 0 and levels.pressure == levels.max:
        yield "pressure and max of tcp_mem are equal: TCP does not slow down before memory is refused"
    if not seen.findings.keys() & {"levels", "off_levels", "high", "grown"}:
        found = raising.read(seen.root, levels, page)
        if found:
            yield raising.line(found)


@plugin.guarded(NAME)
def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of the command; exits with the state."""
    arguments = build_parser().parse_args(argv)
    seen = Limits(arguments)
    plugin.run(
        NAME,
        arguments,
        plugin.Wording(seen, figure, rest, explanation, seen.steps),
        seen,
        plugin.Gauge("share", *seen.ranges),
        Judged("finding"),
        Peak("peak"),
    )
