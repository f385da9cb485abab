"""What every command does alike: reading, judging, perfdata, output, exit codes.

A command builds its parser with ``options``, describes itself as a ``Host`` that
yields metrics, ``Context`` classes that judge them and a ``Wording``, and hands all
to ``run`` under ``guarded``. Standard error stays empty (Icinga 2 reads it as
output), a traceback is for ``-vvv`` only.
"""

from __future__ import annotations

import functools
import math
import os
import signal
import sys

import nagiosplugin

from tcp_headroom import wording
from tcp_headroom.blind import Blind
from tcp_headroom.commands import options
from tcp_headroom.proc import netstat

TYPE_CHECKING = False  # importing typing for this costs a tenth of the start-up time
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
    from typing import NoReturn, TypeVar

    Value = TypeVar("Value")


ROOM = 250
"""Longest text of a status line, in bytes, its name and state included: what lists of services show, and more."""

BEFORE_NEXT = 158
"""Within so many bytes comes what is wrong."""

LOOK = "check --procfs, and the rights of this user"
"""The step where a reason has no remedy of its own."""

REPORT = "send the output of -vvv to whoever maintains this plugin on this host"


class Host(nagiosplugin.Resource):
    """The host that a command reads below ``--procfs``, and why a part of it is not there."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.root: str = arguments.procfs
        self.unseen: list[Blind] = []
        """Why something that the verdict needs could not be read."""
        self.left_out: list[str] = []
        """Perfdata or lines that could not be read, and why."""
        self.ungranted = ""
        """Why it cannot be seen what OpenVZ grants and refuses; empty elsewhere."""
        self.counters: dict[str, int] = {}
        """TcpExt counters by perfdata label."""

    @property
    def openvz(self) -> bool:
        """Whether this is a host of OpenVZ; elsewhere nothing more is imported for it."""
        return os.path.lexists(os.path.join(self.root, "user_beancounters"))

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
        return (f"not shown, {reason}" for reason in self.left_out)


class Gauge(nagiosplugin.Context):
    """Perfdata without a judgement, or with levels that another context judges.

    A level is printed where the alarm is above it alone, as a plain number: Icinga 2 drops every other
    kind of range.
    """

    def __init__(
        self,
        name: str,
        warning: nagiosplugin.Range | float | None = None,
        critical: nagiosplugin.Range | float | None = None,
    ) -> None:
        super().__init__(name)
        self.warning = warning
        self.critical = critical

    def performance(self, metric: nagiosplugin.Metric, resource: nagiosplugin.Resource) -> nagiosplugin.Performance:
        bounds = (None if bound is None else wording.number(bound) for bound in (metric.min, metric.max))
        warning, critical = (
            options.upper_bound(level) if isinstance(level, nagiosplugin.Range) else level
            for level in (self.warning, self.critical)
        )
        if warning is not None and critical is not None:
            # Icinga DB Web takes a warning level above the critical one for alarms that are below both.
            warning = min(warning, critical)
        levels = (None if level is None else wording.number(level) for level in (warning, critical))
        value = wording.number(metric.value)
        return nagiosplugin.Performance(metric.name, value, metric.uom, *levels, *bounds)  # type: ignore[arg-type]


def share(limits: nagiosplugin.Range | None, whole: int, size: int = 1) -> int | None:
    """The level of ``limits``, which are in percent of ``whole`` units of ``size``, in units of 1; None if they have none."""
    bound = options.upper_bound(limits)
    return None if bound is None else math.floor(round(bound * whole / 100, 6)) * size


class Judged(Gauge):
    """A gauge with the ranges of -w and -c, which are also its levels in the perfdata."""

    def __init__(self, name: str, warning: nagiosplugin.Range | None, critical: nagiosplugin.Range | None) -> None:
        super().__init__(name, warning, critical)
        self.limits = (warning, critical)


def judge(
    metric: nagiosplugin.Metric,
    warning: nagiosplugin.Range | None,
    critical: nagiosplugin.Range | None,
    figure: str = "",
) -> nagiosplugin.Result:
    """OK, WARNING or CRITICAL by two ranges, of which None never fires; ``figure`` is what a hint ends with."""
    for state, limits, option in ((nagiosplugin.Critical, critical, "-c"), (nagiosplugin.Warn, warning, "-w")):
        if limits is not None and not limits.match(metric.value):
            where = "inside" if limits.invert else "outside"
            # Nagios drops a tilde from its notifications, and no figure is below zero.
            shown = str(limits).lstrip("@").replace("~:", "0:") or "0:"
            return nagiosplugin.Result(state, f"{where} the range {shown} of {option}: {figure}", metric)
    return nagiosplugin.Result(nagiosplugin.Ok, None, metric)


class Sightless(nagiosplugin.Context):
    """UNKNOWN; the metric's value is the ``Blind`` that has the reason and the remedy."""

    def evaluate(self, metric: nagiosplugin.Metric, resource: nagiosplugin.Resource) -> nagiosplugin.Result:
        return nagiosplugin.Result(nagiosplugin.Unknown, metric.value.reason, metric)


