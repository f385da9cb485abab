"""check_tcp_limits: are the limits themselves right, and will they survive a reboot?

Judges what changes rarely, so that it can be acknowledged apart from usage. Reads
``tcp_max_orphans``, ``tcp_mem``, ``kernel_defaults``, the peak that check_tcp_orphans
remembers (``orphan_peak``) and what a reboot sets (``sysctl_files``); ``review``
reckons. Nothing is changed: the commands that would are printed with ``-v``.
"""

from __future__ import annotations

import argparse
import time

import nagiosplugin

from tcp_headroom import wording
from tcp_headroom.blind import Blind
from tcp_headroom.commands import plugin
from tcp_headroom.limits import drift, kernel_defaults, tcp_max_orphans, tcp_mem
from tcp_headroom.limits.advice import SHORT, commands, listed, next_steps, where
from tcp_headroom.limits.review import ABSURD, MAX_ORPHANS, MEM, OFF, ORPHAN_BYTES, SAFETY, Review
from tcp_headroom.memory import orphan_peak, state
from tcp_headroom.proc import sysctl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from nagiosplugin.state import ServiceState

    from tcp_headroom.boot.sysctl_rules import Setting

NAME = "TCP LIMITS"

STATES = {OFF: nagiosplugin.Warn, ABSURD: nagiosplugin.Critical}

ROOM = 1023 - len(f"{NAME} CRITICAL - . Next: ") - 200
"""Bytes of the status line without what is always there, and its perfdata: it has to pass NRPE."""

MORE = "and more, which -v lists"

COUNTS = {MAX_ORPHANS: 1, MEM: 3}
"""How many numbers each has."""


def build_parser() -> plugin.Parser:
    """The command's options."""
    parser = plugin.parser(
        "check_tcp_limits",
        "Judges tcp_max_orphans and tcp_mem themselves: by the defaults of the kernel, by the peak of orphans, and by "
        "what a reboot would set.",
        percent=True,
        default=("50:, of the kernel's default in percent", "10:"),
    )
    parser.add_argument(
        "--sysctl-root", metavar="DIR",
        help="the root of the host, whose sysctl files a reboot reads (in a container: where it is mounted); default: /, "
        "but with another --procfs than /proc there is none",
    )  # fmt: skip
    parser.add_argument("--no-drift", action="store_true", help="do not ask what a reboot would set")
    orphan_peak.add_option(parser)
    state.add_options(parser)
    return parser


