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
from tcp_headroom.limits import drift, kernel_defaults, tcp_max_orphans, tcp_mem
from tcp_headroom.limits.advice import commands, listed, next_steps, where
from tcp_headroom.limits.review import ABSURD, MAX_ORPHANS, MEM, OFF, ORPHAN_BYTES, SAFETY, Review
from tcp_headroom.memory import orphan_peak, state
from tcp_headroom.proc import sysctl

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
                    self.unseen.append(Blind("the defaults of this old kernel are not all known"))
            peak, settings = self.read_peak(), self.read_settings()
        self.review = Review(limit, levels, tcp_mem.page_size(), defaults, peak, settings, self.ranges)
        self.findings = findings(self.review, sure=not self.doubt)
        self.steps.update(next_steps(self.review))

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
            found = sysctl_files.read("/" if root is None else root, self.root, (MAX_ORPHANS, MEM))
        except Blind as reason:
            remedy = f"{reason.remedy or 'fix that'}, or use --no-drift"
            self.unseen.append(Blind(f"what a reboot sets cannot be seen: {reason.reason}", remedy=remedy))
            return None
        self.notes += found.notes
        if found.blind:
            first, *more = found.blind
            self.doubt = first
            self.notes += (f"not certain: {doubt}" for doubt in more)
            remedy = "fix that (-v), or use --no-drift"
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
            yield nagiosplugin.Metric("orphans_peak", review.peak.orphans, min=0, context="gauge")
        if review.recommended is not None:
            yield nagiosplugin.Metric("orphans_recommended", review.recommended, min=0, context="gauge")
        if review.settings is not None:
            yield nagiosplugin.Metric("drift", len(review.drifts), min=0, context="gauge")


class Judged(nagiosplugin.Context):
    """Takes the state from ``findings``; the metric's name says which."""

    def evaluate(self, metric: nagiosplugin.Metric, resource: nagiosplugin.Resource) -> nagiosplugin.Result:
        assert isinstance(resource, Limits)
        state, text = resource.findings[metric.name]
        return nagiosplugin.Result(state, text, metric)


def findings(review: Review, sure: bool) -> dict[str, tuple[ServiceState, str]]:
    """What is wrong: state and sentence by a name, for which ``next_steps`` has the step.

    ``sure``: whether all was read that a reboot reads.
    """
    found = {}
    for name, fault in (
        ("limit", None if review.limit is None else tcp_max_orphans.fault(review.limit)),
        ("levels", None if review.levels is None else tcp_mem.fault(review.levels)),
    ):
        if fault:
            fatal, text = fault
            found[name] = (nagiosplugin.Critical if fatal else nagiosplugin.Warn, text)
    # A limit that is no limit at all is not small, too.
    if review.orphans_off and "limit" not in found:
        about = "" if review.defaults.entries else "about "
        text = off("tcp_max_orphans", f"{review.limit}", review.orphans_share, f"{about}{review.defaults.orphans}")
        found["off_limit"] = (STATES[review.orphans_off], text)
    default = review.defaults.levels(review.page)
    if review.levels and review.mem_off and default and found.get("levels", (None,))[0] != nagiosplugin.Critical:
        largest, usual = (wording.size(max(0, level) * review.page) for level in (review.levels.max, default.max))
        text = off("tcp_mem", f"max {largest}", review.mem_share, f"about {usual}")
        found["off_levels"] = (STATES[review.mem_off], text)
    if review.peak and review.below_peak and "limit" not in found:
        text = f"tcp_max_orphans below {SAFETY} times the peak: {review.limit}, peak {review.peak.orphans}"
        found["peak"] = (nagiosplugin.Warn, text)
    for one in review.drifts:
        if one.setting:
            found[f"drift {one.name}"] = (nagiosplugin.Warn, drifted(one, "changes" if sure else "may change"))
    return found


def off(name: str, value: str, share: float | None, default: str) -> str:
    """The sentence on a value whose share of the default is not in the ranges."""
    figure = f"{value}, {wording.percent(share or 0)} of {default}"
    if share is None or share >= 100:
        return f"{name} outside -w or -c: {figure}"
    return f"{name} {'far ' if share < 50 else ''}below the default: {figure}"


def drifted(one: drift.Drift, verb: str) -> str:
    """What a line in a file would change."""
    assert one.setting
    line = where(one.setting)
    why = f"the kernel refuses {line}" if one.refused else line
    return f"a reboot {verb} {short(one.name)}: {listed(one.running)} to {listed(one.boot)} ({why})"


def short(name: str) -> str:
    return name.rpartition(".")[2]


def figure(seen: Limits) -> str:
    """Both limits, and how they stand to the kernel's defaults; of one that is wrong its finding says so."""
    review, parts = seen.review, []
    if review.limit is not None and not seen.findings.keys() & {"limit", "off_limit"}:
        parts.append(f"tcp_max_orphans {review.limit}" + share(review.orphans_share))
    if review.levels is not None and not seen.findings.keys() & {"levels", "off_levels"}:
        parts.append(f"tcp_mem max {wording.size(max(0, review.levels.max) * review.page)}" + share(review.mem_share))
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


def share(percent: float | None) -> str:
    return "" if percent is None else f" ({wording.percent(percent)} of the default)"


def explanation(seen: Limits) -> Iterator[str]:
    """The further lines of ``-v``."""
    review = seen.review
    defaults, memory = review.defaults, review.defaults.memory
    orphans, levels = defaults.orphans, defaults.levels(review.page)
    if orphans:
        exact = "half the entries of its hash table" if defaults.entries else "about, from the memory"
        yield f"{MAX_ORPHANS}: the kernel's default is {orphans} ({exact})"
    if levels and memory.known:
        source = "the size of its hash table" if memory.known != memory.total else "meminfo"
        yield f"{MEM}: the kernel's default is about {listed(levels)} (memory {wording.size(memory.known)}, by {source})"
    if review.limit is not None and review.levels is not None and memory.known:
        yield (
            f"worst case: {wording.size(max(0, review.limit) * ORPHAN_BYTES)} for {max(0, review.limit)} orphans of 64 KiB; "
            f"{wording.size(max(0, review.levels.max) * review.page)} for all of TCP; the machine has "
            f"{wording.size(memory.known)}"
        )
    for name, setting in sorted((review.settings or {}).items()):
        refused = "" if drift.numbers(setting.value, COUNTS[name]) else ", which the kernel refuses"
        yield f"{name}: a reboot sets {wording.clean(setting.value, 60)} ({where(setting)}){refused}"
    for one in review.drifts:
        if not one.setting:
            known = "no file that was read" if seen.doubt else "no file"
            yield f"{one.name} = {listed(one.running)} is in {known}: a reboot sets the kernel's default, {listed(one.boot)}"
    for name in review.uncertain:
        yield f"{name}: what a reboot sets is not known: no file has all of it, and the kernel's default is not certain"
    yield from commands(review)
    yield from seen.notes
    yield from seen.gaps()
    for reason in seen.unseen if seen.findings else ():
        yield f"not shown, {reason}"


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
    )