def blind(reason: Blind) -> nagiosplugin.Metric:
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
    """The status line, by one grammar for all checks; what does not fit into it goes to ``-v``.

    ========  ==================================================================
    OK        ``figure. rest``
    WARNING,  ``reason: figure; second finding. Next: step; then step. rest``
    CRITICAL
    UNKNOWN   ``what cannot be seen, and why. Next: remedy. figure. rest``
    ========  ==================================================================

    ``seen`` is the host; each function is handed it. Contexts give reason and figure as the hint of a result that is not OK. Findings come
    worst first; what two have in common, figure or step, is said once. ``figure`` is
    what an OK line begins with.
    ``rest`` are the margins, and what else is good to know, each a sentence without its
    full stop, the most important first. ``next_steps`` has the step by the name of the
    metric that was found wrong. ``conclusion`` makes the verdict, of whether this is an
    alarm, WARNING or CRITICAL, and of why nothing more may be read, if so.
    """

    def __init__(
        self,
        seen: Value,
        figure: Callable[[Value], str],
        rest: Callable[[Value], Iterable[str]],
        explanation: Callable[[Value], Iterable[str]],
        next_steps: dict[str, str],
        conclusion: Callable[[Value, bool, Blind | None], str] = lambda _seen, _alarm, _stop: "",
    ) -> None:
        self.figure: Callable[[], str] = functools.partial(figure, seen)
        self.rest: Callable[[], Iterable[str]] = functools.partial(rest, seen)
        self.explanation: Callable[[], Iterable[str]] = functools.partial(explanation, seen)
        self.next_steps = next_steps
        self.conclusion: Callable[[bool, Blind | None], str] = functools.partial(conclusion, seen)
        self.name = ""
        """What the line begins with, the name of the check."""
        self.more: list[str] = []
        """What did not fit, or not as a whole, for ``-v``."""

    def ok(self, results: nagiosplugin.Results) -> str:
        return self._line(f"{self.name} OK - ", [self.figure()], [], list(self.rest()))

    def problem(self, results: nagiosplugin.Results) -> str:
        figure = self.figure()
        findings: list[str] = []
        steps: list[str] = []
        self.more = []
        for result in results:
            if result.state == nagiosplugin.Ok or not result.hint or result.hint in findings:
                continue
            said = bool(figure) and any(figure in finding for finding in findings)
            ending = f": {figure}"
            findings.append(result.hint[: -len(ending)] if said and result.hint.endswith(ending) else result.hint)
            step = self._step(result)
            steps.append("" if step in steps else step)
        state = str(results.most_significant_state).upper()
        # An empty figure is in all of them.
        rest = [] if any(figure in finding for finding in findings) else [figure]
        return self._line(f"{self.name} {state} - ", findings, steps, [*rest, *self.rest()])

    def _step(self, result: nagiosplugin.Result) -> str:
        """What to do about a result."""
        metric = result.metric
        if metric and isinstance(metric.value, Blind):
            return metric.value.remedy or LOOK
        return self.next_steps.get(metric.name if metric else "", "")

    def _line(self, start: str, findings: list[str], steps: list[str], rest: list[str]) -> str:
        """Findings and steps as they fit, the first of each in any case, then what fits of the rest."""
        room = ROOM - wording.size_of(start)
        before_next = (BEFORE_NEXT if steps else ROOM) - wording.size_of(f"{start}. ")
        head = self._cut("Found", findings[0], before_next) if findings else ""
        step = self._cut("Next", steps[0], room - wording.size_of(f"{head}. Next: ")) if any(steps) else ""
        for number in range(1, len(findings)):
            longer = f"{head}; {wording.shortened(findings[number])}"
            second = "; then ".join(filter(None, [step, steps[number]]))
            fits = wording.size_of(longer) <= before_next and wording.size_of(f"{longer}. Next: {second}") <= room
            if not fits:
                self.more += [f"Also: {findings[number]}", *([f"Then: {steps[number]}"] if steps[number] else [])]
                continue
            head, step = longer, second
        text = _joined(head, step and f"Next: {step}")
        for sentence in map(wording.sentence, filter(None, rest)):
            shown = wording.shortened(sentence)
            longer = _joined(text, shown)
            if wording.size_of(longer) <= room:
                text = longer
            if shown != sentence or text != longer:
                self.more.append(sentence)
        return text

    def _cut(self, title: str, sentence: str, room: int) -> str:
        text = wording.cut(wording.shortened(sentence), room)
        if text != sentence:
            self.more.append(f"{title}: {sentence}")
        return text

    def verbose(self, results: nagiosplugin.Results) -> list[str]:
        """The further lines. The result stands already: whatever goes wrong here, the time-out too, costs lines only.

        The verdict comes first, but is found last: it reads what may take long.
        """
        lines: list[str] = []
        try:
            alarm = results.most_significant_state in (nagiosplugin.Warn, nagiosplugin.Critical)
            for line in self.explanation():
                lines.append(line)
            first = self.conclusion(alarm, None)
            # What is left to do takes no time; the time-out in it would cost the result.
            signal.alarm(0)
            return [first, *self.more, *lines]
        except nagiosplugin.Timeout as limit:
            stop = Blind(f"the check gave up after {limit}", remedy="allow more time with -t")
            return [self.conclusion(alarm, stop), *self.more, *lines, f"not shown, the rest: {stop}"]
        except Exception as error:
            stop = Blind(_internal(error), remedy=REPORT)
            return [self.conclusion(alarm, stop), *self.more, *lines, f"not shown, the rest: {stop}", *_traceback()]