class Limits(nagiosplugin.Resource):
    """Reads everything; what could not be read is None in the review."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.root: str = arguments.procfs
        self.unseen: list[str] = []
        """What the verdict would need, and why it is not there."""
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
                self.unseen.append(f"the kernel defaults cannot be reckoned: {'; '.join(defaults.reasons)}")
            else:
                self.notes += defaults.reasons
                if None in (defaults.orphans, defaults.levels(tcp_mem.page_size())):
                    self.unseen.append("the defaults of so old a kernel are not all known")
            peak, settings = self.read_peak(), self.read_settings()
        self.review = Review(limit, levels, tcp_mem.page_size(), defaults, peak, settings, self.ranges)
        self.findings = findings(self.review)
        if self.doubt and "drift" in self.findings:
            kind, text = self.findings["drift"]
            self.findings["drift"] = (kind, f"{text}, unless what was not read says otherwise: {self.doubt}")
        self.steps.update(next_steps(self.review))
        worst = sorted(self.findings, key=lambda name: -self.findings[name][0].code)
        room = ROOM - length(facts(self)) - (length(self.steps.get(worst[0], "")) if worst else 0)
        if worst:
            kept = fitting([self.findings[name][1] for name in worst], room)
            for name in worst[kept:]:
                kind, text = self.findings[name]
                self.notes.append(f"also wrong: {text}")
                self.findings[name] = (kind, MORE if name == worst[kept] else "")
        elif self.unseen:
            kept = fitting(self.unseen, room)
            self.notes += (f"also not seen: {text}" for text in self.unseen[kept:])
            self.unseen[kept:] = [MORE] if self.unseen[kept:] else []

    def read_limits(self) -> tuple[int | None, tcp_mem.TcpMem | None]:
        limit = levels = None
        try:
            limit = tcp_max_orphans.read(self.root, None)
        except Blind as reason:
            self.unseen.append(str(reason))
        try:
            levels = tcp_mem.read(self.root, None)
        except Blind as reason:
            # What hides both is said once.
            if not (self.unseen and isinstance(reason, sysctl.Hidden)):
                self.unseen.append(str(reason))
        return limit, levels

    def read_peak(self) -> orphan_peak.Peak | None:
        """The peak that check_tcp_orphans left, if it did."""
        path = ""
        try:
            path = state.chosen(self.arguments) or ""
            peak = orphan_peak.highest(path, self.root, self.arguments.peak_days, time.time()) if path else None
        except (Blind, OSError) as reason:
            self.notes.append(f"left out, orphans_peak: {state.loss(reason, path)}")
            return None
        if not peak:
            tree = "" if self.root == "/proc" else f" --procfs {wording.path(self.root)}"
            place = f"check_tcp_orphans{tree} has kept none in {wording.path(path)}" if path else "no state is read"
            self.notes.append(f"left out, orphans_peak: {place}")
        return peak

    def read_settings(self) -> dict[str, Setting] | None:
        """What a reboot would set, unless nobody wants to know."""
        root: str | None = self.arguments.sysctl_root
        if self.arguments.no_drift:
            return None
        if root is None and self.root != "/proc":
            self.unseen.append(
                "what a reboot sets is not known for another --procfs; name the root it belongs to with "
                "--sysctl-root DIR, or do without by --no-drift"
            )
            return None
        from tcp_headroom.boot import sysctl_files

        try:
            found = sysctl_files.read("/" if root is None else root, self.root, (MAX_ORPHANS, MEM))
        except Blind as reason:
            self.unseen.append(f"what a reboot sets cannot be seen: {reason}; --no-drift does without")
            return None
        self.notes += found.notes
        if found.blind:
            first, *more = found.blind
            self.doubt = first
            self.notes += (f"not certain, {doubt}" for doubt in more)
            rest = f"; {MORE}" if more else ""
            self.unseen.append(
                f"what a reboot sets is not certain: {first}{rest}; mend that, or do without by --no-drift"
            )
        return found.settings

    def probe(self) -> Generator[nagiosplugin.Metric, None, None]:
        self.read()
        review = self.review
        if self.unseen and not self.findings:
            # Something found wrong is worth more than what could not be seen.
            yield plugin.blind("; ".join(self.unseen))
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


def length(text: str) -> int:
    """In bytes, with what separates it from the next sentence."""
    return len(text.encode("utf-8", "replace")) + len("; ")


def fitting(sentences: list[str], room: int) -> int:
    """How many of them fit into so many bytes, with ``MORE`` where it is needed; the first is always taken."""
    lengths = [length(sentence) for sentence in sentences]
    if sum(lengths) <= room:
        return len(sentences)
    kept = 1
    while kept < len(sentences) and sum(lengths[: kept + 1]) <= room - length(MORE):
        kept += 1
    return kept


class Judged(nagiosplugin.Context):
    """Takes the state from ``findings``; the metric's name says which."""

    def evaluate(self, metric: nagiosplugin.Metric, resource: nagiosplugin.Resource) -> nagiosplugin.Result:
        assert isinstance(resource, Limits)
        state, text = resource.findings[metric.name]
        return nagiosplugin.Result(state, text, metric)


def findings(review: Review) -> dict[str, tuple[ServiceState, str]]:
    """What is wrong: state and sentence by a name, for which ``next_steps`` has the step."""
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
        text = off("tcp_max_orphans", review.orphans_share, f"{about}{review.defaults.orphans}")
        found["off_limit"] = (STATES[review.orphans_off], text)
    default = review.defaults.levels(review.page)
    if review.mem_off and default and found.get("levels", (None,))[0] != nagiosplugin.Critical:
        text = off("the maximum of tcp_mem", review.mem_share, f"about {wording.size(default.max * review.page)}")
        found["off_levels"] = (STATES[review.mem_off], text)
    if review.below_peak and "limit" not in found:
        found["peak"] = (nagiosplugin.Warn, f"the limit should be {SAFETY} times the peak, at least")
    lines = [line for line in map(drifted, review.drifts) if line]
    if lines:
        found["drift"] = (nagiosplugin.Warn, "; ".join(lines))
    return found


