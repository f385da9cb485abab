"""What every command does alike: options, thresholds, perfdata, output, exit codes.

A command builds its parser with ``parser``, describes itself as a ``Resource``
that yields metrics, ``Context`` classes that judge them and a ``Wording``, and
hands all to ``run`` under ``guarded``. Rules of the monitoring servers are kept
here: help, version and usage errors go to standard output and exit 3
(Monitoring Plugins guidelines), standard error stays empty (Icinga 2 reads it as
output), a traceback is for ``-vvv`` only.
"""

from __future__ import annotations

import argparse
import functools
import re
import signal
import sys

import nagiosplugin

from tcp_headroom import __version__, wording
from tcp_headroom.blind import Blind

# One language for a whole line; and argparse does not import locale and look for translations at every start.
argparse._ = str  # type: ignore[attr-defined]

TYPE_CHECKING = False  # importing typing for this costs a tenth of the start-up time
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import NoReturn

UNKNOWN = 3

_NUMBER = r"-?[0-9]{1,15}(?:\.[0-9]{1,6})?"


class Parser(argparse.ArgumentParser):
    """An argument parser that keeps to the exit code of plugins, 3, and to standard output."""

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        if message:
            print(message.rstrip("\n"))
        sys.exit(UNKNOWN)

    def error(self, message: str) -> NoReturn:
        self.exit(UNKNOWN, f"{self.prog} UNKNOWN - {wording.clean(message)}; see {self.prog} --help")


def parser(command: str, description: str, percent: bool, default: tuple[str, str]) -> Parser:
    """The parser of ``command`` with the options that all commands share.

    ``percent``: whether a number in a range may end in ``%``. ``default``: what
    stands in the help as the default of -w and of -c, in words.
    """
    # A fixed width is the same in every terminal, and spares asking for it with every option.
    formatter = functools.partial(argparse.HelpFormatter, width=80)
    made = Parser(prog=command, description=description, formatter_class=formatter, add_help=False, allow_abbrev=False)
    kind = percent_range if percent else plain_range
    made.add_argument(
        "-w", "--warning", metavar="RANGE", type=kind, help=f"WARNING outside RANGE; default: {default[0]}"
    )
    made.add_argument(
        "-c", "--critical", metavar="RANGE", type=kind, help=f"CRITICAL outside RANGE; default: {default[1]}"
    )
    made.add_argument(
        "-t",
        "--timeout",
        metavar="SECONDS",
        type=seconds,
        default=8,
        help="give up, as UNKNOWN, after this time; default: 8",
    )
    made.add_argument("-v", "--verbose", action="count", default=0, help="explain the result; up to three times")
    made.add_argument("-V", "--version", action="version", version=f"{command} {__version__}", help="print the version")
    made.add_argument("-h", "--help", action="help", help="print this text")
    made.add_argument("--procfs", metavar="DIR", default="/proc", help="the /proc tree to read; default: /proc")
    return made


def plain_range(text: str) -> nagiosplugin.Range:
    """An option's type: a range of the Monitoring Plugins guidelines, in plain decimal numbers."""
    return _range(text, _NUMBER)


def percent_range(text: str) -> nagiosplugin.Range:
    """The same, where a number may carry the unit it has anyway: ``25%``."""
    return _range(text, _NUMBER + "%?")


def _range(text: str, number: str) -> nagiosplugin.Range:
    # nagiosplugin.Range alone also takes 1_000, digits of other scripts and 1.5e3.
    if not re.fullmatch(rf"@?(?:{number}|(?:~|{number})?:(?:{number})?)", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{wording.clean(text, 40)} is not a range; examples: 10 10: 10:20 @10:20")
    try:
        return nagiosplugin.Range(text.replace("%", ""))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{wording.clean(text, 40)} is not a range: {error}") from None


def seconds(text: str) -> int:
    """An option's type: a whole number of seconds from 1 on."""
    if not re.fullmatch("[0-9]{1,9}", text, re.ASCII) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{wording.clean(text, 40)} is not a whole number of seconds from 1 on")
    return int(text)


def upper_bound(limits: nagiosplugin.Range | None) -> float | None:
    """N of a range that is a plain number N, that is 0 to N; None of any other."""
    if limits is None or limits.invert or limits.start != 0 or limits.end == float("inf"):
        return None
    return float(limits.end)


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
    check = nagiosplugin.Check(*parts, Sightless("blind"), Fault("fault"))  # type: ignore[arg-type]
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
