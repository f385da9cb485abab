"""What every command does alike: reading, judging, perfdata, output, exit codes.

A command builds its parser with ``options``, describes itself as a ``Host`` that
yields metrics, ``Context`` classes that judge them and a ``Wording``, and hands all
to ``run`` under ``guarded``. Standard error stays empty (Icinga 2 reads it as
output), a traceback is for ``-vvv`` only.
"""

from __future__ import annotations

import functools
import signal
import sys

import nagiosplugin

from tcp_headroom import wording
from tcp_headroom.blind import Blind
from tcp_headroom.commands.options import UNKNOWN
from tcp_headroom.proc import netstat

# One language for a whole line; and argparse does not import locale and look for translations at every start.
argparse._ = str  # type: ignore[attr-defined]

TYPE_CHECKING = False  # importing typing for this costs a tenth of the start-up time
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
    from typing import NoReturn, TypeVar

    Value = TypeVar("Value")


class Host(nagiosplugin.Resource):
    """The host that a command reads below ``--procfs``, and why a part of it is not there."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.root: str = arguments.procfs
        self.unseen: list[Blind] = []
        """Why something that the verdict needs could not be read."""
        self.left_out: list[str] = []
        """Perfdata or lines that could not be read, and why."""
        self.counters: dict[str, int] = {}
        """TcpExt counters by perfdata label."""

    @property
    def lookup_seconds(self) -> float:
        """Seconds for looking up owners; 0 for not at all."""
        # Another tree tells of another machine, whose sockets cannot be listed.
        return 0 if self.arguments.no_owners or self.root != "/proc" else self.arguments.timeout / 4

    def needed(self, read: Callable[[], Value]) -> Value | None:
        """What the verdict needs; without it the check is UNKNOWN."""
        try:
            return read()
        except Blind as reason:
            self.unseen.append(reason)
            return None

    def blinds(self) -> Iterator[nagiosplugin.Metric]:
        """The metrics that ``Sightless`` turns into UNKNOWN."""
        return map(blind, self.unseen)

    def count(self, wanted: dict[str, str], missing: str) -> Generator[nagiosplugin.Metric, None, None]:
        """Perfdata of the TcpExt counters ``wanted``, by label; ``missing`` is said of one that the file lacks."""
        try:
            found = netstat.read(self.root, wanted.values())
        except Blind as reason:
            self.left_out.append(f"{', '.join(wanted)}: {reason}")
            return
        for label, name in wanted.items():
            if name in found:
                self.counters[label] = found[name]
                yield nagiosplugin.Metric(label, found[name], "c", context="gauge")
            else:
                self.left_out.append(f"{label}: {missing} {name}")

    def gaps(self) -> Iterator[str]:
        """The lines of ``-v`` on what could not be read."""
        return (f"left out, {reason}" for reason in self.left_out)


class Gauge(nagiosplugin.Context):
    """Perfdata without a judgement, or with levels that another context judges.

    Levels are printed as given, so plain numbers: Icinga 2 drops every other
    kind of range.
    """

    def __init__(
        self,
        name: str,
        warning: nagiosplugin.Range | int | None = None,
        critical: nagiosplugin.Range | int | None = None,
    ) -> None:
        super().__init__(name)
        self.warning = warning
        self.critical = critical

    def performance(self, metric: nagiosplugin.Metric, resource: nagiosplugin.Resource) -> nagiosplugin.Performance:
        bounds = (None if bound is None else wording.number(bound) for bound in (metric.min, metric.max))
        levels = (None if level is None else str(level) for level in (self.warning, self.critical))
        value = wording.number(metric.value)
        return nagiosplugin.Performance(metric.name, value, metric.uom, *levels, *bounds)  # type: ignore[arg-type]


class Judged(Gauge):
    """A gauge with the ranges of -w and -c, which are also its levels in the perfdata."""

    def __init__(self, name: str, warning: nagiosplugin.Range | None, critical: nagiosplugin.Range | None) -> None:
        super().__init__(name, warning, critical)
        self.limits = (warning, critical)


def judge(
    metric: nagiosplugin.Metric, warning: nagiosplugin.Range | None, critical: nagiosplugin.Range | None
) -> nagiosplugin.Result:
    """OK, WARNING or CRITICAL by two ranges, of which None never fires."""
    for state, limits, option in ((nagiosplugin.Critical, critical, "-c"), (nagiosplugin.Warn, warning, "-w")):
        if limits is not None and not limits.match(metric.value):
            where = "inside" if limits.invert else "outside"
            return nagiosplugin.Result(
                state, f"usage is {where} the range {str(limits).lstrip('@')} of {option}", metric
            )
    return nagiosplugin.Result(nagiosplugin.Ok, None, metric)


class Sightless(nagiosplugin.Context):
    """UNKNOWN; the metric's value is the ``Blind`` that names the reason and the remedy."""

    def evaluate(self, metric: nagiosplugin.Metric, resource: nagiosplugin.Resource) -> nagiosplugin.Result:
        return nagiosplugin.Result(nagiosplugin.Unknown, str(metric.value), metric)