def off(name: str, share: float | None, default: str) -> str:
    """The sentence on a value whose share of the default is not in the ranges."""
    if share is None or share >= 100:
        return f"{name} is outside the range of -w or -c; the kernel sets {default} by itself"
    return f"{name} is {'far ' if share < 50 else ''}below what the kernel sets by itself, {default}"


def drifted(one: drift.Drift) -> str | None:
    """What a line in a file would change; None where there is no line."""
    if not one.setting:
        return None
    line = where(one.setting, SHORT)
    return f"a reboot sets {short(one.name)} {listed(one.boot)} " + (
        f"as the kernel refuses {line}" if one.refused else f"({line})"
    )


def short(name: str) -> str:
    return name.rpartition(".")[2]


def facts(seen: Limits) -> str:
    """The first sentence of the status line."""
    review, parts = seen.review, []
    if review.limit is not None:
        parts.append(f"tcp_max_orphans {review.limit}" + share(review.orphans_share))
    if review.levels is not None:
        parts.append(f"tcp_mem max {wording.size(max(0, review.levels.max) * review.page)}" + share(review.mem_share))
    if not parts:
        return ""
    if review.peak:
        day = time.strftime("%Y-%m-%d %H:%M", time.localtime(review.peak.when))
        parts.append(f"peak {wording.count(review.peak.orphans, 'orphan')}, {day}")
    if review.settings is not None and not seen.unseen:
        count = len(review.drifts)
        if count or not review.uncertain:
            parts.append(f"a reboot changes {wording.count(count, 'setting') if count else 'neither'}")
    return "; ".join(parts)


def share(percent: float | None) -> str:
    return "" if percent is None else f", {wording.percent(percent)} of the kernel default"


def explanation(seen: Limits) -> Iterator[str]:
    """The further lines of ``-v``."""
    review = seen.review
    defaults, memory = review.defaults, review.defaults.memory
    orphans, levels = defaults.orphans, defaults.levels(review.page)
    if orphans:
        exact = "half the entries of its hash table" if defaults.entries else "about, by the memory"
        yield f"{MAX_ORPHANS}: the kernel sets {orphans} by itself ({exact})"
    if levels and memory.known:
        source = "the size of its hash table" if memory.known != memory.total else "meminfo"
        yield f"{MEM}: the kernel sets about {listed(levels)} by itself (memory {wording.size(memory.known)}, by {source})"
    if review.limit is not None and review.levels is not None and memory.known:
        yield (
            f"worst case: {max(0, review.limit)} orphans of 64 KiB each, "
            f"{wording.size(max(0, review.limit) * ORPHAN_BYTES)}; all of TCP "
            f"{wording.size(max(0, review.levels.max) * review.page)}; the memory is {wording.size(memory.known)}"
        )
    for name, setting in sorted((review.settings or {}).items()):
        refused = "" if drift.numbers(setting.value, COUNTS[name]) else ", which the kernel refuses"
        yield f"{name}: a reboot sets {wording.clean(setting.value, 60)} ({where(setting)}){refused}"
    for one in review.drifts:
        if not one.setting:
            known = "no file that was read" if seen.doubt else "no file"
            yield f"{one.name} = {listed(one.running)} is in {known}: a reboot sets {listed(one.boot)}, the kernel default"
    for name in review.uncertain:
        yield f"{name}: what a reboot sets is not known, as no file has all of it, and the kernel default is uncertain"
    yield from commands(review)
    yield from seen.notes
    for reason in seen.unseen if seen.findings else ():
        yield f"left out, {reason}"


@plugin.guarded(NAME)
def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of the command; exits with the state."""
    arguments = build_parser().parse_args(argv)
    seen = Limits(arguments)
    plugin.run(
        NAME,
        arguments,
        seen,
        plugin.Gauge("gauge"),
        plugin.Gauge("share", *seen.ranges),
        Judged("finding"),
        plugin.Wording(lambda: facts(seen), lambda: explanation(seen), seen.steps.get),
    )