def run(name: str, arguments: argparse.Namespace, text: Wording, *parts: object) -> NoReturn:
    """Run the check made of ``parts``, print it as ``text`` says, and exit with its state."""
    text.name = name
    # A name set afterwards works with every version; the argument is new in 1.4.0.
    check = nagiosplugin.Check(text, *parts, Gauge("gauge"), Sightless("blind"), Fault("fault"))  # type: ignore[arg-type]
    check.name = name
    check.main(arguments.verbose, arguments.timeout)
    raise AssertionError("nagiosplugin.Check.main does not return")


def _internal(error: Exception) -> str:
    return f"internal error, {wording.clean(f'{type(error).__name__}: {error}', 80)}"


def _traceback() -> list[str]:
    """The lines of it, for ``-vvv`` alone."""
    if nagiosplugin.Runtime().verbose < 3:
        return []
    import traceback

    return traceback.format_exc().replace("|", "?").splitlines()


def _print(*lines: str) -> None:
    try:
        print(*lines, sep="\n")
    except OSError:
        # The exit code says it: UNKNOWN.
        pass


def _delivered() -> bool:
    """Whether standard output took all that was printed; a result that nobody has seen is none.

    What is left is thrown away, else the interpreter would complain at its end.
    """
    try:
        sys.stdout.flush()
        return True
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
        return False


def _joined(*sentences: str) -> str:
    """Sentences one after the other; one that was cut has its dots."""
    return ". ".join(filter(None, sentences)).replace("....", "...")


def guarded(name: str) -> Callable[[Callable[[Sequence[str] | None], None]], Callable[..., None]]:
    """Decorator of ``main``: whatever goes wrong is UNKNOWN in one clean line.

    Instead of ``nagiosplugin.guarded``, which prints a traceback from -v on and
    the exception's text as it is, pipes and escapes included.
    """

    def decorate(main: Callable[[Sequence[str] | None], None]) -> Callable[..., None]:
        @functools.wraps(main)
        def wrapper(argv: Sequence[str] | None = None) -> None:
            heard = sys.stdout is not None
            if not heard:
                # Else what is opened first would become standard output, and argparse would turn to standard error.
                sys.stdout = open(os.devnull, "w")
            # A result must not be lost because the locale cannot print one character.
            reconfigure = getattr(sys.stdout, "reconfigure", None)
            if reconfigure:
                reconfigure(errors="backslashreplace")
            code: object = options.UNKNOWN
            try:
                main(argv)
            except SystemExit as end:
                code = end.code
            except nagiosplugin.Timeout as error:
                _print(
                    f"{name} UNKNOWN - gave up after {error}. Next: allow more time with -t, or look at the load of "
                    "this host"
                )
            except Exception as error:
                _print(f"{name} UNKNOWN - {_internal(error)}. Next: {REPORT}", *_traceback())
            sys.exit(code if _delivered() and heard else options.UNKNOWN)  # type: ignore[arg-type]

        return wrapper

    return decorate