def blind(reason: object) -> nagiosplugin.Metric:
    """The metric that ``Sightless`` turns into UNKNOWN; it has no perfdata."""
    return nagiosplugin.Metric("blind", reason, context="blind")


class Fault(nagiosplugin.Context):
    """Judges a setting by itself: the metric's value is its fault, as of the module of the setting."""

    def evaluate(self, metric: nagiosplugin.Metric, resource: nagiosplugin.Resource) -> nagiosplugin.Result:
        fatal, sentence = metric.value
        return nagiosplugin.Result(nagiosplugin.Critical if fatal else nagiosplugin.Warn, sentence, metric)


def fault(name: str, found: tuple[bool, str] | None) -> Iterator[nagiosplugin.Metric]:
    """The metric ``name`` that ``Fault`` turns into CRITICAL if ``found`` is fatal, else into WARNING; none for None."""
    if found:
        yield nagiosplugin.Metric(name, found, context="fault")


class Wording(nagiosplugin.Summary):
    """The status line: one sentence of facts, what the contexts found wrong, worst first, and the next step.

    ``next_steps`` has it by the name of the metric that was found wrong; that of
    the worst is printed. ``conclusion`` makes the last line of ``-v``, of whether
    this is an alarm, WARNING or CRITICAL, and of why nothing more may be read, if so.
    """

    def __init__(
        self,
        facts: Callable[[], str],
        explanation: Callable[[], Iterable[str]],
        next_steps: dict[str, str],
        conclusion: Callable[[bool, Blind | None], str] = lambda _alarm, _stop: "",
    ) -> None:
        self.facts = facts
        self.explanation = explanation
        self.next_steps = next_steps
        self.conclusion = conclusion

    def ok(self, results: nagiosplugin.Results) -> str:
        return self.facts()

    def problem(self, results: nagiosplugin.Results) -> str:
        wrong = [result for result in results if result.state != nagiosplugin.Ok]
        text = "; ".join(filter(None, [self.facts(), *(result.hint for result in wrong)]))
        step = self.next_steps.get(wrong[0].metric.name if wrong[0].metric else "")
        return f"{text}. Next: {step}" if step else text

    def verbose(self, results: nagiosplugin.Results) -> list[str]:
        """The further lines. The result stands already: whatever goes wrong here, the time-out too, costs lines only."""
        lines: list[str] = []
        try:
            alarm = results.most_significant_state in (nagiosplugin.Warn, nagiosplugin.Critical)
            for line in self.explanation():
                lines.append(line)
            last = self.conclusion(alarm, None)
            # What is left to do takes no time; the time-out in it would cost the result.
            signal.alarm(0)
            return [*lines, last]
        except nagiosplugin.Timeout as limit:
            stop = Blind(f"the check gave up after {limit}")
            return [*lines, f"left out, the rest: {stop}; allow more time with -t", self.conclusion(alarm, stop)]
        except Exception as error:
            stop = Blind(_internal(error))
            return [*lines, f"left out, the rest: {stop}", *_traceback(), self.conclusion(alarm, stop)]


def run(name: str, arguments: argparse.Namespace, *parts: object) -> NoReturn:
    """Run the check made of ``parts``, print it and exit with its state."""
    # A name set afterwards works with every version; the argument is new in 1.4.0.
    check = nagiosplugin.Check(*parts, Gauge("gauge"), Sightless("blind"), Fault("fault"))  # type: ignore[arg-type]
    check.name = name
    check.main(arguments.verbose, arguments.timeout)
    raise AssertionError("nagiosplugin.Check.main does not return")


def _internal(error: Exception) -> str:
    text = wording.clean(f"{type(error).__name__}: {error}")
    return f"internal error, {text}; please report it with the output of -vvv"


def _traceback() -> list[str]:
    """The lines of it, for ``-vvv`` alone."""
    if nagiosplugin.Runtime().verbose < 3:
        return []
    import traceback

    return traceback.format_exc().replace("|", "?").splitlines()


def guarded(name: str) -> Callable[[Callable[[Sequence[str] | None], None]], Callable[..., None]]:
    """Decorator of ``main``: whatever goes wrong is UNKNOWN in one clean line.

    Instead of ``nagiosplugin.guarded``, which prints a traceback from -v on and
    the exception's text as it is, pipes and escapes included.
    """

    def decorate(main: Callable[[Sequence[str] | None], None]) -> Callable[..., None]:
        @functools.wraps(main)
        def wrapper(argv: Sequence[str] | None = None) -> None:
            # A result must not be lost because the locale cannot print one character.
            reconfigure = getattr(sys.stdout, "reconfigure", None)
            if reconfigure:
                reconfigure(errors="backslashreplace")
            try:
                main(argv)
            except nagiosplugin.Timeout as error:
                print(
                    f"{name} UNKNOWN - gave up after {error}; allow more time with -t, or look at the load of this host"
                )
            except Exception as error:
                print(f"{name} UNKNOWN - {_internal(error)}", *_traceback(), sep="\n")
            sys.exit(UNKNOWN)

        return wrapper

    return decorate
